from immune_landscape.seeds import seed_of


def test_seeds_are_stable_distinct_and_in_range():
    seeds = [seed_of(root, rule) for root in range(20) for rule in ("a", "b")]
    assert len(set(seeds)) == 40
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(0, "find_doublets", "S1") == seed_of(0, "find_doublets", "S1")
    assert seed_of(0, "ab") != seed_of(0, "a", "b")
