import copy

import pytest
from cohort_folders import SOUND_YAML, write_cohort
from jsonschema import Draft202012Validator

from immune_landscape import schemas
from immune_landscape.cohort import examine_cohort
from immune_landscape.describe_schemas import README, with_reference
from immune_landscape.schemas import config_schema, fill_defaults, load_schema, merge, schema_problems, typed
from immune_landscape.strict_yaml import read_yaml

SHEETS = (
    *("patients", "samples", "populations", "measures", "assessments", "adverse_events", "biomarkers"),
    "donor_cells",
)


def objects(schema):
    if isinstance(schema, dict):
        yield from ([schema] if schema.get("type") == "object" or "properties" in schema else [])
        for value in schema.values():
            yield from objects(value)


def config_faults(tmp_path, yaml, overrides=None, base=None):
    _, problems = examine_cohort(write_cohort(tmp_path, yaml=yaml), overrides, base=base)
    return problems


def kinds(problems):
    return [(problem.line, problem.column, problem.kind) for problem in problems]


@pytest.mark.parametrize("name", ["cohort", *SHEETS, *(f"settings/{name}" for name in schemas.section_names())])
def test_every_schema_is_valid_and_closed_and_described(name):
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["description"]
    for part in objects(schema):
        assert "additionalProperties" in part, part
        for key, sub in part.get("properties", {}).items():
            assert sub.get("description"), key


def test_defaults_satisfy_their_own_schema():
    filled = fill_defaults(config_schema(), {"title": "T", "visits": ["baseline"]})
    assert not list(Draft202012Validator(config_schema()).iter_errors(filled))


def test_defaults_are_filled_at_every_level_without_touching_the_input():
    given = {
        "title": "T",
        "visits": ["a"],
        "contrasts": [{"name": "c", "estimand": "baseline", "reference": "a"}],
    }
    before = copy.deepcopy(given)
    filled = fill_defaults(config_schema(), given)
    assert given == before
    assert filled["contrasts"][0]["family"] == "primary"
    assert filled["responders"] == {"positive": ["CR", "PR"], "negative": ["SD", "PD"], "pfs_at_least": None}
    filled["responders"]["positive"].append("SD")
    assert load_schema("cohort")["properties"]["responders"]["properties"]["positive"]["default"] == [
        "CR",
        "PR",
    ]


def test_merge_overlays_mappings_and_replaces_lists():
    lower = {"a": {"x": 1, "y": 2}, "b": [1, 2]}
    assert merge(lower, {"a": {"y": 3}, "b": [9]}) == {"a": {"x": 1, "y": 3}, "b": [9]}
    assert merge({"a": {"x": 1}}, {"a": None}) == {"a": None}


def test_order_of_precedence(tmp_path):
    folder = write_cohort(tmp_path, yaml=SOUND_YAML + "seed: 2\n")
    cohort, _ = examine_cohort(folder, {"device": "gpu"}, base={"seed": 1, "device": "cpu", "species": "human"})
    assert (cohort.config["seed"], cohort.config["device"], cohort.config["time_unit"]) == (
        2,
        "gpu",
        "months",
    )


def test_a_bad_override_is_blamed_on_the_command_line(tmp_path):
    (problem,) = config_faults(tmp_path, SOUND_YAML, overrides={"device": "tpu"})
    assert problem.file == "--config"
    assert "auto, cpu, gpu" in problem.message


@pytest.mark.parametrize(
    ("extra", "line", "column", "kind", "words"),
    [
        ("sede: 3", 5, "sede", "unknown_key", "did you mean seed?"),
        ("seed: three", 5, "seed", "wrong_type", "a whole number"),
        ("seed: -1", 5, "seed", "not_allowed", "0 or more"),
        ("seed: '3'", 5, "seed", "wrong_type", "unquoted"),
        ("device: cup", 5, "device", "not_allowed", "did you mean cpu?"),
        ("inputs:", 5, "inputs", "wrong_type", "delete the key"),
        ("inputs: {min_tcr_overlap: 2}", 5, "inputs.min_tcr_overlap", "not_allowed", "1 or less"),
        ("inputs:\n  min_tcr_overlp: 0.1", 6, "inputs.min_tcr_overlp", "unknown_key", "min_tcr_overlap"),
        ("inputs: {barcode_pattern: '['}", 5, "inputs.barcode_pattern", "not_allowed", "regex"),
        ("tissues: [1]", 5, "tissues[0]", "wrong_type", 'quote this value: "1"'),
        ("tissues: [true]", 5, "tissues[0]", "wrong_type", 'quote this value: "true"'),
        ("tissues: ['../up']", 5, "tissues[0]", "not_allowed", "letters, digits"),
        ("tissues: []", 5, "tissues", "not_allowed", "at least 1"),
        ("labels: {baseline: '</script><script>'}", 5, "labels.baseline", "not_allowed", "HTML"),
        ("check_inputs: {min_pairs: 1}", 5, "check_inputs.min_pairs", "not_allowed", "2 or more"),
        ("batch_key: bach", 5, "batch_key", "unknown_column", "did you mean batch?"),
        ("strata: [arms]", 5, "strata[0]", "unknown_column", "did you mean arm?"),
        ("responders: {positive: [CR, SD]}", 5, "responders", "clash", "SD"),
        (
            "extra_columns: {patients: {cps: {type: number}}}",
            5,
            "extra_columns.patients.cps",
            "clash",
            "standard",
        ),
        ("layers: [tcr]", 5, "layers[0]", "empty_layer", "gex"),
    ],
)
def test_config_mistakes_are_told_with_line_and_remedy(tmp_path, extra, line, column, kind, words):
    (problem,) = config_faults(tmp_path, f"{SOUND_YAML}{extra}\n")
    assert (problem.line, problem.column, problem.kind) == (line, column, kind)
    assert words in problem.message


