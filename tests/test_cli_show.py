"""``datascan show``, ``rules`` and ``demo`` through `main`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import numpy as np
import plyvel
import pytest
from tests.cli_sources import BROKEN, RECORDS, write_hdf5, write_lmdb
from tests.test_layouts.messages import Datum

from datascan.scanner.__main__ import main
from datascan.scanner.cli.lookup import parse_key
from datascan.scanner.cli.names import all_rules
from datascan.scanner.rules import RULES

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `main`: exit code, standard output, standard error."""
    for name in ("DATASCAN_DEBUG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run_main(*argv: object) -> tuple[int, str, str]:
        code = main([str(word) for word in argv])
        return (code, *capsys.readouterr())

    return run_main


def stored(source: Path, index: int) -> bytes:
    """The value as LMDB's own library gives it."""
    with lmdb.open(str(source), readonly=True, lock=False) as env, env.begin() as txn:
        value = txn.get(f"{index:08d}".encode())
    assert isinstance(value, bytes)
    return value


# ---- show: key-value stores ----


@pytest.mark.parametrize("key", ["00000004", "#4", "hex:3030303030303034"])
def test_a_record_is_found_by_key_hexadecimal_and_position(run: Run, tmp_path: Path, key: str) -> None:
    source = write_lmdb(tmp_path / "set")
    code, out, err = run("show", source, key, "--output", "json")
    record = json.loads(out)
    value = stored(source, 4)
    assert (code, err) == (0, "")
    assert record["key"] == "00000004"
    assert record["key_hex"] is None
    assert record["bytes"] == len(value)
    assert record["head_hex"] == {"": value[:64].hex()}
    assert record["source"] == {"path": str(source), "store": "lmdb", "layout": "caffe-datum"}
    fields = {field["kind"]: field for field in record["fields"]}
    pixels = np.frombuffer(Datum.FromString(value).data, np.uint8)
    assert fields["label"]["values"] == [1]
    assert (fields["array"]["shape"], fields["array"]["dtype"]) == ([3, 4, 4], "uint8")
    assert fields["array"]["min"] == int(pixels.min())
    assert fields["array"]["max"] == int(pixels.max())
    assert fields["array"]["mean"] == pytest.approx(pixels.mean())
    assert record["findings"] == []


@pytest.mark.parametrize("index", [0, 5, RECORDS - 1])
def test_a_position_is_the_position_of_the_report(run: Run, tmp_path: Path, index: int) -> None:
    source = write_lmdb(tmp_path / "set")
    record = json.loads(run("show", source, f"#{index}", "-o", "json")[1])
    assert (record["key"], record["index"]) == (f"{index:08d}", index)


def test_the_text_shows_findings_and_the_first_bytes(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set", broken=True)
    code, out, _ = run("show", source, f"#{BROKEN}")
    value = stored(source, BROKEN)
    lines = out.split("\n")
    assert code == 0
    assert lines[0] == f"{BROKEN:08d}  #{BROKEN}"
    assert any(line.startswith("error  record-size-mismatch  ") for line in lines)
    assert f"first 64 of {len(value)} bytes" in lines or f"all {len(value)} bytes" in lines
    assert f"  00000000  {value[:8].hex(' ')}  {value[8:16].hex(' ')}  |" in out
    assert all(line.isprintable() and len(line) <= 80 for line in lines)


def test_a_key_that_is_not_there_is_3_with_keys_that_are(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set")
    code, out, err = run("show", source, "0000004")
    assert (code, out) == (3, "")
    assert "there is no key 0000004; keys look like 0000000" in err


def test_a_position_beyond_the_end_is_3(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set")
    code, out, err = run("show", source, f"#{RECORDS}")
    assert (code, out) == (3, "")
    assert f"there is no position {RECORDS}; there are {RECORDS}, counted from 0" in err


def test_a_source_that_is_not_there_is_3(run: Run, tmp_path: Path) -> None:
    code, out, err = run("show", tmp_path / "nosuch", "k")
    assert (code, out) == (3, "")
    assert "no such file or folder" in err


def test_a_record_of_leveldb(run: Run, tmp_path: Path) -> None:
    with plyvel.DB(str(tmp_path / "set"), create_if_missing=True) as db:
        for index in range(5):
            db.put(
                b"\xff%d" % index, Datum(channels=1, height=2, width=2, data=b"abcd", label=index).SerializeToString()
            )
    for key in ("#3", "hex:ff33"):
        record = json.loads(run("show", tmp_path / "set", key, "-o", "json")[1])
        assert (record["key"], record["key_hex"]) == (None, "ff33")
        assert record["fields"][0]["values"] == [3]


@pytest.mark.parametrize(
    ("text", "key"),
    [("a", b"a"), ("#12", 12), ("#x", b"#x"), ("hex:0A0b", b"\n\x0b"), ("hex:", b""), ("é", "é".encode())],
)
def test_keys_as_they_are_typed(text: str, key: bytes | int) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["hex:0g"], "is not hexadecimal"),
        (["#1", "--dataset", "/data"], "has keys and no datasets"),
        (["#1", "--layout", "nosuch"], "layout"),
        ([], "Missing argument 'KEY'"),
    ],
)
def test_nonsense_is_2(run: Run, tmp_path: Path, argv: list[str], words: str) -> None:
    code, out, err = run("show", write_lmdb(tmp_path / "set"), *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


# ---- show: rows ----


def test_a_row_of_hdf5(run: Run, tmp_path: Path) -> None:
    source = write_hdf5(tmp_path / "train.h5")
    with h5py.File(source) as file:
        row = file["data"][5]
    record = json.loads(run("show", source, "5", "-o", "json")[1])
    data = next(field for field in record["fields"] if field["kind"] == "array")
    assert (record["key"], record["index"]) == (None, 5)
    assert (data["nan"], data["inf"]) == (1, 0)
    assert data["max"] == pytest.approx(float(np.nanmax(row)))
    assert record["head_hex"]["/data"] == row.tobytes()[:64].hex()
    assert [finding["rule"] for finding in record["findings"]] == ["value-nan"]


def test_a_row_is_a_number(run: Run, tmp_path: Path) -> None:
    source = write_hdf5(tmp_path / "train.h5")
    assert run("show", source, "five")[0] == 2
    assert run("show", source, "#5")[0] == 0
    assert run("show", source, str(RECORDS))[0] == 3


def test_a_dataset_is_chosen_by_its_path(run: Run, tmp_path: Path) -> None:
    source = write_hdf5(tmp_path / "train.h5")
    record = json.loads(run("show", source, "5", "--dataset", "label", "-o", "json")[1])
    assert list(record["head_hex"]) == ["/label"]
    code, _, err = run("show", source, "5", "--dataset", "/nosuch")
    assert code == 2
    assert "there are /data, /label" in err


# ---- show: save ----


def test_save_writes_the_raw_value_and_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set")
    target = tmp_path / "record.bin"
    assert run("show", source, "#4", "--save", target)[0] == 0
    assert target.read_bytes() == stored(source, 4)
    code, _, err = run("show", source, "#5", "--save", target)
    assert code == 2
    assert "is there already" in err
    assert target.read_bytes() == stored(source, 4)


def test_save_refuses_the_data_set(run: Run, tmp_path: Path) -> None:
    source = write_lmdb(tmp_path / "set")
    before = os.listdir(source)
    assert run("show", source, "#4", "--save", source / "record.bin")[0] == 2
    assert os.listdir(source) == before


def test_save_takes_one_dataset(run: Run, tmp_path: Path) -> None:
    source = write_hdf5(tmp_path / "train.h5")
    code, _, err = run("show", source, "5", "--save", tmp_path / "row.bin")
    assert code == 2
    assert "--dataset from /data, /label" in err
    assert run("show", source, "5", "--save", tmp_path / "row.bin", "--dataset", "/label")[0] == 0
    assert (tmp_path / "row.bin").read_bytes() == np.float32(25 % 3).tobytes()


# ---- rules ----


def test_the_table_names_every_rule_with_its_severity(run: Run) -> None:
    code, out, _ = run("rules")
    assert code == 0
    words = {line.split()[0]: line.split()[1] for line in out.split("\n") if line and not line.startswith(" ")}
    assert words == {rule.name: rule.severity.value for rule in all_rules()}


def test_a_rule_has_a_page_and_a_family_all_of_its_pages(run: Run) -> None:
    _, out, _ = run("rules", "value-nan")
    assert out.startswith("value-nan  error\n\nWhat it does\n")
    assert "\nWhy is this bad?\n" in out
    assert "\nHow to fix\n" in out
    _, out, _ = run("rules", "value")
    assert out.count("What it does\n") == sum(rule.name.startswith("value-") for rule in RULES)


def test_rules_as_json(run: Run) -> None:
    rules = json.loads(run("rules", "--output", "json")[1])["rules"]
    assert [rule["name"] for rule in rules] == [rule.name for rule in all_rules()]
    assert [rule["name"] for rule in json.loads(run("rules", "box", "-o", "json")[1])["rules"]] == ["box-invalid"]


def test_an_unknown_rule_is_2_with_the_nearest(run: Run) -> None:
    code, out, err = run("rules", "value-nam")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no rule or family 'value-nam'; did you mean value-nan" in err


# ---- demo ----


def test_the_demo_finds_what_it_planted(run: Run, tmp_path: Path) -> None:
    code, out, err = run("demo", tmp_path / "demo")
    assert (code, err) == (0, "")
    assert "MISSED" not in out
    found = out.count("\n  found ")
    assert f"\n{found} of {found} planted faults found\n" in out
    assert (tmp_path / "demo" / "train.h5").is_file()
    assert all(line.isprintable() for line in out.split("\n"))


def test_the_demo_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    code, out, err = run("demo", tmp_path)
    assert (code, out) == (2, "")
    assert "is not empty" in err
    assert os.listdir(tmp_path) == ["mine"]


def test_the_demo_cleans_up_after_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("demo")[0] == 0
    assert os.listdir(tmp_path) == []
