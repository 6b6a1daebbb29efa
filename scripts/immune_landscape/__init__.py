"""Patient-level immune monitoring of a treatment cohort: the functions behind each rule."""
