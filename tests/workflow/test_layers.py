"""What a cohort holds decides which rules its run has; none is needed twice and none is missing."""

import re

import pytest
from workflow.runs import Run, dry_run, run_snakemake, write_tiny

GEX = {
    *("load_samples", "filter_cells", "find_doublets", "merge_samples", "reduce_cells", "cluster_cells"),
    *("annotate_lineages", "annotate_subsets", "define_labels", "measure_composition", "compare_composition"),
    *("name_clusters", "compare_annotators", "check_identity", "draw_annotators", "draw_clusters", "draw_identity"),
    *("draw_stability", "rank_markers", "measure_markers", "draw_markers", "draw_cells"),
    *("draw_quality", "draw_composition", "export_h5ad"),
}
GEX_COMPARED = {
    *("measure_quality", "measure_expression", "compare_expression", "model_expression", "draw_expression"),
    *("score_signatures", "judge_signatures", "draw_signatures", "model_composition", "sweep_labels"),
    *("draw_contrasts", "draw_robustness", "judge_recovery", "draw_recovery"),
}
TCR = {
    *("load_receptors", "define_clonotypes", "measure_expansion"),
    *("draw_clonotypes", "draw_expansion", "check_identity", "draw_identity", "track_clones", "draw_tracks"),
    *("share_clones", "draw_sharing", "sweep_clonotypes", "draw_clone_definitions"),
    "export_airr",
}
COMPARED = {"compare_values", "draw_values", "merge_contrasts", "sweep_definitions", "model_visits"}
# The patients of the demo have times and dose levels.
SINGLE = {"measure_doses", "draw_doses", "draw_responses"}
ALWAYS = {"check_inputs", "draw_cohort", "report_cohort", "measure_endpoints", "judge_claims", "draw_claims"}
ALWAYS |= {"draw_survival"} | SINGLE
SIMULATED = ALWAYS | {"simulate_cohort"}
# Clones of named cells, and the scores that their programmes are made of.
LINKED = {"link_clones", "measure_transitions", "draw_links", "score_signatures", "check_receptors"}
BULK = {
    *("load_repertoires", "measure_repertoires", "measure_overlap", "measure_usage"),
    *("draw_repertoires", "track_clones", "draw_tracks", "share_clones", "draw_sharing", "export_airr"),
}
SHEETS = {"measure_populations", "load_measures"}
# The family that the demo's contrast declares: subsets of cells and one metric of bulk repertoires.
OUTCOMES = {"link_outcomes", "draw_outcomes"}
FULL_GEX = GEX | GEX_COMPARED | COMPARED
# Three jobs each for all cells and the branches, two for the branches alone or the parts of the samples.
JOBS = {
    **dict.fromkeys(("reduce_cells", "cluster_cells", "draw_stability", "draw_cells"), 3),
    **dict.fromkeys(("measure_markers", "draw_markers"), 3),
    **dict.fromkeys(("load_samples", "filter_cells", "find_doublets"), 2),
    **dict.fromkeys(("annotate_subsets", "name_clusters", "draw_clusters"), 2),
}


def jobs_of(rules):
    """Count the jobs of each rule: values are compared and drawn by layer, signatures have a figure of their own."""
    layers = {"measure_expansion", "measure_repertoires", "measure_populations", "load_measures", "measure_quality"}
    layers |= {"measure_usage"}
    # Clones of cells and of bulk repertoires are followed apart; receptors speak of cells only where cells are named.
    sources = len({"load_receptors", "load_repertoires"} & rules)
    linked = len({"load_receptors", "annotate_lineages"} & rules) == 2
    bridged = len({"load_receptors", "load_repertoires"} & rules) == 2
    count = len(layers & rules) + sources + linked + bridged
    by_layer = {"compare_values": count + ("score_signatures" in rules), "draw_values": count}
    by_layer |= dict.fromkeys(("track_clones", "draw_tracks"), sources)
    also = {"witness_receptors", *LINKED} if {"load_receptors", "annotate_lineages"} <= rules else set()
    also |= {"bridge_repertoires", "draw_bridge"} if {"load_receptors", "load_repertoires"} <= rules else set()
    return {rule: by_layer.get(rule, JOBS.get(rule, 1)) for rule in rules | also}


