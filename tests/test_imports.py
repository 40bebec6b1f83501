"""Imports point one way, so that each layer can be understood and replaced without those above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = [
    {"backends"},
    {
        "version",
        "printable",
        "complain",
        "finding",
        "finding_batch",
        "address",
        "keylist",
        "exhibit",
        "expectations",
        "fingerprint",
        "toml_lines",
        "options",
        "progress",
        "sample",
        "fields",
        "images",
        "stamp",
        "interrupt",
        "codec",
        "rebuilt",
    },
    {"values", "config_file"},
    {"serve", "forking", "spill", "drift"},
    {"supervisor"},
    {"summary"},
    {"marks", "prints"},
    {"layouts", "rules", "report", "partial"},
    {"baseline"},
    {"render", "training"},
    {"probe"},
    {"worker"},
    {"reader"},
    {"contain"},
    {"crew"},
    {"engines"},
    {"plugged"},
    {"plan"},
    {"conclude", "frames", "probing"},
    {"journal"},
    {"scan", "net_sources", "twin_sources", "twin_sizes", "gallery"},
    {"net_probe"},
    {"shards", "rebuilding"},
    {"comparing", "api_compare", "api", "demo", "doctor"},
    {"spread", "api_rebuild"},
    {"scanner"},
    {"auditing"},
    {"cli"},
    {"configured", "testing", "pytest_plugin"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def layer_of(path: Path) -> str:
    """The layer that a file belongs to: ``backends``, or the module or folder of ``scanner``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "backends":
        return "backends"
    return "scanner" if parts == ("scanner", "__init__") else parts[1]


def imported_layers(path: Path) -> set[str]:
    """Layers that a file imports from, at module level or inside functions."""
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
        for name in node.names:
            target = tuple(part for part in (*base, name.name) if part)
            found.add(target[0] if target[0] == "backends" else target[1] if len(target) > 1 else "scanner")
    return found


FILES = sorted([*(ROOT / "backends").rglob("*.py"), *(ROOT / "scanner").rglob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_its_layer_and_below(path: Path) -> None:
    own = layer_of(path)
    above = {name for name in imported_layers(path) if RANK[name] > RANK[own]}
    assert not above, f"{own} must not import from {sorted(above)}"


def test_every_layer_exists() -> None:
    assert {layer_of(path) for path in FILES} <= set(RANK)


def test_the_check_sees_an_import_that_points_up() -> None:
    assert "cli" in imported_layers(ROOT / "scanner" / "__main__.py")
