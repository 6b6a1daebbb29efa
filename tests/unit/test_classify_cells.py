"""A reference votes on the name of each cell, abstains where it is unsure, and is refused where it cannot be used."""

from pathlib import Path

import anndata
import made_references as made
import numpy as np
import pandas as pd
import pytest
import yaml

from immune_landscape.cell_types import read_cell_types
from immune_landscape.classify_cells import (
    choose_cells,
    choose_markers,
    classify_cells,
    find_groups,
    fit_labels,
    predict_by_model,
    vote,
)
from immune_landscape.errors import InputError
from immune_landscape.reduce_cells import normalise
from immune_landscape.references import (
    check_file,
    import_celltypist,
    map_labels,
    read_public_labels,
    reference_of,
    reference_problems,
    types_of_labels,
)

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "settings" / "classify_cells.schema.yaml"


def classified(spec, folder, counts, clusters, seed=1, **changes):
    reference = reference_of(spec, folder / spec["file"])
    return classify_cells(counts, clusters, reference, seed, **{**made.SETTINGS, **changes})


def test_labelled_cells_name_the_cells_of_another_sample(tmp_path):
    counts, clusters, truth = made.make_cohort()
    votes = classified(made.write_cells(tmp_path / "ref.h5ad"), tmp_path, counts, clusters)
    assert list(votes.columns) == ["sample", "label", "lineage", "subset", "probability"]
    assert votes.index.name == "cell"
    assert (votes["label"].to_numpy() == truth).mean() > 0.98
    helper = votes[truth == "helper"]
    assert (helper["lineage"] == "t").mean() > 0.95
    assert (helper["subset"] == "cd4_tn").mean() > 0.95
    assert (votes.loc[truth == "killer", "subset"] == "").all()
    assert votes["probability"].between(0, 1).all()
    assert (votes["sample"] == counts.obs["sample"].astype(str)).all()


def test_a_celltypist_model_names_cells_with_its_own_probabilities(tmp_path):
    counts, clusters, truth = made.make_cohort()
    spec = made.write_model(tmp_path / "model.pkl")
    votes = classified(spec, tmp_path, counts, clusters)
    assert (votes["label"].to_numpy() == truth).mean() > 0.98
    found = predict_by_model(counts, reference_of(spec, tmp_path / "model.pkl"), 100)
    # CellTypist scales, cuts at 10, and takes the logistic function of each label's score.
    model = import_celltypist().models.Model.load(str(tmp_path / "model.pkl"))
    scaled = np.minimum((normalise(counts, 1e4).X.toarray() - model.scaler.mean_) / model.scaler.scale_, 10)
    scores = scaled @ model.classifier.coef_.T + model.classifier.intercept_
    np.testing.assert_allclose(found.to_numpy(), 1 / (1 + np.exp(-scores)), atol=1e-5)


def test_votes_without_abstention_are_those_of_celltypist(tmp_path):
    rng = np.random.default_rng(3)
    cells = [f"S1:{at}" for at in range(200)]
    probability = pd.DataFrame(rng.dirichlet(np.ones(3), 200), index=cells, columns=["a", "b", "c"])
    group = pd.Series(rng.integers(0, 15, 200).astype(str), index=cells)
    types = pd.DataFrame({"lineage": ["b", "t", "nk"], "subset": ["", "", ""]}, index=["a", "b", "c"])
    ours = vote(probability, types, group, (0.0, 0.0), 0.0)
    celltypist = import_celltypist()
    labels = pd.DataFrame({"predicted_labels": probability.idxmax(axis=1)})
    result = celltypist.classifier.AnnotationResult(labels, probability, probability, None)
    theirs = celltypist.classifier.Classifier.majority_vote(result, group).predicted_labels["majority_voting"]
    assert (ours["label"] == theirs.astype(str)).all()
    assert ours["label"].nunique() == 3


def votes_of(rows, group, least=(0.5, 0.8), share=0.5):
    cells = [f"S1:{at}" for at in range(len(rows))]
    probability = pd.DataFrame(rows, index=cells, columns=["cd4_tn", "cd8_tn", "nk"])
    types = types_of_labels({"cd4_tn": "cd4_tn", "cd8_tn": "cd8_tn", "nk": "nk"})
    return vote(probability, types, pd.Series(group, index=cells), least, share)


