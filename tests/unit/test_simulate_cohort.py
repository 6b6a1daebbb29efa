import gzip
import hashlib
import json
import time
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import CensoredData, ecdf

from immune_landscape.cell_types import RESOURCES
from immune_landscape.errors import DesignError, InputError, ProblemsError
from immune_landscape.simulate_cells import draw_droplets, draw_proportions
from immune_landscape.simulate_cohort import simulate_cohort, write_cohort
from immune_landscape.simulate_profiles import BIOLOGY_FILES, Treatment, read_biology
from immune_landscape.simulate_receptors import draw_chains
from immune_landscape.simulate_sheets import draw_sheets

DEMO = RESOURCES.parents[1] / "config" / "cohorts" / "demo"
SCHEMA = RESOURCES.parent / "schemas" / "settings" / "simulate_cohort.schema.yaml"
SHEET_SEED = 2025
RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODONS = dict(zip(("".join(bases) for bases in product("TCAG", repeat=3)), RESIDUES, strict=True))
CONTIG_COLUMNS = """
    barcode is_cell contig_id high_confidence length chain v_gene d_gene j_gene c_gene full_length productive
    cdr3 cdr3_nt reads umis raw_clonotype_id raw_consensus_id
"""


def translate(nucleotides):
    return "".join(CODONS[nucleotides[i : i + 3]] for i in range(0, len(nucleotides), 3))


def demo_config():
    return yaml.safe_load((DEMO / "cohort.yaml").read_text(encoding="utf-8"))


def demo_settings(**changes):
    properties = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["properties"]
    defaults = {name: entry["default"] for name, entry in properties.items()}
    return {**defaults, **demo_config()["simulate_cohort"], **changes}


def demo_design(folder):
    patients, samples = draw_sheets(SHEET_SEED)
    design = samples.merge(patients, on="patient")
    response = np.where(design["best_response"].isin(["CR", "PR"]), "responder", "non_responder")
    paths = {layer: [str(folder / path) for path in design[layer]] for layer in ("gex", "tcr", "bulk_tcr")}
    return design.assign(response=response, **paths)


def small_design(folder):
    """Two responders and two others, both visits each."""
    design = demo_design(folder)
    complete = design[design.groupby("patient")["visit"].transform("size") == 2]
    chosen = complete.drop_duplicates("patient").groupby("response")["patient"].head(2)
    return complete[complete["patient"].isin(chosen)].reset_index(drop=True)


SMALL = demo_settings(cells_per_sample=160, bulk_templates=400)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    design = small_design(folder)
    simulated = simulate_cohort(design, 7, **SMALL)
    return design, simulated, write_cohort(simulated, design, folder), folder


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def true_rows(simulated):
    cells = simulated.cells
    return cells[~cells["empty"] & ~cells["doublet"]]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(written, tmp_path, monkeypatch):
    _, _, _, folder = written
    time.sleep(1.1)  # a time stamp in a header has a resolution of one second
    again = small_design(tmp_path / "again")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")  # nor does the number of threads
    write_cohort(simulate_cohort(again, 7, **SMALL), again, tmp_path / "again")
    other = small_design(tmp_path / "other")
    write_cohort(simulate_cohort(other, 8, **SMALL), other, tmp_path / "other")
    first = digests(folder)
    assert digests(tmp_path / "again") == first
    assert not set(digests(tmp_path / "other").values()) & set(first.values())


def test_numpy_global_stream_is_given_back():
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    draw_chains("TRB", 5, 11, v_genes=(), j_genes=(), length=0)
    assert np.array_equal(np.random.random(3), expected)  # noqa: NPY002


def test_every_path_of_the_sheets_is_written(written):
    design, _, files, folder = written
    named = {path for layer in ("gex", "tcr", "bulk_tcr") for path in design[layer]}
    assert {str(path) for path in files} == named | {
        str(folder / "truth.json"),
        str(folder / "truth_cells.tsv.gz"),
    }


def test_scanpy_reads_the_counts(written):
    import scanpy

    design, simulated, _, _ = written
    row = design.iloc[0]
    counts = scanpy.read_10x_h5(row["gex"])
    assert counts.obs_names.to_list() == simulated.barcodes[row["sample"]]
    assert counts.var_names.is_unique
    assert (simulated.counts[row["sample"]] != counts.X).nnz == 0
    assert (counts.X.data % 1 == 0).all()
    assert set(counts.var["feature_types"]) == {"Gene Expression"}


