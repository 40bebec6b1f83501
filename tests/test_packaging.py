"""What is installed: every package is listed, and the built wheel works without the checkout."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_listed() -> None:
    folders = {
        "datascan." + ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("backends", "scanner")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert folders == set(PYPROJECT["tool"]["setuptools"]["packages"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = folder.glob("datascan-*.whl")
    return built


def test_the_wheel_holds_every_module_and_the_type_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        f"datascan/{path.relative_to(ROOT)}" for top in ("backends", "scanner") for path in (ROOT / top).rglob("*.py")
    }
    assert modules <= names
    assert {"datascan/backends/py.typed", "datascan/scanner/py.typed"} <= names
    assert not any(name.startswith(("tests/", "fixtures/", "backends/", "scanner/")) for name in names)


def test_the_wheel_scans_without_development_dependencies(wheel: Path, tmp_path: Path) -> None:
    """A bare environment sees the run-time dependencies alone, by path, and none of the checkout."""
    environment = tmp_path / "bare"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True, capture_output=True, text=True)
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert "pytest" not in listed
    ended = subprocess.run(
        [environment / "bin" / "datascan", "demo", str(tmp_path / "demo")], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "image-truncated" in ended.stdout
