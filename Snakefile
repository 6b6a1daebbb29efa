# Lets `snakemake --cores N` work from the root of a checkout.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
