"""Measure V and J gene usage, CDR3 lengths and convergence of bulk repertoires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.rarefaction import chance_seen
from immune_landscape.value_tables import VALUE_COLUMNS

KINDS = {"v_gene": "v_call", "j_gene": "j_call", "cdr3_length": "junction_aa"}
"""What is counted -> column of the clonotypes that it is told by."""

USAGE_COLUMNS = [
    *("sample", "patient", "visit", "kind", "item", "clonotypes", "templates"),
    *("share_templates", "clonotypes_at_depth", "share_clonotypes", "depth"),
]
CONVERGENCE_COLUMNS = [
    *("sample", "patient", "visit", "templates", "sequences", "convergent", "share", "depth"),
    *("sequences_at_depth", "convergent_at_depth", "share_at_depth"),
]


def measure_usage(
    clones: Iterable[tuple[str, pd.DataFrame]],
    depths: pd.DataFrame,
    design: pd.DataFrame,
    *,
    min_templates: int,
    compared_kinds: Sequence[str],
    min_share: float,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Count genes, CDR3 lengths and convergent sequences of each sample.

    Parameters
    ----------
    clones
        Sample and its clonotypes: junction, junction_aa, v_call, j_call, count; consumed one by one.
    depths
        Second table of `load_repertoires`: sample, templates.
    design
        One row per sample: sample, patient, visit.
    min_templates
        Productive templates that a sample needs to be measured.
    compared_kinds
        What is compared between patients: v_gene, j_gene, cdr3_length, convergence.
    min_share
        Share of the clonotypes, on average over samples, that a gene needs to be compared; the others are one part.

    Returns
    -------
    usage
        One row per sample, kind (v_gene, j_gene, cdr3_length: amino acids with both conserved ends) and item
        (`USAGE_COLUMNS`): clonotypes and templates; share of the templates; clonotypes, and their share, expected at
        the common depth, that of the smallest sample measured.
    convergence
        One row per sample (`CONVERGENCE_COLUMNS`): amino-acid sequences with their genes, those that more than one
        nucleotide sequence encodes, and their share; the same as expected at the common depth.
    values
        What is compared (`value_tables.VALUE_COLUMNS`), all at the common depth, parent ``all``: genes as centred log
        ratios of their clonotypes with half a clonotype added; ``mean_cdr3_length`` of a clonotype; ``convergence``,
        the share of convergent sequences. Samples that were not measured have no value.

    Raises
    ------
    InputError
        A sample is not in the design.

    Notes
    -----
    Shares of templates do not depend on depth in the mean, but one large clone makes its gene common; those of
    clonotypes depend on depth, and convergence most of all, as a second sequence must be seen too. Convergence is
    expected as if sequences were seen independently of one another.
    """
    if unknown := sorted(set(depths["sample"]) - set(design["sample"])):
        raise InputError(f"repertoires of samples that the design lacks: {', '.join(unknown)}")
    measured = depths[depths["templates"] >= min_templates]
    depth = int(measured["templates"].min()) if len(measured) else 0
    usage, convergence = [], []
    for sample, table in clones:
        if sample in set(measured["sample"]):
            seen = chance_seen(table["count"].to_numpy(), depth)
            usage += [_count(table, kind, seen).assign(sample=sample) for kind in KINDS]
            convergence.append({"sample": sample, **_converge(table, seen)})
    facts = design[["sample", "patient", "visit"]]
    found = pd.concat(usage, ignore_index=True) if usage else pd.DataFrame(columns=["sample"])
    rows = pd.DataFrame(convergence) if convergence else pd.DataFrame(columns=["sample"])
    tables = [table.assign(depth=depth).merge(facts, on="sample", how="left") for table in (found, rows)]
    counted, converged = tables[0].reindex(columns=USAGE_COLUMNS), tables[1].reindex(columns=CONVERGENCE_COLUMNS)
    compared = _compared(counted, converged, compared_kinds, min_share)
    return counted, converged, _long(compared, depths["sample"].tolist())


