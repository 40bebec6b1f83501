"""Workers that are copies of the program: made of it alone, and as good as those that are started from nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.killers import write_records

ROOT = Path(__file__).resolve().parent.parent


def program(script: str, *argv: object) -> Any:
    """What a script prints as JSON that runs as a process of its own, and says that it is the program."""
    begin = f"import json, os, sys; sys.path[:] = {sys.path!r}; from datascan.scanner import forking; forking.allow()\n"
    ended = subprocess.run([sys.executable, "-c", begin + script, *map(str, argv)], capture_output=True, timeout=120)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")
    return json.loads(ended.stdout)


def test_only_a_program_of_one_thread_is_copied() -> None:
    script = """
import threading, time
import numpy
found = [forking.is_possible()]
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
found.append(forking.is_possible())
stop.set()
thread.join()
while not forking.is_possible():  # the system takes a moment to end a thread
    time.sleep(0.001)
forking.forbid()
print(json.dumps([*found, forking.is_possible()]))
"""
    assert program(script) == [True, False, False]


@pytest.mark.parametrize("layout", ["raw", "tests.killers:Killer"])
def test_a_program_with_other_peoples_code_is_not_copied(layout: str) -> None:
    script = """
from datascan.scanner.layouts import layout_named
layout_named(sys.argv[1])
print(json.dumps(forking.is_possible()))
"""
    assert program(script, layout) is (layout == "raw")


def test_nobody_else_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    from datascan.scanner import forking
    from datascan.scanner.crew import Crew

    assert not forking.is_possible()
    monkeypatch.setattr(os, "fork", None)
    with Crew(1) as crew:
        assert crew.call(abs, -3) == 3


CALLS = """
import signal, threading
from datascan.scanner.supervisor import Limits, Worker, WorkerDied
import subprocess
subprocess.Popen = None  # whatever starts here is a copy
worker = Worker(Limits(timeout_s=0.5, max_memory=400 << 20), threading.Event())
"""


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("os._exit, 7", "ended with exit code 7"),
        ("signal.raise_signal, signal.SIGKILL", "was killed by SIGKILL"),
        ("signal.raise_signal, signal.SIGSEGV", "was killed by SIGSEGV"),
        ("exec, 'while True: pass'", "made no progress for 0.5 s"),
        ("bytearray, 1 << 30", "needs more memory than the limit"),
    ],
)
def test_a_copy_that_ends_is_replaced(call: str, reason: str) -> None:
    script = f"""
before = worker.call(os.getpid)
try:
    worker.call({call})
except WorkerDied as death:
    print(json.dumps([death.reason, worker.call(os.getpid) not in (before, os.getpid())]))
worker.close()
"""
    assert program(CALLS + script) == [reason, True]


def test_a_copy_ends_with_the_worker() -> None:
    script = """
pid = worker.call(os.getpid)
worker.close()
try:
    os.kill(pid, 0)
except ProcessLookupError:
    print(json.dumps("gone"))
"""
    assert program(CALLS + script) == "gone"


def test_what_is_open_in_the_program_is_not_open_in_a_copy(tmp_path: Path) -> None:
    script = """
held = open(sys.argv[1], "w")
held.write("not yet in the file")
other = Worker(Limits(), threading.Event())
other.call(abs, 0)
found = []
for number in worker.call(os.listdir, "/proc/self/fd"):
    try:
        found.append(worker.call(os.readlink, f"/proc/self/fd/{number}").partition(":")[0])
    except FileNotFoundError:  # what listed the folder
        pass
for one in (worker, other):
    one.close()
print(json.dumps([os.path.getsize(sys.argv[1]), sorted(name for name in found if name != os.devnull)]))
"""
    size, found = program(CALLS + script, tmp_path / "held")
    assert size == 0
    assert found == ["/memfd", "/memfd", "pipe", "pipe"], "its stamp, mapped, and its calls and answers"


def test_the_report_is_that_of_workers_started_from_nothing(tmp_path: Path) -> None:
    path = write_records(tmp_path / "set", {}, 400, padding=200)
    reports: list[dict[str, Any]] = []
    for code in ("main(sys.argv[1:])", "forking.allow(); main(sys.argv[1:])"):
        script = f"import sys; from datascan.scanner import forking; from datascan.scanner.__main__ import main; {code}"
        target = tmp_path / f"{len(reports)}.json"
        argv = ["check", path, "--layout", "raw", "--fail-on", "never", "--quiet", "--output", f"json={target}"]
        subprocess.run([sys.executable, "-c", script, *map(str, argv)], check=True, timeout=120)
        report = json.loads(target.read_text())
        for source in report["reports"]:
            del source["run"]
        reports.append(report)
    assert reports[0] == reports[1]
    assert reports[0]["reports"][0]["coverage"]["seen"] == 400


def test_culprits_are_named_by_copies_too(tmp_path: Path) -> None:
    path = write_records(tmp_path / "set", {40: b"SIGSEGV", 300: b"SIGBUS"}, 400, padding=200)
    script = """
from tests.killers import Killer
from tests.test_containment import LIMITS, Path, cut, plan_of, scan
from datascan.scanner.crew import Crew
with Crew(2, LIMITS) as crew:
    plan = cut(plan_of(crew, Path(sys.argv[1]), Killer), pages=6)
    outcome = scan(crew, plan)
print(json.dumps([list(outcome.culprits), sum(outcome.scanned.values()), len(plan.partitions) > 3]))
"""
    assert program(script, path) == [[40, 300], 398, True]


def test_a_program_without_standard_input_scans(tmp_path: Path) -> None:
    path = write_records(tmp_path / "set", {}, 40)
    target = tmp_path / "report.json"
    argv = [sys.executable, "-m", "datascan.scanner", "check", path, "--layout", "raw", "--output", f"json={target}"]
    subprocess.run(["/bin/sh", "-c", 'exec "$@" <&-', "sh", *map(str, argv)], cwd=ROOT, timeout=120)
    assert json.loads(target.read_text())["reports"][0]["coverage"]["seen"] == 40


def test_signals_reach_the_program_alone() -> None:
    script = """
worker.call(abs, 0)
pid = worker.call(os.getpid)
os.kill(pid, signal.SIGINT)
os.kill(pid, signal.SIGTERM)
print(json.dumps(worker.call(os.getpid) == pid))
worker.close()
"""
    assert program(CALLS + script) is True
