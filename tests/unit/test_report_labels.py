"""The part of the summary page on names and identity."""

import numpy as np
import pandas as pd
import pytest

from immune_landscape.name_clusters import NO_STATE
from immune_landscape.report_labels import agreement_section, cluster_section, identity_section

STUDY = {"labels": {}, "visits": ["before"], "alpha": 0.05}


def clusters_of():
    return pd.DataFrame(
        {
            "cluster": ["0", "1"],
            "name": ["c4-ZEB2", "c1-GZMK"],
            "subset": ["nk_c4_zeb2", "nk_cd56bright"],
            "cells": [1200, 300],
            "state": [NO_STATE, "pub_cd56bright"],
            "nearest": ["pub_nk1b", "pub_cd56bright"],
            "similarity": [0.21, 0.61],
            "margin": [0.01, 0.2],
            "patients": [19, 3],
            "flag": ["", "one patient"],
        }
    )


def anchors_of(*statuses):
    return pd.DataFrame(
        {
            "subset": ["nk_c4_zeb2", "nk_c5_il7", ""],
            "anchor": ["ZEB2", "IL7", "IL7R"],
            "cluster": ["0", "1", "1"],
            "status": ["named", *statuses],
        }
    )


def test_an_anchor_without_a_cluster_is_told():
    text = str(cluster_section(clusters_of(), anchors_of("no match", "named"), STUDY))
    assert "No match: NK c5-IL7." in text
    assert "one patient" in text
    assert "0.61" in text


def test_an_anchor_without_a_label_is_told_by_its_gene_and_one_not_measured_is_no_missing_match():
    text = str(cluster_section(clusters_of(), anchors_of("not measured", "no match"), STUDY))
    assert "No match: IL7R. Not measured: NK c5-IL7." in text


def test_a_state_that_is_not_near_enough_stands_in_brackets():
    text = str(cluster_section(clusters_of(), anchors_of("named", "named"), STUDY))
    assert "(NK1B)" in text
    assert "(CD56bright)" not in text


def test_a_branch_without_published_states_has_no_column_of_them():
    clusters = clusters_of().assign(state=NO_STATE, nearest="", similarity=np.nan, margin=np.nan)
    text = str(cluster_section(clusters, anchors_of("named", "named"), STUDY))
    assert "published state" not in text
    assert text.count("<td") == 5 * len(clusters)


def test_nothing_is_said_of_anchors_when_all_have_a_cluster():
    assert "No match" not in str(cluster_section(clusters_of(), anchors_of("named", "named"), STUDY))


@pytest.mark.parametrize(("share", "kappa", "expected"), [(0.9321, 0.874, "93.2%"), (np.nan, np.nan, "–")])
def test_agreement_is_a_share_of_the_cells_that_both_name(share, kappa, expected):
    row = {"level": "subset", "branch": "t", "annotator_a": "markers", "annotator_b": "receptor", "cells": 1234}
    text = str(agreement_section(pd.DataFrame([{**row, "agree": share, "kappa": kappa}]), STUDY))
    assert expected in text
    assert "1,234" in text
    assert "markers of the cell and receptor" in text
    assert ("0.87" in text) is not np.isnan(kappa)


def test_flagged_samples_are_named_with_the_reason():
    notes = ["", "male genes, female on the sheet"]
    samples = pd.DataFrame({"sample": ["p1_v1", "p2_v1"], "verdict": ["agrees", "flagged"], "note": notes})
    text = str(identity_section(samples, None, None))
    assert "p2_v1: male genes, female on the sheet" in text
    assert "p1_v1" not in text
    methods = ["sex_genes", "genotypes"] * 2
    donors = pd.DataFrame({"method": methods, "verdict": ["cannot be determined", "donor cells found"] * 2})
    text = str(identity_section(samples, donors, None))
    assert "Cells of the donor, by sex genes: 2 samples cannot be determined." in text
    assert "Cells of the donor, by genotypes: 2 samples donor cells found." in text


def test_pairs_of_patients_that_share_too_many_clones_are_named():
    pairs = pd.DataFrame(
        {
            "source": ["tcr", "bulk_tcr", "bulk_tcr"],
            "patient_a": ["p1", "p1", "p1"],
            "patient_b": ["p2", "p2", "p3"],
            "verdict": ["as expected", "flagged", "as expected"],
            "note": ["", "40 shared, up to 3 expected", ""],
        }
    )
    text = str(identity_section(None, None, pairs))
    assert "0 of 1 pair of patients share more clones of cells than expected" in text
    assert "1 of 2 pairs of patients share more clones of bulk repertoires than expected" in text
    assert "p1 and p2: 40 shared, up to 3 expected" in text
    assert "p3" not in text
