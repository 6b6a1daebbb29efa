"""Read bulk T-cell repertoires as AIRR, MiXCR, VDJtools, immunoSEQ, immunarch and Cell Ranger write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from immune_landscape.chain_tables import FLAGS, MISSING
from immune_landscape.input_files import Place, open_text, reading, require_content
from immune_landscape.text_files import quoted

ROW_COLUMNS = ["junction", "junction_aa", "v_call", "j_call", "locus", "productive", "count"]
#: immunoSEQ, VDJtools and MiXCR also write these where nothing is known.
_BLANK = frozenset([*MISSING, "unresolved", "unknown", "no data", "na", ".", "region_not_covered"])
_SIGNS = str.maketrans("", "", "#._ ")
#: Subgroups with one gene, which IMGT names without "-1".
#: https://www.imgt.org/IMGTrepertoire/index.php?section=LocusGenes&repertoire=genetable&species=human&group=TRBV
_LONE_TRBV = frozenset(map(str, (1, 2, 9, *range(13, 20), 26, 27, 28, 30)))
_ADAPTIVE = re.compile(r"TCR([ABGD])([VDJ])0*(\d+|[A-C])(?:-0*(\d+)|-OR0*(\d+)_0*(\d+))?")
#: An orphon without its slash, as MiXCR names it.
_ORPHON = re.compile(r"(TR[ABGD]V\d+(?:-\d+)?)(OR\d+-\d+)")
_LOCUS = re.compile(r"TR[ABGD]|IG[HKL]")
_BASES = "TCAG"
#: https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi#SG1
_CODONS = dict(
    zip(
        (first + second + third for first in _BASES for second in _BASES for third in _BASES),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
)


@dataclass(frozen=True)
class Format:
    """Columns of a kind of repertoire table, lower-case, without '#', blanks, dots and underscores.

    Attributes
    ----------
    name
        For messages.
    required, optional
        Field -> columns that may hold it; the first with a value in the row counts.
    counts
        Column -> what it counts, preferred first.
    whole_reads
        Whether the column of the junction holds the read around it as well.
    """

    name: str
    required: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, str]
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole_reads: bool = False

    def matches(self, columns: Iterable[str]) -> tuple[float, int]:
        """Return the share and the number of the required fields that a table has."""
        known = set(columns)
        found = sum(bool(known & set(names)) for names in self.required.values())
        return found / len(self.required), found


FORMATS = (
    Format(
        "AIRR",
        {
            "junction": ("junction",),
            "junction_aa": ("junctionaa",),
            "v_call": ("vcall",),
            "j_call": ("jcall",),
            "productive": ("productive",),
        },
        # duplicate_count holds templates, UMIs or reads: https://docs.airr-community.org/en/stable/datarep/rearrangements.html
        {"umicount": "UMIs", "duplicatecount": "copies", "consensuscount": "reads"},
        {"locus": ("locus",), "repertoire": ("repertoireid",), "cell": ("cellid",), "is_cell": ("iscell",)},
    ),
    Format(
        "MiXCR",
        {
            "junction": ("nseqcdr3", "nseqimputedcdr3"),
            "junction_aa": ("aaseqcdr3", "aaseqimputedcdr3"),
            "v_call": ("bestvgene", "bestvhit", "allvgenes", "allvhits", "allvhitswithscore"),
            "j_call": ("bestjgene", "bestjhit", "alljgenes", "alljhits", "alljhitswithscore"),
        },
        {"uniquemoleculecount": "UMIs", "uniqueumicount": "UMIs", "readcount": "reads", "clonecount": "reads"},
    ),
    Format(
        "immunoSEQ",
        {
            "junction": ("rearrangement", "nucleotide"),
            "junction_aa": ("aminoacid",),
            "v_call": ("vgene", "vgenename", "vresolved", "vmaxresolved", "vfamily", "vfamilyname"),
            "j_call": ("jgene", "jgenename", "jresolved", "jmaxresolved", "jfamily", "jfamilyname"),
        },
        {
            "templates": "templates",
            "estimatednumbergenomes": "templates",
            "count(templates)": "templates",
            "count(templates/reads)": "templates or reads",
            "count": "templates or reads",
            "reads": "reads",
            "seqreads": "reads",
            "count(reads)": "reads",
        },
        {
            "repertoire": ("samplename",),
            "frame": ("frametype", "sequencestatus"),
            "start": ("vindex",),
            "length": ("cdr3length",),
        },
        whole_reads=True,
    ),
    Format(
        "VDJtools",
        {
            "junction": ("cdr3nt", "nsequence"),
            "junction_aa": ("cdr3aa", "aasequence"),
            "v_call": ("v", "vsegments"),
            "j_call": ("j", "jsegments"),
        },
        {"count": "reads or UMIs", "seqcount": "reads or UMIs"},
    ),
    Format(
        "immunarch",
        {
            "junction": ("cdr3nt",),
            "junction_aa": ("cdr3aa",),
            "v_call": ("vname",),
            "j_call": ("jname",),
        },
        {"clones": "reads or UMIs"},
    ),
    Format(
        "10x contigs",
        {
            "cell": ("barcode",),
            "junction": ("cdr3nt",),
            "junction_aa": ("cdr3",),
            "v_call": ("vgene",),
            "j_call": ("jgene",),
            "productive": ("productive",),
        },
        {"umis": "UMIs", "reads": "reads"},
        {"locus": ("chain",), "is_cell": ("iscell",)},
    ),
)


@dataclass(frozen=True)
class BulkRepertoire:
    """Rearrangements of one sample.

    Attributes
    ----------
    rows
        One row per rearrangement in file order: junction (nucleotides of the CDR3 with its conserved ends),
        junction_aa, v_call and j_call (IMGT gene, no allele), locus, each empty where unknown; productive (bool);
        count (whole number).
    format
        Kind of table.
    count_column
        Column that was counted, as the file names it.
    counted
        What it counts: templates, UMIs, reads, ...
    """

    rows: pd.DataFrame
    format: str
    count_column: str
    counted: str


def read_bulk(place: Place) -> BulkRepertoire:
    """Read a bulk repertoire table, told by its columns.

    Parameters
    ----------
    place
        File, gzip-compressed or not, and sample.

    Returns
    -------
    BulkRepertoire
        Every row of the file, productive or not.

    Raises
    ------
    InputError
        When it is no repertoire table, lacks a column, holds several repertoires, or has a count that is missing or no
        whole number; the column, what was found and what is expected are named, and all that is wrong at once.

    Notes
    -----
    Templates and UMIs are preferred over reads. A column of counts without any value, as immunoSEQ leaves for old
    samples, is passed over. MiXCR, VDJtools, immunarch and immunoSEQ without a frame do not tell what is productive:
    there it is a junction in frame without stop. immunoSEQ gives the whole read, out of which the junction is cut. A
    file whose rows are chains of cells counts each cell once per rearrangement, as the molecules of one cell tell how
    active it is, not how many cells the clone has; barcodes that are no cells count 0.
    """
    require_content(place, "text", f"a repertoire table of {_names()}")
    with reading(place, "the repertoire"):
        kind, given, plain, table = _read_table(place)
    if table.empty:
        raise place.error(f"has no row below the header {quoted(given, 10)}")
    named = {**kind.required, **kind.optional}
    # A field without any column of its own is not there at all.
    there = {name: names for name, names in named.items() if name in kind.required or set(names) & set(plain)}
    fields = {name: _first(table, names, plain) for name, names in there.items()}
    wrong = _several(fields.get("repertoire"))
    rows = _rows(fields, kind.whole_reads, wrong)
    if "cell" in fields and (fields["cell"] != "").all():
        column = next(plain[name] for name in named["cell"] if name in plain)
        count, counted = _count_cells(rows, fields), "cells"
    else:
        count, name = _counts(table, kind, plain, given, wrong)
        column, counted = plain.get(name, ""), kind.counts[name]
    if wrong:
        raise place.error("; ".join(wrong))
    return BulkRepertoire(rows.assign(count=count)[ROW_COLUMNS], kind.name, column, counted)


def read_repertoires(design: pd.DataFrame) -> Iterator[tuple[str, BulkRepertoire]]:
    """Read the bulk repertoires of a cohort one by one.

    Parameters
    ----------
    design
        One row per sample: sample, patient, bulk_tcr (path; empty for none).

    Yields
    ------
    tuple
        Sample and its repertoire; the samples of a patient follow one another.
    """
    together = design.iloc[np.argsort(pd.factorize(design["patient"])[0], kind="stable")]
    paths = together["bulk_tcr"].fillna("").astype(str)
    for sample, path in zip(together["sample"].astype(str), paths, strict=True):
        if path:
            yield sample, read_bulk(Place(Path(path), sample))


def _plain(name: str) -> str:
    return name.strip('"').lower().translate(_SIGNS)


def _names() -> str:
    return ", ".join(kind.name for kind in FORMATS)


def _format_of(plain: Mapping[str, str], given: list[str], place: Place) -> Format:
    """Take the format with most of its columns here, and require them all, one of counts or of cells included."""
    kind = max(FORMATS, key=lambda kind: kind.matches(plain))
    if kind.matches(plain)[0] < 0.5:
        raise place.error(f"has the columns {quoted(given, 20)}; expected those of {_names()}")
    lacks = [f"one of {quoted(names, 10)}" for names in kind.required.values() if not set(names) & set(plain)]
    if not {*kind.counts, *kind.optional.get("cell", ()), *kind.required.get("cell", ())} & set(plain):
        lacks.append(_no_counts(kind))
    if lacks:
        raise place.error(f"looks like {kind.name} but lacks {'; '.join(lacks)}; found {quoted(given, 60)}")
    return kind


def _no_counts(kind: Format) -> str:
    names = quoted(list(kind.counts), 10)
    return f"a column of counts, one of {names} (case, blanks, dots and underscores do not matter)"


def _read_table(place: Place) -> tuple[Format, list[str], dict[str, str], pd.DataFrame]:
    """Return the kind of a table, its columns, these by their plain names, and the values of those of use."""
    with open_text(place.path) as lines:
        header = next(lines, "").rstrip("\n")
    separator = "\t" if "\t" in header else ","
    given = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    plain = {_plain(name): name for name in reversed(given)}
    kind = _format_of(plain, given, place)
    wanted = [*kind.required.values(), *kind.optional.values(), tuple(kind.counts)]
    kept = [given.index(plain[name]) for names in wanted for name in names if name in plain]
    return kind, given, plain, _read_columns(place.path, separator, given, sorted(set(kept)))


def _read_columns(path: Path, separator: str, given: list[str], kept: list[int]) -> pd.DataFrame:
    with open_text(path) as lines:
        table = pd.read_csv(
            lines,
            sep=separator,
            header=None,
            names=range(len(given)),
            index_col=False,
            skiprows=1,
            usecols=kept,
            dtype=str,
            keep_default_na=False,
        )
    return table.rename(columns=dict(enumerate(given)))


def _first(table: pd.DataFrame, names: Iterable[str], plain: Mapping[str, str]) -> pd.Series:
    """Return the first of some columns with a value, row by row; empty where none has one."""
    found = pd.Series("", index=table.index, dtype=object)
    for name in names:
        if name in plain:
            column = _clean(table[plain[name]])
            found = found.where(found != "", column)
    return found


def _clean(column: pd.Series) -> pd.Series:
    return _per_text(column.astype(object).where(column.notna(), ""), _stripped)


def _stripped(text: str) -> str:
    bare = text.strip()
    return "" if bare in _BLANK else bare


def _counts(
    table: pd.DataFrame, kind: Format, plain: Mapping[str, str], given: list[str], wrong: list[str]
) -> tuple[np.ndarray, str]:
    """Return the counts of the first column of counts that has any, and its plain name."""
    present = [name for name in kind.counts if name in plain]
    for name in present:
        column = _clean(table[plain[name]])
        if not (column == "").all():
            return _whole_numbers(column, plain[name], wrong), name
    if present:
        columns = quoted([plain[name] for name in present])
        wrong.append(f"has no value in the column{'s' * (len(present) > 1)} {columns} of counts")
    else:
        wrong.append(f"lacks {_no_counts(kind)}, as not all of its rows name a cell; found {quoted(given, 60)}")
    return np.zeros(len(table), dtype=np.int64), next(iter(kind.counts))


def _count_cells(rows: pd.DataFrame, fields: Mapping[str, pd.Series]) -> np.ndarray:
    """Count 1 in the first row of each rearrangement of a cell, and 0 elsewhere."""
    given = fields.get("is_cell", pd.Series("", index=rows.index)).str.lower().map(FLAGS)
    is_cell = given.ne(False).to_numpy()
    keyed = rows[["junction", "v_call", "j_call"]].assign(cell=fields["cell"], is_cell=is_cell)
    return (is_cell & ~keyed.duplicated().to_numpy()).astype(np.int64)


def _whole_numbers(column: pd.Series, name: str, wrong: list[str]) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = ~((numbers >= 0) & (numbers % 1 == 0) & np.isfinite(numbers))
    if bad.any():
        wrong.append(f"{_first_bad(bad, column, name)}, expected a whole number from 0")
    return numbers.where(~bad, 0).to_numpy().astype(np.int64)


def _first_bad(bad: pd.Series, column: pd.Series, name: str) -> str:
    """Name the first of some lines; the header is line 1."""
    first = int(np.argmax(bad.to_numpy()))
    found = f"'{column.iloc[first]}'" if column.iloc[first] else "empty"
    return f"line {first + 2}: {name} is {found} ({int(bad.sum())} such lines)"


def _several(repertoires: pd.Series | None) -> list[str]:
    names = [] if repertoires is None else [name for name in repertoires.unique() if name]
    return [f"holds {len(names)} repertoires ({quoted(names)}); expected one file per sample"] * (len(names) > 1)


def _rows(fields: Mapping[str, pd.Series], whole_reads: bool, wrong: list[str]) -> pd.DataFrame:
    rows = pd.DataFrame({name: fields[name] for name in ("junction", "junction_aa")})
    rows["junction"] = rows["junction"].str.upper()
    if whole_reads:
        unknown = pd.Series("", index=rows.index)
        start, length = (fields.get(name, unknown) for name in ("start", "length"))
        rows["junction"] = _cut_junctions(rows["junction"], start, length, rows["junction_aa"])
    named = {name: _per_text(fields[name], name_gene) for name in ("v_call", "j_call")}
    rows = rows.assign(**named)
    rows["locus"] = _loci([fields["locus"]] if "locus" in fields else [], *named.values())
    rows["productive"] = _productive(fields, rows, wrong)
    return rows


def _per_text(column: pd.Series, function: Callable[[str], str]) -> pd.Series:
    """Apply a function once to each distinct text."""
    codes, texts = pd.factorize(column)
    return pd.Series(np.array([function(text) for text in texts], dtype=object)[codes], index=column.index)


def _loci(given: list[pd.Series], v_call: pd.Series, j_call: pd.Series) -> pd.Series:
    """Take the locus as given, and otherwise from the V and then the J gene."""
    found = pd.Series("", index=v_call.index, dtype=object)
    for column in (*given, v_call, j_call):
        found = found.where(found != "", _per_text(column, _locus))
    return found


def _locus(text: str) -> str:
    found = _LOCUS.match(text.upper())
    return found.group(0) if found else ""


def name_gene(call: str) -> str:
    """Return the first gene of a call as IMGT names it, without allele and score.

    Parameters
    ----------
    call
        Such as ``TRBV12-4*01(1260),TRBV12-3``, ``TRBV12-4, TRBV12-3``, ``TCRBV12-04*01`` or
        ``TCRBV12-03/12-04*01``.

    Returns
    -------
    str
        Such as ``TRBV12-4``; a family where no more is known, and empty for an empty call.
    """
    gene = re.split(r"[,;*(]", call, maxsplit=1)[0].strip().upper()
    found = _ADAPTIVE.fullmatch(gene.split("/")[0])
    if not found:
        return _ORPHON.sub(r"\1/\2", gene)
    chain, segment, family, member, chromosome, orphon = found.groups()
    name = f"TR{chain}{segment}{family}"
    if chromosome:
        return f"{name}/OR{chromosome}-{orphon}"
    lone = chain == "B" and segment == "V" and family in _LONE_TRBV and member == "1"
    return name if member is None or lone else f"{name}-{member}"


def _cut_junctions(reads: pd.Series, starts: pd.Series, lengths: pd.Series, residues: pd.Series) -> pd.Series:
    """Cut the junction out of each read, at its place or, where none is given, where the residues are encoded.

    Old exports count one codon more into the length than new ones do, so that the residues decide where they are given:
    the same clone would else have two junctions.
    """
    at = pd.to_numeric(starts, errors="coerce").to_numpy(dtype=float)
    given = pd.to_numeric(lengths, errors="coerce").to_numpy(dtype=float)
    codons = 3.0 * residues.str.len().to_numpy(dtype=float)
    span = np.where(codons > 0, codons, given)
    known = (at >= 0) & (span > 0)
    begin, end = np.where(known, at, 0).astype(int), np.where(known, at + span, 0).astype(int)
    cut = [
        read[first:last] if last else _find_coding(read, protein)
        for read, first, last, protein in zip(reads, begin, end, residues, strict=True)
    ]
    return pd.Series(cut, index=reads.index, dtype=object)


def _find_coding(read: str, residues: str) -> str:
    """Return the last stretch that encodes the residues; without one the whole read, to tell clones apart."""
    for frame in range(3 if residues else 0):
        codons = (read[at : at + 3] for at in range(frame, len(read) - 2, 3))
        place = "".join(_CODONS.get(codon, "X") for codon in codons).rfind(residues)
        if place >= 0:
            return read[frame + 3 * place : frame + 3 * (place + len(residues))]
    return read


def _productive(fields: Mapping[str, pd.Series], rows: pd.DataFrame, wrong: list[str]) -> np.ndarray:
    if "frame" in fields:
        return fields["frame"].str.lower().eq("in").to_numpy(dtype=bool)
    if "productive" not in fields:
        in_frame = rows["junction"].str.len() % 3 == 0
        return (in_frame & rows["junction_aa"].str.fullmatch(r"[A-Za-z]+")).to_numpy(dtype=bool)
    given = fields["productive"]
    flags = given.str.lower().map(FLAGS)
    bad = flags.isna() & (given != "")
    if bad.any():
        wrong.append(f"{_first_bad(bad, given, 'productive')}, expected true, false, T, F or nothing")
    return flags.eq(True).to_numpy(dtype=bool)
