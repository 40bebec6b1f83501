"""The examples of spreading a scan, run as far as that goes without their engines."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.cli_sources import write_lmdb
from tests.test_shards import text

from datascan.scanner import check, merge
from datascan.scanner.crew import Crew

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "spread"
COUNT = 3


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which ``datascan`` is this checkout's."""
    program = tmp_path / "bin" / "datascan"
    program.parent.mkdir()
    code = f"import sys; sys.path[:0] = {sys.path!r}; from datascan.scanner.__main__ import main; sys.exit(main())"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_slurm_array(tmp_path: Path, crew: Crew, environment: dict[str, str]) -> None:
    source, parts = write_lmdb(tmp_path / "train_lmdb", broken=True), tmp_path / "parts"
    for number in range(1, COUNT + 1):
        task = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(COUNT), "SLURM_CPUS_PER_TASK": "1"}
        done = run(["bash", str(EXAMPLES / "slurm_array.sh"), str(source), str(parts)], environment | task)
        assert done.returncode == 0, done.stderr
    assert text(merge(*parts.iterdir(), crew=crew)) == text(check(source, crew=crew))


def test_the_kubernetes_job(tmp_path: Path, crew: Crew, environment: dict[str, str]) -> None:
    job = yaml.safe_load((EXAMPLES / "kubernetes-job.yaml").read_text())
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(given["SHARDS"]) == job["spec"]["completions"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", given["PARTS"]}
    source, parts = write_lmdb(tmp_path / "train_lmdb", broken=True), tmp_path / "parts"
    parts.mkdir()
    for index in range(COUNT):
        pod = {"SOURCE": str(source), "PARTS": str(parts), "SHARDS": str(COUNT), "JOB_COMPLETION_INDEX": str(index)}
        done = run([*container["command"], *container["args"]], environment | pod)
        assert done.returncode == 0, done.stderr
    assert text(merge(*parts.iterdir(), crew=crew)) == text(check(source, crew=crew))


def test_the_dask_script(tmp_path: Path, environment: dict[str, str]) -> None:
    source = write_lmdb(tmp_path / "train_lmdb", broken=True)
    path = os.pathsep.join(path for path in sys.path if path)
    done = run(
        [sys.executable, str(EXAMPLES / "dask_scan.py"), "local", str(source)], environment | {"PYTHONPATH": path}
    )
    assert done.returncode == 1, done.stderr
    assert "fail 12 records" in done.stdout
    assert "record-size-mismatch" in done.stdout


def test_the_image_copies_and_installs_what_there_is() -> None:
    """No engine builds it here: what it names must be there, and its command line one that parses."""
    lines = (EXAMPLES / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    assert all((ROOT / name).exists() for names in copied for name in names)
    packaged = {"backends", "scanner", "pyproject.toml", "README.md", "LICENSE"}
    assert {name for names in copied for name in names} == packaged
    (extras,) = re.findall(r"/source\[([\w,]+)\]", "\n".join(lines))
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    (entry,) = (json.loads(line.split(maxsplit=1)[1]) for line in lines if line.startswith("ENTRYPOINT"))
    assert entry == ["datascan"]