def test_scirpy_reads_the_contigs(written):
    import scirpy

    design, simulated, _, _ = written
    row = design.iloc[0]
    receptors = scirpy.io.read_10x_vdj(row["tcr"])
    scirpy.pp.index_chains(receptors)
    scirpy.tl.chain_qc(receptors)
    pairing = receptors.obs["chain_pairing"].astype(str).value_counts()
    assert pairing.idxmax() == "single pair"
    assert {"orphan VDJ", "orphan VJ"} <= set(pairing.index)
    outside = ~receptors.obs_names.isin(simulated.barcodes[row["sample"]])
    assert 0 < outside.mean() < 0.2


def test_contigs_have_the_columns_of_cell_ranger_and_one_clonotype_per_set_of_junctions(written):
    design, _, _, _ = written
    contigs = pd.read_csv(design["tcr"].iloc[0], dtype=str, keep_default_na=False)
    assert contigs.columns.to_list() == CONTIG_COLUMNS.split()
    assert contigs["contig_id"].is_unique
    called = contigs[contigs["productive"] == "True"]
    assert [translate(text) for text in called["cdr3_nt"]] == called["cdr3"].to_list()
    keys = (called["chain"] + called["cdr3_nt"]).groupby(called["barcode"]).agg(frozenset)
    names = called.groupby("barcode")["raw_clonotype_id"].first()
    assert names.groupby(keys).nunique().max() == 1
    sizes = names.value_counts()
    assert sizes["clonotype1"] == sizes.max()


def test_bulk_is_airr_with_depth_near_the_setting_and_frames_as_stated(written):
    design, _, _, _ = written
    depths = []
    for path in design["bulk_tcr"]:
        rows = pd.read_csv(path, sep="\t", keep_default_na=False)
        good = rows[rows["productive"] == "T"]
        assert [translate(text) for text in good["junction"]] == good["junction_aa"].to_list()
        assert good["junction_aa"].str.fullmatch(r"C[A-Z]+[FW]").all()
        bad = rows[rows["productive"] == "F"]
        assert len(bad) > 0
        assert (bad["junction"].str.len() % 3 != 0).all()
        assert rows["v_call"].str.fullmatch(r"TRBV[\w-]+\*\d\d").all()
        depths.append(good["duplicate_count"].sum())
    assert 250 < np.median(depths) < 650
    assert len(set(depths)) == len(depths)


def test_mait_receptors_follow_the_invariant_rule_and_gamma_delta_cells_have_none(written):
    _, simulated, _, _ = written
    cells = true_rows(simulated)
    assert (cells.loc[cells["type"] == "gdt", "clone"] == "").all()
    assert (cells.loc[cells["type"].str.startswith("nk_"), "clone"] == "").all()
    mait = cells[cells["type"] == "mait"]
    found = []
    for sample, rows in mait.groupby("sample"):
        contigs = simulated.contigs[sample]
        alpha = contigs[contigs["barcode"].isin(rows["barcode"]) & (contigs["chain"] == "TRA")]
        alpha = alpha[(alpha["productive"] == "True") & (alpha["v_gene"] == "TRAV1-2")]
        found += list(zip(alpha["j_gene"], alpha["cdr3"].str.len(), strict=True))
    assert len(found) > 0.5 * len(mait)
    assert set(found) == {("TRAJ33", 12)}


def test_clones_return_at_the_next_visit_and_stay_in_their_patient(written):
    _, simulated, _, _ = written
    cells = true_rows(simulated)
    cells = cells[cells["clone"] != ""].assign(patient=lambda table: table["sample"].str[:3])
    pairs = {}
    for sample, rows in cells.groupby("sample"):
        contigs = simulated.contigs[sample]
        contigs = contigs[contigs["barcode"].isin(rows["barcode"]) & (contigs["productive"] == "True")]
        joined = contigs.sort_values("chain").groupby("barcode").agg({"cdr3_nt": tuple, "chain": tuple})
        pairs[sample] = set(joined.loc[joined["chain"] == ("TRA", "TRB"), "cdr3_nt"])
    shared = {(one, two): len(pairs[one] & pairs[two]) for one, two in combinations(sorted(pairs), 2)}
    own = {names: count for names, count in shared.items() if names[0][:3] == names[1][:3]}
    assert not any(count for names, count in shared.items() if names not in own)
    # A few dozen T cells of a patient whose clones do not grow may happen to share none.
    assert sum(count > 0 for count in own.values()) > len(own) / 2
    naive = cells[cells["type"].isin(["cd4_tn", "cd8_tn"])]
    effector = cells[cells["type"].isin(["cd8_teff", "cd4_ctl"])]
    repeated = {name: part["clone"].duplicated().mean() for name, part in (("naive", naive), ("effector", effector))}
    assert repeated["naive"] < 0.05
    assert repeated["effector"] > max(0.15, 4 * repeated["naive"])


