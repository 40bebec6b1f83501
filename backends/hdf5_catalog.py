"""Listing what an HDF5 file holds, link by link, without following any link out of the file.

The library's own walk opens external links, asks virtual datasets for their sources and follows what a damaged
group names. Here each link's class is looked at before anything behind it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .base import Damage, DatasetInfo
from .hdf5_describe import Described, Description, describe
from .hdf5_library import LIBRARY_ERRORS, h5py, one_line

MAX_OBJECTS = 200_000
"""Objects listed at most; what lies behind is named as not listed."""
MAX_DEPTH = 100
"""Groups within groups; deeper ones are named as not listed."""

ObjectId = tuple[int, int]
"""File number and address: what tells one object from another, however many links lead to it."""


@dataclass(slots=True)
class Catalog:
    """Datasets in file order, each once, under its shortest path; and the links that lead nowhere."""

    datasets: list[DatasetInfo] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    locations: dict[str, bytes] = field(default_factory=dict)
    """The path in bytes, as the file has it, for each dataset's path."""
    by_path: dict[str, DatasetInfo] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    """The field's name for each path of a compound's field."""


@dataclass(slots=True)
class _Found:
    """A dataset while the walk goes on: the best path so far."""

    rank: tuple[int, bool, int]
    path: bytes
    description: Description


def read_catalog(file: Any) -> Catalog:
    """Walk all links from the root, depth first, in the order in which the library gives them."""
    return _Walk(file).run()


class _Walk:
    def __init__(self, file: Any) -> None:
        self.root = file.id
        self.found: dict[ObjectId, _Found] = {}
        self.groups: set[ObjectId] = set()
        self.soft: list[tuple[int, bytes, bytes]] = []
        self.unlisted: list[tuple[bytes, str]] = []
        self.damages: list[Damage] = []
        self.steps = 0

    def run(self) -> Catalog:
        root = h5py.h5o.open(self.root, b"/")
        self.groups.add(_object_id(root))
        # Iterators instead of recursion: a file can nest groups deeper than Python's stack.
        stack = [self._links(root, b"/")]
        while stack:
            deeper = next(stack[-1], None)
            if deeper is None:
                stack.pop()
            else:
                group, path = deeper
                stack.append(self._links(group, path + b"/"))
        self._name_by_soft_links()
        return self._catalog()

    def _links(self, group: Any, prefix: bytes) -> Iterator[tuple[Any, bytes]]:
        """Take in a group's links; yields its subgroups, each before the next link is looked at."""
        for name in self._names(group, prefix):
            self.steps += 1
            path = prefix + name
            try:
                info = group.links.get_info(name)
                if info.type == h5py.h5l.TYPE_HARD:
                    yield from self._hard(group, name, path)
                elif info.type == h5py.h5l.TYPE_SOFT:
                    self.soft.append((self.steps, path, resolve(prefix, group.links.get_val(name))))
                elif info.type == h5py.h5l.TYPE_EXTERNAL:
                    self._external(path, *group.links.get_val(name))
                else:
                    self._damage(path, f"link of class {info.type}, which only the program that made it can follow")
            except LIBRARY_ERRORS as exc:
                self._damage(path, f"the link can't be followed: {one_line(exc)}")

    def _names(self, group: Any, prefix: bytes) -> list[bytes]:
        names: list[bytes] = []
        room = MAX_OBJECTS - self.steps

        def take(name: bytes) -> bool:
            names.append(name)
            return len(names) > room

        try:
            group.links.iterate(take)
        except LIBRARY_ERRORS as exc:
            self._damage(prefix, f"the group's list of links is damaged: {one_line(exc)}")
        if len(names) > room:
            names.pop()
            self.unlisted.append((prefix, f"the file has more than {MAX_OBJECTS:,} objects; the rest is not listed"))
        # A name with a slash is a path to the library, which would follow it wherever it leads.
        for name in names:
            if b"/" in name or name in (b"", b"."):
                self._damage(prefix, f"the group names a link {name!r}, which can't be a name")
        return [name for name in names if b"/" not in name and name not in (b"", b".")]

    def _hard(self, group: Any, name: bytes, path: bytes) -> Iterator[tuple[Any, bytes]]:
        opened = h5py.h5o.open(group, name)
        identity = _object_id(opened)
        if isinstance(opened, h5py.h5g.GroupID):
            if identity in self.groups:
                return
            self.groups.add(identity)
            if path.count(b"/") > MAX_DEPTH:
                self.unlisted.append((path, f"groups nested deeper than {MAX_DEPTH} are not listed"))
            else:
                yield opened, path
        elif isinstance(opened, h5py.h5d.DatasetID):
            rank = (path.count(b"/"), False, self.steps)
            if identity not in self.found:
                self.found[identity] = _Found(rank, path, describe(opened))
            elif rank < self.found[identity].rank:
                self.found[identity].rank, self.found[identity].path = rank, path

    def _name_by_soft_links(self) -> None:
        """Readers open ``data`` whether it is the dataset's own name or a soft link to it: so does the report."""
        for step, path, target in self.soft:
            try:
                opened = open_inside(self.root, target)
                if opened is None:
                    self._damage(path, f"soft link to {as_text(target)}, which does not exist in this file")
                    continue
                found = self.found.get(_object_id(opened))
            except LIBRARY_ERRORS as exc:
                self._damage(path, f"soft link to {as_text(target)}, which can't be followed: {one_line(exc)}")
                continue
            rank = (path.count(b"/"), True, step)
            if found is not None and rank < found.rank:
                found.rank, found.path = rank, path

    def _external(self, path: bytes, filename: bytes, target: bytes) -> None:
        where = f"{as_text(filename)}:{as_text(target)}"
        self.damages.append(
            Damage(
                "external-reference",
                f"external link to {where}: outside of this file, not followed",
                dataset=as_text(path),
                data={"target": where},
            )
        )

    def _damage(self, path: bytes, reason: str) -> None:
        self.damages.append(Damage("damaged", reason, dataset=as_text(path)))

    def _catalog(self) -> Catalog:
        catalog = Catalog(damages=self.damages)
        for found in sorted(self.found.values(), key=lambda found: found.rank[2]):
            path = as_text(found.path)
            for described in found.description.datasets:
                self._list(catalog, path, found, described)
            catalog.damages += [
                Damage(damage.kind, damage.reason, dataset=path, data=damage.data)
                for damage in (*found.description.damages, *self._lost_sources(found.description))
            ]
        for location, reason in self.unlisted:
            catalog.datasets.append(
                DatasetInfo(as_text(location), None, "", "other", 0, 0, readable=False, reason=reason)
            )
        return catalog

    def _lost_sources(self, description: Description) -> Iterator[Damage]:
        """Sources of a virtual dataset that the file does not have; readers get the fill value in their place."""
        for source in description.sources:
            try:
                opened = open_inside(self.root, source.encode("utf-8", "surrogateescape"))
            except LIBRARY_ERRORS:
                opened = None
            if opened is None:
                reason = (
                    f"a virtual dataset made of {source}, which this file does not have; readers get the fill value"
                )
                yield Damage("damaged", reason, data={"target": source})

    @staticmethod
    def _list(catalog: Catalog, path: str, found: _Found, described: Described) -> None:
        path = path + described.suffix
        if path in catalog.locations:
            return
        catalog.locations[path] = found.path
        if described.suffix:
            catalog.fields[path] = described.suffix[1:]
        info = DatasetInfo(
            path,
            described.shape,
            described.dtype,
            described.kind,
            described.itemsize,
            described.stored_bytes,
            described.chunks,
            described.readable,
            reason=described.reason,
        )
        catalog.datasets.append(info)
        catalog.by_path[path] = info


