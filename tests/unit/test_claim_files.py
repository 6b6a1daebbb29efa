from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from immune_landscape.cell_types import read_cell_types, read_markers
from immune_landscape.claim_files import FOLDER, examine_claims, find_claims, known_claims, read_claims
from immune_landscape.errors import ProblemsError
from immune_landscape.schemas import load_schema

SOUND = """\
source: {citation: Nobody et al. 2025}
claims:
  - id: first
    label: First
    statement: More of it in responders.
    layer: composition
    estimand: response_by_visit
    parents: [nk]
    feature: nk_c4_zeb2
    direction: up
  - id: orr
    label: Response rate
    statement: A third responded.
    layer: endpoints
    estimand: level
    parents: [evaluable]
    feature: orr
    value: 0.33
    unit: share
"""


def problems_of(tmp_path, text):
    path = tmp_path / "claims" / "own.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [(problem.line, problem.column, problem.message) for problem in examine_claims(path)[1]]


def objects(schema):
    if isinstance(schema, dict):
        yield from ([schema] if "properties" in schema else [])
        for value in schema.values():
            yield from objects(value)


def test_schema_is_valid_and_closed_at_every_level():
    schema = load_schema("claims")
    Draft202012Validator.check_schema(schema)
    found = list(objects(schema))
    assert len(found) == 4
    for part in found:
        assert part["additionalProperties"] is False
        assert all(sub["description"] for sub in part["properties"].values())


def test_every_file_that_comes_with_the_workflow_is_sound():
    for path in FOLDER.glob("*.yaml"):
        assert examine_claims(path)[1] == []


def test_the_reference_claims():
    claims = {claim["id"]: claim for claim in read_claims(FOLDER / "tan2025.yaml")["claims"]}
    by_layer = [claim["layer"] for claim in claims.values()]
    assert {layer: by_layer.count(layer) for layer in set(by_layer)} == {
        "composition": 7,
        "signatures": 4,
        "repertoires": 2,
        "endpoints": 4,
    }
    values = {name: claims[name]["value"] for name in ("orr", "dcr", "pfs", "os")}
    assert values == {"orr": 0.316, "dcr": 0.737, "pfs": 6.6, "os": 10.8}
    assert all(claim["size"] is None for claim in claims.values())
    assert {claim["direction"] for claim in claims.values() if claim["layer"] != "endpoints"} == {"up"}


def test_the_reference_claims_name_subsets_and_signatures_that_exist():
    subsets, signatures = set(read_cell_types().index), set(read_markers()["signatures"])
    for claim in read_claims(FOLDER / "tan2025.yaml")["claims"]:
        if claim["layer"] == "composition":
            assert claim["feature"] in subsets
        if claim["layer"] == "signatures":
            assert claim["feature"] in signatures


def test_signatures_named_after_a_claimed_cluster_are_not_used():
    genes = read_markers()["signatures"]["proinflammatory_nk_tang_noanchor"]["genes"]
    assert not {"IL7", "IL15"} & set(genes)


def test_a_cohorts_own_file_wins_and_both_places_are_listed(tmp_path):
    assert find_claims(tmp_path, "tan2025") == FOLDER / "tan2025.yaml"
    assert find_claims(tmp_path, "nothing") is None
    problems_of(tmp_path, SOUND)
    own = tmp_path / "claims" / "tan2025.yaml"
    own.write_text(SOUND, encoding="utf-8")
    assert find_claims(tmp_path, "tan2025") == own
    assert known_claims(tmp_path) == sorted({"own", *(path.stem for path in FOLDER.glob("*.yaml"))})


def test_a_sound_file_is_read_with_its_defaults(tmp_path):
    assert problems_of(tmp_path, SOUND) == []
    read = read_claims(tmp_path / "claims" / "own.yaml")
    assert read["name"] == "own"
    assert (read["claims"][0]["size"], read["claims"][0]["unit"], read["claims"][0]["fallbacks"]) == (None, "d", [])


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "words"),
    [
        ("direction: up", "direction: more", 10, "claims[0].direction", "expected one of up, down"),
        ("    direction: up\n", "", 3, "claims[0].direction", "is needed: up or down"),
        ("direction: up", "directoin: up", 10, "claims[0].directoin", "did you mean direction?"),
        ("layer: composition", "layer: flow", 6, "claims[0].layer", "expected one of composition"),
        ("parents: [nk]", "parents: []", 8, "claims[0].parents", "at least 1 item"),
        ("direction: up", "direction: up\n    size: -1", 11, "claims[0].size", "expected more than 0"),
        ("direction: up", "direction: up\n    value: 3", 11, "claims[0].value", "is for endpoints"),
        ("id: orr", "id: first", 11, "claims[1].id", "already names claims[0]"),
        ("feature: orr", "feature: or", 17, "claims[1].feature", "expected one of orr, dcr, pfs, os"),
        ("    value: 0.33\n", "", 11, "claims[1].value", "is needed for an endpoint"),
        ("value: 0.33", "value: 33", 19, "claims[1].unit", "write 31.6 % as 0.316"),
        ("unit: share", "unit: percent", 19, "claims[1].unit", "expected one of share"),
        ("unit: share", "unit: share\n    interval: [0.4, 0.5]", 20, "claims[1].interval", "does not hold the value"),
        ("unit: share", "unit: share\n    direction: up", 20, "claims[1].direction", "takes `value`"),
        ("parents: [evaluable]", "parents: [itt]", 16, "claims[1].parents", "evaluable or all_treated"),
        ("estimand: level", "estimand: change", 15, "claims[1].estimand", "expected level"),
        ("estimand: response_by_visit", "estimand: level", 7, "claims[0].estimand", "is for endpoints"),
        ("citation: Nobody et al. 2025", "doi: 10.1000/1", 1, "source.citation", "required key is missing"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path, old, new, line, column, words):
    assert old in SOUND
    found = problems_of(tmp_path, SOUND.replace(old, new))
    assert [(at, key) for at, key, _ in found] == [(line, column)]
    assert words in found[0][2]


def test_several_mistakes_are_told_at_once(tmp_path):
    text = SOUND.replace("direction: up", "direction: sideways").replace("unit: share", "units: share")
    found = problems_of(tmp_path, text)
    assert {key for _, key, _ in found} == {"claims[0].direction", "claims[1].units"}
    with pytest.raises(ProblemsError, match="2 problems in 1 file"):
        read_claims(tmp_path / "claims" / "own.yaml")


@pytest.mark.parametrize("text", ["", "- a\n", "source: [\n", "source: {citation: a}\nclaims: nothing\n"])
def test_files_of_another_form_are_refused_in_words(tmp_path, text):
    found = problems_of(tmp_path, text)
    assert found
    assert all(message for _, _, message in found)


def test_a_file_that_cannot_be_read_is_told_once(tmp_path):
    found = examine_claims(Path(tmp_path / "absent.yaml"))[1]
    assert [problem.kind for problem in found] == ["unreadable_file"]


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("Tregs of CD4 T cells", True),
        ("IL-6 (pg/ml)", True),
        ("CD3- CD56 < 5", True),
        ("orr\\n", False),
        (" ahead", False),
        ("behind ", False),
        ("<b>bold</b>", False),
        ("{{ code }}", False),
        ("`code`", False),
    ],
)
def test_a_claim_names_a_feature_as_the_sheets_may_write_it(tmp_path, name, sound):
    told = SOUND.replace("layer: composition", "layer: measures").replace("feature: nk_c4_zeb2", f'feature: "{name}"')
    columns = [column for _, column, _ in problems_of(tmp_path, told)]
    assert columns == ([] if sound else ["claims[0].feature"])