def test_cells_of_low_probability_cast_no_vote():
    sure, unsure = [0.1, 0.1, 0.8], [0.3, 0.25, 0.45]
    votes = votes_of([sure, sure, unsure, sure, unsure, unsure], list("aaabbb"))
    assert votes["label"].to_list() == ["nk", "nk", "nk", "", "", ""]
    # A cell that abstains is named by its group, with its own probability of that label.
    assert votes["probability"].iloc[2] == pytest.approx(0.45)
    assert votes["probability"].iloc[3:].isna().all()


def test_a_lineage_wins_where_no_label_does():
    votes = votes_of([[0.48, 0.47, 0.05]] * 3, list("aaa"))
    assert votes["label"].to_list() == [""] * 3
    assert votes["lineage"].to_list() == ["t"] * 3
    assert votes["subset"].to_list() == [""] * 3
    assert votes["probability"].to_list() == pytest.approx([0.95] * 3)
    assert votes_of([[0.4, 0.35, 0.25]] * 3, list("aaa"))["lineage"].to_list() == [""] * 3


def test_a_lineage_of_many_labels_does_not_win_by_their_number():
    # One against the rest: each of twenty T labels is unlikely, and together they add up to more than any.
    labels = {f"T{at}": "cd4_t" for at in range(20)} | {"NK bright": "nk", "NK dim": "nk"}
    rows = pd.DataFrame([[0.05] * 20 + [0.45, 0.45]] * 3, index=list("abc"), columns=list(labels))
    types, group = types_of_labels(labels), pd.Series("x", index=rows.index)
    assert vote(rows, types, group, (0.5, 0.8), 0.5)["lineage"].to_list() == [""] * 3
    assert vote(rows.assign(**{"NK dim": 1.0}) * 0.5, types, group, (0.6, 0.55), 0.5)["lineage"].to_list() == ["nk"] * 3


def test_nobody_sure_gives_no_vote():
    votes = votes_of([[0.34, 0.33, 0.33]] * 2, list("ab"))
    assert (votes[["label", "lineage", "subset"]] == "").all(axis=None)


def test_a_label_without_counterpart_votes_for_no_lineage():
    cells = ["S1:1", "S1:2"]
    probability = pd.DataFrame([[0.9, 0.1]] * 2, index=cells, columns=["thymocyte", "b"])
    votes = vote(
        probability, types_of_labels({"thymocyte": "", "b": "b"}), pd.Series("x", index=cells), (0.5, 0.8), 0.5
    )
    assert votes["label"].to_list() == ["thymocyte"] * 2
    assert votes["lineage"].to_list() == ["", ""]


def test_order_of_cells_and_genes_of_the_reference_does_not_matter(tmp_path):
    counts, clusters, _ = made.make_cohort()
    spec = made.write_cells(tmp_path / "ref.h5ad")
    first = classified(spec, tmp_path, counts, clusters, max_cells=30)
    shuffled = anndata.read_h5ad(tmp_path / "ref.h5ad")
    rng = np.random.default_rng(5)
    turned = shuffled[rng.permutation(shuffled.n_obs), rng.permutation(shuffled.n_vars)].copy()
    other = made.write_cells(tmp_path / "turned.h5ad", counts=turned, labels=turned.obs["label"].astype(str).to_numpy())
    second = classified(other, tmp_path, counts, clusters, max_cells=30)
    assert (first["label"] == second["label"]).all()
    np.testing.assert_allclose(first["probability"], second["probability"], atol=1e-4)


def test_rare_labels_weigh_as_much_as_common_ones(tmp_path):
    counts, clusters, truth = made.make_cohort()
    sizes = {"helper": 400, "cytotoxic": 25, "killer": 25, "b_like": 25}
    votes = classified(made.write_cells(tmp_path / "ref.h5ad", sizes), tmp_path, counts, clusters)
    assert (votes["label"].to_numpy() == truth).mean() > 0.95


def test_chosen_cells_are_balanced_and_repeatable():
    labels = pd.Series(["a"] * 50 + ["b"] * 5, index=[f"c{at:02d}" for at in range(55)])
    chosen = choose_cells(labels, 10, 1)
    assert labels[chosen].value_counts().to_dict() == {"a": 10, "b": 5}
    assert chosen == choose_cells(labels.sample(frac=1, random_state=0), 10, 1)
    assert chosen != choose_cells(labels, 10, 2)


