"""Logs of other programs, each in its own words; and compressed and re-encoded ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path

import pytest
from fixtures.training_logs import CaffeLog
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.training.log_check import check_log
from datascan.scanner.training.log_facts import LogFacts
from datascan.scanner.training.log_reader import read_log, read_stream

KERAS = "Epoch 1/3\n" + "\r".join(f" {step}/10 [==>..] - ETA: 0s - loss: 2.3 - accuracy: 0.1" for step in range(1, 11))
KERAS += "\nEpoch 2/3\n 4/10 [==>..] - ETA: 0s - loss: 2.1\r 5/10 [==>..] - ETA: 0s - loss: nan"
BAR = "Epoch 0:  8%|█▏        | {}/100 [00:01<00:10,  8.1it/s, loss={}, v_num=0]"
FORMATS = {
    "keras": (KERAS, 15, 4),
    "keras-3": (
        "Epoch 1/3\n\x1b[1m 9/10\x1b[0m \x1b[32m━\x1b[0m 2ms/step - loss: 2.3\x08\x08\r\x1b[1m10/10\x1b[0m - loss: nan",
        10,
        2,
    ),
    "tensorflow": ("INFO:tensorflow:loss = 2.3, step = 1\nINFO:tensorflow:loss = nan, step = 101 (1.2 sec)", 101, 2),
    "lightning": (BAR.format(7, 2.3) + "\r" + BAR.format(8, "nan"), 8, 1),
    "lightning-2": ("Epoch 3: 100%|███| 100/100 [00:10<00:00,  9.99it/s, v_num=1, train_loss=nan.0]", 300, 1),
    "plain": ("iter 0 loss 2.3\niter 1 loss: nan", 1, 2),
    "commas": ("iter 5, loss 2.3, lr 0.1\niter 6, loss nan, lr 0.1", 6, 2),
    "equals": ("step=10 loss=2.3 lr=0.1\nstep=20 loss=-inf lr=0.1", 20, 2),
    "mnist-example": ("Train Epoch: 1 [640/60000 (1%)]\tLoss: 1.2\nTrain Epoch: 2 [0/60000 (0%)]\tLoss: nan", 60000, 2),
    "imagenet-example": (
        "Epoch: [0][   1/5005]\tTime  5.0 ( 5.0)\tLoss 7.0e+00 (7.0e+00)\nEpoch: [0][  11/5005]\tLoss nan (nan)",
        11,
        2,
    ),
    "hugging-face": ("{'loss': 2.5, 'learning_rate': 5e-05, 'epoch': 0.01}\n{'loss': nan, 'epoch': 0.02}", 1, 2),
    "trainer-state": (
        '{\n "log_history": [\n {\n  "loss": 2.5,\n   "step": 10\n  },\n  {\n   "loss": NaN,\n   "step": 20\n }\n ]\n}',
        20,
        8,
    ),
    "trainer-state-in-one-line": ('{"log_history": [{"loss": 2.5, "step": 10}, {"loss": NaN, "step": 20}]}', 20, 1),
    "json-lines": ('{"step": 1, "loss": 2.5}\n{"step": 2, "loss": NaN}', 2, 2),
    "csv": ("epoch,accuracy,loss,val_loss\n0,0.1,2.3,2.3\n1,0.1,nan,", 1, 3),
    "tab-separated": ("step\tloss\n5\t2.3\n6\tinf", 6, 3),
    "mmdetection": (
        "Epoch [1][50/1000]\tlr: 1e-03, loss: 1.2\nEpoch [1][100/1000]\tlr: 1e-03, loss_cls: nan, loss: nan",
        100,
        2,
    ),
    "detectron2": (
        "eta: 0:10:00  iter: 19  total_loss: 1.9  loss_cls: 0.9\neta: 0:10:00  iter: 39  total_loss: nan",
        39,
        2,
    ),
    "darknet": (
        " 1: 3.2, 3.2 avg loss, 0.001 rate, 2.0 seconds\n 2: -nan, -nan avg loss, 0.001 rate, 2.0 seconds",
        2,
        2,
    ),
    "mxnet": (
        "Epoch[0] Batch [20]\tcross-entropy=2.3\nEpoch[0] Batch [40]\taccuracy=0.1\tcross-entropy=nan",
        40,
        2,
    ),
    "tensor": ("epoch 0 loss tensor(2.3, device='cuda:0')\nepoch 1 loss tensor(nan, device='cuda:0')", 1, 2),
}


def read(text: str | bytes) -> LogFacts:
    return read_stream(io.BytesIO(text.encode() if isinstance(text, str) else text))


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_bad_loss_of_each_format(name: str) -> None:
    text, iteration, line = FORMATS[name]
    for ending in ("", "\n"):
        facts = read(text + ending)
        bad = facts.run.loss.bad
        assert bad is not None
        assert (bad.iteration, bad.line) == (iteration, line)
        assert {finding.rule for finding in check_log(facts)} & {"log-loss-nan", "log-loss-inf"}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_without_the_bad_values_is_clean(name: str) -> None:
    text = FORMATS[name][0].replace("nan.0", "2.2").replace("-nan", "2.2").replace("NaN", "2.2")
    text = text.replace("nan", "2.2").replace("-inf", "2.2").replace("inf", "2.2") if name != "tensorflow" else text
    facts = read(text.replace("= nan", "= 2.2"))
    assert facts.run.loss.count >= 1
    assert check_log(facts) == []


def test_validation_is_told_from_training() -> None:
    facts = read(
        "step 0: train loss 10.9, val loss 10.8\niter 0: loss 10.9, lr 0.1\nstep 5: train loss 9.9, val loss nan\n"
    )
    assert facts.run.loss.bad is None
    assert facts.run.rate.count == 1
    assert [finding.rule for finding in check_log(facts)] == ["log-test-non-finite"]


def test_a_program_that_says_so_is_believed() -> None:
    facts = read("5/10 [==>..] - loss: 2.3\nBatch 5: Invalid loss, terminating training\n")
    (finding,) = check_log(facts)
    assert (finding.rule, finding.location.line) == ("log-loss-nan", 2)


def test_a_loss_scaler_that_skips_a_step_is_healthy() -> None:
    text = "iter 0 loss 2.3\nGradient overflow. Skipping step, loss scaler 0 reducing loss scale to 32.0\niter 1 loss 2"
    assert check_log(read(text)) == []
    steps = "{'loss': 2.5, 'grad_norm': inf, 'epoch': 0.1}\n{'loss': 2.4, 'grad_norm': 1.1, 'epoch': 0.2}\n"
    assert check_log(read(steps)) == []


def test_a_traceback_is_quoted_by_its_last_line() -> None:
    facts = read(
        'iter 0 loss 2.3\nTraceback (most recent call last):\n  File "t.py", line 5\nRuntimeError: CUDA out of memory\n'
    )
    (finding,) = check_log(facts)
    assert (finding.rule, finding.data["reason"]) == ("log-crashed", "RuntimeError: CUDA out of memory")
    assert finding.data["iteration"] == 0


def test_prose_is_not_taken_for_a_log() -> None:
    facts = read("# Training\nThe loss function has 5 parts, see section 3.\nAn epoch takes 20 minutes.\n")
    assert [finding.rule for finding in check_log(facts)] == ["log-not-recognised"]


def test_a_python_loop_around_caffe_prints_its_own_losses() -> None:
    data = CaffeLog().start().bare("iter 0 loss 2.3\niter 1 loss nan").data
    assert read(data).run.loss.bad is not None
    both = CaffeLog().start().step(0, 1.6).bare("my loss: nan").step(1, 1.5).data
    assert read(both).run.loss.bad is None


def test_a_summary_of_an_epoch_among_steps_does_not_shift_them() -> None:
    text = "epoch 0 step 5 loss 2.3\nepoch 0 step 9 loss 2.2\nEpoch 0 finished, loss 2.25\nepoch 1 step 12 loss nan\n"
    series = read(text).run.loss
    assert [(point.line, point.iteration) for point in series.head] == [(1, 5), (2, 9), (3, 9), (4, 12)]


# ---- files ----


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, bytes], ids=["gzip", "bzip2", "xz", "plain"]
)
def test_compressed_logs_are_read(pack: type[bytes], tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(pack(CaffeLog().start().steps([1.6, "nan"]).data))
    facts = read_log(path)
    assert facts.damage is None
    assert facts.run.loss.bad is not None


def test_members_of_gzip_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "train.log.gz"
    first, second = CaffeLog().start().steps([1.6, 1.5]).data, CaffeLog().steps([1.4, "nan"], 2).data
    path.write_bytes(gzip.compress(first) + gzip.compress(second))
    facts = read_log(path)
    assert facts.run.loss.count == 4


def test_what_stands_before_the_damage_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "train.log.gz"
    path.write_bytes(gzip.compress(CaffeLog().start().steps([1.6, "nan", *[1.5] * 400]).data)[:-30])
    rules = {finding.rule for finding in check_log(read_log(path))}
    assert {"log-unreadable", "log-loss-nan"} <= rules


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_what_powershell_writes_is_read(encoding: str) -> None:
    assert read("iter 0 loss 2.3\niter 1 loss nan\n".encode(encoding)).run.loss.bad is not None


def test_an_empty_log_is_not_clean(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    assert [finding.message for finding in check_log(read_log(tmp_path / "empty.log"))] == ["the log is empty"]


@given(st.text(alphabet="loss=:nan 0123456789.,eE+-{}[]\"'/\r\n\titerepoch|%()", max_size=300))
def test_any_text_is_read(text: str) -> None:
    check_log(read(text))
