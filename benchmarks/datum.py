"""Caffe's Datum by the protobuf library, described at run time: what a user's own script would have compiled."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPE = descriptor_pb2.FieldDescriptorProto
_FIELDS = (
    ("channels", 1, _TYPE.TYPE_INT32, _TYPE.LABEL_OPTIONAL),
    ("height", 2, _TYPE.TYPE_INT32, _TYPE.LABEL_OPTIONAL),
    ("width", 3, _TYPE.TYPE_INT32, _TYPE.LABEL_OPTIONAL),
    ("data", 4, _TYPE.TYPE_BYTES, _TYPE.LABEL_OPTIONAL),
    ("label", 5, _TYPE.TYPE_INT32, _TYPE.LABEL_OPTIONAL),
    ("float_data", 6, _TYPE.TYPE_FLOAT, _TYPE.LABEL_REPEATED),
    ("encoded", 7, _TYPE.TYPE_BOOL, _TYPE.LABEL_OPTIONAL),
)


def _message() -> Any:
    described = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    message = described.message_type.add(name="Datum")
    for name, number, kind, label in _FIELDS:
        message.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.Datum"))


Datum: Any = _message()
