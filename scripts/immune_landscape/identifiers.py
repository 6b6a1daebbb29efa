"""Ids from users: safe as file names, and free of what could identify a person."""

from __future__ import annotations

import re
import unicodedata

from immune_landscape.text_files import printable

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SLUG_RULE = "letters, digits, '_', '.' and '-', at most 64, the first a letter or digit"

# Device names of Windows: a file of that name cannot be made there, with or without an extension.
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10)}

# Letters that look Latin but are not, and Latin letters that do not decompose.
LOOK_ALIKES = dict(
    zip(
        "АВЕЗКМНОРСТУХаеорсухіѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβενορτυχ",
        "ABE3KMHOPCTYXaeopcyxisABEZHIKMNOPTYXabevoptux",
        strict=True,
    )
) | {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ł": "l", "Ł": "L", "đ": "d", "μ": "u", "µ": "u"}

# Public accessions hold long numbers without naming anyone.
ACCESSION = re.compile(r"(GSM|GSE|NCT|PRJ[A-Z]{2}|[SED]R[APRSXZ]|SAM[NED]A?)[0-9]+")
DATE = re.compile(
    r"(?<![0-9])("
    r"(19|20)[0-9]{2}[-_.](0?[1-9]|1[0-2])[-_.](0?[1-9]|[12][0-9]|3[01])"
    r"|(0?[1-9]|[12][0-9]|3[01])[-_.](0?[1-9]|1[0-2])[-_.](19|20)[0-9]{2}"
    r")(?![0-9])"
)
LONG_NUMBER = re.compile(r"[0-9]{8,}")
RECORD_NUMBER = re.compile(r"[0-9]{6,}")
PERSON = re.compile(r"[A-Z][a-z]{2,}[ _.-][A-Z][a-z]{2,}")
STUDY_WORD = re.compile(r"(?i)patient|donor|subject|control|healthy|case|sample|participant|volunteer|cohort|arm|group")


def suggest_slug(text: str) -> str:
    """Return the nearest safe id to a text: ASCII letters, digits, ``_``, ``.`` and ``-``.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        An id that matches ``SLUG``, or an empty string when nothing is left of the text.
    """
    latin = "".join(LOOK_ALIKES.get(letter, letter) for letter in unicodedata.normalize("NFC", text))
    plain = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain.strip()).strip("_.-")[:64]


def personal_kind(text: str, *, person: bool) -> str | None:
    """Return what in a text could identify a person: a date, a long number or a name.

    Parameters
    ----------
    text
        Any text.
    person
        Whether the text stands for a person, so that two capitalised words or a bare record
        number are taken for a name or hospital number.

    Returns
    -------
    str or None
        ``a date``, ``a long number``, ``a name``, or none.
    """
    rest = ACCESSION.sub("", text)
    if DATE.search(rest):
        return "a date"
    if LONG_NUMBER.search(rest) or (person and RECORD_NUMBER.fullmatch(rest)):
        return "a long number"
    if person and PERSON.fullmatch(text.strip()) and not STUDY_WORD.search(text):
        return "a name"
    return None


def id_fault(value: str, *, person: bool) -> tuple[str, str] | None:
    """Return why a value cannot be an id, as kind and message.

    What looks personal is not repeated in the message, which ends in logs.

    Parameters
    ----------
    value
        Id found, not empty.
    person
        Whether the id stands for a person (see ``personal_kind``).

    Returns
    -------
    tuple of str, or None
        Kind of mistake and message; none when the id is good.
    """
    personal = personal_kind(value, person=person)
    if personal:
        return (
            "personal_identifier",
            f"holds what looks like {personal} (not shown); use a study code such as P01",
        )
    if not SLUG.fullmatch(value):
        return "unsafe_id", f"{printable(value)}{_odd_letter(value)}, expected {SLUG_RULE}{_instead(value)}"
    if value.split(".")[0].lower() in RESERVED:
        return "reserved_name", f"{printable(value)} is reserved by Windows; use another id, such as {value}_1"
    return None


def _odd_letter(value: str) -> str:
    for position, letter in enumerate(value, start=1):
        if ord(letter) > 127:
            name = unicodedata.name(letter, f"U+{ord(letter):04X}")
            return f" has {name} as letter {position}"
    return ""


def _instead(value: str) -> str:
    slug = suggest_slug(value)
    return f"; write {slug}" if slug and SLUG.fullmatch(slug) else ""
