"""One layer of a Caffe net, made from its text; and files of weights written by the real protobuf library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

from datascan.scanner.probe.caffe.blobs import wanted_blobs
from datascan.scanner.probe.caffe.net import LAYERS
from datascan.scanner.probe.caffe.setting import Setting
from datascan.scanner.training.net_shapes import shapes_of
from datascan.scanner.training.net_spec import read_net
from datascan.scanner.training.prototxt import parse

Array = NDArray[Any]


def run_layer(
    text: str, *inputs: Array, weights: Sequence[Array] | None = None, training: bool = True, tops: int = 1
) -> list[Array]:
    """The tops of a layer ``type: ... some_param { }`` for inputs with samples first."""
    ends = " ".join(f'bottom: "b{n}"' for n in range(len(inputs))) + " " + " ".join(f'top: "t{n}"' for n in range(tops))
    (layer,) = read_net(parse(f'layer {{ name: "one" {text} {ends} }}')).layers
    bottoms = tuple(values.shape for values in inputs)
    shapes = tuple(tuple(side for side in top or () if side is not None) for top in shapes_of(layer, bottoms))
    given = tuple(np.asarray(values, np.float32) for values in weights or ())
    assert [one.shape for one in wanted_blobs(layer, bottoms)] == [values.shape for values in given]
    run = LAYERS[layer.type](Setting(layer, bottoms, shapes, given, training))
    with np.errstate(all="ignore"):
        made = [np.asarray(values) for values in run(inputs)]
    if not layer.type.endswith("Loss"):
        assert [values.shape for values in made] == list(shapes)[: len(made)]
    assert all(values.dtype == np.float32 for values in made)
    return made


_FIELD = descriptor_pb2.FieldDescriptorProto


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights", syntax="proto2")
    many, one = _FIELD.LABEL_REPEATED, _FIELD.LABEL_OPTIONAL
    shape = file.message_type.add(name="BlobShape")
    packed = descriptor_pb2.FieldOptions(packed=True)
    shape.field.add(name="dim", number=1, type=_FIELD.TYPE_INT64, label=many, options=packed)
    blob = file.message_type.add(name="BlobProto")
    for number, name in enumerate(("num", "channels", "height", "width"), 1):
        blob.field.add(name=name, number=number, type=_FIELD.TYPE_INT32, label=one)
    blob.field.add(name="data", number=5, type=_FIELD.TYPE_FLOAT, label=many, options=packed)
    blob.field.add(name="shape", number=7, type=_FIELD.TYPE_MESSAGE, type_name=".weights.BlobShape", label=one)
    for name, name_field, blobs_field in (("Layer", 1, 7), ("V1Layer", 4, 6)):
        layer = file.message_type.add(name=name)
        layer.field.add(name="name", number=name_field, type=_FIELD.TYPE_STRING, label=one)
        layer.field.add(
            name="blobs", number=blobs_field, type=_FIELD.TYPE_MESSAGE, type_name=".weights.BlobProto", label=many
        )
    net = file.message_type.add(name="Net")
    net.field.add(name="name", number=1, type=_FIELD.TYPE_STRING, label=one)
    net.field.add(name="layers", number=2, type=_FIELD.TYPE_MESSAGE, type_name=".weights.V1Layer", label=many)
    net.field.add(name="layer", number=100, type=_FIELD.TYPE_MESSAGE, type_name=".weights.Layer", label=many)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {"Net": message_factory.GetMessageClass(pool.FindMessageTypeByName("weights.Net"))}


_NET = _messages()["Net"]


def write_weights(path: Path, layers: Mapping[str, Sequence[Array]], *, old: bool = False) -> str:
    """A ``.caffemodel``; ``old`` has layers and blobs of the old form, four sides each."""
    net = _NET(name="net")
    for name, arrays in layers.items():
        layer = net.layers.add(name=name) if old else net.layer.add(name=name)
        for values in arrays:
            blob = layer.blobs.add(data=np.asarray(values, np.float32).reshape(-1).tolist())
            if old:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - values.ndim) + values.shape
            else:
                blob.shape.dim.extend(values.shape)
    path.write_bytes(net.SerializeToString())
    return str(path)
