"""One seed in the config, one derived seed for each use."""

from __future__ import annotations

import hashlib


def seed_of(seed: int, *names: str) -> int:
    """Derive a seed from the run's seed and the name of its use.

    Parameters
    ----------
    seed
        The run's seed.
    *names
        What the seed is for: a rule, a branch, a sample.

    Returns
    -------
    int
        Between 0 and 2**31 - 1, the range that every library accepts.
    """
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
