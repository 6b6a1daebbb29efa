"""Tables 1 and 2 of RECIST 1.1 (Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026) without a new lesion."""

TABLE_1 = {
    ("CR", "CR"): "CR",
    ("CR", "none"): "CR",
    ("CR", "non_CR_non_PD"): "PR",
    ("CR", "NE"): "PR",
    **{("PR", other): "PR" for other in ("CR", "none", "non_CR_non_PD", "NE")},
    **{("SD", other): "SD" for other in ("CR", "none", "non_CR_non_PD", "NE")},
    **{("NE", other): "NE" for other in ("CR", "none", "non_CR_non_PD", "NE")},
    **{("PD", other): "PD" for other in ("CR", "none", "non_CR_non_PD", "NE", "PD")},
    **{(target, "PD"): "PD" for target in ("CR", "PR", "SD", "NE")},
    # Table 2: non-target disease only.
    ("none", "CR"): "CR",
    ("none", "non_CR_non_PD"): "non_CR_non_PD",
    ("none", "NE"): "NE",
    ("none", "PD"): "PD",
    ("none", "none"): "NE",
}
TARGETS, OTHERS = ("CR", "PR", "SD", "PD", "NE", "none"), ("CR", "non_CR_non_PD", "PD", "NE", "none")
"""Responses of target lesions, and of non-target lesions."""
