import re

import pytest

from immune_landscape.cell_types import name_of, read_cell_types, read_markers, types_of


def test_every_marker_set_of_the_table_exists():
    markers = read_markers()
    for slug, sets in read_cell_types()["marker_sets"].items():
        for name in sets:
            group, _, entry = name.partition(".")
            assert entry in markers[group], f"{slug} names {name}"


def test_slugs_names_and_colours_are_unique_and_sound():
    table = read_cell_types()
    assert table.index.is_unique
    assert table["name"].is_unique
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", slug) for slug in table.index)
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in table["colour"])
    assert all(re.fullmatch(r"(CL:\d{7})?", identifier) for identifier in table["cell_ontology"])


@pytest.mark.parametrize("branch", ["nk", "t"])
def test_colours_differ_within_a_branch(branch):
    colours = types_of("subset", branch=branch, tissues=("tumour",))["colour"]
    assert colours.is_unique


def test_tissue_types_are_left_out_of_blood():
    blood, tumour = (
        set(types_of("subset", branch="t", tissues=tissues).index) for tissues in (("blood",), ("blood", "tumour"))
    )
    assert "cd8_tex" not in blood
    assert "cd8_tex" in tumour


def test_the_named_subsets_of_the_reference_study_are_there():
    wanted = {"nk_c4_zeb2", "nk_c5_il7", "nk_c6_il15", "nk_c10_ncr3", "nk_c11_tnfsf8", "cd8_teff", "cd4_tem"}
    assert wanted <= set(read_cell_types().index)


def test_parents_are_types_of_the_same_branch_and_side():
    types = read_cell_types()
    for slug, row in types[types["parent"] != ""].iterrows():
        parent = types.loc[row["parent"]]
        assert parent["branch"] == row["branch"], slug
        assert parent["side"] in ("", row["side"]), slug
    assert types.at["cd4_tcm", "parent"] == "cd4_t"
    assert types.at["cd8_teff", "parent"] == "cd8_t"


def test_rivals_are_lineages_of_blood_with_markers_of_their_own():
    types = read_cell_types()
    for slug, rivals in types["rivals"].items():
        assert slug not in rivals
        assert not rivals or types.at[slug, "level"] == "lineage"
        for rival in rivals:
            assert types.loc[rival, ["level", "tissue"]].tolist() == ["lineage", "any"]
            assert types.at[rival, "marker_sets"]
    assert types.at["t", "rivals"] == ["nk"]
    assert "t" in types.at["nk", "rivals"]


def test_defining_genes_are_positive_markers_of_their_set():
    for group in ("broad", "nk", "t", "tissue"):
        for name, entry in read_markers()[group].items():
            assert set(entry.get("defining", [])) <= set(entry["genes"]), name
            assert not set(entry["genes"]) & set(entry["negative"]), name
            assert entry["source"], name


@pytest.mark.parametrize("branch", ["nk", "t"])
def test_states_may_be_subsets_too(branch):
    states, subsets = (set(types_of(level, branch=branch).index) for level in ("state", "subset"))
    assert f"{branch}_proliferating" in states & subsets
    assert f"{branch}_activated" in states - subsets


def test_published_states_are_of_nk_cells_and_have_markers():
    published = types_of("published")
    assert set(published["branch"]) == {"nk"}
    assert all(published["marker_sets"])
    assert published["colour"].is_unique


def test_lineages_of_tissue_are_left_out_of_blood():
    blood, tumour = (set(types_of("lineage", tissues=tissues).index) for tissues in (("blood",), ("tumour",)))
    assert tumour - blood >= {"epithelial", "fibroblast", "endothelial", "macrophage", "acinar"}


def test_unknown_slug_is_its_own_name():
    assert name_of("cd8_teff") == "CD8 Teff"
    assert name_of("something") == "something"
