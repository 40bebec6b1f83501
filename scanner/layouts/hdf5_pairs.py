"""HDF5 files that hold samples and labels side by side: ``data`` and ``label``, ``x`` and ``y`` and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...backends.base import DatasetInfo, Table
from ..options import Options
from ..sample import Fault
from .base import Traits
from .hdf5_names import Name, parse_name
from .hdf5_rows import Hdf5Rows, is_array, left_out, lone_tables, rows_of

CAFFE_NAMES = ("/data", "/label")


@dataclass(slots=True)
class Pair:
    """Datasets of one group and split: samples, labels, and what has a usual name for neither.

    ``closed`` are samples that can't be looked at, for want of a filter or because they lie in another file.
    """

    data: list[DatasetInfo] = field(default_factory=list)
    labels: list[DatasetInfo] = field(default_factory=list)
    others: list[DatasetInfo] = field(default_factory=list)
    closed: list[DatasetInfo] = field(default_factory=list)


class Hdf5Pairs(Hdf5Rows):
    """See `RowLayout`."""

    name = "hdf5-pairs"
    title = "HDF5 data and labels by name: data/label, x/y, train_set_x/train_set_y, X_train/y_train, images/labels"
    traits = Traits(fixed_shape=True, key_numbers=False, labelled=True)

    @classmethod
    def recognise(cls, datasets: Sequence[DatasetInfo], options: Options) -> Hdf5Pairs | None:
        """See `RowLayout.recognise`."""
        pairs = {key: pair for key, pair in find_pairs(datasets).items() if pair.data or pair.closed or pair.labels}
        complete = {key: pair for key, pair in pairs.items() if pair.labels}
        alone = not complete and "/data" in {info.path for info in datasets}
        if not complete and not alone:
            return None
        tables, labels, faults = [], set[str](), list[Fault]()
        for (group, split), pair in (complete or {("", ""): pairs[("", "")]} if pairs else {}).items():
            name = (group or "/") if not split else f"{group}/{split}"
            tables += pair_tables(name, pair) if pair.data else lone_tables(pair.labels)
            labels |= {info.path for info in pair.labels}
            faults += _twin_faults(pair) if pair.data else []
        paired = {path for table in tables for path in table.columns}
        tables += lone_tables([info for info in datasets if info.path not in paired])
        faults += _caffe_oddities(datasets)
        return cls(options, tables, labels, left_out(datasets), faults)


def find_pairs(datasets: Sequence[DatasetInfo]) -> dict[tuple[str, str], Pair]:
    """Datasets by group and split, in file order; those of other names go with the only split of their group."""
    pairs: dict[tuple[str, str], Pair] = {}
    unnamed: list[tuple[Name, DatasetInfo]] = []
    for info in datasets:
        name = parse_name(info.path)
        key = (name.group, name.split)
        if name.is_data and (is_array(info) or _is_bytes(info)):
            pairs.setdefault(key, Pair()).data.append(info)
        elif name.is_label and (is_array(info) or (info.readable and info.kind == "text")):
            pairs.setdefault(key, Pair()).labels.append(info)
        elif name.is_data and info.kind in ("numeric", "bytes") and not info.readable:
            pairs.setdefault(key, Pair()).closed.append(info)
        elif is_array(info):
            unnamed.append((name, info))
    for name, info in unnamed:
        splits = [key for key in pairs if key[0] == name.group]
        if len(splits) == 1:
            pairs[splits[0]].others.append(info)
    for pair in pairs.values():
        if pair.labels and not pair.data and not pair.closed:
            _promote(pair)
    return pairs


def _promote(pair: Pair) -> None:
    """Labels tell what the samples are, whatever these are called: arrays with as many rows as there are labels."""
    rows = {rows_of(label) for label in pair.labels if label.shape}
    pair.data = [info for info in pair.others if info.shape and rows_of(info) in rows]
    pair.others = [info for info in pair.others if info not in pair.data]


def _is_bytes(info: DatasetInfo) -> bool:
    return info.readable and info.kind == "bytes" and info.shape is not None


def pair_tables(name: str, pair: Pair, file: str | None = None) -> list[Table]:
    """The pair as one table; datasets with another number of rows are tables of their own."""
    rows = rows_of(pair.data[0])
    together = [info for info in (*pair.data, *pair.labels, *pair.others) if info.shape and rows_of(info) == rows]
    apart = [info for info in (*pair.data, *pair.labels) if info not in together]
    prefix = f"{file}:" if file else ""
    tables = [Table(f"{prefix}{name}", tuple(info.path for info in together), file)] if together else []
    return tables + [Table(f"{prefix}{info.path}", (info.path,), file) for info in apart]


def _twin_faults(pair: Pair) -> list[Fault]:
    data = pair.data[0]
    return [
        Fault(None, "record-missing-twin", twin_message(data, label), label.path, data=twin_facts(data, label))
        for label in pair.labels
        if not label.shape or rows_of(label) != rows_of(data)
    ]


def twin_message(data: DatasetInfo, label: DatasetInfo) -> str:
    """How the rows of samples and labels differ, as a sentence."""
    held = f"{label.path} has {rows_of(label):,} rows" if label.shape else f"{label.path} is a single value"
    return f"{data.path} has {rows_of(data):,} rows, {held}"


def twin_facts(data: DatasetInfo, label: DatasetInfo) -> dict[str, int]:
    """The two counts, for machines."""
    return {"data_rows": rows_of(data), "label_rows": rows_of(label) if label.shape else 0}


def _caffe_oddities(datasets: Sequence[DatasetInfo]) -> list[Fault]:
    """Values in ``data`` and ``label`` that Caffe refuses; other loaders take them, so they are warnings."""
    return [
        Fault(None, "record-undecodable", caffe_refusal(info), info.path, severe=False)
        for info in datasets
        if info.path in CAFFE_NAMES and caffe_refusal(info)
    ]


def caffe_refusal(info: DatasetInfo) -> str:
    """Why Caffe's HDF5Data layer refuses the dataset's values (util/hdf5.cpp), empty if it takes them."""
    if info.kind == "numeric" and not info.dtype.startswith("("):
        return ""
    held = {"text": "strings", "bool": "truth values (an HDF5 enum)", "enum": "an enum", "bytes": "byte strings"}
    held |= {"compound": "compound values", "complex": "complex numbers", "numeric": "an array in each element"}
    if info.kind == "other" and not info.dtype:
        return ""  # its type could not be read: that is reported where it was met
    return f"{info.path} holds {held.get(info.kind, 'other values')}: Caffe's HDF5Data takes only integers and floats"
