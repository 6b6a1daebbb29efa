"""Simulated cohorts of every layer: what is in them is known. Nothing here is data of patients.

Each simulator draws a cohort of responders and others with two visits and returns the table that the layer's contrast
reads, made by the layer's own stage. Patients differ from one another and change from visit to visit, each in their own
way. Responders differ from the others before treatment, all change with treatment, and responders' later samples are
deeper: none of this is an interaction of response and visit, so none of it may be found. The interaction is `planted`
in the first feature alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape.compare_composition import compare_composition
from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.load_measures import load_measures
from immune_landscape.measure_expansion import expanded_share, measure_expansion
from immune_landscape.measure_populations import measure_populations
from immune_landscape.measure_repertoires import measure_repertoires
from immune_landscape.repertoire_metrics import compared_values, diversity
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.score_signatures import score_signatures
from immune_landscape.signature_registry import read_signatures

SIZE = (6, 13)
"""Responders and others."""

SIGNATURES = ("cytotoxicity_tang", "dysfunction_nk", "proinflammatory_nk_tang")
"""Signatures without a common gene."""

CONTRAST = {
    "name": "response_change",
    "estimand": "response_by_visit",
    "reference": "before",
    "target": "after",
    "parents": ["nk"],
    "features": {"signatures": list(SIGNATURES)},
}
EXACT = ContrastSettings(alpha=0.05, power=0.8, max_exact=5_000_000, draws=100_000, intervals=False)
"""Effects and p values alone, over all 27,132 labelings."""

WITH_INTERVALS = EXACT._replace(max_exact=99, draws=99, null_draws=99, intervals=True)
"""Intervals, which look at all labelings whatever the p value does."""

PATIENT_SD = 0.5
"""Spread between patients before treatment, on the scale of a logarithm."""

CHANGE_SD = 0.3
"""Spread of the change between patients."""

VISIT_EFFECT = 0.3
"""Change of all patients, up in some features and down in others."""

BASELINE_GAP = 0.4
"""Difference of responders from the others before treatment. Where the layer's number is no linear function of the
level, a gap and a change together are an interaction, so there the simulator leaves the gap out."""

DEEPER = 2.0
"""How much deeper responders' later samples are than all others."""


class Cohort(NamedTuple):
    """Samples of a simulated cohort, all (samples,), and its design."""

    patient: np.ndarray
    responder: np.ndarray
    after: np.ndarray
    sample: np.ndarray
    design: pd.DataFrame

    @property
    def depth(self):
        return np.where(self.responder & self.after, DEEPER, 1.0)


class Layer(NamedTuple):
    """How a layer is simulated and compared.

    Attributes
    ----------
    simulate
        Takes a generator, a cohort and the planted size; returns the table that the contrast reads.
    name
        Layer in tables of contrasts.
    planted
        Size planted to measure the coverage of intervals, in the units of the simulator.
    independent
        Features that vary independently of one another, by which limits may be narrowed.
    quick
        Cohorts simulated where not all are.
    many
        Patients per group that are enough to read the planted effect from.
    direct
        Simulates that large cohort, where another way than `simulate` is quicker.
    """

    simulate: Callable
    name: str
    planted: float
    independent: int
    quick: int = 30
    many: int = 1500
    direct: Callable | None = None


def settings_of(section, **changes):
    """Return the settings of a rule: its defaults but for some changes."""
    return fill_defaults(load_schema(f"settings/{section}"), {}) | changes


def make_cohort(size=SIZE):
    patients = sum(size)
    patient, after = np.repeat(np.arange(patients), 2), np.tile([False, True], patients)
    responder = patient < size[0]
    visit = np.where(after, "after", "before")
    names = np.array([f"p{number:04d}" for number in patient], dtype=object)
    sample = np.array([f"{name}_{level}" for name, level in zip(names, visit, strict=True)], dtype=object)
    design = pd.DataFrame({"sample": sample, "patient": names, "visit": visit.astype(object), "tissue": "blood"})
    design["response"] = np.where(responder, "responder", "non_responder").astype(object)
    return Cohort(patient, responder, after, sample, design.assign(batch="b1", gex="x", arm=""))


