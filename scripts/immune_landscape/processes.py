"""Work that holds Python's lock, shared out to processes that see what this one holds."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent has died."""

_function: Callable[[Any], Any]


def map_forked(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """Call a function on each item, several at a time.

    Parameters
    ----------
    function
        Any callable, closures included: workers are forks, and share the memory that it refers to. It must start no
        threads, as those of a library that this process has used are not there in a fork.
    items
        Small things that can be pickled.
    workers
        Processes. 1, or a system other than Linux, calls the function in this one.

    Returns
    -------
    list
        Results, which can be pickled, in the order of the items.
    """
    workers = min(workers, len(items)) if sys.platform == "linux" else 1
    if workers < 2:
        return [function(item) for item in items]
    forks = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        # Python 3.12 warns of threads at every fork; see `function`.
        warnings.simplefilter("ignore", DeprecationWarning)
        with ProcessPoolExecutor(workers, mp_context=forks, initializer=_begin, initargs=(function,)) as pool:
            return list(pool.map(_call, items))


def _begin(function: Callable[[Any], Any]) -> None:
    """Keep the function, which a fork has by itself, and end with the parent even where that is killed."""
    global _function
    _function = function
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _call(item: Any) -> Any:
    return _function(item)
