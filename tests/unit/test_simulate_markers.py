import numpy as np
import pandas as pd
import pytest
from marker_sheets import SETTINGS

from immune_landscape.measure_biomarkers import measure_biomarkers
from immune_landscape.simulate_markers import draw_markers

BIOPSY = {"visit": "baseline", "tissue": "tumour", "pdl1_assay": "22C3", "viable": [1100, 1500], "tmb_panel": "exome"}


def drawn(callable_mb=34.0, number=400):
    rng = np.random.default_rng(4)
    patients = pd.DataFrame({"patient": [f"P{at:03d}" for at in range(number)], "arm": ""})
    patients["cps"] = np.r_[0.9, 1.0, 4.9, 5.0, 9.9, 10.0, 100.0, rng.uniform(0, 20, number - 7)].round(1)
    patients["tmb"] = np.r_[9.9, 10.0, 10.1, rng.uniform(0, 20, number - 3)].round(1)
    patients["msi"] = rng.choice(["MSS", "MSI-L", "MSI-H"], number)
    return patients, draw_markers(patients, **BIOPSY, callable_mb=callable_mb, rng=rng)


def test_counts_give_every_patient_the_class_of_the_columns():
    patients, sheet = drawn()
    study = {"visits": ["baseline"], "randomisation": {}}
    tables = measure_biomarkers(patients, sheet, study, **{**SETTINGS, "prefer": "computed"})
    assert tables["conflicts"].empty
    rows = tables["biomarkers"].query("marker == 'cps'")
    np.testing.assert_allclose(rows["computed"], patients["cps"], atol=0.1)
    assert (rows["computed_class"] == rows["given_class"]).all()


def test_a_small_panel_keeps_the_side_of_the_limit():
    patients, sheet = drawn(callable_mb=1.1)
    burden = sheet["n_nonsynonymous"] / sheet["callable_mb"]
    assert ((burden >= 10 - 1e-9) == (patients["tmb"] >= 10)).all()


def test_deficient_repair_is_drawn_where_the_status_is_high():
    patients, sheet = drawn()
    assert ((sheet["mlh1"] == "lost") == (patients["msi"] == "MSI-H")).all()
    assert sheet[["msh2", "msh6"]].eq("retained").all(axis=None)
    assert sheet["n_viable_tumour"].between(1100, 1500).all()


@pytest.mark.parametrize("column", ["n_pos_tumour", "n_pos_lymphocytes", "n_pos_macrophages"])
def test_positive_cells_are_of_every_kind(column):
    assert drawn()[1][column].max() > 0
