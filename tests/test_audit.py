"""Audits: what is read and what is skipped, spread over nights, interrupted, told to somebody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import plyvel
import pytest
from tests.cli_sources import write_hdf5, write_lmdb
from tests.nightly_sets import GrowingSet, Nights

from datascan.scanner.__main__ import main
from datascan.scanner.auditing.drift import Thresholds, chance, drifts
from datascan.scanner.auditing.history import APPLICATION, History, HistoryError
from datascan.scanner.auditing.nightly import Audit, Night

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datascan.backends.lmdb_store.PARTITION_BYTES", 4096)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def called(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        out, err = capsys.readouterr()
        return code, out, err

    return called


def only(found: Audit) -> Night:
    (night,) = found.nights
    return night


def quietly(path: Path, change: Callable[[bytearray], None]) -> None:
    """Change a file's bytes as a disk does it: no time changes."""
    status, contents = path.stat(), bytearray(path.read_bytes())
    change(contents)
    path.write_bytes(contents)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


# ---- what is read ----


def test_what_has_not_changed_is_skipped_until_it_is_due_or_forced(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 30)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    assert only(nights.audit(1)).action == "scanned"
    skipped = only(nights.audit(7))
    assert (skipped.action, skipped.read_at[:10]) == ("unchanged", "2026-11-01")
    assert only(nights.audit(7, force=True)).action == "scanned"
    assert only(nights.audit(13)).action == "unchanged"
    assert only(nights.audit(14)).action == "scanned"
    assert only(nights.audit(15, reread_days=0)).action == "scanned"


def test_other_options_are_another_scan(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 30)
    history = tmp_path / "history.sqlite"
    assert only(Nights(history, {"train": train.path}).audit(1)).news.new == ()
    night = only(Nights(history, {"train": train.path}, num_classes=2).audit(2))
    assert night.action == "scanned"
    assert {finding.rule for finding in night.news.new} == {"label-out-of-range"}
    night = only(Nights(history, {"train": train.path}, num_classes=2).audit(3))
    assert (night.action, night.news.known, int(night.exit_code)) == ("unchanged", 10, 1)


def test_a_copy_with_its_times_is_read_and_equal(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 30)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    nights.audit(1)
    shutil.copytree(train.path, tmp_path / "copy")
    shutil.rmtree(train.path)
    (tmp_path / "copy").rename(train.path)
    night = only(nights.audit(2))
    assert (night.action, night.has_news) == ("scanned", False)


# ---- bit-rot ----


def test_rot_in_hdf5_is_named_and_what_leveldb_s_checksums_see_is_damage(tmp_path: Path) -> None:
    table = tmp_path / "train_leveldb"
    with plyvel.DB(str(table), create_if_missing=True, compression=None) as db:
        for index in range(20):
            db.put(f"{index:04d}".encode(), np.full(40, index, np.uint8).tobytes())
    rows = tmp_path / "train.h5"
    with h5py.File(rows, "w") as file:
        file["data"] = np.random.default_rng(1).normal(size=(20, 3, 4, 4)).astype(np.float32)
        file["label"] = (np.arange(20) % 3).astype(np.float32)
        file.flush()
        offset, size = file["data"].id.get_offset(), 3 * 4 * 4 * 4
    nights = Nights(tmp_path / "history.sqlite", {"rows": rows})
    nights.audit(1)

    def flip(contents: bytearray) -> None:
        contents[offset + 7 * size + 1] ^= 1

    quietly(rows, flip)
    (finding,) = only(nights.audit(2, force=True)).news.new
    assert (finding.rule, finding.location.index, finding.location.dataset) == ("store-bit-rot", 7, "/data")
    nights = Nights(tmp_path / "history.sqlite", {"table": table})
    assert only(nights.audit(1)).report.source.records == 20
    (log,) = table.glob("*.log")

    def tear(contents: bytearray) -> None:
        contents[len(contents) - 20] ^= 1

    quietly(log, tear)
    night = only(nights.audit(2, force=True))
    assert "store-damaged" in {finding.rule for finding in night.news.new}


def test_what_was_written_anew_is_a_change_and_no_rot(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 30)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    nights.audit(1)
    train.put([(5, train.value(99, 1))])
    night = only(nights.audit(2))
    assert dict(night.records) == {"added": 0, "gone": 0, "changed": 1}
    assert night.news.new == ()


# ---- drift ----


def figures(labels: dict[str, int], mean: float = 100.0, std: float = 50.0) -> dict[str, Any]:
    count = sum(labels.values())
    return {"records": count, "labels": labels, "samples": count, "channels": [{"mean": mean, "std": std}]}


