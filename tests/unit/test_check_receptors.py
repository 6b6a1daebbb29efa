import numpy as np
import pandas as pd
import pytest

from immune_landscape.check_receptors import DOUBLET_COLUMNS, LINEAGE_COLUMNS, check_receptors

SETTINGS = {"max_foreign_share": 0.05, "min_lineage_cells": 4}


def samples_of(*names, stripped=False):
    rows = [(name, name[:2], "v1", stripped) for name in names]
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "suffix_stripped"])


def receptors_of(rows):
    """Build the clonotype table of (cell, category, clonotype, arms): arms of which there are chains."""
    table = pd.DataFrame(rows, columns=["cell", "chain_pairing", "clonotype", "arms"]).set_index("cell")
    table["sample"] = [cell.split(":")[0] for cell in table.index]
    table["has_receptor"] = table["clonotype"] != ""
    for arm in ("vj", "vdj"):
        table[f"{arm}_junction_aa"] = np.where(table["arms"].str.split("+").map(set(arm.split()).issubset), "CAF", "")
    sizes = table[table["has_receptor"]].groupby(["sample", "clonotype"])["arms"].transform("size")
    return table.assign(clonotype_size_sample=sizes.reindex(table.index).astype("Int64"))


def doublets_of(rows, cutoff="scrublet"):
    table = pd.DataFrame(rows, columns=["cell", "doublet", "doublet_score"]).set_index("cell")
    return table.assign(sample=[cell.split(":")[0] for cell in table.index], cutoff=cutoff)


def labels_of(rows):
    table = pd.DataFrame(rows, columns=["cell", "lineage"]).set_index("cell")
    branch = table["lineage"].map({"t": "t", "nk": "nk"}).fillna("other")
    return table.assign(sample=[cell.split(":")[0] for cell in table.index], branch=branch)


def two_samples():
    """Return 20 and 10 cells: the first two of each sample are multichain, and in s1 both are called."""
    cells = [f"s1:{at}" for at in range(20)] + [f"s2:{at}" for at in range(10)]
    category = ["multichain"] * 2 + ["single pair"] * 8 + ["no"] * 10 + ["multichain"] * 2 + ["single pair"] * 8
    rows = [
        (cell, kind, "" if kind == "multichain" else f"c{at}", "vj+vdj")
        for at, (cell, kind) in enumerate(zip(cells, category, strict=True))
        if kind != "no"
    ]
    called = [cell in ("s1:0", "s1:1", "s1:2", "s1:15", "s2:5") for cell in cells]
    scores = [1.0 if hit else at / 100 for at, hit in enumerate(called)]
    return receptors_of(rows), doublets_of(list(zip(cells, called, scores, strict=True)))


def test_multichain_cells_are_crossed_with_doublet_calls():
    clonotypes, doublets = two_samples()
    found, _ = check_receptors(clonotypes, doublets, labels_of([]), samples_of("s1", "s2"), **SETTINGS)
    assert list(found.columns) == DOUBLET_COLUMNS
    assert found["sample"].unique().tolist() == ["all", "s1", "s2"]
    rows = found.set_index(["sample", "chain_pairing"])
    assert rows.loc[("s1", "multichain"), ["cells", "doublets"]].tolist() == [2, 2]
    assert rows.loc[("s1", "multichain"), ["share", "expected_share", "ratio"]].tolist() == [1, 4 / 20, 5]
    assert rows.loc[("s2", "multichain"), ["share", "expected_share", "ratio"]].tolist() == [0, 1 / 10, 0]
    assert rows.loc[("s1", "no contig"), ["cells", "doublets"]].tolist() == [10, 1]
    # Over all samples the share expected is that of each sample, weighted by the cells of the category.
    every = rows.loc[("all", "multichain")]
    assert every[["cells", "doublets", "share"]].tolist() == [4, 2, 0.5]
    assert every["expected_share"] == pytest.approx((2 * 4 / 20 + 2 * 1 / 10) / 4)
    assert found[found["sample"] == "s1"]["cells"].sum() == 20


