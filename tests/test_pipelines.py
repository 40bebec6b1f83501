"""The pipeline examples are run; the baseline accepts what was reviewed and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from tests.cli_sources import BROKEN, RECORDS, write_lmdb

from datascan.scanner.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "pipelines"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good and a bad set, where ``datascan`` is on the path."""
    write_lmdb(tmp_path / "good")
    write_lmdb(tmp_path / "bad", broken=True)
    (tmp_path / "bin").mkdir()
    script = f'#!/bin/sh\nexec {sys.executable} -c "from datascan.scanner.__main__ import main; exit(main())" "$@"\n'
    (tmp_path / "bin" / "datascan").write_text(script)
    (tmp_path / "bin" / "datascan").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / '.typing'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(name: str) -> Any:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_shell_step_stops_and_a_loader_skips_the_keys_of_its_report(home: Path) -> None:
    step = ["sh", str(EXAMPLES / "check.sh")]
    assert subprocess.run(step, env={**os.environ, "DATA": "good"}, check=False).returncode == 0
    ended = subprocess.run(step, env={**os.environ, "DATA": "bad"}, check=False, capture_output=True)
    assert ended.returncode == 1
    skip = module("skip_keys")
    keys = [f"{index:08d}" for index in range(RECORDS)]
    kept = skip.WithoutBadRecords(list(range(RECORDS)), keys, "reports/report.json")
    assert [kept[row] for row in range(len(kept))] == [row for row in range(RECORDS) if row != BROKEN]


def test_the_makefile_and_the_slurm_script(home: Path) -> None:
    make = ["make", "-f", str(EXAMPLES / "Makefile"), "train"]
    assert b"train on good" in subprocess.run([*make, "DATA=good"], check=True, capture_output=True).stdout
    ended = subprocess.run([*make, "DATA=bad"], check=False, capture_output=True)
    assert ended.returncode
    assert b"train on bad" not in ended.stdout
    script = str(EXAMPLES / "slurm.sh")
    subprocess.run(["bash", "-n", script], check=True)
    assert subprocess.run(["bash", script, "bad"], check=False, capture_output=True).returncode == 1
    assert json.loads((home / "datascan-local.json").read_text())["verdict"] == "fail"


def test_the_airflow_task_and_the_definitions(home: Path) -> None:
    (home / "datascan.toml").write_text("[sources.bad]\npath = 'bad'\n")
    with pytest.raises(subprocess.CalledProcessError):
        module("airflow_dag").audit(str(home))
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text()
    workflow = (EXAMPLES / "github-workflow.yaml").read_text()
    assert "entry: datascan check --quiet" in hooks
    (command,) = [line.split("- run: ")[1] for line in workflow.splitlines() if "run: datascan" in line]
    argv = command.replace("train_lmdb", "good").split()[1:]
    assert main(argv) == 0
    assert (home / "report.html").exists()


PLUGIN_TEST = """
def test_good(datascan_clean):
    assert datascan_clean("good").exit_code == 0

def test_bad(datascan_clean):
    datascan_clean("bad")
"""


def test_the_pytest_plugin_fails_with_the_findings(home: Path) -> None:
    plugins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    (home / "test_data.py").write_text(PLUGIN_TEST)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugins["datascan"], "test_data.py"],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "1 failed, 1 passed" in ended.stdout
    assert "record-size-mismatch" in ended.stdout


# ---- the baseline ----


def test_a_baseline_accepts_what_was_reviewed_and_nothing_else(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bad", "--quiet", "--write-baseline", "base.json", "--reason", "known since spring"]) == 1
    assert main(["check", "bad", "--baseline", "base.json"]) == 0
    assert "1 finding of the baseline" in capsys.readouterr().out
    written = json.loads((home / "base.json").read_text())
    (entry,) = written["findings"]
    assert (entry["source"], entry["reason"], entry["rule"]) == ("bad", "known since spring", "record-size-mismatch")
    assert main(["check", "bad", "--baseline", "base.json", "--num-classes", "2", "--quiet"]) == 1
    for change, code, said in (
        ({"expires": "2020-01-01"}, 1, "has expired on 2020-01-01"),
        ({"message": "something else"}, 1, "is not found any more"),
        ({"reason": " "}, 2, "has no reason"),
        ({"expires": "soon"}, 2, "is no date"),
    ):
        (home / "other.json").write_text(json.dumps({**written, "findings": [{**entry, **change}]}))
        capsys.readouterr()
        assert main(["check", "bad", "--baseline", "other.json", "--quiet"]) == code
        assert said in capsys.readouterr().err
    assert main(["check", "bad", "--baseline", "nowhere.json"]) == 2
    assert main(["check", "bad", "--write-baseline", "base.json"]) == 2
