import anndata
import numpy as np
import pandas as pd
import pytest
from clones import receptors_of, settings_of

from immune_landscape.cluster_clonotypes import CLUSTER_COLUMNS, MEMBER_COLUMNS, cluster_clonotypes
from immune_landscape.define_clonotypes import define_clonotypes
from immune_landscape.receptors_io import to_awkward

OFF = settings_of("cluster_clonotypes")
BETA = OFF | {"metric": "hamming", "cutoff": 1, "receptor_arms": "VDJ"}


def receptors(*cells):
    """Build cells of (patient, V gene, CDR3 as amino acids), each with one beta chain."""
    ids = [f"{patient}_s:{at}" for at, (patient, _, _) in enumerate(cells)]
    table = pd.DataFrame(
        {"cell_id": ids, "v_call": [cell[1] for cell in cells], "junction_aa": [cell[2] for cell in cells]}
    )
    table = table.assign(locus="TRB", j_call="TRBJ1", productive=True, umi_count=1.0, consensus_count=np.nan)
    table["junction"] = ["TGT" + "".join(f"{ord(letter):03d}" for letter in cell[2]) for cell in cells]
    patients = [cell[0] for cell in cells]
    obs = pd.DataFrame({"sample": [f"{name}_s" for name in patients], "patient": patients, "visit": "v"}, index=ids)
    return anndata.AnnData(obs=obs, obsm={"airr": to_awkward(table, obs.index)})


def clusters_of(data, **settings):
    clonotypes, _ = define_clonotypes(data, **settings_of("define_clonotypes"))
    return cluster_clonotypes(data, clonotypes, 1, **BETA | settings)


CELLS = [
    ("p1", "TRBV1*01", "CASSLF"),
    ("p1", "TRBV1*01", "CASSLF"),
    ("p1", "TRBV1*02", "CASSPF"),
    ("p1", "TRBV1", "CASTPF"),
    ("p1", "TRBV2", "CASSLF"),
    ("p1", "TRBV1", "CQQQQF"),
    ("p2", "TRBV1", "CASSLF"),
]


def test_off_unless_a_metric_is_named():
    data = receptors(*CELLS)
    clonotypes, _ = define_clonotypes(data, **settings_of("define_clonotypes"))
    clusters, members = cluster_clonotypes(data, clonotypes, 1, **OFF)
    assert OFF["metric"] == "none"
    assert clusters.empty
    assert members.empty
    assert (list(clusters.columns), list(members.columns)) == (CLUSTER_COLUMNS, MEMBER_COLUMNS)


def test_alike_receptors_of_a_patient_are_joined_through_those_between():
    clusters, members = clusters_of(receptors(*CELLS))
    assert clusters[["clonotypes", "cells", "patients", "samples"]].to_numpy().tolist() == [[3, 4, 1, 1]]
    own = members[members["cluster"] == "cluster-1"]
    assert own["vdj_junction_aa"].tolist() == ["CASSLF", "CASSPF", "CASTPF"]
    assert own["cells"].tolist() == [2, 1, 1]
    assert clusters["vdj_junction_aa"].tolist() == ["CASSLF"]
    assert members["cluster"].nunique() == 4


def test_patients_are_compared_only_where_asked():
    clusters, _ = clusters_of(receptors(*CELLS), scope="cohort")
    assert clusters[["clonotypes", "cells", "patients", "samples"]].to_numpy().tolist() == [[4, 5, 2, 2]]


def test_another_v_gene_joins_only_where_allowed():
    _, members = clusters_of(receptors(*CELLS), same_v_gene=False)
    assert set(members.loc[members["cluster"] == "cluster-1", "vdj_v_gene"]) == {"TRBV1", "TRBV2"}


@pytest.mark.parametrize(("metric", "cutoff"), [("hamming", 1), ("tcrdist", 12)])
def test_real_pairs_within_a_cluster_are_as_near_as_asked(metric, cutoff):
    receptors_, chosen = receptors_of("pbmc5p"), BETA | {"metric": metric, "cutoff": cutoff, "dual_ir": "primary_only"}
    clonotypes, _ = define_clonotypes(receptors_, **settings_of("define_clonotypes"))
    clusters, members = cluster_clonotypes(receptors_, clonotypes, 1, **chosen)
    assert len(clusters) > 3
    assert set(members["clonotype"]) == set(clonotypes.loc[clonotypes["vdj_junction_aa"] != "", "clonotype"]) - {""}
    for _, own in members[members["cluster"].isin(clusters["cluster"])].groupby("cluster"):
        assert len(set(own["vdj_v_gene"])) == 1
        if metric == "hamming":
            assert all(_nearest(text, own["vdj_junction_aa"]) <= cutoff for text in own["vdj_junction_aa"])


def _nearest(text, others):
    """Return the smallest number of substitutions to another of the texts; one text occurs once more than itself."""
    same = [other for other in others if len(other) == len(text)]
    distances = sorted(sum(one != two for one, two in zip(text, other, strict=True)) for other in same)
    return distances[1]
