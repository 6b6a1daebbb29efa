"""Corrections are those of scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control

from immune_landscape.multiple_tests import false_discovery_rates


@given(arrays(float, st.integers(1, 40), elements=st.sampled_from([0.0, 1e-9, 0.01, 0.02, 0.02, 0.3, 0.5, 1.0])))
def test_rates_are_those_of_scipy(p):
    assert false_discovery_rates(p) == pytest.approx(false_discovery_control(p), rel=1e-14, abs=0)


def test_no_test_has_no_rate():
    assert false_discovery_rates(np.empty(0)).shape == (0,)
