"""What is fuzzed: each fixture store, and each layout's and decoder's input."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from tests.in_process import InProcess
from tests.test_fuzz.mutations import mutated
from tests.test_fuzz.wellformed import check_finding, check_report, fingerprint
from tests.test_images.pictures import encoded, image

from datascan.backends import open_store
from datascan.backends.base import RecordBatch, Table
from datascan.backends.columns import BytesColumn
from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.images import inspect_image
from datascan.scanner.layouts import LAYOUTS, RECORD_LAYOUTS
from datascan.scanner.layouts.base import RecordLayout
from datascan.scanner.options import Options
from datascan.scanner.report import Report
from datascan.scanner.rules import RULES, instantiate
from datascan.scanner.rules.base import Context
from datascan.scanner.worker import Checker

CLEAN = Path(__file__).resolve().parents[2] / "fixtures" / "clean"


@dataclass(frozen=True)
class Target:
    """One kind of input: ``run`` makes the case of a seed in an empty folder and asserts what must hold of it."""

    name: str
    run: Callable[[random.Random, Path, Crew], None]


# ---- whole stores ----


@cache
def files_of(path: Path) -> dict[str, bytes]:
    """The files of a store by their names; one without a name for a store that is a file."""
    entries = [path] if path.is_file() else sorted(path.iterdir())
    return {"" if entry == path else entry.name: entry.read_bytes() for entry in entries}


def damaged_copy(rng: random.Random, source: Path, folder: Path) -> Path:
    """The store with one of its files damaged; in folders, larger files are likelier, and a file may be missing."""
    path = folder / source.name
    files = dict(files_of(source))
    names = list(files)
    victim = rng.choices(names, [len(files[name]) + 100 for name in names])[0]
    if len(names) > 1 and rng.random() < 0.05:
        del files[victim]
    else:
        files[victim] = mutated(rng, files[victim])
    if "" in files or source.is_file():
        path.write_bytes(files.get("", b""))
        return path
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def scan_unchanged(path: Path, crew: Crew) -> Report:
    before = fingerprint(path)
    report = check(path, crew=crew)
    assert fingerprint(path) == before, "the source was changed"
    check_report(report)
    return report


@cache
def records_in(source: Path) -> int:
    """Records of an undamaged store."""
    return check(source, crew=InProcess()).reports[0].coverage.seen


def store_target(name: str, source: Path) -> Target:
    contained = source.suffix == ".h5"

    def run(rng: random.Random, folder: Path, crew: Crew) -> None:
        path = damaged_copy(rng, source, folder)
        report = scan_unchanged(path, crew if contained else InProcess())
        if report.exit_code == 0 and not (path.is_dir() and any(path.glob("*.log"))):  # a shorter log is a sound one
            assert report.reports[0].coverage.seen == records_in(source), "records are gone without a word"
        if rng.random() < 0.1:
            again = scan_unchanged(path, crew if contained else InProcess())
            assert content_of(again) == content_of(report), "two scans differ"

    return Target(f"store-{name}", run)


def content_of(report: Report) -> list[dict[str, object]]:
    """A report without what differs from run to run."""
    return [{**source.to_dict(), "run": None} for source in report.reports]


def stores() -> Iterator[Target]:
    for folder in sorted(CLEAN.iterdir()):
        yield store_target(folder.name, source_in(folder))


def source_in(folder: Path) -> Path:
    """The data set of a fixture's folder."""
    (path,) = (path for path in folder.iterdir() if path.name != "expect.json")
    expectation = folder / "expect.json"
    said = json.loads(expectation.read_text(encoding="utf-8")) if expectation.exists() else {}
    source: str = said.get("options", {}).get("source", "")
    return path / source


# ---- lists of HDF5 files ----


