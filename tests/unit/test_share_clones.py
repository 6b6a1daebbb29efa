import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.errors import InputError
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.share_clones import CLONE_COLUMNS, HOPPING, LARGE, PAIR_COLUMNS, share_clones
from immune_landscape.sharing_limits import SharingRule, limit_sharing

SETTINGS = fill_defaults(load_schema("settings/share_clones"), {})
RULE = SharingRule(min_shared=10, max_identity=1e-6, chance=0.001, min_pairs=6)


def design_of(*samples, batch="b1"):
    rows = [(sample, sample.split("_")[0], batch) for sample in samples]
    return pd.DataFrame(rows, columns=["sample", "patient", "batch"])


def bulk_of(names, counts=1):
    """Return clonotypes with a nucleotide junction each; a name before a dot stands for the amino acids."""
    residues = [str(name).split(".")[0] for name in names]
    table = pd.DataFrame({"junction": [f"N{name}" for name in names], "junction_aa": residues})
    return table.assign(v_call="TRBV9", j_call="TRBJ1-1", count=counts)


def cells_of(rows):
    """Return cells from sample, alpha and beta junction."""
    table = pd.DataFrame(rows, columns=["sample", "vj_junction", "vdj_junction"])
    amino = {name: table[name.removesuffix("_aa")] for name in ("vj_junction_aa", "vdj_junction_aa")}
    return table.assign(patient=table["sample"].str.split("_").str[0], has_receptor=True, **amino)


def own(patient, number):
    return [f"{patient}{at}" for at in range(number)]


def many(patients, shared=(), number=200):
    """Return bulk repertoires of clones of their own; of `shared`, each pair has its number in common."""
    held = {patient: own(patient, number) for patient in patients}
    for a, b, common in shared:
        names = own(f"{a}&{b}:", common)
        held[a], held[b] = held[a] + names, held[b] + names
    return [(f"{patient}_1", bulk_of(names)) for patient, names in held.items()]


def share(bulk=(), cells=None, design=None, **changes):
    samples = {name for name, _ in bulk} | (set() if cells is None else set(cells["sample"]))
    design = design_of(*sorted(samples)) if design is None else design
    return share_clones(cells, bulk, design, **SETTINGS | changes)


def test_pairs_count_clones_of_identical_nucleotides_and_amino_acids_apart():
    bulk = [
        ("A_1", bulk_of(["x.1", "y.1", "z.1"], [5, 3, 2])),
        ("A_2", bulk_of(["x.1", "w.1"], [1, 9])),
        ("B_1", bulk_of(["x.1", "y.2", "q.1"], [1, 2, 1])),
    ]
    pairs, _ = share(bulk)
    assert list(pairs.columns) == PAIR_COLUMNS
    (row,) = pairs.to_dict("records")
    assert (row["source"], row["patient_a"], row["patient_b"]) == ("bulk_tcr", "A", "B")
    assert (row["clones_a"], row["clones_b"]) == (4, 3)
    assert (row["shared"], row["shared_aa"]) == (1, 2)
    assert row["same_batch"]
    assert row["mass_b"] == pytest.approx(1 / 4)


def test_the_same_junction_with_another_gene_is_another_clone():
    other = bulk_of(["x"]).assign(v_call="TRBV7-9")
    assert share([("A_1", bulk_of(["x"])), ("B_1", other)])[0]["shared"].tolist() == [0]


def test_cells_share_clones_of_both_chains():
    cells = cells_of([("A_1", "a1", "b1"), ("A_1", "a2", "b2"), ("B_1", "a1", "b1"), ("B_1", "a9", "b2")])
    (row,) = share(cells=cells)[0].to_dict("records")
    assert (row["source"], row["shared"], row["expected"], row["limit"]) == (
        "tcr",
        1,
        0,
        SETTINGS["min_shared"]["tcr"] - 1,
    )


@pytest.mark.parametrize(("common", "verdict"), [(2, "as expected"), (3, "flagged")])
def test_cells_raise_the_alarm_from_the_floor_on(common, verdict):
    rows = [(f"{patient}_1", f"{patient}a{at}", f"{patient}b{at}") for patient in "AB" for at in range(50)]
    rows += [(f"{patient}_1", f"a{at}", f"b{at}") for patient in "AB" for at in range(common)]
    assert share(cells=cells_of(rows))[0]["verdict"].tolist() == [verdict]


def test_a_pair_beyond_the_others_is_flagged_and_told():
    pairs, clones = share(many("ABCDE", [("A", "B", 40), ("C", "D", 2)]))
    flagged = pairs[pairs["verdict"] == "flagged"]
    assert flagged[["patient_a", "patient_b"]].to_numpy().tolist() == [["A", "B"]]
    assert "40 clones shared, 14 at most expected" in flagged["note"].iloc[0]
    assert len(clones) == 40
    assert list(clones.columns) == CLONE_COLUMNS