@pytest.mark.parametrize(
    ("now", "rules"),
    [
        (figures({"0": 5000, "1": 5000}), []),
        (figures({"0": 5300, "1": 5300}), []),
        (figures({"0": 5600, "1": 5600}), ["drift-records"]),
        (figures({"0": 4000, "1": 4000}), ["drift-records"]),
        (figures({"0": 5400, "1": 4600}), []),
        (figures({"0": 5600, "1": 4400}), ["drift-labels"]),
        (figures({"0": 5000, "1": 4400, "2": 600}), ["drift-labels"]),
        (figures({"0": 5000, "1": 5000}, mean=104.0), []),
        (figures({"0": 5000, "1": 5000}, mean=106.0), ["drift-values"]),
        (figures({"0": 5000, "1": 5000}, std=65.0), ["drift-values"]),
    ],
)
def test_drift_is_told_from_its_threshold_on(now: dict[str, Any], rules: list[str]) -> None:
    assert [one.rule for one in drifts(figures({"0": 5000, "1": 5000}), now, Thresholds())] == rules


def test_chance_is_no_drift() -> None:
    rng = np.random.default_rng(5)
    for classes, records in ((2, 60), (10, 500), (100, 3000)):
        for _ in range(100):
            one, other = (rng.multinomial(records, [1 / classes] * classes) for _ in range(2))
            before, after = ({str(k): int(n) for k, n in enumerate(counts)} for counts in (one, other))
            assert list(drifts(figures(before), figures(after), Thresholds())) == []
            assert chance(before, after) > 0


# ---- spread over nights ----


@pytest.mark.usefixtures("small_parts")
def test_a_subset_covers_everything_after_as_many_nights(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 300)
    broken = train.add_broken()
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    found = [nights.audit(night, subset=(night, 3)) for night in (1, 2, 3)]
    assert [only(one).action for one in found] == ["part", "part", "scanned"]
    assert [int(one.exit_code) in (1, 3) for one in found[:2]] == [True, True]
    assert only(found[0]).read_at == ""
    assert "parts have been read in this round" in only(found[0]).report.coverage.reasons[-1]
    whole = only(Nights(tmp_path / "other.sqlite", {"train": train.path}).audit(1)).report
    spread = only(found[2]).report
    assert spread.findings == whole.findings
    assert spread.statistics == whole.statistics
    assert spread.coverage == whole.coverage
    assert [finding.location.key_text for finding in spread.findings] == [f"{broken:08d}"]
    assert only(found[2]).read_at[:10] == "2026-11-01"
    assert only(nights.audit(4, subset=(1, 3))).action == "unchanged"


@pytest.mark.usefixtures("small_parts")
def test_a_set_that_changes_meanwhile_begins_a_round_anew(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 300)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    first = only(nights.audit(1, subset=(1, 2)))
    train.add([0, 1])
    second = only(nights.audit(2, subset=(2, 2)))
    assert second.action == "part"
    assert second.done < second.parts
    assert first.done + second.done >= first.parts
    assert only(nights.audit(3, subset=(1, 2))).action == "scanned"


@pytest.mark.usefixtures("small_parts")
def test_a_reread_that_is_under_way_finds_rot_and_leaves_the_verdict(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 300)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    nights.audit(1)
    assert [int(nights.audit(2, force=True, subset=(1, 2)).exit_code), only(nights.audit(2)).action] == [0, "unchanged"]
    train.rot(3)
    found = [only(nights.audit(9 + share, force=True, subset=(share, 2))) for share in (1, 2)]
    new = [finding.location.key_text for night in found for finding in night.news.new]
    assert new == ["00000003"]


@pytest.mark.usefixtures("small_parts")
def test_when_the_time_is_up_the_next_night_goes_on_there(tmp_path: Path) -> None:
    sets = {name: GrowingSet(tmp_path / name, 200) for name in ("a", "b")}
    nights = Nights(tmp_path / "history.sqlite", {name: one.path for name, one in sets.items()})
    actions = []
    for night in range(1, 60):
        found = nights.audit(night, max_duration_s=1e-9 if night == 1 else 0.02)
        actions.append([one.action for one in found.nights])
        if night == 1:
            assert actions == [["postponed", "postponed"]]
            assert int(found.exit_code) == 3
        if all(one.action == "scanned" or one.read_at for one in found.nights):
            break
    assert any("part" in night or "postponed" in night for night in actions)
    assert all(one.read_at for one in found.nights)


# ---- the history ----


def test_a_history_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE notes(text)")
    db.close()
    with pytest.raises(HistoryError, match="database of something else"):
        History(file)
    (tmp_path / "text").write_text("no database at all, but long enough to be read as one" * 20)
    with pytest.raises(HistoryError, match="can't use the history"):
        History(tmp_path / "text")
    with pytest.raises(HistoryError, match="there is no history"):
        History(tmp_path / "nothing", readonly=True)


