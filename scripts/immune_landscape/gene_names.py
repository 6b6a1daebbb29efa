"""Turn the gene table of an input file into unique symbols with their Ensembl ids."""

from __future__ import annotations

import pandas as pd

from immune_landscape.input_files import Place
from immune_landscape.text_files import quoted

SYMBOL_COLUMNS = ("gene_name", "gene_names", "gene_symbols", "gene_symbol", "feature_name", "symbol")
ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "ensembl", "feature_id", "ENSEMBL")
#: Stable gene ids, https://www.ensembl.org/info/genome/stable_ids/prefixes.html ; the version is dropped.
ENSEMBL = r"^(ENS[A-Z]{0,6}G\d{11})(?:\.\d+)?$"
ENSEMBL_SUFFIX = r"^(.+)_(ENS[A-Z]{0,6}G\d{11})(?:\.\d+)?$"
ID_PREFIXES = {"human": "ENSG", "mouse": "ENSMUSG"}
#: Human symbols are upper-case (HGNC), those of mouse and rat have one capital (MGI, RGD).
UPPER_CASE = r"^[A-Z][A-Z0-9]+[A-Z][A-Z0-9-]*$"
TITLE_CASE = r"^[A-Z][a-z0-9]*[a-z][a-z0-9-]*$"
MIN_GENES_FOR_CASE = 20


def name_genes(table: pd.DataFrame, species: str, place: Place) -> pd.DataFrame:
    """Choose the symbol and the Ensembl id of every gene.

    Parameters
    ----------
    table
        Gene table of the file: names in the index, other names in its columns.
    species
        Species of the cohort; only ``human`` and ``mouse`` are checked.
    place
        File and sample.

    Returns
    -------
    DataFrame
        Unique symbols in the index, in the order of ``table``; columns ``symbol``, the name before
        it was made unique, and ``gene_id``, the Ensembl id without version, or "".

    Raises
    ------
    InputError
        When genes have no name, an Ensembl id occurs twice, or the genes are of another species.

    Notes
    -----
    Where the index holds Ensembl ids, symbols come from the first of the columns gene_name,
    gene_names, gene_symbols, gene_symbol, feature_name and symbol that holds other names. A
    suffix ``_ENSG...`` of a symbol is cut off and kept as the id.
    """
    names = _text(table.index.to_series())
    ids = _ensembl_ids(table, names)
    symbols = _symbols(table, names).where(lambda s: s != "", ids)
    _refuse_nameless(symbols, place)
    _refuse_repeated_ids(ids, place)
    require_species(symbols, ids, species, place)
    columns = {"symbol": symbols.to_numpy(dtype=object), "gene_id": ids.to_numpy(dtype=object)}
    return pd.DataFrame(columns, index=unique_symbols(symbols, ids))


def _text(values: pd.Series) -> pd.Series:
    filled = values.astype(object).where(values.notna().to_numpy(), "")
    return pd.Series([str(v).strip() for v in filled], dtype=object)


def _ensembl_ids(table: pd.DataFrame, names: pd.Series) -> pd.Series:
    ids = pd.Series("", index=names.index, dtype=object)
    sources = [names.str.extract(ENSEMBL)[0], names.str.extract(ENSEMBL_SUFFIX)[1]]
    sources += [_text(table[c]).str.extract(ENSEMBL)[0] for c in ID_COLUMNS if c in table.columns]
    for source in sources:
        ids = ids.where(ids != "", source.astype(object).fillna(""))
    return ids


def _symbols(table: pd.DataFrame, names: pd.Series) -> pd.Series:
    if _are_ids(names):
        for column in SYMBOL_COLUMNS:
            if column in table.columns and not _are_ids(_text(table[column])):
                names = _text(table[column])
                break
    stripped = names.str.extract(ENSEMBL_SUFFIX)[0]
    return stripped.where(stripped.notna(), names).astype(object)


def _are_ids(names: pd.Series) -> bool:
    """Say whether most names are Ensembl ids, bare numbers or blank."""
    return bool((names.str.match(ENSEMBL) | names.str.fullmatch(r"\d*")).mean() > 0.5) if len(names) else False


