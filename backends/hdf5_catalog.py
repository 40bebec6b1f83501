"""Listing what an HDF5 file holds, link by link, without following any link out of the file unasked.

The library's own walk opens external links, asks virtual datasets for their sources and follows what a damaged
group names. Here each link's class is looked at before anything behind it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .base import Damage, DatasetInfo
from .hdf5_describe import Described, Description, describe
from .hdf5_file import OpenedFile
from .hdf5_follow import outside_source
from .hdf5_library import LIBRARY_ERRORS, h5py, one_line
from .hdf5_links import LeadsOut, as_text, open_inside, resolve
from .hdf5_outside import NotFollowed, Surroundings
from .hdf5_sources import Source

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
    files: dict[str, OpenedFile] = field(default_factory=dict)
    """The file that a path's dataset stands in."""
    outside: dict[str, Callable[[], Source]] = field(default_factory=dict)
    """Makes the rows of those whose data lies in other files, where these may be read."""


@dataclass(slots=True)
class _Found:
    """A dataset while the walk goes on: the best path so far, and where it stands in which file."""

    rank: tuple[int, bool, int]
    path: bytes
    location: bytes
    home: OpenedFile
    description: Description
    outside: Callable[[], Source] | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """A group on the way: the path that led to it and its own place in its file, both with a slash at the end."""

    opened: Any
    path: bytes
    location: bytes
    home: OpenedFile


def read_catalog(opened: OpenedFile, surroundings: Surroundings | None = None) -> Catalog:
    """Walk all links from the root, depth first, in the order in which the library gives them.

    What lies in other files is looked at only with ``surroundings``, as far as they reach.
    """
    return _Walk(opened, surroundings).run()


