"""Single cells beside bulk repertoires, and clones that patients share: planted truth and public data."""

import itertools

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data
from identity_cohorts import pairs_of

from immune_landscape.bridge_repertoires import bridge_repertoires
from immune_landscape.bulk_io import read_bulk
from immune_landscape.input_files import Place
from immune_landscape.load_repertoires import load_repertoires
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.seeds import seed_of
from immune_landscape.share_clones import share_clones

BRIDGE, SHARE, LOAD = (
    fill_defaults(load_schema(f"settings/{name}"), {})
    for name in ("bridge_repertoires", "share_clones", "load_repertoires")
)
SUBSETS = {
    "cd8_teff": (0.35, 300, 1.3),
    "cd8_tem": (0.25, 900, 1.0),
    "cd4_tcm": (0.25, 4_000, 0.6),
    "mait": (0.15, 60, 0.8),
}
"""Subset -> its share of the T cells, its clones, and how steeply their sizes fall."""

PATIENTS, CELLS, TEMPLATES = 12, 300, 5_000
IMMDATA = [*(f"MS{number}" for number in range(1, 7)), "A2-i129", "A2-i131", "A2-i132", "A2-i133", "A4-i191", "A4-i192"]
HSCT = ["minus48months", "4months", "10months", "37months"]
UNSORTED = [32, 83, 369, 949, 1320, 1496]


def repertoire_of(rng, patient):
    """Return the clones of a patient's blood: name, subset and true share; a tenth also has cells in another subset."""
    parts = []
    for subset, (share, clones, steepness) in SUBSETS.items():
        size = (np.arange(clones) + 1.0) ** -steepness * np.exp(rng.normal(0, 0.3, clones))
        names = [f"{patient}{subset}{at}" for at in range(clones)]
        parts.append(pd.DataFrame({"clone": names, "subset": subset, "share": share * size / size.sum()}))
    table = pd.concat(parts, ignore_index=True)
    others = rng.choice(list(SUBSETS), len(table))
    return table.assign(other=np.where(rng.random(len(table)) < 0.1, others, table["subset"]))


def cohort_of(seed):
    """Return cells, labels, bulk repertoires, design and the true repertoires of patients with one sample each."""
    rng = np.random.default_rng(seed_of(seed, "bridges"))
    cells, bulk, truth = [], [], {}
    for number in range(PATIENTS):
        sample = f"P{number:02d}"
        table = repertoire_of(rng, sample)
        drawn = table.iloc[rng.choice(len(table), int(CELLS * rng.uniform(0.6, 1.6)), p=table["share"])]
        subset = np.where(rng.random(len(drawn)) < 0.5, drawn["subset"], drawn["other"])
        cells.append(pd.DataFrame({"sample": sample, "vdj_junction_aa": drawn["clone"].to_numpy(), "subset": subset}))
        counts = rng.multinomial(int(TEMPLATES * rng.uniform(0.5, 2)), table["share"])
        found = pd.DataFrame({"junction_aa": table["clone"], "count": counts})[counts > 0]
        bulk.append((sample, found.assign(junction="", v_call="TRBV9")))
        truth[sample] = table.set_index("clone")["share"]
    table = pd.concat(cells, ignore_index=True).rename_axis("cell")
    clonotypes = table.assign(vdj_junction="", vdj_v_gene="TRBV9", vdj_j_gene="TRBJ1-1", vj_junction="")
    labels = table[["subset"]].assign(branch="t")
    design = pd.DataFrame({"sample": list(truth), "patient": list(truth), "visit": "v", "tissue": "blood"})
    return clonotypes.assign(has_receptor=True), labels, bulk, design, truth


def true_shares(clonotypes, labels, truth):
    """Return the share of the blood that the clones seen in each subset hold, divided as their cells are."""
    seen = clonotypes[["sample", "vdj_junction_aa"]].assign(subset=labels["subset"])
    counted = seen.value_counts().rename("cells").reset_index()
    per_clone = counted.groupby(["sample", "vdj_junction_aa"])["cells"].transform("sum")
    share = [truth[row.sample][row.vdj_junction_aa] for row in counted.itertuples()]
    return (counted["cells"] / per_clone * share).groupby([counted["sample"], counted["subset"]]).sum()


