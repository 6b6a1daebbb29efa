"""Whether every sample is the patient's whose name it bears, and whether some of its cells are a donor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immune_landscape.clone_sharing import FLAGGED, CloneRule, clones_of, compare_samples
from immune_landscape.donor_cells import DonorRule, find_donor_cells
from immune_landscape.sex_genes import (
    FEMALE,
    MALE,
    MIXED,
    OTHER_SEX,
    SUMS,
    UNDETERMINED,
    SexRule,
    absence_text,
    absent_genes,
    call_sex,
    count_sex_genes,
    sum_samples,
)

AGREES, NOT_CHECKED = "agrees", "not checked"
NK = "nk"


def check_identity(
    counts: pd.DataFrame | None,
    labels: pd.DataFrame | None,
    clonotypes: pd.DataFrame | None,
    origins: pd.DataFrame | None,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    female_genes: Sequence[str],
    male_genes: Sequence[str],
    min_cells: int,
    min_molecules: int,
    min_female: float,
    min_male: float,
    male_per_female: float,
    tolerated: float,
    min_reference_cells: int,
    min_shared_clones: int,
    max_foreign_share: float,
    level: float,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Check sex by genes and shared clones of every sample, and estimate the share of donor cells.

    Parameters
    ----------
    counts
        As `gene_counts.read_gene_counts` returns for both lists of genes; None without gene expression.
    labels
        As `define_labels.define_labels` returns, indexed by cell; None without gene expression.
    clonotypes
        As `define_clonotypes.define_clonotypes` returns, indexed by cell; None without receptors.
    origins
        As `cell_origins.read_origins` returns; None without demultiplexing.
    design
        One row per sample: sample, patient, visit, sex, donor_sex, product_origin.
    study
        Facts of the cohort: ``visits`` in order and ``unblinded``. In a blinded cohort nothing is told of the NK
        cells, as only the product of one arm has a donor.
    female_genes, male_genes
        Symbols; the first of each must be among the genes.
    min_cells
        Cells that a sample needs: NK cells and others each for a donor's share.
    min_molecules, min_female, min_male, male_per_female, tolerated
        As in `sex_genes.SexRule`.
    min_reference_cells
        NK cells of the donor's sex that a sample needs to tell how often its genes are seen.
    min_shared_clones, max_foreign_share
        As in `clone_sharing.CloneRule`.
    level
        Confidence level of the intervals over cells.

    Returns
    -------
    samples
        One row per sample with cells or clones: sample, patient, visit; cells_used (``other`` than NK, or ``all`` where
        those are too few), cells, molecules, female, male (molecules), female_cells, male_cells, both_cells,
        female_per_10k, male_per_10k, male_index, sex_by_genes, sex_on_sheet, sex_verdict; nk_cells, nk_foreign and
        other_cells, other_foreign (cells with genes of the sex that the sample is not); clones, clone_verdict;
        verdict (agrees, flagged or cannot be determined), note.
    clones
        As `clone_sharing.compare_samples` returns.
    donor_cells
        As `donor_cells.find_donor_cells` returns.

    Notes
    -----
    Sex is called on cells other than NK, which an infused product leaves the patient's own. Swapped visits of one
    patient have the same sex and the same clones: nothing here can tell them; nor, without receptors, swapped samples
    of two patients of one sex.
    """
    rule = SexRule(min_cells, min_molecules, min_female, min_male, male_per_female, tolerated)
    shared = compare_samples(_clones(clonotypes), CloneRule(min_shared_clones, max_foreign_share))
    cells = _mark_cells(counts, labels, female_genes, male_genes)
    if not study["unblinded"]:
        cells = cells[cells["kind"] != NK]
    absent = {} if counts is None else absent_genes(counts, female_genes, male_genes)
    samples = _list_samples(design, cells, clonotypes)
    samples = samples.join(_sex_of_samples(cells, rule, absent), on="sample")
    samples[["sex_verdict", "sex_note"]] = _judge_sex(samples)
    samples = samples.join(_foreign_cells(cells, samples), on="sample")
    samples = _judge_clones(samples, shared, clonotypes)
    donors = find_donor_cells(
        cells, samples, origins, design, study, DonorRule(min_cells, min_reference_cells, level, absence_text(absent))
    )
    return _with_verdict(samples), shared, donors


