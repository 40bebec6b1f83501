"""Plug-ins of other packages: found, listed, used in every process of a scan, and never the end of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import lmdb
import pytest

from datascan.backends.plugins import Registry
from datascan.scanner.rules import RULE_PLUGINS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "datascan-wav"

LAYOUT = """
    import numpy as np
    from datascan.scanner.layouts.base import RecordLayout
    from datascan.scanner.sample import ArrayBlock, Fault, SampleBatch

    class Bells(RecordLayout):
        name = "bells"
        title = "values that begin with BELL"

        @classmethod
        def agrees(cls, sample):
            return [bytes(value[:4]) == b"BELL" for value in sample.values]

        def decode(self, batch):
            samples = SampleBatch(batch, np.arange(len(batch), dtype=np.int64))
            for row, value in enumerate(batch.values):
                if bytes(value[:4]) != b"BELL":
                    samples.faults.append(Fault(row, "record-undecodable", "no bell"))
            return samples
"""

RULE = '''
    from datascan.scanner.finding import Severity
    from datascan.scanner.rules import Rule

    class BellCracked(Rule):
        """
        ## What it does
        Names bells that are too short.

        ## Why is this bad?
        They do not ring as long as others.

        ## How to fix
        Cast the bell once more.
        """

        name = "bell-cracked"
        severity = Severity.WARNING

        def check(self, samples):
            for row in samples.sample_rows.tolist():
                if samples.batch.values.lengths[row] < 6:
                    yield self.finding("a short bell", samples.location(row))
'''

BACKEND = """
    import pathlib
    import numpy as np
    from datascan.backends import Backend
    from datascan.backends.base import Extent, Partition, RecordBatch, Store, Table
    from datascan.backends.columns import BytesColumn

    class Lines(Store):
        name = "lines"

        def __init__(self, path):
            self.path = pathlib.Path(path)
            self.values = self.path.read_bytes().splitlines()

        @property
        def size_bytes(self):
            return self.path.stat().st_size

        def opening_damage(self):
            return ()

        def batch(self):
            keys = [b"%08d" % i for i in range(len(self.values))]
            columns = BytesColumn.from_strings(keys), BytesColumn.from_strings(self.values)
            return RecordBatch(Table(), np.arange(len(keys), dtype=np.int64), *columns)

        def sample(self, count=16):
            return self.batch()

        def partitions(self, tables=None, limit=None):
            return [Partition(0, Table(), None, self.size_bytes)]

        def read(self, partition):
            yield self.batch()
            yield Extent(len(self.values))

        def find(self, key):
            return None

        def close(self):
            pass

    lines = Backend("lines", "bells_plugin", "Lines", lambda path: path.suffix == ".bells")
