"""Reports made by hand, as a scan would make them, and rule pages that no change of a rule's wording touches."""

from __future__ import annotations

from datascan.scanner.finding import Finding, Location, Severity
from datascan.scanner.render.pages import Page
from datascan.scanner.report import Coverage, NotRun, Report, RunInfo, SourceInfo, SourceReport

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
RUN = RunInfo("2026-01-02T03:04:05+00:00", 0.8, 2)

PAGES = {
    "image-truncated": Page(
        "image-truncated",
        ERROR,
        (
            ("What it does", "Checks that encoded images are there to their last row."),
            (
                "Why is this bad?",
                "Half a JPEG decodes to a picture whose lower half is grey, and most loaders train on it without a\n"
                "word. This is the second sentence, which only the page shows.",
            ),
            ("How to fix", "Rebuild the data set without the record (`datascan rebuild`), or write it **again**."),
        ),
    ),
    "value-nan": Page(
        "value-nan",
        ERROR,
        (
            ("What it does", "Checks floating-point arrays for NaN."),
            ("Why is this bad?", "One NaN input makes the loss NaN, and every weight after the next step."),
            ("How to fix", "Rebuild the data set without the record."),
        ),
    ),
}


def images() -> SourceReport:
    """Errors, warnings and an info, some omitted; all statistics."""
    truncated = [
        Finding(
            "image-truncated",
            ERROR,
            f"JPEG ends after {share}% of its rows",
            Location(key=f"{index:08d}_cat.jpg".encode(), index=index, offset=index * 100),
            {"rows": share},
        )
        for index, share in ((3, 61), (9, 12), (17, 99), (18, 50), (40, 7), (51, 88))
    ]
    others = [
        Finding("record-key-gap", WARNING, "the number 50 is missing between 00000049_a.jpg and 00000051_b.jpg"),
        Finding(
            "image-channels",
            WARNING,
            "grey among colour images: a loader that does not convert it stops, or stacks arrays of different shapes",
            Location(key=b"train/n01440764/" + b"k" * 60 + b"/00000020.jpg", index=20),
        ),
        Finding("image-oddity", INFO, "the ICC profile has a bad marker", Location(key=b"00000002_cat.jpg", index=2)),
    ]
    return SourceReport(
        source=SourceInfo("train_lmdb", "lmdb", "caffe-datum", 60, 196_608),
        coverage=Coverage(60, 0, True, (), (NotRun("label-out-of-range", "number of classes not given"),)),
        findings=(others[0], *truncated, *others[1:]),
        omitted={"image-truncated": {ERROR: 34}},
        statistics={
            "labels": {str(label): 3 * label + 1 for label in range(12)},
            "shapes": {"3x32x32": 59, "1x32x32": 1},
            "formats": {"JPEG": 59, "PNG": 1},
            "channels": [
                {"mean": 110.07941, "std": 61.2, "min": 0, "max": 255},
                {"mean": 98.5, "std": 60.123456, "min": 0, "max": 254},
                {"mean": 0.00012345, "std": 1e-7, "min": -1, "max": 1.5},
            ],
        },
        run=RUN,
    )


def rows() -> SourceReport:
    """HDF5: rows, elements, lost rows, a part left out, a rule that crashed."""
    crash = (
        'Traceback (most recent call last):\n  File "rule.py", line 3, in check\nZeroDivisionError: division by zero'
    )
    return SourceReport(
        source=SourceInfo("/data/sets/train.h5", "hdf5", "hdf5-pairs", 1_200_000, 3_500_000_000),
        coverage=Coverage(
            1_199_990,
            10,
            False,
            ("only the first 1,200,000 records were asked for", "value-constant crashed: ZeroDivisionError"),
            (NotRun("dataset", "/meta/compound: compound type"), NotRun("value-constant", crash)),
        ),
        findings=(
            Finding("value-nan", ERROR, "NaN", Location(index=17, dataset="/data", element=(1, 5, 5))),
            Finding("value-nan", ERROR, "NaN", Location(index=1_000_017, dataset="/data", element=(0, 0, 0))),
            Finding(
                "store-damaged",
                ERROR,
                "chunk at row 40 fails its checksum: rows 40 to 49 are lost",
                Location(index=40, dataset="/data", offset=81_920),
                {"file": "part1.h5"},
            ),
        ),
        statistics={
            "labels": {"0": 600_000, "1": 599_990},
            "label_columns": {
                "/label": {"kind": "classes", "records": 1_199_990, "width": 1, "min": 0, "max": 1},
                "/target": {"kind": "targets", "records": 1_199_990, "width": 4, "min": -0.25, "max": 1.75},
            },
        },
        run=RunInfo("2026-01-02T03:04:05+00:00", 125.2, 16),
        crashed=True,
    )


def missing() -> SourceReport:
    """A source that is not there."""
    return SourceReport(
        source=SourceInfo("nosuch"),
        coverage=Coverage(complete=False, reasons=("the source could not be looked at",)),
        error="nosuch: no such file or folder",
    )


def clean() -> SourceReport:
    """Nothing found."""
    return SourceReport(source=SourceInfo("val_lmdb", "lmdb", "caffe-datum", 1, 8192), coverage=Coverage(1), run=RUN)


def warned() -> SourceReport:
    """Warnings alone: a pass."""
    return SourceReport(
        source=SourceInfo("test_leveldb", "leveldb", "caffe-datum", 60, 4096),
        coverage=Coverage(60),
        findings=(Finding("label-constant", WARNING, "every label is 3"),),
        run=RUN,
    )


def hostile() -> SourceReport:
    """Names and messages that try to steer the terminal, wide and combining characters."""
    keys = (
        b"\x1b[31mred\x1b]0;title\x07",
        b"\xff\x00\x80abc",
        "日本語のキー/画像.jpg".encode(),
        "e\u0301t\u00e9 \u202eevil.gpj".encode(),
        b"",
        b" padded ",
    )
    findings = [
        Finding("record-undecodable", ERROR, "not a Datum: \x1b[2J\r\nfield 9", Location(key=key, index=index))
        for index, key in enumerate(keys)
    ]
    return SourceReport(
        source=SourceInfo("bad\x1b[2Jname\udcff\n", "lmdb", "raw\x9b1m", 6, 10),
        coverage=Coverage(6, 0, False, ("left \x1b out",), (NotRun("rule\x07", "why\x1b not"),)),
        findings=tuple(findings),
        statistics={"labels": {"\x1b[1m": 3}, "shapes": {"\x1b[1m": 3}, "formats": {"\x1b[1m": 3}},
        run=RUN,
    )


def interrupted() -> SourceReport:
    """Ctrl-C in the middle."""
    return SourceReport(
        source=SourceInfo("train_lmdb", "lmdb", "caffe-datum", 1_000, 8192),
        coverage=Coverage(400, 0, False, ("interrupted",)),
        run=RUN,
        interrupted=True,
    )


EXAMPLES = {
    "images": Report([images()]),
    "rows": Report([rows()]),
    "missing": Report([missing()]),
    "clean": Report([clean()]),
    "warned": Report([warned()]),
    "hostile": Report([hostile()]),
    "interrupted": Report([interrupted()]),
    "several": Report([images(), clean(), missing(), warned()]),
}