def test_planted_clones_grow_in_responders(written):
    design, simulated, _, _ = written
    response = design.set_index("sample")["response"]
    planted = pd.DataFrame(simulated.truth["expanding_clones"])
    responders = set(design.loc[design["response"] == "responder", "patient"])
    assert set(planted["patient"]) == responders
    shares = {}
    for sample, table in simulated.bulk.items():
        if response[sample] == "responder":
            good = table[table["productive"] == "T"]
            grown = good["junction"].isin(planted.loc[planted["patient"] == sample[:3], "junction"])
            shares[sample] = good.loc[grown, "duplicate_count"].sum() / good["duplicate_count"].sum()
    for patient in responders:
        assert shares[f"{patient}_on_treatment"] > 2 * shares[f"{patient}_baseline"]


def test_sex_genes_damage_and_soup_are_in_the_counts(written):
    design, simulated, _, _ = written
    genes = pd.Index(simulated.genes)
    mitochondrial = genes.str.startswith("MT-")
    shares, medians, y_counts = [], [], {"female": [], "male": []}
    for row in design.itertuples():
        counts = simulated.counts[row.sample].toarray()
        cells = simulated.cells[simulated.cells["sample"] == row.sample]
        whole = (~cells["damaged"] & ~cells["empty"]).to_numpy()
        fraction = counts[:, mitochondrial].sum(axis=1) / counts.sum(axis=1)
        damaged = cells["damaged"].to_numpy()
        assert fraction[damaged].min() > 0.1
        assert np.median(fraction[whole]) < 0.08
        assert counts[cells["empty"].to_numpy()].sum(axis=1).max() < 500
        recipient = whole & (cells["origin"] == "recipient").to_numpy()
        y_counts[row.sex].append(counts[recipient][:, genes == "RPS4Y1"].mean())
        monocytes = cells["type"].str.startswith("mono").to_numpy() & whole
        others = cells["type"].isin(["nk_adaptive", "cd8_teff"]).to_numpy() & whole
        lyz = counts[:, genes == "LYZ"].ravel()
        shares.append(lyz[others & ~cells["doublet"].to_numpy()].mean() / lyz[monocytes].mean())
        medians.append(np.median(counts[whole].sum(axis=1)))
    assert max(y_counts["female"], default=0) < 0.5 < min(y_counts["male"])
    assert 0 < np.mean(shares) < 0.05
    assert 2000 < np.median(medians) < 3200


def ratio_changes(labels, design, names):
    """Centred log ratios under treatment less those before, one row per patient with both visits."""
    table = pd.crosstab(labels["sample"], labels["type"])[names]
    ratios = np.log(table + 0.5)
    ratios = ratios.sub(ratios.mean(axis=1), axis=0)
    by_visit = {}
    for visit, rows in design.groupby("visit"):
        by_visit[visit] = ratios.loc[rows["sample"]].set_axis(rows["patient"], axis=0)
    return (by_visit["on_treatment"] - by_visit["baseline"]).dropna()


def test_planted_shifts_are_in_the_true_labels():
    """The mean response-by-visit change over cohorts equals the log fold less the mean over types."""
    settings = demo_settings()
    design = demo_design(RESOURCES)
    biology = read_biology(*(RESOURCES / name for name in BIOLOGY_FILES))
    names = list(biology.types.index)
    treatment = Treatment(settings["treated_visits"], settings["treated_arms"])
    spread = ("patient_sd", "change_sd", "abundances", "effects", "arm_effects", "visit_effects")
    flags = ("doublet_rate", "damaged_fraction", "empty_fraction", "donor_nk_fraction")
    estimates = []
    for seed in range(8):
        chosen = {"treatment": treatment} | {key: settings[key] for key in spread}
        proportions = draw_proportions(design, biology, seed, **chosen)
        droplets = draw_droplets(
            design,
            proportions,
            biology,
            seed,
            treatment=treatment,
            cells_per_sample=3000,
            median_umis=settings["median_umis"],
            **{key: settings[key] for key in flags},
        )
        change = ratio_changes(droplets.contents, design, names)
        responder = change.index.isin(design.loc[design["response"] == "responder", "patient"])
        estimates.append(change[responder].mean() - change[~responder].mean())
    found = pd.DataFrame(estimates)
    planted = pd.Series({name: settings["effects"].get(name, 0.0) for name in names})
    expected = planted - planted.mean()
    assert (found.mean() - expected).abs().max() < 0.25


