"""Fixtures that tests of several folders share."""

import pytest
from workflow.runs import Run, copy_checkout, run_snakemake, write_tiny

pytest_plugins = ["science.rows"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Run:
    """Return a finished run of a tiny simulated cohort, in a checkout of its own."""
    tree = copy_checkout(tmp_path_factory.mktemp("tiny") / "checkout")
    cohort = write_tiny(tree / "config" / "cohorts" / "tiny")
    return run_snakemake(tree, str(cohort.relative_to(tree)), "--cores", "2")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """Return a copied checkout in which nothing has run."""
    return copy_checkout(tmp_path_factory.mktemp("fresh") / "checkout")
