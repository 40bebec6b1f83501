"""Exported PyTorch programs are taken apart before PyTorch sees them: nothing in them can run code."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from datascan.backends.errors import UsageError
from datascan.scanner.probe.torch_archive import inert_archive

CONFIG = {"config": {"w": {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": {}}}}


def program(**changes: Any) -> dict[str, Any]:
    """The parts of an exported program that are looked at."""
    node = {
        "target": changes.get("target", "torch.ops.aten.linear.default"),
        "inputs": [{"arg": {changes.get("argument", "as_tensor"): {"name": "x"}}}],
        "outputs": [],
        "metadata": {"nn_module_stack": "anything", "source_fn_stack": "torch.hub.load"},
    }
    sizes = [{"as_expr": {"expr_str": changes.get("size", "Symbol('s0', positive=True, integer=True)")}}]
    return {
        "graph_module": {
            "graph": {"nodes": [node], "tensor_values": {"x": {"sizes": sizes}}},
            "module_call_graph": [
                {"fqn": "", "signature": {"in_spec": json.dumps([1, {"type": changes.get("spec", "builtins.tuple")}])}}
            ],
        },
        "range_constraints": {changes.get("symbol", "s0"): {"min_val": 0}},
        "guards_code": ["__import__('os').abort()"],
    }


def save(path: Path, members: dict[str, bytes] | None = None, config: Any = CONFIG, **changes: Any) -> str:
    contents = {
        "models/model.json": json.dumps(program(**changes)).encode(),
        "data/weights/model_weights_config.json": json.dumps(config).encode(),
        "data/weights/weight_0": b"\0" * 16,
        "data/sample_inputs/model.pt": pickle.dumps(print),
        "archive_format": b"pt2",
        **(members or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(f"m/{name}", data)
    return str(path)


def test_what_is_given_to_pytorch_holds_nothing_that_it_would_evaluate(tmp_path: Path) -> None:
    with zipfile.ZipFile(inert_archive(save(tmp_path / "m.pt2"))) as archive:
        graph = json.loads(archive.read("model/models/model.json"))
        assert archive.read("model/data/sample_inputs/model.pt") == b""
        assert archive.read("model/data/weights/weight_0") == b"\0" * 16
    assert graph["guards_code"] == []
    assert graph["graph_module"]["graph"]["nodes"][0]["metadata"] == {}


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.load_library",
        "torch.ops.evil.run.default",
        "torch.ops.aten.linear.__class__.default",
        "torch.ops.aten.linear.default.__init__",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "math.__loader__",
        "#custom:thing",
    ],
)
def test_only_operators_of_aten_are_called(target: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no operator of ATen"):
        inert_archive(save(tmp_path / "m.pt2", target=target))


@pytest.mark.parametrize("target", ["torch.ops.aten.add.Tensor", "torch.ops.aten._softmax.default", "_operator.add"])
def test_plain_operators_are_taken(target: str, tmp_path: Path) -> None:
    inert_archive(save(tmp_path / "m.pt2", target=target))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size": "__import__('os').abort()"}, "has the size"),
        ({"size": "Symbol('s0', positive=exec('1'))"}, "has the size"),
        ({"symbol": "exec('1')"}, "has the size"),
        ({"spec": "os.environ"}, "takes or gives a 'os.environ'"),
        ({"argument": "as_custom_obj"}, "holds custom_obj"),
        ({"config": {"config": {"w": {"path_name": "weight_0", "use_pickle": True}}}}, "as a pickle"),
        ({"config": {"config": {"w": {"path_name": "opaque_obj_0"}}}}, "as a pickle"),
        ({"members": {"data/aotinductor/model/lib.so": b"\x7fELF"}}, "could run code"),
        ({"members": {"data/constants/custom_obj_0": b"\x80\x04N."}}, "could run code"),
        ({"members": {"data/weights/model.pt": b"\x80\x04N."}}, "could run code"),
        ({"members": {"models/model.json": b"[" * 100_000}}, "damaged archive"),
        ({"members": {"models/model.json": b"nonsense"}}, "damaged archive"),
    ],
)
def test_whatever_could_run_code_is_refused(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=text):
        inert_archive(save(tmp_path / "m.pt2", **changes))


def test_pickles_are_refused_by_their_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(UsageError, match="is a pickle, which runs code"):
        inert_archive(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
    with pytest.raises(UsageError, match="is a pickle, which runs code"):
        inert_archive(str(path))


@pytest.mark.parametrize("contents", [b"", b"PK", b"PK\x03\x04 and no more", b"something else"])
def test_what_is_no_archive_is_refused(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.pt2").write_bytes(contents)
    with pytest.raises(UsageError, match=r"no program saved|damaged archive"):
        inert_archive(str(tmp_path / "m.pt2"))
    with pytest.raises(UsageError, match="can't read the model"):
        inert_archive(str(tmp_path / "nowhere"))
