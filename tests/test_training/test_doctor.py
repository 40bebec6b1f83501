"""Solver, net, log and data of small made runs: which cause is ranked first, with which evidence."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np
import pytest

from datascan.scanner import Report, Severity, check
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.doctor import doctor
from datascan.scanner.report import Cause
from datascan.scanner.training.doctor_trace import Trace
from datascan.scanner.training.doctor_weights import read_weights

NAN, INF = math.nan, math.inf
SIDE, RECORDS, BATCH, CLASSES = 8, 40, 10, 3
HEALTHY = (1.1, 1.08, 1.05, 1.02, 0.99, 0.95, 0.93, 0.9)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def datum(label: int, values: np.ndarray) -> bytes:
    head = b"".join(bytes([tag]) + varint(size) for tag, size in ((0x08, 1), (0x10, SIDE), (0x18, SIDE), (0x28, label)))
    return head + b"".join(b"\x35" + struct.pack("<f", value) for value in values)


def write_set(folder: Path, bad: dict[int, float] | None = None, labels: dict[int, int] | None = None) -> None:
    rng = np.random.default_rng(1)
    with lmdb.open(str(folder), map_size=1 << 22) as environment, environment.begin(write=True) as transaction:
        for number in range(RECORDS):
            values = rng.random(SIDE * SIDE).astype(np.float32)
            values[5] = (bad or {}).get(number, values[5])
            label = (labels or {}).get(number, number % CLASSES)
            transaction.put(f"{number:08d}_x".encode(), datum(label, values))


def net(pool: str = "pool: MAX kernel_size: 2 stride: 2", source: str = "train_lmdb", extra: str = "") -> str:
    return f"""name: "small"
