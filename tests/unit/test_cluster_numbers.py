import pandas as pd

from immune_landscape.cluster_numbers import earlier_clusters, keep_numbers


def clusters(text, start=0):
    return pd.Series(list(text), index=[f"cell{at + start}" for at in range(len(text))], dtype=object)


def test_a_cluster_of_the_same_cells_keeps_its_number_whatever_its_size():
    assert keep_numbers(clusters("0000111122"), clusters("2222000011")) == {"0": "2", "1": "0", "2": "1"}


def test_a_new_cluster_takes_a_number_that_none_had():
    # Of the earlier 0, half became a cluster of its own: neither half is more of it than of another.
    found = keep_numbers(clusters("00001111222"), clusters("00000000111"))
    assert found == {"0": "2", "1": "3", "2": "1"}


def test_cells_of_one_run_alone_say_nothing():
    assert keep_numbers(clusters("000111", start=2), clusters("111100")) == {"0": "1", "1": "2"}
    assert keep_numbers(clusters("0011", start=100), clusters("0011")) == {"0": "2", "1": "3"}


def test_clusters_of_a_branch_are_taken_from_the_labels_of_a_run():
    labels = pd.DataFrame(
        {"branch": ["nk", "t", "nk", "other"], "cluster": [3.0, 1.0, None, 2.0]}, index=["a", "b", "c", "d"]
    )
    assert earlier_clusters(labels, "nk").to_dict() == {"a": "3"}
    assert earlier_clusters(labels, "all").empty