def test_scores_are_ranked_within_their_sample():
    clonotypes, doublets = two_samples()
    doublets.loc[doublets["sample"] == "s2", "doublet_score"] += 100
    found, _ = check_receptors(clonotypes, doublets, labels_of([]), samples_of("s1", "s2"), **SETTINGS)
    of_sample = found[found["sample"] != "all"]
    weighted = (of_sample["score_percentile"] * of_sample["cells"]).groupby(of_sample["sample"]).sum()
    assert (weighted / of_sample.groupby("sample")["cells"].sum()).tolist() == pytest.approx([0.5, 0.5])
    rows = found.set_index(["sample", "chain_pairing"])["score_percentile"]
    assert rows[("s1", "multichain")] > 0.8
    assert rows[("s2", "multichain")] < 0.2


def test_a_sample_that_was_not_scored_says_nothing():
    clonotypes, doublets = two_samples()
    doublets.loc[doublets["sample"] == "s2", ["cutoff", "doublet_score"]] = ["not_scored", np.nan]
    found, _ = check_receptors(clonotypes, doublets, labels_of([]), samples_of("s1", "s2"), **SETTINGS)
    assert found["sample"].unique().tolist() == ["all", "s1"]


def test_removed_doublets_are_found_where_suffixes_were_cut_to_match():
    clonotypes = receptors_of([("s1:AAAC", "single pair", "c1", "vj+vdj"), ("s1:CCCA-1", "multichain", "", "vj")])
    doublets = doublets_of([("s1:AAAC", False, 0.1), ("s1:CCCA", True, 0.9), ("s1:GGGT", False, 0.2)])
    samples = samples_of("s1", stripped=True)
    found, _ = check_receptors(clonotypes, doublets, labels_of([]), samples, **SETTINGS)
    rows = found[found["sample"] == "s1"].set_index("chain_pairing")["doublets"]
    assert rows.to_dict() == {"single pair": 0, "multichain": 1, "no contig": 0}


def lineage_table():
    receptors = [
        ("s1:t1", "c1", "vj+vdj"),
        ("s1:t2", "c1", "vj+vdj"),
        ("s1:b1", "c1", "vdj"),
        ("s1:m1", "c9", "vj+vdj"),
    ]
    clonotypes = receptors_of(
        [(cell, "single pair", clone, arms) for cell, clone, arms in receptors]
        + [("s1:b2", "no IR", "", "vj"), ("s1:gone", "single pair", "c1", "vj+vdj")]
    )
    labels = [("s1:t1", "t"), ("s1:t2", "t"), ("s1:t3", "t"), *[(f"s1:b{at}", "b") for at in range(1, 6)]]
    labels += [("s1:m1", "mono_classical"), ("s1:m2", "mono_classical")]
    none = doublets_of([("s1:t1", False, 0.1)])
    return check_receptors(clonotypes, none, labels_of(labels), samples_of("s1"), **SETTINGS)[1]


def test_receptors_of_other_cells_are_counted_by_lineage():
    found = lineage_table()
    assert list(found.columns) == LINEAGE_COLUMNS
    rows = found.set_index("lineage")
    assert rows.index.tolist() == ["t", "b", "mono_classical"]
    counts = rows[["cells", "with_receptor", "paired", "clone_in_t_cells", "expanded_clone"]]
    assert counts.loc["t"].tolist() == [3, 2, 2, 2, 2]
    assert counts.loc["b"].tolist() == [5, 1, 0, 1, 1]
    assert counts.loc["mono_classical"].tolist() == [2, 1, 1, 0, 0]
    assert rows["share"].tolist() == pytest.approx([2 / 3, 1 / 5, 1 / 2])


def test_only_large_enough_lineages_without_t_cells_are_marked():
    rows = lineage_table().set_index("lineage")["evidence"]
    assert rows.to_dict() == {"t": "", "b": "doublets or ambient", "mono_classical": ""}


def test_the_same_clone_name_in_another_sample_is_no_t_cell_here():
    clonotypes = receptors_of([("s1:a", "single pair", "c1", "vj+vdj"), ("s2:b", "single pair", "c1", "vj+vdj")])
    labels = labels_of([("s1:a", "t"), ("s2:b", "b")])
    found = check_receptors(clonotypes, doublets_of([("s1:a", False, 0)]), labels, samples_of("s1", "s2"), **SETTINGS)[
        1
    ]
    assert found.set_index("lineage")["clone_in_t_cells"].to_dict() == {"t": 1, "b": 0}
