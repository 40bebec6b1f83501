"""Where reports go: standard output, or files that are written aside and renamed when they are whole."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TextIO

from ...backends.errors import UsageError
from ...backends.magic import is_hdf5, is_leveldb, is_lmdb
from ..render import BESIDE_TEXT, LIVE, RENDERERS
from .session import CannotWrite


@dataclass(frozen=True, slots=True)
class Output:
    """One ``--output``: a format, and a file unless it goes to standard output."""

    format: str
    file: str | None = None


def parse_outputs(given: Sequence[str]) -> list[Output]:
    """The outputs asked for; text to standard output where nothing else goes there.

    Raises
    ------
    UsageError
        An unknown format, two outputs to one place.
    """
    outputs = [_parse(one) for one in given]
    to_stdout = [output.format for output in outputs if output.file is None]
    alone = [name for name in to_stdout if name not in BESIDE_TEXT]
    if len(to_stdout) > len(set(to_stdout)) or len(alone) > 1 or (alone not in ([], ["text"]) and len(to_stdout) > 1):
        raise UsageError(
            f"--output: {' and '.join(to_stdout)} can't both go to standard output; give one a file: "
            f"--output {to_stdout[1]}=FILE"
        )
    files = [os.path.realpath(output.file) for output in outputs if output.file is not None]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise UsageError(f"--output: two formats can't both go to {file}; name two files")
    return outputs if to_stdout else [Output("text"), *outputs]


def _parse(text: str) -> Output:
    name, equals, file = text.partition("=")
    if name not in RENDERERS:
        near = get_close_matches(name, RENDERERS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RENDERERS)}"
        raise UsageError(f"--output: no format {name!r}; {hint}")
    if equals and not file:
        raise UsageError(f"--output: no file after {text!r}; for standard output write --output {name}")
    return Output(name, file if equals else None)


def refuse_sources(file: str, sources: Sequence[str]) -> None:
    """Refuse an output that would overwrite a data set or add a file to one: a source is never written to."""
    target = Path(os.path.realpath(file))
    for source in sources:
        path = Path(os.path.realpath(source))
        if target == path or (path.is_dir() and path in target.parents):
            raise UsageError(f"can't write {file}: it is in the data set {source}; choose a place outside")
    if is_hdf5(target) or is_lmdb(target) or is_lmdb(target.parent) or is_leveldb(target.parent):
        raise UsageError(f"can't write {file}: there is a data set; choose another place")


def open_outputs(
    given: Sequence[str], sources: Sequence[str], stack: ExitStack
) -> tuple[list[Output], list[tuple[Output, OutputFile]]]:
    """The outputs asked for, and the files of those that go to one: made before a scan that they could stop.

    Raises
    ------
    UsageError
        An unknown format, a place that can't be written to or belongs to one of the ``sources``.
    """
    outputs = parse_outputs(given)
    files: list[tuple[Output, OutputFile]] = []
    for output in outputs:
        if output.file is not None:
            refuse_sources(output.file, sources)
            files.append((output, OutputFile(output.file, aside=output.format not in LIVE)))
            stack.callback(files[-1][1].close)
    return outputs, files


class OutputFile:
    """A file that gets its name when all of it is written; devices and pipes are written directly.

    One that is not written ``aside`` can be followed while it grows.

    Raises
    ------
    UsageError
        The file can't be made. Said before a scan that would have nowhere to report.
    """

    def __init__(self, file: str, aside: bool = True) -> None:
        self.file = file
        self.target = os.path.realpath(file)
        self.aside: str | None = None
        try:
            self.stream = self._open(aside)
        except OSError as exc:
            raise UsageError(
                f"can't write {file}: {exc.strerror}; name a file in a folder that exists and that you may write to"
            ) from exc

    def _open(self, aside: bool) -> TextIO:
        mode = _mode(self.file)
        if not aside or (mode is not None and (not stat.S_ISREG(mode) or self.file.startswith("/dev/"))):
            return open(self.file, "w", encoding="utf-8")
        if mode is not None and not os.access(self.target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        folder = os.path.dirname(self.target)
        part = os.path.join(folder, f".datascan-{os.getpid()}-{os.urandom(4).hex()}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self.aside = part
        if mode is not None:
            os.fchmod(descriptor, stat.S_IMODE(mode))
        return open(descriptor, "w", encoding="utf-8")

    def write(self, render: Callable[[TextIO], object]) -> None:
        """Write everything and let the file appear.

        Raises
        ------
        CannotWrite
            The contents did not fit; what stood under the name before a file was written aside stands there still.
        """
        try:
            render(self.stream)
            self.stream.flush()
            if self.aside is not None:
                os.fsync(self.stream.fileno())
                os.replace(self.aside, self.target)
                self.aside = None
        except OSError as exc:
            what = "there" if self.aside else "complete"
            raise CannotWrite(f"can't write {self.file}: {exc.strerror}; the report is not {what}") from exc

    def close(self) -> None:
        """Close; what was not written to its end is taken away."""
        with suppress(OSError):  # what could not be flushed was told by `write`
            self.stream.close()
        if self.aside is not None:
            Path(self.aside).unlink(missing_ok=True)


def _mode(file: str) -> int | None:
    try:
        return os.stat(file).st_mode
    except FileNotFoundError:
        return None
