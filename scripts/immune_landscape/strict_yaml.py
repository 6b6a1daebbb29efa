"""YAML without its surprises: line numbers kept, duplicate keys and guessed types refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from immune_landscape.errors import Problem
from immune_landscape.text_files import NUMBER, printable, read_text

KeyPath = tuple[str | int, ...]

MAX_CHARACTERS = 256 * 1024
# At most 18 digits: Python refuses thousands of them, and no key of a cohort needs more.
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
READ_AS = {"bool": "true or false", "timestamp": "a date", "int": "another number", "float": "another number"}


@dataclass(frozen=True)
class YamlFile:
    """A YAML file as read.

    Attributes
    ----------
    label
        Path as the user would type it.
    value
        Content; an empty dict when it could not be read.
    lines
        1-based line of every key and list item, by key path.
    problems
        Mistakes of form.
    suspect
        Key paths whose value is already reported.
    """

    label: str
    value: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    suspect: set[KeyPath] = field(default_factory=set)

    def place(self, keys: KeyPath) -> tuple[str, int]:
        """Return file and line of a key, or of the nearest one above it that is written."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.label, self.lines.get(keys, 0)


def dotted(path: KeyPath) -> str:
    """Return a key path as text, such as ``contrasts[0].name``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".")


def top_key(path: str) -> str:
    """Return the first key of a dotted path, such as ``contrasts`` of ``contrasts[0].name``."""
    return path.split(".")[0].split("[")[0]


def read_yaml(path: Path, label: str) -> YamlFile:
    """Read a YAML mapping strictly.

    Parameters
    ----------
    path
        File to read.
    label
        The path as the user would type it.

    Returns
    -------
    YamlFile
        Content, line numbers, and every mistake of form: duplicate keys, aliases, tags,
        ``__use_yte__``, and unquoted words that YAML 1.1 reads as booleans, dates or
        numbers in another base (``on``, ``2024-01-01``, ``12:30``, ``007``).
    """
    text, problems, _ = read_text(path, label)
    if text is None:
        return YamlFile(label, {}, problems=problems)
    try:
        node = _compose(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return YamlFile(label, {}, problems=[_syntax_problem(error, label)])
    reader = _Reader(label)
    value = {} if node is None else reader.read(node, ())
    if not isinstance(value, dict):
        reader.report((), getattr(node, "start_mark", None), "expected keys and values at the top", "not_a_mapping")
        value = {}
    return YamlFile(label, value, reader.lines, reader.problems, reader.suspect)


class _Composer(yaml.SafeLoader):
    """Composes nodes; refuses aliases, with which a small file expands without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases, with which a few lines can grow without bound."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not accepted; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)


def _compose(text: str) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"is longer than {MAX_CHARACTERS >> 10} kB")
    loader = _Composer(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _syntax_problem(error: Exception, label: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or (
        "is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
    )
    kind = "yaml_alias" if "aliases" in what else "yaml_syntax"
    return Problem(label, mark.line + 1 if mark else 0, "", f"not valid YAML: {what}", kind)


class _Reader:
    """Turns composed nodes into Python values, collecting lines and mistakes."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.suspect: set[KeyPath] = set()

    def report(self, path: KeyPath, mark: Any, message: str, kind: str) -> None:
        """Keep a problem and mark its key as unsound."""
        line = mark.line + 1 if mark is not None else 0
        self.problems.append(Problem(self.label, line, dotted(path), message, kind))
        self.suspect.add(path)

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the value of a node and remember the line of each of its keys."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        kind = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if not isinstance(node, yaml.ScalarNode) and node.tag != f"tag:yaml.org,2002:{kind}":
            self.report(path, node.start_mark, f"YAML tags are not accepted: {printable(node.tag)}", "yaml_tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in found:
                message = f"key already used on line {self.lines[here]}"
                self.report(here, key_node.start_mark, message, "duplicate_key")
                continue
            self.lines[here] = key_node.start_mark.line + 1
            found[key] = self.read(value_node, here)
        return found

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.report(path, node.start_mark, "a key must be a word", "bad_key")
            return None
        if node.value == "__use_yte__":
            message = "would let the file run code; delete the key"
            self.report((*path, node.value), node.start_mark, message, "forbidden_key")
            return None
        if node.tag != "tag:yaml.org,2002:str":
            message = f'this key is read by YAML as something else than text; quote it: "{node.value}"'
            self.report((*path, node.value), node.start_mark, message, "unquoted_value")
            return None
        return node.value

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        raw, tag = node.value, node.tag.rpartition(":")[2]
        if tag in ("str", "null"):
            return raw if tag == "str" else None
        if tag == "bool" and raw.lower() in ("true", "false"):
            return raw.lower() == "true"
        if tag == "int" and INTEGER.fullmatch(raw):
            return int(raw)
        if tag == "float" and NUMBER.fullmatch(raw):
            return float(raw)
        if tag in READ_AS:
            message = f'{raw} is read by YAML as {READ_AS[tag]}; quote this value: "{raw}"'
            message += " (or write true or false)" if tag == "bool" else ""
            self.report(path, node.start_mark, message, "unquoted_value")
        else:
            self.report(path, node.start_mark, f"YAML tags are not accepted: {printable(node.tag)}", "yaml_tag")
        return raw
