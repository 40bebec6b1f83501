"""Names and types of Caffe's text messages, as tables of words; `schema` reads them.

Source: ``src/caffe/proto/caffe.proto`` of BVLC Caffe (2020) and of its SSD fork.
"""

from __future__ import annotations

from collections.abc import Mapping

ENUMS: Mapping[str, str] = {
    "Phase": "TRAIN TEST",
    "Engine": "DEFAULT CAFFE CUDNN",
    "DB": "LEVELDB LMDB",
    "EltwiseOp": "PROD SUM MAX",
    "VarianceNorm": "FAN_IN FAN_OUT AVERAGE",
    "Norm": "L1=1 L2=2",
    "NormRegion": "ACROSS_CHANNELS WITHIN_CHANNEL",
    "NormalizationMode": "FULL VALID BATCH_SIZE NONE",
    "DimCheckMode": "STRICT PERMISSIVE",
    "PoolMethod": "MAX AVE STOCHASTIC",
    "RoundMode": "CEIL FLOOR",
    "ReductionOp": "SUM=1 ASUM=2 SUMSQ=3 MEAN=4",
    "SnapshotFormat": "HDF5 BINARYPROTO",
    "SolverMode": "CPU GPU",
    "SolverType": "SGD NESTEROV ADAGRAD RMSPROP ADADELTA ADAM",
    "LayerType": (
        "NONE=0 ABSVAL=35 ACCURACY=1 ARGMAX=30 BNLL=2 CONCAT=3 CONTRASTIVE_LOSS=37 CONVOLUTION=4 DATA=5 "
        "DECONVOLUTION=39 DROPOUT=6 DUMMY_DATA=32 EUCLIDEAN_LOSS=7 ELTWISE=25 EXP=38 FLATTEN=8 HDF5_DATA=9 "
        "HDF5_OUTPUT=10 HINGE_LOSS=28 IM2COL=11 IMAGE_DATA=12 INFOGAIN_LOSS=13 INNER_PRODUCT=14 LRN=15 "
        "MEMORY_DATA=29 MULTINOMIAL_LOGISTIC_LOSS=16 MVN=34 POOLING=17 POWER=26 RELU=18 SIGMOID=19 "
        "SIGMOID_CROSS_ENTROPY_LOSS=27 SILENCE=36 SOFTMAX=20 SOFTMAX_LOSS=21 SPLIT=22 SLICE=33 TANH=23 "
        "WINDOW_DATA=24 THRESHOLD=31"
    ),
}
"""Words of each enum; their numbers count from 0 unless they stand there."""