def test_the_share_of_bulk_mass_by_subset_is_recovered(science):
    covered, errors, found, expected, clones = [], [], [], [], []
    for seed in range(science.replicates(full=40, quick=6)):
        clonotypes, labels, bulk, design, truth = cohort_of(seed)
        tables = bridge_repertoires(clonotypes, labels, bulk, design, seed, **BRIDGE)
        rows = tables["subsets"].set_index(["sample", "subset"])
        right = true_shares(clonotypes, labels, truth)
        rows = rows.loc[right.index]
        covered += ((rows["low"] <= right) & (right <= rows["high"])).tolist()
        errors += (rows["bulk_share"] - right).abs().tolist()
        capture = tables["capture"].query("clones > 0 and size != '>20'")
        found += capture["found"].tolist()
        expected += (capture["expected"] * capture["clones"]).tolist()
        clones += capture["clones"].tolist()
        assert (tables["agreement"]["verdict"] == "agrees").all()
    n = len(covered)
    what = "95 % intervals over templates that cover the true share of the blood held by clones seen in a subset"
    science.row("repertoire/bridge_coverage", what, np.mean(covered), *science.limits(0.93, 0.97, n), n)
    science.row(
        "repertoire/bridge_error",
        f"mean absolute error of that share, {PATIENTS} patients, about {CELLS} cells and {TEMPLATES:,} templates each",
        np.mean(errors),
        0,
        0.01,
        n,
    )
    what = "single-cell clones found in bulk, over those expected of a second sample of the same blood at that depth"
    science.row("repertoire/bridge_capture", what, sum(found) / sum(expected), 0.97, 1.03, sum(clones))


def test_swapped_bulk_repertoires_are_flagged_and_no_others(science):
    pairs = list(itertools.combinations(range(PATIENTS), 2))[:: 1 if science.full else 6]
    clonotypes, labels, bulk, design, _ = cohort_of(0)
    hits, false = [], 0
    for a, b in pairs:
        names = [name for name, _ in bulk]
        names[a], names[b] = names[b], names[a]
        mixed = list(zip(names, (table for _, table in bulk), strict=True))
        found = bridge_repertoires(clonotypes, labels, mixed, design, 0, **BRIDGE)["agreement"].set_index("sample")
        flagged = set(found.index[found["verdict"] == "flagged"])
        hits.append({names[a], names[b]} <= flagged)
        false += len(flagged - {names[a], names[b]})
    what = "share of swaps of two bulk repertoires that are flagged against the patients' single cells"
    science.row("repertoire/bridge_swaps", what, np.mean(hits), 1, 1, len(hits))
    what = "other samples flagged beside swapped bulk repertoires"
    science.row("repertoire/bridge_false_swaps", what, false, 0, 0, len(pairs) * (PATIENTS - 2))


def read_all(folder, names, pattern):
    read = ((name, read_bulk(Place(shared_data(*folder, pattern.format(name)), name))) for name in names)
    return {facts["sample"].iloc[0]: table for table, facts in load_repertoires(read, **LOAD)}


@pytest.fixture(scope="module")
def donors():
    return read_all(("immunarch_immdata",), IMMDATA, "{}.tsv.gz")


@pytest.fixture(scope="module")
def transplant():
    return read_all(("britanova_vdjtools_bulk_tcrb", "hsct"), HSCT, "{}.txt.gz")


def shared(bulk, patients=None, cells=None):
    names = list(bulk) if cells is None else sorted(cells["sample"].unique())
    patient = [(patients or {}).get(name, name) for name in names]
    design = pd.DataFrame({"sample": names, "patient": patient, "batch": ""})
    return share_clones(cells, bulk.items(), design, **SHARE)[0]


def contaminated(rng, host, giver, share):
    """Replace a share of the host's templates by templates drawn from the giver's file."""
    total = int(host["count"].sum())
    number = round(share * total)
    kept = rng.multivariate_hypergeometric(host["count"].to_numpy(), total - number)
    taken = rng.multinomial(number, (giver["count"] / giver["count"].sum()).to_numpy())
    both = pd.concat([host.assign(count=kept), giver.assign(count=taken)])
    keys = ["junction", "junction_aa", "v_call", "j_call"]
    return both[both["count"] > 0].groupby(keys)["count"].sum().reset_index()


