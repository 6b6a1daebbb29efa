from pathlib import Path

import pytest

from immune_landscape.errors import ProblemsError
from immune_landscape.plan import deal_samples, make_plan

DEMO = Path(__file__).resolve().parents[2] / "config" / "cohorts" / "demo"


def plan_of(folder=DEMO, **overrides):
    return make_plan({"cohort": str(folder)}, overrides)


def test_demo_is_simulated_into_its_results_folder():
    plan = plan_of()
    assert plan.name == "demo"
    assert plan.data_root == "results/demo/simulate_cohort"
    assert all(path.startswith("results/demo/simulate_cohort/") for path in plan.files("gex"))


@pytest.mark.parametrize("size", [1, 7, 20, 100])
def test_samples_are_dealt_once_each_in_order_and_evenly(size):
    plan = plan_of(samples_per_job=size)
    dealt = [name for names in plan.jobs.values() for name in names]
    assert dealt == list(plan.cohort.samples["sample"])
    sizes = [len(names) for names in plan.jobs.values()]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_a_layer_left_out_has_no_files():
    plan = plan_of(layers=["tcr"])
    assert plan.files("gex") == []
    assert plan.jobs == {}
    assert plan.files("tcr")


def test_jobs_of_one_file_name_it_once():
    cohort = Path(__file__).resolve().parents[1] / "cohorts" / "wu2020"
    plan = plan_of(cohort)
    assert len(plan.files("gex")) == 1
    assert sum(map(len, plan.jobs.values())) == len(plan.cohort.samples)
    assert deal_samples(plan.cohort, 5)["001"] == plan.jobs["001"][:5]


def test_every_mistake_is_told_at_once(tmp_path):
    (tmp_path / "cohort.yaml").write_text("title: x\nvisits: [baseline]\nvisit: [a]\n")
    (tmp_path / "patients.tsv").write_text("patient\tsex\nP1\tmal\n")
    (tmp_path / "samples.tsv").write_text("sample\tpatient\tvisit\nS1\tP9\tbaseline\n")
    with pytest.raises(ProblemsError) as raised:
        plan_of(tmp_path)
    files = {Path(problem.file).name for problem in raised.value.problems}
    assert files == {"cohort.yaml", "patients.tsv", "samples.tsv"}


def test_a_contrast_that_the_sheets_cannot_answer_stops_before_any_job(tmp_path):
    (tmp_path / "cohort.yaml").write_text(
        "title: x\nvisits: [a, b]\ncontrasts:\n  - {name: c, estimand: response_by_visit, reference: a, target: b}\n"
    )
    (tmp_path / "patients.tsv").write_text("patient\tbest_response\nP1\tPR\nP2\tPR\n")
    rows = [f"P{i}_{visit}\tP{i}\t{visit}" for i in (1, 2) for visit in "ab"]
    (tmp_path / "samples.tsv").write_text("\n".join(["sample\tpatient\tvisit", *rows]) + "\n")
    with pytest.raises(ProblemsError, match=r"cohort.yaml:4: contrasts.c: .*non_responder"):
        plan_of(tmp_path)
