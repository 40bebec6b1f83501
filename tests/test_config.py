"""The configuration file: found, read, refused with its line, and outweighed in the right order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli_sources import RECORDS, write_hdf5, write_lmdb

from datascan.scanner.__main__ import main
from datascan.scanner.cli import COMMANDS
from datascan.scanner.cli.check import check as check_command
from datascan.scanner.cli.settings import NETWORK, OF_A_RUN, RUN, SCAN, key_of
from datascan.scanner.config_file import ConfigError, find_config
from datascan.scanner.configured import check_configured, load_configuration
from datascan.scanner.crew import Crew
from datascan.scanner.toml_lines import lines_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two data sets below ``data``; the working folder is one of its folders."""
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    write_lmdb(tmp_path / "data" / "train_lmdb")
    write_hdf5(tmp_path / "data" / "train.h5")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def configure(folder: Path, text: str, name: str = "datascan.toml") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def in_force(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, dict[str, Any]]:
    """``datascan config --json``: key to its value and origin, of the scan; of each source under its name."""
    code, out, err = run(capsys, *argv, "config", "--json")
    assert code == 0, err
    told = json.loads(out)
    found = {"scan": {one["key"]: one for one in told["settings"]["scan"]}}
    for source in told["sources"]:
        found[source["name"]] = {one["key"]: one for one in source["settings"]}
    return found


TWO_SOURCES = f"""
num-classes = 10
[sources.train]
path = "data/train_lmdb"
num-classes = 3
expect = {{ records = {RECORDS}, shape = [3, 4, "*"], layout = "caffe-datum" }}

[sources.rows]
path = "data/train.h5"
[sources.rows.expect]
min-records = {RECORDS + 1}
"""


# ---- finding the file ----


def test_the_nearest_file_wins_whatever_its_name(home: Path) -> None:
    configure(home, "jobs = 1")
    found = find_config()
    assert found is not None
    assert found.path == home / "datascan.toml"
    configure(home / "work", "[tool.datascan]\njobs = 2", "pyproject.toml")
    found = find_config()
    assert found is not None
    assert dict(found.table) == {"jobs": 2}


def test_a_pyproject_without_a_table_of_ours_is_passed_by(home: Path) -> None:
    configure(home / "work", "[tool.other]\njobs = 2", "pyproject.toml")
    configure(home, "jobs = 1")
    found = find_config()
    assert found is not None
    assert found.path == home / "datascan.toml"


def test_two_files_in_one_folder_are_an_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, "jobs = 1")
    configure(home, "[tool.datascan]", "pyproject.toml")
    code, _, err = run(capsys, "config")
    assert code == 2
    assert "both datascan.toml and [tool.datascan] in pyproject.toml" in err


def test_config_none_looks_for_no_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, "jobs = 1")
    assert in_force(capsys)["scan"]["jobs"]["value"] == 1
    assert in_force(capsys, "--config", "none")["scan"]["jobs"]["value"] is None


def test_what_needs_no_configuration_works_with_a_broken_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, "jobs = = 1")
    for argv in (["rules", "value-nan"], ["check", "--help"], ["--help"]):
        assert run(capsys, *argv)[0] == 0
    code, _, err = run(capsys, "check", "../data/train_lmdb")
    assert code == 2
    assert "no TOML" in err


