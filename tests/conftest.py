"""Fixtures that tests of several folders share."""

import os
import pickle
import time

import pytest
from workflow.runs import Run, copy_checkout, run_snakemake, write_tiny

pytest_plugins = ["science.rows"]

LONGEST_RUN = 1800
"""Seconds after which another worker's run is given up."""


def pytest_collection_modifyitems(items):
    """Begin with the files that run whole workflows, the longest first: none of them is then alone at the end."""
    items.sort(key=lambda item: ("workflow" not in item.path.parts, "real" not in item.path.stem))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Run:
    """Return a finished run of a tiny simulated cohort, in a checkout of its own, made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    done = folder / "run.pickle"
    try:
        folder.mkdir()
    except FileExistsError:
        return _await(done)
    tree = copy_checkout(folder / "checkout")
    cohort = write_tiny(tree / "config" / "cohorts" / "tiny")
    run = run_snakemake(tree, str(cohort.relative_to(tree)), "--cores", "2")
    done.with_suffix(".part").write_bytes(pickle.dumps(run))
    done.with_suffix(".part").rename(done)
    return run


def _await(done) -> Run:
    """Return the run of the worker that came first, once it has ended."""
    start = time.monotonic()
    while not done.exists():
        if time.monotonic() - start > LONGEST_RUN:
            raise TimeoutError(f"no other worker wrote {done}")
        time.sleep(1)
    return pickle.loads(done.read_bytes())


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """Return a copied checkout in which nothing has run."""
    return copy_checkout(tmp_path_factory.mktemp("fresh") / "checkout")
