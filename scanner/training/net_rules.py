"""What is looked for in nets: one page each."""

from __future__ import annotations

from ..finding import Severity
from .rules import FileRule


class NetLayerType(FileRule):
    """
    ## What it does
    Checks that every layer has a type that Caffe knows, in Caffe's own spelling.

    ## Why is this bad?
    Caffe stops with "Unknown layer type". Types are compared letter by letter: `Relu` and `relu` are not `ReLU`. A
    type that is no slip of a known one may belong to a fork, and is a warning.

    ## How to fix
    Write the type that the finding names, or train with the fork that has it.
    """

    name = "net-layer-type"
    severity = Severity.ERROR


class NetWiring(FileRule):
    """
    ## What it does
    Checks that every bottom is the top of a layer before it, that no blob is made twice, and that each layer has as
    many bottoms and tops as its type takes. Each phase is looked at by itself.

    ## Why is this bad?
    Caffe stops while it builds the net: "Unknown bottom blob", "Top blob produced by multiple sources". A loss
    without its bottoms, or two layers of one name, of which the second silently gets the weights of the first when
    weights are loaded, are found here too.

    ## How to fix
    Correct the name in the line given. A layer that works in place on a blob which others take as well needs a top of
    its own.
    """

    name = "net-wiring"
    severity = Severity.ERROR


class NetShape(FileRule):
    """
    ## What it does
    Computes the shape of every blob, from the data to the loss, and checks that the shapes fit.

    ## Why is this bad?
    Caffe stops while it builds the net, or at the first batch: a convolution larger than its input, labels that are
    not one for each prediction, an element-wise sum of unequal blobs.

    ## How to fix
    Look at the two shapes that the finding gives. A size that depends on data which nobody has described is not
    judged.
    """

    name = "net-shape"
    severity = Severity.ERROR


class NetParameter(FileRule):
    """
    ## What it does
    Checks the parameters of layers against the limits that Caffe itself enforces.

    ## Why is this bad?
    Caffe stops: a stride or kernel of 0, `num_output` 0, a group that does not divide the channels, `pad` not smaller
    than the pooling kernel, `top_k` above the number of classes, a Dropout ratio outside 0..1.

    ## How to fix
    Put the value in the line given that the finding proposes.
    """

    name = "net-parameter"
    severity = Severity.ERROR


class NetPooling(FileRule):
    """
    ## What it does
    Computes where the last window of every pooling layer begins, exactly as Caffe does, and compares it with the size
    of the input.

    ## Why is this bad?
    Without padding Caffe rounds the number of windows up, so that with a stride above the kernel the last window can
    begin behind the input. AVE pooling then divides 0 by 0 where it begins right behind it: the loss is NaN at
    iteration 0. (Further out it divides 0 by a negative number: cells that are always 0, a warning.) MAX pooling
    gives -3.4e38: the loss goes to its ceiling and then to NaN, unless a ReLU behind it hides the value. A stride
    above the kernel that leaves the last window inside is harmless, and so are padding and `round_mode: FLOOR`.

    ## How to fix
    Make the kernel as large as the stride, or the stride as small as the kernel. `round_mode: FLOOR` drops the empty
    window without changing another.
    """

    name = "net-pooling"
    severity = Severity.ERROR


class NetDataLayer(FileRule):
    """
    ## What it does
    Checks what data layers need to start: a source, a batch size, somewhere to put batches, and no parameters that
    they refuse.

    ## Why is this bad?
    Caffe stops (`batch_size` absent or 0, transformations on HDF5 data, one LevelDB opened by two layers) or waits
    for ever (`prefetch: 0`).

    ## How to fix
    Put the value in the line given that the finding proposes.
    """

    name = "net-data-layer"
    severity = Severity.ERROR


class NetBackend(FileRule):
    """
    ## What it does
    Checks that a Data layer says which kind of store its source is, and says it rightly where the store can be seen.

    ## Why is this bad?
    Without `backend` Caffe takes LEVELDB, whatever the source is called, and stops at an LMDB.

    ## How to fix
    Write `backend: LMDB` or `backend: LEVELDB`.
    """

    name = "net-backend"
    severity = Severity.WARNING


class NetIgnoredField(FileRule):
    """
    ## What it does
    Looks for fields that Caffe reads and then does nothing with.

    ## Why is this bad?
    A `scale`, `mean_file`, `crop_size` or `mirror` inside `data_param` counts in the old `layers` style only: in a
    `layer` the net trains on raw 0..255 values. `rand_skip` of a Data layer is not implemented any more, and new
    layers beside old ones are dropped.

    ## How to fix
    Move transformations to `transform_param`; take out what does nothing.
    """

    name = "net-ignored-field"
    severity = Severity.WARNING