def test_clean_cohorts_raise_no_alarm_of_sharing(science, donors, transplant):
    one_patient = dict.fromkeys(HSCT, "transplant")
    cohorts = {"donors": shared(donors), "and transplant": shared({**donors, **transplant}, one_patient)}
    print(pd.concat(cohorts)[["shared", "shared_aa", "expected", "limit"]].describe().to_string())
    found = pd.concat(cohorts.values())
    false = (found["verdict"] == "flagged").sum()
    what = "pairs flagged among 12 unrelated donors (immunarch), and among these and a patient of four samples (hsct)"
    science.row("repertoire/sharing_false_alarms", what, false, 0, 0, len(found))


def test_one_percent_of_another_sample_raises_the_alarm(science, donors):
    pairs = list(itertools.permutations(donors, 2))[:: 1 if science.full else 6]
    hits, false = [], 0
    for at, (host, giver) in enumerate(pairs):
        rng = np.random.default_rng(seed_of(at, "contamination"))
        mixed = {**donors, host: contaminated(rng, donors[host], donors[giver], 0.01)}
        table = shared(mixed)
        is_pair = table[["patient_a", "patient_b"]].isin([host, giver]).all(axis=1)
        flagged = table["verdict"] == "flagged"
        hits += flagged[is_pair].tolist()
        false += int(flagged[~is_pair].sum())
    what = "share of pairs of donors flagged when 1 % of the templates of one are of the other's library"
    science.row("repertoire/sharing_alarm", what, np.mean(hits), 1, 1, len(hits))
    what = "other pairs flagged in the same cohorts"
    science.row("repertoire/sharing_alarm_others", what, false, 0, 0, 65 * len(pairs))


def test_samples_of_one_person_under_two_names_raise_the_alarm(science, donors, transplant):
    days = read_all(("lymphoseq2_longitudinal_tcrb",), UNSORTED, "TRB_Unsorted_{}.tsv.gz")
    series = {"LymphoSeq2": days, "hsct": transplant}
    for name, samples in series.items():
        table = shared({**donors, **samples})
        own = table["patient_a"].isin([*map(str, samples)]) & table["patient_b"].isin([*map(str, samples)])
        rate = (table.loc[own, "verdict"] == "flagged").mean()
        what = f"share of pairs of samples of one person ({name}) flagged when they bear two names, beside 12 donors"
        science.row(f"repertoire/sharing_one_person_{name.lower()}", what, rate, 1, 1, int(own.sum()))


def zhao_cells():
    folder = shared_data("screpertoire_zhao2021", "contigs")
    names = [path.name.split("_")[0] for path in sorted(folder.glob("*.csv.gz"))]
    tables = [pd.read_csv(folder / f"{name}_filtered_contig_annotations.csv.gz") for name in names]
    return pd.concat([pairs_of(table, name, name[:3]) for table, name in zip(tables, names, strict=True)])


def test_single_cells_of_two_patients_share_no_clone_until_some_are_mixed(science):
    cells = zhao_cells()
    patients = dict(cells[["sample", "patient"]].drop_duplicates().to_numpy())
    clean = shared({}, patients, cells)
    what = "pairs of patients of Zhao 2021 flagged by clones of both chains, 27,186 barcodes"
    science.row("repertoire/sharing_false_alarms_cells", what, (clean["verdict"] == "flagged").sum(), 0, 0, len(clean))
    hits = []
    samples = [name for name, number in cells["sample"].value_counts().items() if number > 1_000]
    for host, giver in itertools.permutations(samples, 2):
        if patients[host] == patients[giver]:
            continue
        rng = np.random.default_rng(seed_of(len(hits), "mixed cells"))
        own = cells[cells["sample"] == giver]
        strays = own.iloc[rng.choice(len(own), round(0.01 * (cells["sample"] == host).sum()), replace=False)]
        mixed = pd.concat([cells, strays.assign(sample=host, patient=patients[host])])
        table = shared({}, patients, mixed)
        pair = {patients[host], patients[giver]}
        flagged = table.loc[table["verdict"] == "flagged", ["patient_a", "patient_b"]].to_numpy().tolist()
        hits.append([set(names) for names in flagged] == [pair])
    what = "share of pairs flagged, and no other, when a sample gains 1 % of its cells as copies of another patient's"
    science.row("repertoire/sharing_alarm_cells", what, np.mean(hits), 1, 1, len(hits))
