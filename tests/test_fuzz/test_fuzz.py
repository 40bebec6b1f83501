"""Random damage of every kind of input: no exception, no write to the source, and a report that is sound in itself.

By default each target gets a fixed number of cases, the same in each run. ``DATASCAN_FUZZ_SECONDS=3600`` goes on with
new ones for so long; a case that fails names its target and seed, which belong into ``seeds.txt`` from then on.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.test_fuzz.targets import TARGETS, Target

from datascan.scanner.crew import Crew
from datascan.scanner.supervisor import Limits

SEEDS = Path(__file__).with_name("seeds.txt")
CASES = {"store": 20, "list": 20, "references": 20, "layout": 40, "image": 40}
"""Cases of a target in a usual run, by the first word of its name."""


@pytest.fixture(scope="module")
def limited() -> Iterator[Crew]:
    """A worker that may not take much: hangs and bombs are findings, and soon."""
    with Crew(1, Limits(timeout_s=20.0, max_memory=1 << 30)) as crew:
        yield crew


def run_case(target: Target, seed: int, folder: Path, crew: Crew) -> None:
    folder.mkdir()
    try:
        target.run(random.Random(f"{target.name} {seed}"), folder, crew)
    except BaseException as exc:
        exc.add_note(f"target and seed: {target.name} {seed}")
        raise
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_damage_never_ends_a_scan(target: Target, tmp_path: Path, limited: Crew) -> None:
    for seed in range(CASES[target.name.partition("-")[0]]):
        run_case(target, seed, tmp_path / "case", limited)


def test_what_failed_once_does_not_fail_again(tmp_path: Path, limited: Crew) -> None:
    for line in SEEDS.read_text(encoding="utf-8").splitlines():
        name, seed = line.split()
        run_case(TARGETS[name], int(seed), tmp_path / "case", limited)


def test_damage_never_ends_a_scan_for_as_long_as_asked(tmp_path: Path, limited: Crew) -> None:
    """All targets in turn with seeds that no other run had."""
    end = time.monotonic() + float(os.environ.get("DATASCAN_FUZZ_SECONDS", "0"))
    first = time.time_ns()
    cases = ((target, first + number) for number in itertools.count() for target in TARGETS.values())
    for target, seed in itertools.takewhile(lambda _: time.monotonic() < end, cases):
        run_case(target, seed, tmp_path / "case", limited)
