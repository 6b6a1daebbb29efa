"""T-cell clones of the simulated patients, their sizes at each visit, and their receptors.

Receptor sequences are drawn from OLGA's published model of human V(D)J recombination, so that gene usage,
junction lengths and sharing between people are those of real repertoires.

References
----------
Sethna Z. et al. 2019, Bioinformatics 35:2974, doi:10.1093/bioinformatics/btz035
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.simulate_cells import Droplets
from immune_landscape.simulate_profiles import Biology, Sample, Treatment, list_samples, stream

DRIFT_SD = 0.35  # log change of a clone's size between samples of its patient
DEPTH_SD = 0.25  # log spread of bulk depth between samples
EXPANDING_RANKS = (3, 25)  # clones that expand are neither the largest nor invisible at the start
SECOND_ALPHA = 0.08
JUNCTION_LENGTH = (8, 24)
CHAIN_COLUMNS = ["v_call", "j_call", "junction", "junction_aa"]
MODELS = {"TRA": ("human_T_alpha", "VJ"), "TRB": ("human_T_beta", "VDJ")}
INVARIANT = {"TRA": (("TRAV1-2",), ("TRAJ33",), 12), "TRB": (("TRBV6-", "TRBV20-1"), (), 0)}


@dataclass(frozen=True)
class Repertoire:
    """Clones, who carries them and how often they were sequenced.

    Attributes
    ----------
    clone
        Clone of each cell, by row of ``Droplets.contents``; empty without an alpha-beta receptor.
    bulk
        Sample to templates by clone.
    clones
        One row per clone seen (index: clone): patient, type, fold (planted at treated visits; 1 = none).
    chains
        One row per receptor chain: clone, locus, slot (0 first, 1 second chain), v_call and j_call (with
        allele), junction, junction_aa.
    """

    clone: pd.Series
    bulk: dict[str, pd.Series]
    clones: pd.DataFrame
    chains: pd.DataFrame


def draw_repertoire(
    design: pd.DataFrame,
    droplets: Droplets,
    proportions: pd.DataFrame,
    sequenced: set[str],
    biology: Biology,
    seed: int,
    *,
    treatment: Treatment,
    expanding_clones: int,
    expansion_fold: float,
    bulk_templates: int,
) -> Repertoire:
    """Give alpha-beta T cells their clones, sequence the bulk samples, and draw receptors.

    Parameters
    ----------
    design
        One row per sample: sample, patient, visit, arm, response.
    droplets
        Cells that need a clone.
    proportions
        Samples x types; decides how the bulk templates divide over types.
    sequenced
        Samples with a bulk repertoire.
    biology
        Number and sizes of clones by type.
    seed
        Seed of the simulation.
    treatment
        When, and in whom, expanding clones have grown.
    expanding_clones
        Clones that grow, per responder.
    expansion_fold
        By how much, relative to the other clones of the type.
    bulk_templates
        Median number of productive templates of a bulk sample.
    """
    contents = droplets.contents
    clone = pd.Series("", index=contents.index, dtype=object)
    bulk: dict[str, pd.Series] = {}
    folds: dict[str, float] = {}
    for row in list_samples(design):
        growing = (
            _choose_expanding(row, biology, seed, expanding_clones)
            if treatment.concerns(row) and row.response == "responder"
            else []
        )
        fold = expansion_fold if treatment.works(row) else 1.0
        weights = _weigh_clones(row, biology, seed, growing, fold)
        mine = contents[contents["sample"] == row.sample]
        clone.loc[mine.index] = _assign_clones(mine["type"], weights, stream(seed, "clones", row.sample))
        if row.sample in sequenced:
            bulk[row.sample] = _sequence_bulk(weights, proportions, row, seed, bulk_templates)
        folds.update(dict.fromkeys(growing, expansion_fold))
    clones = _list_clones(clone, bulk, folds)
    return Repertoire(clone, bulk, clones, _draw_receptors(clones, set(clone), biology, seed))


def _choose_expanding(row: Sample, biology: Biology, seed: int, number: int) -> list[str]:
    rng = stream(seed, "expanding", row.patient)
    types = list(biology.types.index[biology.types["expands"]])
    ranks = range(*EXPANDING_RANKS)
    pool = [_name(row.patient, kind, rank) for kind in types for rank in ranks]
    return sorted(rng.choice(pool, min(number, len(pool)), replace=False).tolist())


def _name(patient: str, kind: str, rank: int) -> str:
    return f"{patient}:{kind}:{rank + 1}"


def _weigh_clones(row: Sample, biology: Biology, seed: int, growing: list[str], fold: float) -> dict[str, pd.Series]:
    """Return, by type, the share of each clone in one sample."""
    weights = {}
    for kind, entry in biology.types[biology.types["clones"] > 0].iterrows():
        number = int(entry["clones"])
        steepness = entry["exponent"] * np.exp(stream(seed, "steepness", row.patient, str(kind)).normal(0, 0.1))
        drift = stream(seed, "drift", row.sample, str(kind)).normal(0, DRIFT_SD, number)
        size = (np.arange(number) + 1.0) ** -steepness * np.exp(drift)
        share = pd.Series(size, index=[_name(row.patient, str(kind), rank) for rank in range(number)])
        share[[name in growing for name in share.index]] *= fold
        weights[str(kind)] = share / share.sum()
    return weights


def _assign_clones(types: pd.Series, weights: dict[str, pd.Series], rng: np.random.Generator) -> np.ndarray:
    result = np.full(len(types), "", dtype=object)
    for kind, share in weights.items():
        cells = np.flatnonzero(types == kind)
        result[cells] = share.index.to_numpy(dtype=object)[rng.choice(len(share), len(cells), p=share.to_numpy())]
    return result


def _sequence_bulk(
    weights: dict[str, pd.Series], proportions: pd.DataFrame, row: Sample, seed: int, bulk_templates: int
) -> pd.Series:
    rng = stream(seed, "bulk", row.sample)
    depth = round(bulk_templates * float(np.exp(rng.normal(0, DEPTH_SD))))
    abundance = proportions.loc[row.sample, list(weights)].to_numpy(dtype=float)
    share = pd.concat([part * size for part, size in zip(weights.values(), abundance, strict=True)])
    templates = pd.Series(rng.multinomial(depth, (share / share.sum()).to_numpy()), index=share.index)
    return templates[templates > 0]


def _list_clones(clone: pd.Series, bulk: dict[str, pd.Series], folds: dict[str, float]) -> pd.DataFrame:
    seen = set(clone[clone != ""]).union(*(set(templates.index) for templates in bulk.values()))
    table = pd.DataFrame({"clone": sorted(seen, key=_sort_key)})
    table[["patient", "type"]] = table["clone"].str.split(":", expand=True)[[0, 1]]
    table["fold"] = [folds.get(name, 1.0) for name in table["clone"]]
    return table.set_index("clone")


def _sort_key(name: str) -> tuple[str, str, int]:
    patient, kind, rank = name.split(":")
    return patient, kind, int(rank)


def _draw_receptors(clones: pd.DataFrame, in_cells: set[str], biology: Biology, seed: int) -> pd.DataFrame:
    """Draw the beta chain of every clone and the alpha chains of those met in single cells."""
    invariant = clones["type"].map(biology.types["invariant"]).astype(bool)
    frames = []
    for (patient, fixed), group in clones.groupby([clones["patient"], invariant]):
        names = group.index.to_numpy(dtype=object)
        paired = names[[name in in_cells for name in names]]
        second = paired[stream(seed, "second alpha", str(patient), str(fixed)).random(len(paired)) < SECOND_ALPHA]
        for locus, slot, carriers in (("TRB", 0, names), ("TRA", 0, paired), ("TRA", 1, second)):
            rule = INVARIANT[locus] if fixed and slot == 0 else ((), (), 0)
            number = int(stream(seed, "receptors", str(patient), str(fixed), locus, str(slot)).integers(2**31))
            drawn = draw_chains(locus, len(carriers), number, v_genes=rule[0], j_genes=rule[1], length=rule[2])
            frames.append(drawn.assign(clone=carriers, locus=locus, slot=slot))
    return pd.concat(frames, ignore_index=True)[["clone", "locus", "slot", *CHAIN_COLUMNS]]


def draw_chains(
    locus: str, number: int, seed: int, *, v_genes: tuple[str, ...], j_genes: tuple[str, ...], length: int
) -> pd.DataFrame:
    """Draw productive receptor chains from OLGA's model.

    Parameters
    ----------
    locus
        ``TRA`` or ``TRB``.
    number
        Chains wanted.
    seed
        Seed of these chains, below 2**32.
    v_genes, j_genes
        Beginnings of the gene names allowed; empty allows all.
    length
        Junction length in residues; 0 allows 8 to 24.

    Returns
    -------
    pandas.DataFrame
        v_call, j_call (with allele), junction, junction_aa; ``number`` rows.
    """
    model, v_names, j_names = _restrict(locus, v_genes, j_genes)
    allowed = range(length, length + 1) if length else range(JUNCTION_LENGTH[0], JUNCTION_LENGTH[1] + 1)
    rows: list[tuple[str, str, str, str]] = []
    with _legacy_random(seed):
        while len(rows) < number:
            nucleotides, residues, v, j = model.gen_rnd_prod_CDR3(conserved_J_residues="FW")
            if len(residues) in allowed:
                rows.append((v_names[v], j_names[j], nucleotides, residues))
    return pd.DataFrame(rows, columns=CHAIN_COLUMNS)


@contextmanager
def _legacy_random(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, the only one that OLGA uses, and give it back as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@lru_cache(maxsize=8)
def _restrict(locus: str, v_genes: tuple[str, ...], j_genes: tuple[str, ...]) -> tuple[Any, list[str], list[str]]:
    """Return OLGA's generator confined to genes, with the gene names its indices mean."""
    model, v_names, j_names = _load_model(locus)
    allow_v = np.array([not v_genes or name.startswith(v_genes) for name in v_names])
    allow_j = np.array([not j_genes or name.startswith(tuple(f"{gene}*" for gene in j_genes)) for name in j_names])
    confined = copy.copy(model)
    if locus == "TRB":
        confined.CPV = _confine(model.CPV, allow_v)
    else:
        confined.CPVJ = _confine(model.CPVJ, np.outer(allow_v, allow_j).ravel())
    return confined, v_names, j_names


def _confine(cumulative: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    mass = np.diff(cumulative, prepend=0.0) * allowed
    return np.cumsum(mass / mass.sum())


@lru_cache(maxsize=2)
def _load_model(locus: str) -> tuple[Any, list[str], list[str]]:
    """Load OLGA's default human model of a locus."""
    import olga
    from olga import load_model, sequence_generation

    name, kind = MODELS[locus]
    folder = Path(olga.__file__).parent / "default_models" / name
    genes = getattr(load_model, f"GenomicData{kind}")()
    genes.load_igor_genomic_data(
        str(folder / "model_params.txt"),
        str(folder / "V_gene_CDR3_anchors.csv"),
        str(folder / "J_gene_CDR3_anchors.csv"),
    )
    marginals = getattr(load_model, f"GenerativeModel{kind}")()
    marginals.load_and_process_igor_model(str(folder / "model_marginals.txt"))
    model = getattr(sequence_generation, f"SequenceGeneration{kind}")(marginals, genes)
    return model, [gene[0] for gene in genes.genV], [gene[0] for gene in genes.genJ]
