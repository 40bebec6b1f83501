"""A layout for WAV clips as values (16-bit PCM), and a rule about clipping."""

import io
import wave

import numpy as np

from datascan.scanner.finding import Severity
from datascan.scanner.layouts.base import RecordLayout, Traits
from datascan.scanner.layouts.keys import reserved_rows
from datascan.scanner.rules import Rule
from datascan.scanner.sample import ArrayBlock, Fault, SampleBatch


class WavClips(RecordLayout):
    name = "wav-clips"
    title = "WAV clips as values, 16-bit PCM"
    traits = Traits(key_numbers=False)

    @classmethod
    def agrees(cls, sample):
        return [bytes(value[:4]) == b"RIFF" and bytes(value[8:12]) == b"WAVE" for value in sample.values]

    def decode(self, batch):
        samples = SampleBatch(batch, np.flatnonzero(~reserved_rows(batch.keys)))
        for row in samples.sample_rows.tolist():
            try:
                with wave.open(io.BytesIO(batch.values[row])) as clip:
                    declared = clip.getnframes() * clip.getnchannels()
                    sound = np.frombuffer(clip.readframes(clip.getnframes()), np.uint8)
            except (wave.Error, EOFError, ValueError, RuntimeError) as exc:
                samples.faults.append(Fault(row, "record-undecodable", f"not a WAV clip: {exc}"))
                continue
            sound = sound[: len(sound) // 2 * 2].view("<i2")
            if len(sound) < declared:
                message = f"holds {len(sound):,} of {declared:,} values"
                samples.faults.append(Fault(row, "record-size-mismatch", message))
            if len(sound):
                samples.arrays.append(ArrayBlock("data", np.array([row]), sound[np.newaxis], "L"))
        return samples


class AudioClipped(Rule):
    """
    ## What it does
    Names clips of which one value in a hundred or more is the largest that 16 bits can hold.

    ## Why is this bad?
    The recording was too loud: what was above is cut off flat, and a network learns the distortion.

    ## How to fix
    Record again with a lower gain, or leave the clip out.
    """

    name = "audio-clipped"
    severity = Severity.WARNING

    def check(self, samples):
        for block in samples.arrays:
            shares = (np.abs(block.values.astype(np.int32)) >= 32767).mean(axis=1)
            for place in np.flatnonzero(shares >= 0.01).tolist():
                message = f"{shares[place]:.0%} of the values are clipped"
                yield self.finding(message, samples.location(int(block.rows[place])))