# ---- what is refused ----


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("\nnum-clases = 3", 2, "did you mean num-classes?"),
        ("num_classes = 3", 1, "did you mean num-classes?"),
        ("[sources.a]\npath = 'x'\nexpects = {}", 3, "did you mean expect?"),
        ("[sources.a]\npath = 'x'\n[sources.a.expect]\nrecord = 3", 4, "did you mean records?"),
        ("[probe]\nscael = 3", 2, "did you mean scale?"),
        ("[sources.a]\njobs = 3\npath = 'x'", 2, "unknown key 'jobs' in [sources.a]"),
        ("resume = 'x'", 1, "unknown key 'resume'"),
        ("num-classes = '3'", 1, "must be a whole number, not the text '3'"),
        ("num-classes = true", 1, "must be a whole number, not true"),
        ("num-classes = 0", 1, "0 is not in the range x>=1"),
        ("sample = 2.5", 1, "not in the range"),
        ("sample = nan", 1, "nan is no number"),
        ("quiet = 1", 1, "must be true or false, not 1"),
        ("select = 3", 1, "must be a list of texts, not 3"),
        ("select = ['valeu']", 1, "did you mean value"),
        ("severity = ['value-nan=error']", 1, "severity must be a table"),
        ("[severity]\nvalue-nan = 'bad'", 1, "is not RULE=LEVEL"),
        ("fail-on = 'fatal'", 1, "is not one of"),
        ("layout = 'caffe-datun'", 1, "did you mean caffe-datum"),
        ("max-memory = 'much'", 1, "is no size"),
        ("sources = 3", 1, "sources must be a table"),
        ("[sources.a]\nnum-classes = 3", 1, "needs a path"),
        ("[sources.a]\npath = 'x'\nexpect = { records = 3, min-records = 2 }", 3, "records is exact"),
        ("[sources.a]\npath = 'x'\nexpect = { value-range = [3, 2] }", 3, "[lowest, highest]"),
        ("[sources.a]\npath = 'x'\nexpect = { shape = [3, 'x'] }", 3, 'whole numbers and "*"'),
        ("[sources.a]\npath = 'x'\nexpect = { dtype = 'float23' }", 3, "no dtype 'float23'"),
        ("[sources.a]\npath = 'x'\nexpect = { store = 'hdf' }", 3, "no store 'hdf'"),
    ],
)
def test_what_can_t_be_meant_is_refused_with_its_line(
    home: Path, capsys: pytest.CaptureFixture[str], text: str, line: int, said: str
) -> None:
    configure(home, text)
    code, out, err = run(capsys, "check", "../data/train_lmdb")
    assert code == 2
    assert f"datascan.toml:{line}: " in err
    assert said in err
    assert not out


def test_lines_are_those_of_the_file_whatever_stands_between() -> None:
    text = 'a = """\n[x]\nb = 1\n"""\n"c d".e = [\n "]", # ]\n { f = 1 },\n]\n[[g]]\nh = 1\n[g.i]\n'
    lines = lines_of(text)
    assert lines == {
        ("a",): 1,
        ("c d",): 5,
        ("c d", "e"): 5,
        ("c d", "e", "f"): 7,
        ("g",): 9,
        ("g", "h"): 10,
        ("g", "i"): 11,
    }


# ---- what wins ----


