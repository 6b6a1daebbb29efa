"""Work is shared out to forks, and nothing of it hangs on how many there are."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from immune_landscape.processes import map_forked

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ORPHANS = """
import os, sys, time
from immune_landscape.processes import map_forked
def sleep(_):
    print(os.getpid(), flush=True)
    time.sleep(300)
map_forked(sleep, [1, 2], 2)
"""


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers):
    held = np.arange(1000)
    found = map_forked(lambda at: int(held[at]) ** 2, [5, 3, 999, 0], workers)
    assert found == [25, 9, 998001, 0]


def test_items_run_in_other_processes():
    if sys.platform != "linux":
        pytest.skip("forks are used on Linux alone")
    found = map_forked(lambda _: os.getpid(), range(4), 2)
    assert os.getpid() not in found
    assert map_forked(lambda _: os.getpid(), range(4), 1) == [os.getpid()] * 4


def test_nothing_to_do_is_no_error():
    assert map_forked(str, [], 4) == []


def test_an_error_of_a_fork_is_raised_here():
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        map_forked(fail, [1, 2], 2)


def test_forks_end_with_a_parent_that_is_killed():
    if sys.platform != "linux":
        pytest.skip("forks are used on Linux alone")
    path = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True, env=path) as parent:
        forks = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        until = time.monotonic() + 20
        while (left := [fork for fork in forks if is_running(fork)]) and time.monotonic() < until:
            time.sleep(0.05)
    assert left == []


def is_running(process):
    """Tell whether a process is there and is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
