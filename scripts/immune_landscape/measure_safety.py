"""Measure safety: patients with adverse events by term and grade, in each arm and dose level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from immune_landscape.patient_outcomes import groupings, texts_of
from immune_landscape.proportions import exact_share, upper_bound

COLUMNS = [
    *("by", "group", "relation", "kind", "term", "grades", "n", "patients", "events"),
    *("share", "low", "high", "upper_one_sided"),
]
TEXTS = ("term", "grades")
"""Columns of words that may look like numbers."""

GRADES = {"any": (1, 2, 3, 4, 5), "1-2": (1, 2), "3-4": (3, 4), "5": (5,)}
"""Group of grades -> grades; each patient counts in that of the worst grade, and in any."""

ANY_TERM = "any adverse event"
SERIOUS = "serious adverse event"
RELATED = ("yes", "unknown", "")
"""Entries under which a relation to the treatment is not excluded."""


def measure_safety(
    patients: pd.DataFrame, events: pd.DataFrame, study: Mapping[str, Any], *, level: float
) -> pd.DataFrame:
    """Count patients with adverse events, each once at the worst grade of a term.

    Parameters
    ----------
    patients
        One row per patient; ``treated`` with no leaves a patient out, ``arm`` and ``dose_level`` make groups.
    events
        Rows of adverse_events.tsv.
    study
        Facts of the cohort.
    level
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, one row per group of patients, relation (``any``, or ``related`` where that is not excluded), term
        (kind ``term``), category (kind ``category``), all terms together and serious ones (kind ``overall``), and group
        of grades. ``n`` are treated patients of the group, ``patients`` those with the event, ``events`` their rows;
        ``share`` with the interval of Clopper and Pearson and the exact one-sided upper bound.
    """
    treated = patients[texts_of(patients, "treated") != "no"].reset_index(drop=True)
    known = events[events["patient"].isin(treated["patient"])]
    rows: list[dict[str, Any]] = []
    for by, group, members in groupings(treated, {}):
        inside = set(treated.loc[members, "patient"])
        own = known[known["patient"].isin(inside)]
        for relation in ("any", "related"):
            chosen = own if relation == "any" else own[texts_of(own, "related").isin(RELATED)]
            facts = {"by": by, "group": group, "relation": relation}
            for kind, term, found in _terms(known, chosen):
                told = {"kind": kind, "term": term, "n": len(inside)}
                rows += [facts | told | row for row in _grades(found, len(inside), level)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _terms(known: pd.DataFrame, chosen: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Give the events of each term that anybody had, the commonest first, whether or not this group had it."""
    yield "overall", ANY_TERM, chosen
    if (texts_of(known, "serious") != "").any():
        yield "overall", SERIOUS, chosen[texts_of(chosen, "serious") == "yes"]
    for kind, column in (("category", "category"), ("term", "term")):
        words = texts_of(known, column)
        pairs = pd.DataFrame({"word": words, "patient": known["patient"]})[words != ""].drop_duplicates()
        counts = pairs["word"].value_counts()
        for word in sorted(counts.index, key=lambda word: (-counts[word], word)):
            yield kind, str(word), chosen[texts_of(chosen, column) == word]


def _grades(found: pd.DataFrame, n: int, level: float) -> Iterator[dict[str, Any]]:
    worst = found.groupby("patient")["grade"].max()
    for name, grades in GRADES.items():
        count = int(worst.isin(grades).sum())
        share = exact_share(count, n, level)
        told = {"grades": name, "patients": count, "events": int(found["grade"].isin(grades).sum())}
        bounds = {"share": share.estimate, "low": share.low, "high": share.high}
        yield told | bounds | {"upper_one_sided": upper_bound(count, n, level)}
