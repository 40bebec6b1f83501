"""What the program loads before it has anything to do with it: nobody shall wait for more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datascan.scanner import forking
from datascan.scanner.layouts.datum_writer import encode_datum

HELP = {
    "backends",
    "backends.errors",
    "backends.hdf5_list",
    "backends.magic",
    "backends.plugins",
    "backends.urls",
    "scanner",
    "scanner.__main__",
    "scanner.complain",
    "scanner.forking",
    "scanner.interrupt",
    "scanner.printable",
    "scanner.version",
}
"""Modules of ours that a help text needs, beside those of the command line itself."""

SUBPACKAGES = {"cli", "engines", "images", "layouts", "render", "rules", "spill", "summary", "training", "values"}
"""What a scan of raw Datums loads something of."""

LAYOUTS = {
    *("base", "choose", "keys", "value_kinds", "wire"),
    *("caffe_datum", "datum", "datum_changes", "datum_runs", "datum_writer", "kept", "payloads", "stacking"),
    "digits_pairs",
}
"""The layout that fits, and what is asked before it."""

RENDERERS = {"csv_", "github", "html", "json_", "jsonl", "junit", "keys", "metrics", "sarif"}
DECODERS = {"jpeg", "jpeg_markers", "pillow", "pixels", "plain", "png", "png_chunks", "webp"}

SLOW = {
    *("asyncio", "email", "gzip", "hmac", "importlib.metadata", "multiprocessing", "secrets", "socket", "ssl"),
    *("tomllib", "zipfile", "numpy.ma", "numpy.random", "numpy.testing"),
}
"""Of the standard library and numpy: each takes a hundredth of a small scan and more."""

SAY = "print(json.dumps(sorted({*sys.modules, *more} - before)), file=sys.stderr)"


def loaded(folder: Path, script: str, *argv: object) -> set[str]:
    """Modules that a script loads beside those that the interpreter starts with; it must print them."""
    begin = f"import json, sys; sys.path[:] = {sys.path!r}; before, more = {{*sys.modules}}, []\n"
    command = [sys.executable, "-c", begin + script, *map(str, argv)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return {str(name) for name in json.loads(ended.stderr.splitlines()[-1])}


def of_others(modules: set[str]) -> set[str]:
    """Packages among them that are neither ours nor Python's."""
    return {name.partition(".")[0] for name in modules} - {"datascan", *sys.stdlib_module_names}


def below(package: str, modules: set[str]) -> set[str]:
    """First names of modules below a package."""
    lead = f"datascan.{package}."
    return {name.removeprefix(lead).partition(".")[0] for name in modules if name.startswith(lead)}


@pytest.fixture
def datums(tmp_path: Path) -> Path:
    import lmdb

    path = tmp_path / "train_lmdb"
    with lmdb.open(str(path), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        for index in range(60):
            data = os.urandom(3 * 40 * 40)
            value = encode_datum(dims=(3, 40, 40), data=data, label=index % 10, encoded=False)
            txn.put(b"%08d" % index, value)
    return path


def test_a_help_text_loads_the_command_line_alone(tmp_path: Path) -> None:
    modules = loaded(tmp_path, f"from datascan.scanner.__main__ import main; main(['--help']); {SAY}")
    ours = {name.removeprefix("datascan.") for name in modules if name.startswith("datascan.")}
    assert {name for name in ours if not name.startswith("scanner.cli")} == HELP
    assert of_others(modules) == {"click"}
    assert not modules & {*SLOW, "concurrent.futures", "json", "logging", "subprocess", "tempfile"}


def test_a_scan_loads_what_its_records_need(datums: Path) -> None:
    script = f"""
from datascan.scanner import forking
from datascan.scanner.__main__ import main
forking.allow()
code = main(["check", sys.argv[1], "--fail-on", "never"])
from datascan.scanner import check
from datascan.scanner.crew import Crew
with Crew(1) as crew:
    report = check(sys.argv[1], crew=crew)
    more = crew.call(eval, "[*__import__('sys').modules]")
assert report.reports[0].coverage.seen == 60
{SAY}
sys.exit(code)
"""
    modules = loaded(datums.parent, script, datums)
    assert of_others(modules) == {"click", "numpy", "simsimd", "xxhash"}
    assert not modules & SLOW
    folders = {path.parent.name for path in Path(forking.__file__).parent.glob("*/__init__.py")}
    assert below("scanner", modules) & folders == SUBPACKAGES
    assert below("scanner.layouts", modules) == LAYOUTS
    assert not below("scanner.render", modules) & RENDERERS
    assert not below("scanner.images", modules) & DECODERS
