"""Write the sums of counts that `fit_expression.R` fits: simulated ones, and those of Kang et al. 2018.

python tests/golden/write_expression_inputs.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

TESTS = Path(__file__).resolve().parents[1]
SEED = 20240611
PLANTED = 1.0
"""Natural log fold of the interaction in the first genes."""

SETS = {
    "planted": range(20),
    "half_planted": range(10, 30),
    "quarter_planted": range(15, 35),
    "null_a": range(100, 120),
    "null_b": range(200, 220),
    "null_c": range(300, 320),
}
"""Genes of made-up sets, by number."""


def simulated_tables():
    """Return counts (genes x samples), samples and gene sets of a simulated cohort of 6 and 13 patients."""
    from science.simulated_expression import simulate_expression
    from science.simulated_layers import make_cohort

    cohort = make_cohort()
    sums = simulate_expression(np.random.default_rng(SEED), cohort, PLANTED)
    counts = pd.DataFrame(sums.counts.T, index=sums.genes, columns=cohort.sample).rename_axis("gene")
    sets = [(name, sums.genes[at]) for name, members in SETS.items() for at in members]
    samples = cohort.design[["sample", "patient", "visit", "response"]]
    return counts, samples, pd.DataFrame(sets, columns=["set", "gene"])


def kang_tables():
    """Return counts (genes x sums) and sums of two donors, control and stimulated, in five clusters."""
    from science.kang_sums import read_kang

    sums, design = read_kang()
    facts = sums.profiles.merge(design, on="sample", validate="many_to_one")
    # The tables are read into R, where names with blanks are a nuisance.
    profiles = facts["sample"] + "/" + facts["subset"].str.replace(" ", "_")
    counts = pd.DataFrame(sums.counts.toarray().T, index=sums.genes, columns=profiles).rename_axis("gene")
    return counts, facts.assign(profile=profiles)[["profile", "sample", "subset", "patient", "visit"]]


def as_text(table, *, index=False):
    """Return a table as tab-separated text."""
    return table.to_csv(sep="\t", index=index, lineterminator="\n")


def simulated_inputs():
    """Return file name -> text of the simulated inputs."""
    counts, samples, sets = simulated_tables()
    return {
        "simulated_counts.tsv": as_text(counts, index=True),
        "simulated_samples.tsv": as_text(samples),
        "simulated_sets.tsv": as_text(sets),
    }


def kang_inputs():
    """Return file name -> text of the inputs from Kang et al. 2018."""
    counts, profiles = kang_tables()
    return {"kang_counts.tsv": as_text(counts, index=True), "kang_samples.tsv": as_text(profiles)}


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "scripts")]
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (simulated_inputs() | kang_inputs()).items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
