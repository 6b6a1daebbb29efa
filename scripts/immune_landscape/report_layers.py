"""The part of the summary page that shows contrasts: what was found, layer by layer, and what could be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from immune_landscape.contrast_tests import is_significant
from immune_landscape.display_text import (
    counted,
    format_effect,
    format_p,
    interval_name,
    patients_of,
    reach_of,
    sentence,
    shown_feature,
    shown_layer,
    shown_parent,
)
from immune_landscape.draw_contrasts import question_of
from immune_landscape.html_parts import Html, interval_bar, join, table, tag
from immune_landscape.verdicts import verdict_of

NO_FINDING = "none significant after correction, which does not show that there is no difference"


def brief_lines(contrasts: pd.DataFrame, study: Mapping[str, Any]) -> list[str]:
    """Write one sentence per contrast and layer of the primary family.

    Parameters
    ----------
    contrasts
        Table of `merge_contrasts.merge_contrasts`.
    study
        Facts of the cohort.

    Returns
    -------
    list of str
        In the order of the table.
    """
    primary = contrasts[contrasts["family"] == "primary"]
    lines = []
    for (_, layer), rows in primary.groupby(["contrast", "layer"], sort=False):
        tested = rows[rows["status"] == "tested"]
        alpha = float(study["alpha"])
        hits = [_name(row, study) for row in tested.to_dict("records") if is_significant(row, alpha)]
        untested = len(rows) - len(tested)
        if tested.empty:
            question = question_of(rows, study)
            lines.append(
                f"{shown_layer(str(layer))}, {question}: {counted(untested, 'feature')}, none could be tested."
            )
            continue
        start = f"{shown_layer(str(layer))}, {question_of(rows, study)}: {counted(len(tested), 'feature')} tested"
        start += f" ({untested} could not be)" if untested else ""
        lines.append(f"{start}; associated after correction: {', '.join(hits)}." if hits else f"{start}; {NO_FINDING}.")
    return lines


def contrast_sections(contrasts: pd.DataFrame, study: Mapping[str, Any], *, primary: bool) -> Iterator[Html]:
    """Write the tables of the primary families, or of all other rows, folded.

    Parameters
    ----------
    contrasts
        Table of `merge_contrasts.merge_contrasts`.
    study
        Facts of the cohort.
    primary
        Which of the two.

    Yields
    ------
    Html
        One part per layer and contrast.
    """
    chosen = contrasts[(contrasts["family"] == "primary") == primary]
    for (layer, _, family), rows in chosen.groupby(["layer", "contrast", "family"], sort=False):
        title = f"{shown_layer(str(layer))}: {question_of(rows, study)} ({family})"
        rows = rows.assign(rank=rows["p"].fillna(2)).sort_values("rank", kind="stable")
        content = _contrast_table(rows, study)
        yield join([tag("h3", title), content]) if primary else tag("details", tag("summary", title), content)


def _contrast_table(rows: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    alpha, interval = float(study["alpha"]), interval_name(study)
    reach = _reach(rows)
    lines = []
    for row in rows.to_dict("records"):
        significant = is_significant(row, alpha)
        verdict = tag("span", verdict_of(row, study, alpha), class_=f"verdict {'yes' if significant else 'no'}")
        parent = str(row["parent"])
        whole = parent in ("", "all", "cells", "nan")
        of = "" if whole else f"of {shown_parent(study, parent)}"
        name = tag("span", _name(row, study), tag("i", of) if of else None, class_="item")
        # Other layers have units of their own, so each row has a picture of its own scale.
        own = reach if row["layer"] == "composition" else _reach(pd.DataFrame([row]))
        bar = interval_bar(row, own, "#0F4C81" if significant else "#8A949E")
        without = "–" if pd.isna(row["loo_flips"]) else f"{row['loo_flips']:.0f}"
        p = [format_p(row["p"]), format_p(row["p_maxt"])]
        lines.append([name, patients_of(row), bar, format_effect(row), *p, without, verdict])
    names = ["Feature", "n", interval, f"Effect [{interval}]", "p", "p maxT", "Flips", "Verdict"]
    return table(names, lines, numbers=(1, 3, 4, 5, 6))


def _reach(rows: pd.DataFrame) -> float:
    """Effect at the end of the small pictures; one very wide interval does not shrink the others."""
    effects = float(rows["effect"].abs().max()) if rows["effect"].notna().any() else 0.0
    return reach_of(effects, pd.concat([rows["ci_low"], rows["ci_high"]]), most=2.5) * 1.05 or 1.0


def _name(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    return shown_feature(study, str(row["layer"]), str(row["feature"]))


def power_section(contrasts: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Say what this number of patients can show at all.

    Parameters
    ----------
    contrasts
        Table of `merge_contrasts.merge_contrasts`.
    study
        Facts of the cohort.

    Returns
    -------
    Html
        One row per family that was tested: patients, labelings, smallest p, detectable effects; a sentence where none
        but exploratory rows were.
    """
    tested = contrasts[(contrasts["status"] == "tested") & (contrasts["family"] != "exploratory")]
    lines = []
    for (layer, contrast, family), rows in tested.groupby(["layer", "contrast", "family"], sort=False):
        most = rows.sort_values("labelings", ascending=False, kind="stable").iloc[0].to_dict()
        reach = [f"{most['labelings']:,.0f}", format_p(rows["min_p"].min())]
        sizes = [f"{rows[name].min():.2f}" for name in ("mde_d", "mde_d_family")]
        told = [shown_layer(str(layer)), str(contrast), str(family), patients_of(most)]
        lines.append([*told, *reach, str(len(rows)), *sizes])
    if not lines:
        return tag("p", "No family was tested: rows are exploratory, or could not be tested.")
    power = f"{100 * float(study['power']):g} % power" if study.get("power") else "the power set"
    text = (
        f"Smallest effect, in standard deviations between patients, that is found with {power}: alone, and corrected."
    )
    names = ["Layer", "Contrast", "Family", "n", "Labelings", "Smallest p", "Tests", "One test", "Whole family"]
    return join([tag("p", text, class_="small"), table(names, lines, numbers=range(3, 9))])


