"""Whatever engine scans, the report is the same, and what ends a reader, a worker or the scan is contained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli_sources import write_lmdb
from tests.killers import Killer, write_records
from tests.test_containment import cut, plan_of, scan
from tests.test_interrupt import wait_until
from tests.test_shards import many, text

from datascan.backends.errors import StoreError, UsageError
from datascan.scanner import check
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.engines import Engine, engine_named
from datascan.scanner.engines.base import scan_here
from datascan.scanner.engines.choose import grouped
from datascan.scanner.engines.dask_cluster import DaskEngine
from datascan.scanner.scan import Clock, scan_plan
from datascan.scanner.supervisor import Limits

__all__ = ["many"]  # the fixture

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def dask() -> Iterator[DaskEngine]:
    with DaskEngine.connect("", 2) as engine:
        yield engine


# ---- the same report ----


def test_a_dask_cluster_gives_the_same_report(many: Path, crew: Crew, dask: DaskEngine) -> None:
    assert text(check(many, executor=dask, crew=crew)) == text(check(many, crew=crew))
    assert dask.slots == 2


def test_an_address_and_a_scheduler_file_name_a_cluster(tmp_path: Path, crew: Crew, dask: DaskEngine) -> None:
    path = write_lmdb(tmp_path / "set", broken=True)
    expected = text(check(path, crew=crew))
    address = dask.client.scheduler.address.removeprefix("tcp://")
    assert text(check(path, executor=f"dask://{address}", crew=crew)) == expected
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": dask.client.scheduler.address}))
    assert text(check(path, executor=f"dask://{file}", crew=crew)) == expected


def test_three_mpi_ranks_give_the_same_report(tmp_path: Path, many: Path, crew: Crew) -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    target = tmp_path / "report.json"
    words = ["-m", "mpi4py.futures", "-m", "datascan.scanner", "check", many, "--executor", "mpi", "--fail-on", "never"]
    command = [mpiexec, "-n", "3", sys.executable, *words, "--output", f"json={target}"]
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    tree = json.loads(target.read_text())
    del tree["reports"][0]["run"]
    assert json.dumps(tree) == text(check(many, crew=crew, fail_on=None))


# ---- what is lost ----


def test_a_dask_worker_that_is_killed_costs_time_and_nothing_else(many: Path, crew: Crew, dask: DaskEngine) -> None:
    killed: list[int] = []

    def kill(progress: Any) -> None:
        if not killed and progress.records:
            killed.append(next(iter(dask.client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    report = check(many, executor=dask, crew=crew, progress=kill)
    assert killed
    assert text(report) == text(check(many, crew=crew))
    wait_until(lambda: dask.slots == 2)  # for the tests behind this one


class Losing(ThreadPoolExecutor):
    """An executor that loses every second task, or breaks."""

    def __init__(self, breaks: bool) -> None:
        super().__init__(2)
        self.breaks = breaks
        self.count = 0

    def submit(self, function: Any, /, *args: Any, **given: Any) -> Future[Any]:
        self.count += 1
        if self.breaks and self.count > 2:
            raise BrokenExecutor("a process ended")
        if self.count % 2 == 0:
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("a process ended"))
            return future
        return super().submit(function, *args, **given)


@pytest.mark.parametrize("breaks", [False, True], ids=["loses tasks", "breaks for good"])
def test_what_an_executor_loses_is_scanned_all_the_same(
    many: Path, crew: Crew, breaks: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with Losing(breaks) as executor:
        assert text(check(many, executor=executor, crew=crew)) == text(check(many, crew=crew))
    told = capsys.readouterr().err
    assert told.count("it is scanned by this process's own workers") == breaks


MADE: list[Executor] = []


def breaking() -> Executor:
    """A factory whose executors break after two tasks."""
    MADE.append(Losing(True))
    return MADE[-1]


def test_a_factory_is_asked_again_when_its_executor_breaks(many: Path, crew: Crew) -> None:
    MADE.clear()
    report = check(many, executor="tests.test_engines:breaking", crew=crew)
    assert text(report) == text(check(many, crew=crew))
    assert len(MADE) > 1


def test_records_that_kill_are_named_on_a_cluster_too(tmp_path: Path, dask: DaskEngine) -> None:
    path = write_records(tmp_path / "set", {40: b"SIGSEGV", 300: b"SIGBUS"}, 400, padding=200)
    with Crew(2, Limits(max_memory=400 << 20)) as crew:
        plan = cut(plan_of(crew, path, Killer), pages=6)
        expected = scan(crew, plan)
        report = scan_plan(plan, crew, Clock(), dask)
    assert list(expected.culprits) == [40, 300]
    assert replace(report, run=expected.report.run) == expected.report


def test_an_interrupted_scan_ends_on_the_cluster_too(tmp_path: Path, dask: DaskEngine) -> None:
    path = write_records(tmp_path / "set", {10: b"loop", 300: b"loop"}, 400, padding=200)

    def interrupt(_: object) -> None:
        wait_until(lambda: any(dask.client.processing().values()))
        raise KeyboardInterrupt

    with Crew(1, Limits(timeout_s=600.0)) as crew:
        plan = cut(plan_of(crew, path, Killer), pages=6)
        assert scan_plan(plan, crew, Clock(), dask, interrupt).exit_code == 130
    wait_until(lambda: not any(dask.client.processing().values()))


def test_a_resumed_scan_may_change_its_engine(tmp_path: Path, many: Path, crew: Crew, dask: DaskEngine) -> None:
    file, seen = tmp_path / "scan.ckpt", []

    def interrupt(progress: Any) -> None:
        seen.append(progress.records)
        if len(set(seen)) > 2:
            raise KeyboardInterrupt

    assert check(many, executor=dask, crew=crew, resume=file, progress=interrupt).exit_code == 130
    assert file.exists()
    assert text(check(many, crew=crew, resume=file)) == text(check(many, crew=crew))


# ---- what is refused ----


def test_a_machine_that_does_not_see_the_source_says_so(tmp_path: Path, crew: Crew) -> None:
    path = write_lmdb(tmp_path / "set")

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **given: Any) -> Future[Any]:
            path.rename(tmp_path / "moved")
            return super().submit(function, *args, **given)

    with Elsewhere(1) as executor:
        report = check(path, executor=executor, crew=crew)
    assert report.exit_code == 3
    assert any("no such" in reason and "sees it" in reason for reason in report.reports[0].coverage.reasons)


def test_a_machine_with_another_version_says_so() -> None:
    with pytest.raises(StoreError, match=r"has datascan .* and this is 0\.0\.1: install the same"):
        scan_here([], Limits(), "0.0.1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spark", "choose processes, dask, dask://HOST:PORT, mpi or"),
        ("no.such.module:make", "can't be made"),
        ("json:nothing", "can't be made"),
        ("json:dumps", "can't be made"),
        ("builtins:list", "gives a list, which is no concurrent.futures.Executor"),
        ("mpi", "two or more of them: mpiexec -n N"),
    ],
)
def test_names_that_are_no_engine(crew: Crew, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        engine_named(name, crew)


def test_the_command_line_refuses_with_the_right_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_lmdb(tmp_path / "set"))
    assert main(["check", path, "--executor", "spark"]) == 2
    assert "no executor 'spark'" in capsys.readouterr().err
    assert main(["check", path, "--executor", "concurrent.futures:ThreadPoolExecutor"]) == 0


# ---- groups ----


def test_groups_keep_the_order_and_feed_every_slot(tmp_path: Path, crew: Crew) -> None:
    plan = cut(plan_of(crew, write_records(tmp_path / "set", {}, 400, padding=200), Killer), pages=1)
    tasks = plan.tasks()
    for slots in (1, 3, 50):
        groups = list(grouped(tasks, slots))
        assert [task for group in groups for task in group] == tasks
        assert len(groups) >= min(4 * slots, len(tasks) // 2)
    assert threading.active_count() < 50


def test_an_engine_leaves_what_it_was_given(tmp_path: Path, crew: Crew) -> None:
    with ThreadPoolExecutor(1) as pool:
        with Engine(pool, 1):
            pass
        assert pool.submit(abs, -1).result() == 1
