"""Snapshots of databases of T-cell receptors with known antigens: VDJdb, McPAS-TCR, IEDB and the table of CoNGA."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from immune_landscape.bulk_io import name_gene
from immune_landscape.chain_tables import MISSING
from immune_landscape.data_files import resolve_path
from immune_landscape.errors import InputError
from immune_landscape.store import sha256_of
from immune_landscape.text_files import quoted

SPECIES_TABLE = Path(__file__).resolve().parents[2] / "workflow" / "resources" / "antigen_species.tsv"
ENTRY_COLUMNS = [
    *("snapshot", "locus", "junction_aa", "v_call", "j_call"),
    *("epitope", "antigen", "species", "mhc", "score"),
]
"""One row per chain and antigen of a snapshot."""

FACT_COLUMNS = [
    *("snapshot", "database", "sha256", "records", "not_human", "other_kind", "chains"),
    *("no_cdr3_form", "no_antigen", "low_score", "repeated", "entries", "sequences"),
]
_CDR3 = re.compile(r"C[ACDEFGHIKLMNPQRSTVWY]{3,}[FW]")
_PADDED = re.compile(r"TR[AB][VJ]0*\d+-0\d")
_ANCHORS = {"TRAJ33": "W", "TRAJ38": "W", "TRAJ55": "W"}
"""J genes whose junction ends in tryptophan; those of all others end in phenylalanine (IMGT)."""

_RAW = ["human", "kind", "locus", "junction_aa", "v_call", "j_call", "epitope", "antigen", "species", "mhc", "score"]


@dataclass(frozen=True)
class Snapshot:
    """A file as the cohort declares it.

    Attributes
    ----------
    name
        Id in tables.
    kind
        ``vdjdb``, ``mcpas``, ``iedb`` or ``conga``.
    path
        File.
    sha256
        Checksum that the file must have.
    """

    name: str
    kind: str
    path: Path
    sha256: str


def snapshot_problems(
    specs: Sequence[Mapping[str, Any]], root: str | Path, *, outside: bool = False
) -> list[tuple[str, str]]:
    """Tell which snapshots cannot be used, before any heavy job.

    Parameters
    ----------
    specs
        ``antigens`` of cohort.yaml: name, kind, file, sha256 of each.
    root
        Folder that the files are relative to.
    outside
        Whether they may lie outside it.

    Returns
    -------
    list of tuple
        Key of cohort.yaml, such as ``antigens[0].file``, and message.
    """
    found: list[tuple[str, str]] = []
    names = [spec["name"] for spec in specs]
    for place, spec in enumerate(specs):
        key = f"antigens[{place}]"
        if spec["name"] in names[:place]:
            found.append((f"{key}.name", f"'{spec['name']}' is already used; each snapshot needs its own name"))
        path, fault = resolve_path(str(spec["file"]), Path(root), outside=outside, must_exist=True)
        if fault:
            found.append((f"{key}.file", fault[1]))
            continue
        try:
            read_snapshot(snapshot_of(spec, path), min_score=0)
        except InputError as error:
            found.append((f"{key}.file", str(error).removeprefix(f"{path}: ")))
    return found


def snapshot_of(spec: Mapping[str, Any], path: str | Path) -> Snapshot:
    """Read what cohort.yaml says of a snapshot.

    Parameters
    ----------
    spec
        Item of ``antigens``.
    path
        The file, resolved.

    Returns
    -------
    Snapshot
        As declared; the file is not touched.
    """
    return Snapshot(str(spec["name"]), str(spec["kind"]), Path(path), str(spec["sha256"]))


def read_snapshots(snapshots: Iterable[Snapshot], *, min_score: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read snapshots into one table.

    Parameters
    ----------
    snapshots
        Files as declared, one or more.
    min_score
        As for `read_snapshot`.

    Returns
    -------
    entries
        `ENTRY_COLUMNS`, in the order of the snapshots.
    facts
        One row per snapshot (`FACT_COLUMNS`).
    """
    read = [read_snapshot(snapshot, min_score=min_score) for snapshot in snapshots]
    entries = pd.concat([table for table, _ in read], ignore_index=True)
    return entries, pd.DataFrame([facts for _, facts in read], columns=FACT_COLUMNS)


