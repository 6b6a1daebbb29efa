"""What every input reader checks first: what a file really is, and that HDF5 stays inside its file."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.text_files import quoted

if TYPE_CHECKING:
    import h5py

HEAD_BYTES = 4096
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: HDF5 may follow a block of the user's own: MuData writes 512 bytes.
HDF5_OFFSETS = (0, 512, 1024, 2048)
#: Cell Ranger writes the barcode and a gem-group suffix; a prefix is what people add when they merge samples.
BARCODE_PATTERN = "[ACGTN]{8,}(-[0-9]+)?"

#: First bytes -> (kind, words). Order matters only where one signature begins another.
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "a gzip file"),
    (b"PK\x03\x04", "zip", "a zip archive (also .xlsx, .npz, .zarr.zip)"),
    (b"BZh", "bzip2", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "xz", "an xz file"),
    (b"PAR1", "parquet", "a Parquet file"),
    (b"%PDF", "pdf", "a PDF document"),
    (b"RDX2\n", "r", "an R data file"),
    (b"RDX3\n", "r", "an R data file"),
    (b"X\n\x00\x00", "r", "an R .rds file"),
    (b"\xff\xfe", "utf16", "text in UTF-16"),
    (b"\xfe\xff", "utf16", "text in UTF-16"),
    (b"%%MatrixMarket", "text", "a Matrix Market text file"),
    (b"version https://git-lfs", "lfs", "a Git LFS pointer, not the data (run 'git lfs pull')"),
)
HTML = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body|\?xml)", re.IGNORECASE)
PICKLE = re.compile(rb"^\x80[\x02-\x05]")


@dataclass(frozen=True)
class Place:
    """Where a finding lies, in the words that begin every message of the readers."""

    path: Path
    sample: str

    def __str__(self) -> str:
        return f"{self.path}: sample '{self.sample}'"

    def error(self, message: str) -> InputError:
        """Return the error to raise for this file and sample."""
        return InputError(f"{self}: {message}")


@dataclass(frozen=True)
class Content:
    """What the first bytes of a file say it is; ``line`` is the first line of a text."""

    kind: str
    words: str
    line: str = ""


def content_of(path: Path) -> Content:
    """Tell what a file holds from its first bytes, looking inside gzip.

    Parameters
    ----------
    path
        File to look at; at most 4,096 bytes are decompressed.

    Returns
    -------
    Content
        ``kind`` is one of hdf5, text, html, empty, gzip, zip, ..., binary; for a gzip file it is
        that of the content. ``words`` goes into messages.
    """
    with path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    if not head.startswith(b"\x1f\x8b"):
        return _classify(head)
    try:
        with gzip.open(path, "rb") as handle:
            inner = _classify(handle.read(HEAD_BYTES))
    except (OSError, EOFError, zlib.error) as error:
        return Content("gzip", f"a damaged gzip file ({error})")
    return Content(inner.kind, f"{inner.words}, gzip-compressed", inner.line)


def _classify(head: bytes) -> Content:
    if not head:
        return Content("empty", "an empty file (0 bytes)")
    if any(head.startswith(HDF5_SIGNATURE, offset) for offset in HDF5_OFFSETS):
        return Content("hdf5", "an HDF5 file")
    if HTML.match(head):
        return Content("html", f"a web page, perhaps an error page (begins {_first_line(head)[:50]!r})")
    for signature, kind, words in SIGNATURES:
        if head.startswith(signature):
            return Content(kind, words)
    if PICKLE.match(head):
        return Content("pickle", "a Python pickle")
    if b"\x00" in head:
        return Content("binary", "an unknown binary file")
    line = _first_line(head)
    return Content("text", f"a text file (begins {line[:50]!r})" if line else "only white space", line)


def _first_line(head: bytes) -> str:
    lines = head.decode("utf-8", errors="replace").lstrip("\ufeff").lstrip().splitlines()
    return lines[0] if lines else ""


def require_content(place: Place, kind: str, wanted: str) -> None:
    """Refuse a path that is missing, a folder, or another kind of file than its name says.

    Parameters
    ----------
    place
        File and sample.
    kind
        Kind that ``content_of`` must give.
    wanted
        Words for what was expected.

    Raises
    ------
    InputError
        With what the file really is.
    """
    if not place.path.exists():
        raise place.error(f"no such file; expected {wanted}")
    if not place.path.is_file():
        raise place.error(f"is not a regular file; expected {wanted}")
    content = content_of(place.path)
    if content.kind != kind:
        raise place.error(f"is {content.words}; expected {wanted}")


@contextmanager
def reading(place: Place, what: str) -> Iterator[None]:
    """Turn any failure to parse a user's file into an ``InputError`` that names it.

    Parameters
    ----------
    place
        File and sample.
    what
        Part being read, such as ``obs``.

    Raises
    ------
    InputError
        When the body raises; the original error stays attached as its cause.
    """
    try:
        yield
    except InputError:
        raise
    # A damaged file can fail anywhere in h5py, anndata, scipy, pandas or zlib, each with its own classes.
    except Exception as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise place.error(f"cannot read {what}: {text[0]}") from error


@contextmanager
def open_hdf5(place: Place, wanted: str) -> Iterator[h5py.File]:
    """Open an HDF5 file once it is known to hold all its data itself.

    Parameters
    ----------
    place
        File and sample.
    wanted
        Words for what was expected.

    Yields
    ------
    h5py.File
        Opened for reading.

    Raises
    ------
    InputError
        When it is not HDF5, is damaged, or points outside itself.

    Notes
    -----
    HDF5 reads external storage, external links and virtual sources from any path that the file
    names, so a file from elsewhere could copy this machine's files into the results.
    """
    import h5py

    require_content(place, "hdf5", wanted)
    with reading(place, "the HDF5 file (truncated or damaged?)"):
        file = h5py.File(place.path, "r")
    with file:
        with reading(place, "the HDF5 structure"):
            outside = pointers_outside(file)
        if outside:
            raise place.error("refused, HDF5 data must lie inside the file itself: " + "; ".join(outside[:10]))
        yield file


def pointers_outside(group: h5py.Group) -> list[str]:
    """List the links and datasets of an HDF5 file whose data may lie elsewhere, reading no data.

    Parameters
    ----------
    group
        Opened file or group.

    Returns
    -------
    list of str
        One text per soft link, external link, virtual or externally stored dataset.
    """
    found: list[str] = []
    waiting: list[h5py.Group] = [group]
    seen: set[h5py.Group] = set()
    while waiting:
        current = waiting.pop()
        # Hard links may form cycles.
        if current in seen:
            continue
        seen.add(current)
        for name in current:
            problem, child = _inspect(current, name)
            found += [f"{current.name.rstrip('/')}/{name} is {problem}"] if problem else []
            waiting += [child] if child is not None else []
    return sorted(found)


def _inspect(group: h5py.Group, name: str) -> tuple[str, h5py.Group | None]:
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return "an external link", None
    if isinstance(link, h5py.SoftLink):
        return "a soft link", None
    item = group[name]
    if isinstance(item, h5py.Group):
        return "", item
    if isinstance(item, h5py.Dataset) and item.external:
        return "a dataset with external storage", None
    if isinstance(item, h5py.Dataset) and item.is_virtual:
        return "a virtual dataset", None
    return "", None


def read_element(place: Place, group: h5py.Group, key: str) -> Any:
    """Read one element of an h5ad with anndata's own reader.

    Parameters
    ----------
    place
        File and sample.
    group
        Group that holds the element.
    key
        Path of the element inside ``group``.

    Returns
    -------
    object
        DataFrame, array, sparse matrix or awkward array, as stored.

    Raises
    ------
    InputError
        When the element is damaged or of a newer format; the format found is named.
    """
    from anndata.io import read_elem

    found = group[key].attrs.get("encoding-version", "none")
    what = f"'{group.name.rstrip('/')}/{key}' (format {found}) with anndata {version('anndata')}"
    with reading(place, what):
        return read_elem(group[key])


def read_text_table(place: Place, separator: str, *, header: int | None, may_be_empty: bool = False) -> pd.DataFrame:
    """Read a delimited text file as strings, gzip-compressed or not.

    Parameters
    ----------
    place
        File and sample.
    separator
        Field separator.
    header
        0 when the first line names the columns, else None.
    may_be_empty
        Whether a file without any line is a table without rows.

    Returns
    -------
    DataFrame
        Strings; an empty field is the empty string. The index is the 0-based row.

    Raises
    ------
    InputError
        When the file is not UTF-8 text or not a table.
    """
    if may_be_empty and place.path.is_file() and content_of(place.path).kind == "empty":
        return pd.DataFrame()
    require_content(place, "text", "a text table")
    compression = "gzip" if _is_gzip(place.path) else None
    try:
        return pd.read_csv(
            place.path,
            sep=separator,
            header=header,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            compression=compression,  # type: ignore[arg-type]
        )
    except UnicodeDecodeError as error:
        raise place.error(f"is not UTF-8 text (byte {error.start}: {error.reason}); save it as UTF-8") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OSError, EOFError, zlib.error) as error:
        raise place.error(f"cannot be read as a table: {error}") from error


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file, gzip-compressed or not.

    Parameters
    ----------
    path
        File to read.

    Yields
    ------
    TextIO
        Its lines, a byte-order mark skipped.
    """
    opener = gzip.open if _is_gzip(path) else open
    with opener(path, "rt", encoding="utf-8-sig", newline=None) as handle:
        yield handle


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def find_barcodes(names: Sequence[str] | pd.Index, pattern: str, place: Place) -> np.ndarray:
    """Find the barcode inside each cell id and require that it is unique.

    Parameters
    ----------
    names
        Cell ids of one sample, n of them.
    pattern
        Regular expression; its first match in an id is the barcode.
    place
        File and sample.

    Returns
    -------
    ndarray of str, shape (n,)
        Barcodes in the order of ``names``.

    Raises
    ------
    InputError
        When an id holds no barcode, or two ids hold the same one.
    """
    matches = [re.search(pattern, str(name)) for name in names]
    missing = [str(name) for name, match in zip(names, matches, strict=True) if match is None]
    if missing:
        raise place.error(
            f"{len(missing)} of {len(matches)} cell ids hold no barcode, such as {quoted(missing)}; "
            f"expected a match of inputs.barcode_pattern '{pattern}'"
        )
    barcodes = np.array([match.group(0) for match in matches if match], dtype=object)
    _refuse_duplicates(barcodes, place)
    return barcodes


def _refuse_duplicates(barcodes: np.ndarray, place: Place) -> None:
    series = pd.Series(barcodes, dtype=object)
    repeated = list(dict.fromkeys(series[series.duplicated(keep=False)]))
    if repeated:
        raise place.error(
            f"{len(repeated)} barcodes occur more than once: {quoted(repeated)}; a barcode names one cell of "
            "a sample. If the file holds several samples set inputs.gex_sample_column and gex_label"
        )
