"""Samples on their way into a network: thinned out, but with every value that matters; preprocessed as Caffe does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.test_layouts.messages import Datum

from datascan.backends.errors import UsageError
from datascan.scanner.options import ProbeOptions
from datascan.scanner.probe.fitting import Fit, Unfit, fit, fit_model
from datascan.scanner.probe.inputs import Preparation, Prepared
from datascan.scanner.probe.preprocessing import Preprocessing


def prepared(values: NDArray[Any], fitted: Fit, **options: Any) -> Prepared:
    full, taken = Preprocessing(ProbeOptions(**options)).constants(fitted)
    return Preparation(values, fitted, full, taken, half=False).part(0, len(values))


@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    net=st.sampled_from(["auto", "softmax", "mlp"]),
    place=st.integers(0, 1 << 20),
    value=st.sampled_from([np.nan, np.inf, 3e38]),
    channels_last=st.booleans(),
    crop=st.sampled_from([None, 3]),
)
def test_a_value_anywhere_reaches_the_network_and_is_located(
    shape: list[int], net: str, place: int, value: float, channels_last: bool, crop: int | None
) -> None:
    axes = ("HWC" if channels_last else "CHW") if len(shape) == 3 else ""
    values = np.zeros((3, *shape), np.float32)
    flat = place % values[0].size
    values[1].reshape(-1)[flat] = value
    try:
        fitted = fit(tuple(shape), axes, net, crop)
    except Unfit:
        sides = shape[:2] if channels_last else shape[1:]
        assert crop is not None
        assert min(sides) < crop
        return
    part = prepared(values, fitted)
    element = tuple(int(one) for one in np.unravel_index(flat, tuple(shape)))
    spoilt = ~(np.abs(part.inputs.reshape(-1, 3)) < 1e30).all(axis=0)
    if crop is not None and axes and not spoilt.any():
        assert part.suspects == {}  # it was cropped away
        return
    assert spoilt.tolist() == [False, True, False]
    assert list(part.suspects) == [1]
    suspect = part.suspects[1]
    assert (suspect.finite, suspect.sound) == (bool(np.isfinite(value)), False)
    assert fitted.element(suspect.place, tuple(shape)) == element


def test_nan_outweighs_what_is_large_in_the_same_cell() -> None:
    values = np.zeros((1, 3, 64, 64), np.float32)
    values[0, 0, 4:8, 4:8] = 1e20
    values[0, 0, 4, 4] = np.nan
    values[0, 1, 5, 5] = np.inf
    part = prepared(values, fit((3, 64, 64), "CHW", "conv"))
    assert np.isnan(part.inputs[0, 1, 1, 0])
    assert np.isinf(part.inputs[1, 1, 1, 0])


def test_many_values_that_are_finite_can_be_too_much_together() -> None:
    values = np.full((2, 3, 100, 100), 1.0, np.float32)
    values[1] = 5e17
    part = prepared(values, fit((3, 100, 100), "CHW", "conv"))
    assert part.suspects[1].finite
    assert not part.suspects[1].sound


def test_preprocessing_subtracts_the_mean_before_it_scales() -> None:
    values = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    part = prepared(values, fit((3, 4, 4), "CHW", "conv"), mean_values=(1.0, 2.0, 3.0), scale=0.5, std=(1, 2, 4))
    mean, deviation = np.array([1, 2, 3]).reshape(3, 1, 1), np.array([1, 2, 4]).reshape(3, 1, 1)
    wanted = (values.astype(np.float32) - mean) * 0.5 / deviation
    np.testing.assert_allclose(np.moveaxis(part.inputs, -1, 0), wanted)


def test_the_mean_file_is_cropped_and_thinned_as_the_samples_are(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (2, 3, 50, 60), np.uint8)
    np.save(tmp_path / "mean.npy", values[1].astype(np.float32))
    fitted = fit((3, 50, 60), "CHW", "conv", 40)
    part = prepared(values, fitted, mean_file=str(tmp_path / "mean.npy"))
    assert part.inputs.shape[1:3] == (13, 13)
    assert not part.inputs[..., 1].any()
    difference = values[0].astype(np.float32) - values[1]
    np.testing.assert_array_equal(part.inputs[..., 0], difference[:, 5:45, 10:50][:, 1::3, 1::3])


def test_a_mean_in_binaryproto_is_read(tmp_path: Path) -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kind = descriptor_pb2.FieldDescriptorProto
    described = descriptor_pb2.FileDescriptorProto(name="mean.proto", package="mean", syntax="proto2")
    message = described.message_type.add(name="BlobProto")
    for number, name in enumerate(("num", "channels", "height", "width"), 1):
        message.field.add(name=name, number=number, type=kind.TYPE_INT32, label=kind.LABEL_OPTIONAL)
    data = message.field.add(name="data", number=5, type=kind.TYPE_FLOAT, label=kind.LABEL_REPEATED)
    data.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    blob = message_factory.GetMessageClass(pool.FindMessageTypeByName("mean.BlobProto"))
    mean = np.random.default_rng(1).random((3, 6, 5)).astype(np.float32)
    written = blob(num=1, channels=3, height=6, width=5, data=mean.reshape(-1).tolist()).SerializeToString()
    (tmp_path / "mean.binaryproto").write_bytes(written)
    part = prepared(mean[None], fit((3, 6, 5), "CHW", "conv"), mean_file=str(tmp_path / "mean.binaryproto"))
    assert not part.inputs.any()


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"", "holds 0 values"),
        (b"\x80\x04\x95garbage", "neither a .binaryproto nor a .npy"),
        (b"\x93NUMPY\x01\x00garbage", "can't be read as .npy"),
        (Datum(channels=1, height=2, width=3).SerializeToString(), "holds 0 values for the shape"),
    ],
)
def test_a_mean_file_that_is_none_is_refused(contents: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "mean").write_bytes(contents)
    with pytest.raises(UsageError, match=text):
        Preprocessing(ProbeOptions(mean_file=str(tmp_path / "mean")))


def test_a_pickled_mean_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"can't be read as \.npy"):
        Preprocessing(ProbeOptions(mean_file=str(tmp_path / "mean.npy")))


def test_a_mean_of_another_size_does_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", np.zeros((3, 28, 28), np.float32))
    with pytest.raises(Unfit, match="the mean file is 3x28x28, the samples are 3x32x32"):
        Preprocessing(ProbeOptions(mean_file=str(tmp_path / "mean.npy"))).constants(fit((3, 32, 32), "CHW", "conv"))


@pytest.mark.parametrize(
    ("shape", "axes", "wanted", "read"),
    [
        ((3, 8, 9), "CHW", (3, 8, 9), (3, 8, 9)),
        ((8, 9, 3), "HWC", (3, 8, 9), (3, 8, 9)),
        ((8, 9, 3), "HWC", (8, 9, 3), (8, 9, 3)),
        ((8, 9), "HW", (8, 9), (8, 9)),
        ((1, 8, 9), "CHW", (8, 9), (8, 9)),
        ((3, 8, 9), "CHW", (216,), (216,)),
        ((3, 8, 9), "CHW", (3, None, None), (3, 8, 9)),
        ((12, 6), "", (None, 6), (12, 6)),
    ],
)
def test_a_users_model_gets_samples_in_its_own_shape(
    shape: tuple[int, ...], axes: str, wanted: tuple[int | None, ...], read: tuple[int, ...]
) -> None:
    values = np.random.default_rng(1).standard_normal((4, *shape), np.float32)
    fitted = fit_model(shape, axes, wanted)
    inputs = prepared(values, fitted).inputs
    assert inputs.shape == (*read, 4)
    own = values.transpose(0, 3, 1, 2) if axes == "HWC" and read[0] == 3 else values
    np.testing.assert_array_equal(np.moveaxis(inputs, -1, 0), own.reshape(4, *read))