def drop_columns(folder, columns):
    path = folder / "samples.tsv"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [at for at, name in enumerate(rows[0]) if name not in columns]
    path.write_text("".join("\t".join(row[at] for at in kept) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "dropped", "expected"),
    [
        ({}, (), SIMULATED | FULL_GEX | TCR | BULK | SHEETS | OUTCOMES),
        ({"layers": ["gex"]}, (), SIMULATED | FULL_GEX | OUTCOMES),
        ({"layers": ["tcr"]}, (), SIMULATED | TCR | COMPARED),
        ({"layers": ["gex", "bulk_tcr"]}, ("tcr",), SIMULATED | FULL_GEX | BULK | OUTCOMES),
        ({"layers": ["tcr"]}, ("gex", "bulk_tcr"), SIMULATED | TCR | COMPARED),
        ({"layers": ["bulk_tcr"]}, (), SIMULATED | BULK | COMPARED | OUTCOMES),
        ({"layers": []}, (), ALWAYS),
        ({}, ("gex", "tcr", "bulk_tcr"), ALWAYS | SHEETS | COMPARED),
        ({"unblinded": False}, (), (SIMULATED | FULL_GEX | TCR | BULK | SHEETS) - SINGLE),
        ({"contrasts": [], "layers": ["gex", "tcr"]}, (), SIMULATED | GEX | TCR | OUTCOMES),
        ({"contrasts": [], "layers": ["tcr"]}, (), SIMULATED | TCR | OUTCOMES),
        (
            {"claims": [], "layers": ["measures"]},
            (),
            (ALWAYS - {"judge_claims", "draw_claims"}) | {"load_measures"} | COMPARED,
        ),
    ],
)
def test_layers_decide_the_rules(checkout, tmp_path, changes, dropped, expected):
    folder = write_tiny(tmp_path / "tiny", **changes)
    drop_columns(folder, dropped)
    run = dry_run(checkout, folder)
    assert run.code == 0, run.text
    assert run.jobs() == jobs_of(expected)


def test_samples_are_dealt_to_as_many_jobs_as_asked(checkout, tmp_path):
    folder = write_tiny(tmp_path / "tiny", samples_per_job=3)
    assert dry_run(checkout, folder).jobs()["load_samples"] == 6


@pytest.mark.parametrize(("cores", "threads"), [("2", {"all": 2, "nk": 1, "t": 1}), ("6", {"all": 4, "nk": 3, "t": 3})])
def test_branches_share_the_cores(checkout, tmp_path, cores, threads):
    folder = write_tiny(tmp_path / "tiny")
    text = run_snakemake(checkout, folder, "--dry-run", "--cores", cores).text
    found = re.findall(
        r"^rule cluster_cells:\n(?: .*\n)*? +wildcards: branch=(\w+)\n(?: +threads: (\d+)\n)?", text, re.M
    )
    assert {branch: int(number or 1) for branch, number in found} == threads


@pytest.fixture(scope="module")
def masked(checkout, tmp_path_factory) -> Run:
    folder = write_tiny(tmp_path_factory.mktemp("masked") / "masked", unblinded=False, layers=["tcr"])
    return run_snakemake(checkout, folder, "--cores", "2")


@pytest.mark.slow
def test_a_masked_cohort_runs_without_arm_or_response(masked):
    assert masked.code == 0, masked.text[-5000:]
    assert (masked.results / "report.html").exists()
    design = masked.table("check_inputs/design.tsv")
    for column in ("arm", "best_response", "response", "dose_level", "product_origin"):
        assert set(design[column]) == {""}, column
    print(f"masked run: {sum(masked.jobs().values())} jobs in {masked.seconds:.0f} s")


@pytest.mark.slow
def test_a_masked_cohort_tells_no_difference_between_groups(masked):
    contrasts = masked.table("compare_values/expansion/contrasts.tsv")
    between = contrasts[contrasts["estimand"] == "response_by_visit"]
    assert len(between)
    assert set(between["status"]) == {"not_testable"}