def test_a_later_version_is_refused_and_an_empty_file_is_made_one(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    file.touch()
    History(file).close()
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(HistoryError, match="later version"):
        History(file)


def test_two_audits_at_once_do_no_harm(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 60)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    nights.audit(1)
    train.add([1, 2])
    within: list[Audit] = []
    found = nights.audit(2, told=lambda _: within.append(nights.audit(2)))
    assert dict(only(found).records) == dict(only(within[0]).records) == {"added": 2, "gone": 0, "changed": 0}
    assert only(nights.audit(3)).has_news is False
    assert not nights.audit(4).killed


def test_only_what_was_told_counts(tmp_path: Path) -> None:
    train = GrowingSet(tmp_path / "train_lmdb", 60)
    nights = Nights(tmp_path / "history.sqlite", {"train": train.path})
    nights.audit(1)
    train.add([1, 2])

    def full_disk(_: Audit) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        nights.audit(2, told=full_disk)
    assert only(nights.audit(3)).records["added"] == 2


# ---- the command ----

CONFIG = """
[sources.train]
path = "train_lmdb"
num-classes = 3

[sources.rows]
path = "train.h5"

[sources.scratch]
path = "nowhere"
audit = false
"""


def test_the_command_tells_what_is_new_and_then_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "datascan.toml").write_text(CONFIG)
    write_lmdb(tmp_path / "train_lmdb")
    write_hdf5(tmp_path / "train.h5")
    code, out, err = run("audit", "--output", "text", "--output", "json=a.json", "--output", "html=a.html")
    assert (code, err) == (1, "")
    assert "value-nan  /data" in out or "value-nan" in out
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["schema"] == "datascan-audit/1"
    assert [(one["name"], one["action"], one["first"]) for one in told["sources"]] == [
        ("train", "scanned", True),
        ("rows", "scanned", True),
    ]
    page = (tmp_path / "a.html").read_text()
    assert "What has changed" in page
    assert "value-nan" in page
    code, out, _ = run("audit", "--quiet")
    assert code == 1
    assert "no news of 2 sources" in out
    code, out, _ = run("audit", "train", "--quiet")
    assert (code, out) == (0, "")
    assert (tmp_path / "datascan-history.sqlite").exists()
    code, out, _ = run("history", "train", "--output", "text", "--output", "html=h.html", "--output", "json=h.json")
    assert code == 0
    assert "records" in out
    assert len(json.loads((tmp_path / "h.json").read_text())["sources"][0]["nights"]) == 3
    assert "<svg" in (tmp_path / "h.html").read_text()
    code, _, err = run("history", "trian")
    assert code == 2
    assert "did you mean train?" in err


TELL = "import sys, json; open('told', 'w').write(json.load(sys.stdin)['verdict'] + ' ' + ' '.join(sys.argv[1:]))"


def test_notify_runs_when_something_is_new_and_no_shell_is_involved(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "train_lmdb", broken=True)
    (tmp_path / "tell.py").write_text(TELL)
    command = f"{sys.executable} tell.py '$(touch injected)' ; touch injected"
    assert run("audit", "train_lmdb", "--notify", command)[0] == 1
    assert (tmp_path / "told").read_text() == "fail $(touch injected) ; touch injected"
    assert not (tmp_path / "injected").exists()
    (tmp_path / "told").unlink()
    assert run("audit", "train_lmdb", "--notify", command)[0] == 1
    assert not (tmp_path / "told").exists()


def test_a_notification_that_fails_is_told_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "train_lmdb", broken=True)
    code, _, err = run("audit", "train_lmdb", "--notify", "false")
    assert code == 1
    assert "--notify: false ended with 1" in err
    code, _, err = run("audit", "train_lmdb", "--force", "--history", "b.sqlite", "--notify", "no-such-command")
    assert code == 1
    assert "can't run no-such-command" in err
    code, _, err = run("audit", "train_lmdb", "--notify", "'open")
    assert code == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--subset", "4/3"], "is not N/T"),
        (["--max-duration", "soon"], "is no duration"),
        (["--history", "train_lmdb/h.sqlite"], "it is in the data set"),
        (["train_lmdb", "train_lmdb/../train_lmdb"], "is there twice"),
        (["net.prototxt"], "is a net"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, tmp_path: Path, argv: list[str], said: str) -> None:
    write_lmdb(tmp_path / "train_lmdb")
    sources = [] if argv[0] in ("train_lmdb", "net.prototxt") else ["train_lmdb"]
    code, _, err = run("audit", *sources, *argv)
    assert code == 2
    assert said in err
    assert not (tmp_path / "datascan-history.sqlite").exists()


def test_a_source_that_is_gone_is_new_once(run: Run, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "train_lmdb")
    assert run("audit", "train_lmdb")[0] == 0
    shutil.rmtree(tmp_path / "train_lmdb")
    code, out, _ = run("audit", "train_lmdb")
    assert code == 3
    assert "could not be opened" in out


def test_a_killed_audit_is_taken_over(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "train_lmdb", broken=True)
    code = (
        "import os, signal, sys\n"
        "from datascan.scanner.cli import audit_run\n"
        "audit_run.write_audit = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from datascan.scanner.__main__ import main\n"
        "main(['audit', 'train_lmdb'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert ended.returncode == -signal.SIGKILL
    time.sleep(0.1)
    second = subprocess.run(
        [sys.executable, "-m", "datascan.scanner", "audit", "train_lmdb"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert second.returncode == 1
    assert b"was ended before its end" in second.stdout
    assert b"record-size-mismatch" in second.stdout
