"""Who takes part over which workload, and the command that starts each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contestants import values
from .datum import Datum
from .workloads import Workload

Command = Callable[[Workload, Path], list[str]]

OURS_1, OURS_2, FULL_2 = "datascan, 1 worker", "datascan, 2 workers", "datascan, 2 workers, full statistics"
NAIVE, NAIVE_FULL = "naive script", "naive script with statistics"
READ, ENTROPY, INFLATE = "floor: read every byte", "floor: entropy decoding", "floor: inflate"
H5PY, PLYVEL, JPEGINFO = "h5py merely reading", "plyvel merely iterating", "jpeginfo -c"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those that run: ``checks`` says whether it is datascan, whose findings are compared."""

    name: str
    command: Command
    checks: bool = False


def _datascan(*options: str) -> Command:
    def command(workload: Workload, path: Path) -> list[str]:
        quiet = ("--no-progress", "--fail-on", "never", "--output", "json")
        return [sys.executable, "-m", "datascan.scanner", "check", str(path), *quiet, *options]

    return command


def _script(name: str) -> Command:
    def command(workload: Workload, path: Path) -> list[str]:
        return [sys.executable, "-m", "benchmarks.contestants", name, workload.store, str(path)]

    return command


def _jpeginfo(workload: Workload, path: Path) -> list[str]:
    return ["jpeginfo", "-c", "-q", "-f", str(extracted(workload, path) / "list.txt")]


def extracted(workload: Workload, path: Path) -> Path:
    """The images of a set as files in a folder beside it, for tools that know nothing else."""
    folder = path.with_name(path.name + "-files")
    if not (folder / "list.txt").exists():
        folder.mkdir(exist_ok=True)
        names = []
        for index, value in enumerate(values(workload.store, str(path))):
            file = folder / f"{index:06}.jpg"
            file.write_bytes(Datum.FromString(value).data)
            names.append(str(file))
        (folder / "list.txt").write_text("\n".join(names) + "\n")
    return folder


def field(workload: Workload) -> list[Contestant]:
    """All that take part over a workload, datascan first."""
    images = workload.kind == "images"
    sampled = ("--statistics", "sampled") if images else ()
    ours = [
        Contestant(OURS_1, _datascan("--jobs", "1", *sampled), checks=True),
        Contestant(OURS_2, _datascan("--jobs", "2", *sampled), checks=True),
    ]
    if images:
        ours.append(Contestant(FULL_2, _datascan("--jobs", "2", "--statistics", "full"), checks=True))
    others = {
        "raw": [Contestant(NAIVE, _script("naive_raw"))],
        "floats": [Contestant(NAIVE, _script("naive_floats"))],
        "images": [Contestant(NAIVE, _script("naive_images"))],
        "hdf5": [Contestant(NAIVE, _script("naive_hdf5"))],
    }[workload.kind]
    if workload.name == "jpeg-q75":  # it takes minutes, and once is enough
        others.append(Contestant(NAIVE_FULL, _script("naive_image_statistics")))
    others.append(Contestant(READ, _script("read_file")))
    if workload.store == "leveldb":
        others.append(Contestant(PLYVEL, _script("iterate")))
    if workload.name == "hdf5-gzip":
        others += [Contestant(INFLATE, _script("inflate")), Contestant(H5PY, _script("h5py_read"))]
    if workload.name.startswith("jpeg") or workload.name == "photos":
        if _works("entropy_decode"):
            others.append(Contestant(ENTROPY, _script("entropy_decode")))
        if shutil.which("jpeginfo"):
            others.append(Contestant(JPEGINFO, _jpeginfo))
    return ours + others


def _works(name: str) -> bool:
    from .contestants import turbojpeg

    return name != "entropy_decode" or turbojpeg() is not None


def findings_of(output: bytes) -> set[tuple[str, int | None]]:
    """What a run of datascan found: rule and index."""
    reports: list[dict[str, Any]] = json.loads(output)["reports"]
    return {(found["rule"], found["location"]["index"]) for report in reports for found in report["findings"]}


def version_of(tool: str) -> str:
    """The first line of what a tool says of itself."""
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0].strip() if said else tool