@pytest.mark.parametrize("word", ["on", "no", "yes", "1_000", "12:30", "2024-01-01", "007", "0x1F", ".inf", ".nan"])
def test_words_that_yaml_would_reinterpret_must_be_quoted(tmp_path, word):
    yaml = f"title: T\nvisits:\n  - baseline\n  - {word}\n"
    folder = write_cohort(tmp_path, yaml=yaml, samples="sample\tpatient\tvisit\nS1\tP01\tbaseline\n")
    (problem,) = examine_cohort(folder)[1]
    assert (problem.line, problem.column, problem.kind) == (4, "visits[1]", "unquoted_value")
    assert f'quote this value: "{word}"' in problem.message


def test_quoted_words_are_kept_as_text(tmp_path):
    yaml = "title: T\nvisits: ['on', 'no', '007', '1e5', 'true', 'NA', '12']\n"
    folder = write_cohort(tmp_path, yaml=yaml, samples="sample\tpatient\tvisit\ns\tP01\t007\n")
    cohort, problems = examine_cohort(folder)
    assert not problems
    assert cohort.config["visits"] == ["on", "no", "007", "1e5", "true", "NA", "12"]
    assert cohort.samples["visit"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("yaml", "line", "kind"),
    [
        ("title: T\nvisits: [a]\nseed: 1\nseed: 2\n", 4, "duplicate_key"),
        ("title: T\nvisits: &v [a]\ntissues: *v\n", 3, "yaml_alias"),
        ("title: T\n__use_yte__: true\nvisits: [a]\n", 2, "forbidden_key"),
        ("title: T\nvisits: [a]\ninputs: {__use_yte__: true}\n", 3, "forbidden_key"),
        ("title: T\nvisits: !!python/object/apply:os.system ['true']\n", 2, "yaml_tag"),
        ("title: !!python/name:os.system x\nvisits: [a]\n", 1, "yaml_tag"),
        ("title: T\nvisits: [a]\nlabels: !!set {x, y}\n", 3, "yaml_tag"),
        ("title: T\nvisits: [a\nseed: 1\n", 3, "yaml_syntax"),
        ("title: T\nvisits: [a]\nlabels: {on: x}\n", 3, "unquoted_value"),
        ("- title\n", 1, "not_a_mapping"),
        ("title: " + "[" * 3000, 0, "yaml_syntax"),
    ],
)
def test_yaml_traps_are_refused(tmp_path, yaml, line, kind):
    problems = config_faults(tmp_path, yaml)
    assert (line, kind) in {(problem.line, problem.kind) for problem in problems}


def test_an_anchor_bomb_is_refused_without_expanding(tmp_path):
    path = tmp_path / "cohort.yaml"
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path.write_text("a0: &a0 [x]\n" + "\n".join(levels))
    found = read_yaml(path, "cohort.yaml")
    assert [problem.kind for problem in found.problems] == ["yaml_alias"]
    assert found.value == {}


def test_missing_required_keys_are_both_reported(tmp_path):
    problems = config_faults(tmp_path, "seed: 1\n")
    assert {problem.column for problem in problems if problem.kind == "missing_key"} == {"title", "visits"}


def test_keys_of_the_workflow_are_passed_over(tmp_path):
    assert not config_faults(tmp_path, SOUND_YAML, overrides={"cohort": "x"}, base={"cohort": "y", "pathvars": {}})


def test_values_of_any_type_are_worded(tmp_path):
    def place(path):
        return "f", 1

    schema = {
        "properties": {"a": {"type": ["number", "null"], "exclusiveMinimum": 0}},
        "additionalProperties": False,
    }
    assert "a number or nothing" in schema_problems(schema, {"a": []}, place)[0].message
    assert "more than 0" in schema_problems(schema, {"a": 0}, place)[0].message
    assert kinds(schema_problems(schema, {"b": 0, "c": 1}, place)) == [
        (1, "b", "unknown_key"),
        (1, "c", "unknown_key"),
    ]


def test_the_readme_is_in_step_with_the_schemas():
    text = README.read_text(encoding="utf-8")
    message = "run: PYTHONPATH=scripts python -m immune_landscape.describe_schemas"
    assert text == with_reference(text), message


def test_the_readme_names_every_key_and_column():
    text = README.read_text(encoding="utf-8")
    for name in ("cohort", *SHEETS, *(f"settings/{section}" for section in schemas.section_names())):
        for key in load_schema(name)["properties"]:
            assert f"`{key}`" in text, key


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"draw_quality": {"violins_up_to": "3"}}, {"draw_quality": {"violins_up_to": 3}}),
        ({"filter_cells": {"mads": "2.5"}}, {"filter_cells": {"mads": 2.5}}),
        ({"merge_samples": {"remove_doublets": "false"}}, {"merge_samples": {"remove_doublets": False}}),
        ({"find_doublets": {"expected_rate": "null"}}, {"find_doublets": {"expected_rate": None}}),
        ({"visits": ["1", "2"], "title": "7"}, {"visits": ["1", "2"], "title": "7"}),
        ({"filter_cells": {"mads": "wide"}}, {"filter_cells": {"mads": "wide"}}),
    ],
)
def test_text_of_the_command_line_takes_the_type_of_its_schema(given, expected):
    assert typed(config_schema(), given) == expected
