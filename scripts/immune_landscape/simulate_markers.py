"""Counts of simulated pathologists and sequencers, drawn so that they give each patient's score, status and burden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.biomarker_rules import BETHESDA, MMR_PROTEINS

UNSTABLE = {"MSS": 0, "MSI-L": 1, "MSI-H": 4}
TUMOUR_PART = 0.4
"""Typical part of positive cells that are tumour cells; in gastric cancer most are immune cells."""


def draw_markers(
    patients: pd.DataFrame,
    *,
    visit: str,
    tissue: str,
    pdl1_assay: str,
    viable: list[int],
    tmb_panel: str,
    callable_mb: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw one row of biomarkers.tsv per patient.

    Parameters
    ----------
    patients
        One row per patient: ``patient``, ``cps`` and ``tmb`` with one decimal, ``msi``.
    visit, tissue
        Of the biopsy.
    pdl1_assay, tmb_panel
        Names of the assays.
    viable
        Fewest and most viable tumour cells.
    callable_mb
        Megabases of the panel.
    rng
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        Columns of ``biomarkers.tsv``. Positive cells are rounded up and mutations down, so that a value stays on its
        side of the limits of 1 and of 10.
    """
    rows: list[dict[str, Any]] = []
    for patient in patients.to_dict("records"):
        cells = int(rng.integers(viable[0], viable[1] + 1))
        positive = int(np.ceil(round(patient["cps"] * cells / 100, 6)))
        parts = rng.multinomial(positive, [TUMOUR_PART, (1 - TUMOUR_PART) / 2, (1 - TUMOUR_PART) / 2])
        rows.append(
            {
                "patient": patient["patient"],
                "visit": visit,
                "tissue": tissue,
                "pdl1_assay": pdl1_assay,
                **dict(zip(("n_pos_tumour", "n_pos_lymphocytes", "n_pos_macrophages"), parts, strict=True)),
                "n_viable_tumour": cells,
                **dict.fromkeys(MMR_PROTEINS, "retained"),
                **(dict.fromkeys(("mlh1", "pms2"), "lost") if patient["msi"] == "MSI-H" else {}),
                "msi_markers_unstable": UNSTABLE[patient["msi"]],
                "msi_markers_tested": BETHESDA,
                "n_nonsynonymous": int(np.floor(round(patient["tmb"] * callable_mb, 6))),
                "callable_mb": callable_mb,
                "tmb_panel": tmb_panel,
            }
        )
    return pd.DataFrame(rows)