def test_truth_tells_effects_by_parent(written):
    _, simulated, _, folder = written
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert truth["simulated"] is True
    assert truth["effects"] == demo_config()["simulate_cohort"]["effects"]
    table = pd.DataFrame(truth["expected_effects"])
    assert np.allclose(table.groupby("parent")["clr"].sum(), 0, atol=1e-4)
    nk = table[table["parent"] == "nk"].set_index("subset")
    assert len(nk) == 12
    assert nk.loc["nk_c4_zeb2", "clr"] == pytest.approx(1.6 - (1.6 + 1.2 + 0.5 + 1.5 + 1.3) / 12)
    with gzip.open(folder / "truth_cells.tsv.gz", "rt") as file:
        cells = pd.read_csv(file, sep="\t", keep_default_na=False)
    assert truth["barcodes"]["total"] == len(cells) == sum(len(rows) for rows in simulated.barcodes.values())
    assert cells["doublet"].mean() == pytest.approx(0.055, abs=0.03)
    assert (cells.loc[cells["doublet"], "partner"] != "").all()
    assert set(cells["origin"]) == {"recipient", "donor", ""}


def test_no_donor_cells_before_infusion_or_from_an_autologous_product():
    design = small_design(RESOURCES)
    design["product_origin"] = np.where(design["response"] == "responder", "autologous", "allogeneic")
    cells = simulate_cohort(design, 1, **{**SMALL, "cells_per_sample": 60, "bulk_templates": 10}).cells
    donor = cells[cells["origin"] == "donor"]
    allowed = (design["product_origin"] == "allogeneic") & (design["visit"] == "on_treatment")
    assert set(donor["sample"]) <= set(design.loc[allowed, "sample"])
    assert donor["type"].str.startswith("nk_").all()


def test_committed_sheets_are_the_drawn_ones():
    for name, drawn in zip(("patients", "samples"), draw_sheets(SHEET_SEED), strict=True):
        committed = pd.read_csv(DEMO / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False)
        assert committed.columns.to_list() == drawn.columns.to_list()
        assert committed.to_numpy().tolist() == drawn.astype(str).to_numpy().tolist()
    assert f"draw_sheets({SHEET_SEED})" in (DEMO / "cohort.yaml").read_text(encoding="utf-8")


def kaplan_meier_median(times, events):
    curve = ecdf(CensoredData.right_censored(times, events == 0)).sf
    return curve.quantiles[np.argmax(curve.probabilities <= 0.5)]


def test_demo_has_the_shape_of_the_trial():
    patients, samples = draw_sheets(SHEET_SEED)
    assert patients["best_response"].value_counts().to_dict() == {"SD": 8, "PD": 5, "PR": 5, "CR": 1}
    assert len(samples) == 36
    visits = samples.groupby("patient")["visit"].agg(set)
    incomplete = visits[visits.map(len) == 1].index
    assert sorted(patients.set_index("patient").loc[incomplete, "best_response"]) == ["PD", "SD"]
    assert samples.groupby("patient")["batch"].nunique().max() == 1
    responder = patients["best_response"].isin(["CR", "PR"])
    batch = samples.drop_duplicates("patient").set_index("patient")["batch"][patients["patient"]].to_numpy()
    assert set(patients.loc[responder].groupby(batch[responder]).size()) <= {1, 2}
    assert (patients["os_time"] >= patients["pfs_time"]).all()
    assert kaplan_meier_median(patients["pfs_time"], patients["pfs_event"]) == pytest.approx(6.6, abs=0.5)
    assert kaplan_meier_median(patients["os_time"], patients["os_event"]) == pytest.approx(10.8, abs=0.7)
    assert patients.loc[responder, "pfs_time"].median() > patients.loc[~responder, "pfs_time"].median()


