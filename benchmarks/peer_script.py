"""Runs cleanvision or fastdup over a folder, in the environment that holds them: imports nothing of this project."""

from __future__ import annotations

import sys
import tempfile


def cleanvision(folder: str) -> int:
    """All of its default checks, in one process."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=folder)
    lab.find_issues(n_jobs=1, verbose=False)
    return len(lab.issues)


def fastdup(folder: str) -> int:
    """Its analysis, with as many threads as it likes."""
    import fastdup

    with tempfile.TemporaryDirectory() as work:
        lab = fastdup.create(work_dir=work, input_dir=folder)
        lab.run(overwrite=True, verbose=False)
        return len(lab.annotations())


if __name__ == "__main__":
    seen = {"cleanvision": cleanvision, "fastdup": fastdup}[sys.argv[1]](sys.argv[2])
    print(seen)
