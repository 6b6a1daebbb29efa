"""Counts of the simulated droplets: negative binomial, with batch, patient, ambient RNA and damage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from immune_landscape.device import allowed_threads
from immune_landscape.simulate_cells import Droplets
from immune_landscape.simulate_profiles import Biology, Sample, Treatment, list_samples, stream, vary_levels

DAMAGED_SIZE = 0.35
DAMAGED_MITOCHONDRIAL = (6.0, 14.0)
EMPTY_UMIS = (60.0, 260.0)
PATIENT_GENE_SD = 0.12
STRONG_BATCH_GENES = 0.1  # share of genes with three times the batch SD
DISPERSION = (2.0, 0.12)  # gamma shape and scale of the per-gene overdispersion


@dataclass(frozen=True)
class Shifts:
    """Log changes of gene expression by batch, by patient and under treatment.

    Attributes
    ----------
    batch, patient
        Log change per gene.
    treated
        Log change per gene in the types that respond.
    responding
        Types that carry the treated change.
    """

    batch: dict[str, np.ndarray]
    patient: dict[str, np.ndarray]
    treated: np.ndarray
    responding: np.ndarray


def draw_counts(
    design: pd.DataFrame,
    droplets: Droplets,
    v_genes: pd.DataFrame,
    biology: Biology,
    seed: int,
    *,
    treatment: Treatment,
    effects: dict[str, float],
    expression_effects: dict[str, float],
    ambient_fraction: float,
    batch_sd: float,
) -> dict[str, csr_matrix]:
    """Draw every sample's counts.

    Parameters
    ----------
    design
        One row per sample: sample, patient, visit, response, batch.
    droplets
        Barcodes and the cells in them.
    v_genes
        Rearranged V genes in use: content (row of ``droplets.contents``), symbol.
    biology
        Expression levels.
    seed
        Seed of the simulation.
    treatment, effects
        When, and the cell types in which, ``expression_effects`` act in responders.
    expression_effects
        Log fold by gene set.
    ambient_fraction
        Mean share of a droplet's RNA that comes from the sample's soup.
    batch_sd
        SD of a gene's log change between batches.

    Returns
    -------
    dict
        Sample to counts, droplets x genes, int32.
    """
    levels = vary_levels(biology, seed)
    shifts = _draw_shifts(design, biology, seed, effects, expression_effects, batch_sd)
    dispersion = stream(seed, "dispersion").gamma(*DISPERSION, len(biology.genes)) + 0.02
    receptor = _index_receptors(v_genes, biology)

    def draw(row: Sample) -> csr_matrix:
        """Draw the counts of one sample, whose stream of random numbers is its own."""
        profile = levels * np.exp(shifts.batch[row.batch] + shifts.patient[row.patient])
        profile[shifts.responding] *= np.exp(shifts.treated * treatment.works(row))
        rng = stream(seed, "counts", row.sample)
        mean = _sample_means(rng, row.sample, profile, droplets, receptor, biology, ambient_fraction)
        return _draw_negative_binomial(rng, mean, dispersion)

    samples = list_samples(design)
    with ThreadPoolExecutor(allowed_threads()) as pool:
        return dict(zip([row.sample for row in samples], pool.map(draw, samples), strict=True))


def _draw_shifts(
    design: pd.DataFrame,
    biology: Biology,
    seed: int,
    effects: dict[str, float],
    expression_effects: dict[str, float],
    batch_sd: float,
) -> Shifts:
    genes = len(biology.genes)
    batch = {}
    for name in design["batch"].unique():
        rng = stream(seed, "batch", name)
        strong = 1 + 2 * (rng.random(genes) < STRONG_BATCH_GENES)
        batch[name] = rng.normal(0, batch_sd, genes) * strong
    patient = {
        name: stream(seed, "patient genes", name).normal(0, PATIENT_GENE_SD, genes)
        for name in design["patient"].unique()
    }
    treated = np.zeros(genes)
    for name, fold in expression_effects.items():
        columns = biology.columns_of(biology.sets[name])
        treated[columns] = np.maximum(treated[columns], fold)
    return Shifts(batch, patient, treated, biology.types.index.isin(list(effects)))


def _index_receptors(v_genes: pd.DataFrame, biology: Biology) -> pd.DataFrame:
    column = pd.Series(np.arange(len(biology.genes)), index=biology.genes["symbol"])
    known = v_genes[v_genes["symbol"].isin(column.index)]
    return known.assign(gene=column.loc[known["symbol"]].to_numpy())


def _sample_means(
    rng: np.random.Generator,
    sample: str,
    profile: np.ndarray,
    droplets: Droplets,
    receptor: pd.DataFrame,
    biology: Biology,
    ambient_fraction: float,
) -> np.ndarray:
    """Return the expected counts of one sample, droplets x genes."""
    rows = np.flatnonzero(droplets.droplets["sample"] == sample)
    flags = droplets.droplets.iloc[rows]
    contents = droplets.contents[droplets.contents["sample"] == sample]
    place = contents["droplet"].to_numpy() - rows[0]
    cells = _cell_means(rng, contents, profile, receptor, biology)
    damaged = flags["damaged"].to_numpy()[place]
    cells = _damage(rng, cells, damaged, (biology.genes["role"] == "mitochondrial").to_numpy())
    mean = np.zeros((len(rows), cells.shape[1]))
    np.add.at(mean, place, cells)
    return _add_ambient(rng, mean, flags["empty"].to_numpy(), ambient_fraction)


def _cell_means(
    rng: np.random.Generator,
    contents: pd.DataFrame,
    profile: np.ndarray,
    receptor: pd.DataFrame,
    biology: Biology,
) -> np.ndarray:
    levels = _blend_types(rng, contents["type"], profile, biology)
    for name, spread in biology.states.items():
        load = np.exp(rng.normal(0, spread, (len(levels), 1)))
        levels[:, biology.columns_of(biology.sets[name])] *= load
    for sex, extra in biology.sex_levels.items():
        levels[(contents["sex"] == sex).to_numpy()] += extra
    used = receptor[receptor["content"].isin(contents.index)]
    levels[contents.index.get_indexer(pd.Index(used["content"])), used["gene"].to_numpy()] += biology.receptor
    return levels / levels.sum(axis=1, keepdims=True) * contents["size"].to_numpy()[:, None]


def _blend_types(rng: np.random.Generator, types: pd.Series, profile: np.ndarray, biology: Biology) -> np.ndarray:
    """Place each NK or T cell between its type and another of the same parent, on the log scale."""
    own = biology.types.index.get_indexer(pd.Index(types))
    parent = biology.types["parent"].to_numpy(dtype=object)
    other = own.copy()
    share = np.zeros((len(own), 1))
    for name in ("nk", "t"):
        members = np.flatnonzero(parent == name)
        cells = np.flatnonzero(parent[own] == name)
        other[cells] = rng.choice(members, len(cells))
        # Half at most, so that a cell stays nearest to the type it is labelled with.
        share[cells, 0] = rng.beta(*biology.continuum, len(cells)) / 2
    return profile[own] ** (1 - share) * profile[other] ** share


def _damage(rng: np.random.Generator, cells: np.ndarray, damaged: np.ndarray, mitochondrial: np.ndarray) -> np.ndarray:
    """Let damaged cells lose cytoplasmic RNA and keep mitochondrial RNA."""
    worn = cells[damaged]
    size = worn.sum(axis=1, keepdims=True)
    worn[:, mitochondrial] *= rng.uniform(*DAMAGED_MITOCHONDRIAL, (len(worn), 1))
    result = cells.copy()
    result[damaged] = worn / worn.sum(axis=1, keepdims=True) * size * DAMAGED_SIZE
    return result


def _add_ambient(rng: np.random.Generator, mean: np.ndarray, empty: np.ndarray, ambient_fraction: float) -> np.ndarray:
    soup = mean.sum(axis=0) / mean.sum()
    total = mean.sum(axis=1)
    share = np.clip(ambient_fraction * np.exp(rng.normal(0, 0.3, len(mean))), 0, 1)
    share[empty] = 1.0
    total[empty] = rng.uniform(*EMPTY_UMIS, int(empty.sum()))
    return mean * (1 - share)[:, None] + np.outer(total * share, soup)


def _draw_negative_binomial(rng: np.random.Generator, mean: np.ndarray, dispersion: np.ndarray) -> csr_matrix:
    rate = rng.gamma(np.broadcast_to(1 / dispersion, mean.shape), mean * dispersion)
    return csr_matrix(rng.poisson(rate).astype(np.int32))
