"""Tell at the end of a Python process what it imported and spent, and how long it read and wrote stored files.

Python imports a module of this name at its start. `time_workflow.py` puts this folder on the path of the processes of
a run; `JOB_METER` is the folder that each of them writes one JSON file into.
"""

import atexit
import functools
import importlib.abc
import importlib.util
import json
import os
import sys
import threading
import time
from pathlib import Path

METERED = {
    "immune_landscape.store": ("read_stage", "write_stage", "read_table", "write_table", "check_integrity"),
    "immune_landscape.blocked_counts": ("open_counts", "write_counts", "write_file"),
    "immune_landscape.count_blocks": ("read_part",),
}
"""Functions through which rules read and write stored files."""

seconds: list[float] = []
within = threading.local()


def timed(function):
    """Return a function whose seconds are kept, but for calls within one that is timed already."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        """Run the function with a clock."""
        if getattr(within, "timed", False):
            return function(*args, **kwargs)
        within.timed, start = True, time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            within.timed = False
            seconds.append(time.perf_counter() - start)

    return call


class Metering(importlib.abc.MetaPathFinder):
    """Finds the metered modules and puts clocks around their functions once they are imported."""

    def find_spec(self, name, path=None, target=None):
        """Return the spec that the other finders give, with the clocks."""
        if name not in METERED:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        executed = spec.loader.exec_module

        def exec_module(module):
            """Run the module, then replace its functions."""
            executed(module)
            for each in METERED[name]:
                setattr(module, each, timed(getattr(module, each)))

        spec.loader.exec_module = exec_module
        return spec


def tell() -> None:
    """Write what was seen."""
    spent = sum(os.times()[:4])
    found = {"script": sys.argv[0], "modules": list(sys.modules), "stored": sum(seconds), "cpu": spent}
    Path(os.environ["JOB_METER"], f"{os.getpid()}.json").write_text(json.dumps(found), encoding="utf-8")


if os.environ.get("JOB_METER"):
    sys.meta_path.insert(0, Metering())
    atexit.register(tell)
