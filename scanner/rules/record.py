"""Rules about single records: what the layout could not make a sample of, and halves that stand alone."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, Further, Location, Severity
from ..printable import key_text
from ..summary import Summary
from .base import Rule


class RecordUndecodable(Rule):
    """
    ## What it does
    Checks that every value is what the layout says: a whole protobuf message of the right type, a number where a
    number must stand, a container that can be taken apart to its last byte.

    ## Why is this bad?
    Caffe ignores the result of the parse and uses whatever fields were read, so that a cut record is trained on with
    wrong dimensions or stops the run at `datum_channels > 0`, often blamed on another record of the batch. Other
    loaders raise in a worker process, or silently take another sample instead.

    ## How to fix
    Write the record again from its source, or drop it (`datascan rebuild`). If many neighbours are affected, look
    for `store-damaged`.
    """

    name = "record-undecodable"
    severity = Severity.ERROR


class RecordEmpty(Rule):
    """
    ## What it does
    Checks that every record has a payload: a value of more than 0 bytes that holds pixels, numbers or an image file.

    ## Why is this bad?
    For a Datum without data Caffe reads through a null pointer in the prefetch thread (SIGSEGV, no message); for an
    empty encoded one OpenCV's exception ends the process. PyTorch loaders raise `UnidentifiedImageError` in a worker.

    ## How to fix
    Drop the record (`datascan rebuild`), or write it again from its source. A converter that does not check whether
    a file could be read is the usual cause.
    """

    name = "record-empty"
    severity = Severity.ERROR


class RecordSizeMismatch(Rule):
    """
    ## What it does
    Compares the size of the payload with the product of the dimensions that the record declares, and the declared
    dimensions of an encoded image with its own (a warning: readers take the image's).

    ## Why is this bad?
    Caffe does not compare them. It reads channels x height x width values from wherever the data starts: behind a
    short payload lies other memory, which is trained on without a word. NumPy loaders raise `cannot reshape array`.

    ## How to fix
    Write the record again with the dimensions that it has. If all records are affected, the converter mixed up the
    order of the dimensions or the data type.
    """

    name = "record-size-mismatch"
    severity = Severity.ERROR


class RecordUnsafePickle(Rule):
    """
    ## What it does
    Looks through pickled values, without executing them, for names outside of the few that arrays and plain
    containers need.

    ## Why is this bad?
    A pickle is a program. Whoever loads it runs what it names, with the rights of the training job: that is how a
    data set from elsewhere takes over a machine. Even an honest one fails as soon as the class that it names moves.

    ## How to fix
    Don't load the set before you know who wrote it. Export it again as arrays (`.npy`, safetensors, protobuf).
    """

    name = "record-unsafe-pickle"
    severity = Severity.ERROR


class RecordMissingTwin(Rule):
    """
    ## What it does
    Checks that records that belong together by number are all there: an image and its label (`image-000000012`,
    `label-000000012`), both resolutions of a pair, as many rows of data as of labels, every key that a list names.

    ## Why is this bad?
    Loaders that ask for the missing half get `None`, and stop, or silently take a random other sample. Where rows
    of data and labels differ in number, every sample after the missing one may carry its neighbour's label.

    ## How to fix
    Write the missing half, or drop the other one. Where row counts differ, find out where the rows part before you
    cut the longer one.
    """

    name = "record-missing-twin"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding | Further]:
        """See `Rule.finish`."""
        twins = summary.twins.facts()
        told = 0
        for widow in twins.widows():
            key = summary.twins.kinds[widow.missing].key(widow.number).decode(errors="backslashreplace")
            told += 1
            yield self.finding(
                f"has no {widow.missing}: {key} is missing",
                Location(index=widow.position),
                data={"missing": key, "number": widow.number},
            )
        yield self.further(twins.widows_count - told)
        absentees, more = summary.lists.missing()
        for named, absent in absentees:
            key = key_text(absent)
            yield self.finding(f"{key} is missing, which {named.source} names", data={"missing": key})
        yield self.further(more)
        for named, position in summary.lists.unlisted():
            message = f"{named.source} does not name this record, so that loaders do not read it"
            yield self.finding(message, Location(index=position), Severity.WARNING)
