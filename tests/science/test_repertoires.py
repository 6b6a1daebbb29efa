"""Bulk repertoires: published values, independent derivations, depth, and clones followed from visit to visit."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data
from science.simulated_layers import EXACT, make_cohort

from immune_landscape.bulk_io import read_bulk
from immune_landscape.clone_sources import label_clones
from immune_landscape.clone_tracking import ChangeTails, estimate_overdispersion, find_changes
from immune_landscape.compare_values import compare_values
from immune_landscape.input_files import Place
from immune_landscape.load_repertoires import load_repertoires
from immune_landscape.measure_repertoires import measure_repertoires
from immune_landscape.repertoire_metrics import CLASSES, diversity
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.seeds import seed_of
from immune_landscape.track_clones import track_clones

IMMDATA = [*(f"MS{number}" for number in range(1, 7)), "A2-i129", "A2-i131", "A2-i132", "A2-i133", "A4-i191", "A4-i192"]
PUBLISHED = {"minus48months": 0.037, "4months": 0.230, "10months": 0.178, "37months": 0.148}
EXISTING = {"4months": 0.488, "10months": 0.326, "37months": 0.259}
BOUNDS = {"": [0, 1e-5, 1e-4, 1e-3, 1e-2, 1], "_screpertoire": [0, 1e-4, 1e-3, 1e-2, 1e-1, 1]}


def derived(counts):
    """Compute every metric from its published definition, clone by clone, in plain Python."""
    total, richness = sum(counts), len(counts)
    share = [count / total for count in counts]
    shannon = -math.fsum(p * math.log(p) for p in share)
    simpson = math.fsum(p * p for p in share)
    ascending = sorted(counts)
    ranked = math.fsum((richness - place) * count for place, count in enumerate(ascending))
    once, twice = counts.count(1), counts.count(2)
    unseen = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    held, d50 = 0, 0
    while 2 * held < total:
        held += ascending[richness - 1 - d50]
        d50 += 1
    found = {
        "top_clone_share": max(share),
        "shannon": shannon,
        "pielou": shannon / math.log(richness),
        "clonality": 1 - shannon / math.log(richness),
        "gini": (richness + 1 - 2 * ranked / total) / richness,
        "gini_simpson": 1 - simpson,
        "hill_0": richness,
        "hill_1": math.exp(shannon),
        "hill_2": 1 / simpson,
        "chao1": richness + (total - 1) / total * unseen,
        "d50": d50,
        "d50_share": d50 / richness,
    }
    for suffix, edges in BOUNDS.items():
        for place, name in enumerate(CLASSES):
            inside = [p for p in share if edges[place] < p <= edges[place + 1]]
            # The lowest class takes what the others leave, and is given where all of them are.
            reported = edges[max(place, 1)] > 2 / total
            found[f"homeo_{name}{suffix}"] = math.fsum(inside) if reported else math.nan
            found[f"clones_{name}{suffix}"] = len(inside) if reported else math.nan
    return found


def test_metrics_and_classes_equal_their_definitions(science):
    worst = 0.0
    for name in IMMDATA:
        path = shared_data("immunarch_immdata", f"{name}.tsv.gz")
        ((clonotypes, _),) = load_repertoires([(name, read_bulk(Place(path, name)))], **settings_of("load_repertoires"))
        table = pd.read_csv(path, sep="\t")
        inside = table["CDR3.aa"].str.fullmatch("[A-Z]+") & (table["CDR3.nt"].str.len() % 3 == 0)
        sizes = Counter()
        for row in table[inside].itertuples(index=False):
            genes = [str(call).split(",")[0].strip() for call in (row[4], row[6])]
            sizes[(row[2], *genes)] += int(row[0])
        expected, found = derived(list(sizes.values())), diversity(clonotypes["count"].to_numpy())
        assert set(expected) == set(found)
        for metric, value in expected.items():
            assert math.isnan(value) == math.isnan(found[metric]), metric
            if not math.isnan(value):
                worst = max(worst, abs(found[metric] - value) / max(1.0, abs(value)))
    what = "largest relative difference from the definitions, all metrics and classes of immdata"
    science.row("repertoire/definitions", what, worst, 0, 1e-9, len(IMMDATA))


def rearrangements_of(name):
    path = shared_data("britanova_vdjtools_bulk_tcrb", "hsct", f"{name}.txt.gz")
    return read_bulk(Place(path, name)).rows


def test_published_clonality_and_persistence_of_a_transplanted_patient(science):
    """The published numbers take every row of the tables, and a clone by the nucleotides of its CDR3 alone."""
    tables = {name: rearrangements_of(name) for name in PUBLISHED}
    apart = [
        abs(round(diversity(rows["count"].to_numpy())["clonality"], 3) - PUBLISHED[name])
        for name, rows in tables.items()
    ]
    science.row("repertoire/hsct_clonality", "largest difference from the printed clonality", max(apart), 0, 0, 4)
    before = set(tables["minus48months"]["junction"])
    shares = {
        name: tables[name].loc[tables[name]["junction"].isin(before), "count"].sum() / tables[name]["count"].sum()
        for name in EXISTING
    }
    apart = [abs(round(share, 3) - EXISTING[name]) for name, share in shares.items()]
    science.row("repertoire/hsct_persistence", "largest difference from the printed share", max(apart), 0, 0, 3)


def test_tracking_tells_the_same_persistence(science):
    """Followed clone by clone, with productive rows alone, the share that was there before is that of the tables."""
    visits = list(PUBLISHED)
    found = [
        (name, read_bulk(Place(shared_data("britanova_vdjtools_bulk_tcrb", "hsct", f"{name}.txt.gz"), name)))
        for name in visits
    ]
    definition = {"sequence": "nt", "same_v_gene": False, "same_j_gene": False}
    loaded = [(facts["sample"].iloc[0], clonotypes) for clonotypes, facts in load_repertoires(found, **definition)]
    design = pd.DataFrame({"sample": visits, "patient": "p", "visit": visits, "tissue": "blood", "response": ""})
    tables = track_clones(label_clones(loaded), design, visits, "bulk_tcr", 0, **settings_of("track_clones"))
    summary = tables["summary"][~tables["summary"]["standardised"]].set_index(["sample", "feature"])["value"]
    before, apart = set(dict(loaded)["minus48months"]["junction"]), []
    for name in EXISTING:
        rows = rearrangements_of(name)
        rows = rows[rows["productive"]]
        share = rows.loc[rows["junction"].isin(before), "count"].sum() / rows["count"].sum()
        apart.append(abs(summary[name, "share_persistent"] - share))
    what = "largest difference of the tracked persistent share from that of the productive rows"
    science.row("repertoire/hsct_tracking", what, max(apart), 0, 1e-9, 3)


DRIFT = ("clonality", "hill_1", "hill_0", "homeo_large", "clones_large")


def test_standardised_metrics_stay_where_depth_alone_changes(science):
    """One repertoire sequenced at 100 % down to 1 %. None of its clones is large, but at 1 % some look so by chance."""
    rng = np.random.default_rng(seed_of(5, "depth_drift"))
    tail = (np.arange(60_000) + 300.0) ** -1.0
    share = np.concatenate([np.full(800, 7e-4), tail / tail.sum() * (1 - 800 * 7e-4)])
    whole = rng.multinomial(600_000, share)
    percents = (1, 2, 5, 10, 20, 50, 100)
    counts = [(f"p{percent}", rng.multivariate_hypergeometric(whole, 6_000 * percent)) for percent in percents]
    names = [name for name, _ in counts]
    design = pd.DataFrame({"sample": names, "patient": names, "visit": "v", "tissue": "blood", "response": ""})
    chosen = settings_of("measure_repertoires") | {"min_templates": 6_000}
    metrics, _, _ = measure_repertoires(((name, each[each > 0]) for name, each in counts), design, 0, **chosen)
    for metric in DRIFT:
        rows = metrics[metrics["metric"] == metric]
        drawn, raw = rows[rows["standardised"]], rows.loc[~rows["standardised"], "value"]
        thinnest = drawn[drawn["sample"] == "p1"].iloc[0]
        width = thinnest["high"] - thinnest["low"]
        moved = np.ptp(drawn["value"]) / width
        what = f"{metric}: range over depths in widths of the interval at 1 % (raw: {np.ptp(raw) / width:.1f})"
        science.row(f"repertoire/depth_drift/{metric}", what, moved, 0, 1, len(percents))
        assert np.ptp(raw) > width
        assert np.ptp(raw) > 1.5 * np.ptp(drawn["value"])


CLONES, DEPTHS = 20_000, (20_000, 50_000)


def draw_pair(rng, noise, folds=None):
    """Return counts of two samples of a patient; noise multiplies each clone's frequency in each sample anew."""
    frequency = (np.arange(CLONES) + 5.0) ** -0.9
    later = frequency if folds is None else frequency * folds
    levels = [each * np.exp(rng.normal(0, noise, CLONES)) for each in (frequency, later)]
    return [rng.multinomial(depth, level / level.sum()) for depth, level in zip(DEPTHS, levels, strict=True)]


