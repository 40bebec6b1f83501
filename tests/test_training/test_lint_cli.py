"""``datascan lint`` through `main`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.__main__ import main
from datascan.scanner.finding import Finding, Severity
from datascan.scanner.report import FindingsError
from datascan.scanner.training import lint as lint_module
from datascan.scanner.training.lint import Choice, lint
from datascan.scanner.training.prototxt import Message
from datascan.scanner.training.registry import FILE_RULES, JUDGES

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "training"
CLEAN = FIXTURES / "clean" / "step.prototxt"
NAN = FIXTURES / "damaged" / "solver-rate-nan.prototxt"

NET = """name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `main`: exit code, standard output, standard error."""
    for name in ("DATASCAN_DEBUG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run_main(*argv: object) -> tuple[int, str, str]:
        code = main(["lint", *(str(word) for word in argv)])
        return (code, *capsys.readouterr())

    return run_main


def test_a_clean_solver_is_0_and_its_net_is_said_not_to_be_read(run: Run) -> None:
    code, out, err = run(CLEAN)
    assert (code, err) == (0, "")
    assert out.startswith("PASS")
    assert "solver · " in out
    assert "all of it: 15 lines" in out
    assert "train_val.prototxt is not read: only files named on the command line are" in " ".join(out.split())


def test_a_finding_is_1_with_line_and_remedy(run: Run) -> None:
    code, out, _ = run(NAN)
    assert code == 1
    assert out.startswith("FAIL")
    assert "solver-rate-nan  1 finding\n  line 3  the learning rate is nan" in out
    assert "-> max_iter: 10000" in out


def test_the_json_report(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    code, out, _ = run(NAN, "--quiet", "--output", f"json={target}")
    assert code == 1
    assert "why" not in out
    (report,) = json.loads(target.read_text(encoding="utf-8"))["reports"]
    assert report["source"] == {
        "path": str(NAN), "store": None, "layout": "solver", "records": None, "bytes": NAN.stat().st_size,
    }  # fmt: skip
    assert report["coverage"]["complete"]
    finding = report["findings"][0]
    assert (finding["rule"], finding["location"]["line"]) == ("solver-rate-nan", 3)
    assert finding["data"] == {
        "cause": "learning-rate", "remedy": "max_iter: 10000", "iteration": 0, "rate": "nan",
    }  # fmt: skip


def test_the_same_file_gives_the_same_report() -> None:
    one, other = (lint(NAN).to_dict()["reports"][0] for _ in range(2))
    del one["run"], other["run"]
    assert one == other


def test_solver_and_net_are_told_apart_by_their_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(NET)
    (tmp_path / "b").write_text('net: "a"\nbase_lr: 0.1\nlr_policy: "fixed"\nmax_iter: 5\n')
    net, solver = lint(tmp_path / "a", tmp_path / "b").reports
    assert (net.source.layout, solver.source.layout) == ("net", "solver")
    assert solver.coverage.not_run == (), "its net is among the files"


def test_a_text_that_is_broken_from_its_start_is_told_by_its_lines(tmp_path: Path) -> None:
    (tmp_path / "solver").write_text("base_lr 0.1\nmax_iter: 5\n")
    (tmp_path / "net").write_text('"\nlayer {\n  name: "x"\n}\n')
    solver, net = lint(tmp_path / "solver", tmp_path / "net").reports
    assert [finding.rule for finding in solver.findings] == ["solver-syntax"]
    assert [finding.rule for finding in net.findings] == ["net-syntax"]
    assert not solver.coverage.complete
    assert "line 1" in solver.coverage.reasons[0]


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "neither a solver nor a net"),
        (b"item { label: 1 }", "neither a solver nor a net"),
        (b"\x0a\x04name\x00\x00", "no text"),
        (b"I1123 10:00:00.0 1 solver.cpp:45] Initializing", "neither a solver nor a net"),
    ],
)
def test_what_is_neither_is_3(run: Run, tmp_path: Path, contents: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(contents)
    code, out, _ = run(tmp_path / "x")
    assert code == 3
    assert out.startswith("INCOMPLETE")
    assert words in " ".join(out.split())


def test_what_cannot_be_read_is_3_and_the_others_are_judged(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, out, _ = run(tmp_path / "absent", tmp_path, tmp_path / "pipe", NAN)
    assert code == 3
    text = " ".join(out.split())
    assert "no such file" in text
    assert "Is a directory" in text
    assert "not a file" in text
    assert "solver-rate-nan" in text


def test_a_file_of_any_size_is_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint_module, "MOST_BYTES", 1 << 20)
    with open(tmp_path / "big", "wb") as file:
        file.truncate((1 << 20) + 1)
    assert "larger than 1 MB" in (lint(tmp_path / "big").reports[0].error or "")


def test_rules_are_selected_ignored_and_graded(run: Run) -> None:
    assert run(NAN, "--select", "solver-max-iter-invalid")[0] == 0
    assert run(NAN, "--ignore", "solver-rate-nan")[0] == 0
    assert run(NAN, "--severity", "solver-rate-nan=warning")[0] == 0
    assert run(NAN, "--severity", "solver=info", "--fail-on", "info")[0] == 1
    assert run(NAN, "--fail-on", "never")[0] == 0
    assert run(NAN, "--ignore", "solver-rate-nan", "--fail-on", "warning")[0] == 1


@pytest.mark.parametrize("option", ["--select", "--ignore", "--severity"])
def test_an_unknown_rule_is_2_with_the_nearest(run: Run, option: str) -> None:
    value = "solver-rate-nam=error" if option == "--severity" else "solver-rate-nam"
    code, out, err = run(NAN, option, value)
    assert (code, out) == (2, "")
    assert option in err
    assert "did you mean solver-rate-nan" in err


def test_a_rule_about_records_is_no_rule_here(run: Run) -> None:
    code, _, err = run(NAN, "--select", "image")
    assert code == 2
    assert "families are solver, net" in err


def test_a_source_is_never_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "solver.prototxt").write_bytes(NAN.read_bytes())
    assert run(tmp_path / "solver.prototxt", "-o", f"json={tmp_path / 'solver.prototxt'}")[0] == 2
    assert (tmp_path / "solver.prototxt").read_bytes() == NAN.read_bytes()


def test_control_characters_of_a_file_do_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'net: "a\x1b[31m\xff" lr_policy: "\x1b[2J" max_iter: 5 base_lr: 1 type: "\x9b"')
    code, out, _ = run(tmp_path / "x")
    assert code == 1
    assert "\x1b" not in out
    assert "\x9b" not in out
    out.encode("utf-8")
    code, out, _ = run(tmp_path / "x", "-o", "json")
    json.loads(out)


def test_the_pages_are_listed_with_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--output", "json"]) == 0
    names = [rule["name"] for rule in json.loads(capsys.readouterr().out)["rules"]]
    assert {rule.name for rule in FILE_RULES} <= set(names)
    assert main(["rules", "solver-rate-nan"]) == 0
    assert "Why is this bad?" in capsys.readouterr().out


def test_the_python_face_raises_for_findings() -> None:
    lint(CLEAN).raise_for_findings()
    with pytest.raises(FindingsError, match="1 error, 1 warning"):
        lint(NAN).raise_for_findings()
    lint(NAN, choice=Choice(fail_on=None)).raise_for_findings()
    lint(NAN, choice=Choice(severities={"solver-rate-nan": Severity.INFO})).raise_for_findings()


@given(st.binary(max_size=200), st.sampled_from([b"", b"base_lr: 1 ", b"layer { ", b"layers { layer { "]))
def test_no_bytes_end_it(tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.prototxt"
    path.write_bytes(head + data)
    report = lint(path)
    report.to_json()
    assert not report.reports[0].crashed


def test_a_judge_that_fails_is_4_and_keeps_the_other_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(message: Message) -> list[Finding]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(lint_module, "JUDGES", {**JUDGES, "net": fail})
    code, out, err = run(FIXTURES / "damaged" / "net-syntax.prototxt", NAN)
    assert code == 4
    assert "a bug" in err
    assert "solver-rate-nan" in out
    assert "which is a bug in datascan" in " ".join(out.split())


def test_every_judge_has_a_kind() -> None:
    assert set(JUDGES) == {"solver", "net"}
