"""What a scan takes without the start of the program: ``python -m benchmarks.alone START PATH`` prints it in seconds.

Over small times the start of a program, which varies, can't be subtracted. Here a worker has scanned another set
before, and the clocks are read around the second scan.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(start: str, path: str) -> None:
    """Scan both, and print what the second took."""
    from datascan.scanner import check
    from datascan.scanner.crew import Crew

    with Crew(1) as crew:
        check(start, crew=crew)
        spent_s, wall_s = cpu_s(), time.perf_counter()
        check(path, crew=crew)
        print(json.dumps({"cpu_s": cpu_s() - spent_s, "wall_s": time.perf_counter() - wall_s}))


def cpu_s() -> float:
    """CPU time of this process and its children, which live on."""
    spent = time.process_time()
    for thread in os.listdir("/proc/self/task"):
        for child in Path(f"/proc/self/task/{thread}/children").read_text().split():
            for task in os.listdir(f"/proc/{child}/task"):
                spent += int(Path(f"/proc/{child}/task/{task}/schedstat").read_text().split()[0]) / 1e9
    return spent


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
