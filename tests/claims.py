"""Made-up claims and the tables they are held against, for tests of the claims ledger."""

import numpy as np
import pandas as pd

from immune_landscape.merge_contrasts import COLUMNS

STUDY = {
    "unblinded": True,
    "alpha": 0.05,
    "contrasts": [
        {
            "name": "main",
            "estimand": "response_by_visit",
            "reference": "baseline",
            "target": "on_treatment",
            "family": "primary",
        },
        {"name": "all", "estimand": "change", "reference": "baseline", "target": "on_treatment", "family": "secondary"},
    ],
}
SETTINGS = {"min_stable_share": 0.9, "assumed_size": 1.0, "part_of_claim": 0.5}


def claim(feature="a", **changes):
    """Return a claim on the composition of NK cells."""
    return {
        "id": feature,
        "label": f"Subset {feature}",
        "statement": f"More {feature} in responders.",
        "layer": "composition",
        "estimand": "response_by_visit",
        "parents": ["nk", "cells"],
        "feature": feature,
        "direction": "up",
        "size": None,
        "value": None,
        "interval": None,
        "unit": "d",
        "where": "abstract",
        "fallbacks": [],
    } | changes


def endpoint(feature="orr", value=0.316, unit="share", **changes):
    """Return a claim on an endpoint."""
    told = {"layer": "endpoints", "estimand": "level", "parents": ["evaluable"], "direction": None}
    return claim(feature, **(told | {"value": value, "unit": unit} | changes))


def claims_file(*claims):
    """Return a claims file as read."""
    return {"name": "made_up", "source": {"citation": "Nobody et al. 2025"}, "claims": list(claims)}


def row(feature="a", d=2.0, p=0.001, *, sd=0.4, half=1.0, **changes):
    """Return a tested row of the merged contrasts: effect and interval given in standard deviations."""
    return {
        "layer": "composition", "contrast": "main", "estimand": "response_by_visit", "family": "primary",
        "parent": "nk", "feature": feature, "group_a": "responder", "group_b": "non_responder", "n_a": 6, "n_b": 13,
        "effect": d * sd, "unit": "log ratio", "ci_low": (d - half) * sd, "ci_high": (d + half) * sd,
        "p": p / 5, "p_maxt": p, "p_holm": p, "fdr": np.nan, "sd": sd, "mde": 1.47 * sd, "mde_d": 1.47,
        "loo_low": (d - 0.1) * sd, "loo_high": (d + 0.1) * sd, "loo_flips": 0, "status": "tested", "note": "",
    } | changes  # fmt: skip


def contrasts(*rows):
    """Return a merged contrasts table."""
    return pd.DataFrame(list(rows), columns=COLUMNS).astype({"n_a": "Int64", "n_b": "Int64", "loo_flips": "Int64"})


def endpoints(**rows):
    """Return an endpoints table; each endpoint as (estimate, low, high, unit)."""
    columns = ["endpoint", "population", "by", "n", "events", "estimate", "low", "high", "unit", "method"]
    made = [
        (name, "evaluable", "all", 19, 6, estimate, low, high, unit, "made up")
        for name, (estimate, low, high, unit) in rows.items()
    ]
    return pd.DataFrame(made, columns=columns)
