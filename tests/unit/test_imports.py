"""Modules import slow libraries where they use them: a workflow starts a process for every job."""

import ast
from pathlib import Path

import pytest

MODULES = sorted((Path(__file__).resolve().parents[2] / "scripts" / "immune_landscape").glob("*.py"))
SLOW = {"anndata", "matplotlib", "scanpy", "scipy.stats", "scirpy", "seaborn", "sklearn", "statsmodels"}
"""Each takes about as long to import as pandas, or longer."""


def imported_at_the_top(tree):
    """Yield the names of the modules that are imported outside functions, but for types alone."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_starts_quickly(path):
    names = set(imported_at_the_top(ast.parse(path.read_text(encoding="utf-8"))))
    found = {slow for slow in SLOW for name in names if f"{name}.".startswith(f"{slow}.")}
    assert found == set()


def test_the_names_of_imports_are_found():
    tree = ast.parse("import sklearn.metrics\nfrom scipy import stats\ndef f():\n    import anndata\n")
    assert set(imported_at_the_top(tree)) == {"sklearn.metrics", "scipy", "scipy.stats"}
