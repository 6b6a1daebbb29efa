"""Which patients a contrast compares, and whether the sheets can answer it at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from immune_landscape.errors import DesignError, Problem
from immune_landscape.model_formulas import aliased_terms, model_matrix
from immune_landscape.text_files import listed, printable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Contrast = Mapping[str, Any]

GROUP_COLUMNS = {"baseline": "response", "response_by_visit": "response", "arm_by_visit": "arm"}
"""Estimand -> column that tells the groups, unless the contrast names another."""

RESPONSE_GROUPS = ("responder", "non_responder")
WITHIN = {"visit": ("tissue",), "tissue": ("visit",), "region": ("visit", "tissue")}
"""Factor -> columns of which one level is compared within."""

NESTED_FORM = "~ {group} + {group}:patient + {group}:{factor}"


def complete_pairs(design: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    """Find the patients that have every sample a contrast needs, and their group.

    Parameters
    ----------
    design
        One row per sample, as from ``cohort.design_table``.
    contrast
        One contrast of the cohort. With several tissues (for the factor visit) or visits (for
        the factor tissue) samples of the contrast's ``tissue`` or ``visit`` are used, or of the
        design's first; where it names a ``region``, samples of that region alone. Of several
        regions the first stands for all (see `averaged_samples`).

    Returns
    -------
    pandas.DataFrame
        One row per patient, in the order of the design: ``patient``, ``group``,
        ``sample_reference`` and ``sample_target``. The group is the value of the contrast's group
        column, or ``all`` for the estimand change; patients without one are left out. Of several
        targets the last present is given; for the estimand baseline ``sample_target`` is empty.

    Raises
    ------
    DesignError
        When a patient has two samples at the same level that are not of two regions, or the group column is unknown.
    """
    import pandas as pd

    chosen = _chosen_samples(design, contrast)
    reference = _one_sample(chosen, contrast, contrast["reference"])
    targets = [_one_sample(chosen, contrast, level) for level in target_levels(contrast)]
    rows = []
    for patient, group in zip(chosen["patient"], _groups(chosen, contrast), strict=True):
        present = [samples[patient] for samples in targets if patient in samples]
        if group and patient in reference and (present or not targets):
            rows.append((patient, group, reference[patient], present[-1] if present else ""))
    columns = ["patient", "group", "sample_reference", "sample_target"]
    return pd.DataFrame(list(dict.fromkeys(rows)), columns=columns, dtype=object)


def grouped_samples(design: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    """Find the samples of a contrast at whatever level, of patients who have a group.

    Parameters
    ----------
    design
        One row per sample.
    contrast
        One contrast of the cohort; of its tissue (for the factor visit) or visit (for the factor tissue), as in
        `complete_pairs`.

    Returns
    -------
    pandas.DataFrame
        ``sample, patient, group, level``, in the order of the design.

    Raises
    ------
    DesignError
        When the group column is unknown.
    """
    chosen = _chosen_samples(design, contrast)
    factor = str(contrast.get("factor", "visit"))
    table = chosen[["sample", "patient"]].assign(group=_groups(chosen, contrast), level=chosen[factor].tolist())
    return table[table["group"] != ""].reset_index(drop=True)


def averaged_samples(design: pd.DataFrame, contrast: Contrast) -> dict[str, list[str]]:
    """Return the samples that are averaged because they are regions of one tissue at one visit of a patient.

    Parameters
    ----------
    design
        One row per sample.
    contrast
        One contrast of the cohort.

    Returns
    -------
    dict of str to list of str
        Sample that stands for the regions -> all of them; empty without regions, or where the contrast compares them.
    """
    chosen = _chosen_samples(design, contrast)
    if "region" not in chosen or chosen.empty:
        return {}
    keys = ["patient", str(contrast.get("factor", "visit"))]
    groups = (list(names) for _, names in chosen.groupby(keys, sort=False)["sample"])
    return {names[0]: names for names in groups if len(names) > 1}


def target_levels(contrast: Contrast) -> list[str]:
    """Return the levels that a contrast compares with its reference.

    Parameters
    ----------
    contrast
        One contrast of the cohort.

    Returns
    -------
    list of str
        ``targets`` or ``target``; empty for the estimand baseline.
    """
    if contrast["estimand"] == "baseline":
        return []
    return list(contrast.get("targets") or [contrast["target"]])


def sample_weights(design: pd.DataFrame, contrast: Contrast, patients: Iterable[str]) -> pd.DataFrame:
    """Say how the samples of each patient add up to the one number that is compared.

    Parameters
    ----------
    design
        One row per sample.
    contrast
        One contrast of the cohort; ``summary`` (last, mean or slope) applies where it has several ``targets``.
    patients
        Patients of `complete_pairs`.

    Returns
    -------
    pandas.DataFrame
        ``patient, sample, level, weight``: the number is the sum of weight times the sample's value. The reference has
        weight 1 for the estimand baseline and otherwise -1, the targets add up to 1; for a slope over steps of
        reference and targets as listed the weights are those of least squares. Missing samples have no row.
    """
    import pandas as pd

    chosen = _chosen_samples(design, contrast)
    levels = [str(contrast["reference"]), *target_levels(contrast)]
    samples = [_one_sample(chosen, contrast, level) for level in levels]
    rows = []
    for patient in patients:
        present = [at for at, known in enumerate(samples) if patient in known]
        for at, weight in zip(present, _summary_weights(present, contrast.get("summary") or "last"), strict=True):
            rows.append((patient, samples[at][patient], levels[at], weight))
    return pd.DataFrame(rows, columns=["patient", "sample", "level", "weight"])


def _summary_weights(present: list[int], summary: str) -> list[float]:
    """Weigh the reference (first) and the targets present, by their places among the levels."""
    count = len(present) - 1
    if count == 0:
        return [1.0]
    if summary == "slope":
        middle = sum(present) / len(present)
        spread = sum((at - middle) ** 2 for at in present)
        return [(at - middle) / spread for at in present]
    if summary == "mean":
        return [-1.0, *[1 / count] * count]
    return [-1.0, *[0.0] * (count - 1), 1.0]


def group_column(contrast: Contrast) -> str:
    """Return the column of the design that tells the groups of a contrast; empty for the estimand change."""
    return str(contrast.get("group_column") or "") or GROUP_COLUMNS.get(contrast["estimand"], "")


def group_names(contrast: Contrast, present: Iterable[str]) -> list[str]:
    """Return the groups of a contrast, the effect being first minus second.

    Parameters
    ----------
    contrast
        One contrast of the cohort.
    present
        Values of its group column.

    Returns
    -------
    list of str
        As declared; else responders before non-responders, or in order of name. ``all`` alone for the estimand change.
    """
    if contrast["estimand"] == "change":
        return ["all"]
    if contrast.get("groups"):
        return [str(name) for name in contrast["groups"]]
    if group_column(contrast) == "response":
        return list(RESPONSE_GROUPS)
    return sorted({str(value) for value in present} - {""})


def check_contrast(design: pd.DataFrame, contrast: Contrast, *, min_pairs: int, file: str, line: int) -> list[Problem]:
    """Return why a contrast cannot be estimated from the sheets.

    Parameters
    ----------
    design
        One row per sample, as from ``cohort.design_table``.
    contrast
        One contrast of the cohort.
    min_pairs
        Least number of complete patients per group.
    file, line
        Where the contrast is declared.

    Returns
    -------
    list of Problem
        Unknown levels, too few complete patients, batch confounded with the comparison, or an
        explicit formula whose model matrix has not full rank. Empty when all is well.
    """
    column = f"contrasts.{contrast['name']}"
    found = _unknown_levels(design, contrast) + _unknown_columns(design, contrast)
    if not found:
        pairs = complete_pairs(design, contrast)
        found = _too_few(pairs, contrast, min_pairs) or _confounded(design, pairs, contrast)
        found = found or _aliased_covariates(design, pairs, contrast) or _formula_faults(design, pairs, contrast)
    return [Problem(file, line, column, message, kind) for kind, message in found]


def confounding_table(design: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    """Count the samples of a contrast's patients by batch and by what is compared.

    Parameters
    ----------
    design
        One row per sample.
    contrast
        One contrast of the cohort.

    Returns
    -------
    pandas.DataFrame
        Rows are batches; columns are pairs of group and level, both as text.
    """
    import numpy as np
    import pandas as pd

    used = _used_samples(design, contrast, complete_pairs(design, contrast))
    levels = used[str(contrast.get("factor", "visit"))]
    compared = [f"{group}, {level}" for group, level in zip(used["group"], levels, strict=True)]
    batches = used["batch"].to_numpy()
    return pd.crosstab(batches, np.array(compared), rownames=["batch"], colnames=["compared"])


def _chosen_samples(design: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    for within in WITHIN[contrast.get("factor", "visit")]:
        if within in design and not design.empty:
            level = contrast.get(within) or design[within].iloc[0]
            design = design[design[within] == level]
    region = contrast.get("region")
    return design[design["region"] == region] if region and "region" in design else design


def _groups(design: pd.DataFrame, contrast: Contrast) -> list[str]:
    if contrast["estimand"] == "change":
        return ["all"] * len(design)
    column = group_column(contrast)
    if column not in design:
        known = listed(design.columns)
        raise DesignError(f"contrast {contrast['name']}: group_column is {printable(column)}, expected one of {known}")
    values = ["" if value != value else str(value) for value in design[column]]  # NaN is not itself
    wanted = set(group_names(contrast, values))
    return [value if value in wanted else "" for value in values]


def _one_sample(design: pd.DataFrame, contrast: Contrast, level: str) -> dict[str, str]:
    rows = design[design[contrast.get("factor", "visit")] == level]
    places = [name for name in ("patient", "region") if name in rows]
    twice = sorted(set(rows.loc[rows[places].duplicated(), "patient"]))
    if twice:
        raise DesignError(f"contrast {contrast['name']}: more than one sample at {level} of {listed(twice)}")
    first = rows[~rows["patient"].duplicated()]
    return dict(zip(first["patient"], first["sample"], strict=True))


def _used_samples(design: pd.DataFrame, contrast: Contrast, pairs: pd.DataFrame) -> pd.DataFrame:
    group = dict(zip(pairs["patient"], pairs["group"], strict=True))
    names = set(sample_weights(design, contrast, pairs["patient"])["sample"])
    used = design[design["sample"].isin(sorted(names))]
    return used.assign(group=[group[patient] for patient in used["patient"]])


def _unknown_levels(design: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    factor = contrast.get("factor", "visit")
    known = list(dict.fromkeys(design[factor]))
    key = "targets" if contrast.get("targets") else "target"
    named = [("reference", contrast.get("reference", "")), *((key, level) for level in target_levels(contrast))]
    return [
        ("unknown_level", f"{key} is {printable(level)}, expected a {factor} with samples: {listed(known)}")
        for key, level in named
        if level not in known
    ]


def _unknown_columns(design: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    named = [("covariates", name) for name in contrast.get("covariates") or []]
    named += [("group_column", str(contrast["group_column"]))] if contrast.get("group_column") else []
    return [
        ("unknown_column", f"{key} names {printable(name)}, expected a column of patients.tsv")
        for key, name in named
        if name not in design
    ]


def _too_few(pairs: pd.DataFrame, contrast: Contrast, min_pairs: int) -> list[tuple[str, str]]:
    counts = pairs["group"].value_counts().sort_index()
    found = ", ".join(f"{group} {count}" for group, count in counts.items()) or "none"
    what = "patients" if contrast["estimand"] == "baseline" else "patients with both samples"
    groups = group_names(contrast, counts.index)
    if contrast["estimand"] != "change" and len(groups) != 2:
        message = f"needs two groups of {group_column(contrast)}, found {len(groups)} ({found}); name two in groups"
        return [("not_two_groups", message)]
    short = [group for group in groups if counts.get(group, 0) < min_pairs]
    if not short:
        return []
    empty = all(counts.get(group, 0) == 0 for group in short)
    kind = "one_group" if empty and len(short) < len(groups) else "too_few_patients"
    return [(kind, f"not estimable: {what}: {found}; expected at least {min_pairs} in {listed(short)}")]


def _aliased_covariates(design: pd.DataFrame, pairs: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    """Tell which covariates fix the group, or leave no patient to estimate the error from."""
    import numpy as np

    names = list(contrast.get("covariates") or [])
    if not names or contrast["estimand"] == "change":
        return []
    matrix, complete = covariate_matrix(design, pairs["patient"], names)
    is_first = (pairs["group"] == group_names(contrast, pairs["group"])[0]).to_numpy(dtype=float)[complete]
    model = np.column_stack([np.ones(len(is_first)), matrix[complete], is_first])
    rank = np.linalg.matrix_rank(model)
    if rank == np.linalg.matrix_rank(model[:, :-1]):
        return [("rank_deficient", f"covariates {listed(names)} tell the groups apart; nothing is left to compare")]
    if len(model) - rank < 2:
        message = f"covariates {listed(names)} leave {len(model) - rank} of {len(model)} patients to estimate the error"
        return [("no_residuals", message)]
    return []


def covariate_matrix(
    design: pd.DataFrame, patients: Iterable[str], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Code the covariates of patients.

    Parameters
    ----------
    design
        One row per sample, with the columns of patients.tsv.
    patients
        Whose values are wanted.
    names
        Columns; numbers enter centred and in standard deviations, texts as one column per level but the first.

    Returns
    -------
    matrix : numpy.ndarray, shape (patients, columns)
        Zero where a value is missing.
    complete : numpy.ndarray of bool, shape (patients,)
        Patients who have all values.
    """
    import numpy as np
    import pandas as pd

    table = design.drop_duplicates("patient").set_index("patient")[list(names)].reindex(list(patients))
    complete, columns = np.ones(len(table), dtype=bool), []
    for name in names:
        values = table[name]
        if pd.api.types.is_numeric_dtype(values):
            known, coded = values.notna().to_numpy(), _standardised(values.to_numpy(dtype=float))
        else:
            known = values.notna().to_numpy() & (values.fillna("").astype(str) != "").to_numpy()
            coded = np.column_stack([(values == level).to_numpy(dtype=float) for level in sorted(set(values[known]))])
            coded = coded[:, 1:]
        complete &= known
        columns.append(coded)
    return np.column_stack(columns), complete