MESSAGES: Mapping[str, str] = {
    "AccuracyParameter": "uint32 top_k; int32 axis ignore_label",
    "ArgMaxParameter": "bool out_max_val; uint32 top_k; int32 axis",
    "BatchNormParameter": "bool use_global_stats; float moving_average_fraction eps",
    "BiasParameter": "int32 axis num_axes; FillerParameter filler",
    "BlobShape": "int64* dim",
    "ClipParameter": "float min max",
    "ConcatParameter": "int32 axis; uint32 concat_dim",
    "ContrastiveLossParameter": "float margin; bool legacy_version",
    "ConvolutionParameter": (
        "uint32 num_output pad_h pad_w kernel_h kernel_w stride_h stride_w group; bool bias_term "
        "force_nd_im2col; uint32* pad kernel_size stride dilation; FillerParameter weight_filler bias_filler; "
        "Engine engine; int32 axis"
    ),
    "CropParameter": "int32 axis; uint32* offset",
    "DataParameter": (
        "string source mean_file; uint32 batch_size rand_skip crop_size prefetch; DB backend; float scale; "
        "bool mirror force_encoded_color"
    ),
    "DropoutParameter": "float dropout_ratio",
    "DummyDataParameter": "FillerParameter* data_filler; BlobShape* shape; uint32* num channels height width",
    "ELUParameter": "float alpha",
    "EltwiseParameter": "EltwiseOp operation; float* coeff; bool stable_prod_grad",
    "EmbedParameter": "uint32 num_output input_dim; bool bias_term; FillerParameter weight_filler bias_filler",
    "ExpParameter": "float base scale shift",
    "FillerParameter": "string type; float value min max mean std; int32 sparse; VarianceNorm variance_norm",
    "FlattenParameter": "int32 axis end_axis",
    "HDF5DataParameter": "string source; uint32 batch_size; bool shuffle",
    "HDF5OutputParameter": "string file_name",
    "HingeLossParameter": "Norm norm",
    "ImageDataParameter": (
        "string source mean_file root_folder; uint32 batch_size rand_skip new_height new_width crop_size; "
        "bool shuffle is_color mirror; float scale"
    ),
    "InfogainLossParameter": "string source; int32 axis",
    "InnerProductParameter": (
        "uint32 num_output; bool bias_term transpose; FillerParameter weight_filler bias_filler; int32 axis"
    ),
    "InputParameter": "BlobShape* shape",
    "LRNParameter": "uint32 local_size; float alpha beta k; NormRegion norm_region; Engine engine",
    "LayerParameter": (
        "string name type; string* bottom top; Phase phase; float* loss_weight; ParamSpec* param; any* blobs; "
        "bool* propagate_down; NetStateRule* include exclude; TransformationParameter transform_param; "
        "LossParameter loss_param; AccuracyParameter accuracy_param; ArgMaxParameter argmax_param; "
        "BatchNormParameter batch_norm_param; BiasParameter bias_param; ClipParameter clip_param; "
        "ConcatParameter concat_param; ContrastiveLossParameter contrastive_loss_param; ConvolutionParameter "
        "convolution_param; CropParameter crop_param; DataParameter data_param; DropoutParameter "
        "dropout_param; DummyDataParameter dummy_data_param; EltwiseParameter eltwise_param; ELUParameter "
        "elu_param; EmbedParameter embed_param; ExpParameter exp_param; FlattenParameter flatten_param; "
        "HDF5DataParameter hdf5_data_param; HDF5OutputParameter hdf5_output_param; HingeLossParameter "
        "hinge_loss_param; ImageDataParameter image_data_param; InfogainLossParameter infogain_loss_param; "
        "InnerProductParameter inner_product_param; InputParameter input_param; LogParameter log_param; "
        "LRNParameter lrn_param; MemoryDataParameter memory_data_param; MVNParameter mvn_param; "
        "ParameterParameter parameter_param; PoolingParameter pooling_param; PowerParameter power_param; "
        "PReLUParameter prelu_param; PythonParameter python_param; RecurrentParameter recurrent_param; "
        "ReductionParameter reduction_param; ReLUParameter relu_param; ReshapeParameter reshape_param; "
        "ScaleParameter scale_param; SigmoidParameter sigmoid_param; SoftmaxParameter softmax_param; "
        "SPPParameter spp_param; SliceParameter slice_param; SwishParameter swish_param; TanHParameter "
        "tanh_param; ThresholdParameter threshold_param; TileParameter tile_param; WindowDataParameter "
        "window_data_param"
    ),
    "LogParameter": "float base scale shift",
    "LossParameter": "int32 ignore_label; NormalizationMode normalization; bool normalize",
    "MVNParameter": "bool normalize_variance across_channels; float eps",
    "MemoryDataParameter": "uint32 batch_size channels height width",
    "NetParameter": (
        "string name; string* input; BlobShape* input_shape; int32* input_dim; bool force_backward "
        "debug_info; NetState state; LayerParameter* layer; V1LayerParameter* layers"
    ),
    "NetState": "Phase phase; int32 level; string* stage",
    "NetStateRule": "Phase phase; int32 min_level max_level; string* stage not_stage",
    "PReLUParameter": "FillerParameter filler; bool channel_shared",
    "ParamSpec": "string name; DimCheckMode share_mode; float lr_mult decay_mult",
    "ParameterParameter": "BlobShape shape",
    "PoolingParameter": (
        "PoolMethod pool; uint32 pad pad_h pad_w kernel_size kernel_h kernel_w stride stride_h stride_w; "
        "Engine engine; bool global_pooling; RoundMode round_mode"
    ),
    "PowerParameter": "float power scale shift",
    "PythonParameter": "string module layer param_str; bool share_in_parallel",
    "ReLUParameter": "float negative_slope; Engine engine",
    "RecurrentParameter": "uint32 num_output; FillerParameter weight_filler bias_filler; bool debug_info expose_hidden",
    "ReductionParameter": "ReductionOp operation; int32 axis; float coeff",
    "ReshapeParameter": "BlobShape shape; int32 axis num_axes",
    "SPPParameter": "uint32 pyramid_height; PoolMethod pool; Engine engine",
    "ScaleParameter": "int32 axis num_axes; FillerParameter filler bias_filler; bool bias_term",
    "SigmoidParameter": "Engine engine",
    "SliceParameter": "int32 axis; uint32* slice_point; uint32 slice_dim",
    "SoftmaxParameter": "Engine engine; int32 axis",
    "SolverParameter": (
        "string net train_net lr_policy regularization_type snapshot_prefix type; NetParameter net_param "
        "train_net_param; string* test_net weights; NetParameter* test_net_param; NetState train_state; "
        "NetState* test_state; int32* test_iter stepvalue; int32 test_interval display average_loss max_iter "
        "iter_size stepsize snapshot device_id; bool test_compute_loss test_initialization snapshot_diff "
        "debug_info snapshot_after_train layer_wise_reduce; float base_lr gamma power momentum weight_decay "
        "clip_gradients delta momentum2 rms_decay; SnapshotFormat snapshot_format; SolverMode solver_mode; "
        "int64 random_seed; SolverType solver_type"
    ),
    "SwishParameter": "float beta",
    "TanHParameter": "Engine engine",
    "ThresholdParameter": "float threshold",
    "TileParameter": "int32 axis tiles",
    "TransformationParameter": (
        "float scale; bool mirror force_color force_gray; uint32 crop_size; string mean_file; float* mean_value"
    ),
    "V1LayerParameter": (
        "string* bottom top param; string name; NetStateRule* include exclude; LayerType type; any* blobs; "
        "DimCheckMode* blob_share_mode; float* blobs_lr weight_decay loss_weight; AccuracyParameter "
        "accuracy_param; ArgMaxParameter argmax_param; ConcatParameter concat_param; ContrastiveLossParameter "
        "contrastive_loss_param; ConvolutionParameter convolution_param; DataParameter data_param; "
        "DropoutParameter dropout_param; DummyDataParameter dummy_data_param; EltwiseParameter eltwise_param; "
        "ExpParameter exp_param; HDF5DataParameter hdf5_data_param; HDF5OutputParameter hdf5_output_param; "
        "HingeLossParameter hinge_loss_param; ImageDataParameter image_data_param; InfogainLossParameter "
        "infogain_loss_param; InnerProductParameter inner_product_param; LRNParameter lrn_param; "
        "MemoryDataParameter memory_data_param; MVNParameter mvn_param; PoolingParameter pooling_param; "
        "PowerParameter power_param; ReLUParameter relu_param; SigmoidParameter sigmoid_param; "
        "SoftmaxParameter softmax_param; SliceParameter slice_param; TanHParameter tanh_param; "
        "ThresholdParameter threshold_param; WindowDataParameter window_data_param; TransformationParameter "
        "transform_param; LossParameter loss_param; any layer"
    ),
    "WindowDataParameter": (
        "string source mean_file crop_mode root_folder; float scale fg_threshold bg_threshold fg_fraction; "
        "uint32 batch_size crop_size context_pad; bool mirror cache_images"
    ),
}
"""Fields of each message by type; ``*`` marks repeated ones, ``any`` what is not looked into."""

FORKS: Mapping[str, str] = {
    "SolverParameter": "eval_type ap_version show_per_class_result plateau_winsize",
    "LayerParameter": (
        "annotated_data_param detection_evaluate_param detection_output_param multibox_loss_param norm_param "
        "permute_param prior_box_param video_data_param"
    ),
    "TransformationParameter": "crop_h crop_w resize_param noise_param distort_param expand_param emit_constraint",
}
"""Fields that Caffe's SSD fork has besides; BVLC Caffe refuses them."""
