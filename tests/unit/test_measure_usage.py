import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.bulk_io import read_bulk
from immune_landscape.errors import InputError
from immune_landscape.input_files import Place
from immune_landscape.load_repertoires import load_repertoires
from immune_landscape.measure_usage import CONVERGENCE_COLUMNS, KINDS, USAGE_COLUMNS, measure_usage
from immune_landscape.value_tables import VALUE_COLUMNS

DESIGN = pd.DataFrame({"sample": ["s1", "s2"], "patient": ["a", "b"], "visit": ["v", "v"]})
ROWS = pd.DataFrame(
    [
        ("TGTA", "CA", "TRBV9", "TRBJ1-1", 60),
        ("TGTC", "CA", "TRBV9", "TRBJ1-1", 2),
        ("TGTG", "CA", "TRBV2", "TRBJ1-1", 20),
        ("TGTT", "CAS", "TRBV2", "TRBJ2-7", 17),
        ("TGTTT", "", "", "TRBJ2-7", 1),
    ],
    columns=["junction", "junction_aa", "v_call", "j_call", "count"],
)


SETTINGS = {"compared_kinds": ["v_gene", "cdr3_length", "convergence"], "min_share": 0.0}


def measure(samples, least=1, **changes):
    totals = [{"sample": name, "templates": table["count"].sum()} for name, table in samples.items()]
    depths = pd.DataFrame(totals, columns=["sample", "templates"])
    return measure_usage(iter(samples.items()), depths, DESIGN, min_templates=least, **(SETTINGS | changes))


def items(usage, sample, kind, column):
    rows = usage[(usage["sample"] == sample) & (usage["kind"] == kind)]
    return dict(zip(rows["item"], rows[column], strict=True))


def test_genes_and_lengths_are_counted_by_clonotype_and_by_template():
    usage, _, _ = measure({"s1": ROWS})
    assert list(usage.columns) == USAGE_COLUMNS
    assert items(usage, "s1", "v_gene", "templates") == {"TRBV2": 37, "TRBV9": 62, "unknown": 1}
    assert items(usage, "s1", "j_gene", "clonotypes") == {"TRBJ1-1": 3, "TRBJ2-7": 2}
    assert items(usage, "s1", "cdr3_length", "share_templates") == pytest.approx({"00": 0.01, "02": 0.82, "03": 0.17})
    assert items(usage, "s1", "v_gene", "share_clonotypes") == pytest.approx(
        {"TRBV2": 0.4, "TRBV9": 0.4, "unknown": 0.2}
    )
    for _, rows in usage.groupby("kind"):
        assert rows[["share_templates", "share_clonotypes"]].sum().tolist() == pytest.approx([1, 1])
    assert set(usage["kind"]) == set(KINDS)


def test_convergence_is_a_protein_with_several_nucleotide_sequences():
    _, convergence, _ = measure({"s1": ROWS})
    assert list(convergence.columns) == CONVERGENCE_COLUMNS
    row = convergence.iloc[0]
    assert row[["sequences", "convergent", "templates"]].tolist() == [3, 1, 100]
    assert row["share"] == pytest.approx(1 / 3)
    # Its own depth is the common one.
    assert row[["sequences_at_depth", "convergent_at_depth"]].tolist() == pytest.approx([3, 1])


def test_clonotype_shares_and_convergence_are_those_of_draws_at_the_common_depth():
    thin = ROWS.assign(count=[12, 1, 4, 2, 1])
    usage, convergence, _ = measure({"s1": ROWS, "s2": thin})
    assert (convergence["depth"] == 20).all()
    rng = np.random.default_rng(0)
    drawn = rng.multivariate_hypergeometric(ROWS["count"].to_numpy(), 20, 6000) > 0
    both = (drawn[:, 0] & drawn[:, 1]).mean()
    row = convergence.set_index("sample").loc["s1"]
    assert row["convergent_at_depth"] == pytest.approx(both, abs=0.02)
    proteins = (drawn[:, 0] | drawn[:, 1]).mean() + drawn[:, 2].mean() + drawn[:, 3].mean()
    assert row["sequences_at_depth"] == pytest.approx(proteins, abs=0.02)
    nine = drawn[:, :2].sum(axis=1).mean() / drawn.sum(axis=1).mean()
    assert items(usage, "s1", "v_gene", "share_clonotypes")["TRBV9"] == pytest.approx(nine, abs=0.01)


def test_small_samples_are_left_out_and_strangers_refused():
    usage, convergence, _ = measure({"s1": ROWS, "s2": ROWS.head(1)}, least=80)
    assert set(usage["sample"]) == {"s1"}
    assert convergence["sample"].tolist() == ["s1"]
    empty = measure({})
    assert [list(table.columns) for table in empty] == [USAGE_COLUMNS, CONVERGENCE_COLUMNS, VALUE_COLUMNS]
    with pytest.raises(InputError, match="design lacks: x"):
        measure({"x": ROWS})