layer {{ name: "data" type: "Data" top: "data" top: "label" {extra}
  data_param {{ source: "{source}" batch_size: {BATCH} backend: LMDB }} }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param {{ {pool} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param {{ num_output: {CLASSES} weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""


SOLVER = 'net: "net.prototxt"\nbase_lr: 0.01\nlr_policy: "fixed"\nmax_iter: 8\ndisplay: 1\n'


def spoken(value: float) -> str:
    return "-nan" if math.isnan(value) else f"{value:g}"


def log(losses: Sequence[float], solver: str = SOLVER, rates: Sequence[float] = (), end: str = "") -> str:
    """What Caffe prints of a run."""
    clock = "I1102 10:00:00.000000  4242 "
    lines = [f"{clock}solver.cpp:45] Initializing solver from parameters: ", solver.rstrip("\n")]
    lines.append(f"{clock}solver.cpp:60] Solving small")
    for number, loss in enumerate(losses):
        rate = rates[number] if number < len(rates) else 0.01
        lines.append(f"{clock}solver.cpp:239] Iteration {number} (10 iter/s, 0.1s/1 iters), loss = {spoken(loss)}")
        lines.append(
            f"{clock}solver.cpp:258]     Train net output #0: loss = {spoken(loss)} (* 1 = {spoken(loss)} loss)"
        )
        lines.append(f"{clock}sgd_solver.cpp:112] Iteration {number}, lr = {spoken(rate)}")
    lines.append(end or f"{clock}caffe.cpp:254] Optimization Done.")
    return "\n".join(lines) + "\n"


STOPPED = (
    "F1102 10:00:00.000000  4242 data_transformer.cpp:168] Check failed: datum_height == height (6 vs. 8) \n"
    "*** Check failure stack trace: ***\n    @     0x7f2c  caffe::DataTransformer<>::Transform()"
)
GREW = (1.1, 4.2, 60.0, 900.0, 5e7, NAN, NAN, NAN)
AT_THREE = (*HEALTHY[:3], NAN, NAN, NAN, NAN, NAN)


@dataclass(frozen=True)
class Story:
    """A run: what was wrong, and which cause must be first with which verdict."""

    cause: str | None
    verdict: str
    losses: Sequence[float] = HEALTHY
    bad: dict[int, float] | None = None
    labels: dict[int, int] | None = None
    net: str = net()
    solver: str = SOLVER
    rates: Sequence[float] = ()
    end: str = ""


STORIES = {
    "healthy": Story(None, ""),
    "nan-in-the-batch-of-the-iteration": Story("input-data", "confirmed", AT_THREE, {37: NAN}),
    "inf-in-the-batch-of-the-iteration": Story("input-data", "confirmed", AT_THREE, {31: INF}),
    "outlier-the-iteration-before": Story("input-data", "confirmed", (1.1, 1.08, 87.3365, *[NAN] * 5), {25: 1e30}),
    "growth-with-clean-data": Story("gradient-explosion", "confirmed", GREW),
    "growth-although-a-later-record-is-nan": Story(
        "gradient-explosion", "likely", (1.1, 90.0, NAN), {39: NAN}, solver=SOLVER.replace("8", "3")
    ),
    "sudden-nan-with-clean-data": Story("gradient-explosion", "likely", AT_THREE),
    "empty-average-window": Story("pooling", "confirmed", [NAN] * 8, net=net("pool: AVE kernel_size: 1 stride: 2")),
    "empty-window-hidden": Story("pooling", "likely", net=net("pool: MAX kernel_size: 1 stride: 2")),
    "rate-not-a-number": Story(
        "learning-rate", "confirmed", (1.1, 1.0, *[NAN] * 6), solver=SOLVER, rates=(0.01, NAN, NAN, NAN)
    ),
    "rate-negative": Story("learning-rate", "confirmed", rates=(0.01, 0.01, 0.01, -0.01, -0.02)),
    "loss-weight": Story(
        "loss-function", "confirmed", [NAN] * 8, net=net().replace('top: "loss" }', 'top: "loss" loss_weight: nan }')
    ),
    "nan-swallowed": Story("input-data", "confirmed", (1.1, 1.08, 1.05, *[math.log(3)] * 5), {37: NAN}),
    "stopped": Story("aborted", "confirmed", HEALTHY[:3], end=STOPPED),
    "label-beyond-the-classes": Story("input-data", "likely", labels={37: 3}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: only for the command, whose workers begin here too."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def diagnosed(folder: Path, crew: Crew, *names: str, data_root: str = "") -> Report:
    """The files of a folder, by their names."""
    files = {name.partition(".")[0]: folder / name for name in names}
    chosen = {"log" if kind == "train" else "solver" if kind == "alone" else kind: path for kind, path in files.items()}
    return doctor(
        solver=chosen.get("solver"),
        net=chosen.get("net"),
        log=chosen.get("log"),
        data_root=folder / data_root,
        crew=crew,
    )


def write(folder: Path, story: Story) -> None:
    folder.mkdir(exist_ok=True)
    write_set(folder / "train_lmdb", story.bad, story.labels)
    (folder / "solver.prototxt").write_text(story.solver)
    (folder / "net.prototxt").write_text(story.net)
    (folder / "train.log").write_text(log(story.losses, story.solver, story.rates, story.end))


def first(report: Report) -> Cause:
    assert report.causes is not None
    assert [cause.rank for cause in report.causes] == list(range(1, 9))
    return report.causes[0]


def the(report: Report, name: str) -> Cause:
    return next(cause for cause in report.causes or () if cause.cause == name)


@pytest.mark.parametrize("name", STORIES)
def test_the_cause_is_ranked_first(name: str, folder: Path, crew: Crew) -> None:
    story = STORIES[name]
    write(folder, story)
    report = diagnosed(folder, crew, "solver.prototxt", "net.prototxt", "train.log")
    cause = first(report)
    if story.cause is None:
        assert [one.verdict for one in report.causes or ()] == ["ruled-out"] * 8
        assert report.exit_code == 0
        assert not [one for one in report if one.severity is Severity.ERROR]
        return
    assert (cause.cause, cause.verdict) == (story.cause, story.verdict), cause
    assert cause.evidence
    assert report.exit_code == 1


def test_the_record_is_named_with_its_key_and_its_iteration(folder: Path, crew: Crew) -> None:
    write(folder, STORIES["nan-in-the-batch-of-the-iteration"])
    cause = first(diagnosed(folder, crew, "net.prototxt", "train.log"))
    assert "record 37 (00000037_x)" in cause.evidence[0]
    assert "iteration 3 takes it first" in cause.evidence[0]
    assert "records 30 to 39" in " ".join(cause.evidence)


def test_a_record_that_the_run_had_not_reached_is_not_to_blame(folder: Path, crew: Crew) -> None:
    write(folder, Story(None, "", (1.1, NAN, NAN), {37: NAN}, solver=SOLVER.replace("8", "3")))
    report = diagnosed(folder, crew, "solver.prototxt", "net.prototxt", "train.log")
    assert the(report, "input-data").verdict == "possible"


def test_the_reason_why_caffe_stopped_is_quoted_with_its_line(folder: Path) -> None:
    write(folder, STORIES["stopped"])
    cause = first(doctor(log=folder / "train.log"))
    assert "Check failed: datum_height == height (6 vs. 8)" in cause.summary
    lines = (folder / "train.log").read_text().splitlines()
    number = next(at for at, line in enumerate(lines, 1) if "Check failed" in line)
    assert cause.evidence[0].startswith(f"{folder / 'train.log'}:{number}: ")


@pytest.mark.parametrize(
    ("given", "unchecked"),
    [
        ("train.log", {"loss-function", "input-data", "pooling", "layer-parameters"}),
        ("alone.prototxt", {"gradient-explosion", "input-data", "pooling", "aborted", "initial-weights"}),
        ("net.prototxt", {"gradient-explosion", "learning-rate", "aborted", "initial-weights"}),
    ],
)
def test_what_was_not_given_is_never_ruled_out(given: str, unchecked: set[str], folder: Path, crew: Crew) -> None:
    write(folder, STORIES["healthy"])
    (folder / "alone.prototxt").write_text(SOLVER.replace("net.prototxt", "elsewhere.prototxt"))
    for path in folder.glob("*.*"):
        if path.name != given:
            path.unlink()
    report = diagnosed(folder, crew, given)
    assert unchecked <= {one.cause for one in report.causes or () if one.verdict == "not-checked"}
    assert not [one.cause for one in report.causes or () if one.guilty]


def test_data_that_are_not_at_hand_are_not_ruled_out(folder: Path, crew: Crew) -> None:
    write(folder, Story(None, "", net=net(source="elsewhere_lmdb")))
    report = diagnosed(folder, crew, "net.prototxt", "train.log")
    assert the(report, "input-data").verdict == "not-checked"
    assert "elsewhere_lmdb" in the(report, "input-data").summary
    assert report.exit_code == 0


def test_the_folder_of_the_data_may_be_another(folder: Path, crew: Crew) -> None:
    write(folder, STORIES["nan-in-the-batch-of-the-iteration"])
    (folder / "data").mkdir()
    (folder / "train_lmdb").rename(folder / "data" / "train_lmdb")
    report = diagnosed(folder, crew, "net.prototxt", "train.log", data_root="data")
    assert first(report).verdict == "confirmed"


# ---- pieces ----


def test_records_are_counted_modulo_their_number() -> None:
    trace = Trace(records=25, per_iteration=10)
    assert trace.range_of(1) == "records 10 to 19"
    assert trace.range_of(2) == "records 20 to 24 and 0 to 4"
    assert trace.first_reached(24) == 2
    assert trace.within(3, 2, 2)
    assert not trace.within(5, 2, 2)
    assert not trace.within(3, 3, 3)
    assert Trace(25, 30).range_of(7) == "all 25 records"


def test_a_resumed_run_begins_at_the_first_record() -> None:
    trace = Trace(records=60, per_iteration=10, start=1000)
    assert trace.first_reached(37) == 1003
    assert trace.range_of(1000) == "records 0 to 9"


def message(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def test_weights_that_are_not_finite_are_found(tmp_path: Path) -> None:
    def model(values: Sequence[float]) -> bytes:
        blob = message(7, message(1, varint(len(values)))) + message(5, struct.pack(f"<{len(values)}f", *values))
        return message(1, b"net") + message(100, message(1, b"ip") + message(7, blob))

    path = tmp_path / "a.caffemodel"
    path.write_bytes(model([1.0, NAN, 2.0]))
    assert read_weights(path).bad == "layer ip: 1 of 3 values are not finite"
    path.write_bytes(model([1.0, 2.0]))
    assert (read_weights(path).bad, read_weights(path).blobs) == (None, 1)
    whole = model([1.0, 2.0])
    for stop in range(1, len(whole)):
        path.write_bytes(whole[:stop])
        read_weights(path)


# ---- a net as a source ----


def test_a_net_is_checked_with_what_it_reads(folder: Path, crew: Crew) -> None:
    write(folder, STORIES["label-beyond-the-classes"])
    report = check(folder / "net.prototxt", data_root=folder, crew=crew)
    assert [Path(one.source.path).name for one in report.reports] == ["net.prototxt", "train_lmdb"]
    assert {"net-label-range", "label-out-of-range"} <= {finding.rule for finding in report}
    assert report.exit_code == 1


def test_a_source_that_is_not_there_is_said(folder: Path, crew: Crew) -> None:
    folder.mkdir()
    (folder / "net.prototxt").write_text(net(source="elsewhere_lmdb"))
    report = check(folder / "net.prototxt", crew=crew)
    assert report.exit_code == 3
    assert "elsewhere_lmdb: not found; layer data in line 3 of" in (report.reports[1].error or "")


# ---- the command ----


def test_the_command_writes_causes(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(inside, STORIES["nan-in-the-batch-of-the-iteration"])
    argv = ["doctor", "--net", "net.prototxt", "--log", "train.log", "-j", "1", "-o", "json=report.json"]
    assert main(argv) == 1
    page = capsys.readouterr().out
    assert page.startswith("CONFIRMED  input-data\n")
    assert page.index("evidence") < page.index("loss is -nan at iteration 3") < page.index("FAIL  ")
    report = json.loads((inside / "report.json").read_text())
    assert report["exit_code"] == 1
    assert {tuple(sorted(cause)) for cause in report["causes"]} == {
        ("cause", "evidence", "rank", "remedy", "summary", "verdict")
    }


def test_nothing_looked_at_is_never_a_pass(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "solver.prototxt").write_text(SOLVER)
    assert main(["doctor", "--solver", "solver.prototxt"]) == 0
    assert capsys.readouterr().out.startswith("INCOMPLETE  no sign of a cause")
    assert main(["doctor", "--log", "absent.log"]) == 3
    assert "absent.log: can't be read" in capsys.readouterr().out


def test_a_scan_has_no_causes(folder: Path, crew: Crew) -> None:
    folder.mkdir()
    write_set(folder / "train_lmdb")
    assert "causes" not in check(folder / "train_lmdb", crew=crew).to_dict()


def test_nothing_given_is_an_error_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 2
    assert "nothing given" in capsys.readouterr().err


def test_a_report_is_not_written_into_a_set_that_the_net_names(inside: Path) -> None:
    write(inside, STORIES["healthy"])
    assert main(["doctor", "--net", "net.prototxt", "-o", "json=train_lmdb/report.json"]) == 2
    assert main(["check", "net.prototxt", "-o", "json=train_lmdb/report.json"]) == 2
    assert not (inside / "train_lmdb" / "report.json").exists()