def test_unknown_names_and_columns_are_refused():
    design = small_design(RESOURCES)
    with pytest.raises(DesignError, match="no cell type named cd8_tef;"):
        simulate_cohort(design, 1, **{**SMALL, "effects": {"cd8_tef": 1.0}})
    with pytest.raises(DesignError, match="no gene set named signatures\\.effector "):
        simulate_cohort(design, 1, **{**SMALL, "expression_effects": {"signatures.effector": 1.0}})
    with pytest.raises(DesignError, match="treated_visits is on_treament, so effects act at no visit"):
        simulate_cohort(design, 1, **{**SMALL, "treated_visits": ["on_treament"]})
    with pytest.raises(DesignError, match="lacks the columns batch"):
        simulate_cohort(design.drop(columns="batch"), 1, **SMALL)


def test_a_type_can_be_left_out():
    design = small_design(RESOURCES)
    effects = {name: fold for name, fold in SMALL["effects"].items() if name != "nk_c11_tnfsf8"}
    less = {**SMALL, "absent_types": ["nk_c11_tnfsf8"], "effects": effects}
    simulated = simulate_cohort(design, 7, **less)
    types = set(simulated.cells["type"]) | set(simulated.cells["partner"])
    assert "nk_c11_tnfsf8" not in types
    assert "nk_c4_zeb2" in types
    assert "nk_c11_tnfsf8" not in {row["subset"] for row in simulated.truth["expected_effects"]}
    assert simulated.truth["settings"]["absent_types"] == ["nk_c11_tnfsf8"]
    column = simulated.genes.index("TNFSF8")
    means = [data[:, column].mean() for data in simulated.counts.values()]
    assert max(means) < 0.1
    with pytest.raises(DesignError, match="no cell type named nk_c11_tnfsf8;"):
        simulate_cohort(design, 7, **{**less, "effects": SMALL["effects"]})
    with pytest.raises(DesignError, match="no cell type named nk_c12;"):
        simulate_cohort(design, 7, **{**SMALL, "absent_types": ["nk_c12"]})