def _refuse_nameless(symbols: pd.Series, place: Place) -> None:
    numbers = symbols.str.fullmatch(r"\d*")
    if len(symbols) and (numbers.mean() > 0.5 or (symbols == "").any()):
        raise place.error(
            f"{int(numbers.sum())} of {len(symbols)} genes have no name, such as "
            f"{quoted(symbols[numbers].tolist())}; expected gene symbols in var_names "
            f"or in one of the var columns {quoted(SYMBOL_COLUMNS, 10)}"
        )


def _refuse_repeated_ids(ids: pd.Series, place: Place) -> None:
    known = ids[ids != ""]
    repeated = list(dict.fromkeys(known[known.duplicated()]))
    if repeated:
        raise place.error(f"{len(repeated)} Ensembl ids name more than one gene: {quoted(repeated, 10)}")


def require_species(symbols: pd.Series, ids: pd.Series, species: str, place: Place) -> None:
    """Refuse genes of another species than the cohort's.

    Parameters
    ----------
    symbols, ids
        Gene symbols and Ensembl ids ("" when unknown).
    species
        ``human`` and ``mouse`` are checked, others pass.
    place
        File and sample.

    Raises
    ------
    InputError
        When most Ensembl ids, or without ids most symbols, are of the other species.
    """
    wanted = ID_PREFIXES.get(species)
    if wanted is None:
        return
    known = ids[ids != ""]
    foreign = known[~known.str.match(wanted + r"\d")]
    if len(foreign) > 0.5 * len(known):
        raise place.error(f"the genes are not {species}: Ensembl ids such as {quoted(foreign.tolist(), 3)}")
    if known.empty:
        _require_case(symbols, species, place)


def _require_case(symbols: pd.Series, species: str, place: Place) -> None:
    upper, title = symbols[symbols.str.match(UPPER_CASE)], symbols[symbols.str.match(TITLE_CASE)]
    found, expected = (title, upper) if species == "human" else (upper, title)
    if len(found) + len(expected) >= MIN_GENES_FOR_CASE and len(found) > len(expected):
        looks = "mouse (or rat)" if species == "human" else "human"
        raise place.error(
            f"the genes are not {species}: they look {looks}, such as {quoted(found.tolist(), 3)}; "
            "set species in cohort.yaml or give the right file"
        )


def has_mitochondrial(names: pd.Index) -> bool:
    """Tell whether any gene is named as mitochondrially encoded, ``MT-`` in human and ``mt-`` in mouse.

    Parameters
    ----------
    names
        Gene symbols.

    Returns
    -------
    bool
        False for a panel without them.
    """
    return bool(names.astype(str).str.upper().str.startswith("MT-").any())


def unique_symbols(symbols: pd.Series, ids: pd.Series) -> pd.Index:
    """Make repeated symbols unique in a way that does not depend on the order of known ids.

    Parameters
    ----------
    symbols, ids
        Gene symbols and Ensembl ids ("" when unknown), same length.

    Returns
    -------
    Index
        The genes that share a symbol are put in the order of their Ensembl ids, those without one
        last and in file order: the first keeps the symbol, the others become ``symbol-1``,
        ``symbol-2`` and so on, skipping names that are taken.
    """
    names = symbols.to_list()
    taken = set(names)
    repeated = symbols[symbols.duplicated(keep=False)]
    for symbol, group in repeated.groupby(repeated, sort=True):
        for position in _by_id(group.index, ids)[1:]:
            names[position] = _free_name(str(symbol), taken)
            taken.add(names[position])
    return pd.Index(names, dtype=object)


def _by_id(positions: pd.Index, ids: pd.Series) -> list[int]:
    return sorted((int(p) for p in positions), key=lambda p: (ids[p] == "", ids[p], p))


def _free_name(symbol: str, taken: set[str]) -> str:
    number = 1
    while f"{symbol}-{number}" in taken:
        number += 1
    return f"{symbol}-{number}"
