"""Run with datascan[testing] and this package installed: ``pytest examples/datascan-wav``."""

import io
import wave

import lmdb
import numpy as np
from datascan_wav import WavClips

from datascan.scanner import check
from datascan.scanner.testing import LayoutContract


def clip(index, loudness=0.5, frames=400):
    time = np.arange(frames) / 8000
    sound = np.clip(loudness * np.sin(2 * np.pi * (220 + 10 * index) * time), -1, 1) * 32767
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, 8000, frames, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())
    return stream.getvalue()


class TestWavClips(LayoutContract):
    layout = WavClips

    def pairs(self):
        return [(b"clip-%04d" % i, clip(i)) for i in range(20)]


def test_a_set_is_recognised_and_its_faults_found(tmp_path):
    values = [clip(i) for i in range(20)]
    values[7] = clip(7, loudness=4)
    values[11] = values[11][:-100]
    with lmdb.open(str(tmp_path / "clips_lmdb"), map_size=1 << 20) as env, env.begin(write=True) as txn:
        for i, value in enumerate(values):
            txn.put(b"clip-%04d" % i, value)
    report = check(tmp_path / "clips_lmdb", jobs=1)
    assert report.reports[0].source.layout == "wav-clips"
    assert {(f.rule, f.location.index) for f in report if f.rule != "record-shape-mismatch"} == {
        ("audio-clipped", 7),
        ("record-size-mismatch", 11),
    }
