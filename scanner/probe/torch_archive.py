"""What ``torch.export.save`` wrote, taken apart and written anew with nothing in it that could run code.

``torch.export.load`` trusts its file: it unpickles example inputs, resolves the name of a node's target by attribute
look-ups from ``torch`` on, and evaluates guards and the sizes' expressions. So PyTorch never sees the file itself but
an archive in memory that holds the plain tensors and a graph in which every target is an operator of ATen (or an
arithmetic one of Python), every symbolic size a plain symbol, and that has no example inputs, guards or metadata.
Whatever else is in the file is refused by name.

Source: ``torch/export/pt2_archive`` and ``torch/_export/serde/serialize.py`` of PyTorch 2.14.
"""

from __future__ import annotations

import json
import re
import zipfile
from io import BytesIO
from typing import Any

from ...backends.errors import UsageError

GRAPH = "models/model.json"
LARGEST = 4 << 30
"""Bytes of all members together."""

_PLAIN = frozenset(
    {"archive_format", "archive_version", "byteorder", "version", ".data/version", ".data/serialization_id"}
)
_CONFIGS = frozenset({"data/weights/model_weights_config.json", "data/constants/model_constants_config.json"})
_TENSORS = re.compile(r"data/(?:weights/weight_\d+|constants/tensor_\d+)")
_EXAMPLES = "data/sample_inputs/model.pt"

_OPERATOR = re.compile(r"torch\.ops\.aten\.[a-z_][a-z0-9_]*\.[A-Za-z0-9_]+")
_ARITHMETIC = frozenset(
    f"_operator.{name}"
    for name in (
        "getitem",
        "add",
        "sub",
        "mul",
        "floordiv",
        "truediv",
        "mod",
        "neg",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    )
)
_FORBIDDEN = ("from_file", "save", "load")
_SYMBOL = re.compile(
    r"[su]\d+|-?\d+|Integer\(-?\d+\)|Symbol\('[su]\d+'(?:, (?:positive|nonnegative|nonzero|integer)=True)*\)"
)
_SPEC_TYPES = frozenset({"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None})


def inert_archive(path: str) -> BytesIO:
    """The program of a file, safe to load.

    Raises
    ------
    UsageError
        The file is none, is a pickle or TorchScript, or holds what could run code.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4)
            if head[:2] != b"PK":
                raise _refused(path, head, ())
            with zipfile.ZipFile(file) as archive:
                return _rewritten(path, archive)
    except OSError as exc:
        raise UsageError(f"can't read the model {path}: {exc.strerror or exc}") from exc
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, RecursionError) as exc:
        raise UsageError(f"{path} is a damaged archive: {exc}") from exc


def _rewritten(path: str, archive: zipfile.ZipFile) -> BytesIO:
    members = archive.infolist()
    root = members[0].filename.partition("/")[0] + "/" if members else ""
    names = [member.filename.removeprefix(root) for member in members]
    if GRAPH not in names:
        raise _refused(path, b"PK", names)
    if len(set(names)) != len(names) or sum(member.file_size for member in members) > LARGEST:
        raise UsageError(f"{path} is no program saved by torch.export.save: members stand twice, or are too large")
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as out:
        for member, name in zip(members, names, strict=True):
            if name in _PLAIN or _TENSORS.fullmatch(name):
                data = archive.read(member)
            elif name == _EXAMPLES:
                data = b""
            elif name in _CONFIGS:
                data = _config(path, json.loads(archive.read(member)))
            elif name == GRAPH:
                data = _graph(path, json.loads(archive.read(member)))
            else:
                raise UsageError(
                    f"{path} holds {name!r}, which could run code or is not known; only plain graphs are run"
                )
            out.writestr(f"model/{name}", data)
    made.seek(0)
    return made


def _refused(path: str, head: bytes, names: Any) -> UsageError:
    if head[:1] == b"\x80" or any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
        return UsageError(
            f"{path} is a pickle, which runs code when it is loaded; save the model by torch.export.save (2.8 or later)"
        )
    return UsageError(f"{path} is no program saved by torch.export.save (of PyTorch 2.8 or later)")


def _config(path: str, config: Any) -> bytes:
    """The list of tensors: none of them pickled, none an object."""
    for name, entry in config["config"].items():
        if entry.get("use_pickle") or not re.fullmatch(r"(?:weight|tensor)_\d+", entry["path_name"]):
            raise UsageError(f"{path} holds {name!r} as a pickle, which runs code when it is loaded")
    return json.dumps(config).encode()


def _graph(path: str, program: Any) -> bytes:
    """The graph, without what PyTorch would evaluate."""
    program["guards_code"] = []
    for symbol in program.get("range_constraints", {}):
        _hold_symbol(path, symbol)
    _walk(path, program)
    return json.dumps(program).encode()


def _walk(path: str, root: Any) -> None:
    """Look at every part of the graph; not by recursion, which a crafted file could drive too deep."""
    pending = [root]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
            continue
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("metadata"), dict):
            part["metadata"] = {}
        for name, value in part.items():
            if name == "target" and isinstance(value, str) and "inputs" in part:
                _hold_target(path, value)
            elif name == "expr_str":
                _hold_symbol(path, value)
            elif name in ("in_spec", "out_spec") and value:
                _hold_spec(path, json.loads(value))
            elif name in ("as_custom_obj", "as_operator", "as_graph", "custom_obj_values") and value:
                raise UsageError(f"{path} holds {name.removeprefix('as_')}, which is not run: only plain graphs are")
            pending.append(value)


def _hold_target(path: str, target: str) -> None:
    plain = _OPERATOR.fullmatch(target) and not any(word in target for word in _FORBIDDEN)
    if not plain and target not in _ARITHMETIC:
        raise UsageError(f"{path} calls {target!r}, which is no operator of ATen; only plain graphs are run")


def _hold_symbol(path: str, symbol: Any) -> None:
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        raise UsageError(f"{path} has the size {symbol!r}; only plain numbers and symbols are taken")


def _hold_spec(path: str, root: Any) -> None:
    pending = [root]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if part.get("type") not in _SPEC_TYPES:
                raise UsageError(f"{path} takes or gives a {part['type']!r}; only tuples, lists and dicts are taken")
            part = list(part.values())
        if isinstance(part, list):
            pending += part
