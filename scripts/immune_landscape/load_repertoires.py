"""Turn the files of bulk TRB repertoires into one checked table of productive clonotypes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
import pandas as pd

from immune_landscape.bulk_io import BulkRepertoire
from immune_landscape.clone_store import CLONE_COLUMNS

LOCUS = "TRB"
DEPTH_COLUMNS = [
    *("sample", "format", "count_column", "counted", "rows", "other_locus", "non_productive", "no_junction"),
    *("productive", "kept", "clonotypes", "templates", "non_productive_templates"),
]


def load_repertoires(
    repertoires: Iterable[tuple[str, BulkRepertoire]], *, sequence: str, same_v_gene: bool, same_j_gene: bool
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Collapse the rearrangements of each sample to clonotypes, one sample at a time.

    Parameters
    ----------
    repertoires
        Sample and its rearrangements; consumed one by one.
    sequence
        CDR3 that must be identical: nucleotides (``nt``) or amino acids (``aa``).
    same_v_gene, same_j_gene
        Demand the same gene, alleles ignored.

    Yields
    ------
    clonotypes
        `clone_store.CLONE_COLUMNS`, largest first: the id of the clonotype, the same in every sample and cohort under
        one definition; junction, junction_aa, v_call and j_call of its largest rearrangement; its count; and
        ``sequences``, the different nucleotide junctions in it.
    facts
        One row (`DEPTH_COLUMNS`): format, column counted and what it counts; rows of the file, rows of other loci, TRB
        rows that are not productive, that are productive without a junction, and that are productive; rows kept
        (productive, with a junction and a count); clonotypes, templates, and templates of rows not productive.

    Notes
    -----
    Only productive TRB rearrangements are kept; a row that names no locus counts as TRB.
    """
    key = _key_columns(sequence, same_v_gene, same_j_gene)
    for sample, repertoire in repertoires:
        rows = repertoire.rows
        of_locus = rows["locus"].isin([LOCUS, ""])
        productive = of_locus & rows["productive"]
        named = rows[key[0]] != ""
        kept = rows[productive & named & (rows["count"] > 0)]
        clonotypes = _collapse(kept, key).assign(sample=sample)[CLONE_COLUMNS]
        other = rows.loc[of_locus & ~productive, "count"]
        facts = {
            "sample": sample,
            "format": repertoire.format,
            "count_column": repertoire.count_column,
            "counted": repertoire.counted,
            "rows": len(rows),
            "other_locus": int((~of_locus).sum()),
            "non_productive": len(other),
            "no_junction": int((productive & ~named).sum()),
            "productive": int(productive.sum()),
            "kept": len(kept),
            "clonotypes": len(clonotypes),
            "templates": int(clonotypes["count"].sum()),
            "non_productive_templates": int(other.sum()),
        }
        yield clonotypes, pd.DataFrame([facts], columns=DEPTH_COLUMNS)


def why_unusable(repertoire: BulkRepertoire, sequence: str) -> str:
    """Tell why no clonotype can come of a repertoire, which then is of another locus or lacks the CDR3.

    Parameters
    ----------
    repertoire
        Rearrangements of a sample.
    sequence
        CDR3 that defines a clonotype: nucleotides (``nt``) or amino acids (``aa``).

    Returns
    -------
    str
        Empty for a repertoire that can be used, be it without productive rearrangements.
    """
    rows = repertoire.rows
    of_locus = rows["locus"].isin([LOCUS, ""])
    if not of_locus.any():
        found = ", ".join(f"{name} {number}" for name, number in rows["locus"].value_counts().items())
        return f"holds no {LOCUS} rearrangement, but {found}"
    productive = rows[of_locus & rows["productive"]]
    if len(productive) and (productive[_key_columns(sequence, False, False)[0]] == "").all():
        kind = "nucleotides" if sequence == "nt" else "amino acids"
        return f"has no CDR3 in {kind}, which load_repertoires.sequence '{sequence}' needs"
    return ""


def name_clonotypes(table: pd.DataFrame, key: list[str]) -> np.ndarray:
    """Give each clonotype an id that depends on nothing but what defines it.

    Parameters
    ----------
    table
        One row per clonotype, with the columns of the key.
    key
        Columns that define a clonotype; their names are part of the id.

    Returns
    -------
    numpy.ndarray
        (clonotypes,) of 16 hexadecimal digits, 64 bits of a BLAKE2b hash: two of ten million clonotypes share an id
        with a chance of 3 in a million.
    """
    head = "|".join(key)
    rows = zip(*(table[name] for name in key), strict=True)
    lines = ("|".join(row) for row in rows)
    return np.array([blake2b(f"{head}|{line}".encode(), digest_size=8).hexdigest() for line in lines], dtype=object)


def _key_columns(sequence: str, same_v_gene: bool, same_j_gene: bool) -> list[str]:
    genes = {"v_call": same_v_gene, "j_call": same_j_gene}
    return ["junction" if sequence == "nt" else "junction_aa", *(name for name, same in genes.items() if same)]


def _collapse(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Sum rearrangements by clonotype; the order of the file makes no difference."""
    parts = ["junction", "junction_aa", "v_call", "j_call"]
    summed = rows.groupby(parts, sort=False)["count"].sum().reset_index()
    summed = summed.sort_values(["count", *parts], ascending=[False, *[True] * len(parts)], ignore_index=True)
    groups = summed.groupby(key, sort=False)
    found = groups[[*(name for name in parts if name not in key)]].first().reset_index()
    found["count"] = groups["count"].sum().to_numpy(dtype=np.int64)
    found["sequences"] = groups["junction"].nunique().to_numpy() if key[0] != "junction" else 1
    found = found.assign(clonotype=name_clonotypes(found, key))
    return found.sort_values(["count", "clonotype"], ascending=[False, True], ignore_index=True)
