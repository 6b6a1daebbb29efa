"""Read receptor chains from text: Cell Ranger contig annotations and AIRR rearrangements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from immune_landscape.input_files import Place, content_of, read_text_table
from immune_landscape.text_files import quoted

VJ_LOCI = ("TRA", "TRG", "IGK", "IGL")
VDJ_LOCI = ("TRB", "TRD", "IGH")
TCR_LOCI = ("TRA", "TRB", "TRG", "TRD")
B_LOCI = ("IGH", "IGK", "IGL")
UNKNOWN_LOCUS = "Multi"
"""Cell Ranger's word for a chain whose genes are of several loci."""

CALLS = ("v_call", "d_call", "j_call", "c_call")
#: Cell Ranger writes None or nothing, R writes NA.
MISSING = ("", "None", "NA", "NaN", "nan", "N/A", "null", "NULL")
FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
#: Columns of Cell Ranger contig annotations -> AIRR fields; the junction is called cdr3 there.
#: https://www.10xgenomics.com/support/software/cell-ranger/latest/analysis/outputs/cr-5p-outputs-annotations-vdj
CONTIG_COLUMNS = {
    "barcode": "cell_id",
    "chain": "locus",
    "v_gene": "v_call",
    "j_gene": "j_call",
    "cdr3": "junction_aa",
    "cdr3_nt": "junction",
    "productive": "productive",
    "umis": "umi_count",
}
CONTIG_OPTIONAL = {
    "d_gene": "d_call",
    "c_gene": "c_call",
    "reads": "consensus_count",
    "contig_id": "sequence_id",
    "is_cell": "is_cell",
    "high_confidence": "high_confidence",
}
AIRR_REQUIRED = ("cell_id", "productive", "v_call", "j_call", "junction", "junction_aa")
AIRR_OPTIONAL = (
    "locus",
    "d_call",
    "c_call",
    "umi_count",
    "duplicate_count",
    "consensus_count",
    "sequence_id",
    "is_cell",
    "high_confidence",
)


def read_chain_table(place: Place) -> pd.DataFrame:
    """Read a contig-annotation or an AIRR rearrangement file, told apart by their columns.

    Parameters
    ----------
    place
        File and sample.

    Returns
    -------
    DataFrame
        See ``typed_chains``; rows in file order.

    Raises
    ------
    InputError
        Naming the missing columns and those found, or the line, column and value that cannot be read.
    """
    separator = "\t" if "\t" in content_of(place.path).line else ","
    table = read_text_table(place, separator, header=0)
    table.columns = table.columns.str.strip()
    if "cell_id" in table.columns:
        _require_columns(table, AIRR_REQUIRED, "an AIRR rearrangement file", place)
        kept = [*AIRR_REQUIRED, *(c for c in AIRR_OPTIONAL if c in table.columns)]
        return typed_chains(_with_told_loci(_without_missing(table[kept])), place, {})
    _require_columns(table, tuple(CONTIG_COLUMNS), "Cell Ranger contig annotations", place)
    names = CONTIG_COLUMNS | {k: v for k, v in CONTIG_OPTIONAL.items() if k in table.columns}
    chains = _without_missing(table[list(names)].rename(columns=names))
    return typed_chains(chains, place, {v: k for k, v in names.items()})


def _with_told_loci(chains: pd.DataFrame) -> pd.DataFrame:
    """Mark the blank loci of a table that tells others: they are unknown, and not to be taken from the genes."""
    if "locus" not in chains or not chains["locus"].notna().any():
        return chains
    return chains.assign(locus=chains["locus"].where(chains["locus"].notna(), UNKNOWN_LOCUS))


def _require_columns(table: pd.DataFrame, wanted: Sequence[str], what: str, place: Place) -> None:
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        also = "" if "cell_id" in table.columns or "barcode" in table.columns else " (or cell_id, for AIRR)"
        raise place.error(
            f"{what} need the column{'s' * (len(missing) > 1)} {quoted(missing, 20)}{also}; "
            f"found {quoted(list(table.columns), 40)}"
        )


def _without_missing(table: pd.DataFrame) -> pd.DataFrame:
    stripped = table.apply(_stripped)
    return stripped.where(~stripped.isin(MISSING), None)


