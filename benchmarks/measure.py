"""Measuring a program as a whole process: wall and CPU time of it and its children, and what memory they share out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run: seconds, and what it printed."""

    wall_s: float
    cpu_s: float
    output: bytes
    code: int


def timed(command: Sequence[str], folder: Path) -> Run:
    """Run a command; CPU time counts the process and every child that it has waited for."""
    before = os.times()
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, env=_environment())
    wall = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall, cpu, done.stdout, done.returncode)


def peak_memory(command: Sequence[str], folder: Path) -> int:
    """Largest proportional set size, in bytes, of a command and its children together.

    Proportional: a page that several processes share, or a page of a mapped file, counts once. Looking costs the
    process time, so that a run is either timed or looked at.
    """
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    )
    peak = 0
    reader = threading.Thread(target=process.communicate)
    reader.start()
    while reader.is_alive():
        peak = max(peak, sum(_proportional(pid) for pid in family(process.pid)))
        reader.join(_EVERY_S)
    return peak


def _environment() -> dict[str, str]:
    """Ours, but for what would have Python compile every module again: an installed program has them compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                found += family(int(child))
    return found


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
