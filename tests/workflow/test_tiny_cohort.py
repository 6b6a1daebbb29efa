"""A tiny simulated cohort, run once: complete, repeatable, resumable, and rerun only where something changed."""

import os
import random
from contextlib import contextmanager

import pytest
from workflow.graphs import job_graph, rules_that_import, temporary_rules
from workflow.runs import copy_checkout, dry_run, kill_after, leftovers, run_snakemake, sha256s, unlock

pytestmark = pytest.mark.slow

KILLS = 3
NOTHING = "Nothing to be done"
EDIT = "\n\ndef _edited() -> int:\n    return 1\n"


@contextmanager
def appended(path, text):
    """Append text to a file and take it back, with the time of its last change, by which Snakemake judges scripts."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(before + text.encode())
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture(scope="module")
def graph(tiny):
    return job_graph(tiny)


@pytest.fixture(scope="module")
def killed_run(tiny, tmp_path_factory):
    """Run the tiny cohort elsewhere on one core, kill it at seeded moments, and let it end."""
    tree, cohort = copy_checkout(tmp_path_factory.mktemp("killed") / "check out", tiny.tree), tiny.cohort
    chance = random.Random(20_250_614)
    at_work, found = 0, []
    for _ in range(KILLS):
        at_work += kill_after(tree, cohort, chance.randint(1, 9), chance.uniform(0, 6))
        found.append(sha256s(tree / "results" / "tiny"))
        unlock(tree, cohort)
    run = run_snakemake(tree, cohort, "--cores", "1", "--rerun-incomplete")
    return run, at_work, found


def test_run_ends_well_with_its_report(tiny):
    print(f"tiny run: {sum(tiny.jobs().values())} jobs in {tiny.seconds:.0f} s, {len(sha256s(tiny.results))} files")
    assert tiny.code == 0, tiny.text[-5000:]
    assert "Traceback" not in tiny.text
    assert (tiny.results / "report.html").stat().st_size > 100_000
    assert f"Report: {(tiny.results / 'report.html').resolve()}" in tiny.text


def test_every_sample_is_in_the_tables(tiny):
    design, composition = tiny.table("check_inputs/design.tsv"), tiny.table("measure_composition/composition.tsv")
    steps, cells = tiny.table("merge_samples/steps.tsv"), tiny.table("define_labels/cells.tsv.gz")
    assert len(design) == 16
    assert set(steps["sample"]) == set(composition["sample"]) == set(design["sample"])
    assert len(cells) == steps["kept"].sum()
    print(f"tiny run: {steps['loaded'].sum()} cells loaded, {steps['kept'].sum()} kept")
    assert steps["kept"].sum() > 0.7 * steps["loaded"].sum()


def test_nothing_is_written_beside_results_and_logs(tiny):
    made = {path.name for path in tiny.tree.iterdir()}
    given = {"Snakefile", "workflow", "scripts", "config", "envs", "profiles", "tests"}
    assert made - given == {"results", "logs", ".snakemake"}
    assert {path.name for path in (tiny.tree / "results").iterdir()} == {"tiny"}
    assert leftovers(tiny.results) == []


def test_second_run_has_nothing_to_do(tiny):
    again = dry_run(tiny.tree, tiny.cohort)
    assert again.code == 0
    assert NOTHING in again.text
    assert again.jobs() == {}


@pytest.mark.parametrize("module", ["filter_cells", "estimates", "figures", "receptors_io"])
def test_an_edited_module_reruns_what_depends_on_it_and_nothing_else(tiny, graph, module):
    changed = rules_that_import(tiny.tree, module)
    expected = graph.rerun(changed, temporary_rules(tiny.tree))
    with appended(tiny.tree / "scripts" / "immune_landscape" / f"{module}.py", EDIT):
        listed = dry_run(tiny.tree, tiny.cohort).jobs()
    print(f"{module} edited: {len(changed)} rules import it, {sum(listed.values())} jobs rerun, all of them expected")
    assert changed & set(graph.rules.values())
    assert listed == expected


def test_an_edited_script_reruns_its_rule_and_what_follows(tiny, graph):
    expected = graph.rerun({"draw_cohort"}, set())
    with appended(tiny.tree / "scripts" / "draw_cohort.py", "\n# edited\n"):
        assert dry_run(tiny.tree, tiny.cohort).jobs() == expected
    assert NOTHING in dry_run(tiny.tree, tiny.cohort).text


@pytest.mark.parametrize(
    ("rule", "setting"),
    [("draw_quality", "{violins_up_to: 3}"), ("sweep_definitions", "{flip_patients: false}"), ("merge_samples", "{}")],
)
def test_a_setting_reruns_its_rule_and_what_follows(tiny, graph, tmp_path, rule, setting):
    file = tmp_path / "settings.yaml"
    file.write_text(f"{rule}: {setting}\n", encoding="utf-8")
    run = dry_run(tiny.tree, tiny.cohort, "--configfile", str(file))
    expected = {} if setting == "{}" else graph.rerun({rule}, temporary_rules(tiny.tree))
    print(f"{rule} {setting}: {sum(run.jobs().values())} jobs rerun, {sum(expected.values())} expected")
    assert run.code == 0, run.text
    assert run.jobs() == expected


def test_a_setting_in_the_cohort_file_reruns_its_rule_and_what_follows(tiny, graph):
    expected = graph.rerun({"draw_quality"}, set())
    with appended(tiny.tree / tiny.cohort / "cohort.yaml", "\ndraw_quality: {violins_up_to: 3}\n"):
        listed = dry_run(tiny.tree, tiny.cohort).jobs()
    print(f"cohort.yaml edited: {sum(listed.values())} jobs rerun, {sum(expected.values())} expected")
    assert listed == expected


def test_a_killed_run_leaves_no_half_file_under_a_final_name(tiny, killed_run):
    _, at_work, found = killed_run
    whole = sha256s(tiny.results)
    wrong = [name for files in found for name, digest in files.items() if digest != whole.get(name, "no such file")]
    wrong = [name for name in wrong if not name.endswith(".part")]
    print(f"killed {at_work} times with {[len(files) for files in found]} files made: {len(wrong)} differ")
    assert at_work == KILLS
    assert wrong == []


def test_a_killed_and_resumed_run_on_one_core_elsewhere_gives_the_same_bytes(tiny, killed_run):
    run, at_work, _ = killed_run
    assert run.code == 0, run.text[-5000:]
    expected, found = sha256s(tiny.results), sha256s(run.results)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    print(f"{at_work} kills, cores 2 against 1: {len(expected) - len(differing)} of {len(expected)} files equal")
    assert differing == []
    assert (run.results / "report.html").exists()