def _stripped(column: pd.Series) -> pd.Series:
    return column.astype(object).map(str).str.strip().astype(object)


def typed_chains(chains: pd.DataFrame, place: Place, given: Mapping[str, str]) -> pd.DataFrame:
    """Give chain fields their types and fill in what can be derived.

    Parameters
    ----------
    chains
        One row per chain; text or already typed values, None when missing.
    place
        File and sample.
    given
        Name in the file of each field, for messages; default the field itself.

    Returns
    -------
    DataFrame
        ``cell_id``, ``locus`` (None when unknown), calls, ``junction``, ``junction_aa``,
        ``productive``, ``is_cell`` and ``high_confidence`` (bool), ``umi_count`` and
        ``consensus_count`` (float, NaN when missing).

    Raises
    ------
    InputError
        With every column that holds an unreadable value: line, value, values allowed.

    Notes
    -----
    A missing ``productive`` is False and a missing ``is_cell`` or ``high_confidence`` True, as in
    scirpy. ``umi_count`` falls back on ``duplicate_count``, its name before AIRR 1.4.
    """
    faults: list[str] = []
    typed = chains.copy()
    for name, default in (("productive", False), ("is_cell", True), ("high_confidence", True)):
        typed[name] = _flags(chains, name, default, given.get(name, name), faults)
    for name in ("umi_count", "duplicate_count", "consensus_count"):
        typed[name] = _numbers(chains, name, given.get(name, name), faults)
    nameless = chains["cell_id"].isna()
    if nameless.any():
        faults.append(_fault(given.get("cell_id", "cell_id"), nameless, chains["cell_id"], "a cell barcode"))
    if faults:
        raise place.error("; ".join(faults))
    typed["umi_count"] = typed["umi_count"].fillna(typed["duplicate_count"])
    typed["locus"] = _loci(chains)
    return typed.drop(columns="duplicate_count")


def _flags(chains: pd.DataFrame, name: str, default: bool, given: str, faults: list[str]) -> np.ndarray:
    if name not in chains:
        return np.full(len(chains), default)
    missing = chains[name].isna()
    values = chains[name].astype(object).map(str).str.lower().map(FLAGS)
    bad = values.isna() & ~missing
    if bad.any():
        faults.append(_fault(given, bad, chains[name], "true, false, T, F or nothing"))
    return values.astype(object).where(values.notna(), default).to_numpy(dtype=bool)


def _numbers(chains: pd.DataFrame, name: str, given: str, faults: list[str]) -> np.ndarray:
    if name not in chains:
        return np.full(len(chains), np.nan)
    values = pd.to_numeric(chains[name].astype(object), errors="coerce").astype(np.float64)
    bad = chains[name].notna() & ~(values >= 0)
    if bad.any():
        faults.append(_fault(given, bad, chains[name], "a number from 0 or nothing"))
    return values.to_numpy()


def _fault(name: str, bad: pd.Series, values: pd.Series, allowed: str) -> str:
    first = int(np.argmax(bad.to_numpy()))
    found = values.iloc[first]
    shown = "empty" if found is None or pd.isna(found) else f"'{found}'"
    # The header is line 1.
    return f"line {first + 2}: {name} is {shown} ({int(bad.sum())} such lines), expected {allowed}"


def _loci(chains: pd.DataFrame) -> pd.Series:
    """Take the locus as given where it is one, and otherwise from the gene names where they agree."""
    inferred = infer_loci(chains)
    if "locus" not in chains:
        return inferred
    given = chains["locus"].astype(object)
    # Cell Ranger writes "Multi" where the genes disagree, so only a blank is filled in.
    return given.where(given.notna(), inferred).where(lambda s: s.isin([*VJ_LOCI, *VDJ_LOCI]), None)


