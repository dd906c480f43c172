"""YAML files that people write: their values with the line of every key, and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from riveg.errors import UserError, suggest
from riveg.files import read_regular_text
from riveg.llm.endpoint import SECRET
from riveg.text.secrets import names_secret, without_key_forms

_SHOWN = 200
"""Characters of a wrong value that a message repeats."""

_POSSIBLE_KEY = "what may hold a key"

_LISTS = frozenset({"list_type", "tuple_type"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where, what was found, what is allowed."""

    file: str
    line: int | None
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: found {self.found}; {self.allowed}"


class InvalidConfig(UserError):
    """A configuration with all its problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping with the line of every key (``a.b`` -> line), and keys given twice.

    ``overridden`` are the keys whose values come from ``--set``.
    """

    file: str
    base: Path
    values: dict[str, Any]
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]
    overridden: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Document:
        """Parses a file.

        Raises:
            UserError: If it cannot be read, is no YAML, has an alias, or is not a mapping.
        """
        try:
            node, values = _parse(read_regular_text(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error})") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = path if mark is None else f"{path}:{mark.line + 1}"
            why = without_key_forms(str(getattr(error, "problem", None) or error))
            hint = '; write "@NAME" in quotes' if "'@'" in why else ""
            raise UserError(f"{place}: not YAML: {why}{hint}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}: expected keys and values, found {type(values).__name__}")
        lines: dict[str, int] = {}
        problems: list[Problem] = []
        for key, line in _key_lines(node, ""):
            if key in lines:
                problems.append(
                    Problem(str(path), line, key, "a second time", f"first in line {lines[key]}")
                )
            lines[key] = line
        values = {str(key): value for key, value in values.items()}
        return cls(str(path), path.parent, values, lines, tuple(problems))

    def override(self, values: Mapping[str, Any], keys: Iterable[str]) -> Document:
        """The document with other values, those of ``keys`` taken from ``--set``."""
        return replace(self, values=dict(values), overridden=frozenset(keys))

    def problem(self, key: str, found: object, allowed: str) -> Problem:
        """A problem at a key; of an absent key, at its nearest parent's line."""
        is_secret = isinstance(found, str | int) and names_secret(key.rpartition(".")[2])
        text = _POSSIBLE_KEY if is_secret else _shortened(without_key_forms(_described(found)))
        override = self.override_of(key)
        if override is not None:
            return Problem(f"--set {override}", None, key, text, allowed)
        line = next((self.lines[name] for name in _upwards(key) if name in self.lines), None)
        return Problem(self.file, line, key, text, allowed)

    def override_of(self, key: str) -> str | None:
        """The key that ``--set`` was given and that a key's value, or its absence, is due to."""
        for name in _upwards(key):
            if name in self.overridden:
                return name
            # Another backend drops what the file says of the old one.
            if f"{name}.backend" in self.overridden:
                return f"{name}.backend"
        below = (name for name in sorted(self.overridden) if name.startswith(f"{key}."))
        return None if key in self.lines else next(below, None)

    def validation_problems(
        self, error: ValidationError, kind: type[BaseModel], *prefix: str
    ) -> Iterator[Problem]:
        """Every problem that pydantic found with a ``kind`` read from below ``prefix``."""
        for item in error.errors(include_url=False):
            key = ".".join([*prefix, *map(str, item["loc"])])
            if item["type"] == "extra_forbidden":
                yield self._unknown_key(key, _at(kind, item["loc"][:-1]))
            elif item["type"] == "missing":
                yield self.problem(key, "nothing", "this key is required")
            elif item["type"] == "literal_error":
                allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
                yield self.problem(key, item["input"], suggest(str(item["input"]), allowed))
            elif item["type"] in _LISTS:
                yield self.problem(key, item["input"], "expected a list: [...]")
            elif item["type"] == SECRET:
                yield self.problem(key, _POSSIBLE_KEY, item["msg"])
            else:
                advice = item["msg"].removeprefix("Value error, ")
                yield self.problem(key or "the file", item["input"], advice)

    def _unknown_key(self, key: str, kind: type[BaseModel]) -> Problem:
        name = key.rpartition(".")[2]
        if name in getattr(kind, "gone", ()):
            # No suggestion: a key that is merely spelt alike means something else.
            advice = f"leave it out. {suggest('', kind.model_fields)}"
            return self.problem(key, "a key of earlier versions, which is gone", advice)
        return self.problem(key, "an unknown key", suggest(name, kind.model_fields))


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field's annotation names, alone or as one of its choices.

    >>> nested_model(BaseModel | None).__name__
    'BaseModel'
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(nested_model, get_args(annotation))), None)


def _at(kind: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The model that a place in another one is read as, as far as the fields tell."""
    for name in place:
        field = kind.model_fields.get(str(name))
        kind = (field and nested_model(field.annotation)) or kind
    return kind


def parse_override(item: str, form: str) -> tuple[str, Any]:
    """Key and value of a ``key=value`` item; a value that is no YAML is a text.

    Args:
        item: As it was given.
        form: How it should look, for the message.

    Raises:
        UserError: If it is no ``key=value``, or not valid Unicode.
    """
    key, separator, text = item.partition("=")
    if not separator:
        raise UserError(f"--set {without_key_forms(item)}: expected {form}")
    try:
        item.encode()
    except UnicodeEncodeError as error:
        shown = without_key_forms(ascii(text))
        raise UserError(f"--set {key!a}: not valid Unicode: {shown}") from error
    try:
        _, value = _parse(text)
    except yaml.YAMLError:
        value = text
    return key, value


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, which multiply and may hold themselves."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            _refuse(f"the alias *{event.anchor} is not followed; write it out", event.start_mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep=deep)
        kind = node.tag.rpartition(":")[2]
        wrong = f"{_shortened(repr(node.value))} is no {kind}; put a text in quotes"
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):
            # PyYAML lets through whatever Python says of a day, a number or a truth value.
            return _refuse(wrong, node.start_mark)
        if isinstance(value, str) and not _is_writable(value):
            _refuse("a text with a character that no file can hold", node.start_mark)
        return value


def _refuse(what: str, mark: Any) -> None:
    raise yaml.MarkedYAMLError(problem=what, problem_mark=mark)


def _parse(text: str) -> tuple[yaml.Node | None, Any]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error


def _is_writable(text: str) -> bool:
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


def _described(found: object) -> str:
    """A wrong value; of keys and values the keys alone, because each value may be a secret."""
    if isinstance(found, Mapping):
        return f"{{{', '.join(map(str, found))}}}"
    return found if isinstance(found, str) else repr(found)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _upwards(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _key_lines(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        yield name, key.start_mark.line + 1
        yield from _key_lines(value, f"{name}.")