def changes_of(before, after):
    chosen = settings_of("track_clones")
    least = chosen["min_count"]["bulk_tcr"]
    total, share = before + after, after.sum() / (before.sum() + after.sum())
    both = (before > 0) & (after > 0) & (total >= least)
    rho = estimate_overdispersion(after[both], total[both], share, chosen["max_overdispersion"])
    seen = total > 0
    changes = find_changes(before[seen], after[seen], ChangeTails(share, rho), min_count=least, alpha=chosen["alpha"])
    return changes["change"].to_numpy(), np.flatnonzero(seen)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "noise", "most"), [("sampling", 0.0, 0.05), ("amplification", 0.2, 0.07), ("strong", 0.35, 0.1)]
)
def test_clones_that_did_not_change_are_not_found(science, name, noise, most):
    """Strong log-normal noise has longer tails than the beta of the model, hence its higher limit."""
    patients = science.replicates(full=400, quick=60)
    rng = np.random.default_rng(seed_of(7, "false_expansions", name))
    found = [np.isin(changes_of(*draw_pair(rng, noise))[0], ["expanded", "contracted"]).sum() for _ in range(patients)]
    what = f"share of unchanged patients with a changed clone, log noise {noise} ({np.mean(found):.2f} clones each)"
    high = science.limits(0, most, patients)[1]
    science.row(f"repertoire/false_expansions/{name}", what, np.mean(np.array(found) > 0), 0, high, patients)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "noise", "least"), [("sampling", 0.0, 0.9), ("amplification", 0.2, 0.7)])