"""


class Environment:
    """A folder of packages that Python sees beside those that are installed, and a working folder."""

    def __init__(self, folder: Path) -> None:
        self.packages, self.work = folder / "packages", folder / "work"
        self.packages.mkdir()
        self.work.mkdir()

    def install(self, package: str, module: str, *points: str) -> None:
        """A package of one module; ``points`` are ``group: name = object``."""
        (self.packages / f"{package}.py").write_text(dedent(module), encoding="utf-8")
        metadata = self.packages / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"[datascan.{group}]\n{point}\n" for group, _, point in (one.partition(": ") for one in points)]
        (metadata / "entry_points.txt").write_text("".join(lines), encoding="utf-8")

    def run(self, *argv: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The program with these plug-ins, in the working folder."""
        path = os.pathsep.join([str(self.packages), str(ROOT / ".typing")])
        return subprocess.run(
            [sys.executable, "-m", "datascan.scanner", *argv],
            cwd=self.work,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100", **(variables or {})},
            capture_output=True,
            text=True,
        )

    def check(self, *argv: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of a scan."""
        ended = self.run("check", *argv, "--output", "json")
        assert ended.stdout, ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)["reports"][0]
        return ended.returncode, report


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Twenty bells, the eighth of them cracked."""
    made = Environment(tmp_path)
    values = [b"BELL" + b"x" * (1 if i == 7 else 5) for i in range(20)]
    with lmdb.open(str(made.work / "bells_lmdb"), map_size=1 << 20) as env, env.begin(write=True) as txn:
        for i, value in enumerate(values):
            txn.put(b"%08d" % i, value)
    (made.work / "tower.bells").write_bytes(b"\n".join(values))
    return made


def rules_of(report: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(finding["rule"], finding["location"]["index"]) for finding in report["findings"]]


def test_plugins_in_an_archive_are_found(environment: Environment) -> None:
    points = "layouts: bells = bells_plugin:Bells", "rules: bell-cracked = bells_plugin:BellCracked"
    environment.install("bells_plugin", dedent(LAYOUT) + dedent(RULE), *points)
    archive = shutil.make_archive(str(environment.packages), "zip", environment.packages)
    shutil.rmtree(environment.packages)
    environment.packages = Path(archive)
    code, report = environment.check("bells_lmdb")
    assert (code, report["source"]["layout"], rules_of(report)) == (0, "bells", [("bell-cracked", 7)])


def test_a_layout_and_a_rule_work_in_all_processes(environment: Environment) -> None:
    environment.install(
        "bells_plugin",
        dedent(LAYOUT) + dedent(RULE),
        "layouts: bells = bells_plugin:Bells",
        "rules: bell-cracked = bells_plugin:BellCracked",
    )
    code, report = environment.check("bells_lmdb", "--jobs", "2")
    assert (code, report["source"]["layout"], rules_of(report)) == (0, "bells", [("bell-cracked", 7)])
    assert environment.check("bells_lmdb", "--severity", "bell-cracked=error")[0] == 1
    assert "Names bells that are too short." in environment.run("rules", "bell-cracked").stdout
    assert "a short bell" in environment.run("check", "bells_lmdb").stdout
    assert "a short bell" in environment.run("show", "bells_lmdb", "#7").stdout
    without = environment.run("check", "bells_lmdb", "--output", "json", variables={"DATASCAN_NO_PLUGINS": "1"})
    assert json.loads(without.stdout)["reports"][0]["source"]["layout"] == "raw"


def test_a_backend_reads_what_no_other_does(environment: Environment) -> None:
    environment.install(
        "bells_plugin",
        dedent(LAYOUT) + dedent(BACKEND),
        "layouts: bells = bells_plugin:Bells",
        "backends: lines = bells_plugin:lines",
    )
    for argv in (["tower.bells"], ["tower.bells", "--backend", "lines"]):
        code, report = environment.check(*argv)
        assert (code, report["source"]["store"], report["coverage"]["seen"]) == (0, "lines", 20)
    assert "not one of lmdb, leveldb, hdf5, lines" in environment.run("check", "x", "--backend", "files").stderr


def test_a_renderer_is_a_format_of_output(environment: Environment) -> None:
    source = "def shout(report, stream, style):\n    stream.write(f'{len(report)} FINDINGS!\\n')\n"
    source += "def mute(report, stream, style):\n    raise RuntimeError('no voice')\n"
    environment.install("loud", source, "renderers: shout = loud:shout", "renderers: mute = loud:mute")
    ended = environment.run("check", "bells_lmdb", "-o", "shout=shout.txt", "-o", "mute=mute.txt")
    assert ended.returncode == 3
    assert "the plug-in for --output mute failed, its report is not there: RuntimeError: no voice" in ended.stderr
    assert (environment.work / "shout.txt").read_text(encoding="utf-8") == "0 FINDINGS!\n"
    assert not (environment.work / "mute.txt").exists()


BROKEN = {
    "raises when it is imported": ("raise OSError('the license has expired')", "OSError: the license has expired"),
    "ends the process when it is imported": ("import sys; sys.exit(9)", "SystemExit: 9"),
    "is no Python": ("def", "SyntaxError"),
    "holds no such object": ("", "AttributeError"),
    "is no rule": ("class Lost: pass", "is no subclass of Rule"),
    "has no page": ("from datascan.scanner.rules import Rule\nclass Lost(Rule):\n    name = 'lost-rule'", "severity"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_whatever_is_wrong_with_one_is_caught_and_told(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, why = BROKEN[how]
    module = f"lost_{len(how)}"
    Environment(tmp_path).install(module, source, f"rules: lost-rule = {module}:Lost")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    registry = Registry("rules", RULE_PLUGINS.own, RULE_PLUGINS._check)
    ((plugin, said),) = registry.broken.items()
    assert (plugin.name, plugin.package) == ("lost-rule", f"{module} 1.0")
    assert why in said
    assert "lost-rule" not in registry
    assert registry["value-nan"].name == "value-nan"


def test_a_broken_rule_is_named_and_ends_no_scan(environment: Environment) -> None:
    environment.install("lost", "raise OSError('the license has expired')", "rules: lost-rule = lost:Lost")
    code, report = environment.check("bells_lmdb", "--layout", "npy", "--ignore", "record-undecodable")
    assert (code, report["coverage"]["seen"]) == (3, 20)
    reason = "rule lost-rule of lost 1.0 can't be used: OSError: the license has expired"
    assert {"rule": "plugin", "reason": reason} in report["coverage"]["not_run"]
    assert environment.check("bells_lmdb", "--layout", "npy", "--ignore", "record-undecodable,lost")[0] == 0
    ended = environment.run("check", "bells_lmdb", "--select", "lost-rule")
    assert (ended.returncode, reason in ended.stderr) == (2, True)


def test_all_are_listed_with_what_is_wrong(environment: Environment) -> None:
    assert environment.run("plugins").stdout == "no plug-ins are installed\n"
    environment.install(
        "bells_plugin", dedent(LAYOUT), "layouts: bells = bells_plugin:Bells", "layouts: npy = bells_plugin:Bells"
    )
    ended = environment.run("plugins")
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ended.stdout.splitlines() == [
        "layout  bells  bells_plugin 1.0  bells_plugin:Bells",
        "layout  npy    bells_plugin 1.0  bells_plugin:Bells",
        "  broken: the name 'npy' is taken",
    ]
    listed = json.loads(environment.run("plugins", "--output", "json").stdout)["plugins"]
    assert [(entry["kind"], entry["name"], entry["broken"]) for entry in listed] == [
        ("layout", "bells", None),
        ("layout", "npy", "the name 'npy' is taken"),
    ]


def test_a_plug_in_that_fails_in_a_scan_is_no_bug_of_ours_and_no_pass(environment: Environment) -> None:
    broken = dedent(LAYOUT).replace("if bytes(value[:4])", "if value[99]")
    environment.install("bells_plugin", broken, "layouts: bells = bells_plugin:Bells")
    code, report = environment.check("bells_lmdb")
    assert (code, report["coverage"]["seen"]) == (3, 0)
    assert any("(of a plug-in) crashed: IndexError" in reason for reason in report["coverage"]["reasons"])


def test_a_layout_that_fails_to_look_leaves_the_choice_to_the_others(environment: Environment) -> None:
    environment.install(
        "bells_plugin", dedent(LAYOUT).replace("return [", "return 1 / 0 or ["), "layouts: bells = bells_plugin:Bells"
    )
    _, report = environment.check("bells_lmdb")
    assert report["source"]["layout"] == "raw"
    assert {
        "rule": "plugin",
        "reason": "layout bells failed to look at the records: ZeroDivisionError: division by zero",
    } in (report["coverage"]["not_run"])


def test_a_layout_of_the_working_folder_needs_no_package(environment: Environment) -> None:
    (environment.work / "my_layouts.py").write_text(dedent(LAYOUT), encoding="utf-8")
    code, report = environment.check("bells_lmdb", "--layout", "my_layouts:Bells", "--jobs", "2")
    assert (code, report["source"]["layout"], report["coverage"]["seen"]) == (0, "bells", 20)
    for place, why in (
        ("my_layouts:Gongs", "has no attribute 'Gongs'"),
        ("your_layouts:Bells", "No module named 'your_layouts'"),
        ("my_layouts:Fault", "is no layout"),
    ):
        ended = environment.run("check", "bells_lmdb", "--layout", place)
        assert ended.returncode == 2
        assert why in ended.stderr


def test_no_plug_in_is_loaded_to_print_a_help_text(environment: Environment) -> None:
    source = "from pathlib import Path\nPath('loaded').touch()"
    environment.install("spy", source, "rules: spy-rule = spy:Rule", "layouts: spy = spy:Layout")
    assert environment.run("--help").returncode == 0
    assert environment.run("check", "--help").returncode == 0
    assert not (environment.work / "loaded").exists()
    environment.run("plugins")
    assert (environment.work / "loaded").exists()


def test_the_example_package_works_and_passes_its_own_tests(tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
    copy = tmp_path / "datascan-wav"
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and path.suffix in (".py", ".toml"):
            (copy / path.relative_to(EXAMPLE)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(EXAMPLE)).write_bytes(path.read_bytes())
    subprocess.run([*install, str(copy)], check=True, capture_output=True, text=True)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(copy)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(ROOT / ".typing")])},
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "skipped" not in ended.stdout
    lines = (EXAMPLE / "datascan_wav.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60
