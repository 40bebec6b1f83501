"""A user's own model saved by ``torch.export`` (extra ``torch``). Pickled checkpoints and TorchScript are refused."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.errors import MissingDependency, UsageError
from .engine import PlainModel
from .torch_archive import inert_archive


class TorchModel(PlainModel):
    """An exported program: a graph of PyTorch's own operators, without code (see `torch_archive`).

    It runs on the CPU, in one thread.

    Raises
    ------
    UsageError
        The file is no exported program, or can't be fed one array.
    MissingDependency
        The extra is not installed.
    """

    kind = "torch model"

    def __init__(self, path: str) -> None:
        archive = inert_archive(path)
        self._torch = torch = _library()
        torch.set_num_threads(1)
        try:
            program = torch.export.load(archive)
        except Exception as exc:  # whatever a damaged archive drives it into
            reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
            raise UsageError(f"PyTorch can't load {path}: {reason}") from exc
        self._module = program.module(check_guards=False) if _takes_guards(program) else program.module()
        names = set(program.graph_signature.user_inputs)
        inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
        if len(inputs) != 1 or not hasattr(inputs[0], "shape"):
            raise UsageError(f"{path} has {len(inputs)} inputs; the probe feeds one")
        batch, *sides = [side if isinstance(side, int) else None for side in inputs[0].shape] or [None]
        self.wanted = tuple(sides)
        self._batch: int | None = batch
        self._type = inputs[0].dtype
        self.parameters = sum(int(values.numel()) for values in program.state_dict.values())

    def run(self, samples: NDArray[np.float32]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """See `PlainModel.run`. What is between the layers can't be seen."""
        n, size = len(samples), self._batch or len(samples)
        outputs = []
        for start in range(0, n, size):
            part = samples[start : start + size]
            missing = size - len(part)
            if missing:  # a model of a fixed batch gets a full one
                part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            with self._torch.no_grad():
                given = self._torch.from_numpy(np.ascontiguousarray(part)).to(self._type)
                output = self._module(given)
            while isinstance(output, tuple | list):
                output = output[0]
            outputs.append(output.to(self._torch.float32).numpy()[: size - missing])
        return np.concatenate(outputs), {}


def _takes_guards(program: Any) -> bool:
    return "check_guards" in signature(program.module).parameters


def _library() -> Any:
    try:
        import torch
    except ImportError as exc:
        raise MissingDependency("--torch needs PyTorch 2.8 or later: pip install 'datascan[torch]'") from exc
    if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < (2, 8):
        raise MissingDependency(f"--torch needs PyTorch 2.8 or later; {torch.__version__} is installed")
    return torch
