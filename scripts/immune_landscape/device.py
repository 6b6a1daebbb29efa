"""The one boundary between stages and devices: which heavy step runs where, and how long it took."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

from immune_landscape.errors import InputError

LOG = logging.getLogger("immune_landscape")

Device = Literal["cpu", "gpu"]

STEPS = (
    "cell_metrics",
    "score_doublets",
    "normalise",
    "choose_genes",
    "principal_components",
    "integrate",
    "nearest_neighbours",
    "fuzzy_graph",
    "communities",
    "layout",
    "rank_markers",
)
"""Heavy steps: functions of these names, with the same signatures, are in `steps_cpu` and `steps_gpu`."""

STEPS_OF_RULES = {
    "filter_cells": ("cell_metrics",),
    "find_doublets": ("score_doublets",),
    "reduce_cells": ("normalise", "choose_genes", "principal_components", "integrate"),
    "cluster_cells": ("nearest_neighbours", "fuzzy_graph", "layout"),
    "rank_markers": ("normalise", "rank_markers"),
    "compare_devices": tuple(name for name in STEPS if name not in ("cell_metrics", "score_doublets", "layout")),
}
"""Rules whose heavy steps go through here."""

GPU_LIBRARIES = ("cupy", "cuml", "pylibcugraph")


@dataclass(frozen=True)
class Devices:
    """Where the heavy steps of a run are to be done.

    Attributes
    ----------
    requested
        ``auto``, ``cpu`` or ``gpu``.
    of_steps
        The same for single steps, which then differ from the rest.
    scheduler
        Address of a dask scheduler whose workers take the blocks of counts that steps on the CPU work on; empty for
        the rule's own process.
    """

    requested: str = "cpu"
    of_steps: Mapping[str, str] = field(default_factory=dict)
    scheduler: str = ""

    def step(self, name: str) -> Callable[..., Any]:
        """Return the function of a step on the device that the run asks for.

        Parameters
        ----------
        name
            One of `STEPS`.

        Returns
        -------
        callable
            As `step` returns.

        Raises
        ------
        InputError
            As `choose_device` does.
        """
        return step(name, self.place(name))

    def place(self, name: str) -> Device:
        """Tell where a step runs.

        Parameters
        ----------
        name
            One of `STEPS`.

        Returns
        -------
        str
            ``cpu`` or ``gpu``.

        Raises
        ------
        InputError
            As `choose_device` does.
        """
        return choose_device(self.of_steps.get(name, self.requested), name)


CPU = Devices()


def devices_of(job: Any) -> Devices:
    """Return where a rule's steps run.

    Parameters
    ----------
    job
        The object that Snakemake injects into a script: ``params.devices``, and ``resources.scheduler``, which is no
        parameter so that another address makes nothing run again.

    Returns
    -------
    Devices
        As the config says.
    """
    return Devices(**job.params.devices, scheduler=job.resources.get("scheduler", ""))


def gpus_of(rule: str, requested: str, of_steps: Mapping[str, str]) -> int:
    """Tell how many GPUs a rule asks the scheduler for.

    Parameters
    ----------
    rule
        One of `STEPS_OF_RULES`.
    requested, of_steps
        As in `Devices`.

    Returns
    -------
    int
        1 where one of its steps may run on a GPU, else 0.
    """
    return int(any(of_steps.get(name, requested) != "cpu" for name in STEPS_OF_RULES[rule]))


def choose_device(requested: str, step: str) -> Device:
    """Tell on which device a step runs.

    Parameters
    ----------
    requested
        ``auto`` takes a GPU when one answers, else the CPU, and says so in the log; ``cpu``; ``gpu``.
    step
        One of `STEPS`.

    Returns
    -------
    str
        ``cpu`` or ``gpu``.

    Raises
    ------
    InputError
        When a GPU is asked for and none answers.
    """
    if requested == "cpu":
        return "cpu"
    missing = gpu_problem()
    if not missing:
        return "gpu"
    if requested == "gpu":
        raise InputError(f"{step} is to run on a GPU (device: gpu), but {missing}; device: auto would use the CPU")
    LOG.info("%s runs on the CPU: %s", step, missing)
    return "cpu"


@cache
def gpu_problem() -> str:
    """Tell why no GPU can be used.

    Returns
    -------
    str
        One clause; empty when a GPU answers.
    """
    absent = [name for name in GPU_LIBRARIES if find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} cannot be imported (docs/gpu.md tells how to make the environment)"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no GPU answers ({error})"
    return "" if count else "no GPU is there"


def step(name: str, device: Device, *, quiet: bool = False) -> Callable[..., Any]:
    """Return the function of a step on a device; a call tells the log where it ran and how long.

    Parameters
    ----------
    name
        One of `STEPS`.
    device
        ``cpu`` or ``gpu``.
    quiet
        Leave the log alone: for one block of many.

    Returns
    -------
    callable
        The function of that name in `steps_cpu` or `steps_gpu`.

    Raises
    ------
    KeyError
        When there is no such step.
    """
    if name not in STEPS:
        raise KeyError(name)
    function = getattr(_steps_of(device), name)
    if quiet:
        return function

    @wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        """Call the step, and log device and seconds."""
        with told(name, device):
            return function(*args, **kwargs)

    return timed


@contextmanager
def told(name: str, place: str) -> Iterator[None]:
    """Tell the log where some work ran, and how long.

    Parameters
    ----------
    name
        Step.
    place
        Where it ran.
    """
    start, work = time.perf_counter(), time.process_time()
    yield
    wall, busy = time.perf_counter() - start, time.process_time() - work
    LOG.info("%s on %s: %.2f s (%.2f s of CPU)", name, place, wall, busy)


def _steps_of(device: Device) -> ModuleType:
    """Return the module of a device, named where provenance.code_of finds it."""
    if device == "gpu":
        from immune_landscape import steps_gpu

        return steps_gpu
    from immune_landscape import steps_cpu

    return steps_cpu


def allowed_threads() -> int:
    """Return how many threads a step may use: what the rule was given (`job.running`), else 1.

    Returns
    -------
    int
        1 or more.
    """
    return max(1, int(os.environ.get("NUMBA_NUM_THREADS", "1")))
