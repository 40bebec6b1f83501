"""Rules about the store itself: files, pages, blocks, chunks and counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...backends.base import Damage
from ..finding import Finding, Location, Severity
from ..summary import Summary
from .base import Rule


def damage_findings(damage: Damage, severity: Severity = Severity.ERROR) -> Finding:
    """The finding that reports some damage; its index is still the position in the partition."""
    data: dict[str, Any] = dict(damage.data)
    if damage.records_lost is not None:
        data["records_lost"] = damage.records_lost
    location = Location(key=damage.key, index=damage.position, dataset=damage.dataset, offset=damage.offset)
    return Finding(f"store-{damage.kind}", severity, damage.reason + _place_among_keys(damage), location, data)


def _place_among_keys(damage: Damage) -> str:
    """Between which keys records are lost, as the end of a sentence; nothing where that is not known."""
    before, after = damage.data.get("key_before"), damage.data.get("key_after")
    if damage.records_lost == 0 or before is after is None:
        return ""
    if before is None or after is None:
        return f"; behind key {before}" if after is None else f"; before key {after}"
    return f"; between keys {before} and {after}"


class StoreRule(Rule):
    """A rule about the store: it reports damage instead of looking at samples."""

    blames_record = False

    def report(self, damage: Damage) -> Iterator[Finding]:
        """The finding for this damage, if it is of this rule's kind."""
        if f"store-{damage.kind}" == self.name:
            yield damage_findings(damage, self.options.severities.get(self.name, self.severity))


class StoreUnreadable(StoreRule):
    """
    ## What it does
    Says that a store, a table or a dataset can't be opened or read at all, with the format's own reason: no valid
    meta page (LMDB), no usable manifest or table (LevelDB), a superblock or object header that is not one, a filter
    that is not installed (HDF5).

    ## Why is this bad?
    Nothing of it was looked at. A training run stops here too, or worse: LMDB's own library dies of SIGBUS or SIGABRT
    on some of these files, and LevelDB's may delete live tables when it opens a folder with a damaged manifest.

    ## How to fix
    Copy the file again from where it was made and compare sizes and checksums. For an HDF5 filter, install the
    library that is named (`pip install hdf5plugin` for the usual ones).
    """

    name = "store-unreadable"
    severity = Severity.ERROR


class StoreTruncated(StoreRule):
    """
    ## What it does
    Compares the size of each file with what its own header says: LMDB's last used page, a LevelDB table's footer,
    HDF5's end of file address.

    ## Why is this bad?
    The records behind the end are gone; a full disk or an interrupted copy is the usual cause. LMDB maps the file,
    so a reader that touches a missing page dies of SIGBUS in the middle of a run. HDF5 refuses the whole file.

    ## How to fix
    Copy or write the file again. Records that can still be read have been checked; only those that are named are
    lost.
    """

    name = "store-truncated"
    severity = Severity.ERROR


class StoreDamaged(StoreRule):
    """
    ## What it does
    Checks the structure of every page, block, chunk and log fragment that is read, and the checksum where the format
    has one (LevelDB's CRC-32C, HDF5's Fletcher-32 and metadata checksums). Names the region, and the keys or rows
    that are lost with it.

    ## Why is this bad?
    By default LevelDB does not verify block checksums when it reads, LMDB has none, and HDF5 without a checksum
    filter hands out a flipped bit as a number: the training goes on with wrong bytes or with records missing, and
    nothing is said.

    ## How to fix
    Restore the file from a good copy, or write the data set again; `datascan rebuild` writes what can still be
    reached. If copies keep getting damaged, check the disk,
    the memory and the network file system.
    """

    name = "store-damaged"
    severity = Severity.ERROR


class StoreCountMismatch(StoreRule):
    """
    ## What it does
    Compares the counts that a store claims with what was read: the entries in LMDB's meta page, a `num-samples`
    record, a row count.

    ## Why is this bad?
    Loaders believe the count. If it is too high, they ask for records that do not exist, and stop or silently take
    another one; if it is too low, the rest is never trained on.

    ## How to fix
    Find out which is right. If records were removed by hand, write the count again; if the conversion was
    interrupted, convert again.
    """

    name = "store-count-mismatch"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`."""
        twins = summary.twins
        read = twins.facts().count if twins.kinds else summary.samples
        for position, claimed in twins.claims:
            if claimed != read:
                yield self.finding(
                    f"claims {claimed:,} samples, {read:,} were read",
                    Location(index=position),
                    data={"claimed": claimed, "read": read},
                )


class StoreEmpty(StoreRule):
    """
    ## What it does
    Says that a store holds no records, or that its records are in named sub-databases, where loaders do not look.

    ## Why is this bad?
    Converters write an empty store without complaint when every image fails to load, for example when the separator
    in the list file is wrong. Caffe then dies of `std::bad_alloc` or an assertion that names neither the file nor
    the reason. An empty store passes every check of its records.

    ## How to fix
    Read the converter's log, repair its list or its root folder, and convert again. Records of a named sub-database
    are looked at if you name it.
    """

    name = "store-empty"
    severity = Severity.ERROR

    def finish(self, summary: Summary) -> Iterator[Finding]:
        """See `Rule.finish`. Damage that was reported explains why there are none."""
        if summary.records == 0 and summary.damages == 0:
            yield self.finding("holds no records")


class StoreInUse(StoreRule):
    """
    ## What it does
    Notices signs of a writer: a store that changed while it was read, a file marked as open for writing, leftovers
    of a writer that died.

    ## Why is this bad?
    What was read may be neither the old nor the new state, and a set that is still being written is not finished.
    HDF5 refuses to open a file whose writer died (`h5clear` resets the mark).

    ## How to fix
    Wait for the writer to end and scan again. If none is running, the last one died: make sure that the set is
    complete.
    """

    name = "store-in-use"
    severity = Severity.WARNING


class StoreExternalReference(StoreRule):
    """
    ## What it does
    Names HDF5 external links, external raw storage and virtual datasets that point outside of the file. They are
    followed only with `--follow-external`, and then only to regular files in the folder tree around the file; what
    can't be read there is named here.

    ## Why is this bad?
    The data is not in the file: copied or moved without the others, it reads as zeros or not at all, without an
    error for virtual datasets. A link can point anywhere in the file system, so that a file from elsewhere makes
    a reader open files that it should not. What they point to was not checked.

    ## How to fix
    Write one file that holds the data itself (`h5repack`, or `h5py` with a copy that expands references), scan the
    files that it points to, or let the scan follow with `--follow-external`.
    """

    name = "store-external-reference"
    severity = Severity.ERROR


class StoreReaderDied(StoreRule):
    """
    ## What it does
    Names each record whose reading or decoding killed the reader (a signal), hung it or made it take more memory
    than allowed. All reading happens in worker processes; a dead one is replaced, the culprit is read once more alone
    to be sure, and every other record is scanned.

    ## Why is this bad?
    A training process that meets the record dies in the same library, without a word about which record it was.

    ## How to fix
    Leave the record out (`datascan rebuild`), or write it again from its source. If the reason is time or memory,
    raise `--timeout` or `--max-memory` and scan again.
    """

    name = "store-reader-died"
    severity = Severity.ERROR
