"""Dask: a local cluster, or one that is there already."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Self

from ...backends.errors import MissingDependency
from ..crew import cancel_scan
from .base import Engine, EngineError

_CONNECT_S = 30


class DaskEngine(Engine):
    """The workers of a Dask cluster: each thread of each worker scans one group of partitions at a time."""

    name = "dask"

    def __init__(self, client: Any, cluster: Any) -> None:
        self.client = client
        self.cluster = cluster
        executor: Executor = client.get_executor(pure=False)
        super().__init__(executor, 1)

    @classmethod
    def connect(cls, address: str, size: int) -> Self:
        """The cluster at an address (``host:port``, or the scheduler's file, ``.json``); ``""`` starts a local one.

        Raises
        ------
        MissingDependency
            ``distributed`` is not installed.
        EngineError
            Nobody answers at the address.
        """
        try:
            import distributed
        except ModuleNotFoundError as exc:
            raise MissingDependency(f"--executor dask needs {exc.name}: pip install 'datascan[dask]'") from exc
        cluster = None
        library: Any = distributed  # its classes have no types
        try:
            if not address:
                cluster = library.LocalCluster(n_workers=size, threads_per_worker=1, dashboard_address=None)
                return cls(library.Client(cluster), cluster)
            where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
            return cls(library.Client(**where, timeout=_CONNECT_S), None)
        except (OSError, ValueError, TimeoutError) as exc:
            if cluster is not None:
                cluster.close()
            raise EngineError(f"no Dask scheduler at {address or 'this machine'}: {exc}") from exc

    @property
    def slots(self) -> int:
        """Threads of all workers; one until the first of them has come."""
        return sum(self.client.nthreads().values()) or 1

    def cancel(self, scan: int) -> None:
        """Tell every worker, beside the tasks that it runs."""
        with suppress(Exception):  # a scheduler that is gone has nothing to be cancelled
            self.client.run(cancel_scan, scan, wait=False)

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        with suppress(Exception):
            self.client.close()
        if self.cluster is not None:
            with suppress(Exception):
                self.cluster.close()
