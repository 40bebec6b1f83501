"""Training files: solvers and nets in Caffe's prototxt, and training logs."""