def null_section(null: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Say what the same thresholds find in cohorts whose labels were permuted.

    Parameters
    ----------
    null
        Null tables of the layers, stacked, with ``layer``.
    study
        Facts of the cohort.

    Returns
    -------
    Html
        Table with findings and their means over permuted cohorts.
    """
    alpha = float(study["alpha"])
    rows = [
        [
            shown_layer(str(row["layer"])),
            str(row["contrast"]),
            str(row["family"]),
            f"{row['tests']:.0f}",
            f"{row['found']:.0f}",
            f"{row['null_mean_found']:.2f}",
            "–" if pd.isna(row["found_corrected"]) else f"{row['found_corrected']:.0f}",
            "–" if pd.isna(row["null_mean_corrected"]) else f"{row['null_mean_corrected']:.2f}",
        ]
        for row in null.to_dict("records")
        if not pd.isna(row["null_mean_found"])
    ]
    names = ["Layer", "Contrast", "Family", "Tests", f"p < {alpha:g}", "under permuted labels"]
    names += [f"p maxT < {alpha:g}", "under permuted labels"]
    runs = int(null["runs"].max()) if len(null) else 0
    text = f"Findings here, and their mean over {runs:,} cohorts with permuted labels: what luck alone would give."
    return join([tag("p", text, class_="small"), table(names, rows, numbers=range(3, 8))])


def definition_section(definitions: pd.DataFrame, contrasts: pd.DataFrame, study: Mapping[str, Any]) -> Html | None:
    """Say how the findings of the primary family fare under other definitions of a responder.

    Parameters
    ----------
    definitions
        Table of `sweep_definitions.sweep_definitions`.
    contrasts
        Table of `merge_contrasts.merge_contrasts`.
    study
        Facts of the cohort.

    Returns
    -------
    Html or None
        One row per feature of the primary families that was tested.
    """
    alpha = float(study["alpha"])
    keys = ["layer", "contrast", "parent", "feature"]
    primary = contrasts[(contrasts["family"] == "primary") & (contrasts["status"] == "tested")]
    swept = definitions.merge(primary[keys], on=keys).query("definition != 'as declared'")
    if swept.empty:
        return None
    lines = []
    for key, rows in swept.groupby(keys, sort=False):
        moved = rows["definition"].str.endswith(" moved")
        named = rows[~moved].sort_values("definition", kind="stable")
        effects = "; ".join(
            f"{row['definition']}: {row['effect']:+.2f} (n {row['n_a']:.0f} / {row['n_b']:.0f}, p {format_p(row['p'])})"
            for row in named.to_dict("records")
        )
        flips = f"{(rows.loc[moved, 'p'] < alpha).sum()} of {moved.sum()}"
        name = shown_feature(study, str(key[0]), str(key[3]))
        lines.append([name, f"{rows['same_sign'].mean():.0%}", flips, effects.replace("-", "−")])
    names = ["Feature", "Same sign", f"p < {alpha:g} when one borderline patient moves", "Other definitions"]
    return table(names, lines, numbers=(1, 2))


def expression_section(subsets: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Say how many genes differ in each subset, and whether the test is calibrated there.

    Parameters
    ----------
    subsets
        Second table of `compare_expression.compare_expression`.
    study
        Facts of the cohort.

    Returns
    -------
    Html
        The table, with display names.
    """
    parts = [
        join([tag("h3", sentence(question_of(rows, study))), _expression_table(rows, study)])
        for _, rows in subsets.groupby("contrast", sort=False)
    ]
    text = "Inflation is that of the p values, and under permuted patients 1 where a test is calibrated."
    return join([tag("p", text, class_="small"), *parts])


def _expression_table(rows: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Write one line per subset; what was not tested is named below."""
    tested = rows[rows["status"] == "tested"]
    lines = [
        [
            shown_parent(study, str(row["subset"])),
            patients_of(row),
            f"{row['genes']:,.0f}",
            f"{row['found']:,.0f}",
            f"{row['found_carried']:,.0f}",
            f"{row['null_mean_found']:.2f}",
            f"{row['inflation']:.2f}",
            f"{row['null_inflation']:.2f}",
            "yes" if str(row["calibrated"]) == "True" else "no",
        ]
        for row in tested.to_dict("records")
    ]
    names = ["Subset", "n", "Genes", f"FDR < {rows['fdr'].iloc[0]:g}", "carried by one patient"]
    names += ["found under permuted patients", "Inflation", "permuted", "Calibrated"]
    left = [shown_parent(study, str(name)) for name in rows.loc[rows["status"] != "tested", "subset"]]
    return join([*([table(names, lines, numbers=range(1, 8))] if lines else []), _not_tested(left)])


def _not_tested(names: list[str]) -> Html | None:
    return tag("p", f"Not tested for want of patients or cells: {', '.join(names)}.", class_="small") if names else None
