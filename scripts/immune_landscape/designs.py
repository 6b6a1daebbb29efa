"""Which patients a contrast compares, and whether the sheets can answer it at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from immune_landscape.errors import DesignError, Problem
from immune_landscape.text_files import listed, printable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Contrast = Mapping[str, Any]

GROUP_COLUMNS = {"baseline": "response", "response_by_visit": "response", "arm_by_visit": "arm"}
WITHIN = {"visit": "tissue", "tissue": "visit"}
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
        design's first.

    Returns
    -------
    pandas.DataFrame
        One row per patient, in the order of the design: ``patient``, ``group``,
        ``sample_reference`` and ``sample_target``. The group is the response or the arm, or
        ``all`` for the estimand change; patients without one are left out. For the estimand
        baseline ``sample_target`` is empty.

    Raises
    ------
    DesignError
        When a patient has two samples at the same level.
    """
    import pandas as pd

    chosen = _chosen_samples(design, contrast)
    reference = _one_sample(chosen, contrast, "reference")
    target = _one_sample(chosen, contrast, "target") if contrast["estimand"] != "baseline" else None
    rows = []
    for patient, group in zip(chosen["patient"], _groups(chosen, contrast), strict=True):
        has_target = target is None or patient in target
        if group and patient in reference and has_target:
            rows.append((patient, group, reference[patient], "" if target is None else target[patient]))
    columns = ["patient", "group", "sample_reference", "sample_target"]
    return pd.DataFrame(list(dict.fromkeys(rows)), columns=columns, dtype=object)


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
    found = _unknown_levels(design, contrast)
    if not found:
        pairs = complete_pairs(design, contrast)
        found = _too_few(pairs, contrast, min_pairs) or _confounded(design, pairs, contrast)
        found = found or _formula_faults(design, pairs, contrast)
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

    used = _used_samples(design, complete_pairs(design, contrast))
    levels = used[str(contrast.get("factor", "visit"))]
    compared = [f"{group}, {level}" for group, level in zip(used["group"], levels, strict=True)]
    batches = used["batch"].to_numpy()
    return pd.crosstab(batches, np.array(compared), rownames=["batch"], colnames=["compared"])


def model_matrix(table: pd.DataFrame, formula: str) -> tuple[np.ndarray, list[str]]:
    """Build the model matrix of an additive formula with interactions.

    Parameters
    ----------
    table
        One row per observation; text columns are factors, number columns covariates.
    formula
        Right-hand side such as ``~ response + response:patient + response:visit``; ``a*b`` stands
        for ``a + b + a:b``. There is always an intercept.

    Returns
    -------
    matrix : numpy.ndarray, shape (observations, columns)
        Treatment-coded columns; those that are zero throughout are dropped.
    terms : list of str
        Term of each column.

    Raises
    ------
    DesignError
        When the formula cannot be read, names an unknown column, or a covariate has gaps.

    Notes
    -----
    A factor is coded by contrasts where the term without it is in the model, and by one column
    per level otherwise, as in R. A patient inside an interaction is numbered within the other
    factor, since patients are nested in it; of unequal groups this leaves empty columns, which
    are dropped (edgeR User's Guide, section 3.5, doi:10.18129/B9.bioc.edgeR).
    """
    import numpy as np

    terms = _terms(formula, table)
    blocks, names = [], []
    for term in terms:
        block = _term_columns(table, term, terms)
        block = block[:, np.abs(block).any(axis=0)]
        blocks.append(block)
        names += [":".join(term) or "intercept"] * block.shape[1]
    return np.hstack(blocks), names


def aliased_terms(matrix: np.ndarray, terms: list[str]) -> list[str]:
    """Return the terms that add fewer dimensions to a model matrix than they have columns.

    Parameters
    ----------
    matrix
        Model matrix, observations by columns.
    terms
        Term of each column, in runs.

    Returns
    -------
    list of str
        Aliased terms in the order of the formula; empty for a matrix of full rank.
    """
    import numpy as np

    aliased, rank = [], 0
    for term in dict.fromkeys(terms):
        last = max(i for i, name in enumerate(terms) if name == term) + 1
        new = int(np.linalg.matrix_rank(matrix[:, :last]))
        if new - rank < terms.count(term):
            aliased.append(term)
        rank = new
    return aliased


