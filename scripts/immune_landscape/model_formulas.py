"""Model matrices from formulas: checked for rank before any heavy job, and fitted by the models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from immune_landscape.errors import DesignError
from immune_landscape.text_files import listed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


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
