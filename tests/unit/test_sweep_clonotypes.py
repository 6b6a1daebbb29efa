import numpy as np
import pandas as pd
import pytest
from clones import settings_of

from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.define_clonotypes import define_clonotypes
from immune_landscape.measure_expansion import measure_expansion
from immune_landscape.receptor_chains import read_chains
from immune_landscape.receptors_io import to_awkward
from immune_landscape.store import read_table, write_table
from immune_landscape.sweep_clonotypes import (
    CONTRAST_COLUMNS,
    DEFINITION_COLUMNS,
    SAMPLE_COLUMNS,
    sweep_clonotypes,
)

SETTINGS = {
    "sequences": ["nt", "aa"],
    "chains": ["all", "paired", "VDJ"],
    "dual_rules": ["primary_only", "any"],
    "v_gene_rules": [True, False],
    "draws": 100,
}
CODONS = {"K": ("AAA", "AAG"), "P": ("CCC", "CCT"), "G": ("GGG", "GGT"), "F": ("TTT", "TTC")}
TESTING = {"alpha": 0.05, "power": 0.8, "max_exact": 100_000, "draws": 1000, "null_draws": 10}
MEASURE = settings_of("measure_expansion") | {"min_cells": 20, "t_cells_only": True}
CONTRAST = {
    "name": "response", "estimand": "response_by_visit", "reference": "before", "target": "after", "parents": ["all"],
    "family": "primary", "factor": "visit",
}  # fmt: skip


