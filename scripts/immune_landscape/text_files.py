"""Text files from users: encodings, line ends, and how a found value is shown back."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from immune_landscape.errors import Problem

MAX_BYTES = 64 * 1024 * 1024
# A decimal number as sheets and YAML may write it; Python also reads words such as nan.
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

# First bytes of files that are sent in place of text, most often by a spreadsheet program.
NOT_TEXT = {
    b"PK\x03\x04": "a zip archive or Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "gzip-compressed",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF",
}


def printable(value: object) -> str:
    """Return a value as it can be printed safely: quoted, control characters escaped, cut at 60."""
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def listed(values: Iterable[object]) -> str:
    """Return allowed values as a comma-separated list, cut at 12."""
    words = [str(value) for value in values]
    return ", ".join(words[:12]) + (f", ... ({len(words)} in all)" if len(words) > 12 else "")


def quoted(values: Sequence[object], most: int = 5) -> str:
    """Return the first few values in quotes, and how many more there are.

    Parameters
    ----------
    values
        Values to list.
    most
        Number of values written out.

    Returns
    -------
    str
        Such as ``'a', 'b' and 3 more``.
    """
    text = ", ".join(f"'{value}'" for value in values[:most])
    return text + (f" and {len(values) - most} more" if len(values) > most else "")


def closest(value: str, allowed: Iterable[object]) -> str | None:
    """Return the allowed value that a misspelt one most likely stands for.

    Parameters
    ----------
    value
        Value found.
    allowed
        Values to choose from.

    Returns
    -------
    str or None
        The likely value; none when nothing is near.
    """
    by_fold = {str(word).strip().casefold(): str(word) for word in allowed}
    folded = value.strip().casefold()
    if folded in by_fold:
        return by_fold[folded]
    near = difflib.get_close_matches(folded, list(by_fold), n=1, cutoff=0.6)
    return by_fold[near[0]] if near else None


def did_you_mean(value: str, allowed: Iterable[object]) -> str:
    """Return ``; did you mean ...?`` for a misspelt value, or nothing."""
    near = closest(value, allowed)
    return f"; did you mean {near}?" if near is not None and near != value else ""


def read_text(path: Path, label: str) -> tuple[str | None, list[Problem], list[Problem]]:
    """Read a UTF-8 text file, telling what else it is when it is something else.

    Parameters
    ----------
    path
        File to read.
    label
        The path as the user would type it.

    Returns
    -------
    text : str or None
        Content with line ends made ``\\n``; none when it cannot be read.
    problems : list of Problem
        Why it cannot be read.
    notes : list of Problem
        What was put right silently, such as a byte-order mark.
    """
    try:
        if not path.is_file():
            return None, [Problem(label, 0, "", "is not a regular file", "unreadable_file")], []
        if path.stat().st_size > MAX_BYTES:
            return (
                None,
                [Problem(label, 0, "", f"is larger than {MAX_BYTES >> 20} MB", "unreadable_file")],
                [],
            )
        content = path.read_bytes()
    except OSError as error:
        return (
            None,
            [Problem(label, 0, "", f"cannot be read: {error.strerror or error}", "unreadable_file")],
            [],
        )
    return _decode(content, label)


def _decode(content: bytes, label: str) -> tuple[str | None, list[Problem], list[Problem]]:
    wrong = _foreign(content)
    if wrong:
        return None, [Problem(label, 0, "", wrong, "encoding")], []
    notes = []
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        notes.append(Problem(label, 1, "", "starts with a byte-order mark, which was skipped", "byte_order_mark"))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = f"0x{content[error.start]:02x}"
        message = f"is not UTF-8, probably Latin-1 (Windows-1252): byte {byte}; save it as UTF-8"
        return None, [Problem(label, line, "", message, "encoding")], notes
    if "\r" in text:
        notes.append(Problem(label, 0, "", "has Windows or old Macintosh line ends, which were accepted", "line_ends"))
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text, [], notes


def _foreign(content: bytes) -> str | None:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:64].count(b"\0") > 8:
        return "is UTF-16 (the 'Unicode text' of a spreadsheet program); save it as UTF-8"
    for magic, name in NOT_TEXT.items():
        if content.startswith(magic):
            return f"is {name}, not text; save it as tab-separated UTF-8 text"
    return None
