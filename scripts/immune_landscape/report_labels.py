"""The part of the summary page that tells how cells got their names, and whose cells they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immune_landscape.anchors import NO_MATCH, NOT_MEASURED
from immune_landscape.display_text import counted, shown, shown_parent
from immune_landscape.html_parts import Html, bullets, join, table, tag
from immune_landscape.name_clusters import NO_STATE

ANNOTATORS = {
    "markers": "markers of the cell",
    "by_cluster": "markers of its cluster",
    "reference": "reference",
    "receptor": "receptor",
    "consensus": "consensus",
}
"""Annotator -> what it goes by."""

FLAGGED = "flagged"
"""Verdict on a sample that may be another patient's, and on patients who share too many clones."""

RECEPTORS = {"tcr": "clones of cells", "bulk_tcr": "clones of bulk repertoires"}


def agreement_section(agreement: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Write how far the annotators agree.

    Parameters
    ----------
    agreement
        Table ``agreement`` of `compare_annotators.compare_annotators`.
    study
        Facts of the cohort.

    Returns
    -------
    Html
        One row per level, branch and pair of annotators.
    """
    rows = [
        [
            f"{shown_parent(study, str(row['branch']))}: {row['level']}",
            f"{_witness(row['annotator_a'])} and {_witness(row['annotator_b'])}",
            f"{row['cells']:,.0f}",
            "–" if pd.isna(row["agree"]) else f"{row['agree']:.1%}",
            "–" if pd.isna(row["kappa"]) else f"{row['kappa']:.2f}",
        ]
        for row in agreement.to_dict("records")
    ]
    return table(["Labels", "Annotators", "Cells that both name", "Agree", "Kappa"], rows, numbers=(2, 3, 4))


def cluster_section(clusters: pd.DataFrame, anchors: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Write what each cluster of a branch is called, what it resembles, and which anchors found no cluster.

    Parameters
    ----------
    clusters
        As `name_clusters.name_clusters` returns.
    anchors
        Of the branch, as `annotate_subsets.annotate_subsets` returns.
    study
        Facts of the cohort.

    Returns
    -------
    Html
        A table, and a sentence each for anchors without a match and for those that the data lack.
    """
    has_states = clusters["similarity"].notna().any()
    rows = [
        [
            row["name"],
            shown(study, str(row["subset"])),
            f"{row['cells']:,.0f}",
            *(_state(row, study) if has_states else []),
            f"{row['patients']:.0f}",
            "" if pd.isna(row["flag"]) else str(row["flag"]),
        ]
        for row in clusters.to_dict("records")
    ]
    states = ["Nearest published state", "Similarity", "Margin"] if has_states else []
    names = ["Cluster", "Subset", "Cells", *states, "Patients", "Flag"]
    told = {status: _anchors_with(anchors, status, study) for status in (NO_MATCH, NOT_MEASURED)}
    text = " ".join(f"{status.capitalize()}: {who}." for status, who in told.items() if who)
    return join(
        [
            table(names, rows, numbers=(2, 4, 5, 6) if has_states else (2, 3)),
            tag("p", text, class_="small") if text else None,
        ]
    )


def identity_section(
    samples: pd.DataFrame | None, donor_cells: pd.DataFrame | None, shared: pd.DataFrame | None
) -> Html:
    """Write which samples may be another patient's, or hold another's, and whether cells of a donor could be told.

    Parameters
    ----------
    samples
        Table ``samples`` of `check_identity.check_identity`; None in a cohort without single cells.
    donor_cells
        Its table ``donor_cells``; None where it was not looked for.
    shared
        Table ``pairs`` of `share_clones.share_clones`; None in a cohort without receptors.

    Returns
    -------
    Html
        Counts of verdicts, and one line per sample or pair of patients with an alarm.
    """
    lines: list[str] = []
    if samples is not None:
        counts = samples["verdict"].value_counts()
        lines += [f"{counted(int(count), 'sample')}: {verdict}" for verdict, count in counts.items()]
        alarms = samples[samples["verdict"] == FLAGGED]
        lines += [f"{row['sample']}: {row['note']}" for row in alarms.to_dict("records")]
    lines += [] if shared is None else _shared_lines(shared)
    parts: list[Html | None] = [bullets(lines)]
    # A sample has a row for each method: counted together, it would be two samples.
    methods = {} if donor_cells is None else dict(iter(donor_cells.groupby("method", sort=False)["verdict"]))
    for method, verdicts in methods.items():
        told = verdicts.value_counts()
        text = "; ".join(f"{counted(int(count), 'sample')} {verdict}" for verdict, count in told.items())
        by = str(method).replace("_", " ")
        parts.append(tag("p", f"Cells of the donor, by {by}: {text}.", class_="small"))
    return join(parts)


def _shared_lines(shared: pd.DataFrame) -> list[str]:
    """Write how many pairs of patients share more clones than they should, and which."""
    told = []
    for source, pairs in shared.groupby("source", sort=False):
        flagged = pairs[pairs["verdict"] == FLAGGED]
        where = RECEPTORS[str(source)]
        told.append(f"{len(flagged)} of {counted(len(pairs), 'pair')} of patients share more {where} than expected")
        told += [f"{row['patient_a']} and {row['patient_b']}: {row['note']}" for row in flagged.to_dict("records")]
    return told


def _anchors_with(anchors: pd.DataFrame, status: str, study: Mapping[str, Any]) -> str:
    """Name what the anchors of a status stand for; one that stands for no label by its gene."""
    found = anchors[anchors["status"] == status]
    pairs = zip(found["subset"].fillna("").astype(str), found["anchor"].astype(str), strict=True)
    return ", ".join(shown(study, subset) if subset else anchor for subset, anchor in pairs)


def _state(row: Mapping[Any, Any], study: Mapping[str, Any]) -> list[str]:
    """Write the published state that a cluster is nearest to, how near, and by how much nearer than the next.

    In brackets stands one that is not near enough to be claimed.
    """
    name = shown(study, str(row["nearest"])) if pd.notna(row["similarity"]) else "–"
    state = f"({name})" if pd.notna(row["similarity"]) and row["state"] == NO_STATE else name
    return [state, *("–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("similarity", "margin"))]


def _witness(name: Any) -> str:
    return ANNOTATORS.get(str(name), str(name))