def cohort(patients=8, cells=40):
    """Return receptors of clones with silent variants and dropped alpha chains; responders' clones grow."""
    import anndata

    rng, chains, obs = np.random.default_rng(3), [], []
    for patient in range(patients):
        for visit in ("before", "after"):
            grown = visit == "after" and patient < patients // 2
            sizes = np.array([8 if grown else 2, 3, 2, *[1] * 40])
            clones = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))[:cells]
            sample = f"p{patient}_{visit}"
            for at, clone in enumerate(clones):
                cell = f"{sample}:{at:03d}"
                obs.append((cell, sample, f"p{patient}", visit))
                letters = [list(CODONS)[clone // 4**place % 4] for place in range(3)] + ["K"] * (patient + 1)
                silent = int(clone == 1 and at % 2)
                junction = "TGC" + "".join(CODONS[letter][silent] for letter in letters)
                amino = "C" + "".join(letters)
                chains.append((cell, "TRB", f"TRBV{1 + clone % 2}", junction, amino))
                if rng.random() < 0.7:
                    chains.append((cell, "TRA", "TRAV1", junction + "AAA", amino + "K"))
    table = pd.DataFrame(chains, columns=["cell_id", "locus", "v_call", "junction", "junction_aa"])
    table = table.assign(j_call="J1", productive=True, umi_count=1.0, consensus_count=np.nan)
    frame = pd.DataFrame(obs, columns=["cell", "sample", "patient", "visit"]).set_index("cell")
    return anndata.AnnData(obs=frame, obsm={"airr": to_awkward(table, frame.index)})


ALIKE = {"check_dtype": False, "check_index_type": False}
"""Text is of another type from a file than from scirpy, with some versions of pandas."""


@pytest.fixture(scope="module")
def receptors():
    return cohort()


def design_of(receptors):
    design = receptors.obs.drop_duplicates("sample").reset_index(drop=True).assign(tissue="blood")
    number = design["patient"].str[1:].astype(int)
    return design.assign(response=np.where(number < 4, "responder", "non_responder"))


def study_of(contrasts=(CONTRAST,), **declared):
    define = settings_of("define_clonotypes") | declared
    stages = {"define_clonotypes": define, "measure_expansion": MEASURE}
    return {"contrasts": list(contrasts), "testing": TESTING, "stages": stages}


@pytest.fixture(scope="module")
def swept(receptors):
    return sweep_clonotypes(read_chains(receptors), None, design_of(receptors), study_of(), 5, **SETTINGS)


def test_every_definition_is_listed_once_and_the_declared_one_first(swept):
    table = swept["definitions"]
    assert list(table.columns) == DEFINITION_COLUMNS
    assert len(table) == 2 * 3 * 2 * 2
    assert not table["definition"].duplicated().any()
    assert table["declared"].tolist() == [True] + [False] * 23
    assert table["definition"][0] == "nt; all; primary_only; V"
    assert list(swept["samples"].columns) == SAMPLE_COLUMNS
    assert list(swept["contrasts"].columns) == CONTRAST_COLUMNS


def test_the_declared_row_is_the_result_of_the_stages(receptors, swept):
    study, design = study_of(), design_of(receptors)
    clonotypes, _ = define_clonotypes(receptors, **study["stages"]["define_clonotypes"])
    metrics, _, values = measure_expansion(clonotypes, None, design, 5, **MEASURE)
    declared = swept["samples"][swept["samples"]["declared"]].set_index("sample")
    drawn = metrics[metrics["standardised"]].pivot_table(index="sample", columns="metric", values="value")
    for name in ("expanded_share", "clonality", "gini_simpson"):
        pd.testing.assert_series_equal(declared[name], drawn[name].loc[declared.index], check_exact=True)
    expected = compare_values(values, design, [CONTRAST], "expansion", ContrastSettings(**TESTING), 5)["contrasts"]
    found = swept["contrasts"][swept["contrasts"]["declared"]]
    assert found["feature"].tolist() == expected["feature"].tolist()
    assert found["effect"].tolist() == expected["effect"].tolist()
    assert found["p"].tolist() == expected["p"].tolist()


def test_counts_are_those_of_the_definition(receptors, swept):
    rows = swept["definitions"].set_index("definition")
    for text, changes in (
        ("aa; all; primary_only; V", {"sequence": "aa"}),
        ("nt; paired; primary_only; no V", {"paired_only": True, "same_v_gene": False}),
        ("nt; VDJ; any; V", {"receptor_arms": "VDJ", "dual_ir": "any"}),
    ):
        table, _ = define_clonotypes(receptors, **settings_of("define_clonotypes") | changes)
        own = table[table["has_receptor"]]
        counts = [len(own), own["clonotype"].nunique(), int(own["clonotype_size_sample"].max())]
        assert rows.loc[text, ["cells", "clonotypes", "largest"]].tolist() == counts, text


def test_silent_variants_are_joined_and_dropped_chains_split(swept):
    count = swept["definitions"].set_index("definition")["clonotypes"]
    assert count["aa; all; primary_only; V"] < count["nt; all; primary_only; V"]
    assert count["nt; VDJ; primary_only; V"] < count["nt; all; primary_only; V"]


def test_equal_partitions_are_told_and_have_equal_numbers(swept):
    table = swept["definitions"].set_index("definition")
    # No cell has a second chain, so which of two is compared changes nothing.
    assert table.loc["nt; all; any; V", "same_as"] == "nt; all; primary_only; V"
    numbers = table.drop(columns=["declared", "same_as", "dual_ir"])
    assert numbers.loc["nt; all; any; V"].equals(numbers.loc["nt; all; primary_only; V"])
    assert table.loc["aa; all; primary_only; V", "same_as"] == ""


def test_signs_are_held_against_the_declared_effect(swept):
    table = swept["contrasts"]
    declared = table[table["declared"]].set_index("feature")["effect"]
    expected = np.sign(table["effect"]) == np.sign(table["feature"].map(declared))
    assert table["same_sign"].tolist() == expected.tolist()
    assert declared["expanded_share"] > 0


def test_without_contrasts_there_are_no_effects(receptors):
    few = SETTINGS | {"sequences": ["nt"], "chains": ["VDJ"]}
    found = sweep_clonotypes(read_chains(receptors), None, design_of(receptors), study_of(()), 5, **few)
    assert len(found["definitions"]) == 5
    assert found["contrasts"].empty
    assert list(found["contrasts"].columns) == CONTRAST_COLUMNS


def test_another_declared_definition_is_named(receptors):
    few = SETTINGS | {"sequences": ["nt"], "chains": ["paired"], "dual_rules": ["any"], "v_gene_rules": [True]}
    study = study_of((), receptor_arms="VDJ", paired_only=True)
    found = sweep_clonotypes(read_chains(receptors), None, design_of(receptors), study, 5, **few)["definitions"]
    assert found["definition"].tolist() == ["nt; VDJ, paired cells; primary_only; V", "nt; paired; any; V"]


def test_only_t_cells_are_measured_and_scopes_that_are_compared(receptors):
    cells = pd.DataFrame({"sample": receptors.obs["sample"], "lineage": "t", "subset": "cd8", "branch": "t"})
    cells.loc[cells.index[::4], ["lineage", "subset", "branch"]] = ["b", "b", "other"]
    few = SETTINGS | {"sequences": ["nt"], "chains": ["all"], "dual_rules": ["any"], "v_gene_rules": [True]}
    study = study_of()
    study["stages"]["measure_expansion"] = MEASURE | {"compared_scopes": ["all", "cd8"], "min_subset_cells": 5}
    found = sweep_clonotypes(read_chains(receptors), cells, design_of(receptors), study, 5, **few)
    assert found["samples"]["cells"].max() == 30
    assert set(found["contrasts"]["parent"]) == {"all", "cd8"}


def test_chains_written_and_read_are_the_chains(receptors, tmp_path):
    chains = read_chains(receptors)
    table = chains.reset_index()
    write_table(table, tmp_path / "chains.tsv.gz", table.columns.drop("is_tcr"))
    pd.testing.assert_frame_equal(read_table(tmp_path / "chains.tsv.gz", index="cell"), chains, **ALIKE)