def test_who_holds_whose_clones_is_told_by_their_mass():
    giver = bulk_of([*own("a", 20), *own("A", 100)], [50] * 20 + [1] * 100)
    taker = bulk_of([*own("a", 20), *own("B", 2000)])
    pairs, clones = share([("A_1", giver), ("B_1", taker)])
    assert pairs["note"].iloc[0].endswith("B seems to hold some of A")
    assert (clones["pattern"] == HOPPING).all()
    assert clones["share_a"].iloc[0] == pytest.approx(50 / 1100)


def test_one_person_twice_is_told_from_a_trace():
    names = own("a", 300)
    pairs, _ = share([("A_1", bulk_of(names)), ("B_1", bulk_of(names))])
    assert pairs["note"].iloc[0].endswith("swapped samples or one person")


def test_large_clones_that_leave_a_trace_in_the_same_batch_are_listed_without_an_alarm():
    big = bulk_of(["x", *own("A", 50)], [50] + [1] * 50)
    trace = bulk_of(["x", *own("B", 400)])
    pairs, clones = share([("A_1", big), ("B_1", trace)])
    assert pairs[["verdict", "large"]].to_numpy().tolist() == [["as expected", 1]]
    assert "hopping" in pairs["note"].iloc[0]
    assert clones["pattern"].tolist() == [HOPPING]
    apart = design_of("A_1", "B_1").assign(batch=["b1", "b2"])
    assert share([("A_1", big), ("B_1", trace)], design=apart)[0]["note"].tolist() == [""]
    assert share([("A_1", big), ("B_1", big)])[1]["pattern"].tolist()[0] == LARGE


def test_neither_the_order_of_samples_nor_of_rows_matters():
    bulk = many("ABCDE", [("A", "B", 40), ("A", "C", 5)])
    mixed = [(name, table.sample(frac=1, random_state=0)) for name, table in reversed(bulk)]
    for right, other in zip(share(bulk), share(mixed), strict=True):
        pd.testing.assert_frame_equal(right, other)


def test_works_with_one_patient_or_none():
    pairs, clones = share([("A_1", bulk_of(["x"]))])
    assert pairs.empty
    assert clones.empty
    assert list(share(design=design_of("A_1"))[0].columns) == PAIR_COLUMNS


def test_unknown_samples_are_refused():
    with pytest.raises(InputError, match="X_1"):
        share([("X_1", bulk_of(["x"]))], design=design_of("A_1"))
    with pytest.raises(InputError, match="Y_1"):
        share(cells=cells_of([("Y_1", "a", "b")]), design=design_of("A_1"))


def pairs_of(shared, clones=5000):
    return pd.DataFrame({"clones_a": clones, "clones_b": clones, "shared": shared})


def test_the_limit_is_that_of_a_poisson_law_where_pairs_do_not_spread():
    shared = [5, 4, 6, 5, 5, 4, 6, 5, 5, 5]
    found = limit_sharing(pairs_of(shared), RULE)
    others = np.array([(sum(shared) - own + 0.5) / 9 for own in shared])
    assert found["expected"].to_numpy() == pytest.approx(others)
    assert found["limit"].tolist() == stats.poisson.isf(0.001 / 10, others).tolist()


def test_spread_between_pairs_raises_the_limit():
    even = limit_sharing(pairs_of([6] * 30), RULE)["limit"].max()
    uneven = limit_sharing(pairs_of([1, 11] * 15), RULE)["limit"].min()
    assert uneven > even


def test_an_outlier_does_not_raise_its_own_limit():
    usual = [5, 4, 6, 5, 5, 4, 6, 5, 5, 5] * 3
    alone = limit_sharing(pairs_of(usual), RULE)["limit"].max()
    found = limit_sharing(pairs_of([*usual, 400, 300, 60]), RULE)
    assert found["limit"].max() <= alone + 3
    assert (pd.Series([400, 300, 60]) > found["limit"].tail(3).to_numpy()).all()


def test_a_cohort_mixed_throughout_is_held_against_the_bound():
    found = limit_sharing(pairs_of([300] * 10, clones=1000), RULE)
    assert found["expected"].tolist() == pytest.approx([1.0] * 10)
    assert (found["limit"] == 9).all()


def test_few_pairs_are_held_against_the_bound():
    found = limit_sharing(pairs_of([0, 0, 0]), RULE)
    assert found["expected"].tolist() == pytest.approx([25.0] * 3)
    assert found["limit"].tolist() == [stats.poisson.isf(0.001 / 3, 25.0)] * 3
