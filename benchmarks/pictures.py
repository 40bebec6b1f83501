"""Pictures with the statistics of photographs: 1/f noise, objects with edges, sensor grain. All from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


class Scenes:
    """An endless supply of pictures ``(height, width, 3)``: windows of a few large canvases, none of them twice."""

    def __init__(self, seed: int, side: int = 1600, canvases: int = 6) -> None:
        self._random = np.random.default_rng(seed)
        self._canvases = [self._canvas(side) for _ in range(canvases)]
        self._used: set[tuple[int, int, int, int]] = set()

    def _canvas(self, side: int) -> Picture:
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
        frequency[0, 0] = 1.0
        noise = self._random.standard_normal((3, *frequency.shape)) + 1j * self._random.standard_normal(
            (3, *frequency.shape)
        )
        light, *tints = (np.fft.irfft2(one / frequency**1.3, (side, side)) for one in noise)
        light = light / light.std() * 46 + 118
        for _ in range(side * side // 9000):  # objects: discs that shift the light, with hard edges
            x, y = self._random.integers(0, side, 2).tolist()
            radius = int(self._random.integers(4, 60))
            top, left = max(y - radius, 0), max(x - radius, 0)
            rows, columns = np.ogrid[top : min(y + radius, side), left : min(x + radius, side)]
            inside = (rows - y) ** 2 + (columns - x) ** 2 < radius * radius
            light[top : top + inside.shape[0], left : left + inside.shape[1]][inside] += self._random.normal(0, 26)
        colours = [light + tint / tint.std() * 9 for tint in (*tints, tints[0] - tints[1])]
        grain = self._random.normal(0, 2.2, (side, side, 3))
        picture: Picture = (np.stack(colours, axis=2) + grain).clip(0, 255).astype(np.uint8)
        return picture

    def take(self, height: int, width: int) -> Picture:
        """The next picture."""
        while True:
            canvas = int(self._random.integers(len(self._canvases)))
            side = len(self._canvases[canvas])
            top, left = (int(self._random.integers(0, side - length + 1)) for length in (height, width))
            place = (canvas, top, left, height)
            if place not in self._used:
                self._used.add(place)
                return self._canvases[canvas][top : top + height, left : left + width]

    def sized(self, count: int, height: int, width: int, spread: int = 0) -> Iterator[Picture]:
        """So many pictures, their sides up to ``spread`` pixels longer or shorter."""
        for _ in range(count):
            change = self._random.integers(-spread, spread + 1, 2).tolist() if spread else (0, 0)
            yield self.take(height + change[0], width + change[1])


def jpeg(picture: Picture, quality: int) -> bytes:
    """4:2:0, baseline."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality, "RGB", "420"))


def encoded(picture: Picture, kind: str, **options: Any) -> bytes:
    """PNG or WebP by Pillow."""
    stream = BytesIO()
    Image.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()
