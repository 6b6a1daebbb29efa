"""Work on blocks of counts: one after another, on several threads, or on the workers of a dask cluster.

All three are one code path: blocks are handed out some at a time and what comes back is taken in their order, so sums
are the same wherever and by however many they were made.
"""

from __future__ import annotations

import pkgutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from immune_landscape.count_blocks import CountBlocks, Part, read_part
from immune_landscape.device import allowed_threads
from immune_landscape.errors import InputError

WAITING = 2
"""Blocks handed out for each thread or worker: one in work, one next."""

PATIENCE = 30
"""Seconds in which a scheduler must answer, and have a worker."""


def over_blocks(blocks: CountBlocks, function: Callable[..., Any], *args: Any, scheduler: str = "") -> Iterator[Any]:
    """Apply a function to each block, some at a time.

    Parameters
    ----------
    blocks
        Raw counts.
    function
        Called with a `count_blocks.Block` and `args`; found by its name on a worker, so no inner function.
    args
        What it needs besides.
    scheduler
        Address of a dask scheduler whose workers read the same files; empty for this process, which then uses
        `device.allowed_threads` threads. A matrix in memory never leaves this process.

    Yields
    ------
    Any
        What the function returns, in the order of the blocks.

    Raises
    ------
    InputError
        No scheduler answers there, or it has no worker.
    """
    if scheduler and not hasattr(blocks.source, "indptr"):
        client = client_of(scheduler)
        sent = [client.scatter(arg, broadcast=True, hash=False) for arg in args]
        width = WAITING * sum(client.nthreads().values())

        def hand_out(part: Part) -> Any:
            """Send a block's place to a worker."""
            return client.submit(partial(apply_to_part, part, function), *sent, pure=False)

        yield from _in_order(blocks, hand_out, width)
        return
    threads = allowed_threads()
    if threads == 1:
        yield from (apply_to_part(part, function, *args) for part in blocks.parts())
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from _in_order(blocks, _to_pool(pool, function, args), threads)


def apply_to_part(part: Part, function: Callable[..., Any], *args: Any) -> Any:
    """Read a block and work on it.

    Parameters
    ----------
    part
        Where the block is.
    function, args
        As in `over_blocks`.

    Returns
    -------
    Any
        What the function returns.
    """
    return function(read_part(part), *args)


def _to_pool(pool: Executor, function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Part], Any]:
    def hand_out(part: Part) -> Any:
        """Give a block to a thread."""
        return pool.submit(apply_to_part, part, function, *args)

    return hand_out


def _in_order(blocks: CountBlocks, hand_out: Callable[[Part], Any], width: int) -> Iterator[Any]:
    """Yield results in the order of the blocks, no more than `width` handed out and not yet taken."""
    pending: deque[Any] = deque()
    for part in blocks.parts():
        pending.append(hand_out(part))
        if len(pending) == width:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


@cache
def client_of(address: str) -> Any:
    """Return the client of a scheduler that has workers; one for all calls of a process.

    Parameters
    ----------
    address
        Such as ``tcp://host:8786``.

    Returns
    -------
    distributed.Client
        Connected.

    Raises
    ------
    InputError
        No scheduler answers there, or it has no worker.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
        client.wait_for_workers(1, timeout=PATIENCE)
        # A worker that cannot import what it is sent would die, and its work wait for ever.
        client.run(pkgutil.resolve_name, f"{__name__}:WAITING")
    except (ImportError, OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"scheduler: {address!r} cannot be used ({error}); expected the address of a dask scheduler, such as "
            "tcp://host:8786, with at least one worker that has this package on its path (PYTHONPATH=scripts), or "
            "nothing, to work in the rule's own process"
        ) from error
    return client
