import pandas as pd

from immune_landscape.define_labels import define_labels
from immune_landscape.store import read_table, write_table

LINEAGES = pd.DataFrame(
    {
        "sample": "S1",
        "cluster": ["0", "1", "2", "0"],
        "lineage": ["nk", "t", "b", "nk"],
        "branch": ["nk", "t", "other", "nk"],
        "score": 5.0,
        "runner_up": "",
        "margin": 1.0,
        "agreement": 1.0,
    },
    index=pd.Index(list("wxyz"), name="cell"),
)
FACTS = {"score": [2.0, 0.5], "margin": [0.3, 0.1], "agreement": [1.0, 0.5]}
NK = pd.DataFrame(
    {"subset": ["nk_cd56dim", "nk_unassigned"], "state": ["nk_activated", ""], "cluster": ["0", "3"], **FACTS},
    index=pd.Index(["w", "z"], name="cell"),
)
T = pd.DataFrame(
    {"subset": ["treg"], "state": [""], "cluster": ["1"], "score": [3.0], "margin": [0.4], "agreement": [0.5]},
    index=pd.Index(["x"], name="cell"),
)
COLUMNS = [
    "sample", "lineage", "branch", "subset", "state", "cluster", "cluster_name", "score", "margin", "agreement",
]  # fmt: skip


def test_branch_cells_take_subset_others_keep_lineage():
    labels = define_labels(LINEAGES, [NK, T])
    assert list(labels.columns) == COLUMNS
    assert labels["subset"].to_dict() == {"w": "nk_cd56dim", "x": "treg", "y": "b", "z": "nk_unassigned"}
    assert labels["score"].to_dict() == {"w": 2.0, "x": 3.0, "y": 5.0, "z": 0.5}
    assert labels["agreement"].to_dict() == {"w": 1.0, "x": 0.5, "y": 1.0, "z": 0.5}
    assert labels["state"].to_dict() == {"w": "nk_activated", "x": "", "y": "", "z": ""}
    assert labels["cluster"].to_dict() == {"w": "0", "x": "1", "y": "2", "z": "3"}
    assert (labels["cluster_name"] == "").all()


def test_clusters_of_the_branches_take_their_names():
    names = [
        pd.DataFrame({"cluster": ["0"], "name": ["c4-ZEB2"]}),
        pd.DataFrame({"cluster": ["1"], "name": ["c2-IL2RA"]}),
    ]
    labels = define_labels(LINEAGES, [NK, T], names)
    assert labels["cluster_name"].to_dict() == {"w": "c4-ZEB2", "x": "c2-IL2RA", "y": "", "z": ""}


def test_tables_read_back_from_files_give_the_same(tmp_path):
    read = []
    for name, table in {"lineages": LINEAGES, "nk": NK, "t": T}.items():
        write_table(table.reset_index(), tmp_path / f"{name}.tsv.gz")
        read.append(read_table(tmp_path / f"{name}.tsv.gz", index="cell"))
    found, wanted = define_labels(read[0], read[1:]), define_labels(LINEAGES, [NK, T])
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_index_type=False)