def run_list(rng: random.Random, folder: Path, crew: Crew) -> None:
    (folder / "train.h5").write_bytes(files_of(CLEAN / "hdf5-pairs" / "train.h5")[""])
    path = folder / "list.txt"
    path.write_bytes(
        mutated(rng, rng.choice((b"train.h5\ntrain.h5\n", b"./train.h5\r\n# none\n\n", b"gone.h5 train.h5")))
    )
    scan_unchanged(path, crew)


@cache
def referring() -> dict[str, bytes]:
    """An HDF5 file that refers to others in every way, and those."""
    with TemporaryDirectory() as folder:
        path = Path(folder)
        values = np.random.default_rng(1).normal(size=(20, 3))
        values.tofile(path / "raw.bin")
        with h5py.File(path / "part.h5", "w") as file:
            file.create_dataset("x", data=values, chunks=(5, 3), compression="gzip")
        layout = h5py.VirtualLayout((20, 3), "f8")
        layout[:10] = h5py.VirtualSource("part.h5", "x", (20, 3))[10:]
        layout[10:] = h5py.VirtualSource("part.h5", "x", (20, 3))[:10]
        with h5py.File(path / "main.h5", "w") as file:
            file["link"] = h5py.ExternalLink("part.h5", "/x")
            file.create_dataset("raw", (20, 3), "f8", external=[("raw.bin", 0, values.nbytes)])
            file.create_virtual_dataset("virtual", layout)
        return {entry.name: entry.read_bytes() for entry in path.iterdir()}


def run_references(rng: random.Random, folder: Path, crew: Crew) -> None:
    files = dict(referring())
    victim = rng.choice(("main.h5", "main.h5", "part.h5", "raw.bin"))
    files[victim] = mutated(rng, files[victim])
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = fingerprint(folder)
    report = check(folder / "main.h5", crew=crew, follow_external=True)
    assert fingerprint(folder) == before, "the source was changed"
    check_report(report)


# ---- records ----


@cache
def records_of(folder: str) -> list[tuple[bytes, bytes]]:
    """Keys and values of a fixture."""
    found: list[tuple[bytes, bytes]] = []
    with open_store(source_in(CLEAN / folder)) as store:
        for partition in store.partitions():
            for part in store.read(partition):
                if isinstance(part, RecordBatch):
                    found += zip(map(bytes, part.keys), map(bytes, part.values), strict=True)
    return found


FIXTURES_OF = {
    "digits-pairs": ("digits-features", "digits-labels"),
    "caffe2-tensor-protos": ("caffe2-floats", "caffe2-images"),
    "basicsr": ("basicsr",),
    "stylegan": ("stylegan",),
    "tensorpack": ("tensorpack",),
    "folder2lmdb": ("folder2lmdb",),
    "atom3d": ("atom3d",),
    "ase-lmdb": ("ase-lmdb",),
    "json-records": ("json-rows",),
    "indexed-pickle": ("tape", "uni-mol"),
    "caffe-datum": ("lmdb-raw", "lmdb-encoded", "lmdb-float"),
    "ssd-annotated-datum": ("ssd-annotated",),
    "ocr": ("ocr",),
    "encoded-images": ("images-bare",),
    "npy": ("npz-values",),
    "npz": ("npz-values",),
    "pickle-records": ("pickle-dicts",),
    "msgpack-records": ("msgpack-values",),
    "raw": ("lmdb-raw", "pickle-dicts"),
}
"""Whose records each layout is given, besides those of its own kind that are made here."""


def npy_records() -> list[tuple[bytes, bytes]]:
    import io

    found = []
    for i in range(12):
        out = io.BytesIO()
        np.save(out, np.random.default_rng(i).normal(size=(3, 4, 5)).astype((np.float32, np.float64, np.uint8)[i % 3]))
        found.append((b"%06d" % i, out.getvalue()))
    return found


def layout_target(name: str) -> Target:
    def run(rng: random.Random, folder: Path, crew: Crew) -> None:
        source = npy_records() if name == "npy" else records_of(rng.choice(FIXTURES_OF[name]))
        records = [
            (
                mutated(rng, key) if rng.random() < 0.1 else key,
                mutated(rng, value) if rng.random() < 0.3 else value,
            )
            for key, value in source
        ]
        check_records(name, records, Options(num_classes=rng.choice((None, 3)), crop=rng.choice((None, 8))))

    return Target(f"layout-{name}", run)


