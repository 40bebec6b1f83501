"""Caffe's messages by the real protobuf library, described here at run time."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPE = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int32": _TYPE.TYPE_INT32,
    "bytes": _TYPE.TYPE_BYTES,
    "float": _TYPE.TYPE_FLOAT,
    "bool": _TYPE.TYPE_BOOL,
}
_MESSAGES = {
    "Datum": [
        ("channels", 1, "int32"),
        ("height", 2, "int32"),
        ("width", 3, "int32"),
        ("data", 4, "bytes"),
        ("label", 5, "int32"),
        ("float_data", 6, "float*"),
        ("encoded", 7, "bool"),
    ],
    "NormalizedBBox": [
        ("xmin", 1, "float"),
        ("ymin", 2, "float"),
        ("xmax", 3, "float"),
        ("ymax", 4, "float"),
        ("label", 5, "int32"),
        ("difficult", 6, "bool"),
        ("score", 7, "float"),
        ("size", 8, "float"),
    ],
    "Annotation": [("instance_id", 1, "int32"), ("bbox", 2, "NormalizedBBox")],
    "AnnotationGroup": [("group_label", 1, "int32"), ("annotation", 2, "Annotation*")],
    "AnnotatedDatum": [("datum", 1, "Datum"), ("type", 2, "int32"), ("annotation_group", 3, "AnnotationGroup*")],
}


def _build() -> dict[str, Any]:
    described = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = described.message_type.add(name=name)
        for field, number, kind in fields:
            scalar = kind.rstrip("*")
            label = _TYPE.LABEL_REPEATED if kind.endswith("*") else _TYPE.LABEL_OPTIONAL
            if scalar in _SCALARS:
                message.field.add(name=field, number=number, type=_SCALARS[scalar], label=label)
            else:
                type_name = f".caffe.{scalar}"
                message.field.add(name=field, number=number, type=_TYPE.TYPE_MESSAGE, type_name=type_name, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in _MESSAGES}


CLASSES = _build()
Datum = CLASSES["Datum"]
AnnotatedDatum = CLASSES["AnnotatedDatum"]
