"""Data sets that real Caffe, LevelDB and HDF5 wrote, with faults planted in them; walked where they are present."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datascan.scanner import Report, Severity, check
from datascan.scanner.crew import Crew

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "caffe" / "data"


@dataclass(frozen=True)
class Expected:
    """What must be found: one of the rules, at this index (``None``: of the set), at this severity."""

    rules: str
    index: int | None = None
    severity: Severity = Severity.ERROR
    num_classes: int | None = None


E, W = Severity.ERROR, Severity.WARNING

FAULTS = {
    "lmdb_label5": Expected("label-out-of-range", 37, num_classes=5),
    "lmdb_label1000": Expected("label-out-of-range", 37, num_classes=5),
    "lmdb_label_neg1": Expected("label-negative", 37),
    "lmdb_label_huge": Expected("label-out-of-range", 37),
    "lmdb_label_1based": Expected("label-offset", severity=W),
    "lmdb_nolabel": Expected("label-missing", severity=W),
    "lmdb_dims28": Expected("record-shape-mismatch", 37),
    "lmdb_dims40": Expected("record-shape-mismatch", 37),
    "lmdb_dims28_first_of_batch": Expected("record-shape-mismatch", 20),
    "lmdb_gray_one": Expected("image-channels", 37),
    "lmdb_short_data": Expected("record-size-mismatch", 37),
    "lmdb_no_data": Expected("record-empty", 37),
    "lmdb_empty_value": Expected("record-empty", 37),
    "lmdb_empty_value_first": Expected("record-empty", 0),
    "lmdb_trunc_value": Expected("record-undecodable", 37),
    "lmdb_garbage_value": Expected("record-undecodable", 37),
    "lmdb_all_zero_image": Expected("image-constant", 37, W),
    "lmdb_float_nan": Expected("value-nan", 37),
    "lmdb_float_inf": Expected("value-inf", 37),
    "lmdb_float_1e38": Expected("value-extreme", 37),
    "lmdb_float_short": Expected("record-size-mismatch", 37),
    "lmdb_enc_trunc_half": Expected("image-truncated", 37),
    "lmdb_enc_trunc_hdr": Expected("image-undecodable", 37),
    "lmdb_enc_empty": Expected("record-empty", 37),
    "lmdb_enc_garbage": Expected("image-undecodable", 37),
    "lmdb_enc_gray_one": Expected("image-channels", 37),
    "lmdb_enc_png_trunc": Expected("image-truncated", 37),
    "lmdb_enc_bitrot": Expected("image-corrupt", 37),
    "lmdb_enc_flag_lost": Expected("record-size-mismatch record-undecodable", 37),
    "lmdb_file_trunc": Expected("store-truncated"),
    "lmdb_file_trunc_odd": Expected("store-truncated"),
    "lmdb_meta_zero": Expected("store-damaged store-unreadable"),
    "lmdb_no_entries": Expected("store-empty"),
    "lmdb_named_subdb": Expected("store-empty"),
    "lmdb_sorted_by_class": Expected("label-sorted", severity=W),
    "lmdb_unpadded_keys": Expected("record-key-order", severity=W),
    "leveldb_sst_bitrot": Expected("store-damaged", 0),
    "leveldb_sst_missing": Expected("store-damaged"),
    "leveldb_sst_trunc": Expected("store-truncated store-damaged", 0),
    "leveldb_no_current": Expected("store-damaged"),
    "leveldb_wal_trunc": Expected("store-truncated"),
    "leveldb_wal_bitrot": Expected("store-damaged"),
    "leveldb_float_nan": Expected("value-nan", 37),
    "conv_lmdb_missing": Expected("record-key-gap", 6, W),
    "conv_lmdb_corrupt": Expected("record-key-gap", 7, W),
    "conv_lmdb_encoded_corrupt": Expected("image-truncated", 6),
    "conv_lmdb_odd_labels": Expected("label-negative", 1),
    "conv_lmdb_dup_image_conflicting_labels": Expected("record-label-conflict", 1, W),
    "conv_lmdb_tab": Expected("store-empty"),
    "conv_leveldb_tab": Expected("store-empty"),
    "h5_nan_row17.h5": Expected("value-nan", 17),
    "h5_inf_row17.h5": Expected("value-inf", 17),
    "h5_big_row17.h5": Expected("value-extreme", 17),
    "h5_f16_nan.h5": Expected("value-nan", 17),
    "h5_empty_rows.h5": Expected("store-empty"),
    "h5_file_trunc.h5": Expected("store-truncated"),
    "h5_gzip_bitrot.h5": Expected("store-damaged", 10),
    "h5_label5.h5": Expected("label-out-of-range", 17, num_classes=5),
    "h5_label_1e6.h5": Expected("label-out-of-range", 17, num_classes=5),
    "h5_label_frac.h5": Expected("label-non-integer", 17),
    "h5_label_nan.h5": Expected("label-nan", 17),
    "h5_label_neg1.h5": Expected("label-negative", 17),
    "h5_missing_label.h5": Expected("label-missing", severity=W),
    "h5_multilabel_bad.h5": Expected("label-out-of-range", 17),
    "h5_multilabel_nan.h5": Expected("label-nan", 17),
    "h5_multilabel_neg1.h5": Expected("label-negative", severity=W),
    "h5_rowmismatch.h5": Expected("record-missing-twin"),
    "h5_scalar_label.h5": Expected("record-missing-twin"),
    "h5_too_big.h5": Expected("store-damaged"),
    "h5_bool_label_list.txt": Expected("record-undecodable"),
    "h5_compound_list.txt": Expected("record-undecodable"),
    "h5_string_label_list.txt": Expected("record-undecodable"),
    "h5_vlenstr_label_list.txt": Expected("record-undecodable"),
    "h5_in_group_list.txt": Expected("record-undecodable"),
    "h5_second_shape_list.txt": Expected("record-shape-mismatch"),
    "h5_list_comment_list.txt": Expected("store-unreadable"),
    "h5_list_missingfile_list.txt": Expected("store-unreadable"),
    "h5_list_empty_list.txt": Expected("store-empty"),
    "h5_nan_row17_list.txt": Expected("value-nan", 17),
}

CLEAN_FAULTS = ("lmdb_float_ok", "h5_multilabel.h5", "h5_onehot_label.h5", "h5_nchw_nhwc.h5")
"""Sets among the faulty ones that are sound in themselves: only a net can be wrong for them."""


def healthy() -> list[Path]:
    names = ["lmdb_*", "leveldb_*", "ssd_*", "hdf5/*"]
    return sorted(path for name in names for path in DATA.glob(name)) + [
        DATA / "faults" / name for name in CLEAN_FAULTS if DATA.is_dir()
    ]


def faulty() -> list[Any]:
    return [pytest.param(DATA / "faults" / name, want, id=name) for name, want in FAULTS.items() if DATA.is_dir()]


def tree_hash(path: Path) -> str:
    """Names, bytes and times of a file or folder."""
    digest = hashlib.sha256()
    for entry in sorted([path, *path.rglob("*")] if path.is_dir() else [path]):
        stat = entry.stat()
        digest.update(f"{entry} {stat.st_mtime_ns} {stat.st_size}".encode())
        if entry.is_file():
            digest.update(entry.read_bytes())
    return digest.hexdigest()


def lines(report: Report) -> str:
    return "\n".join(f"{f.severity.value} {f.rule} {f.location} {f.message}" for f in report)


@pytest.mark.parametrize("path", healthy(), ids=lambda path: path.name)
def test_a_healthy_set_gives_no_error(path: Path, crew: Crew) -> None:
    before = tree_hash(path)
    report = check(path, crew=crew)
    assert not [finding for finding in report if finding.severity is E], lines(report)
    assert report.exit_code == 0, report.reports[0].coverage
    assert tree_hash(path) == before


@pytest.mark.parametrize(("path", "want"), faulty())
def test_a_planted_fault_is_found_where_it_is(path: Path, want: Expected, crew: Crew) -> None:
    before = tree_hash(path)
    report = check(path, crew=crew, num_classes=want.num_classes)
    assert (want.index, want.severity) in [
        (f.location.index, f.severity) for f in report if f.rule in want.rules.split()
    ], lines(report) or report.reports[0].error
    others = {f.location.index for f in report if f.severity is E and f.location.index is not None}
    if want.index is not None and want.rules != "store-damaged":
        assert others <= {want.index}, lines(report)
    assert report.exit_code == (1 if want.severity is E else 0)
    assert tree_hash(path) == before