def read_snapshot(snapshot: Snapshot, *, min_score: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a snapshot, and count what is left out and why.

    Parameters
    ----------
    snapshot
        File as declared.
    min_score
        Confidence score of VDJdb (0 to 3) below which an entry is left out; entries without a score stay.

    Returns
    -------
    entries
        Alpha and beta chains of human receptors (`ENTRY_COLUMNS`): genes without allele, several separated by commas
        and empty where unknown; junction with its conserved ends; species as `name_species` writes it; score missing
        where the database has none. A chain listed for several epitopes has a row for each.
    facts
        `FACT_COLUMNS`: records of the file; those not human and those of other receptors (gamma-delta, B cells); then
        chains, and of these without a junction from C to F or W, with neither epitope nor antigen, of a low score,
        and repeated; entries, and different CDR3 among them.

    Raises
    ------
    InputError
        The checksum differs, the file is no such export, or no entry is left.
    """
    found = sha256_of(snapshot.path)
    if found != snapshot.sha256:
        raise InputError(f"{snapshot.path}: sha256 is {found}, expected {snapshot.sha256}")
    table = _read_text(snapshot.path, header_rows=2 if snapshot.kind == "iedb" else 1)
    try:
        raw = _READERS[snapshot.kind](table)
    except KeyError as error:
        message = f"lacks the column {error} of {_WORDS[snapshot.kind]}; found {quoted(list(table.columns), 12)}"
        raise InputError(f"{snapshot.path}: {message}") from None
    entries, facts = _kept(raw.assign(snapshot=snapshot.name), min_score)
    if entries.empty:
        raise InputError(f"{snapshot.path}: holds no human receptor with an antigen")
    head = {"snapshot": snapshot.name, "database": snapshot.kind, "sha256": found, "records": len(table)}
    return entries, head | facts


def name_species(words: str) -> str:
    """Return the id of the organism that an antigen comes from.

    Parameters
    ----------
    words
        As a database writes it, such as ``Cytomegalovirus (CMV)``.

    Returns
    -------
    str
        Id of antigen_species.tsv where it is listed there; the words themselves, made an id, where not.
    """
    known = _species_words()
    outer, _, inner = words.partition("(")
    for text in (words, outer, inner):
        if (plain := _plain(text)) in known:
            return known[plain]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", words).strip("_.-")[:64]


def species_names() -> dict[str, str]:
    """Return id -> display name of the organisms of antigen_species.tsv."""
    table = pd.read_csv(SPECIES_TABLE, sep="\t", dtype=str, keep_default_na=False)
    return dict(zip(table["species"], table["name"], strict=True))


@cache
def _species_words() -> dict[str, str]:
    table = pd.read_csv(SPECIES_TABLE, sep="\t", dtype=str, keep_default_na=False)
    rows = table[["species", "words"]].itertuples(index=False)
    return {_plain(word): str(species) for species, words in rows for word in str(words).split("|")}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _read_text(path: Path, *, header_rows: int) -> pd.DataFrame:
    """Read a table as text; the rows of a header are joined by a blank, and the columns folded to lower case."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # McPAS-TCR comes in Latin-1, which any bytes can be read as.
        text = data.decode("latin-1")
    separator = "\t" if "\t" in text.split("\n", 1)[0] else ","
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    header = [next(rows, []) for _ in range(header_rows)]
    names = [" ".join(part.strip() for part in parts).lower() for parts in zip(*header, strict=False)]
    if header_rows == 1:
        names = [name.replace(" ", ".") for name in names]
    records = []
    for row in rows:
        if len(row) not in (0, len(names)):
            raise InputError(f"{path}: line {rows.line_num} has {len(row)} fields, the header {len(names)}")
        records += [row] if row else []
    table = pd.DataFrame(records, columns=names, dtype=object)
    return table.loc[:, ~table.columns.duplicated()].apply(_cleaned)


def _cleaned(column: pd.Series) -> pd.Series:
    stripped = column.astype(object).str.strip()
    return stripped.where(~stripped.isin(MISSING), "")


def _column(table: pd.DataFrame, *names: str) -> pd.Series:
    """Return the first of some columns with a value, row by row; empty where the table has none of them."""
    found = pd.Series("", index=table.index, dtype=object)
    for name in names:
        if name in table:
            found = found.where(found != "", table[name])
    return found


def _chains(table: pd.DataFrame, common: Mapping[str, Any], **chains: tuple[str, str, str]) -> pd.DataFrame:
    """Stack the chains of paired records; a chain that is not given has no row."""
    parts = []
    for locus, (cdr3, v_gene, j_gene) in chains.items():
        own = {"locus": locus, "junction_aa": table[cdr3], "v_call": table[v_gene], "j_call": table[j_gene]}
        parts.append(pd.DataFrame({**common, **own}, index=table.index)[lambda rows: rows["junction_aa"] != ""])
    return pd.concat(parts)[_RAW].sort_index(kind="stable")


def _read_vdjdb(table: pd.DataFrame) -> pd.DataFrame:
    """Read the release with paired chains, the one with a row per chain, or the export of the web site."""
    common = {
        "human": table["species"].isin(["HomoSapiens", "Homo sapiens"]),
        "kind": True,
        "epitope": _column(table, "antigen.epitope", "epitope"),
        "antigen": _column(table, "antigen.gene", "epitope.gene"),
        "species": _column(table, "antigen.species", "epitope.species"),
        "mhc": _column(table, "mhc.a"),
        "score": _column(table, "vdjdb.score", "score"),
    }
    if "cdr3.alpha" in table:
        return _chains(table, common, TRA=("cdr3.alpha", "v.alpha", "j.alpha"), TRB=("cdr3.beta", "v.beta", "j.beta"))
    v_gene, j_gene = ("v.segm", "j.segm") if "v.segm" in table else ("v", "j")
    own = {"locus": table["gene"], "junction_aa": table["cdr3"], "v_call": table[v_gene], "j_call": table[j_gene]}
    rows = pd.DataFrame({**common, **own}, index=table.index)
    return rows.assign(kind=rows["locus"].isin(["TRA", "TRB"]))[_RAW]


def _read_mcpas(table: pd.DataFrame) -> pd.DataFrame:
    pathology = table["pathology"].map(name_species)
    listed = pathology.isin(species_names())
    # Diseases are no organisms: tumours and autoimmunity are told by their category.
    self_antigen = ~listed & table["category"].isin(["Cancer", "Autoimmune"])
    common = {
        "human": table["species"] == "Human",
        "kind": True,
        "epitope": table["epitope.peptide"],
        "antigen": table["antigen.protein"],
        "species": pathology.mask(self_antigen, "HomoSapiens"),
        "mhc": table["mhc"],
        "score": "",
    }
    return _chains(table, common, TRA=("cdr3.alpha.aa", "trav", "traj"), TRB=("cdr3.beta.aa", "trbv", "trbj"))


def _read_conga(table: pd.DataFrame) -> pd.DataFrame:
    species = table["epitope_species"]
    # Of receptors taken from structures and from dextramer data the table tells no organism.
    common = {
        "human": True,
        "kind": True,
        "epitope": table["epitope"],
        "antigen": table["epitope_gene"],
        "species": _by_epitope(species.mask(species == "PDB", ""), table["epitope"]),
        "mhc": table["mhc"],
        "score": "",
    }
    return _chains(table, common, TRA=("cdr3a", "va", "ja"), TRB=("cdr3b", "vb", "jb"))


def _by_epitope(species: pd.Series, epitope: pd.Series) -> pd.Series:
    """Fill in the species that other records of the same epitope tell."""
    told = species[(species != "") & (epitope != "")]
    counted = pd.DataFrame({"epitope": epitope, "species": told}).value_counts().reset_index()
    ordered = counted.sort_values(["epitope", "count", "species"], ascending=[True, False, True])
    common = ordered.drop_duplicates("epitope").set_index("epitope")["species"]
    return species.where(species != "", epitope.map(common).fillna(""))


def _read_iedb(table: pd.DataFrame) -> pd.DataFrame:
    """Read the receptor export, whose header has a row of groups above the names of the fields."""
    loci = {"alpha": "TRA", "beta": "TRB"}
    parts = []
    for chain in ("chain 1", "chain 2"):
        kind = table[f"{chain} type"]
        rows = {
            "human": table[f"{chain} organism iri"].str.endswith("NCBITaxon_9606"),
            "kind": kind.isin(loci),
            "locus": kind.map(loci).fillna(""),
            "junction_aa": _column(table, f"{chain} cdr3 curated", f"{chain} cdr3 calculated").str.upper(),
            "v_call": _column(table, f"{chain} curated v gene", f"{chain} calculated v gene"),
            "j_call": _column(table, f"{chain} curated j gene", f"{chain} calculated j gene"),
            "epitope": table["epitope name"],
            "antigen": table["epitope source molecule"],
            "species": table["epitope source organism"],
            "mhc": table["assay mhc allele names"],
            "score": "",
        }
        parts.append(pd.DataFrame(rows, index=table.index)[lambda found: found["junction_aa"] != ""])
    chains = pd.concat(parts).sort_index(kind="stable")
    return chains.assign(junction_aa=_with_anchors(chains))[_RAW]


def _with_anchors(chains: pd.DataFrame) -> pd.Series:
    """Add the conserved ends, which IMGT leaves out of the CDR3 and most others count in."""
    ends = [_ANCHORS.get(_genes(call).split(",")[0], "F") for call in chains["j_call"]]
    whole = chains["junction_aa"].map(lambda text: bool(_CDR3.fullmatch(text))).astype(bool)
    added = "C" + chains["junction_aa"].astype(object) + pd.Series(ends, index=chains.index, dtype=object)
    return chains["junction_aa"].where(whole, added)


_READERS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "vdjdb": _read_vdjdb,
    "mcpas": _read_mcpas,
    "iedb": _read_iedb,
    "conga": _read_conga,
}
_WORDS = {
    "vdjdb": "a VDJdb table",
    "mcpas": "the McPAS-TCR table",
    "iedb": "the IEDB receptor export (tcr_full_v3.csv)",
    "conga": "the paired table of CoNGA",
}
KINDS = tuple(_READERS)