def _clones(clonotypes: pd.DataFrame | None) -> pd.DataFrame:
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in ("sample", "patient", "clone")})
    return empty.assign(paired=pd.Series(dtype=bool)) if clonotypes is None else clones_of(clonotypes)


def _mark_cells(
    counts: pd.DataFrame | None, labels: pd.DataFrame | None, female_genes: Sequence[str], male_genes: Sequence[str]
) -> pd.DataFrame:
    """Return sex genes per cell with ``kind``: nk, other, or unassigned, of which nobody knows what it is."""
    if counts is None or labels is None:
        empty = pd.DataFrame(columns=["sample", "molecules", FEMALE, MALE, "kind"], dtype=object)
        return empty.astype({"molecules": int, FEMALE: int, MALE: int}).rename_axis("cell")
    cells = count_sex_genes(counts, female_genes, male_genes)
    known = labels.reindex(cells.index)
    unknown = known["lineage"].isna() | (known["lineage"] == "unassigned")
    kind = pd.Series("other", index=cells.index).mask(unknown, "unassigned")
    return cells.assign(kind=kind.mask(known["branch"] == NK, NK))


def _list_samples(design: pd.DataFrame, cells: pd.DataFrame, clonotypes: pd.DataFrame | None) -> pd.DataFrame:
    held = set(cells["sample"]) | (set() if clonotypes is None else set(clonotypes["sample"].astype(str)))
    table = design[design["sample"].isin(held)][["sample", "patient", "visit"]].reset_index(drop=True)
    sheet = design.set_index("sample")["sex"].fillna("").astype(str)
    return table.assign(sex_on_sheet=table["sample"].map(sheet).where(lambda sex: sex.isin(OTHER_SEX), "unknown"))


def _sex_of_samples(cells: pd.DataFrame, rule: SexRule, absent: Mapping[str, str]) -> pd.DataFrame:
    everything = sum_samples(cells)
    others = sum_samples(cells[cells["kind"] != NK]).reindex(everything.index, fill_value=0)
    enough = others["cells"] >= rule.min_cells
    used = others.where(enough, everything).astype(int)
    used.insert(0, "cells_used", enough.map({True: "other", False: "all"}))
    return used.join(call_sex(used, rule, absent))


def _judge_sex(samples: pd.DataFrame) -> pd.DataFrame:
    called = samples["sex_by_genes"].fillna(UNDETERMINED)
    # A sample without a row of counts has receptors alone.
    why = samples["why"].fillna("no gene expression")
    rows = []
    for at, (row, sex) in enumerate(zip(samples.itertuples(), called, strict=True)):
        own = (samples["patient"] == row.patient) & called.isin(OTHER_SEX) & (samples.index != samples.index[at])
        rows.append(_verdict_on_sex(sex, str(row.sex_on_sheet), list(called[own]), str(why.iloc[at])))
    return pd.DataFrame(rows, index=samples.index, columns=["sex_verdict", "sex_note"])


def _verdict_on_sex(sex: str, sheet: str, others: list[str], why: str) -> tuple[str, str]:
    if sex == MIXED:
        return FLAGGED, "cells of both sexes, more than ambient RNA and doublets explain"
    if sex not in OTHER_SEX:
        return NOT_CHECKED, f"sex by genes cannot be determined: {why}"
    if sheet in OTHER_SEX and sheet != sex:
        return FLAGGED, f"{sex} by genes, {sheet} on the sheet"
    if sheet not in OTHER_SEX and OTHER_SEX[sex] in others:
        return FLAGGED, f"{sex} by genes, {OTHER_SEX[sex]} in another sample of the patient"
    if sheet not in OTHER_SEX and not others:
        return NOT_CHECKED, f"{sex} by genes, with nothing to compare it with"
    return AGREES, ""


