"""A rule, its script, function, settings, outputs, log, benchmark, caption and unit test share one name."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator

import pytest
import yaml
from workflow.runs import ROOT, run_snakemake

SCHEMAS = ROOT / "workflow" / "schemas" / "settings"
CAPTIONS = ROOT / "workflow" / "report"
MAX_LINES = 15
# What a rule may hand to its script besides its own settings.
OTHER_PARAMS = {"study", "seed", "definition", "devices"}
COLLECTING = {"all", "default"}


def rule_blocks() -> dict[str, str]:
    """Return rule name -> its text in workflow/rules."""
    blocks = {}
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^( *)rule (\w+):\n((?:\1 +.*\n|\n)+)", text, re.M):
            blocks[found[2]] = found[3]
    return blocks


RULES = rule_blocks()


def code_lines(source: str) -> int:
    """Count the lines that hold code: neither blank, nor a comment, nor the docstring."""
    tree = ast.parse(source)
    skipped = set()
    if ast.get_docstring(tree) is not None:
        skipped = set(range(tree.body[0].lineno, tree.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(1 for number, line in lines if number not in skipped and line.strip() and line.strip()[0] != "#")


def params_of(block: str) -> dict[str, str]:
    section = re.search(r"^( *)params:\n((?:\1 +.*\n)+)", block, re.M)
    return dict(re.findall(r"^ *(\w+)=(.*?),?$", section[2], re.M)) if section else {}


def setting_names(rule: str) -> set[str]:
    function = getattr(importlib.import_module(f"immune_landscape.{rule}"), rule)
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def script_faults(rule: str, block: str) -> Iterator[str]:
    script = ROOT / "scripts" / f"{rule}.py"
    if f'"../../scripts/{rule}.py"' not in block:
        yield f"runs another script than scripts/{rule}.py"
    if not script.exists():
        yield f"no scripts/{rule}.py"
        return
    source = script.read_text(encoding="utf-8")
    if (lines := code_lines(source)) > MAX_LINES:
        yield f"scripts/{rule}.py has {lines} lines of code, more than {MAX_LINES}"
    called = {node.func.id for node in ast.walk(ast.parse(source)) if _is_named_call(node)}
    if rule not in called:
        yield f"scripts/{rule}.py does not call {rule}()"


def _is_named_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def function_faults(rule: str) -> Iterator[str]:
    try:
        function = getattr(importlib.import_module(f"immune_landscape.{rule}"), rule, None)
    except ModuleNotFoundError:
        function = None
    if not inspect.isfunction(function):
        yield f"no function immune_landscape.{rule}.{rule}"
    elif function.__module__ != f"immune_landscape.{rule}":
        yield f"{rule}() is defined in {function.__module__}"
    elif not (function.__doc__ or "").strip():
        yield f"{rule}() has no docstring"


def schema_faults(rule: str) -> Iterator[str]:
    path = SCHEMAS / f"{rule}.schema.yaml"
    if not path.exists():
        yield f"no {path.relative_to(ROOT)}"
        return
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    properties = schema.get("properties", {})
    if set(properties) != setting_names(rule):
        yield f"schema has {sorted(properties)}, the function {sorted(setting_names(rule))}"
    if schema.get("additionalProperties") is not False or schema.get("default") != {}:
        yield "schema lacks `additionalProperties: false` or `default: {}`"
    for name, value in properties.items():
        yield from (f"setting {name} has no {key}" for key in ("description", "default") if key not in value)


def directive_faults(rule: str, block: str) -> Iterator[str]:
    for name, folder in (("log", "<logs>"), ("benchmark", "<benchmarks>")):
        if not re.search(rf'^ *{name}:\n? *"{folder}/{rule}[./]', block, re.M):
            yield f"{name} is not {folder}/{rule}..."
    for name in ("conda", "resources"):
        if not re.search(rf"^ *{name}:", block, re.M):
            yield f"no {name}"
    params = params_of(block)
    if params.get("settings") != f'lookup("{rule}", within=config)':
        yield f"params settings is {params.get('settings')}"
    if params.get("code") != f'code_of("{rule}")':
        yield f"params code is {params.get('code')}"
    if others := set(params) - OTHER_PARAMS - {"settings", "code"}:
        yield f"unexpected params {sorted(others)}"
    if "lambda" in block:
        yield "has a lambda"


def output_faults(rule: str, block: str) -> Iterator[str]:
    section = re.search(r"^( *)output:\n((?:\1 +.*\n)+)", block, re.M)
    text = section[2] if section else ""
    for folder in set(re.findall(r"<results>/(\w+)/", text)) - {rule}:
        yield f"writes into <results>/{folder}"
    captions = set(re.findall(r"report/(\w+)\.rst", text)) | set(re.findall(r'figures\(\s*"(\w+)"', text))
    if captions - {rule}:
        yield f"has the caption of {sorted(captions - {rule})}"
    if captions and not (CAPTIONS / f"{rule}.rst").exists():
        yield f"no workflow/report/{rule}.rst"
    if rule.startswith(("draw_", "report_")) and not captions:
        yield "draws nothing for the report"


def unit_test_faults(rule: str) -> Iterator[str]:
    path = ROOT / "tests" / "unit" / f"test_{rule}.py"
    if not path.exists():
        yield f"no {path.relative_to(ROOT)}"
    elif not re.search(r"^def test_|^    def test_", path.read_text(encoding="utf-8"), re.M):
        yield f"{path.relative_to(ROOT)} holds no test"


def faults(rule: str, block: str) -> Iterator[str]:
    yield from script_faults(rule, block)
    yield from function_faults(rule)
    yield from schema_faults(rule)
    yield from directive_faults(rule, block)
    yield from output_faults(rule, block)
    yield from unit_test_faults(rule)


def test_every_rule_keeps_one_name_from_script_to_test():
    found = [f"{rule}: {fault}" for rule, block in RULES.items() for fault in faults(rule, block)]
    print(f"one name: {len(RULES)} rules, {len(found)} faults")
    assert len(RULES) >= 30
    assert not found, "\n".join(found)


def test_snakemake_lists_the_same_rules(checkout):
    listed = run_snakemake(checkout, "config/cohorts/demo", "--list-rules", "--quiet")
    names = {line.strip() for line in listed.text.splitlines() if re.fullmatch(r"\s*[a-z_0-9]+", line)}
    assert listed.code == 0, listed.text
    assert names - COLLECTING == set(RULES)


@pytest.mark.parametrize(
    ("folder", "pattern", "besides"),
    [
        ("scripts", "*.py", set()),
        ("workflow/schemas/settings", "*.schema.yaml", set()),
        ("workflow/report", "*.rst", {"workflow"}),
    ],
)
def test_no_file_is_named_after_a_rule_that_is_not_there(folder, pattern, besides):
    names = {path.name.split(".")[0] for path in (ROOT / folder).glob(pattern)}
    assert names - set(RULES) == besides


def test_the_walk_sees_what_is_wrong():
    wrong = "output:\n    a='<results>/other/a.tsv',\nparams:\n    settings=lookup('x'),\n    more=lambda w: 1,\n"
    text = "\n".join(faults("no_such_rule", wrong))
    for part in ("scripts/", "no function", "schemas/", "log is not", "benchmark is not", "lambda", "other", "tests/"):
        assert part in text
