"""Simulated sums of NK cells into which RNA of other cells leaks. Nothing here is data of patients."""

import numpy as np
import pandas as pd
from expression_tables import design_of

from immune_landscape.pseudobulk import WHOLE, Pseudobulk

GENES = ["LYZ", "S100A8", "IGKC", "HBB", "GZMB", "CD14", *(f"g{at:03d}" for at in range(60))]
CONTROLS = {"monocytes": ["LYZ", "S100A8"], "immunoglobulins": ["IGKC"], "haemoglobin": ["HBB"]}
LEAKING = ("IGKC", "CD14")
"""Genes that NK cells do not express, beside those of monocytes that tell how much leaks; haemoglobin is nowhere."""


def leaking_sums(later=0.25, usual=0.02, effect=1.2, seed=0):
    """Return sums of NK cells into which monocytes leak, more so in responders' later samples, and the design.

    The leak is what the cells of a sample hold together. GZMB rises in responders' own cells.
    """
    design, rng = design_of(), np.random.default_rng(seed)
    level = rng.normal(5, 1, len(GENES))
    at = {gene: place for place, gene in enumerate(GENES)}
    nk, mono = np.exp(level), np.exp(rng.permutation(level))
    nk[[at[gene] for gene in ("LYZ", "S100A8", "IGKC", "HBB", "CD14")]] = 0
    nk[at["GZMB"]], mono[at["GZMB"]], mono[at["IGKC"]], mono[at["HBB"]] = 400, 0, 0, 0
    mono[[at["LYZ"], at["S100A8"], at["CD14"]]] = 4000, 4000, 900
    b = np.zeros(len(GENES))
    b[at["IGKC"]] = 1500
    profiles, counts = [], []
    for row in design.to_dict("records"):
        moved = row["response"] == "responder" and row["visit"] == "after"
        own = nk * np.exp(rng.normal(0, 0.25, len(GENES)))
        own[at["GZMB"]] *= np.exp(effect * moved)
        other = 4 * (mono + b) * np.exp(rng.normal(0, 0.1, len(GENES)))
        soup = own + other
        leak = (later if moved else usual) * own.sum() / soup.sum() * soup
        dim = rng.poisson(own + leak)
        profiles += [(row["sample"], "nk_cd56dim", 50), (row["sample"], WHOLE, 200)]
        counts += [dim, dim + rng.poisson(other)]
    table = pd.DataFrame(profiles, columns=["sample", "subset", "cells"])
    sums = Pseudobulk(table, pd.Index(GENES), np.array(counts))
    parts = (table["subset"] != WHOLE).to_numpy()
    return Pseudobulk(table[parts].reset_index(drop=True), sums.genes, sums.counts[parts], sums.of(WHOLE)), design