class NetCrop(FileRule):
    """
    ## What it does
    Compares the crop with the size of the images, of the mean image or of the resized image.

    ## Why is this bad?
    Caffe stops at the first image that is smaller than the crop: "Check failed: datum_height >= crop_size".

    ## How to fix
    Make the crop at most as large as the smallest image, or rebuild the set with larger images.
    """

    name = "net-crop"
    severity = Severity.ERROR


class NetMean(FileRule):
    """
    ## What it does
    Checks mean values and the mean file: numbers that are not finite, a shape other than the images', as many values
    as channels, only one of the two ways.

    ## Why is this bad?
    A NaN in the mean makes every input at that place NaN: the loss follows at the first iteration, or MAX pooling
    hides it while the weights turn NaN. Wrong shapes stop Caffe.

    ## How to fix
    Compute the mean again (`compute_image_mean`) from the set that the layer reads.
    """

    name = "net-mean"
    severity = Severity.ERROR


class NetInputScale(FileRule):
    """
    ## What it does
    Checks the factor by which the inputs are multiplied.

    ## Why is this bad?
    NaN or infinity makes every input NaN or infinite. 0 (a warning) makes all of them 0, so that nothing can be
    learnt; a factor that blows the inputs up makes the gradients explode.

    ## How to fix
    `scale: 0.00390625` brings 0..255 to 0..1.
    """

    name = "net-input-scale"
    severity = Severity.ERROR


class NetLossInput(FileRule):
    """
    ## What it does
    Looks at what losses are fed with.

    ## Why is this bad?
    Each loss wants scores or probabilities, and Caffe can't tell them apart. SoftmaxWithLoss behind a Softmax trains,
    but badly. MultinomialLogisticLoss (an error) and the InfogainLoss of older Caffe take the logarithm of their
    input as it is: with raw scores the loss is negative and the gradients reach 1e20. A softmax over one class is
    always 1, and its loss 0.

    ## How to fix
    Feed SoftmaxWithLoss and SigmoidCrossEntropyLoss the last InnerProduct or Convolution itself.
    """

    name = "net-loss-input"
    severity = Severity.WARNING


class NetLossWeight(FileRule):
    """
    ## What it does
    Checks the weights with which losses are summed.

    ## Why is this bad?
    NaN or infinity makes the loss and every gradient so. A large weight multiplies the learning rate, a negative one
    makes the loss grow without bound, and with 0 alone nothing is learnt (warnings). An Accuracy can't be a loss:
    Caffe stops at the first backward pass.

    ## How to fix
    `loss_weight: 1`, or no line at all.
    """

    name = "net-loss-weight"
    severity = Severity.ERROR


class NetNoLoss(FileRule):
    """
    ## What it does
    Checks that a net which is trained has a loss.

    ## Why is this bad?
    Without one there is no gradient: Caffe runs to the end and learns nothing. A top that nobody takes is no loss
    unless its layer is one or has a `loss_weight`.

    ## How to fix
    Add a loss layer, or let the one there is be part of the TRAIN phase.
    """

    name = "net-no-loss"
    severity = Severity.WARNING


class NetInfogain(FileRule):
    """
    ## What it does
    Reads the matrix of an InfogainLoss, where the file is at hand, and checks its numbers and its size.

    ## Why is this bad?
    Weights of 1/frequency are infinite for a class without examples: the loss is inf at once, then NaN. A matrix that
    is not classes x classes stops Caffe; negative weights make the loss fall without bound, and large ones multiply
    the learning rate (warnings).

    ## How to fix
    Build the matrix again, with a weight of 0 for absent classes and weights of about 1 on average.
    """

    name = "net-infogain"
    severity = Severity.ERROR


class NetLabelRange(FileRule):
    """
    ## What it does
    Compares the labels of the data with the number of classes of the loss.

    ## Why is this bad?
    Caffe doesn't check: a label that is no class reads (and in the backward pass writes) memory behind the scores.
    The loss is a little wrong, or the process dies.

    ## How to fix
    Set `num_output` of the last layer to the number of classes, or correct the labels; labels count from 0.
    """

    name = "net-label-range"
    severity = Severity.ERROR


class NetTargetRange(FileRule):
    """
    ## What it does
    Compares the targets of a SigmoidCrossEntropyLoss with 0..1.

    ## Why is this bad?
    For any other target (-1 and 1, 0 and 255) the loss has no lower bound: it turns negative, then runs away.

    ## How to fix
    Divide or map the targets to 0..1; -1 for no target needs `loss_param { ignore_label: -1 }`.
    """

    name = "net-target-range"
    severity = Severity.ERROR


class NetDomain(FileRule):
    """
    ## What it does
    Compares what Log, Power and Exp layers are fed with what these functions are defined for.

    ## Why is this bad?
    The logarithm of 0 is -inf, of a negative number NaN; so is a fractional power of a negative number. A power of 0
    has a derivative that Caffe computes as 0/0. Exp overflows above 88.7 after its scale.

    ## How to fix
    Add a `shift` that keeps the argument above 0 (for Log of a probability 1e-6), or leave the layer out.
    """

    name = "net-domain"
    severity = Severity.ERROR


