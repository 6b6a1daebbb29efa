import numpy as np
import pandas as pd

from immune_landscape.guarantee_time import from_landmark, guarantee_message, unguarded
from immune_landscape.patient_outcomes import Times


def test_what_is_late_is_refused_unless_guarded():
    late = {"response", "week_8"}
    assert unguarded(["week_8", "baseline", "response"], late, guarded=False) == ["week_8", "response"]
    assert unguarded(["week_8"], late, guarded=True) == []


def test_the_words_say_what_to_do():
    assert guarantee_message("response", "set a landmark").endswith("; set a landmark")


def test_who_left_up_to_the_landmark_is_left_out():
    found = Times(pd.Index([4, 5, 6]), np.array([1.0, 2.0, 5.0]), np.array([True, True, False]))
    kept = from_landmark(found, 2.0)
    assert list(kept.patients) == [6]
    assert (kept.times[0], kept.events[0]) == (3.0, False)
