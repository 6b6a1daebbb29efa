import numpy as np
import pandas as pd
import pytest

from immune_landscape.errors import InputError
from immune_landscape.measure_overlap import MEASURES, OVERLAP_COLUMNS, measure_overlap


def clones_of(counts, first=0):
    kept = np.flatnonzero(counts)
    ids = [f"{number + first:016x}" for number in kept]
    return pd.DataFrame({"clonotype": ids, "count": np.asarray(counts)[kept]}).sample(frac=1, random_state=1)


DESIGN = pd.DataFrame({"sample": ["a1", "a2", "b1"], "patient": ["a", "a", "b"], "visit": ["v1", "v2", "v1"]})


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    share = (np.arange(3_000) + 2.0) ** -0.9
    share /= share.sum()
    return {
        "a1": clones_of(rng.multinomial(4_000, share)),
        "a2": clones_of(rng.multinomial(40_000, share)),
        "b1": clones_of(rng.multinomial(9_000, share), first=2_900),
    }


def test_every_pair_has_a_row_at_one_depth(samples):
    found = measure_overlap(samples.items(), DESIGN, min_templates=1_000)
    assert list(found.columns) == OVERLAP_COLUMNS
    pairs = found[["sample_a", "sample_b"]].to_numpy().tolist()
    assert pairs == [["a1", "a2"], ["a1", "b1"], ["a2", "b1"]]
    assert found["same_patient"].tolist() == [True, False, False]
    assert (found["depth"] == 4_000).all()
    shared = set(samples["a1"]["clonotype"]) & set(samples["a2"]["clonotype"])
    assert found.loc[0, "shared_at_full_depth"] == len(shared)
    assert found.loc[0, "morisita_horn"] > 0.9
    assert found.loc[1, "morisita_horn"] < 0.1


def test_indices_do_not_follow_the_depth(samples):
    rng = np.random.default_rng(1)
    whole = samples["a2"].set_index("clonotype")["count"]
    fewer = pd.Series(rng.multivariate_hypergeometric(whole.to_numpy(), 8_000), whole.index)
    thin = fewer[fewer > 0].rename("count").reset_index()
    full = measure_overlap(samples.items(), DESIGN, min_templates=1_000)
    found = measure_overlap({**samples, "a2": thin}.items(), DESIGN, min_templates=1_000)
    assert found.loc[0, "shared_at_full_depth"] < 0.9 * full.loc[0, "shared_at_full_depth"]
    for measure in MEASURES:
        assert found.loc[0, measure] == pytest.approx(full.loc[0, measure], rel=0.05)


def test_small_samples_are_left_out_and_strangers_refused(samples):
    found = measure_overlap(samples.items(), DESIGN, min_templates=5_000)
    assert found[["sample_a", "sample_b", "depth"]].to_numpy().tolist() == [["a2", "b1", 9_000]]
    assert measure_overlap([], DESIGN, min_templates=5_000).empty
    with pytest.raises(InputError, match="design lacks: b1"):
        measure_overlap(samples.items(), DESIGN.head(2), min_templates=1)
