"""How Caffe computes the sizes of windows, and which windows hold no input.

Source: Caffe's ``layers/pooling_layer.cpp``, ``conv_layer.cpp`` and ``deconv_layer.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Edge = Literal["inside", "edge", "beyond"]
"""Where the last window begins: on the input, right behind its last element, or further out."""


@dataclass(frozen=True, slots=True)
class Window:
    """Pooling along one axis.

    Attributes
    ----------
    padded
        Whether there is padding along any axis: then Caffe drops a last window that begins in it, along every axis.
    floor
        ``round_mode: FLOOR``.
    """

    kernel: int
    stride: int
    pad: int = 0
    padded: bool = False
    floor: bool = False

    def outputs(self, size: int) -> int:
        """Windows along an axis of that size; may be 0 or negative. The stride is not 0."""
        room = size + 2 * self.pad - self.kernel
        count = (room // self.stride if self.floor else -(-room // self.stride)) + 1
        if (self.padded or self.pad) and (count - 1) * self.stride >= size + self.pad:
            count -= 1
        return count

    def last_start(self, size: int) -> int:
        """Where the last window begins, counted from the input's first element."""
        return (self.outputs(size) - 1) * self.stride - self.pad

    def edge(self, size: int) -> Edge:
        """Where the last window begins; ``inside`` too where there is none."""
        if self.outputs(size) < 1:
            return "inside"
        start = self.last_start(size)
        return "inside" if start < size else "edge" if start == size else "beyond"

    @property
    def may_be_empty(self) -> bool:
        """Whether some size of the input leaves the last window without any."""
        return self.kernel < self.stride and not (self.padded or self.pad or self.floor)


def convolved(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Outputs of a convolution along one axis; the division rounds towards 0, as in C."""
    room = size + 2 * pad - (dilation * (kernel - 1) + 1)
    return (room // stride if room >= 0 else -(-room // stride)) + 1


def deconvolved(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Outputs of a deconvolution along one axis."""
    return stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad
