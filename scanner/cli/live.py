"""Outputs that are written while a scan is under way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TextIO

from ..finding import Finding
from ..render import LIVE, Live
from ..report import Report, SourceReport
from .outputs import Output, OutputFile
from .session import CannotWrite, Session

Write = Callable[[Callable[[TextIO], object]], None]


class LiveOutputs:
    """Tells every live output what happens; one that can't be written is in ``failures``, and costs no scan."""

    def __init__(self, outputs: Sequence[Output], files: Sequence[tuple[Output, OutputFile]], session: Session) -> None:
        places: list[tuple[str, TextIO, Write]] = [
            (output.format, sys.stdout, session.write) for output in outputs if output.file is None
        ]
        places += [(output.format, file.stream, file.write) for output, file in files]
        self._made: list[tuple[Write, Live]] = []
        self._places = [(LIVE[name], stream, write) for name, stream, write in places if name in LIVE]
        self.failures: list[CannotWrite] = []

    @property
    def wanted(self) -> bool:
        """Whether there is any."""
        return bool(self._places or self._made)

    def findings(self, path: str, findings: Iterable[Finding]) -> None:
        """See `Live.findings`."""
        self._each(lambda live: live.findings(path, findings))

    def source(self, report: SourceReport) -> None:
        """See `Live.source`."""
        self._each(lambda live: live.source(report))

    def end(self, report: Report) -> None:
        """See `Live.end`."""
        self._each(lambda live: live.end(report))

    def _each(self, tell: Callable[[Live], None]) -> None:
        while self._places:  # the first words are written when there is something to tell
            made, stream, write = self._places.pop(0)
            self._made += self._begun(made, stream, write)
        for write, live in list(self._made):
            try:
                write(partial(_told, tell, live))
            except CannotWrite as exc:
                self.failures.append(exc)
                self._made.remove((write, live))

    def _begun(self, made: Callable[[TextIO], Live], stream: TextIO, write: Write) -> list[tuple[Write, Live]]:
        lives: list[Live] = []
        try:
            write(lambda _: lives.append(made(stream)))
        except CannotWrite as exc:
            self.failures.append(exc)
            return []
        return [(write, live) for live in lives]


def _told(tell: Callable[[Live], None], live: Live, stream: TextIO) -> None:
    tell(live)
