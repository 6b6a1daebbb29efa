import pandas as pd

from immune_landscape.define_labels import define_labels


def test_branch_cells_take_subset_others_keep_lineage():
    lineages = pd.DataFrame(
        {
            "sample": "S1",
            "cluster": "0",
            "lineage": ["nk", "t", "b", "nk"],
            "branch": ["nk", "t", "other", "nk"],
            "score": 5.0,
            "runner_up": "",
            "margin": 1.0,
        },
        index=pd.Index(list("wxyz"), name="cell"),
    )
    nk = pd.DataFrame(
        {"subset": ["nk_cd56dim", "nk_unassigned"], "score": [2.0, 0.5], "margin": [0.3, 0.1]},
        index=["w", "z"],
    )
    t = pd.DataFrame({"subset": ["treg"], "score": [3.0], "margin": [0.4]}, index=["x"])
    labels = define_labels(lineages, nk, t)
    assert labels["subset"].to_dict() == {"w": "nk_cd56dim", "x": "treg", "y": "b", "z": "nk_unassigned"}
    assert labels["score"].to_dict() == {"w": 2.0, "x": 3.0, "y": 5.0, "z": 0.5}
    assert list(labels.columns) == ["sample", "lineage", "branch", "subset", "score", "margin"]
