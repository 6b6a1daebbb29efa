"""Sex of a sample by the genes that only one sex transcribes: XIST, and the genes of the Y chromosome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

FEMALE, MALE, MIXED = "female", "male", "mixed"
UNDETERMINED = "cannot be determined"
OTHER_SEX = {FEMALE: MALE, MALE: FEMALE}
SUMS = ("cells", "molecules", FEMALE, MALE, "female_cells", "male_cells", "both_cells")


@dataclass(frozen=True)
class SexRule:
    """When a sample is called female, male or mixed.

    Attributes
    ----------
    min_cells
        Cells below which nothing is called.
    min_molecules
        Molecules that the genes of the sex that is called must have.
    min_female, min_male
        Molecules per 10,000 that they must have.
    male_per_female
        Molecules of the Y genes in a man for each molecule of XIST in a woman.
    tolerated
        Share of the other sex that is put down to ambient RNA and doublets.
    """

    min_cells: int
    min_molecules: int
    min_female: float
    min_male: float
    male_per_female: float
    tolerated: float


def count_sex_genes(counts: pd.DataFrame, female_genes: Sequence[str], male_genes: Sequence[str]) -> pd.DataFrame:
    """Add up the genes of each sex in every cell.

    Parameters
    ----------
    counts
        As `gene_counts.read_gene_counts` returns.
    female_genes, male_genes
        Symbols; those that `counts` lacks count nothing.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; sample, molecules, female, male.
    """
    sums = counts[["sample", "molecules"]].copy()
    for sex, genes in ((FEMALE, female_genes), (MALE, male_genes)):
        sums[sex] = counts[[gene for gene in genes if gene in counts]].sum(axis=1).astype(int)
    return sums


def absent_genes(counts: pd.DataFrame, female_genes: Sequence[str], male_genes: Sequence[str]) -> dict[str, str]:
    """Tell which sex cannot be read from these counts.

    Parameters
    ----------
    counts
        As `gene_counts.read_gene_counts` returns.
    female_genes, male_genes
        Symbols; of each list the first is the one that is seen best.

    Returns
    -------
    dict
        Sex -> first gene of its list, where that is not among the genes.
    """
    return {sex: genes[0] for sex, genes in ((FEMALE, female_genes), (MALE, male_genes)) if genes[0] not in counts}


def absence_text(absent: Mapping[str, str]) -> str:
    """Say which genes are missing.

    Parameters
    ----------
    absent
        As `absent_genes` returns.

    Returns
    -------
    str
        Empty when none is.
    """
    return f"{' and '.join(absent.values())} not among the genes of the counts" if absent else ""


def sum_samples(cells: pd.DataFrame) -> pd.DataFrame:
    """Add up the cells of every sample.

    Parameters
    ----------
    cells
        As `count_sex_genes` returns, or some of its rows.

    Returns
    -------
    pandas.DataFrame
        Index ``sample``; cells, molecules, female and male (molecules), female_cells, male_cells and both_cells
        (cells with a molecule of one sex's genes, or of both).
    """
    female, male = cells[FEMALE] > 0, cells[MALE] > 0
    marked = cells.assign(cells=1, female_cells=female, male_cells=male, both_cells=female & male)
    return marked.groupby("sample", sort=False)[list(SUMS)].sum().astype(int)


def call_sex(sums: pd.DataFrame, rule: SexRule, absent: Mapping[str, str]) -> pd.DataFrame:
    """Call the sex of every sample.

    Parameters
    ----------
    sums
        As `sum_samples` returns.
    rule
        Thresholds.
    absent
        As `absent_genes` returns; where one is, nothing is called.

    Returns
    -------
    pandas.DataFrame
        Index as given; female_per_10k, male_per_10k (missing when their first gene is), male_index (0 to 1),
        sex_by_genes (female, male, mixed or cannot be determined), why (empty when called).

    Notes
    -----
    The index is ``m / (m + male_per_female * f)`` with m and f the molecules of Y genes and of XIST per 10,000: about
    the share of male cells, as both levels are then on one scale. Up to `tolerated` the sample is female, from
    ``1 - tolerated`` male, between them mixed. Only genes that are seen call a sex: that the others are missing may be
    the file's doing.
    """
    rates = 1e4 * sums[[FEMALE, MALE]].div(sums["molecules"].where(sums["molecules"] > 0), axis=0)
    rates[list(absent)] = float("nan")
    female, male = rates[FEMALE].fillna(0.0), rates[MALE].fillna(0.0)
    both = male + rule.male_per_female * female
    index = male / both.where((both > 0) & (not absent))
    table = pd.DataFrame({"female_per_10k": rates[FEMALE], "male_per_10k": rates[MALE], "male_index": index})
    has_female = (female >= rule.min_female) & (sums[FEMALE] >= rule.min_molecules)
    has_male = (male >= rule.min_male) & (sums[MALE] >= rule.min_molecules)
    table["sex_by_genes"] = np.select(
        [
            (sums["cells"] < rule.min_cells) | bool(absent),
            (index <= rule.tolerated) & has_female,
            (index >= 1 - rule.tolerated) & has_male,
            (index > rule.tolerated) & (index < 1 - rule.tolerated) & (has_female | has_male),
        ],
        [UNDETERMINED, FEMALE, MALE, MIXED],
        UNDETERMINED,
    )
    table["why"] = _reasons(sums, table["sex_by_genes"], rule, absence_text(absent))
    return table


def _reasons(sums: pd.DataFrame, called: pd.Series, rule: SexRule, absent: str) -> list[str]:
    few = f"fewer than {rule.min_cells} cells"
    faint = "too little of XIST and of the Y genes"
    reasons = [absent or (few if count < rule.min_cells else faint) for count in sums["cells"]]
    return [why if sex == UNDETERMINED else "" for why, sex in zip(reasons, called, strict=True)]