def test_clones_that_grew_are_found(science, name, noise, least):
    """Ten clones from the 20th to the 300th grow eightfold."""
    patients = science.replicates(full=200, quick=30)
    rng = np.random.default_rng(seed_of(7, "planted_expansions", name))
    power, false = [], []
    for _ in range(patients):
        folds = np.ones(CLONES)
        grown = rng.choice(np.arange(20, 300), 10, replace=False)
        folds[grown] = 8
        change, place = changes_of(*draw_pair(rng, noise, folds))
        power.append((change[np.isin(place, grown)] == "expanded").sum() / len(grown))
        called = np.isin(change, ["expanded", "contracted"])
        false.append((called & ~np.isin(place, grown)).sum() / max(1, called.sum()))
    what = f"share of clones grown eightfold that are found, log noise {noise}"
    science.row(f"repertoire/planted_expansions/{name}", what, np.mean(power), least, 1, patients)
    what = f"false discovery rate beside them, log noise {noise}"
    science.row(f"repertoire/planted_fdr/{name}", what, np.mean(false), 0, 0.07, patients)


def settings_of(section):
    return fill_defaults(load_schema(f"settings/{section}"), {})


CONTRAST = {"name": "r", "estimand": "response_by_visit", "reference": "before", "target": "after"}
TRACKED = ("share_new", "share_lost")


def track_null_cohort(rng, cohort):
    """Follow patients whose clones drift, each by an amount of its own; responders' later samples are deeper."""
    clones, steepness = 3_000, rng.normal(0.8, 0.1, cohort.patient[-1] + 1)
    drift = rng.uniform(0.1, 0.5, len(steepness))
    samples = []
    for name, patient, depth in zip(cohort.sample, cohort.patient, cohort.depth, strict=True):
        level = (np.arange(clones) + 2.0) ** -steepness[patient] * np.exp(rng.normal(0, drift[patient], clones))
        counts = rng.multinomial(int(depth * rng.integers(2_500, 4_000)), level / level.sum())
        kept = np.flatnonzero(counts)
        table = pd.DataFrame({"clonotype": kept.astype(str), "count": counts[kept], "label": ""})
        samples.append((name, table))
    chosen = settings_of("track_clones") | {"draws": 5, "compared_features": list(TRACKED)}
    tables = track_clones(samples, cohort.design, ["before", "after"], "bulk_tcr", 0, **chosen)
    raw = tables["summary"][~tables["summary"]["standardised"] & tables["summary"]["feature"].isin(TRACKED)]
    return tables["values"], raw.assign(parent="all")


@pytest.mark.slow
def test_tracked_numbers_keep_the_error_rate_where_depth_goes_with_response(science):
    cohorts, cohort = science.replicates(full=300, quick=12), make_cohort()
    rng, errors = np.random.default_rng(seed_of(7, "null_tracks")), []
    for _ in range(cohorts):
        for table in track_null_cohort(rng, cohort):
            found = compare_values(table, cohort.design, [CONTRAST], "tracks", EXACT, 0)["contrasts"]
            errors.append(found.set_index("feature").loc[list(TRACKED), "p"] <= EXACT.alpha)
    standardised, raw = (np.mean(errors[start::2]) for start in (0, 1))
    what = f"share of p <= {EXACT.alpha} of new and lost shares at one depth (as they come: {raw:.2f})"
    science.row("type1/tracks", what, standardised, 0, science.limits(0, 0.07, cohorts)[1], cohorts)
    assert raw > 0.3