def test_chosen_genes_are_the_markers():
    counts, truth = made.make_groups(dict.fromkeys(made.MARKERS, 60), made.MARKERS, seed=4)
    genes = set(counts.var_names[choose_markers(normalise(counts, 1e4), truth, 6)])
    wanted = {gene for names in made.MARKERS.values() for gene in names}
    assert len(genes & wanted) / len(wanted) > 0.9


def test_model_ignores_what_cohort_and_reference_do_not_share():
    counts, truth = made.make_groups(dict.fromkeys(made.MARKERS, 40), made.MARKERS, seed=4)
    labels = pd.Series(truth, index=counts.obs_names)
    shared = counts.var_names[:200].sort_values()
    model = fit_labels(counts, labels, shared, 20, 0.01)
    changed = counts.copy()
    changed.X = changed.X.multiply(np.where(np.arange(counts.n_vars) < 200, 1, 7)).tocsr()
    assert (changed.X != counts.X).nnz > 0
    np.testing.assert_allclose(model.predict(counts), model.predict(changed), atol=1e-6)
    assert model.predict(counts).sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_groups_are_smaller_than_clusters_and_fall_back_on_them():
    _, clusters, truth = made.make_cohort()
    groups = find_groups(clusters, None, 1)
    assert groups.nunique() > len(made.MARKERS)
    assert len(pd.DataFrame({"truth": truth, "group": groups.to_numpy()}).drop_duplicates()) == groups.nunique()
    clusters.obsp["connectivities"] = clusters.obsp["connectivities"] * 0
    clusters.obsp["connectivities"].eliminate_zeros()
    assert (find_groups(clusters, None, 1) == truth).all()


def test_a_cohort_without_cells_has_no_votes(tmp_path):
    counts, clusters, _ = made.make_cohort()
    votes = classified(made.write_cells(tmp_path / "ref.h5ad"), tmp_path, counts[:0].copy(), clusters[:0].copy())
    assert votes.shape == (0, 5)


def test_sound_references_have_no_problem(tmp_path):
    counts, _, _ = made.make_cohort()
    for spec in (made.write_cells(tmp_path / "ref.h5ad"), made.write_model(tmp_path / "model.pkl")):
        assert reference_problems(spec, tmp_path, genes=counts.var_names, min_genes=100) == []


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_model_with_another_checksum_is_never_unpickled(tmp_path):
    import pickle

    spec = made.write_model(tmp_path / "model.pkl")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    [(key, message)] = reference_problems(spec, tmp_path)
    assert key == "reference.file"
    assert "sha256 is" in message
    assert spec["sha256"] in message
    with pytest.raises(InputError, match="it was not opened"):
        reference_of(spec, tmp_path / "model.pkl")
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "model.pkl").read_bytes())
    assert (tmp_path / "ran").exists(), "the trap would not have told"


def problems(spec, folder, **changes):
    return dict(reference_problems({**spec, **changes}, folder))


def test_problems_of_a_labelled_h5ad_are_told_before_any_work(tmp_path):
    spec = made.write_cells(tmp_path / "ref.h5ad")
    assert "'ref2.h5ad' not found" in problems(spec, tmp_path, file="ref2.h5ad")["reference.file"]
    assert "needs the column" in problems(spec, tmp_path, label_column="")["reference.label_column"]
    assert (
        "obs has no column 'lable'; found 'label'" in problems(spec, tmp_path, label_column="lable")["reference.file"]
    )
    found = problems(spec, tmp_path, labels={"helper": "cd4_tn"})["reference.labels"]
    for label in ("cytotoxic", "killer", "b_like"):
        assert f"'{label}'" in found
    assert "'helper'" not in found
    wrong = problems(spec, tmp_path, labels={**made.SLUGS, "helper": "cd4_tx"})
    assert "is no id of a lineage or subset; did you mean cd4_t" in wrong["reference.labels.helper"]
    extra = problems(spec, tmp_path, labels={**made.SLUGS, "helpr": "t"})
    assert "did you mean helper?" in extra["reference.labels.helpr"]