def _compared(
    usage: pd.DataFrame, convergence: pd.DataFrame, kinds: Sequence[str], min_share: float
) -> dict[str, tuple[str, pd.Series]]:
    """Return what is compared: feature -> its unit and the value of each sample."""
    found: dict[str, tuple[str, pd.Series]] = {}
    for kind in kinds:
        if kind == "convergence":
            found[kind] = "fraction", convergence.set_index("sample")["share_at_depth"]
            continue
        wide = _wide(usage[usage["kind"] == kind]).drop(columns=["unknown", "00"], errors="ignore")
        if kind == "cdr3_length":
            lengths = wide.columns.astype(int).to_numpy()
            found["mean_cdr3_length"] = "amino acids", (wide * lengths).sum(axis=1) / wide.sum(axis=1)
        else:
            found |= {str(gene): ("clr", ratios) for gene, ratios in _log_ratios(wide, min_share).items()}
    return found


def _wide(usage: pd.DataFrame) -> pd.DataFrame:
    table = usage.pivot_table(index="sample", columns="item", values="clonotypes_at_depth", aggfunc="first")
    return table.fillna(0.0).astype(float)


def _log_ratios(wide: pd.DataFrame, min_share: float) -> pd.DataFrame:
    """Return centred log ratios of the genes in use; those that few clonotypes use are one part together."""
    used = wide.div(wide.sum(axis=1), axis=0).mean() >= min_share
    parts = wide.loc[:, used].assign(**({"": wide.loc[:, ~used].sum(axis=1)} if not used.all() else {}))
    logs = pd.DataFrame(np.log(parts + 0.5))
    return logs.sub(logs.mean(axis=1), axis=0).drop(columns="", errors="ignore")


def _long(found: Mapping[str, tuple[str, pd.Series]], samples: list[str]) -> pd.DataFrame:
    rows = [
        pd.DataFrame({"sample": samples, "feature": feature, "value": values.reindex(samples).to_numpy(), "unit": unit})
        for feature, (unit, values) in found.items()
    ]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=VALUE_COLUMNS)
    return table.assign(parent="all", low=np.nan, high=np.nan)[VALUE_COLUMNS]


def _count(table: pd.DataFrame, kind: str, seen: np.ndarray) -> pd.DataFrame:
    column = table[KINDS[kind]]
    item = column.str.len().astype(int).astype(str).str.zfill(2) if kind == "cdr3_length" else column
    grouped = table.assign(item=item.replace("", "unknown"), seen=seen).groupby("item", sort=True)
    counted = grouped.agg(
        clonotypes=("count", "size"), templates=("count", "sum"), clonotypes_at_depth=("seen", "sum")
    ).reset_index()
    shares = {"share_templates": counted["templates"] / counted["templates"].sum()}
    shares["share_clonotypes"] = counted["clonotypes_at_depth"] / counted["clonotypes_at_depth"].sum()
    return counted.assign(kind=kind, **shares)


def _converge(table: pd.DataFrame, seen: np.ndarray) -> dict[str, float]:
    """Count amino-acid sequences with several nucleotide sequences, at full depth and as expected at the common one."""
    keys = ["junction_aa", "v_call", "j_call"]
    with np.errstate(divide="ignore"):
        named = table.assign(missed=np.log1p(-seen))[table["junction_aa"] != ""]
    whole = named.groupby([*keys, "junction"], sort=False)["missed"].sum().reset_index()
    grouped = whole.groupby(keys, sort=False)["missed"]
    number, none = grouped.transform("size"), np.exp(grouped.sum())
    some = whole[number > 1]
    one = some.groupby(keys, sort=False)["missed"].agg(_exactly_one)
    expected = float((1 - none).sum())
    convergent = float((1 - none.reindex(one.index) - one).sum())
    return {
        "templates": int(table["count"].sum()),
        "sequences": len(none),
        "convergent": len(one),
        "share": len(one) / max(1, len(none)),
        "sequences_at_depth": expected,
        "convergent_at_depth": convergent,
        "share_at_depth": convergent / expected if expected else np.nan,
    }


def _exactly_one(missed: pd.Series) -> float:
    """Return the chance of exactly one of several independent events, from the logarithms of their absence."""
    absent = np.exp(missed.to_numpy())
    others = np.array([np.prod(np.delete(absent, at)) for at in range(len(absent))])
    return float((1 - absent) @ others)