def test_real_repertoire_has_the_usage_of_its_file():
    path = shared_data("immunarch_immdata", "MS1.tsv.gz")
    settings = {"sequence": "nt", "same_v_gene": True, "same_j_gene": True}
    ((clonotypes, _),) = load_repertoires([("s1", read_bulk(Place(path, "s1")))], **settings)
    usage, convergence, _ = measure({"s1": clonotypes})
    table = pd.read_csv(path, sep="\t")
    table = table[table["CDR3.aa"].str.fullmatch("[A-Z]+") & (table["CDR3.nt"].str.len() % 3 == 0)]
    genes = table.groupby(table["V.name"].str.split(",").str[0].str.strip())["Clones"].sum()
    assert items(usage, "s1", "v_gene", "templates") == genes.astype(int).to_dict()
    lengths = items(usage, "s1", "cdr3_length", "share_templates")
    assert max(lengths, key=lengths.get) in {"14", "15"}
    keys = [table["CDR3.aa"], table["V.name"].str.split(",").str[0].str.strip(), table["J.name"]]
    several = table.groupby(keys)["CDR3.nt"].nunique()
    assert convergence.loc[0, "convergent"] == (several > 1).sum()


def compared(values, sample):
    return values[values["sample"] == sample].set_index("feature")["value"].to_dict()


def test_values_are_log_ratios_of_clonotypes_at_the_common_depth():
    thin = ROWS.assign(count=[12, 1, 4, 2, 1])
    usage, convergence, values = measure({"s1": ROWS, "s2": thin})
    assert list(values.columns) == VALUE_COLUMNS
    assert set(zip(values["parent"], values["feature"], values["unit"], strict=True)) == {
        ("all", "TRBV2", "clr"),
        ("all", "TRBV9", "clr"),
        ("all", "mean_cdr3_length", "amino acids"),
        ("all", "convergence", "fraction"),
    }
    for sample in ("s1", "s2"):
        found, seen = compared(values, sample), items(usage, sample, "v_gene", "clonotypes_at_depth")
        difference = np.log((seen["TRBV2"] + 0.5) / (seen["TRBV9"] + 0.5))
        assert found["TRBV2"] - found["TRBV9"] == pytest.approx(difference)
        assert found["TRBV2"] + found["TRBV9"] == pytest.approx(0)
        shares = items(usage, sample, "cdr3_length", "share_clonotypes")
        # A clonotype without amino acids has no length.
        known = {int(length): share for length, share in shares.items() if length != "00"}
        mean = sum(length * share for length, share in known.items()) / sum(known.values())
        assert found["mean_cdr3_length"] == pytest.approx(mean)
        expected = convergence.set_index("sample").loc[sample, "share_at_depth"]
        assert found["convergence"] == pytest.approx(expected)
    # All five clonotypes of the thin sample are at its own depth.
    assert items(usage, "s2", "v_gene", "clonotypes_at_depth") == pytest.approx({"TRBV2": 2, "TRBV9": 2, "unknown": 1})


def test_rare_genes_are_one_part_and_small_samples_have_no_value():
    rows = pd.concat([ROWS] + [ROWS.head(1).assign(v_call=f"TRBV{gene}", count=1) for gene in (5, 6)])
    _, _, values = measure({"s1": rows, "s2": ROWS.head(1)}, least=80, compared_kinds=["v_gene"], min_share=0.2)
    assert values["feature"].unique().tolist() == ["TRBV2", "TRBV9"]
    assert values.loc[values["sample"] == "s2", "value"].isna().all()
    parts = np.log(np.array([2, 2, 2]) + 0.5)
    assert compared(values, "s1") == pytest.approx(dict(zip(["TRBV2", "TRBV9"], parts - parts.mean(), strict=False)))
    nothing = measure({"s1": ROWS}, compared_kinds=[])[2]
    assert nothing.empty


def test_values_do_not_follow_the_depth():
    rng = np.random.default_rng(4)
    genes = np.array([f"TRBV{number}" for number in range(1, 11)])
    share = (np.arange(4_000) + 3.0) ** -0.9
    rows = pd.DataFrame({"v_call": rng.choice(genes, 4_000), "j_call": "TRBJ1-1"})
    rows["junction"] = [f"TGT{number}" for number in range(4_000)]
    rows["junction_aa"] = ["C" + "A" * length for length in rng.integers(9, 15, 4_000)]
    samples = {}
    for sample, templates in (("s1", 3_000), ("s2", 60_000)):
        counts = rng.multinomial(templates, share / share.sum())
        samples[sample] = rows.assign(count=counts)[counts > 0]
    _, _, values = measure(samples, compared_kinds=["v_gene", "cdr3_length"])
    wide = values.pivot_table(index="feature", columns="sample", values="value")
    apart = (wide["s1"] - wide["s2"]).abs()
    assert apart.drop("mean_cdr3_length").max() < 0.35
    assert apart["mean_cdr3_length"] < 0.15
