"""Which code a rule depends on, as a hash that Snakemake can compare.

Snakemake reruns a rule when its script changes, but not when a function that the script imports does.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_IMPORT = re.compile(rb"^[ \t]*((?:from|import) immune_landscape\b[^\n(]*(?:\([^)]*\))?)", re.MULTILINE)


def code_of(module: str) -> str:
    """Return a short hash over a rule's module and every package module that it or the rule's script imports.

    Parameters
    ----------
    module
        Name of the rule, its script and its module, such as ``filter_cells``.

    Returns
    -------
    str
        12 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        When the package has no such module.
    """
    digest = hashlib.sha256()
    for name in sorted(_reached(module)):
        digest.update(name.encode() + b"\0" + _source(name))
    return digest.hexdigest()[:12]


def _reached(module: str) -> set[str]:
    script = PACKAGE.parent / f"{module}.py"
    seen: set[str] = set()
    waiting = [module, *(_package_imports(script.read_bytes()) if script.exists() else ())]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(name))
    return seen


@cache
def _source(module: str) -> bytes:
    return (PACKAGE / f"{module}.py").read_bytes()


@cache
def _imports(module: str) -> frozenset[str]:
    return _package_imports(_source(module))


def _package_imports(source: bytes) -> frozenset[str]:
    """Package modules that a source imports anywhere, inside functions too."""
    try:
        # The lines of imports alone: parsing all sources would take half a second of every call of Snakemake.
        tree = ast.parse(b"\n".join(_IMPORT.findall(source)))
    except SyntaxError:  # a line of text begins like one
        tree = ast.parse(source)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            found |= _targets(node)
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{PACKAGE.name}.")}
    return frozenset(found)


def _targets(node: ast.ImportFrom) -> set[str]:
    parts = (node.module or "").split(".")
    if len(parts) > 1:
        return {parts[1]}
    return {alias.name for alias in node.names if (PACKAGE / f"{alias.name}.py").exists()}