def _object_id(opened: Any) -> ObjectId:
    # `h5o.get_info` would walk a dataset's whole chunk index as well, and fail where that is damaged.
    info = h5py.h5g.get_objinfo(opened)
    low, high = info.objno
    return int(info.fileno[0]), int(low) | int(high) << 32


def as_text(path: bytes) -> str:
    """A path as text; bytes that are not UTF-8 are written as escapes."""
    return path.decode("utf-8", "backslashreplace")


def resolve(prefix: bytes, target: bytes) -> bytes:
    """The absolute path of a soft link's target; the library knows ``.`` but not ``..``."""
    whole = target if target.startswith(b"/") else prefix + target
    return b"/" + b"/".join(part for part in whole.split(b"/") if part not in (b"", b"."))


def open_inside(root: Any, path: bytes, hops: int = 16) -> Any | None:
    """Open an object by its path, component by component, never leaving the file.

    ``None`` where a component does not exist, leads out of the file, or soft links form a circle.
    """
    here, walked = h5py.h5o.open(root, b"/"), b"/"
    parts = [part for part in path.split(b"/") if part]
    for depth, part in enumerate(parts):
        if not isinstance(here, h5py.h5g.GroupID) or not here.links.exists(part):
            return None
        info = here.links.get_info(part)
        if info.type == h5py.h5l.TYPE_SOFT and hops:
            target = resolve(walked, here.links.get_val(part))
            return open_inside(root, b"/".join([target, *parts[depth + 1 :]]), hops - 1)
        if info.type != h5py.h5l.TYPE_HARD:
            return None
        here, walked = h5py.h5o.open(here, part), walked + part + b"/"
    return here
