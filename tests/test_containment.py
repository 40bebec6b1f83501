"""Records that kill, hang or bloat the reader are named, and all others scanned exactly once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.killers import LABELS, Killer, KillingSource, SilentKiller, write_records

from datascan.backends.base import BATCH_RECORDS, Partition
from datascan.scanner.conclude import conclude, source_report
from datascan.scanner.crew import Crew
from datascan.scanner.engines import open_engine
from datascan.scanner.finding import Finding, Severity
from datascan.scanner.options import Options
from datascan.scanner.plan import Plan, Request, make_plan
from datascan.scanner.report import SourceReport
from datascan.scanner.scan import Clock, scan_plan
from datascan.scanner.supervisor import Limits

MOST_CULPRITS = 4
LIMITS = Limits(max_memory=400 << 20)
RULES = ("store-reader-died", "store-damaged", "store-count-mismatch")


@pytest.fixture(scope="module")
def limited() -> Iterator[Crew]:
    with Crew(2, LIMITS) as crew:
        yield crew


@pytest.fixture(scope="module")
def hasty() -> Iterator[Crew]:
    with Crew(1, Limits(timeout_s=0.5)) as crew:
        yield crew


@pytest.fixture(params=[Killer, SilentKiller], ids=["stamping", "silent"])
def layout(request: pytest.FixtureRequest) -> type[Killer]:
    chosen: type[Killer] = request.param
    return chosen


@dataclass
class Outcome:
    """A report, and how often each record was scanned."""

    report: SourceReport
    scanned: Counter[int]

    @property
    def deaths(self) -> list[Finding]:
        return [finding for finding in self.report.findings if finding.rule == "store-reader-died"]

    @property
    def culprits(self) -> dict[int | None, str]:
        """Position to message of the records that are said to kill."""
        return {finding.location.index: finding.message for finding in self.deaths}


def plan_of(crew: Crew, path: Path, layout: type[Killer], **options: Any) -> Plan:
    plan: Plan = crew.call(make_plan, Request(str(path), Options(max_findings=100, **options), RULES, layout="raw"))
    return replace(plan, choice=replace(plan.choice, layout=layout(plan.context.options, path)))


def cut(plan: Plan, pages: int) -> Plan:
    """The plan with partitions of a few leaf pages each."""
    (whole,) = plan.partitions
    transaction, flags, leaves, limit, _ = whole.token
    step = 8 * pages
    partitions = [
        Partition(number, whole.table, (transaction, flags, leaves[at : at + step], limit, (b"", b"")), 1)
        for number, at in enumerate(range(0, len(leaves), step))
    ]
    return replace(plan, partitions=partitions)


def scan(crew: Crew, plan: Plan, executor: Executor | None = None) -> Outcome:
    scanned: Counter[int] = Counter()
    with open_engine(executor, crew) as engine:
        report = scan_plan(plan, crew, Clock(), engine)
    for label, count in report.statistics.get("labels", {}).items():
        scanned[int(label)] = count
    return Outcome(report, scanned)


def all_but(count: int, *left_out: int) -> Counter[int]:
    return Counter(set(range(count)) - set(left_out))


@pytest.mark.parametrize(
    ("layout", "how", "reason"),
    [
        (Killer, "read-null", "killed by SIGSEGV"),
        (Killer, "SIGBUS", "killed by SIGBUS"),
        (Killer, "SIGKILL", "killed by SIGKILL"),
        (Killer, "SIGABRT", "killed by SIGABRT"),
        (Killer, "exit", "ended with exit code 3"),
        (Killer, "loop", "made no progress for 0.5 s"),
        (Killer, "memory", "memory"),
        (SilentKiller, "SIGSEGV", "killed by SIGSEGV"),
        (SilentKiller, "loop", "made no progress for 0.5 s"),
        (SilentKiller, "memory", "memory"),
    ],
)
def test_whatever_ends_the_reader_is_named_with_the_record(
    tmp_path: Path, limited: Crew, hasty: Crew, layout: type[Killer], how: str, reason: str
) -> None:
    path = write_records(tmp_path / "set", {17: how.encode()}, 40)
    crew = hasty if how == "loop" else limited
    outcome = scan(crew, plan_of(crew, path, layout))
    (death,) = outcome.deaths
    assert reason in death.message
    assert (death.location.index, death.location.key, death.severity) == (17, b"00000017", Severity.ERROR)
    assert outcome.scanned == all_but(40, 17)
    assert (outcome.report.coverage.seen, outcome.report.coverage.unreadable) == (39, 1)
    assert len(outcome.report.findings) == 1
    assert outcome.report.exit_code == 1


@pytest.mark.parametrize("culprits", [[0, 39], [10, 11, 12], [0, 1, 38]], ids=str)
def test_every_other_record_is_scanned_exactly_once(tmp_path: Path, limited: Crew, culprits: list[int]) -> None:
    path = write_records(tmp_path / "set", dict.fromkeys(culprits, b"SIGSEGV"), 40)
    outcome = scan(limited, plan_of(limited, path, SilentKiller))
    assert list(outcome.culprits) == culprits
    assert outcome.scanned == all_but(40, *culprits)
    assert outcome.report.coverage.unreadable == len(culprits)


def test_batches_before_and_behind_a_culprit_are_scanned_once(
    tmp_path: Path, limited: Crew, layout: type[Killer]
) -> None:
    count, culprit = 2 * BATCH_RECORDS + 7000, BATCH_RECORDS + 4321
    path = write_records(tmp_path / "set", {culprit: b"SIGSEGV"}, count)
    outcome = scan(limited, plan_of(limited, path, layout))
    assert list(outcome.culprits) == [culprit]
    expected = Counter(number % LABELS for number in range(count) if number != culprit)
    assert outcome.scanned == expected


def test_thirty_two_culprits_over_several_partitions(tmp_path: Path, limited: Crew) -> None:
    culprits = [0, 999, *range(500, 503), *range(30, 990, 36)]
    assert len(culprits) == 32
    ways = [b"SIGSEGV", b"SIGBUS", b"SIGKILL", b"SIGABRT", b"exit"]
    marks = {culprit: ways[number % len(ways)] for number, culprit in enumerate(culprits)}
    path = write_records(tmp_path / "set", marks, 1000, padding=200)
    plan = cut(plan_of(limited, path, Killer), pages=12)
    assert len(plan.partitions) > 4
    outcome = scan(limited, plan)
    assert list(outcome.culprits) == sorted(culprits)
    assert outcome.scanned == all_but(1000, *culprits)
    assert [finding.location.key for finding in outcome.deaths] == [b"%08d" % culprit for culprit in sorted(culprits)]


def test_too_many_culprits_cost_the_rest_of_their_partition_alone(
    tmp_path: Path, limited: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datascan.scanner.contain.MOST_CULPRITS", MOST_CULPRITS)
    marks = dict.fromkeys(range(100, 130), b"SIGKILL")
    path = write_records(tmp_path / "set", marks, 400, padding=200)
    plan = cut(plan_of(limited, path, Killer), pages=10)
    outcome = scan(limited, plan)
    (rest,) = (finding for finding in outcome.deaths if "not read" in finding.message)
    assert rest.location.index == 100 + MOST_CULPRITS
    lost = rest.data["records_lost"]
    assert lost > 10
    gone = range(100 + MOST_CULPRITS, 100 + MOST_CULPRITS + lost)
    assert outcome.scanned == all_but(400, *range(100, 100 + MOST_CULPRITS), *gone)
    assert outcome.report.coverage.unreadable == MOST_CULPRITS + lost
    assert not outcome.report.coverage.complete
    assert not [finding for finding in outcome.report.findings if finding.rule == "store-count-mismatch"]


def test_records_that_kill_only_together_are_scanned_and_the_smallest_range_is_named(
    tmp_path: Path, limited: Crew, layout: type[Killer]
) -> None:
    path = write_records(tmp_path / "set", {11: b"company", 23: b"company"}, 40)
    outcome = scan(limited, plan_of(limited, path, layout))
    (death,) = outcome.deaths
    assert (death.location.index, death.data["positions"]) == (11, 13)
    assert "by none of them alone" in death.message
    assert outcome.scanned == all_but(40)
    assert outcome.report.coverage.unreadable == 0


def test_a_death_that_does_not_come_again_is_a_warning(tmp_path: Path, limited: Crew, layout: type[Killer]) -> None:
    path = write_records(tmp_path / "set", {23: b"once"}, 40)
    outcome = scan(limited, plan_of(limited, path, layout))
    (death,) = outcome.deaths
    assert death.severity is Severity.WARNING
    assert "SIGSEGV once" in death.message
    assert outcome.scanned == all_but(40)


def test_a_deselected_rule_loses_no_record(tmp_path: Path, limited: Crew) -> None:
    path = write_records(tmp_path / "set", {3: b"SIGSEGV"}, 8)
    plan = plan_of(limited, path, Killer)
    outcome = scan(limited, replace(plan, rules=()))
    assert outcome.scanned == all_but(8, 3)
    assert outcome.report.coverage.unreadable == 1
    assert not outcome.report.findings


# ---- deaths beside the records ----


def die_now(*_: object) -> None:
    os._exit(7)


def test_a_store_whose_opening_kills_is_reported(
    tmp_path: Path, limited: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datascan.scanner import scan as scanning

    path = write_records(tmp_path / "set", {}, 8)
    monkeypatch.setattr(scanning, "make_plan", die_now)
    report = scanning.scan_source(path, Options(), crew=limited)
    (finding,) = report.findings
    assert (finding.rule, finding.location.index) == ("store-reader-died", None)
    assert "ended with exit code 7" in finding.message
    assert not report.coverage.complete
    assert report.exit_code == 1


def test_a_death_at_the_end_of_the_scan_is_reported(
    tmp_path: Path, limited: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datascan.scanner import conclude as concluding

    path = write_records(tmp_path / "set", {}, 8)
    monkeypatch.setattr(concluding, "closing_damage", die_now)
    outcome = scan(limited, plan_of(limited, path, Killer))
    (finding,) = outcome.deaths
    assert finding.location.index is None
    assert "ended with exit code 7" in finding.message
    assert outcome.scanned == all_but(8)
    assert not outcome.report.coverage.complete
    assert outcome.report.exit_code == 1


def test_a_death_while_keys_are_looked_up_costs_the_keys(
    tmp_path: Path, limited: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datascan.scanner import conclude as concluding
    from datascan.scanner import contain as containing

    path = write_records(tmp_path / "set", {3: b"SIGSEGV"}, 8)
    monkeypatch.setattr(concluding, "keys_at", die_now)
    monkeypatch.setattr(containing, "keys_at", die_now)
    outcome = scan(limited, plan_of(limited, path, Killer))
    (finding,) = outcome.deaths
    assert (finding.location.index, finding.location.key) == (3, None)
    assert outcome.scanned == all_but(8, 3)


@pytest.mark.parametrize("culprits", [(0, 99), (40, 41, 42)], ids=str)
def test_rows_whose_reading_kills_are_named(tmp_path: Path, limited: Crew, culprits: tuple[int, ...]) -> None:
    path = tmp_path / "rows.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.random.default_rng(1).normal(size=(100, 3, 4, 4)).astype(np.float32)
        file["label"] = np.arange(100)
    plan: Plan = limited.call(make_plan, Request(str(path), Options(), RULES))
    killing = KillingSource(str(path), scan=time.time_ns(), culprits=culprits)
    outcome = scan(limited, replace(plan, source=killing))
    assert [(death.location.index, death.location.dataset) for death in outcome.deaths] == [
        (culprit, "/data") for culprit in culprits
    ]
    assert outcome.scanned == all_but(100, *culprits)
    assert (outcome.report.coverage.seen, outcome.report.coverage.unreadable) == (100 - len(culprits), len(culprits))


# ---- other people's executors ----


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_an_executor_is_contained_too(tmp_path: Path, limited: Crew, kind: str) -> None:
    path = write_records(tmp_path / "set", {40: b"SIGSEGV", 300: b"SIGBUS"}, 400, padding=200)
    plan = cut(plan_of(limited, path, Killer), pages=6)
    assert len(plan.partitions) > 3
    expected = scan(limited, plan)
    pool: Executor = (
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) if kind == "processes" else ThreadPoolExecutor(2)
    )
    with pool:
        outcome = scan(limited, plan, pool)
    assert list(outcome.culprits) == [40, 300]
    assert replace(outcome.report, run=expected.report.run) == expected.report


def test_any_number_of_workers_gives_the_same_report(tmp_path: Path, limited: Crew) -> None:
    path = write_records(tmp_path / "set", {40: b"SIGSEGV", 200: b"SIGABRT"}, 400, padding=200)
    with Crew(1, LIMITS) as one:
        plan = cut(plan_of(one, path, Killer), pages=6)
        alone = scan(one, plan).report
    assert replace(scan(limited, plan).report, run=alone.run) == alone


def test_the_conclusion_of_an_interrupted_scan_asks_nothing(tmp_path: Path, limited: Crew) -> None:
    from datascan.scanner.conclude import Scanned

    path = write_records(tmp_path / "set", {}, 8)
    plan = plan_of(limited, path, Killer)
    outcome = conclude(die_now, plan, Scanned(plan.opening, interrupted=True))
    report = source_report(plan, outcome, Clock().run_info(1))
    assert report.exit_code == 130
    assert "interrupted" in report.coverage.reasons
