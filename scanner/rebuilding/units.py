"""Which datasets of an HDF5 file lose the same rows: those that are read together, and those that stand beside them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ...backends.base import DatasetInfo, Table
from .row_copier import Listing


@dataclass(slots=True)
class Unit:
    """Datasets with one row for each sample: ``tables`` of the scan, ``paths`` of all that lose rows together.

    ``beside`` says that they stand beside samples and are none (a mean, a matrix of class weights): they lose none.
    """

    file: str
    rows: int
    tables: list[Table] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    beside: bool = False


def units_of(listing: Listing, tables: list[tuple[Table, int]]) -> list[Unit]:
    """The units of a file, in the order of its tables.

    Datasets that a layout reads together are one; any other dataset with as many rows joins them, if there is one such
    unit in the file, or one in its group. Where nothing is read together, datasets with as many rows are a unit: to
    filter one of them alone would part every sample from its label.
    """
    units: list[Unit] = []
    lone: list[tuple[Table | None, DatasetInfo]] = []
    infos = {info.path: info for info in listing.datasets}
    held: set[str] = set()
    for table, rows in tables:
        owners = list(dict.fromkeys(listing.owners.get(path, path) for path in table.columns))
        held |= set(table.columns) | set(owners)
        if len(owners) > 1:
            units.append(Unit(listing.name, rows, [table], owners))
        else:
            lone.append((table, infos[owners[0]] if owners[0] in infos else infos[table.columns[0]]))
    lone += [(None, info) for info in listing.datasets if info.path not in held and info.path not in listing.owners]
    together = list(units)
    alone: dict[int, Unit] = {}
    for held_by, info in lone:
        if not info.shape:
            if held_by is not None:
                units.append(Unit(listing.name, 1, [held_by], []))
            continue
        unit = _beside(info, together) or alone.get(info.shape[0])
        if unit is None:
            if held_by is None:
                continue
            unit = alone[info.shape[0]] = Unit(listing.name, info.shape[0])
            units.append(unit)
        if held_by is not None and held_by not in unit.tables:
            unit.tables.append(held_by)
        if info.path not in unit.paths:
            unit.paths.append(info.path)
    for unit in units:
        unit.beside = bool(together) and unit not in together
    return units


def _beside(info: DatasetInfo, units: list[Unit]) -> Unit | None:
    """The unit that a dataset belongs to by its number of rows, and by its group where several have that many."""
    fitting = [unit for unit in units if info.shape and unit.rows == info.shape[0]]
    by_group: dict[str, list[Unit]] = defaultdict(list)
    for unit in fitting:
        by_group[_group(unit.paths[0])].append(unit)
    near = by_group.get(_group(info.path), [])
    return fitting[0] if len(fitting) == 1 else near[0] if len(near) == 1 else None


def _group(path: str) -> str:
    return path.rpartition("/")[0]
