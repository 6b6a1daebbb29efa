"""Derive responses from tumour assessments by RECIST 1.1, and hold them against those given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immune_landscape.clinical_checks import derived_responses
from immune_landscape.patient_outcomes import texts_of
from immune_landscape.recist import time_points

TEXTS = ("target", "non_target", "new_lesion", "derived", "given", "used")
"""Columns of words that may all be empty."""


def derive_responses(
    outcomes: pd.DataFrame, assessments: pd.DataFrame, study: Mapping[str, Any]
) -> dict[str, pd.DataFrame]:
    """Derive the response at each assessment and the best overall response of each patient.

    Parameters
    ----------
    outcomes
        ``patient``, ``given_response`` as on the sheet.
    assessments
        Rows of assessments.tsv; none in a masked cohort.
    study
        ``recist``: confirmation, least intervals, and which of two sources is used.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``timepoints``: as from `recist.time_points`. ``responses``: as from `recist.patient_responses`.
    """
    given = outcomes.assign(best_response=texts_of(outcomes, "given_response"))
    return {
        "timepoints": time_points(assessments),
        "responses": derived_responses(given, assessments, study),
    }