def check_records(name: str, records: list[tuple[bytes, bytes]], options: Options) -> None:
    """Decode, sum up and judge records as a worker does."""
    layout_class = LAYOUTS[name]
    assert issubclass(layout_class, RecordLayout)
    layout = layout_class(options)
    columns = (BytesColumn.from_strings(record[side] for record in records) for side in (0, 1))
    batch = RecordBatch(Table(), np.arange(len(records)), *columns)
    layout.agrees(batch)
    context = Context(options, name, "lmdb", layout.traits)
    checker = Checker(layout, instantiate([rule.name for rule in RULES], context), options)
    checker.take(batch)
    partial = checker.partial
    for rule in checker.rules:
        for finding in rule.finish(partial.summary):
            partial.findings.add(finding)
    partial.summary.statistics()
    assert partial.crashes == {}, next(iter(partial.crashes.values()))
    assert partial.seen == len(records)
    for finding in partial.findings:
        check_finding(finding, len(records))


# ---- images ----


@cache
def pictures() -> dict[str, bytes]:
    """One image of each kind of each format."""
    small = image(height=40, width=48)
    frames = [small.rotate(turn) for turn in (0, 5, 10)]
    animated = {"save_all": True, "append_images": frames[1:]}
    return {
        "jpeg": encoded(small, "JPEG"),
        "jpeg-progressive": encoded(small, "JPEG", progressive=True),
        "jpeg-restart": encoded(small, "JPEG", restart_marker_rows=1),
        "jpeg-grey": encoded(image("L", 40, 48), "JPEG"),
        "jpeg-cmyk": encoded(image("CMYK", 40, 48), "JPEG"),
        "jpeg-large": encoded(image(height=160, width=160), "JPEG"),
        "png": encoded(small, "PNG"),
        "png-16": encoded(image("I;16", 40, 48), "PNG"),
        "png-palette": encoded(small.convert("P"), "PNG"),
        "png-bits": encoded(small.convert("1"), "PNG"),
        "png-alpha": encoded(image("RGBA", 40, 48), "PNG"),
        "png-animated": encoded(frames[0], "PNG", **animated),
        "webp": encoded(small, "WEBP"),
        "webp-lossless": encoded(small, "WEBP", lossless=True),
        "webp-animated": encoded(frames[0], "WEBP", **animated),
        "gif": encoded(small, "GIF"),
        "gif-animated": encoded(frames[0], "GIF", **animated),
        "tiff": encoded(small, "TIFF"),
        "tiff-lzw": encoded(small, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encoded(small, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encoded(small, "TIFF", compression="jpeg"),
        "bmp": encoded(small, "BMP"),
        "bmp-palette": encoded(small.convert("P"), "BMP"),
    }


def image_target(name: str) -> Target:
    def run(rng: random.Random, folder: Path, crew: Crew) -> None:
        options = Options(statistics=rng.choice(("full", "sampled")), max_pixels=1 << 22)
        facts = inspect_image(memoryview(mutated(rng, pictures()[name])), options)
        for fault in facts.faults:
            assert fault.rule in {rule.name for rule in RULES}, fault
            assert fault.message, fault
            assert "\n" not in fault.message, fault
        assert facts.faults or (facts.width and facts.height), facts
        too_large = (facts.width or 0) * (facts.height or 0) > options.max_pixels
        assert not too_large or facts.sums is None, facts

    return Target(f"image-{name}", run)


TARGETS = {
    target.name: target
    for target in (
        *stores(),
        Target("list", run_list),
        Target("references", run_references),
        *(layout_target(name) for name in RECORD_LAYOUTS),
        *(image_target(name) for name in pictures()),
    )
}
