"""Rules of populations.tsv and measures.tsv: numbers per sample that need no cell to be looked at."""

from __future__ import annotations

from collections.abc import Callable

from immune_landscape.errors import Problem
from immune_landscape.gates import ALL, gate_slugs, parent_counts, parent_names, summed_parents
from immune_landscape.sheet_tables import Cells, Table, Tables
from immune_landscape.text_files import did_you_mean, listed, printable

FRACTION_GAP = 0.02
"""Difference between a stated fraction and the counts beyond which a population is noted: two percentage points."""


def population_problems(table: Table, faulty: Cells) -> list[Problem]:
    """Return what is wrong between the rows of populations.tsv.

    Parameters
    ----------
    table
        Typed sheet.
    faulty
        Cells already reported.

    Returns
    -------
    list of Problem
        Rows without a number, populations with two parents, and counts over those of the parent.
    """
    lines = table.sound_lines(("count", "fraction"), faulty)
    numbers = table.frame.loc[lines, ["count", "fraction"]]
    problems = [
        table.at(line, "count", "neither count nor fraction is given", "missing_value")
        for line in numbers.index[numbers.isna().all(axis=1)]
    ]
    sound = table.sound_lines(("population", "parent"), faulty)
    for line, population, parent in table.frame.loc[sound, ["population", "parent"]].itertuples():
        if parent and parent == population:
            problems.append(table.at(line, "parent", f"{printable(parent)} is its own parent", "clash"))
    problems += _unlike(table, "population", "parent", faulty, _same)
    return problems + _over_parent(table, lines)


def _same(cell: str) -> str:
    return cell


def _over_parent(table: Table, lines: list[int]) -> list[Problem]:
    frame = table.frame.loc[lines]
    frame = frame.assign(total=parent_counts(frame))
    return [
        table.at(line, "count", f"{count:g}, more than the {total:g} events of its parent", "count_over_parent")
        for line, count, total in frame[["count", "total"]].itertuples()
        if count > total
    ]


def population_notes(table: Table) -> list[Problem]:
    """Return how parents are counted, and what in populations.tsv does not agree.

    Parameters
    ----------
    table
        Typed sheet.

    Returns
    -------
    list of Problem
        Parents that are taken as the sum of their populations, samples for which that sum cannot be made, and
        fractions that differ from the counts.
    """
    notes = []
    parents = parent_names(table.frame)
    for parent, children in summed_parents(table.frame).items():
        rows = table.frame[(parents == parent) & table.frame["count"].notna()]
        name = "all cells" if parent == ALL else printable(parent)
        how = f" (a population called {ALL} would give their number)" if parent == ALL else ""
        message = f"{name}: no population of its own, counted as the sum of its {len(children)}{how}"
        notes.append(table.at(rows.index[0], "parent", message, "summed_parent"))
        held = rows.groupby("sample", sort=False)["population"].agg(set)
        for sample, found in held.items():
            if lacking := [child for child in children if child not in found]:
                message = f"{sample} lacks {listed(lacking)}, so that {name} cannot be summed; write 0 for none counted"
                line = rows.index[rows["sample"] == sample][0]
                notes.append(table.at(line, "population", message, "incomplete_parent"))
    return notes + _fraction_notes(table)


def _fraction_notes(table: Table) -> list[Problem]:
    notes = []
    frame = table.frame.assign(share=table.frame["count"] / parent_counts(table.frame))
    differing = frame[(frame["share"] - frame["fraction"]).abs() > FRACTION_GAP]
    for line, fraction, share in differing[["fraction", "share"]].itertuples():
        message = f"{fraction:g}, but the counts give {share:.3g}; the counts are used"
        notes.append(table.at(line, "fraction", message, "fraction_mismatch"))
    return notes