def _standardised(values: np.ndarray) -> np.ndarray:
    import numpy as np

    known = ~np.isnan(values)
    spread = values[known].std() if known.any() else 0.0
    centred = np.where(known, values - (values[known].mean() if known.any() else 0.0), 0.0)
    return (centred / spread if spread > 0 else centred)[:, None]


def _confounded(design: pd.DataFrame, pairs: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    used = _used_samples(design, contrast, pairs)
    if "batch" not in used or (used["batch"] == "").any():
        return []
    found: list[tuple[str, str]] = []
    compared: dict[str, list[str]] = {}
    if contrast["estimand"] != "baseline":
        factor = str(contrast.get("factor", "visit"))
        compared[factor] = used[factor].tolist()
    if contrast["estimand"] != "change":
        compared[group_column(contrast)] = used["group"].tolist()
    for name, values in compared.items():
        if _determined(list(used["batch"]), values, units=len(used) if name in WITHIN else len(pairs)):
            table = _table_text(confounding_table(design, contrast))
            found.append(("batch_confounded", f"not estimable: every batch holds one {name} only: {table}"))
    return found


def _determined(batch: list[str], values: list[str], *, units: int) -> bool:
    """Tell whether batches fix the value; one batch per sample or patient groups nothing."""
    held = set(zip(batch, values, strict=True))
    batches = set(batch)
    return len(held) == len(batches) and len(set(values)) > 1 and len(batches) < units


def _table_text(table: pd.DataFrame) -> str:
    rows = []
    for batch, counts in table.iterrows():
        cells = "; ".join(f"{compared} {count}" for compared, count in counts.items() if count)
        rows.append(f"batch {batch} ({cells})")
    return ", ".join(rows)


def _formula_faults(design: pd.DataFrame, pairs: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    formula = contrast.get("formula") or ""
    if not formula:
        return []
    used = _used_samples(design, contrast, pairs)
    try:
        matrix, terms = model_matrix(used, formula)
    except DesignError as error:
        return [("bad_formula", str(error))]
    group = group_column(contrast) or "response"
    nested = NESTED_FORM.format(group=group, factor=contrast.get("factor", "visit"))
    aliased = aliased_terms(matrix, terms)
    if aliased:
        message = f"{formula!r} has not full rank: {listed(aliased)} cannot be told from the terms before"
        return [("rank_deficient", f"{message}; use {nested!r}")]
    if matrix.shape[1] >= matrix.shape[0]:
        message = f"{formula!r} has {matrix.shape[1]} coefficients for {matrix.shape[0]} samples; none is left to"
        return [("no_residuals", f"{message} estimate the error")]
    return _missing_term(formula, terms, contrast)


def _missing_term(formula: str, terms: list[str], contrast: Contrast) -> list[tuple[str, str]]:
    factor, group = contrast.get("factor", "visit"), group_column(contrast)
    needed = {"change": {factor}, "baseline": {group}}.get(contrast["estimand"], {group, factor})
    if any(set(term.split(":")) == needed for term in terms):
        return []
    wanted = ":".join(sorted(map(str, needed)))
    return [("missing_term", f"{formula!r} lacks the term {wanted}, which the contrast estimates")]
