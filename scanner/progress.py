"""Progress of a scan: what the scan tells, and a bar on standard error for people who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from .printable import clip, encodable, printable

REFRESH_S = 0.1
"""The bar is told no more often: a batch of small records takes less than a millisecond."""

BAR = "{desc}: {percentage:3.0f}%|{bar}| {postfix}, {rate_fmt}, {remaining} left"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the scan of one source has come.

    ``bytes_done`` and ``bytes_total`` are the partitions' estimates (`Partition.size_bytes`), so they are good for
    a share and a rate and for nothing else; ``source`` is the path as it was given.
    """

    records: int
    bytes_done: int
    bytes_total: int
    source: str


class ProgressBar:
    """A bar of one source: share, records a second, MB a second, time left. Call it with each `Progress`."""

    def __init__(self, source: str, stream: TextIO) -> None:
        from tqdm import tqdm  # 30 ms that only somebody who waits at a terminal shall pay

        tqdm.monitor_interval = 0  # no thread and no semaphore of its own next to the worker processes
        tqdm.set_lock(threading.RLock())
        encoding = getattr(stream, "encoding", None)
        self.bar = tqdm(
            desc=encodable(clip(printable(source), 32), encoding),
            total=0,
            file=stream,
            unit="B",
            unit_scale=True,
            bar_format=BAR,
            postfix="0 records",
            leave=False,
            dynamic_ncols=True,
            mininterval=REFRESH_S,
        )
        self.started = self.told = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show how far the scan is."""
        now = time.monotonic()
        finished = progress.bytes_done >= progress.bytes_total
        if now - self.told < REFRESH_S and not finished:
            return
        self.told = now
        rate = progress.records / max(now - self.started, 1e-6)
        self.bar.total = progress.bytes_total
        self.bar.set_postfix_str(f"{progress.records:,} records, {rate:,.0f} records/s", refresh=False)
        self.bar.update(progress.bytes_done - self.bar.n)

    def close(self) -> None:
        """Take the bar away: nothing of it stays on the terminal."""
        self.bar.close()


@contextmanager
def progress_bar(source: str, stream: TextIO, wanted: bool = True) -> Iterator[ProgressBar | None]:
    """A bar for the scan of one source, or ``None`` where it is not wanted or ``stream`` is not a terminal."""
    if not wanted or not stream.isatty():
        yield None
        return
    bar = ProgressBar(source, stream)
    try:
        yield bar
    finally:
        bar.close()
