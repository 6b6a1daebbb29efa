import numpy as np
import pandas as pd
from cells import make_counts

from immune_landscape.merge_samples import count_cells, merge_samples


def tables():
    one = make_counts([[1, 2], [3, 4], [5, 6]], ["A", "B"], ["S1"] * 3)
    two = make_counts([[7, 8]], ["B", "C"], ["S2"])
    two.var["gene_id"] = ["", "ENSG3"]
    names = list(one.obs_names) + list(two.obs_names)
    quality = pd.DataFrame({"sample": ["S1", "S1", "S1", "S2"], "keep": [True, True, False, True]}, index=names)
    doublets = pd.DataFrame(
        {"sample": ["S1", "S1", "S2"], "doublet": [False, True, False]}, index=[*names[:2], names[3]]
    )
    return [one, two], quality, doublets


def test_only_kept_single_cells_stay_and_counts_do_not_change():
    parts, quality, doublets = tables()
    merged = merge_samples(parts, quality, doublets, remove_doublets=True).to_memory()
    assert list(merged.obs_names) == ["S1:C0", "S2:C0"]
    assert merged.to_df().loc["S1:C0"].to_dict() == {"A": 1, "B": 2, "C": 0}
    assert merged.to_df().loc["S2:C0"].to_dict() == {"A": 0, "B": 7, "C": 8}
    assert merged.X.dtype == np.int32
    assert merged.var["gene_id"].to_dict() == {"A": "", "B": "", "C": "ENSG3"}


def test_genes_are_sorted_whatever_the_jobs_bring():
    parts, quality, doublets = tables()
    parts = [parts[0][:, ["B", "A"]].copy(), parts[1][:, ["C", "B"]].copy()]
    merged = merge_samples(parts, quality, doublets, remove_doublets=True).to_memory()
    assert list(merged.var_names) == ["A", "B", "C"]
    assert merged.to_df().loc["S2:C0"].to_dict() == {"A": 0, "B": 7, "C": 8}
    assert merged.var["gene_id"].to_dict() == {"A": "", "B": "", "C": "ENSG3"}
    same = [part[:, ["B", "A"]].copy() for part in (parts[0], parts[0][:0])]
    assert list(merge_samples(same, quality, doublets, remove_doublets=True).var_names) == ["A", "B"]


def test_doublets_can_stay():
    parts, quality, doublets = tables()
    assert merge_samples(parts, quality, doublets, remove_doublets=False).n_obs == 3


def test_steps_count_every_sample_of_the_sheet():
    parts, quality, doublets = tables()
    merged = merge_samples(parts, quality, doublets, remove_doublets=True).to_memory()
    steps = count_cells(quality, doublets, merged, ["S1", "S2", "S3"]).set_index("sample")
    assert steps.loc["S1"].tolist() == [3, 2, 1, 1]
    assert steps.loc["S2"].tolist() == [1, 1, 0, 1]
    assert steps.loc["S3"].tolist() == [0, 0, 0, 0]
