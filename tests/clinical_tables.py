"""Clinical tables of a made-up trial, as the rules write them, for tests of figures."""

from functools import cache

import figure_tables as made
import numpy as np
import pandas as pd
from clinical_cohorts import escalation_tables, made_assessments, made_events, made_patients

from immune_landscape.compare_outcomes import compare_outcomes
from immune_landscape.derive_responses import derive_responses
from immune_landscape.measure_doses import measure_doses
from immune_landscape.measure_endpoints import measure_endpoints
from immune_landscape.measure_safety import measure_safety

RANDOMISATION = {
    "ratio": {"rak": 1, "control": 1},
    "control": "control",
    "strata": ["cps_group"],
    "subgroups": ["sex", "site"],
}
STUDY = made.STUDY | {
    "time_unit": "months",
    "randomisation": RANDOMISATION,
    "extra_columns": {},
    "responders": {"positive": ["CR", "PR"], "negative": ["SD", "PD"]},
    "recist": {"confirmation": False, "min_interval_days": 28, "min_stable_days": 42, "prefer": "given"},
    "labels": {"rak": "TAS-102 + RAK", "control": "TAS-102", "cps_group": "PD-L1 CPS"},
}
SETTINGS = {"level": 0.95, "firth_below": 10, "window": None, "by": [], "landmark": None}


@cache
def trial(number: int = 40, seed: int = 3) -> dict[str, pd.DataFrame]:
    """Return the outcomes of a trial and all tables made of them."""
    rng = np.random.default_rng(seed)
    outcomes = made_patients(rng, number).assign(given_response="")
    assessments = made_assessments(rng, outcomes)
    derived = derive_responses(outcomes, assessments, STUDY)
    used = derived["responses"].set_index("patient")["used"]
    outcomes["best_response"] = outcomes["patient"].map(used)
    events = made_events(rng, outcomes["patient"])
    tables = {"outcomes": outcomes, "safety": measure_safety(outcomes, events, STUDY, level=0.95)} | derived
    tables |= measure_endpoints(outcomes, STUDY, level=0.95, times=[], window=None)
    return tables | compare_outcomes(outcomes, None, STUDY, **SETTINGS)


def escalation() -> dict[str, pd.DataFrame]:
    """Return the tables of the published escalation."""
    patients, events = escalation_tables()
    return {"safety": measure_safety(patients, events, {}, level=0.95)} | measure_doses(patients, level=0.95)
