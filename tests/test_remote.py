"""Data sets on a server: the report is that of a copy, the network's failures are errors, nothing is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import h5py
import lmdb
import numpy as np
import plyvel
import pytest
from tests.cli_sources import write_hdf5
from tests.test_layouts.messages import Datum

from datascan.backends import open_store, remote, remote_copy
from datascan.backends.errors import StoreError, UnknownFormat, UsageError
from datascan.backends.remote import RemoteFile, RemotePath
from datascan.backends.urls import is_remote
from datascan.scanner import Report, check, check_shard, merge
from datascan.scanner.crew import Crew

RECORDS = 60


def datums() -> Iterator[tuple[bytes, bytes]]:
    """Raw Datums of 12 kB, one of them cut short; more than fits in a block of the smaller tests."""
    rng = np.random.default_rng(6)
    for index in range(RECORDS):
        data = rng.integers(0, 256, 3 * 64 * 64, np.uint8).tobytes()
        datum = Datum(channels=3, height=64, width=64, data=data[: -1 if index == 37 else None], label=index % 4)
        yield b"%08d" % index, datum.SerializeToString()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of each kind, each with a fault."""
    folder = tmp_path_factory.mktemp("sets")
    with lmdb.open(str(folder / "lmdb"), map_size=1 << 26, lock=False) as env, env.begin(write=True) as txn:
        for key, value in datums():
            txn.put(key, value)
    with plyvel.DB(str(folder / "leveldb"), create_if_missing=True, write_buffer_size=1 << 17) as db:
        for key, value in datums():
            db.put(key, value)
    write_hdf5(folder / "train.h5")
    rng = np.random.default_rng(7)
    with h5py.File(folder / "packed.h5", "w") as file:
        data = rng.normal(size=(1200, 3, 32, 32)).astype(np.float32)
        data[222, 2, 3, 4] = np.inf
        file.create_dataset("data", data=data, chunks=(16, 3, 32, 32), compression="gzip")
        file["names"] = [f"picture {index}" for index in range(1200)]
    return folder


