"""Simulated cohorts for the checks of identity, as the stages before would hand them over."""

from dataclasses import dataclass

import pandas as pd

from immune_landscape.cell_types import RESOURCES
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.simulate_cohort import simulate_cohort
from immune_landscape.simulate_profiles import BIOLOGY_FILES, read_biology

RULES = fill_defaults(load_schema("settings/check_identity"), {})
GENES = [*RULES["female_genes"], *RULES["male_genes"]]
VISITS = ["baseline", "on_treatment"]
STUDY = {"visits": VISITS, "unblinded": True}


@dataclass(frozen=True)
class Cohort:
    """What `check_identity` takes, and whose each cell is (patient or donor)."""

    counts: pd.DataFrame
    labels: pd.DataFrame
    clonotypes: pd.DataFrame
    design: pd.DataFrame
    origin: pd.Series

    def as_inputs(self, origins=None):
        """Return the positional arguments of `check_identity`."""
        return self.counts, self.labels, self.clonotypes, origins, self.design, STUDY


def design_of(patients=12):
    """Return the sheets of patients of either sex in turn, each with a donor of the other sex."""
    rows = [
        {
            "sample": f"P{i:02d}_{visit}",
            "patient": f"P{i:02d}",
            "visit": visit,
            "tissue": "blood",
            "arm": "",
            "batch": f"b{i % 3}",
            "response": "",
            "sex": ("male", "female")[i % 2],
            "donor_sex": ("female", "male")[i % 2],
            "product_origin": "allogeneic",
        }
        for i in range(patients)
        for visit in VISITS
    ]
    return pd.DataFrame(rows)


def simulated(seed, *, donor_share=0.08, patients=12, cells=600):
    """Simulate a cohort with the demo's cells; a share of the NK cells on treatment is the donor's."""
    settings = fill_defaults(load_schema("settings/simulate_cohort"), {})
    settings |= {"cells_per_sample": cells, "treated_visits": VISITS[1:], "bulk_templates": 10}
    design = design_of(patients)
    made = simulate_cohort(design, seed, **settings | {"donor_nk_fraction": donor_share})
    intact = ~(made.cells["damaged"] | made.cells["empty"]).to_numpy()
    truth = made.cells.set_axis(made.cells["sample"] + ":" + made.cells["barcode"])[intact]
    counts = pd.concat([gene_counts(name, matrix, made) for name, matrix in made.counts.items()])
    types = read_biology(*(RESOURCES / name for name in BIOLOGY_FILES)).types
    labels = pd.DataFrame(
        {"lineage": truth["type"].map(types["lineage"]), "branch": truth["type"].map(types["parent"])}
    )
    chains = pd.concat([pairs_of(table, name, name.split("_")[0]) for name, table in made.contigs.items()])
    return Cohort(counts.loc[truth.index], labels, chains, design, truth["origin"])


def gene_counts(sample, matrix, made):
    """Return the sex genes of a sample, as `read_gene_counts` does."""
    names = [gene for gene in GENES if gene in made.genes]
    columns = [made.genes.index(gene) for gene in names]
    table = pd.DataFrame(matrix[:, columns].toarray(), columns=names)
    table.insert(0, "molecules", matrix.sum(axis=1))
    table.insert(0, "sample", sample)
    return table.set_axis([f"{sample}:{barcode}" for barcode in made.barcodes[sample]]).rename_axis("cell")


def pairs_of(contigs, sample, patient):
    """Return the junctions of each barcode, its chains of most molecules, as `define_clonotypes` does."""
    productive = contigs[contigs["productive"].astype(str).str.lower() == "true"]
    best = productive.sort_values("umis", ascending=False).drop_duplicates(["barcode", "chain"])
    wide = best.pivot_table(index="barcode", columns="chain", values="cdr3_nt", aggfunc="first")
    wide = wide.reindex(columns=["TRA", "TRB"]).fillna("")
    table = pd.DataFrame({"sample": sample, "patient": patient, "has_receptor": True}, index=wide.index)
    table = table.assign(vj_junction=wide["TRA"], vdj_junction=wide["TRB"])
    return table.set_axis(sample + ":" + table.index).rename_axis("cell")


def swapped(cohort, first, second):
    """Return the cohort with the cells of two samples under each other's name."""
    names = {first: second, second: first}

    def renamed(table):
        """Move cells from one name to the other; everything else stays."""
        sample = table.index.str.split(":").str[0]
        to = pd.Series(sample, index=table.index).replace(names)
        moved = table.set_axis(to + ":" + table.index.str.split(":").str[1]).rename_axis("cell")
        if "sample" in moved:
            moved = moved.assign(sample=to.to_numpy())
        return moved.assign(patient=to.str.split("_").str[0].to_numpy()) if "patient" in moved else moved

    return Cohort(
        renamed(cohort.counts),
        renamed(cohort.labels),
        renamed(cohort.clonotypes),
        cohort.design,
        renamed(cohort.origin.to_frame())["origin"],
    )
