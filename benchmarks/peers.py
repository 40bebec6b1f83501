"""Other tools over the same images in a folder: jpeginfo where it is on the path, cleanvision and fastdup from PyPI.

Those two bring several hundred MB of libraries, some of them older than ours: they get an environment of their own,
beside the workloads. What can't be had is left out, and the reason is told.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache as remembered
from pathlib import Path

from .contestants import values
from .datum import Datum
from .workloads import Workload

SCRIPT = Path(__file__).with_name("peer_script.py")
PACKAGES = ("cleanvision", "fastdup")
_INSTALL_S = 900


def extracted(workload: Workload, path: Path) -> Path:
    """The images of a set as files in a folder beside it; ``list.txt`` next to the folder names them."""
    folder = path.with_name(path.name + "-files")
    listed = folder.with_suffix(".txt")
    if not listed.exists():
        folder.mkdir(exist_ok=True)
        names = []
        for index, value in enumerate(values(workload.store, str(path))):
            file = folder / f"{index:06}.jpg"
            file.write_bytes(Datum.FromString(value).data)
            names.append(str(file))
        listed.write_text("\n".join(names) + "\n")
    return folder


def jpeginfo(workload: Workload, path: Path) -> list[str]:
    """The command that checks them with Debian's jpeginfo."""
    return ["jpeginfo", "-c", "-q", "-f", str(extracted(workload, path).with_suffix(".txt"))]


def from_pypi(name: str, workload: Workload, path: Path, cache: Path) -> list[str]:
    """The command that runs cleanvision or fastdup over them."""
    return [str(_python(cache)), str(SCRIPT), name, str(extracted(workload, path))]


def missing_program(name: str, package: str) -> str | None:
    """Why a program can't take part."""
    return None if shutil.which(name) else f"{name} is not on the path (Debian's package {package})"


@remembered
def missing_package(name: str, cache: Path) -> str | None:
    """Why a package from PyPI can't take part; it is installed where it is not yet, which takes a minute or two."""
    python = _python(cache)
    if not python.exists():
        print(f"an environment for {', '.join(PACKAGES)}: {python.parent.parent}", flush=True)
        made = _run([sys.executable, "-m", "venv", str(python.parent.parent)])
        if made is not None:
            return f"no environment could be made for it: {made}"
    if _version(name, cache) is None:
        print(f"installing {name} there", flush=True)
        failed = _run([str(python), "-m", "pip", "install", "--quiet", "--only-binary", name, name])
        if failed is not None:
            return f"pip can't install it: {failed}"
    return None


def version_of(name: str, cache: Path) -> str | None:
    """The version of a peer that is there, ``None`` for other contestants."""
    if name in PACKAGES:
        return _version(name, cache)
    if name.split()[0] == "jpeginfo" and shutil.which("jpeginfo"):
        words = subprocess.run(["jpeginfo", "--version"], capture_output=True, text=True, check=False).stdout.split()
        return words[1].removeprefix("v") if len(words) > 1 else None
    return None


def _python(cache: Path) -> Path:
    return cache / "peers" / "bin" / "python"


def _version(name: str, cache: Path) -> str | None:
    if not _python(cache).exists():
        return None
    asked = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([str(_python(cache)), "-c", asked], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command: list[str]) -> str | None:
    """The last thing a command says where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
    return None if done.returncode == 0 else said[-1]