class Ranges(SimpleHTTPRequestHandler):
    """A plain server of files that knows ranges; ``faults`` are answers to give first, ``asked`` what was asked for."""

    faults: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        type(self).asked.append(self.headers.get("Range", ""))
        fault = self.faults.pop() if self.faults else ""
        if fault == "503":
            self.send_error(503)
            return
        data, match = path.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match is None or fault == "whole":
            self.send_response(200)
            body = data
        else:
            start, stop = int(match[1]), min(int(match[2]) + 1, len(data))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            body = data[start:stop]
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def http(sets: Path) -> Iterator[str]:
    Ranges.faults, Ranges.asked = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(sets))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def s3(sets: Path) -> Iterator[str]:
    """An S3 server with a bucket of the sets; workers that are started from here on find it by the environment."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            environment.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="sets")
        for file in sets.rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "sets", str(file.relative_to(sets)))
        yield "s3://sets"
    server.stop()


@pytest.fixture(scope="module")
def near(s3: str) -> Iterator[Crew]:
    """Workers that know the way to the server."""
    with Crew(2) as crew:
        yield crew


def text(report: Report, path: str = "") -> str:
    """The report as JSON, without run and path."""
    tree = report.to_dict()
    for one in tree["reports"]:
        del one["run"]
        one["source"]["path"] = path
    return json.dumps(tree)


STORES = ["lmdb", "leveldb", "train.h5", "packed.h5"]


@pytest.mark.parametrize("name", STORES)
def test_a_store_on_s3_gives_the_report_of_a_copy(sets: Path, s3: str, near: Crew, name: str) -> None:
    local = check(sets / name, crew=near)
    assert local.exit_code == 1
    report = check(f"{s3}/{name}", crew=near)
    assert report.reports[0].source.path == f"{s3}/{name}"
    assert text(report) == text(local)


@pytest.mark.parametrize("name", ["lmdb", "lmdb/data.mdb", "train.h5", "packed.h5"])
def test_a_store_on_a_plain_server_gives_the_report_of_a_copy(sets: Path, http: str, crew: Crew, name: str) -> None:
    assert text(check(f"{http}/{name}", crew=crew)) == text(check(sets / name, crew=crew))
    assert all(Ranges.asked), "nothing was read but in ranges"


@pytest.mark.parametrize("name", STORES)
def test_a_store_that_is_copied_first_gives_the_same_report(
    tmp_path: Path, sets: Path, s3: str, near: Crew, name: str
) -> None:
    local = text(check(sets / name, crew=near))
    assert text(check(f"{s3}/{name}", crew=near, cache_dir=tmp_path)) == local
    (copy,) = (entry for entry in next(tmp_path.iterdir()).iterdir() if not entry.name.startswith("."))
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert copy.name == name
    assert text(check(f"{s3}/{name}", crew=near, cache_dir=tmp_path)) == local
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == times, (
        "what is there is not fetched again"
    )


def test_shards_of_a_store_on_s3_merge(tmp_path: Path, sets: Path, s3: str, near: Crew) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for number, file in enumerate(files, 1):
        (scan,) = check_shard([f"{s3}/lmdb"], (number, 2), file, crew=near)
        assert scan.error is None
    assert text(merge(*files, crew=near)) == text(check(sets / "lmdb", crew=near))


# ---- what goes wrong ----


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_a_failure_that_passes_costs_time_and_nothing_else(sets: Path, http: str, crew: Crew, fault: str) -> None:
    Ranges.faults = [fault, "", fault]
    assert text(check(f"{http}/packed.h5", crew=crew)) == text(check(sets / "packed.h5", crew=crew))
    assert not Ranges.faults


@pytest.mark.parametrize("name", ["packed.h5", "train.h5", "lmdb"])
@pytest.mark.parametrize("fault", ["503", "cut"])
def test_a_failure_that_stays_is_an_error_and_no_damage(http: str, crew: Crew, name: str, fault: str) -> None:
    Ranges.faults = [fault] * 1000
    report = check(f"{http}/{name}", crew=crew)
    assert report.exit_code == 3
    assert not any(finding.rule.startswith("store") for finding in report)
    (one,) = report.reports
    told = " ".join([one.error or "", *one.coverage.reasons])
    assert "could not be read" in told or "can't be looked at" in told


def test_a_server_without_ranges_is_said(http: str, crew: Crew) -> None:
    Ranges.faults = ["whole"] * 1000
    report = check(f"{http}/packed.h5", crew=crew)
    assert report.exit_code == 3
    assert "does not serve ranges" in (report.reports[0].error or "")


@pytest.mark.parametrize("after", [2, 3])
def test_a_server_that_fails_in_the_middle_ends_the_scan_there(http: str, crew: Crew, after: int) -> None:
    Ranges.faults = ["503"] * 1000 + [""] * after
    report = check(f"{http}/packed.h5", crew=crew)
    assert report.exit_code == 3
    assert not [finding for finding in report if finding.rule != "value-inf"]


def test_what_is_not_there_is_said(http: str, crew: Crew) -> None:
    report = check(f"{http}/none", crew=crew)
    assert report.exit_code == 3
    assert "there is no such object" in (report.reports[0].error or "")
    assert check("http://127.0.0.1:9/train.h5", crew=crew).exit_code == 3


@pytest.mark.parametrize(
    ("url", "message"),
    [("spark://a/b", "spark"), ("simplecache::http://a/b", "chained addresses")],
)
def test_addresses_that_make_no_sense(url: str, message: str) -> None:
    with pytest.raises((UsageError, StoreError), match=message):
        RemotePath(url).info()


def test_something_else_at_an_address_is_an_unknown_format(sets: Path, http: str) -> None:
    (sets / "notes.txt").write_text("nothing")
    with pytest.raises(UnknownFormat, match="expected LMDB, LevelDB or HDF5"):
        open_store(f"{http}/notes.txt")


def test_an_option_that_is_about_files_around_is_refused(http: str) -> None:
    with pytest.raises(UsageError, match="about files around a file"):
        open_store(f"{http}/train.h5", follow_external=True)
    with pytest.raises(UsageError, match="no named databases"):
        open_store(f"{http}/train.h5", database="x")


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    tmp_path: Path, http: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10))
    with pytest.raises(StoreError, match=r"takes [\d,]+ bytes, and .* has room for 0"):
        remote_copy.copied(f"{http}/train.h5", tmp_path)
    assert len(Ranges.asked) == 1, "the first bytes tell the format"


def test_an_object_that_was_replaced_is_noticed(tmp_path: Path, http: str, sets: Path, crew: Crew) -> None:
    shutil.copy(sets / "train.h5", sets / "changing.h5")
    with open_store(f"{http}/changing.h5") as store:
        assert store.closing_damage(0) == []
        with open(sets / "changing.h5", "ab") as file:
            file.write(b"more")
        (damage,) = store.closing_damage(0)
        assert damage.kind == "in-use"


def test_a_file_that_was_replaced_is_noticed(http: str, sets: Path) -> None:
    shutil.copy(sets / "train.h5", sets / "replaced.h5")
    file = RemoteFile(RemotePath(f"{http}/replaced.h5"))
    assert not file.replaced()
    with open(sets / "replaced.h5", "ab") as stream:
        stream.write(b"more")
    assert file.replaced()
    file.close()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.sys.modules, "fsspec.core", None)  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match=r"pip install 'datascan\[remote\]'"):
        RemotePath("s3://a/b").info()


# ---- ranges ----


def test_any_range_is_what_the_object_holds(sets: Path, http: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    data = (sets / "packed.h5").read_bytes()
    file = RemoteFile(RemotePath(f"{http}/packed.h5"))
    rng = np.random.default_rng(8)
    for _ in range(60):
        offset, length = int(rng.integers(0, len(data) + 500)), int(rng.integers(0, 9000))
        file.prefetch(offset, length)
        assert file.read(offset, length) == data[offset : offset + length]
    parts = [np.zeros(size, np.uint8) for size in (0, 7, 3000, 1, 2500)]
    assert file.scatter(parts, 990) == 5508
    assert b"".join(part.tobytes() for part in parts) == data[990 : 990 + 5508]
    assert len(file._blocks) <= remote.KEPT
    file.close()


def test_a_reader_that_goes_straight_on_asks_for_each_byte_once(
    sets: Path, http: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 4096)
    file = RemoteFile(RemotePath(f"{http}/packed.h5"))
    for offset in range(0, file.size_bytes, 1500):
        file.read(offset, 1500)
    file.close()
    asked = [one for one in Ranges.asked if one]
    assert len(asked) == len(set(asked)) == -(-file.size_bytes // 4096)


@pytest.mark.parametrize(
    ("path", "remote_"),
    [("s3://a/b", True), ("https://a/b.h5", True), ("a/b", False), ("/a//b", False), ("c:\\x", False), ("://x", False)],
)
def test_addresses_are_told_from_paths(path: str, remote_: bool) -> None:
    assert is_remote(path) is remote_
