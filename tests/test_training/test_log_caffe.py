"""Caffe's logs: every effect that moves, hides or interrupts a loss, read at the right iteration and line."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import BinaryIO, cast

import pytest
from fixtures.training_logs import CaffeLog, falling
from hypothesis import given, settings
from hypothesis import strategies as st

from datascan.scanner.finding import Finding, Severity
from datascan.scanner.training.log_check import check_log
from datascan.scanner.training.log_facts import RUNS_KEPT, LogFacts
from datascan.scanner.training.log_judge import first_bad
from datascan.scanner.training.log_reader import read_stream
from datascan.scanner.training.log_series import BUCKETS
from datascan.scanner.training.prototxt import parse


def read(data: bytes) -> LogFacts:
    return read_stream(io.BytesIO(data))


def findings(data: bytes) -> dict[str, Finding]:
    return {finding.rule: finding for finding in check_log(read(data))}


def started() -> CaffeLog:
    return CaffeLog().start()


class Repeated:
    """A stream that gives pieces of any number without holding them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def read(self, _: int) -> bytes:
        return next(self.pieces, b"")


# ---- numbers and places ----


@pytest.mark.parametrize("year", [True, False])
@pytest.mark.parametrize("speed", [True, False])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_both_ages_of_glog_and_caffe_are_read(year: bool, speed: bool, ending: str) -> None:
    log = CaffeLog(year=year, speed=speed).start().steps([1.5, 1.25, "-nan"])
    run = read(log.data.replace(b"\n", ending.encode())).run
    assert [(point.iteration, point.value) for point in run.loss.head[:2]] == [(0, 1.5), (1, 1.25)]
    assert run.loss.bad is not None
    assert run.loss.bad.iteration == 2
    assert "Iteration 2" in log.lines[run.loss.bad.line - 1]
    assert run.loss.bad_text == log.lines[run.loss.bad.line - 1]
    assert run.rate.count == 3
    assert run.train["loss"].weight == 1


@pytest.mark.parametrize(
    ("text", "is_nan"),
    [
        ("nan", True),
        ("-nan", True),
        ("-nan(ind)", True),
        ("1.#QNAN", True),
        ("-1.#IND", True),
        ("1.#INF", False),
        ("-1.#INF", False),
        ("inf", False),
        ("-inf", False),
    ],
)
def test_every_spelling_of_nan_and_infinity(text: str, is_nan: bool) -> None:
    run = read(started().steps([1.5, text]).data).run
    assert run.loss.bad is not None
    assert math.isnan(run.loss.bad.value) is is_nan
    assert (run.loss.bad.value < 0) is (not is_nan and text.startswith("-"))


@pytest.mark.parametrize("text", ["1.77778", "9.63328e+07", "1e+06", "-3.60134e-40", "0", "1.2e-07", "-0.5", "1e+038"])
def test_numbers_are_read_as_python_reads_them(text: str) -> None:
    assert read(started().step(0, text).data).run.loss.head[0].value == float(text)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_any_finite_losses_come_back(values: list[float]) -> None:
    run = read(started().steps([f"{value:g}" for value in values]).data).run
    assert [point.value for point in run.loss.head] == [float(f"{value:g}") for value in values]
    assert run.loss.bad is None or not math.isfinite(float(f"{max(values, key=abs):g}"))


def test_a_file_by_glog_has_header_lines() -> None:
    header = b"Log file created at: 2026/03/14\nRunning on machine: x\nLog line format: [IWEF]mmdd hh:mm:ss.uuuuuu\n"
    facts = read(header + started().steps([1.5, "nan"]).data)
    assert len(facts.runs) == 1
    assert facts.run.loss.bad is not None
    assert facts.run.loss.bad.line == 3 + read(started().steps([1.5, "nan"]).data).run.loss.bad.line  # type: ignore[union-attr]


def test_lines_of_other_threads_and_foreign_bytes_do_not_disturb() -> None:
    log = started()
    for iteration, loss in enumerate([1.5, 1.4, 1.3]):
        log.step(iteration, loss)
        log.say("Restarting data prefetching from start.", file="data_layer.cpp:73", thread=123456)
        log.say("Waiting for data", file="blocking_queue.cpp:49")
        log.bare("speed: 0.412s / iter")
    facts = read(log.end().data.replace(b"speed:", b"\xff\xfe\x00\x80speed:"))
    assert (facts.run.loss.count, facts.run.restart_count, facts.run.waits) == (3, 3, 3)
    assert check_log(facts) == []


