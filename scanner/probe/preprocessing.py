"""The preprocessing of training: ``(value - mean) * scale / std``, in Caffe's order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.errors import UsageError
from ..options import ProbeOptions
from ..training.binaryproto import UnreadBlob, read_blob
from .fitting import Fit, Unfit

_LARGEST_NPY = 1 << 30


@dataclass(frozen=True, slots=True)
class Constants:
    """What is subtracted and multiplied: arrays that go with a sample's view, or single numbers."""

    mean: NDArray[np.float32]
    factor: NDArray[np.float32]

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The preprocessed values of samples ``(..., view)``."""
        with np.errstate(all="ignore"):
            prepared: NDArray[np.float32] = values.astype(np.float32)
            if self.mean.any():  # NaN is true
                prepared -= self.mean
            if (self.factor != 1).any():
                prepared *= self.factor
        return prepared


class Preprocessing:
    """The options, with the mean file read.

    Raises
    ------
    UsageError
        A mean file that can't be read, or options that contradict each other.
    """

    def __init__(self, options: ProbeOptions) -> None:
        if options.mean_file is not None and options.mean_values:
            raise UsageError("--mean-file and --mean-value were both given; Caffe stops at that: choose one")
        self._options = options
        self._image = None if options.mean_file is None else read_mean(options.mean_file)

    def wrong(self) -> str | None:
        """Why every input is spoilt by these numbers alone, ``None`` if none is."""
        options = self._options
        for name, numbers in (("scale", (options.scale,)), ("mean value", options.mean_values), ("std", options.std)):
            for number in numbers:
                if not math.isfinite(number) or (name == "std" and number == 0):
                    return f"{name} {number:g} makes inputs that are not finite"
        if self._image is not None and not np.isfinite(self._image).all():
            bad = ~np.isfinite(self._image)
            where = [int(place) for place in np.unravel_index(int(np.argmax(bad)), self._image.shape)]
            count = int(np.count_nonzero(bad))
            value = self._image[tuple(where)]
            more = f" and {count - 1:,} more values that are not finite" if count > 1 else ""
            return f"the mean file {self._options.mean_file} holds {value} at {where}{more}: every input is spoilt"
        return None

    def hold(self, height: int | None, width: int | None) -> None:
        """Raise `Unfit` where an encoded image is not of the mean file's size: Caffe stops at that."""
        if self._image is None or self._image.ndim < 3 or self._image.shape[-2:] == (height, width):
            return
        sides = "x".join(map(str, self._image.shape[:-3:-1]))
        raise Unfit(f"the mean file is {sides}, the image {width}x{height}: training stops at that")

    def constants(self, fitted: Fit, resampled: bool = False) -> tuple[Constants, Constants]:
        """The numbers for the full view of samples, and for what is taken of them.

        With ``resampled`` the samples are images that were brought to another size, and the mean file is, too.

        Raises
        ------
        Unfit
            A mean or deviation for another number of channels, or a mean file of another size: Caffe stops at these.
        """
        mean = self._mean(fitted, resampled)
        factor = np.float32(self._options.scale) / self._by_channel(self._options.std, fitted, "std", 1.0)
        full = tuple(axis.inside for axis in fitted.axes)
        taken = tuple(axis.places for axis in fitted.axes)
        return (
            Constants(_part(mean, fitted, full), _part(factor, fitted, full)),
            Constants(_part(mean, fitted, taken), _part(factor, fitted, taken)),
        )

    def _mean(self, fitted: Fit, resampled: bool) -> NDArray[np.float32]:
        if self._image is None:
            return self._by_channel(self._options.mean_values, fitted, "mean-value", 0.0)
        image = self._image
        while image.ndim > len(fitted.seen_as) and image.shape[0] == 1:
            image = image[0]
        if image.ndim == 1 and image.size in (1, fitted.seen_as[0]):
            return self._by_channel(tuple(image.tolist()), fitted, "mean-file", 0.0)
        if resampled and image.ndim == 3 and image.shape[0] == fitted.seen_as[0]:
            rows, columns = (
                np.arange(side) * length // side
                for side, length in zip(fitted.seen_as[1:], image.shape[1:], strict=True)
            )
            return image[:, rows[:, None], columns]
        if image.shape != fitted.seen_as:
            found, wanted = ("x".join(map(str, shape)) for shape in (image.shape, fitted.seen_as))
            raise Unfit(f"the mean file is {found}, the samples are {wanted}: training stops at that")
        return image

    def _by_channel(self, numbers: tuple[float, ...], fitted: Fit, name: str, default: float) -> NDArray[np.float32]:
        """One number, or one for each channel (for each value of a step or vector)."""
        if not numbers:
            return np.array(default, np.float32)
        with np.errstate(over="ignore"):
            values = np.array(numbers, np.float64).astype(np.float32)
        if values.size == 1:
            return values.reshape(())
        channels = fitted.seen_as[0] if fitted.view == "image" else fitted.seen_as[-1]
        if values.size != channels:
            raise Unfit(f"{values.size} numbers of --{name} for samples of {channels} channels")
        return values.reshape(-1, 1, 1) if fitted.view == "image" else values


def _part(values: NDArray[np.float32], fitted: Fit, places: tuple[slice, ...]) -> NDArray[np.float32]:
    """The numbers at some places of the view; along an axis of one number it stands for all places."""
    if values.ndim == 0:
        return values
    own = places[len(places) - values.ndim :]
    return values[tuple(place if side > 1 else slice(None) for place, side in zip(own, values.shape, strict=True))]


def read_mean(path: str) -> NDArray[np.float32]:
    """The mean of a ``.binaryproto`` or ``.npy``; a pickled one is never loaded.

    Raises
    ------
    UsageError
        It can't be read as one of them.
    """
    try:
        with open(path, "rb") as file:
            numpy_magic = file.read(6) == b"\x93NUMPY"
            size = file.seek(0, 2)
    except OSError as exc:
        raise UsageError(f"can't read the mean file {path}: {exc.strerror}") from exc
    if numpy_magic:
        try:
            if size > _LARGEST_NPY:
                raise ValueError("it is larger than 1 GB")
            with np.errstate(over="ignore"):
                image: NDArray[np.float32] = np.load(path, allow_pickle=False).astype(np.float32)
        except (ValueError, OSError, EOFError, TypeError) as exc:
            raise UsageError(f"the mean file {path} can't be read as .npy: {exc}") from exc
    else:
        blob = read_blob(Path(path))
        if isinstance(blob, UnreadBlob):
            raise UsageError(f"the mean file {path} is neither a .binaryproto nor a .npy: {blob.reason}")
        if not blob.fits or not blob.values.size:
            raise UsageError(f"the mean file {path} holds {blob.values.size} values for the shape {list(blob.shape)}")
        image = blob.values.reshape(blob.shape)
    return image
