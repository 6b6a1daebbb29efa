"""Measure each step of a recipe: seconds of the clock and of the processor, and the highest memory in use.

The system keeps the high-water mark of a process's resident memory, and forgets it on request; it is reset before each
step. What children of the process hold is sampled beside it.
"""

import contextlib
import json
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MIB = 1024
SAMPLED = 0.05
"""Seconds between two looks at the children."""


@contextlib.contextmanager
def step(name: str) -> Iterator[dict[str, Any]]:
    """Time a block and print it as one line of JSON, with what the block puts into the dictionary."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    found: dict[str, Any] = {}
    start, processor = time.perf_counter(), processor_seconds()
    with watched_children() as highest:
        yield found
    row = {"step": name, "wall": round(time.perf_counter() - start, 3)}
    row["cpu"] = round(processor_seconds() - processor, 3)
    row["peak_mib"] = round(max(status_mib("self", "VmHWM"), highest[0]), 1)
    print(json.dumps(row | found), flush=True)


def processor_seconds() -> float:
    """Return seconds of the processor of this process and of its children that ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def status_mib(process: str, key: str) -> float:
    """Return an entry of a process's status in MiB; 0 for a process that ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / MIB
    return 0.0


def children_of(process: str) -> list[str]:
    """Return the processes that a process started, and theirs."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text(encoding="ascii").split():
                found += [child, *children_of(child)]
    return found


@contextlib.contextmanager
def watched_children() -> Iterator[list[float]]:
    """Sample the resident memory of this process and its children together while it has any."""
    highest, done = [0.0], threading.Event()

    def look() -> None:
        """Sample until told to stop."""
        while not done.wait(SAMPLED):
            children = children_of("self")
            if children:
                total = sum(status_mib(process, "VmRSS") for process in ["self", *children])
                highest[0] = max(highest[0], total)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield highest
    finally:
        done.set()
        thread.join()