# ---- debug_info ----


def test_debug_info_names_the_layer_and_the_iteration_it_belongs_to() -> None:
    log = started().debug().step(0, 1.6).debug(data="nan", pool="-3", ip="nan").step(1, 1.6).debug(data="nan").end()
    finding = findings(log.data)["log-activation-non-finite"]
    assert finding.data["layer"] == "data"
    assert (finding.data["iteration"], finding.data["step"]) == (1, 0)
    assert finding.data["cause"] == "input-data"
    assert "Layer data" in log.lines[(finding.location.line or 0) - 1]


def test_the_pass_of_an_iteration_is_counted() -> None:
    log = started().debug().debug().step(0, 1.6).debug().debug(ip="inf").step(1, 1.6)
    bad = read(log.data).run.bad_debug[0]
    assert (bad.iteration, bad.step, bad.layer) == (1, 1, "ip")


def test_weights_that_are_bad_blame_the_update_before() -> None:
    log = started().debug().step(0, 1.6).debug(ip="nan", weights="nan").step(1, "nan")
    assert findings(log.data)["log-loss-nan"].data["blame"] == "update"


def test_a_pooling_layer_that_gives_the_least_float_is_blamed() -> None:
    finding = findings(started().debug(pool="inf").step(0, 1.6).data)["log-activation-non-finite"]
    assert finding.data["cause"] == "pooling"
    assert "FLT_MAX" in finding.message


def test_norms_are_a_series_of_the_iterations_that_they_stand_above() -> None:
    run = read(started().debug().step(0, 1.6).debug().step(1, 1.5).data).run
    assert [(point.iteration, point.value) for point in run.norm.head] == [(0, 5.1), (1, 5.1)]


# ---- what is to blame ----


def blame(log: CaffeLog) -> tuple[str, str, int]:
    found = first_bad(read(log.data).run)
    assert found is not None
    return found.blame, found.growth, found.earliest


def test_a_bad_rate_shows_in_the_iteration_after() -> None:
    assert blame(started().step(0, 1.6).step(1, 1.5, "-nan").step(2, "-nan")) == ("rate", "sudden", 2)


def test_before_the_first_update_the_forward_pass_is_to_blame() -> None:
    assert blame(started().steps(["-nan"])) == ("forward", "initial", 0)


def test_weights_from_a_file_are_to_blame_before_the_first_update() -> None:
    log = CaffeLog().start(finetuned="bad.caffemodel").steps(["nan"])
    assert blame(log)[0] == "weights"
    assert findings(log.data)["log-loss-nan"].data["cause"] == "initial-weights"


def test_an_iter_size_of_zero_is_to_blame() -> None:
    assert blame(CaffeLog().start("iter_size: 0").steps(["-nan"]))[0] == "solver"


def test_a_loss_weight_that_is_no_number_is_to_blame() -> None:
    log = started().say("Iteration 0, loss = nan").say("    Train net output #0: loss = 1.6 (* nan = nan loss)")
    assert blame(log)[0] == "weight"


def test_an_explosion_blames_the_updates() -> None:
    assert blame(started().steps([1.6, 7.5, 33.1, 76.2, "-nan"])) == ("update", "explosion", 4)


def test_one_value_far_above_the_rest_is_a_jump() -> None:
    assert blame(started().steps([1.7, 1.59, 1.64, 10.3, "-nan"])) == ("unknown", "jump", 4)


def test_between_displays_any_iteration_may_have_been_the_first() -> None:
    assert blame(started().steps([1.6, 1.5, "nan"], every=20)) == ("unknown", "sudden", 21)


def test_the_last_snapshot_before_is_the_remedy() -> None:
    log = started().step(0, 1.6).say("Snapshotting to binary proto file a_iter_1.caffemodel").step(1, "nan")
    log.say("Snapshotting to binary proto file a_iter_2.caffemodel")
    assert findings(log.data)["log-loss-nan"].data["remedy"] == "go back to a_iter_1.caffemodel"