class _Walk:
    def __init__(self, opened: OpenedFile, surroundings: Surroundings | None) -> None:
        self.home = opened
        self.surroundings = surroundings
        self.found: dict[ObjectId, _Found] = {}
        self.groups: set[ObjectId] = set()
        self.soft: list[tuple[int, bytes, bytes, OpenedFile]] = []
        self.unlisted: list[tuple[bytes, str]] = []
        self.damages: list[Damage] = []
        self.steps = 0

    def run(self) -> Catalog:
        root = h5py.h5o.open(_root(self.home), b"/")
        self.groups.add(_object_id(root))
        # Iterators instead of recursion: a file can nest groups deeper than Python's stack.
        stack = [self._links(_Group(root, b"/", b"/", self.home))]
        while stack:
            deeper = next(stack[-1], None)
            if deeper is None:
                stack.pop()
            else:
                stack.append(self._links(deeper))
        self._name_by_soft_links()
        return self._catalog()

    def _links(self, group: _Group) -> Iterator[_Group]:
        """Take in a group's links; yields its subgroups, each before the next link is looked at."""
        links = group.opened.links
        for name in self._names(group.opened, group.path):
            self.steps += 1
            path = group.path + name
            try:
                info = links.get_info(name)
                if info.type == h5py.h5l.TYPE_HARD:
                    opened = h5py.h5o.open(group.opened, name)
                    yield from self._object(opened, path, group.location + name, group.home)
                elif info.type == h5py.h5l.TYPE_SOFT:
                    target = resolve(group.location, links.get_val(name))
                    self.soft.append((self.steps, path, target, group.home))
                elif info.type == h5py.h5l.TYPE_EXTERNAL:
                    yield from self._external(path, group.home, *links.get_val(name))
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

    def _object(self, opened: Any, path: bytes, location: bytes, home: OpenedFile) -> Iterator[_Group]:
        """Take in an object that a link leads to; yields it if it is a group."""
        identity = _object_id(opened)
        if isinstance(opened, h5py.h5g.GroupID):
            if identity in self.groups:
                return
            self.groups.add(identity)
            if path.count(b"/") > MAX_DEPTH:
                self.unlisted.append((path, f"groups nested deeper than {MAX_DEPTH} are not listed"))
            else:
                yield _Group(opened, path + b"/", location + b"/", home)
        elif isinstance(opened, h5py.h5d.DatasetID):
            rank = (path.count(b"/"), False, self.steps)
            if identity not in self.found:
                found = _Found(rank, path, location, home, describe(opened))
                self._look_outside(found, opened)
                self.found[identity] = found
            elif rank < self.found[identity].rank:
                self.found[identity].rank, self.found[identity].path = rank, path

    def _look_outside(self, found: _Found, opened: Any) -> None:
        """Look for data of a dataset that lies in other files, where these may be read."""
        outside = [damage for damage in found.description.damages if damage.kind == "external-reference"]
        if not outside or self.surroundings is None:
            return
        read = partial(outside_source, opened, found.home, self.surroundings)
        try:
            source = read()
        except NotFollowed as exc:
            found.description.damages = [replace(outside[0], reason=f"{outside[0].reason}: {exc}")]
            return
        found.outside = read
        found.description.damages = []
        whole = found.description.datasets[0]
        found.description.datasets[:1] = [replace(whole, shape=source.shape, reason="", virtual=False)]

    def _name_by_soft_links(self) -> None:
        """Readers open ``data`` whether it is the dataset's own name or a soft link to it: so does the report."""
        for step, path, target, home in self.soft:
            try:
                opened = open_inside(_root(home), target, say_out=self.surroundings is not None)
                if opened is None:
                    self._damage(path, f"soft link to {as_text(target)}, which does not exist in this file")
                    continue
                found = self.found.get(_object_id(opened))
            except LeadsOut:  # what it leads to is followed or named with the link to the other file
                continue
            except LIBRARY_ERRORS as exc:
                self._damage(path, f"soft link to {as_text(target)}, which can't be followed: {one_line(exc)}")
                continue
            rank = (path.count(b"/"), True, step)
            if found is not None and rank < found.rank:
                found.rank, found.path = rank, path

    def _external(self, path: bytes, home: OpenedFile, filename: bytes, target: bytes) -> Iterator[_Group]:
        """Name a link to another file, or follow it; yields what it leads to if that is a group."""
        why = ""
        if self.surroundings is not None:
            try:
                other = self.surroundings.hdf5(filename, home)
                opened = open_inside(_root(other), target)
                if opened is not None:
                    yield from self._object(opened, path, resolve(b"/", target), other)
                    return
                why = ": there is no such object in it"
            except NotFollowed as exc:
                why = f": {exc}"
        where = f"{as_text(filename)}:{as_text(target)}"
        reason = f"external link to {where}: outside of this file, not followed{why}"
        self.damages.append(Damage("external-reference", reason, dataset=as_text(path), data={"target": where}))

    def _damage(self, path: bytes, reason: str) -> None:
        self.damages.append(Damage("damaged", reason, dataset=as_text(path)))

    def _catalog(self) -> Catalog:
        catalog = Catalog(damages=self.damages)
        others = {found.home.path: found.home for found in self.found.values() if found.home is not self.home}
        for file, home in others.items():
            catalog.damages += [replace(damage, reason=f"{file}: {damage.reason}") for damage in home.damages]
        for found in sorted(self.found.values(), key=lambda found: found.rank[2]):
            path = as_text(found.path)
            for described in found.description.datasets:
                self._list(catalog, path, found, described)
            catalog.damages += [
                Damage(damage.kind, damage.reason, dataset=path, data=damage.data)
                for damage in (*found.description.damages, *self._lost_sources(found))
            ]
        for location, reason in self.unlisted:
            catalog.datasets.append(
                DatasetInfo(as_text(location), None, "", "other", 0, 0, readable=False, reason=reason)
            )
        return catalog

    def _lost_sources(self, found: _Found) -> Iterator[Damage]:
        """Sources of a virtual dataset that the file does not have; readers get the fill value in their place."""
        for source in found.description.sources:
            try:
                opened = open_inside(_root(found.home), source.encode("utf-8", "surrogateescape"))
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
        catalog.locations[path] = found.location
        catalog.files[path] = found.home
        if found.outside is not None:
            catalog.outside[path] = found.outside
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


def _root(opened: OpenedFile) -> Any:
    assert opened.file is not None
    return opened.file.id


def _object_id(opened: Any) -> ObjectId:
    # `h5o.get_info` would walk a dataset's whole chunk index as well, and fail where that is damaged.
    info = h5py.h5g.get_objinfo(opened)
    low, high = info.objno
    return int(info.fileno[0]), int(low) | int(high) << 32
