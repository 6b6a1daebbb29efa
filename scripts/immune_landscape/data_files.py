"""Paths of data files: resolved against the data root, and kept from leaving it."""

from __future__ import annotations

import importlib.util
import os
import stat
from pathlib import Path, PurePosixPath

from immune_landscape.text_files import did_you_mean, printable


def shown_path(path: Path) -> str:
    """Return a path as the user would type it: relative to the working directory if below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def root_folder(folder: Path, data_root: str) -> tuple[Path, str | None]:
    """Resolve the key ``data_root`` of a cohort.

    Parameters
    ----------
    folder
        Cohort folder.
    data_root
        Path relative to it, or ``package:<package>/<folder>``.

    Returns
    -------
    root : pathlib.Path
        Folder against which data paths resolve.
    fault : str or None
        What is wrong with it.
    """
    if "\0" in data_root:
        return folder, f"{printable(data_root)} holds a NUL character"
    if not data_root.startswith("package:"):
        root = folder / data_root
        return (
            root,
            None if root.is_dir() else f"{printable(data_root)} is not a folder; it is relative to the cohort folder",
        )
    package, _, inside = data_root.removeprefix("package:").partition("/")
    if not package.isidentifier() or ".." in PurePosixPath(inside).parts or inside.startswith("/"):
        return (
            folder,
            f"{printable(data_root)}, expected package:<name>/<folder>, such as package:scirpy/tests/data",
        )
    try:
        # find_spec of a top-level name locates the package without importing it.
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module without a file, such as __main__
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return folder, f"the Python package {package} is not installed"
    root = Path(spec.submodule_search_locations[0]) / inside
    return root, None if root.is_dir() else f"the installed package {package} has no folder {printable(inside)}"


def resolve_path(cell: str, root: Path, *, outside: bool, must_exist: bool) -> tuple[str, tuple[str, str] | None]:
    """Resolve one path of samples.tsv.

    Parameters
    ----------
    cell
        Path as written, not empty.
    root
        Folder it is relative to.
    outside
        Whether it may be absolute or lead out of ``root``.
    must_exist
        Whether the file has to be there.

    Returns
    -------
    path : str
        Resolved path, empty when faulty.
    fault : tuple of str, or None
        Kind of mistake and message.
    """
    try:
        fault = _form_fault(cell, outside) or _place_fault(cell, root, outside, must_exist)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is a loop of links"
        fault = "bad_path", f"{printable(cell)} cannot be followed: {reason}"
    return ("", fault) if fault else (str(root / cell), None)


def _form_fault(cell: str, outside: bool) -> tuple[str, str] | None:
    if any(ord(letter) < 32 for letter in cell):
        return "bad_path", f"{printable(cell)} holds a control character"
    if "://" in cell:
        return "bad_path", f"{printable(cell)} is a URL; fetch the file and give its path"
    if cell.startswith("~"):
        return "bad_path", f"{printable(cell)}: '~' is not expanded; write a path relative to data_root"
    if "\\" in cell:
        return "bad_path", f"{printable(cell)}: write '/' between folders, not '\\'"
    if Path(cell).is_absolute() and not outside:
        return (
            "path_outside",
            f"{printable(cell)} is absolute; make it relative to data_root, or set paths_outside: true",
        )
    return None


def _place_fault(cell: str, root: Path, outside: bool, must_exist: bool) -> tuple[str, str] | None:
    lexical = os.path.normpath(cell)
    if not outside and (lexical == ".." or lexical.startswith("../")):
        return (
            "path_outside",
            f"{printable(cell)} leads out of data_root; set paths_outside: true if that is meant",
        )
    path = root / cell
    if not path.exists():
        if path.is_symlink():
            path.resolve(strict=True)
        return ("missing_file", f"{printable(cell)} not found in data_root{_near(path)}") if must_exist else None
    if not outside and not path.resolve().is_relative_to(root.resolve()):
        return (
            "path_outside",
            f"{printable(cell)} is a link out of data_root; set paths_outside: true if that is meant",
        )
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "bad_path", f"{printable(cell)} is neither a file nor a folder, but a pipe, socket or device"
    return None


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; neither is its folder {printable(path.parent.name)}"
    return did_you_mean(path.name, sorted(entry.name for entry in path.parent.iterdir()))