def test_a_path_that_leaves_the_folder_is_refused(written, tmp_path):
    design, simulated, _, _ = written
    with pytest.raises(InputError, match="leads out of"):
        write_cohort(simulated, design.assign(gex="../elsewhere.h5"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_unknown_name_of_the_programmes_is_told(tmp_path):
    plan = yaml.safe_load((RESOURCES / "simulation_programmes.yaml").read_text(encoding="utf-8"))
    plan["types"]["b"]["genes"] = {"NOGENE": 1}
    plan["types"]["pdc"]["sets"] = {"broad.nothing": 1}
    file = tmp_path / "programmes.yaml"
    file.write_text(yaml.safe_dump(plan), encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        read_biology(RESOURCES / BIOLOGY_FILES[0], file, *(RESOURCES / name for name in BIOLOGY_FILES[2:]))
    assert len(caught.value.problems) == 2
    assert all(name in str(caught.value) for name in ("NOGENE", "broad.nothing"))


def test_simulated_types_are_subsets_or_lineages_of_the_project():
    slugs = set(pd.read_csv(RESOURCES / "cell_types.tsv", sep="\t")["slug"])
    biology = read_biology(*(RESOURCES / name for name in BIOLOGY_FILES))
    assert set(biology.types.index) <= slugs
    assert len(biology.genes) >= 2200
    assert biology.genes["symbol"].is_unique
    assert (biology.genes["role"] == "mitochondrial").sum() == 13
    with_receptor = biology.types.index[biology.types["clones"] > 0]
    assert set(biology.types.loc[with_receptor, "parent"]) == {"t"}


@pytest.mark.slow
def test_demo_cohort_takes_under_a_minute_of_one_core():
    start = time.process_time()
    simulated = simulate_cohort(demo_design(RESOURCES), 1, **demo_settings())
    assert time.process_time() - start < 60
    assert len(simulated.counts) == 36


def two_arms(folder):
    """Return the small design with arms in turn, and a tumour sample for the first patient."""
    design = small_design(folder)
    patients = list(dict.fromkeys(design["patient"]))
    design["arm"] = design["patient"].map({name: ("studied", "control")[at % 2] for at, name in enumerate(patients)})
    tumour = design.iloc[[0]].assign(sample="T1", tissue="tumour")
    return pd.concat([design, tumour], ignore_index=True)


TUMOUR = {"tumour": {"epithelial": 80.0, "cd8_tex": 20.0, "mono_classical": 0.0}}


def test_a_tissue_has_its_own_cell_types_and_their_genes(tmp_path):
    made = simulate_cohort(two_arms(tmp_path), 7, **{**SMALL, "abundances": TUMOUR})
    cells = true_rows(made)
    tumour = cells["sample"] == "T1"
    assert {"epithelial", "cd8_tex"} <= set(cells.loc[tumour, "type"])
    assert "mono_classical" not in set(cells.loc[tumour, "type"])
    assert not {"epithelial", "cd8_tex"} & set(cells.loc[~tumour, "type"])
    epithelial = (made.cells.loc[made.cells["sample"] == "T1", "type"] == "epithelial").to_numpy()
    keratin = made.counts["T1"][:, made.genes.index("KRT18")].toarray().ravel()
    assert keratin[epithelial].mean() > 10 * keratin[~epithelial].mean()


def test_no_tissue_leaves_the_genes_of_blood_as_they_are(written):
    assert "KRT18" not in written[1].genes


def test_effects_of_an_arm_act_in_that_arm_alone(tmp_path):
    chosen = {"treated_arms": ["studied"], "effects": {}, "visit_effects": {}, "expression_effects": {}}
    settings = {**SMALL, **chosen, "arm_effects": {"b": 3.0}, "patient_sd": 0.0, "change_sd": 0.0}
    design = two_arms(tmp_path)
    made = simulate_cohort(design, 7, **settings)
    cells = true_rows(made).merge(design[["sample", "arm", "visit"]], on="sample")
    share = (cells["type"] == "b").groupby([cells["arm"], cells["visit"]]).mean()
    assert share["studied", "on_treatment"] > 4 * share["studied", "baseline"]
    assert share["control", "on_treatment"] < 2 * share["control", "baseline"]
    assert made.truth["planted"] == {"arm_by_visit": {"b": 3.0}}


def test_truth_tells_what_a_comparison_of_groups_finds_on_average(tmp_path):
    chosen = {"treated_arms": ["studied"], "effects": {"b": 1.0}, "arm_effects": {"pdc": 0.5}}
    design = two_arms(tmp_path)
    planted = simulate_cohort(design, 7, **{**SMALL, **chosen}).truth["planted"]
    patients = design.drop_duplicates("patient").set_index("patient")
    folds = pd.DataFrame(0.0, index=patients.index, columns=["b", "pdc"])
    studied, responds = patients["arm"] == "studied", patients["response"] == "responder"
    folds.loc[studied & responds, "b"], folds.loc[studied, "pdc"] = 1.0, 0.5
    for estimand, group in (("response_by_visit", responds), ("arm_by_visit", studied)):
        expected = folds[group].mean() - folds[~group].mean()
        assert planted[estimand] == pytest.approx(expected[expected != 0].to_dict(), abs=1e-6)


def test_clones_grow_in_responders_of_the_arm_studied_alone(tmp_path):
    design = two_arms(tmp_path)
    made = simulate_cohort(design, 7, **{**SMALL, "treated_arms": ["studied"]})
    grown = {row["patient"] for row in made.truth["expanding_clones"]}
    chosen = design[(design["arm"] == "studied") & (design["response"] == "responder")]
    assert grown == set(chosen["patient"])
    assert grown


def test_a_type_that_is_nowhere_described_is_refused(tmp_path):
    with pytest.raises(DesignError, match="no cell type named unicorn"):
        simulate_cohort(two_arms(tmp_path), 7, **{**SMALL, "abundances": {"tumour": {"unicorn": 1.0}}})


def test_samples_without_a_file_are_left_out_and_the_others_stay_as_they_were(written, tmp_path):
    design, simulated, _, _ = written
    first, second = design["patient"].unique()[:2]
    files = ["gex", "tcr", "bulk_tcr"]
    fewer = design.copy()
    fewer.loc[fewer["patient"] == first, files] = ""
    fewer.loc[fewer["patient"] == second, "bulk_tcr"] = ""
    made = simulate_cohort(fewer, 7, **SMALL)
    assert set(made.counts) == set(design.loc[design["patient"] != first, "sample"])
    assert set(made.bulk) == set(design.loc[~design["patient"].isin([first, second]), "sample"])
    for sample in made.bulk:
        pd.testing.assert_frame_equal(made.bulk[sample], simulated.bulk[sample])
        pd.testing.assert_frame_equal(made.contigs[sample], simulated.contigs[sample])
    assert made.truth["planted"] == simulated.truth["planted"]