def draw_levels(rng, cohort, features, planted, gap=BASELINE_GAP):
    """Return (samples, features) levels; `planted` is added to responders' change of the first feature."""
    patients = cohort.patient[-1] + 1
    own = rng.normal(0, PATIENT_SD, (patients, features))[cohort.patient]
    change = VISIT_EFFECT + rng.normal(0, CHANGE_SD, (patients, features))[cohort.patient]
    change[:, 0] += planted * cohort.responder
    # Every other feature is lower in responders: shares of a whole cannot all be higher.
    gaps = gap * (-1.0) ** np.arange(features) * cohort.responder[:, None]
    return own + gaps + change * (-1.0) ** (np.arange(features) // 2) * cohort.after[:, None]


def simulate_composition(rng, cohort, planted):
    """Cells of six subsets, multinomial in each sample."""
    subsets = 6
    logs = np.linspace(-0.7, 0.7, subsets) + draw_levels(rng, cohort, subsets, planted)
    shares = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    cells = (cohort.depth * rng.integers(800, 3000, len(logs))).astype(int)
    return pd.DataFrame(
        {
            "sample": np.repeat(cohort.sample, subsets),
            "parent": "nk",
            "subset": np.tile([f"s{k}" for k in range(subsets)], len(logs)),
            "cells": rng.multinomial(cells, shares).ravel(),
        }
    )


def simulate_measures(rng, cohort, planted):
    """Six log-normal measures, one of them not made in one sample."""
    names = [f"m{k}" for k in range(6)]
    table = pd.DataFrame(np.exp(3 + draw_levels(rng, cohort, 6, planted)), index=cohort.sample, columns=names)
    long = table.rename_axis("sample").reset_index().melt("sample", var_name="measure")
    long = long.drop(index=rng.integers(5 * len(table), 6 * len(table))).assign(unit="pg/mL", scale="log")
    return load_measures(long, cohort.design, **settings_of("load_measures"))


def simulate_populations(rng, cohort, planted):
    """Events in five gates of one parent, beta-binomial."""
    gates, spread = 5, 300
    share = 1 / (1 + np.exp(2 - draw_levels(rng, cohort, gates, planted)))
    parent = (cohort.depth * rng.integers(5000, 20000, len(share))).astype(int)
    count = rng.binomial(parent[:, None], rng.beta(share * spread, (1 - share) * spread))
    names = ["parent", *(f"g{k}" for k in range(gates))]
    table = pd.DataFrame(np.column_stack([parent, count]), index=cohort.sample, columns=names)
    long = table.rename_axis("sample").reset_index().melt("sample", var_name="population", value_name="count")
    long["parent"] = np.where(long["population"] == "parent", "", "parent")
    values = measure_populations(long.assign(fraction=np.nan), cohort.design, **settings_of("measure_populations"))
    return values[values["feature"] != "parent"]


SUBSETS = ("nk_bright", "nk_dim")
OTHER_GENES = 170


def simulate_signatures(rng, cohort, planted):
    """Counts of genes in single cells of two subsets, about 25 cells of each in a sample."""
    sets = [read_signatures()[name].genes for name in SIGNATURES]
    genes = [gene for own in sets for gene in own] + [f"GENE{k}" for k in range(OTHER_GENES)]
    member = np.zeros((len(genes), len(sets)))
    member[np.arange(sum(map(len, sets))), np.repeat(np.arange(len(sets)), list(map(len, sets)))] = 1
    base = np.random.default_rng(0).normal(0, 0.7, len(genes))
    levels = draw_levels(rng, cohort, len(sets) * len(SUBSETS), planted, gap=0.0)
    levels = levels.reshape(len(cohort.sample), len(SUBSETS), len(sets))
    noise = rng.normal(0, 0.15, (len(cohort.sample), len(SUBSETS), len(genes)))
    rates = np.exp(base + levels @ member.T + noise)
    cells = rng.integers(22, 28, (len(cohort.sample), len(SUBSETS)))
    row = np.repeat(np.arange(cells.size), cells.ravel())
    depth = np.exp(rng.normal(0, 0.3, len(row))) * cohort.depth[row // len(SUBSETS)]
    counts = rng.poisson(rates.reshape(cells.size, -1)[row] * depth[:, None]).astype(np.float32)
    labels = pd.DataFrame({"sample": cohort.sample[row // len(SUBSETS)], "branch": "nk"})
    labels["subset"] = np.array(SUBSETS, dtype=object)[row % len(SUBSETS)]
    labels.index = [f"c{number}" for number in range(len(row))]
    matrix = ad.AnnData(sp.csr_matrix(counts), obs=labels[["sample"]], var=pd.DataFrame(index=genes))
    chosen = settings_of("score_signatures", signatures=list(SIGNATURES), n_bins=5)
    values = score_signatures(matrix, labels, {}, **chosen)[0]["values"]
    return values[values["parent"].isin(SUBSETS)]


SHALLOWEST = 100
"""Receptor cells of the smallest sample of every cohort."""


def draw_clones(rng, cohort, planted, clones, sizes):
    """Return clone sizes of each sample: shares fall with rank, the more steeply the more clonal the sample is."""
    steepness = 0.6 + 0.25 * draw_levels(rng, cohort, 1, planted, gap=0.0)[:, 0]
    ranks = np.log(np.arange(clones) + 1.0)
    for sample, size in enumerate(sizes):
        share = np.exp(-steepness[sample] * ranks + rng.normal(0, 0.3, clones))
        yield rng.multinomial(size, share / share.sum())


def simulate_sc_tcr(rng, cohort, planted):
    """Receptors of single cells, 100 to 800 in a sample; 25 draws to the common depth stand for the 200 of a run."""
    sizes = (cohort.depth * rng.integers(SHALLOWEST, 4 * SHALLOWEST, len(cohort.sample))).astype(int)
    sizes[rng.integers(len(sizes))] = SHALLOWEST
    counts = list(draw_clones(rng, cohort, planted, 600, sizes))
    clone = np.concatenate([np.repeat(np.arange(len(each)), each) for each in counts])
    sample = np.repeat(cohort.sample, sizes)
    table = pd.DataFrame({"sample": sample, "clonotype": clone, "has_receptor": True})
    return measure_expansion(table, None, cohort.design, 0, **settings_of("measure_expansion", draws=25))[-1]


def direct_sc_tcr(rng, cohort, planted):
    """Repertoires of the common depth: a subsample of a multinomial sample is a smaller multinomial sample."""
    counts = draw_clones(rng, cohort, planted, 600, np.full(len(cohort.sample), SHALLOWEST))
    return direct_values(cohort, counts, settings_of("measure_expansion")["compared_metrics"])


def direct_values(cohort, counts, metrics):
    """Return the table of values of repertoires that need no common depth, on the scales that a run compares."""
    rows = [{**diversity(each), "expanded_share": expanded_share(each, 2)} for each in counts]
    table = pd.DataFrame(rows, index=cohort.sample)[list(metrics)]
    long = table.rename_axis("sample").reset_index().melt("sample", var_name="metric")
    unknown = {"low": np.nan, "high": np.nan, "unit": ""}
    return compared_values(long.assign(scope="all", standardised=True, **unknown), ["all"], metrics)


TEMPLATES = (43_052, 335_089)
"""Productive templates of the shallowest and the deepest blood sample of Snyder et al. 2017."""

SCALE = 20
"""By which these are divided, to save time."""

CLONES = 4000
BULK_METRICS = ("clonality", "gini_simpson", "hill_0")


def measure_bulk(rng, cohort, planted, depth):
    """Measure templates of bulk repertoires, responders' later samples being of another depth."""
    low, high = np.log(np.array(TEMPLATES) / SCALE)
    place = rng.uniform(0, 0.6, len(cohort.sample)) + depth * (cohort.responder & cohort.after)
    sizes = np.exp(low + (high - low) * place).astype(int)
    sizes[rng.integers(len(sizes))] = TEMPLATES[0] // SCALE
    counts = draw_clones(rng, cohort, planted, CLONES, sizes)
    repertoires = [each[each > 0] for each in counts]
    chosen = {"min_templates": 1000, "draws": 10, "compared_metrics": BULK_METRICS}
    found = zip(cohort.sample, repertoires, strict=True)
    return measure_repertoires(found, cohort.design, 0, **settings_of("measure_repertoires", **chosen))


def simulate_bulk_tcr(rng, cohort, planted):
    """Repertoires of 2,152 to 16,754 templates, responders' later ones 2.3 times as deep; 10 draws, not 100."""
    return measure_bulk(rng, cohort, planted, 0.4)[-1]


def direct_bulk_tcr(rng, cohort, planted):
    """Repertoires of the common depth."""
    sizes = np.full(len(cohort.sample), TEMPLATES[0] // SCALE)
    return direct_values(cohort, draw_clones(rng, cohort, planted, CLONES, sizes), BULK_METRICS)


def simulate_raw_bulk_tcr(rng, cohort, planted):
    """The same without the common depth: what the layer would compare if it took repertoires as they come."""
    metrics = measure_bulk(rng, cohort, planted, 0.4)[0]
    return compared_values(metrics[~metrics["standardised"]], ["all"], BULK_METRICS)


TCR = {"independent": 1, "quick": 12, "many": 400}
LAYERS = {
    "composition": Layer(simulate_composition, "composition", 0.4, 6),
    "signatures": Layer(simulate_signatures, "signatures", 0.4, 6, quick=20, many=400),
    "sc_tcr": Layer(simulate_sc_tcr, "expansion", 0.4, direct=direct_sc_tcr, **TCR),
    "bulk_tcr": Layer(simulate_bulk_tcr, "repertoires", 0.2, direct=direct_bulk_tcr, **TCR),
    "measures": Layer(simulate_measures, "measures", 0.4, 6),
    "populations": Layer(simulate_populations, "populations", 0.4, 5),
}
RAW_BULK = Layer(simulate_raw_bulk_tcr, "repertoires", 0.0, 1)


def compared(layer, table, cohort, testing):
    """Return the contrasts table of a cohort."""
    if layer.name == "composition":
        floors = settings_of("compare_composition")
        found = compare_composition(table, cohort.design, [CONTRAST], testing, 0, **floors)["contrasts"]
        return found.rename(columns={"subset": "feature"})
    return compare_values(table, cohort.design, [CONTRAST], layer.name, testing, 0)["contrasts"]


def read_effects(layer, table, cohort):
    """Return the interaction of each parent and feature, from the means of groups and visits alone."""
    if layer.name == "composition":
        logs = table.assign(value=np.log(table["cells"] + 0.5), feature=table["subset"])
        table = logs.assign(value=logs["value"] - logs.groupby("sample")["value"].transform("mean"))
    known = table.merge(cohort.design[["sample", "response", "visit"]], on="sample")
    means = known.pivot_table("value", ["parent", "feature"], ["response", "visit"])
    changes = {group: means[group, "after"] - means[group, "before"] for group in ("responder", "non_responder")}
    return changes["responder"] - changes["non_responder"]


def planted_effects(layer, rng):
    """Return the effect of what a layer plants, read from a cohort so large that chance hardly matters."""
    cohort = make_cohort((layer.many, layer.many))
    return read_effects(layer, (layer.direct or layer.simulate)(rng, cohort, layer.planted), cohort)
