"""What the T-cell receptor of each cell says of its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData

CHAINS = {"TRA": "alpha", "TRB": "beta", "TRG": "gamma", "TRD": "delta"}
FIELDS = ("locus", "v_call", "j_call", "junction_aa")


class Invariant(NamedTuple):
    """What makes a receptor invariant; genes as regular expressions on the whole name without allele.

    Attributes
    ----------
    v_alpha, j_alpha, v_beta
        Genes of the alpha and the beta chain.
    lengths
        Amino acids of the junction of the alpha chain, which counts the conserved C and F or W at its ends.
    """

    v_alpha: str
    j_alpha: str
    lengths: tuple[int, ...]
    v_beta: str


INVARIANT = {
    "mait": Invariant("TRAV1-2", "TRAJ(?:33|20|12)", (12,), "TRBV(?:6|20)(?:-[^,*]*)?"),
    "inkt": Invariant("TRAV10", "TRAJ18", (14, 15, 16), "TRBV25-1"),
}
"""Human rules of scRepertoire's annotateInvariant. Its length is that of Cell Ranger's cdr3, which is the junction."""


def witness_receptors(receptors: AnnData, *, pair_needed: bool) -> pd.DataFrame:
    """Name the kind of receptor of each barcode from its productive chains.

    Parameters
    ----------
    receptors
        As `load_receptors.load_receptors` returns: AIRR chains in ``obsm["airr"]``, ``obs["sample"]``.
    pair_needed
        Whether an alpha-beta receptor takes a productive alpha and a productive beta chain; otherwise one of them.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``receptor``, ``productive_alpha``, ``productive_beta``, ``productive_gamma``,
        ``productive_delta`` (numbers of chains). The receptor is ``mait`` or ``inkt`` where a productive alpha and a
        productive beta chain fit the rule, else ``gamma_delta`` with productive gamma and delta chains and no
        alpha-beta pair, else ``alpha_beta``, else ``none``.

    References
    ----------
    Borcherding 2020, doi:10.12688/f1000research.22139.2 (scRepertoire 2.6.1, annotateInvariant); junction: AIRR
    rearrangement schema, IMGT C104 to F/W118.
    """
    chains = _productive(receptors)
    counts = {
        f"productive_{name}": np.bincount(chains["row"][chains["locus"] == locus], minlength=receptors.n_obs)
        for locus, name in CHAINS.items()
    }
    table = pd.DataFrame({"sample": receptors.obs["sample"].astype(str), "receptor": "none"}, index=receptors.obs_names)
    table = table.assign(**counts)
    alpha, beta, gamma, delta = (table[f"productive_{name}"] > 0 for name in CHAINS.values())
    table.loc[(alpha & beta) if pair_needed else (alpha | beta), "receptor"] = "alpha_beta"
    table.loc[gamma & delta & ~(alpha & beta), "receptor"] = "gamma_delta"
    for kind, rule in INVARIANT.items():
        table.loc[_fits(chains, rule, receptors.n_obs), "receptor"] = kind
    return table.rename_axis("cell")


def _productive(receptors: AnnData) -> pd.DataFrame:
    """Return one row per productive chain of a T-cell locus: row of its barcode, locus, genes, junction."""
    import awkward as ak

    airr = receptors.obsm["airr"]
    flat = ak.flatten(airr, axis=1)
    if not len(flat):
        return pd.DataFrame({"row": pd.Series(dtype=int)} | dict.fromkeys(FIELDS, pd.Series(dtype=object)))
    table = pd.DataFrame({name: pd.Series(ak.to_list(flat[name]), dtype=object) for name in FIELDS}).fillna("")
    table.insert(0, "row", np.repeat(np.arange(receptors.n_obs), ak.to_numpy(ak.num(airr, axis=1))))
    return table[ak.to_numpy(flat["productive"]) & table["locus"].isin(CHAINS).to_numpy()]


def _fits(chains: pd.DataFrame, rule: Invariant, barcodes: int) -> np.ndarray:
    """Mark the barcodes with an alpha chain and a beta chain that fit a rule."""
    alpha = (chains["locus"] == "TRA") & _named(chains["v_call"], rule.v_alpha) & _named(chains["j_call"], rule.j_alpha)
    alpha &= chains["junction_aa"].str.len().isin(rule.lengths)
    beta = (chains["locus"] == "TRB") & _named(chains["v_call"], rule.v_beta)
    found = np.zeros((2, barcodes), dtype=bool)
    found[0, chains["row"][alpha]] = True
    found[1, chains["row"][beta]] = True
    return np.asarray(found.all(axis=0))


def _named(calls: pd.Series, gene: str) -> pd.Series:
    """Tell whether a gene is among those called, alleles aside; tied genes are separated by commas."""
    return calls.str.contains(rf"(?:^|,\s*)(?:{gene})(?:\*[^,]*)?(?:,|$)", regex=True)
