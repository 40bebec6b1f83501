"""What a judge of one layer may look at besides the layer: the rest of the net, the data, files at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .binaryproto import StoredBlob, UnreadBlob, read_blob
from .net_data import source_of
from .net_facts import DataFacts, TopFacts
from .net_graph import Blob, Graph
from .net_tables import DATA_LAYERS


@dataclass(slots=True)
class Files:
    """Files that a net names, looked for in some folders; none is looked for twice."""

    folders: Sequence[Path] = ()
    _blobs: dict[Path, StoredBlob | UnreadBlob] = field(default_factory=dict)

    def find(self, name: str) -> Path | None:
        """The file or folder of a name, ``None`` where it is in no folder."""
        if not name:
            return None
        for folder in self.folders:
            path = folder / name
            try:
                if path.exists():
                    return path
            except (OSError, ValueError):
                continue
        return None

    def blob(self, name: str) -> StoredBlob | UnreadBlob | None:
        """The blob in a ``.binaryproto``; ``None`` where the file is not at hand."""
        path = self.find(name)
        if path is None:
            return None
        if path not in self._blobs:
            self._blobs[path] = read_blob(path)
        return self._blobs[path]


@dataclass(frozen=True, slots=True)
class Scope:
    """One phase of a net, with what is known besides."""

    graph: Graph
    facts: DataFacts
    files: Files

    @property
    def training(self) -> bool:
        """Whether this is the net that is trained."""
        return self.graph.state.phase == "TRAIN"

    def origin(self, blob: Blob) -> TopFacts:
        """What is known of a blob that comes unchanged from a data layer; nothing for any other."""
        while blob.producer is not None and blob.producer.layer.type in ("Split", "Reshape", "Flatten"):
            if not blob.producer.bottoms:
                return TopFacts()
            blob = blob.producer.bottoms[0]
        producer = blob.producer
        if producer is None or producer.layer.type not in DATA_LAYERS:
            return TopFacts()
        return self.facts.top_of(producer.layer, source_of(producer.layer), blob.place)