# ---- runs ----


def test_runs_that_were_appended_are_told_apart() -> None:
    first, second = started().steps([1.6, 1.5]).end(), CaffeLog().start().steps([1.6, "nan"])
    facts = read(first.data + second.data)
    assert [run.loss.count for run in facts.runs] == [2, 2]
    assert [run.loss.bad is not None for run in facts.runs] == [False, True]
    assert facts.runs[1].first_line == len(first.lines) + 1
    assert facts.runs[0].done is not None


def test_a_resumed_run_begins_where_the_iterations_fall_back() -> None:
    facts = read(started().steps([1.6] * 9).steps([1.6, 1.5], 5).data)
    assert [(run.first_iteration, run.last_iteration) for run in facts.runs] == [(0, 8), (5, 6)]


def test_a_restored_snapshot_is_known() -> None:
    log = started().say("Restoring previous solver status from a_iter_10.solverstate").steps([1.2, 1.1], 10)
    run = read(log.data).run
    assert run.restored is not None
    assert run.restored[0] == "a_iter_10.solverstate"
    assert run.first_iteration == 10


def test_many_runs_are_kept_in_bounded_number_and_the_bad_ones_first() -> None:
    quiet, bad = started().steps([1.6, 1.5]).end().data, started().steps([1.6, "nan"]).data
    facts = read(quiet * 80 + bad + quiet * 80)
    assert len(facts.runs) == RUNS_KEPT
    assert facts.left_out == 161 - RUNS_KEPT
    assert sum(run.loss.bad is not None for run in facts.runs) == 1


def test_the_dumps_can_be_parsed_and_say_where_they_stand() -> None:
    log = started().steps([1.6])
    run = read(log.data).run
    assert run.solver is not None
    assert run.solver.whole("max_iter") == 100
    assert run.solver.scalar("lr_policy") == "fixed"
    assert log.lines[run.solver.line - 1] == "base_lr: 0.01"
    (net,) = run.nets
    assert net.text is not None
    assert net.text.complete
    message = parse(net.text.text, first_line=net.text.line)
    assert [layer.string("name") for layer in message.messages("layer")] == ["data", "pool", "ip", "loss"]
    third = message.messages("layer")[2]
    assert log.lines[third.line - 1] == "layer {"
    assert log.lines[third.line] == '  name: "ip"'
    assert net.scores_of("loss") == (10, 5)


def test_a_dump_that_glog_cut_is_not_complete() -> None:
    log = CaffeLog().say("Initializing net from parameters: ").bare('layer {\n  name: "da').say("Creating Layer x")
    text = read(log.data).run.nets[0].text
    assert text is not None
    assert not text.complete


def test_several_test_nets_are_several_series() -> None:
    log = started().test(0, 0.5, 1.6, 0).test(0, 0.25, "nan", 1).step(0, 1.6)
    run = read(log.data).run
    assert [point.value for point in run.test["accuracy"].head] == [0.5]
    assert [point.value for point in run.test["accuracy (test net 1)"].head] == [0.25]
    assert run.test["loss (test net 1)"].bad is not None


def test_outputs_of_many_elements_are_one_series() -> None:
    log = started().step(0, 1.6)
    for element in range(1, 500):
        log.say(f"    Train net output #{element}: prob = {element / 1000}")
    run = read(log.data).run
    assert set(run.train) == {"loss", "prob"}
    assert run.train["prob"].count == 499


# ---- failures ----


def test_a_message_that_goes_on_in_the_next_line_is_quoted_whole() -> None:
    log = CaffeLog().start().fail("Check failed: status.ok() Failed to open leveldb x", "IO error: x/LOCK: denied")
    finding = findings(log.data)["log-check-failed"]
    assert finding.data["reason"].endswith("Failed to open leveldb x IO error: x/LOCK: denied")
    assert finding.data["cause"] == "aborted"