class NetNormalisation(FileRule):
    """
    ## What it does
    Checks BatchNorm, MVN, LRN and Normalize: what they divide by.

    ## Why is this bad?
    BatchNorm and MVN divide by a deviation, which is 0 for a constant channel or a single value: only `eps` keeps
    that from being 0/0. LRN raises k + alpha/n * sum to a negative fractional power: negative `alpha` or `k` give
    NaN. `use_global_stats` in training divides by statistics that nobody has computed, unless weights are loaded.

    ## How to fix
    `eps: 1e-5` for BatchNorm, `eps: 1e-9` for MVN; `local_size: 5 alpha: 0.0001 beta: 0.75 k: 1` for LRN.
    """

    name = "net-normalisation"
    severity = Severity.ERROR


class NetDropout(FileRule):
    """
    ## What it does
    Checks the ratio of Dropout layers.

    ## Why is this bad?
    A ratio of 1 drops everything and divides what is left by 0: NaN at iteration 0.

    ## How to fix
    `dropout_ratio: 0.5`.
    """

    name = "net-dropout"
    severity = Severity.ERROR


class NetNotFinite(FileRule):
    """
    ## What it does
    Looks for numbers of layers that are NaN or infinite.

    ## Why is this bad?
    Text format takes `nan` and `inf` for any number, and one that is too large for float32 becomes infinite. What the
    layer computes is NaN from the first iteration; some linear algebra libraries hide it as 0.

    ## How to fix
    Write the number that was meant.
    """

    name = "net-not-finite"
    severity = Severity.ERROR


class NetFiller(FileRule):
    """
    ## What it does
    Checks how weights are drawn.

    ## Why is this bad?
    Caffe stops at a `std` that is not above 0, at `min` above `max` and at a filler that it does not know. It takes a
    constant of NaN. Weights that are drawn so wide that activations grow a hundredfold at each layer, or that are all
    the same, are warnings.

    ## How to fix
    `weight_filler { type: "xavier" }`, or `"msra"` before a ReLU.
    """

    name = "net-filler"
    severity = Severity.ERROR


class NetZeroWeights(FileRule):
    """
    ## What it does
    Looks for weights that start at 0: without a `weight_filler` they do.

    ## Why is this bad?
    Layers before it get no gradient, and a ReLU right behind it never opens. It does no harm where weights are
    loaded, or where the layer is the only one.

    ## How to fix
    `weight_filler { type: "xavier" }`.
    """

    name = "net-zero-weights"
    severity = Severity.WARNING


class NetMultiplier(FileRule):
    """
    ## What it does
    Checks `lr_mult` and `decay_mult` of every weight.

    ## Why is this bad?
    NaN or infinity makes the weights so at the first update. Negative or very large multipliers climb or explode, and
    where all are 0 nothing is learnt (warnings). Caffe stops where a layer has more `param` than weights (two, with
    `bias_term: false`), and at BatchNorm statistics that are to be learnt.

    ## How to fix
    `lr_mult: 1 decay_mult: 1` for weights, `lr_mult: 2 decay_mult: 0` for biases, `lr_mult: 0` for BatchNorm.
    """

    name = "net-multiplier"
    severity = Severity.ERROR


class NetNoGradient(FileRule):
    """
    ## What it does
    Looks for layers through which a gradient would have to go although Caffe has none for them.

    ## Why is this bad?
    Caffe stops at the first backward pass: "Not Implemented Yet" for ArgMax and Threshold, "cannot backpropagate to
    label inputs" where scores are given as labels.

    ## How to fix
    Take the layer out of the path to the loss, or order the bottoms: scores first, labels second.
    """

    name = "net-no-gradient"
    severity = Severity.ERROR


class NetOldStyle(FileRule):
    """
    ## What it does
    Says that a net is written in an old style.

    ## Why is this bad?
    Caffe brings it up to date while it reads it, so nothing is wrong; but some fields mean something else in the new
    style.

    ## How to fix
    `upgrade_net_proto_text old.prototxt new.prototxt`.
    """

    name = "net-old-style"
    severity = Severity.INFO


NET_LAYER_RULES: tuple[type[FileRule], ...] = (
    NetLayerType,
    NetWiring,
    NetShape,
    NetParameter,
    NetPooling,
    NetDataLayer,
    NetBackend,
    NetIgnoredField,
    NetCrop,
    NetMean,
    NetInputScale,
    NetLossInput,
    NetLossWeight,
    NetNoLoss,
    NetInfogain,
    NetLabelRange,
    NetTargetRange,
    NetDomain,
    NetNormalisation,
    NetDropout,
    NetNotFinite,
    NetFiller,
    NetZeroWeights,
    NetMultiplier,
    NetNoGradient,
    NetOldStyle,
)