def infer_loci(chains: pd.DataFrame) -> pd.Series:
    """Infer the locus of each chain from its V, D, J and C gene names.

    Parameters
    ----------
    chains
        Columns v_call, d_call, j_call and c_call, any of which may be absent.

    Returns
    -------
    Series of str
        None where no gene is named or the names disagree. TRAV genes that double as delta genes
        ("TRAV29/DV5") do not count, as they occur in both loci.

    References
    ----------
    https://www.imgt.org/IMGTScientificChart/Nomenclature/IMGTnomenclature.html
    """
    calls = {name: chains[name].astype(object) for name in CALLS if name in chains}
    if "v_call" in calls:
        both = calls["v_call"].str.contains(r"TRAV[^,]*/DV", na=False).astype(bool)
        calls["v_call"] = calls["v_call"].where(~both, None)
    found = pd.DataFrame({name: _named_locus(call) for name, call in calls.items()}, index=chains.index)
    first = found.bfill(axis=1).iloc[:, 0].astype(object)
    agrees = (found.isna() | found.eq(first, axis=0)).all(axis=1)
    return first.where(agrees.to_numpy() & first.notna().to_numpy(), None)


def _named_locus(call: pd.Series) -> pd.Series:
    return call.str.upper().str.extract(r"(TR[ABDG]|IG[HKL])")[0].astype(object)


def count_categories(
    chains: pd.DataFrame, *, loci: Sequence[str], high_confidence_only: bool
) -> tuple[dict[str, int], pd.DataFrame]:
    """Count contigs and barcodes by category, and keep those of cells and of the wanted loci.

    Parameters
    ----------
    chains
        As ``typed_chains`` returns them.
    loci
        Loci to keep.
    high_confidence_only
        Whether low-confidence contigs are dropped.

    Returns
    -------
    dict
        ``contigs`` read; dropped one after the other ``not_cell``, ``low_confidence``, ``b_cell``
        (B-cell loci) and ``other_locus``; ``kept``; and of these ``unknown_locus``,
        ``not_productive``, ``no_junction``, ``out_of_frame``. Then barcodes: ``barcodes`` kept, those
        with over two productive chains of one arm (``multichain_barcodes``) and with T- and B-cell
        chains (``b_and_t_barcodes``).
    DataFrame
        The kept chains.
    """
    of_cells = chains[chains["is_cell"]]
    trusted = of_cells[of_cells["high_confidence"]] if high_confidence_only else of_cells
    is_b = trusted["locus"].isin([x for x in B_LOCI if x not in loci])
    is_other = trusted["locus"].notna() & ~trusted["locus"].isin(loci) & ~is_b
    kept = trusted[~is_b & ~is_other].drop(columns=["is_cell", "high_confidence"])
    counted = {
        "contigs": len(chains),
        "not_cell": len(chains) - len(of_cells),
        "low_confidence": len(of_cells) - len(trusted),
        "b_cell": int(is_b.sum()),
        "other_locus": int(is_other.sum()),
        "kept": len(kept),
        **_count_kept(kept),
        "b_and_t_barcodes": len(set(trusted["cell_id"][is_b]) & set(kept["cell_id"])),
    }
    return counted, kept


def _count_kept(kept: pd.DataFrame) -> dict[str, int]:
    usable = kept[kept["productive"] & kept["junction_aa"].notna()]
    arms = usable["locus"].map(dict.fromkeys(VJ_LOCI, "VJ") | dict.fromkeys(VDJ_LOCI, "VDJ"))
    chains_per_arm = usable.groupby(["cell_id", arms]).size()
    many = chains_per_arm[chains_per_arm > 2]
    return {
        "unknown_locus": int(kept["locus"].isna().sum()),
        "not_productive": int((~kept["productive"]).sum()),
        "no_junction": int(kept["junction_aa"].isna().sum()),
        "out_of_frame": int(_out_of_frame(kept).sum()),
        "barcodes": int(kept["cell_id"].nunique()),
        "multichain_barcodes": int(many.index.get_level_values("cell_id").nunique()),
    }


def _out_of_frame(chains: pd.DataFrame) -> pd.Series:
    """Mark junctions whose length is no multiple of 3, or whose protein has a stop or a frame shift."""
    lengths = pd.to_numeric(chains["junction"].astype(object).str.len()).fillna(0)
    broken = chains["junction_aa"].astype(object).str.contains(r"[*_]", na=False).astype(bool)
    return (lengths % 3 != 0) | broken
