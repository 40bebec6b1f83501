"""List files of HDF5 files, as Caffe's HDF5Data layer reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from ...backends.base import DatasetInfo, Table
from ..options import Options
from ..sample import Fault
from .base import Traits
from .hdf5_names import parse_name
from .hdf5_pairs import Pair, caffe_refusal, pair_tables, twin_facts, twin_message
from .hdf5_rows import Hdf5Rows, is_array, left_out, lone_tables, rows_of

INT_MAX = (1 << 31) - 1
"""Most values of a blob (blob.cpp)."""


class CaffeHdf5(Hdf5Rows):
    """See `RowLayout`.

    Caffe opens the datasets that its layer's tops name, at the root of each file (hdf5_data_layer.cpp). Which ones
    these are is known from their usual names only; other datasets are looked at, but not held to Caffe's rules.
    """

    name = "caffe-hdf5"
    title = "HDF5 files in a list file, as Caffe's HDF5Data layer reads them"
    traits = Traits(caffe=True, fixed_shape=True, key_numbers=False, labelled=True)

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> CaffeHdf5 | None:
        """See `RowLayout.recognise`."""
        if not any(info.file is not None for info in datasets):
            return None
        tables: list[Table] = []
        labels: set[str] = set()
        faults: list[Fault] = []
        first: dict[str, DatasetInfo] = {}
        for file, infos in groupby(datasets, key=lambda info: info.file):
            listed = list(infos)
            tops = [info for info in listed if _is_top(info)]
            faults += [_in_file(fault, file) for fault in _file_faults(listed, tops, first)]
            first = first or {info.path: info for info in tops}
            pair, rest = _split(listed)
            paired = pair_tables("/", pair, file) if pair.data else []
            tables += paired
            read = {path for table in paired for path in table.columns}
            tables += lone_tables([info for info in rest if info.path not in read])
            labels |= {info.path for info in listed if parse_name(info.path).is_label}
        return cls(options, tables, labels, left_out(datasets), faults)


def _is_top(info: DatasetInfo) -> bool:
    """Whether a layer may name it: at the root, and named as samples or labels are."""
    name = parse_name(info.path)
    return name.group == "" and not name.split and (name.is_data or name.is_label) and "." not in name.stem


def _split(datasets: Sequence[DatasetInfo]) -> tuple[Pair, list[DatasetInfo]]:
    """What is read together, and the rest of a file."""
    pair = Pair()
    rest = []
    for info in datasets:
        name = parse_name(info.path)
        usable = is_array(info) or (info.readable and info.kind == "text" and name.is_label)
        if name.group or not usable:
            rest.append(info)
        elif name.is_data:
            pair.data.append(info)
        elif name.is_label:
            pair.labels.append(info)
        else:
            pair.others.append(info)
            rest.append(info)
    return pair, rest + ([] if pair.data else pair.labels)


def _file_faults(
    datasets: Sequence[DatasetInfo], tops: Sequence[DatasetInfo], first: dict[str, DatasetInfo]
) -> list[Fault]:
    """What Caffe refuses or misreads in one file; ``first`` are the tops of the first file."""
    faults = [Fault(None, "record-undecodable", why, info.path) for info in tops if (why := caffe_refusal(info))]
    faults += [fault for info in tops if (fault := _too_many_values(info))]
    if not any(info.path.count("/") == 1 for info in datasets):
        faults += [
            Fault(None, "record-undecodable", "Caffe looks for datasets at the root of the file", info.path)
            for info in datasets[:1]
        ]
    data = next((info for info in tops if parse_name(info.path).is_data and info.shape), None)
    if data is not None:
        faults += [
            Fault(None, "record-missing-twin", twin_message(data, info), info.path, data=twin_facts(data, info))
            for info in tops
            if info is not data and not caffe_refusal(info) and (not info.shape or rows_of(info) != rows_of(data))
        ]
    return faults + _against_first({info.path: info for info in tops}, first)


def _too_many_values(info: DatasetInfo) -> Fault | None:
    count = math.prod(info.shape or ())
    if count <= INT_MAX:
        return None
    message = f"{info.path} holds {count:,} values: Caffe loads a file's dataset as a whole, and takes {INT_MAX:,}"
    return Fault(None, "record-undecodable", message, info.path)


def _against_first(tops: dict[str, DatasetInfo], first: dict[str, DatasetInfo]) -> list[Fault]:
    """Only the first file decides on shapes; Caffe reads the others with its stride, and says nothing."""
    faults = []
    for path, expected in first.items():
        found = tops.get(path)
        if found is None:
            message = f"{path} is in the first file of the list, but not in this one"
            faults.append(Fault(None, "record-missing-twin", message, path))
        elif found.shape and expected.shape and found.shape[1:] != expected.shape[1:]:
            message = (
                f"rows of {path} are {_sides(found)}, in the first file of the list {_sides(expected)}: "
                "Caffe reads them with the first file's stride"
            )
            facts = {"shape": list(found.shape[1:]), "first": list(expected.shape[1:])}
            faults.append(Fault(None, "record-shape-mismatch", message, path, data=facts))
    return faults


def _sides(info: DatasetInfo) -> str:
    return "x".join(map(str, (info.shape or ())[1:])) or "single values"


def _in_file(fault: Fault, file: str | None) -> Fault:
    return replace(fault, message=f"{file}: {fault.message}", data={"file": file, **fault.data})
