"""Which code a rule depends on, as a hash that Snakemake can compare.

Snakemake reruns a rule when its script changes, but not when a function that the script imports does.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


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
    found: set[str] = set()
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            found |= _targets(node)
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{PACKAGE.name}.")}
    return frozenset(found)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk the statements of a tree alone: expressions hold no imports, and are nearly all of it."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, part, ()):
            yield inner
            yield from _statements(inner)


def _targets(node: ast.ImportFrom) -> set[str]:
    parts = (node.module or "").split(".")
    if len(parts) > 1:
        return {parts[1]}
    return {alias.name for alias in node.names if (PACKAGE / f"{alias.name}.py").exists()}
