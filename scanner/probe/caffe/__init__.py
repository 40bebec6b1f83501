"""Caffe's layers in numpy: a user's own net in prototxt, computed as Caffe's CPU code does, forward.

Samples are the first axis here, as in Caffe, whose parameters count axes so.
"""
