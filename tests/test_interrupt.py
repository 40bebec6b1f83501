"""Ctrl-C, SIGTERM and death of the parent: what was found is reported, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.killers import Killer, write_records
from tests.test_containment import cut, plan_of

from datascan.scanner.crew import Crew
from datascan.scanner.engines import Engine
from datascan.scanner.interrupt import interruptible, interrupting, uninterrupted
from datascan.scanner.scan import Clock, scan_plan
from datascan.scanner.supervisor import Limits, Worker

PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose scan takes far longer than any of these tests: the images of one LMDB, many times over."""
    import lmdb
    import simplejpeg

    path = tmp_path_factory.mktemp("long") / "set"
    rng = np.random.default_rng(5)
    image = simplejpeg.encode_jpeg(rng.integers(0, 256, (512, 512, 3), np.uint8), 95)
    with lmdb.open(str(path), map_size=1 << 30, lock=False) as env, env.begin(write=True) as txn:
        for index in range(900):
            txn.put(b"%08d" % index, image)
    return path


def processes_of(parent: int) -> set[int]:
    """Children of a process, and theirs."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found |= {int(entry.name)} | processes_of(int(entry.name))
            except (OSError, IndexError):
                continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(what: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


AS_PROGRAM = ["-m", "datascan.scanner"]
"""Its workers are copies of it."""

AS_SCRIPT = ["-c", "from datascan.scanner.__main__ import main; import sys; sys.exit(main(sys.argv[1:]))"]
"""Its workers are started from nothing."""


class Run:
    """``datascan check`` in a process of its own."""

    def __init__(self, *argv: object, ignore_sigint: bool = False, how: Sequence[str] = AS_PROGRAM) -> None:
        command = [sys.executable, *how, "check", *map(str, argv)]
        if ignore_sigint:  # as a shell does for `command &` in a script
            command = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_workers(self, count: int) -> set[int]:
        wait_until(lambda: len(processes_of(self.process.pid)) >= count)
        return processes_of(self.process.pid)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


def ended_midway(file: Path, number: int, *argv: object) -> tuple[int, str, str]:
    """The end of a run that got a signal when it had begun to write a file; one that is faster than it runs again."""
    while True:
        file.unlink(missing_ok=True)
        run = Run(*argv)
        wait_until(partial(_has_begun, run, file))
        run.process.send_signal(number)
        code, out, err = run.end()
        if code in (130, -number):
            return code, out, err


def _has_begun(run: Run, file: Path) -> bool:
    return run.process.poll() is not None or (file.exists() and file.stat().st_size > 4000)


@pytest.fixture
def run() -> Iterator[Any]:
    started: list[Run] = []

    def start(*argv: object, **how: Any) -> Run:
        started.append(Run(*argv, **how))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("how", [AS_PROGRAM, AS_SCRIPT], ids=["program", "script"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_scan_with_its_report(
    tmp_path: Path, long: Path, run: Any, number: int, how: Sequence[str]
) -> None:
    target = tmp_path / "report.json"
    one = run(long, "--jobs", 2, "--timeout", 30, "--output", f"json={target}", ignore_sigint=True, how=how)
    workers = one.wait_for_workers(2)
    one.process.send_signal(number)
    one.process.send_signal(number)
    code, out, _ = one.end()
    report = json.loads(target.read_text())
    assert code == report["exit_code"] == 130
    assert not report["reports"][0]["coverage"]["complete"]
    assert "interrupted" in " ".join(report["reports"][0]["coverage"]["reasons"])
    assert "interrupted" in out
    assert not any(map(alive, workers))


@pytest.mark.parametrize("delay_s", [0.05, 0.15, 0.25, 0.35, 0.5])
def test_a_signal_at_any_time_ends_the_run(tmp_path: Path, long: Path, run: Any, delay_s: float) -> None:
    one = run(long, "--output", f"json={tmp_path / 'report.json'}")
    time.sleep(delay_s)
    one.process.send_signal(signal.SIGTERM)
    code, _, err = one.end()
    assert code in (130, -signal.SIGTERM)  # the latter before Python has got to our first line
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*.part")), "a half-written report is taken away"


@pytest.mark.parametrize("how", [AS_PROGRAM, AS_SCRIPT], ids=["program", "script"])
def test_workers_end_with_a_parent_that_is_killed(long: Path, run: Any, how: Sequence[str]) -> None:
    one = run(long, "--jobs", 2, how=how)
    workers = one.wait_for_workers(2)
    one.process.kill()
    one.end()
    wait_until(lambda: not any(map(alive, workers)))


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, long: Path, monkeypatch: Any, run: Any) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    one = run(long, "--limit", 3)
    assert one.end()[0] == 3
    other = run(long, "--jobs", 2)
    other.wait_for_workers(2)
    other.process.kill()
    other.end()
    assert not list(tmp_path.iterdir())


# ---- in this process ----


def test_an_interrupted_crew_is_good_for_another_scan(tmp_path: Path) -> None:
    path = write_records(tmp_path / "set", {300: b"loop"}, 400, padding=200)
    with Crew(2, Limits(timeout_s=60.0)) as crew:
        plan = cut(plan_of(crew, path, Killer), pages=6)

        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        report = scan_plan(plan, crew, Clock(), progress=interrupt)
        assert report.exit_code == 130
        assert report.coverage.seen < 300
        assert crew.call(os.getpid) != os.getpid()


def test_an_interrupted_executor_ends_its_threads(tmp_path: Path) -> None:
    path = write_records(tmp_path / "set", {10: b"loop", 300: b"loop"}, 400, padding=200)
    with Crew(1, Limits(timeout_s=600.0)) as crew, ThreadPoolExecutor(2) as pool:
        plan = cut(plan_of(crew, path, Killer), pages=6)

        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        assert scan_plan(plan, crew, Clock(), Engine(pool, 2), interrupt).exit_code == 130


def test_a_call_that_is_interrupted_leaves_no_answer_for_the_next() -> None:
    worker = Worker(Limits(), threading.Event())
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with interruptible(), pytest.raises(KeyboardInterrupt):
            worker.call(time.sleep, 60)
        assert worker.call(abs, -3) == 3
    finally:
        worker.close()


def test_a_signal_waits_for_the_end_of_what_must_be_whole() -> None:
    done = []
    with interruptible(), uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("merged")
        with pytest.raises(KeyboardInterrupt), interrupting():
            done.append("never")
        os.kill(os.getpid(), signal.SIGTERM)  # a second one
        done.append("written")
        with interrupting():
            done.append("not interrupted again")
    assert done == ["merged", "written", "not interrupted again"]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
