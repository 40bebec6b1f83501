"""MPI: rank 0 runs the command, the other ranks scan (``mpiexec -n N python -m mpi4py.futures``)."""

from __future__ import annotations

from ...backends.errors import MissingDependency, UsageError
from .base import Engine

HOW = "mpiexec -n N python -m mpi4py.futures -m datascan.scanner check SOURCE --executor mpi"


def mpi_engine() -> Engine:
    """The engine of this MPI world.

    Raises
    ------
    MissingDependency
        No mpi4py, or no MPI library that it could load.
    UsageError
        The process does not run under ``mpi4py.futures`` with two ranks or more.
    """
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor, _core
    except (ImportError, RuntimeError) as exc:
        raise MissingDependency(
            f"--executor mpi needs mpi4py and an MPI library ({exc}): pip install 'datascan[mpi]'"
        ) from exc
    ranks = MPI.COMM_WORLD.Get_size()
    if ranks < 2 or getattr(_core, "SharedPool", None) is None:
        raise UsageError(f"--executor mpi works where the ranks are there already, two or more of them: {HOW}")
    engine = Engine(MPIPoolExecutor(), ranks - 1)
    engine.name = "mpi"
    return engine