def _chosen_samples(design: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    within = WITHIN[contrast.get("factor", "visit")]
    if within not in design or design.empty:
        return design
    level = contrast.get(within) or design[within].iloc[0]
    return design[design[within] == level]


def _groups(design: pd.DataFrame, contrast: Contrast) -> list[str]:
    column = GROUP_COLUMNS.get(contrast["estimand"])
    if column is None:
        return ["all"] * len(design)
    arms = contrast.get("arms") if column == "arm" else None
    return [group if not arms or group in arms else "" for group in design[column]]


def _one_sample(design: pd.DataFrame, contrast: Contrast, key: str) -> dict[str, str]:
    rows = design[design[contrast.get("factor", "visit")] == contrast[key]]
    twice = sorted(set(rows.loc[rows["patient"].duplicated(), "patient"]))
    if twice:
        raise DesignError(f"contrast {contrast['name']}: more than one sample at {contrast[key]} of {listed(twice)}")
    return dict(zip(rows["patient"], rows["sample"], strict=True))


def _used_samples(design: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    group = dict(zip(pairs["patient"], pairs["group"], strict=True))
    names = {*pairs["sample_reference"], *pairs["sample_target"]} - {""}
    used = design[design["sample"].isin(sorted(names))]
    return used.assign(group=[group[patient] for patient in used["patient"]])


def _unknown_levels(design: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    factor = contrast.get("factor", "visit")
    known = list(dict.fromkeys(design[factor]))
    keys = ["reference"] if contrast["estimand"] == "baseline" else ["reference", "target"]
    return [
        (
            "unknown_level",
            f"{key} is {printable(contrast.get(key, ''))}, expected a {factor} with samples: {listed(known)}",
        )
        for key in keys
        if contrast.get(key) not in known
    ]


def _too_few(pairs: pd.DataFrame, contrast: Contrast, min_pairs: int) -> list[tuple[str, str]]:
    counts = pairs["group"].value_counts().sort_index()
    found = ", ".join(f"{group} {count}" for group, count in counts.items()) or "none"
    what = "patients" if contrast["estimand"] == "baseline" else "patients with both samples"
    expected = {"change": ["all"], "arm_by_visit": list(contrast.get("arms") or counts.index)}
    groups = expected.get(contrast["estimand"], ["responder", "non_responder"])
    if contrast["estimand"] == "arm_by_visit" and len(groups) != 2:
        message = f"needs two arms, found {len(groups)} ({found}); name two in the key arms"
        return [("not_two_arms", message)]
    short = [group for group in groups if counts.get(group, 0) < min_pairs]
    if not short:
        return []
    empty = all(counts.get(group, 0) == 0 for group in short)
    kind = "one_group" if empty and len(short) < len(groups) else "too_few_patients"
    return [(kind, f"not estimable: {what}: {found}; expected at least {min_pairs} in {listed(short)}")]


def _confounded(design: pd.DataFrame, pairs: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    used = _used_samples(design, pairs)
    if "batch" not in used or (used["batch"] == "").any():
        return []
    found: list[tuple[str, str]] = []
    compared: dict[str, list[str]] = {}
    if contrast["estimand"] != "baseline":
        factor = str(contrast.get("factor", "visit"))
        compared[factor] = used[factor].tolist()
    if contrast["estimand"] != "change":
        compared[GROUP_COLUMNS[contrast["estimand"]]] = used["group"].tolist()
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
    used = _used_samples(design, pairs)
    try:
        matrix, terms = model_matrix(used, formula)
    except DesignError as error:
        return [("bad_formula", str(error))]
    group = GROUP_COLUMNS.get(contrast["estimand"], "response")
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
    factor, group = contrast.get("factor", "visit"), GROUP_COLUMNS.get(contrast["estimand"])
    needed = {"change": {factor}, "baseline": {"response"}}.get(contrast["estimand"], {group, factor})
    if any(set(term.split(":")) == needed for term in terms):
        return []
    wanted = ":".join(sorted(map(str, needed)))
    return [("missing_term", f"{formula!r} lacks the term {wanted}, which the contrast estimates")]


def _terms(formula: str, table: pd.DataFrame) -> list[tuple[str, ...]]:
    body = formula.strip().removeprefix("~").replace(" ", "")
    if not re.fullmatch(r"(1\+)?[A-Za-z][A-Za-z0-9_]*([:*+][A-Za-z][A-Za-z0-9_]*)*", body):
        raise DesignError(f"formula {formula!r}, expected column names joined by '+', ':' and '*'")
    terms: dict[tuple[str, ...], None] = {(): None}
    for part in body.split("+"):
        if part == "1":
            continue
        factors = part.split("*")
        groups = [tuple(factors[0].split(":"))] if len(factors) == 1 else _crossed(factors)
        terms |= dict.fromkeys(groups)
    unknown = sorted({name for term in terms for name in term} - set(table.columns))
    if unknown:
        raise DesignError(f"formula {formula!r} names {listed(unknown)}; columns are {listed(table.columns)}")
    return sorted(terms, key=len)


def _crossed(factors: list[str]) -> list[tuple[str, ...]]:
    from itertools import combinations

    return [term for size in range(1, len(factors) + 1) for term in combinations(factors, size)]


def _term_columns(table: pd.DataFrame, term: tuple[str, ...], terms: list[tuple[str, ...]]) -> np.ndarray:
    import numpy as np

    block = np.ones((len(table), 1))
    present = [frozenset(other) for other in terms]
    for name in term:
        values = _numbered_within(table, term) if name == "patient" and len(term) > 1 else table[name]
        contrasts = frozenset(term) - {name} in present
        block = np.einsum("ij,ik->ijk", block, _coded(values, contrasts)).reshape(len(table), -1)
    return block


def _numbered_within(table: pd.DataFrame, term: tuple[str, ...]) -> pd.Series:
    """Number patients 0, 1, ... inside the factors of a term that are constant in each patient."""
    import pandas as pd

    values_held = table.groupby("patient")
    others = [name for name in term if name != "patient" and values_held[name].nunique().max() == 1]
    if not others:
        return table["patient"]
    numbers: dict[tuple[str, ...], dict[str, int]] = {}
    codes = []
    for patient, *group in table[["patient", *others]].itertuples(index=False):
        inside = numbers.setdefault(tuple(group), {})
        codes.append(str(inside.setdefault(patient, len(inside))))
    return pd.Series(codes, index=table.index, dtype=object)


def _coded(values: pd.Series, contrasts: bool) -> np.ndarray:
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        if values.isna().any():
            raise DesignError(f"formula names {values.name}, which has gaps")
        return values.to_numpy(dtype=float).reshape(-1, 1)
    levels = list(dict.fromkeys(values))
    indicators = np.column_stack([(values == level).to_numpy(dtype=float) for level in levels])
    return indicators[:, 1:] if contrasts else indicators
