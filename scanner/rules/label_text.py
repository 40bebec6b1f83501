"""The rule for text labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RowBatch
from ...backends.columns import BytesColumn
from ..finding import Finding, Location, Severity
from ..sample import SampleBatch, TextBlock
from ..summary import Summary
from ..summary.texts import MAX_LENGTHS
from .base import Rule


class LabelText(Rule):
    """
    ## What it does
    Checks text labels: empty, not UTF-8, or with control characters (a line break at the end, a tab, NUL); with
    characters outside of `--charset`, where that is given; and far longer than 99 of 100 texts of the set.

    ## Why is this bad?
    A recogniser's CTC loss is infinite or undefined for an empty target. A text that is not UTF-8 raises in the
    loader in the middle of an epoch, or is decoded with the wrong letters. A line break left over from reading the
    list file is a character that is not in the alphabet: loaders drop it, map it to "unknown", or fail, as they do with
    every character that the recogniser was not made for. A text that is far longer than others is a label that went
    wrong; most recognisers cut it, or leave out the sample without a word.

    ## How to fix
    Strip the lines of the list file, write it as UTF-8, drop samples without a text, and build the set again.
    """

    name = "label-text"
    severity = Severity.WARNING

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        yield from super().check(samples)
        for block in samples.texts:
            dataset = block.name if isinstance(samples.batch, RowBatch) else None
            for place in suspicious_texts(block.texts).tolist():
                said = _fault_of_text(bytes(block.texts[place]))
                if said is not None:
                    message, data = said
                    where = samples.location(int(block.rows[place]), dataset=dataset)
                    yield self.finding(message, where, data=data)
            if self.options.charset is not None:
                yield from self._outside(samples, block, dataset, frozenset(self.options.charset))

    def _outside(
        self, samples: SampleBatch, block: TextBlock, dataset: str | None, charset: frozenset[str]
    ) -> Iterator[Finding]:
        """Texts with a character that is not in the set; what is no text at all is told elsewhere."""
        for row, raw in zip(block.rows.tolist(), block.texts, strict=True):
            text = bytes(raw).decode(errors="ignore")
            odd = [character for character in text if character not in charset and not _is_control(character)]
            if odd:
                shown = ", ".join(f"{_shown(one)} (U+{ord(one):04X})" for one in list(dict.fromkeys(odd))[:5])
                where = samples.location(row, dataset=dataset)
                yield self.finding(f"characters outside of the charset: {shown}", where, data={"characters": odd[:20]})

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        for name, usual, length, log in summary.texts.outliers():
            dataset = self.context.dataset(name) if self.context.store == "hdf5" else None
            for position in log.positions:
                more = " or more" * (length == MAX_LENGTHS)
                message = f"the text has {length:,}{more} bytes; 99 of 100 texts have {usual:,} at most"
                yield self.finding(message, Location(index=position, dataset=dataset), data={"bytes": length})


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0


def _shown(character: str) -> str:
    return repr(character) if character.isprintable() else "not printable"


_CONTROL = np.zeros(256, np.bool_)
_CONTROL[[*range(0x20), 0x7F]] = True


def suspicious_texts(texts: BytesColumn) -> NDArray[np.int64]:
    """Which texts need a closer look; the others are sound. Looks at all of them at once."""
    if len(texts) == 0:
        return np.zeros(0, np.int64)
    lengths = texts.lengths
    starts = np.cumsum(lengths + 1) - (lengths + 1)
    # All texts one after the other with a space behind each: valid UTF-8 if and only if each of them is.
    joined = np.full(int(lengths.sum()) + len(lengths), 0x20, np.uint8)
    inside = _inside(starts, lengths)
    joined[inside] = texts.buffer[inside + np.repeat(texts.starts - starts, lengths)]
    suspect = lengths == 0
    flagged = _CONTROL[joined]
    flagged[1:] |= (joined[:-1] == 0xC2) & (joined[1:] >= 0x80) & (joined[1:] < 0xA0)  # U+0080 to U+009F
    suspect[np.searchsorted(starts, np.flatnonzero(flagged), "right") - 1] = True
    try:
        joined.tobytes().decode()
    except UnicodeDecodeError:
        high = np.flatnonzero(joined >= 0x80)
        suspect[np.searchsorted(starts, high, "right") - 1] = True
    places_of_suspects: NDArray[np.int64] = np.flatnonzero(suspect)
    return places_of_suspects


def _inside(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of all characters in the joined texts."""
    first = np.cumsum(lengths) - lengths
    inside: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - first, lengths)
    return inside


def _fault_of_text(raw: bytes) -> tuple[str, dict[str, Any]] | None:
    if not raw:
        return "the text is empty", {}
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        return f"the text is not UTF-8: byte 0x{raw[exc.start]:02x} at {exc.start}", {"byte": exc.start}
    for place, character in enumerate(text):
        if _is_control(character):
            message = f"the text holds the control character U+{ord(character):04X} at {place} of {len(text)}"
            return message, {"character": place}
    return None
