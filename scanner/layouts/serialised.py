"""What the layouts of serialised values share: their loop over a batch, and reserved keys that state a count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ..options import Options
from ..sample import Fault, SampleBatch
from ..stamp import touch
from ..summary.lists import KeyList
from ..values.compressed import MAX_INFLATED, MAX_RATIO, wrapping
from ..values.inert import Pickle
from ..values.pickle_reader import looks_pickled
from .base import Look, RecordLayout, Traits
from .gathering import Gathering
from .kept import KeptKeys, Revision
from .keys import reserved_rows
from .reserved import COUNT_KEYS, LIST_KEYS

PIECE_BYTES = 1 << 28
"""What the values that are decoded together may at most unfold to; stacking them takes as much again."""

_DIGITS = re.compile(rb"\s*([0-9]{1,18})\s*")


@dataclass(frozen=True, slots=True)
class Codec:
    """One way in which values are serialised.

    Attributes
    ----------
    name
        In messages.
    holds
        Whether a value is of this kind beyond doubt; total.
    read
        Reads one value, which is not empty, into a gathering, and returns its inert root where it could be read.
    unfolds
        Whether values may hold more bytes than they have, whatever they begin with.
    """

    name: str
    holds: Callable[[memoryview], bool]
    read: Callable[[int, memoryview, Gathering], object]
    unfolds: bool = False


class Serialised(RecordLayout):
    """A layout whose values are serialised structures. Loaders ask for records by key, so their order means nothing.

    ``codecs`` are those that values may be written with; a set is written with one of them. ``key_list`` is what the
    set says of its keys, known to the process that plans the scan and not sent to others.
    """

    traits = Traits(key_numbers=False)
    codecs: ClassVar[tuple[Codec, ...]]

    def __init__(self, options: Options, codec: Codec | None = None, key_list: KeyList | None = None) -> None:
        super().__init__(options)
        self.codec = codec or self.codecs[0]
        self.key_list = key_list
        self.listed = key_list is not None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "key_list": None}

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [any(codec.holds(value) for codec in cls.codecs) for value in sample.values]

    @classmethod
    def made_for(cls, options: Options, look: Look) -> RecordLayout:
        """See `RecordLayout.made_for`."""
        return cls(options, cls.codec_of(look), cls.keys_of(look))

    @classmethod
    def codec_of(cls, look: Look) -> Codec:
        """The codec that most of the sampled values are written with, the first of equals."""
        return max(cls.codecs, key=lambda codec: sum(map(codec.holds, look.sample.values)))

    @classmethod
    def keys_of(cls, look: Look) -> KeyList | None:
        """The keys that the set says it has."""
        return None

    def listed_keys(self) -> KeyList | None:
        """See `RecordLayout.listed_keys`."""
        return self.key_list

    revises = True

    def revised(self, reserved: Mapping[bytes, bytes], kept: KeptKeys) -> Revision:
        """See `RecordLayout.revised`."""
        from .revising import revised

        return revised(reserved, kept)

    def read(self, row: int, value: memoryview, gathering: Gathering) -> object:
        """Read one value, which is not empty, into the gathering; its inert root, where it could be read."""
        return self.codec.read(row, value, gathering)

    def pieces(self, batch: RecordBatch) -> Iterable[RecordBatch]:
        """See `RecordLayout.pieces`. Cut by what compressed values could unfold to, whatever they claim."""
        largest = np.minimum(batch.values.lengths * MAX_RATIO, MAX_INFLATED)
        sizes = np.where(self.compressed(batch), largest, batch.values.lengths)
        if int(sizes.sum()) <= PIECE_BYTES:
            return (batch,)
        numbers = (np.cumsum(sizes) - sizes) // PIECE_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(batch)]
        return (batch.take(slice(start, stop)) for start, stop in pairwise(cuts))

    def compressed(self, batch: RecordBatch) -> NDArray[np.bool_]:
        """``(records,)``: which values unfold."""
        if self.codec.unfolds:
            return np.ones(len(batch), np.bool_)
        return np.array([wrapping(value) is not None for value in batch.values], np.bool_)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        reserved = reserved_rows(batch.keys)
        samples = SampleBatch(batch, np.flatnonzero(~reserved))
        gathering = Gathering(batch, self.options)
        for row in samples.sample_rows.tolist():
            touch(row)
            if batch.values.lengths[row]:
                self.read(row, batch.values[row], gathering)
            else:
                gathering.fail(row, "record-empty", "the value has 0 bytes")
        for row in np.flatnonzero(reserved).tolist():
            self._take_claim(samples, row, gathering)
        gathering.finish(samples)
        samples.key_rows = samples.sample_rows if self.listed else None
        return samples

    def _take_claim(self, samples: SampleBatch, row: int, gathering: Gathering) -> None:
        """Take in what a reserved key says of the number of samples, and what is wrong with its value."""
        assert isinstance(samples.batch, RecordBatch)
        key, value = bytes(samples.batch.keys[row]), samples.batch.values[row]
        if key not in COUNT_KEYS | LIST_KEYS or not len(value):
            return
        written = _DIGITS.fullmatch(value)
        aside = Gathering(samples.batch, self.options)
        root = self.codec.read(row, value, aside)
        gathering.faults += [fault for fault in aside.faults if _matters(fault, key, value)]
        if key in LIST_KEYS:
            if type(root) is list or type(root) is tuple:
                samples.count_claims.append((row, len(root)))
        elif written is None:
            if type(root) is int:
                samples.count_claims.append((row, root))
        elif type(root) is not int or root == int(written[1]):  # a digit is a number to msgpack, too, and another one
            samples.count_claims.append((row, int(written[1])))


def _matters(fault: Fault, key: bytes, value: memoryview) -> bool:
    """Whether something is wrong with a reserved value.

    It may be written in another way than the records: a number in digits, a list in JSON.
    """
    if fault.rule == "record-unsafe-pickle" or looks_pickled(value):
        return True
    return key in COUNT_KEYS and _DIGITS.fullmatch(value) is None


def note_pickle(row: int, pickle: Pickle, length: int, gathering: Gathering, path: str = "") -> None:
    """Report what is wrong with a pickle in ``length`` bytes."""
    if pickle.unsafe:
        gathering.faults.append(unsafe_fault(row, pickle, path))
    if pickle.error is not None:
        gathering.fail(row, "record-undecodable", pickle.error.reason, path=path, offset=pickle.error.offset)
    elif pickle.size < length:
        left = f"{length - pickle.size:,} bytes stand behind the end of the pickle"
        gathering.fail(row, "record-undecodable", left, path=path, offset=pickle.size, severe=False)


def unsafe_fault(row: int, pickle: Pickle, path: str = "") -> Fault:
    """The fault of a pickle that would do more than make data."""
    shown = list(pickle.unsafe[:3])
    more = len(pickle.unsafe) - len(shown)
    names = ", ".join(shown[:-1]) + (" and " if shown[:-1] else "") + shown[-1] if not more else ", ".join(shown)
    return Fault(
        row,
        "record-unsafe-pickle",
        f"asks for {names}" + (f" and {more:,} more" if more else ""),
        path or None,
        data={"names": list(pickle.unsafe[:20])},
    )
