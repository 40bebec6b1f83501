"""A user's own model in ONNX, run by ONNX Runtime (extra ``onnx``)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.errors import MissingDependency, UsageError
from .engine import PlainModel

LARGEST = 2 << 30
"""A protobuf message is no larger."""

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxModel(PlainModel):
    """A model in one file. What its nodes give on the way is looked at, too.

    Nothing outside of the file is read (weights in files of their own are refused), and no library of custom
    operators is loaded.

    Raises
    ------
    UsageError
        The file is no ONNX model, or one that can't be fed images or arrays alone.
    MissingDependency
        The extra is not installed.
    """

    kind = "onnx model"

    def __init__(self, path: str) -> None:
        runtime, onnx = _libraries()
        model = _loaded(onnx, path)
        weights = {tensor.name for tensor in model.graph.initializer}
        inputs = [entry for entry in model.graph.input if entry.name not in weights]
        if len(inputs) != 1:
            names = ", ".join(entry.name for entry in inputs) or "none"
            raise UsageError(f"{path} has {len(inputs)} inputs ({names}); the probe feeds one")
        self._watched = _watch_nodes(onnx, model)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # The layers shall be those of the file: fused ones would show nothing of what is between.
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # the runtime's errors have no common class of their own
            raise UsageError(f"ONNX Runtime can't run {path}: {_first_line(exc)}") from exc
        entry = self._session.get_inputs()[0]
        if entry.type not in _FLOATS:
            raise UsageError(f"{path} reads {entry.type}; the probe feeds floats")
        self._input, self._type = entry.name, _FLOATS[entry.type]
        batch, *sides = [side if isinstance(side, int) and side > 0 else None for side in entry.shape] or [None]
        self.wanted = tuple(sides)
        self._batch: int | None = batch
        self._output = self._session.get_outputs()[0].name
        self.parameters = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)

    def run(self, samples: NDArray[np.float32]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """The output for samples ``(n, ...)``, and what each node gave on the way."""
        n, size = len(samples), self._batch or len(samples)
        names = [self._output, *self._watched]
        parts = []
        for start in range(0, n, size):
            part = samples[start : start + size]
            if len(part) < size:  # a model of a fixed batch gets a full one
                part = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            with np.errstate(all="ignore"):
                parts.append((self._session.run(names, {self._input: part.astype(self._type)}), min(size, n - start)))
        outputs = np.concatenate([values[0][:count] for values, count in parts])
        watched = {
            name: np.concatenate([values[number][:count] for values, count in parts])
            for number, name in enumerate(self._watched, 1)
            if all(np.ndim(values[number]) and len(values[number]) == size for values, _ in parts)
        }
        return outputs, watched


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as exc:
        raise MissingDependency(f"--onnx needs {exc.name or 'onnxruntime'}: pip install 'datascan[onnx]'") from exc
    return onnxruntime, onnx


def _loaded(onnx: Any, path: str) -> Any:
    try:
        if Path(path).stat().st_size > LARGEST:
            raise UsageError(f"{path} is larger than 2 GB, which no ONNX file is")
        data = Path(path).read_bytes()
    except OSError as exc:
        raise UsageError(f"can't read the model {path}: {exc.strerror}") from exc
    try:
        model = onnx.load_model_from_string(data)
    except Exception as exc:  # protobuf's DecodeError, whose module differs between its versions
        raise UsageError(f"{path} is no ONNX model") from exc
    if not model.graph.node:
        raise UsageError(f"{path} is no ONNX model: it has no nodes")
    outside = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise UsageError(f"{path} keeps weights in other files ({outside[0]}), which are not read; save it as one file")
    return model


def _watch_nodes(onnx: Any, model: Any) -> list[str]:
    """Make the outputs of all nodes outputs of the model; gives the names of those that were not."""
    given = {entry.name for entry in model.graph.output}
    added = []
    for node in model.graph.node:
        if node.op_type in ("Constant", "Shape", "ConstantOfShape", "Range"):
            continue
        for name in node.output[:1]:
            if name and name not in given:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
                added.append(name)
    return added


def _first_line(exc: Exception) -> str:
    return str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