def test_flag_over_environment_over_source_over_file_over_default(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def classes(*argv: str) -> str:
        _, out, _ = run(capsys, "check", "train", "--select", "label-out-of-range", "--output", "json", *argv)
        report = json.loads(out)["reports"][0]
        return str(report["counts"]["error"] if not report["coverage"]["not_run"] else "not run")

    configure(home, "[sources.train]\npath = 'data/train_lmdb'")
    assert classes() == "not run"
    configure(home, "num-classes = 2\n[sources.train]\npath = 'data/train_lmdb'")
    assert classes() == "4"
    configure(home, "num-classes = 2\n[sources.train]\npath = 'data/train_lmdb'\nnum-classes = 3")
    assert classes() == "0"
    monkeypatch.setenv("DATASCAN_NUM_CLASSES", "1")
    assert classes() == "8"
    assert classes("--num-classes", "3") == "0"


def test_every_option_has_a_variable_and_a_place_in_the_file(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {p.name: p for p in check_command.params if p.param_type_name == "option"}
    known = {option.name for option in (*SCAN.values(), *RUN.values(), *NETWORK.values())}
    assert set(options) - known == {*OF_A_RUN, "probe"} & set(options)
    monkeypatch.setenv("DATASCAN_SELECT", "label value-nan,box")
    monkeypatch.setenv("DATASCAN_QUIET", "1")
    monkeypatch.setenv("DATASCAN_JOBZ", "1")
    found = in_force(capsys)["scan"]
    assert (found["select"]["value"], found["select"]["origin"]) == ("label value-nan,box", "DATASCAN_SELECT")
    assert found["quiet"]["origin"] == "DATASCAN_QUIET"
    code, out, _ = run(capsys, "config")
    assert code == 0
    assert "DATASCAN_JOBZ is set, and no option has that name; did you mean DATASCAN_JOBS?" in out
    code, out, _ = run(capsys, "check", "../data/train_lmdb", "--output", "json")
    assert {entry["rule"] for entry in json.loads(out)["reports"][0]["coverage"]["not_run"]} == {"label-out-of-range"}


def test_config_says_whence_each_setting_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, TWO_SOURCES)
    found = in_force(capsys)
    file = home / "datascan.toml"
    assert found["scan"]["num-classes"] == {"key": "num-classes", "value": 10, "origin": f"{file}:2"}
    assert found["train"]["num-classes"] == {"key": "num-classes", "value": 3, "origin": f"{file}:5"}
    assert found["scan"]["extreme"]["origin"] == "default"
    code, out, _ = run(capsys, "config")
    assert code == 0
    assert "source train" in out
    assert key_of(SCAN["num-classes"]) == "num-classes"


# ---- sources ----


def rules_found(out: str) -> dict[str, list[str]]:
    return {
        Path(one["source"]["path"]).name: [finding["rule"] for finding in one["findings"]]
        for one in json.loads(out)["reports"]
    }


def test_without_a_source_all_that_are_configured_are_scanned(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, TWO_SOURCES)
    code, out, _ = run(capsys, "check", "--select", "expect", "--output", "json")
    assert rules_found(out) == {"train_lmdb": [], "train.h5": ["expect-records"]}
    assert code == 1


@pytest.mark.parametrize("named", ["rows", "../data/train.h5", "../data/../data/train.h5"])
def test_a_source_is_known_by_its_name_and_by_any_of_its_paths(
    home: Path, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    configure(home, TWO_SOURCES)
    code, out, _ = run(capsys, "check", named, "--output", "json", "--select", "expect")
    assert rules_found(out) == {"train.h5": ["expect-records"]}
    assert code == 1


def test_a_name_that_is_also_another_path_is_not_guessed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, TWO_SOURCES)
    write_lmdb(home / "work" / "rows")
    code, _, err = run(capsys, "check", "rows")
    assert code == 2
    assert "write ./rows for the path" in err
    assert run(capsys, "check", "./rows", "--select", "store", "--quiet")[0] == 0


def test_no_source_at_all_is_a_usage_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "check")
    assert code == 2
    assert "no SOURCE given, and none is configured" in err


def test_an_output_in_the_file_counts_from_its_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, 'output = "json=report.json"\nquiet = true')
    assert run(capsys, "check", "../data/train_lmdb")[0] == 0
    assert json.loads((home / "report.json").read_text())["verdict"] == "pass"


def test_a_source_brings_the_options_of_its_network(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, "[sources.train]\npath = 'data/train_lmdb'\nprobe = { dtype = 'float16', scale = 1e4 }")
    code, out, _ = run(capsys, "check", "train", "--select", "probe", "--output", "json")
    assert code == 1
    assert set(rules_found(out)["train_lmdb"]) == {"probe-non-finite"}
    code, out, _ = run(capsys, "probe", "train", "--scale", "0.01", "--output", "json")
    assert code == 0


# ---- Python ----


def test_the_same_in_python(home: Path, crew: Crew) -> None:
    configure(home, TWO_SOURCES)
    report = check_configured("train", "rows", crew=crew, select=("expect", "label"))
    assert [finding.rule for finding in report] == ["expect-records"]
    assert check_configured("train", crew=crew, num_classes=2).exit_code == 1
    configuration = load_configuration(home / "datascan.toml")
    assert configuration.sources["train"].expectations.shape == (3, 4, None)
    with pytest.raises(ConfigError):
        load_configuration(home / "nowhere.toml")


# ---- the documentation ----


def test_the_example_of_the_documentation_is_a_configuration(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "configuration.md").read_text(encoding="utf-8")
    configure(tmp_path, page.split("```toml\n")[1].split("```")[0])
    found = load_configuration(tmp_path / "datascan.toml")
    assert found.sources["train"].expectations.shape == (3, None, None)
    named = set(re.findall("`([a-z-]+)`", page.split("## Keys")[1].split("## Sources")[0]))
    assert named - {"true", "false", "run", "path", "expect", "audit", "check"} <= {
        *SCAN,
        *RUN,
        *OF_A_RUN,
        "probe",
        *COMMANDS,
    }


def test_an_address_counts_from_nowhere(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(home, '[sources.far]\npath = "s3://bucket/train.h5"\n')
    assert "source far  s3://bucket/train.h5" in run(capsys, "config")[1]