def test_a_failure_of_the_data_thread_says_so_and_what_was_said_just_before() -> None:
    log = started().step(0, 1.6).say("Could not decode datum ", "E", "io.cpp:173", 7)
    log.fail("Check failed: channels == img_channels (3 vs. 1) ", thread=7)
    log.frames("caffe::BasePrefetchingDataLayer<>::InternalThreadEntry()")
    finding = findings(log.data)["log-check-failed"]
    assert finding.data["prefetch"] is True
    assert [text for _, text in finding.data["details"]] == ["Could not decode datum"]
    assert finding.data["iteration"] == 0


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        (
            "terminate called after throwing an instance of 'cv::Exception'\n"
            "  what():  OpenCV(4.6.0) loadsave.cpp:816: error: (-215:Assertion failed) !buf.empty()",
            "exception",
            "!buf.empty()",
        ),
        ("caffe.bin: ./db/db_iter.cc:69: Slice value() const: Assertion `valid_' failed.", "assertion", "valid_"),
        ("malloc(): corrupted top size", "memory", "corrupted top size"),
        ("free(): invalid next size (fast)", "memory", "invalid next size"),
        ("*** Error in `caffe': double free or corruption (!prev): 0x01 ***", "memory", "double free"),
        ("Killed", "killed", "Killed"),
        ("Segmentation fault (core dumped)", "killed", "Segmentation fault"),
        ("run.sh: line 3:  4711 Killed                  caffe train", "killed", "Killed"),
        ('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: bad', "exception", "ValueError: bad"),
    ],
)
def test_every_way_to_die_is_quoted(text: str, kind: str, part: str) -> None:
    log = started().step(0, 1.6).step(1, 1.5).bare(text)
    finding = findings(log.data)["log-crashed"]
    assert finding.data["kind"] == kind
    assert part in finding.data["reason"]
    assert finding.data["iteration"] == 1
    assert "log-cut-off" not in findings(log.data)


def test_waiting_for_data_without_an_iteration_is_the_reason() -> None:
    finding = findings(started().say("Waiting for data", file="blocking_queue.cpp:49").data)["log-cut-off"]
    assert finding.severity is Severity.WARNING
    assert finding.data["cause"] == "aborted"
    assert finding.data["reason"].endswith("Waiting for data")


# ---- size ----


def test_a_long_log_is_remembered_in_few_points_that_keep_the_peaks() -> None:
    def pieces() -> Iterator[bytes]:
        yield started().data
        for begin in range(0, 60000, 2000):
            losses = falling(2000)
            if begin == 30000:
                losses[777], losses[1777] = 55.5, -44.5
            yield CaffeLog().steps(losses, begin).data

    run = read_stream(cast(BinaryIO, Repeated(pieces()))).run
    assert run.loss.count == 60000
    points = run.loss.outline.points()
    assert len(points) <= 2 * BUCKETS
    assert {(30777, 55.5), (31777, -44.5)} <= {(point.iteration, point.value) for point in points}
    assert [point.iteration for point in points] == sorted(point.iteration for point in points)


def test_where_the_blocks_end_makes_no_difference() -> None:
    log = started().steps([1.6, 1.5]).test(2, 0.5, 1.5).debug(ip="1e+12").steps([1.4, "nan", "nan"], 2).end()
    log.bare("Killed")
    whole = check_log(read(log.data))
    for size in (1, 7, 64, 1000):
        cut = (log.data[at : at + size] for at in range(0, len(log.data), size))
        assert check_log(read_stream(cast(BinaryIO, Repeated(cut)))) == whole


# ---- anything ----


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    check_log(read(data))


LINES = [
    line.encode()
    for line in started().debug(ip="inf").step(0, 1.6).test(1, 0.5, "nan").step(2, "-nan").fail("Check failed: x").lines
]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(LINES), max_size=30), st.data())
def test_lines_in_any_order_with_any_byte_changed_are_read(lines: list[bytes], data: st.DataObject) -> None:
    text = bytearray(b"\n".join(lines))
    for _ in range(data.draw(st.integers(0, 5)) if text else 0):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    for finding in check_log(read(bytes(text))):
        assert finding.message


@pytest.mark.parametrize("size", range(0, 4000, 37))
def test_a_log_cut_anywhere_is_read(size: int) -> None:
    data = started().debug().step(0, 1.6).steps(["nan"], 1).fail("Check failed: x (1 vs. 2) y").data
    check_log(read(data[:size]))