def _kept(raw: pd.DataFrame, min_score: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out what cannot be looked up, one reason after the other."""
    human = raw["human"].astype(bool)
    not_human, other_kind = raw[~human], raw[human & ~raw["kind"].astype(bool)]
    chains = raw[human & raw["kind"].astype(bool)].copy()
    chains["species"] = chains["species"].map({text: name_species(text) for text in chains["species"].unique()})
    for name in ("v_call", "j_call"):
        chains[name] = chains[name].map({text: _genes(text) for text in chains[name].unique()})
    chains["score"] = pd.to_numeric(chains["score"].where(chains["score"] != "", "nan"), errors="coerce").astype(float)
    form = chains["junction_aa"].map(lambda text: bool(_CDR3.fullmatch(text))).astype(bool)
    # A receptor found in patients with a disease is not known to bind anything.
    known = (chains[["epitope", "antigen"]] != "").any(axis=1)
    low = chains["score"] < min_score
    good = chains[form & known & ~low]
    entries = good.drop_duplicates(ENTRY_COLUMNS)[ENTRY_COLUMNS].reset_index(drop=True)
    facts = {
        "not_human": not_human.index.nunique(),
        "other_kind": other_kind.index.nunique(),
        "chains": len(chains),
        "no_cdr3_form": int((~form).sum()),
        "no_antigen": int((form & ~known).sum()),
        "low_score": int((form & known & low).sum()),
        "repeated": len(good) - len(entries),
        "entries": len(entries),
        "sequences": entries["junction_aa"].nunique(),
    }
    return entries, facts


def _genes(call: str) -> str:
    """Return the genes of a call as IMGT names them, without alleles, separated by commas."""
    parts = [part.strip() for part in re.split(r"[,;]| or ", call)]
    named = (re.split(r"[*:(\s]", part, maxsplit=1)[0].upper() for part in parts)
    genes = (name_gene(f"TC{gene[1:]}") if _PADDED.fullmatch(gene) else gene for gene in named)
    return ",".join(sorted({gene for gene in genes if gene.startswith("TR")}))
