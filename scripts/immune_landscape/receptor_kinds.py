"""Kinds of T-cell receptors as evidence, and the cell types that each agrees with."""

from __future__ import annotations

from immune_landscape.cell_types import read_cell_types

KINDS = ("alpha_beta", "mait", "inkt", "gamma_delta", "none")
NAMES = {
    "alpha_beta": "αβ receptor",
    "mait": "MAIT receptor",
    "inkt": "iNKT receptor",
    "gamma_delta": "γδ receptor",
    "none": "No receptor",
}
OWN_TYPE = {"mait": "mait", "inkt": "inkt", "gamma_delta": "gdt"}
"""Kind -> the subset that it defines; other subsets of that table are not compatible with it."""


def allows(receptor: str, slug: str) -> bool:
    """Tell whether a cell type can carry a receptor.

    Parameters
    ----------
    receptor
        One of `KINDS`.
    slug
        Lineage or subset.

    Returns
    -------
    bool
        True without a receptor, as chains drop out. A T-cell receptor is allowed in the T branch alone. There, an
        invariant or gamma-delta receptor is allowed in its own subset and in those of no co-receptor side and no
        receptor of their own, such as proliferating cells; an alpha-beta receptor everywhere but in gamma-delta T
        cells and in iNKT, which only their receptor defines.
    """
    if receptor == "none":
        return True
    types = read_cell_types()
    if slug not in types.index or types.at[slug, "branch"] != "t":
        return False
    own = OWN_TYPE.get(receptor)
    if types.at[slug, "level"] == "lineage" or slug == own:
        return True
    if own is None:
        return slug not in (OWN_TYPE["gamma_delta"], OWN_TYPE["inkt"])
    return types.at[slug, "side"] == "" and slug not in OWN_TYPE.values()
