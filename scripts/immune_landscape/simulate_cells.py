"""Droplets of the simulated samples: which cell types each holds, how much RNA, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from immune_landscape.simulate_profiles import Biology, Treatment, list_samples, stream

BASES = np.array(list("ACGT"))
BARCODE_LENGTH = 16
HETEROTYPIC = 0.85  # share of doublets whose partner is redrawn from another lineage
LIBRARY_SD = 0.32
SAMPLE_SIZE_SD = 0.08


@dataclass(frozen=True)
class Droplets:
    """Barcodes and what they hold.

    Attributes
    ----------
    droplets
        One row per barcode: sample, barcode, doublet, damaged, empty.
    contents
        One row per cell; a doublet has two: droplet (row number), sample, patient, visit, type, sex, origin
        (``recipient`` or ``donor``), size (expected UMIs).
    """

    droplets: pd.DataFrame
    contents: pd.DataFrame


def draw_proportions(
    design: pd.DataFrame,
    biology: Biology,
    seed: int,
    *,
    treatment: Treatment,
    abundances: dict[str, dict[str, float]],
    effects: dict[str, float],
    arm_effects: dict[str, float],
    visit_effects: dict[str, float],
    patient_sd: float,
    change_sd: float,
) -> pd.DataFrame:
    """Draw each sample's expected cell-type proportions on the log scale, effects included.

    Parameters
    ----------
    design
        One row per sample: sample, patient, visit, tissue, arm, response.
    biology
        Cell types and their abundance.
    seed
        Seed of the simulation.
    treatment
        When, and in whom, effects act.
    abundances
        Tissue to the relative abundance of cell types there; types not named keep that of `biology`.
    effects
        Log fold of a cell type in responders under the treatment studied, on top of the others.
    arm_effects
        Log fold of a cell type in everybody under the treatment studied.
    visit_effects
        Log fold of a cell type in everybody at treated visits.
    patient_sd
        SD between patients of each type's log abundance.
    change_sd
        SD of a sample around its patient, same scale.

    Returns
    -------
    pandas.DataFrame
        Proportions, samples x types; rows sum to 1.
    """
    types = list(biology.types.index)
    base = _log_abundances(design, biology, abundances)
    planted, given, later = (
        np.array([folds.get(name, 0.0) for name in types]) for folds in (effects, arm_effects, visit_effects)
    )
    rows = []
    for row in list_samples(design):
        patient = stream(seed, "patient", row.patient).normal(0, patient_sd, len(types))
        change = stream(seed, "change", row.sample).normal(0, change_sd, len(types))
        effect = later * treatment.is_later(row) + given * treatment.is_given(row) + planted * treatment.works(row)
        rows.append(base[row.tissue] + patient + change + effect)
    share = np.exp(rows)
    return pd.DataFrame(share / share.sum(axis=1, keepdims=True), index=list(design["sample"]), columns=types)


def _log_abundances(
    design: pd.DataFrame, biology: Biology, abundances: dict[str, dict[str, float]]
) -> dict[str, np.ndarray]:
    """Return the log abundance of each type, by tissue; minus infinity for one that a tissue lacks."""
    found = {}
    for tissue in design["tissue"].astype(str).unique():
        named = pd.Series(abundances.get(tissue, {}), dtype=float)
        table = named.reindex(biology.types.index).fillna(biology.types["abundance"])
        with np.errstate(divide="ignore"):
            found[tissue] = np.log(table.to_numpy(dtype=float))
    return found


def draw_droplets(
    design: pd.DataFrame,
    proportions: pd.DataFrame,
    biology: Biology,
    seed: int,
    *,
    treatment: Treatment,
    cells_per_sample: int,
    median_umis: float,
    doublet_rate: float,
    damaged_fraction: float,
    empty_fraction: float,
    donor_nk_fraction: float,
) -> Droplets:
    """Fill the droplets of every sample.

    Parameters
    ----------
    design
        One row per sample: sample, patient, visit, arm, sex, donor_sex, product_origin.
    proportions
        Samples x types, from :func:`draw_proportions`.
    biology
        Cell types and their library size.
    seed
        Seed of the simulation.
    treatment
        When the product was infused, and in whom.
    cells_per_sample
        Expected number of barcodes that hold cells.
    median_umis
        Median UMIs of an intact cell of size 1.
    doublet_rate, damaged_fraction, empty_fraction
        Share of barcodes with two cells, with a dying cell, with ambient RNA only.
    donor_nk_fraction
        Share of NK cells at treated visits that come from the donor of an allogeneic or cord-blood product.
    """
    frames = []
    for row in list_samples(design):
        rng = stream(seed, "droplets", row.sample)
        number = max(1, round(cells_per_sample * float(np.exp(rng.normal(0, SAMPLE_SIZE_SD)))))
        droplets = _draw_flags(rng, number, doublet_rate, damaged_fraction, empty_fraction)
        contents = _draw_contents(rng, droplets, proportions.loc[row.sample].to_numpy(), biology)
        contents["size"] *= median_umis * np.exp(rng.normal(0, LIBRARY_SD, len(contents)))
        infused = treatment.is_given(row) and row.product_origin in ("allogeneic", "cord_blood")
        is_nk = contents["type"].map(biology.types["parent"]).to_numpy() == "nk"
        donor = is_nk & (rng.random(len(contents)) < donor_nk_fraction * infused)
        contents["origin"] = np.where(donor, "donor", "recipient")
        contents["sex"] = np.where(donor, row.donor_sex, row.sex)
        contents = contents.assign(sample=row.sample, patient=row.patient, visit=row.visit)
        frames.append((droplets.assign(sample=row.sample), contents))
    return _join(frames)


def _join(frames: list[tuple[pd.DataFrame, pd.DataFrame]]) -> Droplets:
    droplets, contents, start = [], [], 0
    for flags, cells in frames:
        droplets.append(flags)
        contents.append(cells.assign(droplet=cells["droplet"] + start))
        start += len(flags)
    return Droplets(pd.concat(droplets, ignore_index=True), pd.concat(contents, ignore_index=True))


def _draw_flags(
    rng: np.random.Generator, number: int, doublet_rate: float, damaged_fraction: float, empty_fraction: float
) -> pd.DataFrame:
    empties = round(number * empty_fraction)
    rows = number + empties
    empty = np.zeros(rows, bool)
    empty[rng.choice(rows, empties, replace=False)] = True
    fate = rng.random(rows)
    doublet = ~empty & (fate < doublet_rate)
    return pd.DataFrame(
        {
            "barcode": _draw_barcodes(rng, rows),
            "doublet": doublet,
            "damaged": ~empty & ~doublet & (fate < doublet_rate + damaged_fraction),
            "empty": empty,
        }
    )


def _draw_barcodes(rng: np.random.Generator, number: int) -> list[str]:
    """Draw distinct barcodes, sorted as Cell Ranger sorts them."""
    found: set[str] = set()
    while len(found) < number:
        letters = BASES[rng.integers(0, 4, (number - len(found), BARCODE_LENGTH))]
        found.update("".join(row) + "-1" for row in letters)
    return sorted(found)


def _draw_contents(
    rng: np.random.Generator, droplets: pd.DataFrame, share: np.ndarray, biology: Biology
) -> pd.DataFrame:
    types = biology.types.index.to_numpy(dtype=object)
    lineage = biology.types["lineage"].to_numpy(dtype=object)
    filled = np.flatnonzero(~droplets["empty"])
    first = rng.choice(len(types), len(filled), p=share)
    twice = droplets["doublet"].to_numpy()[filled]
    partner = rng.choice(len(types), int(twice.sum()), p=share)
    for i, host in enumerate(first[twice]):
        if rng.random() < HETEROTYPIC:
            other = share * (lineage != lineage[host])
            partner[i] = rng.choice(len(types), p=other / other.sum())
    drawn = np.concatenate([first, partner])
    return pd.DataFrame(
        {
            "droplet": np.concatenate([filled, filled[twice]]),
            "type": types[drawn],
            "size": biology.types["size"].to_numpy()[drawn],
        }
    )
