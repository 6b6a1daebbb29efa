import inspect
import logging

import numpy as np
import pytest
import scipy.sparse as sp

from immune_landscape import device, steps_cpu
from immune_landscape.cohort import examine_cohort
from immune_landscape.errors import InputError
from immune_landscape.provenance import _reached


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(device, "gpu_problem", lambda: "no GPU is there")


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(device, "gpu_problem", lambda: "")


def test_every_step_is_there_and_told():
    for name in device.STEPS:
        function = getattr(steps_cpu, name)
        assert inspect.isfunction(function)
        assert "Parameters" in function.__doc__
    named = {step for steps in device.STEPS_OF_RULES.values() for step in steps}
    assert named == set(device.STEPS)


def test_the_cpu_is_taken_without_a_look_for_a_gpu(monkeypatch):
    monkeypatch.setattr(device, "gpu_problem", lambda: pytest.fail("looked for a GPU"))
    assert device.choose_device("cpu", "layout") == "cpu"


def test_auto_takes_a_gpu_that_answers(with_gpu):
    assert device.choose_device("auto", "layout") == "gpu"


def test_auto_falls_back_and_says_so(no_gpu, caplog):
    with caplog.at_level(logging.INFO, logger="immune_landscape"):
        assert device.choose_device("auto", "layout") == "cpu"
    assert "layout runs on the CPU: no GPU is there" in caplog.text


def test_a_gpu_that_is_asked_for_and_missing_stops_the_run(no_gpu):
    with pytest.raises(InputError, match=r"layout is to run on a GPU \(device: gpu\), but no GPU is there"):
        device.choose_device("gpu", "layout")


def test_a_machine_without_the_libraries_says_which(monkeypatch):
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    device.gpu_problem.cache_clear()
    try:
        assert device.gpu_problem().startswith("cupy")
        assert "cannot be imported" in device.gpu_problem()
    finally:
        device.gpu_problem.cache_clear()


def test_single_steps_may_run_elsewhere(with_gpu, monkeypatch):
    seen = []
    monkeypatch.setattr(device, "step", lambda name, where: seen.append((name, where)))
    devices = device.Devices("gpu", {"layout": "cpu"})
    devices.step("layout")
    devices.step("fuzzy_graph")
    assert seen == [("layout", "cpu"), ("fuzzy_graph", "gpu")]


def test_rules_ask_for_a_gpu_where_one_of_their_steps_may_use_it():
    assert device.gpus_of("cluster_cells", "cpu", {}) == 0
    assert device.gpus_of("cluster_cells", "auto", {}) == 1
    assert device.gpus_of("cluster_cells", "cpu", {"layout": "gpu"}) == 1
    assert device.gpus_of("find_doublets", "cpu", {"layout": "gpu"}) == 0


def test_the_log_tells_what_ran_where(caplog):
    with caplog.at_level(logging.INFO, logger="immune_landscape"):
        device.step("normalise", "cpu")(sp.csr_matrix(np.ones((2, 3))), 1e4)
    assert "normalise on cpu: " in caplog.text


def test_an_unknown_step_is_refused():
    with pytest.raises(KeyError, match="tsne"):
        device.step("tsne", "cpu")


def test_threads_are_those_of_the_rule(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert device.allowed_threads() == 3
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert device.allowed_threads() == 1


@pytest.mark.parametrize("rule", device.STEPS_OF_RULES)
def test_an_edited_step_makes_its_rule_run_again(rule):
    assert {"device", "steps_cpu", "sparse_kernels"} <= _reached(rule)


def test_a_misspelt_step_is_told(tmp_path):
    from cohort_folders import SOUND_YAML, write_cohort

    yaml = f"{SOUND_YAML}device_of_steps: {{layouts: cpu}}\n"
    (problem,) = examine_cohort(write_cohort(tmp_path, yaml=yaml))[1]
    assert "did you mean layout?" in problem.message
