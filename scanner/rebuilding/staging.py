"""Where a rebuild writes: a hidden folder beside the target, renamed piece by piece when all is proven.

Whatever ends a rebuild early leaves this folder behind and nothing else; the next rebuild of the same target finds it,
takes back what was renamed already, and removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...backends.errors import UsageError
from ...backends.writing import WriteError, reason_of, sync_tree
from .rename import exchange, rename_new

_LOCK, _PLAN = "lock", "moves.json"


@dataclass(frozen=True, slots=True)
class Move:
    """One name to give: what lies in the staging folder under ``staged`` becomes ``final``.

    ``replaces`` says that something may stand there, which goes; ``removes`` that it goes and nothing comes.
    """

    staged: str
    final: Path
    replaces: bool = False
    removes: bool = False


class Staging:
    """A folder beside a target, on the same file system, that only this rebuild uses.

    Attributes
    ----------
    cleaned
        Leftovers of rebuilds that were ended, which were found and removed.

    Raises
    ------
    UsageError
        It can't be made there, or another rebuild of this target is under way.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        prefix = f".{target.name}.rebuild-"
        try:
            self.cleaned = [entry.name for entry in leftovers(target.parent, prefix) if self._recover(entry)]
            self.folder = target.parent / f"{prefix}{secrets.token_hex(4)}"
            self.folder.mkdir()
            self._lock = _locked(self.folder)
        except OSError as exc:
            raise UsageError(
                f"can't write beside {target}: {reason_of(exc)}; name a target in a folder that exists and that you "
                "may write to"
            ) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def commit(self, moves: Sequence[Move]) -> None:
        """Give everything its name, the last one last; all or nothing.

        Raises
        ------
        WriteError
            A name could not be given; none is, then.
        """
        try:
            for move in moves:
                if not move.removes:
                    sync_tree(self / move.staged)
            self._write_plan(moves)
            for move in moves:
                if move.removes:
                    os.rename(move.final, _aside(self / move.staged))
                else:
                    _place(self / move.staged, move.final, move.replaces)
            for folder in {move.final.parent for move in moves}:
                sync_folder(folder)
        except OSError as exc:
            _take_back(self.folder)
            raise WriteError(f"can't name {self.target}: {reason_of(exc)}; nothing was put in its place") from exc
        except BaseException:
            _take_back(self.folder)
            raise

    def _write_plan(self, moves: Sequence[Move]) -> None:
        entries = []
        for move in moves:
            status = None if move.removes else (self / move.staged).stat()
            new = None if status is None else [status.st_dev, status.st_ino]
            entries.append({"staged": move.staged, "final": str(move.final), "new": new})
        with (self / _PLAN).open("w", encoding="utf-8") as stream:
            json.dump(entries, stream)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(self.folder)

    def discard(self) -> None:
        """Remove the folder with all that was not renamed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)

    def _recover(self, leftover: Path) -> bool:
        """Clean up after a rebuild that was ended; ``False`` where the folder is none of ours.

        Raises
        ------
        UsageError
            That rebuild is still under way.
        """
        try:
            lock = _locked(leftover)
        except BlockingIOError:
            raise UsageError(
                f"another rebuild of {self.target} is under way; wait for it, or name another target"
            ) from None
        _take_back(leftover)
        shutil.rmtree(leftover)
        os.close(lock)
        return True


def leftovers(folder: Path, prefix: str) -> list[Path]:
    """Staging folders of a target."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.name.startswith(prefix) and entry.is_dir() and not entry.is_symlink()
    )


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """The lock of a staging folder; the system lets go of it when its process ends, however that ends."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


# ---- names ----


def _place(staged: Path, final: Path, replaces: bool) -> None:
    """Put something under its name; what stood there before stays in the staging folder."""
    if not replaces or not os.path.lexists(final):
        rename_new(staged, final)
    elif not exchange(staged, final):
        os.rename(final, _aside(staged))
        rename_new(staged, final)


def _aside(staged: Path) -> Path:
    return staged.with_name(f"{staged.name}.before")


def _take_back(folder: Path) -> None:
    """Undo the moves of a staging folder, unless all of them were done."""
    moves = _moves(folder)
    if moves and all(_is_placed(move) or _is_removed(folder, move) for move in moves):
        return
    for move in reversed(moves):
        staged, final = folder / move["staged"], Path(move["final"])
        before = next((path for path in (_aside(staged), staged) if path.exists() and not _is(path, move)), None)
        if _is_placed(move):
            if before is not None and exchange(before, final):
                continue
            os.rename(final, folder / f"{move['staged']}.taken-back")
        if before is not None and not os.path.lexists(final):
            os.rename(before, final)
    with suppress(FileNotFoundError):
        (folder / _PLAN).unlink()


def _moves(folder: Path) -> list[dict[str, Any]]:
    """The moves that a rebuild had begun; a plan that was cut short was never carried out."""
    try:
        moves: list[dict[str, Any]] = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return moves


def _is_placed(move: dict[str, Any]) -> bool:
    return _is(Path(move["final"]), move)


def _is_removed(folder: Path, move: dict[str, Any]) -> bool:
    return move["new"] is None and _aside(folder / move["staged"]).exists()


def _is(path: Path, move: dict[str, Any]) -> bool:
    """Whether a path is what a move was to put in its place."""
    try:
        status = path.stat()
    except OSError:
        return False
    return bool([status.st_dev, status.st_ino] == move["new"])