def test_problems_of_a_model_are_told_before_any_work(tmp_path):
    spec = made.write_model(tmp_path / "model.pkl")
    assert "brings its labels" in problems(spec, tmp_path, label_column="label")["reference.label_column"]
    (tmp_path / "other.pkl").write_bytes(b"\x80\x04\x95\x0b")
    broken = {**spec, "file": "other.pkl", "sha256": made.sha256_of(tmp_path / "other.pkl")}
    assert "cannot be read as a CellTypist model" in problems(broken, tmp_path)["reference.file"]
    (tmp_path / "model.txt").write_text("x")
    assert "ends in neither" in problems(spec, tmp_path, file="model.txt")["reference.file"]


def test_normalised_values_and_lonely_labels_are_refused(tmp_path):
    counts, labels = made.make_groups(dict.fromkeys(made.MARKERS, 30), made.MARKERS, seed=4)
    spec = made.write_cells(tmp_path / "log.h5ad", counts=normalise(counts, 1e4), labels=labels)
    assert "looks log-transformed" in problems(spec, tmp_path)["reference.file"]
    spec = made.write_cells(tmp_path / "one.h5ad", {"helper": 30, "cytotoxic": 3, "killer": 3, "b_like": 3})
    assert "1 labels of at least 10 cells" in problems(spec, tmp_path)["reference.file"]


def test_too_few_shared_genes_are_told_by_check_and_stage(tmp_path):
    counts, clusters, _ = made.make_cohort()
    spec = made.write_cells(tmp_path / "ref.h5ad")
    [(_, message)] = reference_problems(spec, tmp_path, genes=["CD3D", "CD4", "ENSG0"], min_genes=100)
    assert "2 genes in common" in message
    few = counts[:, :50].copy()
    with pytest.raises(InputError, match="50 genes in common with the cohort, expected at least 100"):
        classified(spec, tmp_path, few, clusters)
    with pytest.raises(InputError, match="50 genes in common"):
        classified(made.write_model(tmp_path / "model.pkl"), tmp_path, few, clusters)


def test_a_renamed_file_is_no_model(tmp_path):
    spec = made.write_cells(tmp_path / "ref.h5ad")
    (tmp_path / "ref.h5ad").rename(tmp_path / "ref.pkl")
    assert "is an HDF5 file" in problems({**spec, "label_column": ""}, tmp_path, file="ref.pkl")["reference.file"]


def test_labels_are_given_known_or_named():
    slugs, unmapped = map_labels(["CD16+ NK cells", "treg", "mine", "odd"], {"mine": "mait"})
    assert slugs == {"CD16+ NK cells": "nk_cd56dim", "treg": "treg", "mine": "mait"}
    assert unmapped == ["odd"]
    assert map_labels(["treg"], {"treg": ""}) == ({"treg": ""}, [])


def test_ilc_means_nk_cells_in_the_high_model_alone():
    table = read_public_labels()
    for model, slug in (("high", "nk"), ("low", "ilc")):
        labels = list(table.loc[table["model"] == model, "label"])
        slugs, unmapped = map_labels(labels, {})
        assert unmapped == []
        assert slugs["ILC"] == slug


def test_public_labels_stand_for_types_that_exist():
    table = read_public_labels()
    types = read_cell_types()
    assert table["model"].value_counts().to_dict() == {"low": 98, "high": 32}
    assert not table.duplicated(["model", "label"]).any()
    assert set(table["slug"]) - {""} <= set(types.index[types["level"].isin(["lineage", "subset"])])


def test_subsets_bring_their_lineage():
    found = types_of_labels({"x": "treg", "y": "b", "z": ""})
    assert found.loc["x"].to_list() == ["t", "treg"]
    assert found.loc["y"].to_list() == ["b", ""]
    assert found.loc["z"].to_list() == ["", ""]


def test_checksum_is_of_the_file(tmp_path):
    spec = made.write_cells(tmp_path / "ref.h5ad")
    reference = reference_of(spec, tmp_path / "ref.h5ad")
    check_file(reference)
    with (tmp_path / "ref.h5ad").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(InputError, match=spec["sha256"]):
        check_file(reference)


def test_settings_are_those_of_the_schema():
    properties = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["properties"]
    assert set(properties) == set(made.SETTINGS)
    assert properties["min_probability"]["default"] == 0.5