def measure_problems(table: Table, faulty: Cells) -> list[Problem]:
    """Return what is wrong between the rows of measures.tsv.

    Parameters
    ----------
    table
        Typed sheet.
    faulty
        Cells already reported.

    Returns
    -------
    list of Problem
        Measures in two units or on two scales, and values that their scale cannot hold.
    """
    problems = _unlike(table, "measure", "unit", faulty, _same)
    problems += _unlike(table, "measure", "scale", faulty, scale_name)
    sound = table.sound_lines(("value", "scale"), faulty)
    for line, value, scale in table.frame.loc[sound, ["value", "scale"]].itertuples():
        if scale == "log" and value <= 0:
            message = f"{value:g}, but the scale is log: expected more than 0"
            problems.append(table.at(line, "value", message, "out_of_range"))
        if scale == "logit" and (value < 0 or value > 1):
            message = f"{value:g}, but the scale is logit: expected a share of 0 to 1 (not percent)"
            problems.append(table.at(line, "value", message, "out_of_range"))
    return problems


def scale_name(cell: str) -> str:
    """Return the scale of a measure: an empty cell means that values are compared as given."""
    return cell or "identity"


def measure_notes(table: Table) -> list[Problem]:
    """Return which values stand at the ends of their scale.

    Parameters
    ----------
    table
        Typed sheet.

    Returns
    -------
    list of Problem
        One per share of 0 or 1, which have no logit.
    """
    at_end = (table.frame["scale"] == "logit") & table.frame["value"].isin([0, 1])
    # The size of the step is a setting of another rule, and would be out of date here once that is changed.
    return [
        table.at(line, "value", f"{value:g} has no logit and is moved inside by load_measures.share_floor", "end_share")
        for line, value in table.frame.loc[at_end, "value"].items()
    ]


def _unlike(table: Table, key: str, column: str, faulty: Cells, meant: Callable[[str], str]) -> list[Problem]:
    """Return the rows whose cell differs from that of the first row of the same name."""
    problems = []
    first: dict[str, tuple[int, str]] = {}
    sound = table.sound_lines((key, column), faulty)
    for line, name, cell in table.frame.loc[sound, [key, column]].itertuples():
        before, known = first.setdefault(name, (line, cell))
        if name and meant(cell) != meant(known):
            message = f"{printable(cell)} for {printable(name)}, but {printable(known)} on line {before}"
            problems.append(table.at(line, column, message, f"mixed_{column}s"))
    return problems


def feature_names(tables: Tables) -> dict[str, list[str]]:
    """Return the names under which contrasts may declare the numbers of the sheets as features.

    Parameters
    ----------
    tables
        Typed sheets.

    Returns
    -------
    dict of str to list of str
        Layer, of those that have a sheet -> ``feature`` and ``parent/feature`` of each number.
    """
    names: dict[str, list[str]] = {}
    if tables.measures is not None:
        measures = [name for name in dict.fromkeys(tables.measures.frame["measure"]) if name]
        names["measures"] = [*measures, *(f"{ALL}/{name}" for name in measures)]
    if tables.populations is not None:
        frame = tables.populations.frame
        parents = parent_names(frame)
        pairs = dict.fromkeys(zip(parents.map(gate_slugs(parents)), frame["population"], strict=True))
        names["populations"] = [*dict.fromkeys(frame["population"]), *(f"{parent}/{name}" for parent, name in pairs)]
    return names


def unknown_measure(tables: Tables, name: str) -> str:
    """Return why a measure that a config names cannot be had.

    Parameters
    ----------
    tables
        Typed sheets.
    name
        Measure named.

    Returns
    -------
    str
        What is wrong, with the measures that there are; empty when the measure is there.
    """
    if tables.measures is None:
        return f"{printable(name)} is a measure, but the cohort has no measures.tsv"
    known = [word for word in dict.fromkeys(tables.measures.frame["measure"]) if word]
    if name in known:
        return ""
    return f"{printable(name)} is no measure of measures.tsv: {listed(known) or 'none'}{did_you_mean(name, known)}"
