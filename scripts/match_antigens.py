"""Rule match_antigens: clonotypes alike to receptors of known antigen, against what chance gives."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.antigen_snapshots import read_snapshots, snapshot_of
    from immune_landscape.beta_clones import read_beta_clones
    from immune_landscape.match_antigens import match_antigens
    from immune_landscape.store import read_table, write_table

    given, params = snakemake.input, snakemake.params
    snapshots = [snapshot_of(*named) for named in zip(params.study["antigens"], given.antigens, strict=True)]
    entries, facts = read_snapshots(snapshots, min_score=params.settings["min_score"])
    clones = {name: read_beta_clones(given[name], name) for name in ("tcr", "bulk_tcr") if given.get(name)}
    tables = match_antigens(clones, entries, read_table(given.design), params.seed, **params.settings)
    for name, table in {"snapshots": facts, **tables}.items():
        write_table(table, snakemake.output[name])
    log.info("%d entries; %d predictions", len(entries), len(tables["matches"]))