def _foreign_cells(cells: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Count NK and other cells that carry genes of the sex that their sample is not."""
    sexes = samples.set_index("sample")["sex_by_genes"]
    foreign = cells["sample"].map(sexes).map(OTHER_SEX)
    carries = (cells[FEMALE] > 0).where(foreign == FEMALE, cells[MALE] > 0)
    table = pd.DataFrame(index=pd.Index(samples["sample"], name="sample"))
    for kind in sorted(set(cells["kind"]) & {NK, "other"}):
        of_kind = cells["kind"] == kind
        table[f"{kind}_cells"] = of_kind.groupby(cells["sample"]).sum().reindex(table.index)
        counted = (of_kind & carries).groupby(cells["sample"]).sum().reindex(table.index)
        table[f"{kind}_foreign"] = counted.where(sexes.isin(OTHER_SEX))
    return table.reindex(columns=["nk_cells", "nk_foreign", "other_cells", "other_foreign"]).astype("Int64")


def _judge_clones(samples: pd.DataFrame, shared: pd.DataFrame, clonotypes: pd.DataFrame | None) -> pd.DataFrame:
    sizes = _clones(clonotypes)["sample"].value_counts()
    count = samples["sample"].map(sizes).fillna(0).astype(int)
    rows = [_verdict_on_clones(str(name), n, shared) for name, n in zip(samples["sample"], count, strict=True)]
    judged = pd.DataFrame(rows, index=samples.index, columns=["clone_verdict", "clone_note"])
    return samples.assign(clones=count).join(judged)


def _verdict_on_clones(sample: str, clones: int, shared: pd.DataFrame) -> tuple[str, str]:
    if not clones:
        return NOT_CHECKED, "no clones"
    pairs = shared[(shared["sample_a"] == sample) | (shared["sample_b"] == sample)]
    wrong = pairs[pairs["verdict"] == FLAGGED]
    if len(wrong):
        ends = zip(wrong["sample_a"], wrong["sample_b"], wrong["shared"], strict=True)
        told = ", ".join(f"{count} with {b if a == sample else a}" for a, b, count in ends)
        return FLAGGED, f"shares clones with another patient: {told}"
    own = pairs[pairs["same_patient"].astype(bool)]
    if not len(own):
        return NOT_CHECKED, "no other sample of the patient with clones"
    if not own["shared"].any():
        return NOT_CHECKED, "shares no clone with the patient's other samples"
    return AGREES, ""


def _with_verdict(samples: pd.DataFrame) -> pd.DataFrame:
    both = samples[["sex_verdict", "clone_verdict"]]
    verdict = pd.Series(UNDETERMINED, index=samples.index, dtype=object)
    verdict = verdict.mask((both == AGREES).any(axis=1), AGREES).mask((both == FLAGGED).any(axis=1), FLAGGED)
    notes = [
        "; ".join(note for note in pair if note)
        for pair in zip(samples["sex_note"], samples["clone_note"], strict=True)
    ]
    first = ["sample", "patient", "visit", "cells_used", *SUMS, "female_per_10k", "male_per_10k", "male_index"]
    then = ["sex_by_genes", "sex_on_sheet", "sex_verdict", "nk_cells", "nk_foreign", "other_cells", "other_foreign"]
    table = samples.assign(
        verdict=verdict, note=notes, sex_by_genes=samples["sex_by_genes"].fillna(UNDETERMINED)
    ).astype(dict.fromkeys(SUMS, "Int64"))
    return table[[*first, *then, "clones", "clone_verdict", "verdict", "note"]]
