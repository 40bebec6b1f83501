"""Which state of an LMDB file is read: its two meta pages, weighed against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .base import Damage
from .errors import StoreError
from .files import ReadOnlyFile
from .lmdb_format import FORMATS, LMDB_09, Meta, PageFormat, foreign_machine, known_versions, parse_meta

PAGE_SIZES = tuple(1 << power for power in (12, 13, 14, 15, 16, 9, 10, 11))
"""Page sizes that LMDB can have, the usual one first."""

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One committed state, and what was found wrong with the metas.

    ``meta`` is ``None`` where neither meta page can be used. ``alone`` says that only one can: the other may have
    been the newer one.
    """

    form: PageFormat
    page_size: int
    meta: Meta | None
    alone: bool
    damages: tuple[Damage, ...]

    @property
    def transaction(self) -> int:
        """Number of the state's transaction; -1 where it is not known."""
        return -1 if self.meta is None else self.meta.transaction


def read_snapshot(file: ReadOnlyFile) -> Snapshot:
    """The newest state of the file.

    Raises
    ------
    StoreError
        The file was written by another kind of machine, or in a format version that is not known.
    """
    snapshot = _look(file)
    for _ in range(_TRIES):
        # A writer may commit between two reads; then the metas fit at the next look.
        if not snapshot.damages:
            break
        again = _look(file)
        if again == snapshot:
            break
        snapshot = again
    if snapshot.meta is None:
        _refuse_foreign(file)
    return snapshot


def read_transaction(file: ReadOnlyFile, newest: Snapshot, transaction: int) -> Snapshot | None:
    """The state before the newest one, if that is the one of this transaction."""
    for slot in (0, 1):
        meta = _read_meta(file, newest.form, slot, newest.page_size)
        if isinstance(meta, Meta) and meta.transaction == transaction and meta.page_size == newest.page_size:
            return replace(newest, meta=meta, alone=False, damages=())
    return None


def newest_transaction(file: ReadOnlyFile, form: PageFormat, page_size: int) -> int:
    """The newest transaction's number now; -1 where no meta can be read."""
    metas = [_read_meta(file, form, slot, page_size) for slot in (0, 1)]
    return max((meta.transaction for meta in metas if isinstance(meta, Meta)), default=-1)


def _look(file: ReadOnlyFile) -> Snapshot:
    form, page_size, metas = _find(file)
    usable = [meta for meta in metas if isinstance(meta, Meta)]
    damages = []
    for slot, meta in enumerate(metas):
        if isinstance(meta, str) and usable:
            reason = f"meta page {slot} is damaged: {meta}; the other one ({usable[0].transaction}) is used"
            damages.append(Damage("damaged", reason, offset=slot * page_size, data={"page": slot}))
    if not usable:
        return Snapshot(form, page_size, None, True, ())
    newest = max(usable, key=lambda meta: meta.transaction)
    if len(usable) == 2:
        apart = abs(usable[0].transaction - usable[1].transaction)
        # Both are 0 in a file that was never written to.
        if apart != 1 and (apart or newest.transaction):
            # Which number is wrong can't be seen; but data sets grow.
            newest = max(usable, key=lambda meta: (meta.last_page, meta.main.entries, meta.transaction))
            transactions = [meta.transaction for meta in usable]
            reason = (
                f"the meta pages' transactions {transactions[0]} and {transactions[1]} are not consecutive: one of "
                f"the two is damaged or stale; {newest.transaction} is used"
            )
            damages.append(Damage("damaged", reason, data={"transactions": transactions}))
    return Snapshot(form, page_size, newest, len(usable) == 1, tuple(damages))


def _find(file: ReadOnlyFile) -> tuple[PageFormat, int, list[Meta | str]]:
    """Format, page size and both metas. Where meta 0 is lost, meta 1 stands at one of the possible page sizes."""
    for form in FORMATS:
        first = _read_meta(file, form, 0, 0)
        if isinstance(first, Meta):
            second = _read_meta(file, form, 1, first.page_size)
            if isinstance(second, Meta) and second.page_size != first.page_size:
                second = f"its page size is {second.page_size}, not {first.page_size}"
            return form, first.page_size, [first, second]
    for form in FORMATS:
        for size in PAGE_SIZES:
            second = _read_meta(file, form, 1, size)
            if isinstance(second, Meta) and second.page_size == size:
                return form, size, [_read_meta(file, form, 0, size), second]
    return LMDB_09, PAGE_SIZES[0], ["", ""]


def _read_meta(file: ReadOnlyFile, form: PageFormat, slot: int, page_size: int) -> Meta | str:
    try:
        page = file.read(slot * page_size, 256)
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    return parse_meta(page, form, slot)


def _refuse_foreign(file: ReadOnlyFile) -> None:
    try:
        heads = [file.read(offset, 32) for offset in (0, *sorted(PAGE_SIZES))]
    except OSError:
        return
    path: Path = file.path
    for head in heads:
        if machine := foreign_machine(head):
            raise StoreError(
                f"{path} was written by {machine}, whose LMDB files this reader can't read: "
                "run mdb_dump there and mdb_load here"
            )
    versions = known_versions(heads[0])
    if versions and not any(version in (form.version for form in FORMATS) for version in versions):
        raise StoreError(f"{path} has LMDB format version {versions[0]}; versions 1 (LMDB 0.9) and 3 (1.0) can be read")
