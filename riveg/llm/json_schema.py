"""Checks values against the keywords of JSON schema that riveg's requests use.

A response is checked against the very schema that the server was given; a keyword that is not known
here is refused, never skipped. The texts of faults are part of re-asks, which are cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}

_Check = Callable[[Any, Any, str], str | None]
"""From a value, the argument of a keyword, and the value's place, to what is wrong."""

_TOP = "the object"
_SHOWN = 60


def fault_in(value: Any, schema: Mapping[str, Any], where: str = _TOP) -> str | None:
    """The first thing in a value that breaks the schema, in words; ``None``: nothing does.

    Raises:
        ValueError: If the schema has a keyword that is not known here.
    """
    for keyword, argument in schema.items():
        if keyword in _WITHOUT_EFFECT:
            continue
        if keyword not in _CHECKS:
            raise ValueError(f"a schema of riveg cannot say {keyword!r}")
        others = keyword == "additionalProperties"
        bound = (argument, schema.get("properties", {})) if others else argument
        wrong = _CHECKS[keyword](value, bound, where)
        if wrong is not None:
            return wrong
    return None


_WITHOUT_EFFECT = frozenset({"title", "description", "examples", "default", "$schema"})
"""Keywords that restrict nothing."""


def _type(value: Any, argument: Any, where: str) -> str | None:
    names = [argument] if isinstance(argument, str) else list(argument)
    if any(_TYPES[name](value) for name in names):
        return None
    return f"{where} must be of type {' or '.join(names)}, not {value!r:.{_SHOWN}}"


def _enum(value: Any, argument: Any, where: str) -> str | None:
    if any(value == item and type(value) is type(item) for item in argument):
        return None
    return f"{where} must be one of {', '.join(map(repr, argument))}, not {value!r:.{_SHOWN}}"


def _const(value: Any, argument: Any, where: str) -> str | None:
    return _enum(value, [argument], where)


def _required(value: Any, argument: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return None
    missing = [key for key in argument if key not in value]
    return f"{where} has no key {missing[0]!r}" if missing else None


def _properties(value: Any, argument: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return None
    for key, rule in argument.items():
        if key in value and (wrong := fault_in(value[key], rule, repr(key))):
            return _within(wrong, where)
    return None


def _within(wrong: str, where: str) -> str:
    return wrong if where == _TOP else f"{wrong}, in {where}"


def _additional(value: Any, argument: Any, where: str) -> str | None:
    rule, known = argument
    others = [key for key in value if key not in known] if isinstance(value, dict) else []
    for key in others:
        if rule is False:
            return f"{where} has a key {key!r:.{_SHOWN}} that was not asked for"
        if rule is not True and (wrong := fault_in(value[key], rule, repr(key))):
            return _within(wrong, where)
    return None


def _items(value: Any, argument: Any, where: str) -> str | None:
    if not isinstance(value, list):
        return None
    found = (
        fault_in(item, argument, f"item {number} of {where}") for number, item in _numbered(value)
    )
    return next((wrong for wrong in found if wrong), None)


def _numbered(value: list[Any]) -> enumerate[Any]:
    return enumerate(value, start=1)


def _bound(
    applies: type | tuple[type, ...],
    holds: Callable[[Any, Any], bool],
    words: str,
) -> _Check:
    """A check of values of some types; ``words`` say what must hold, with ``{0}`` the bound."""

    def check(value: Any, argument: Any, where: str) -> str | None:
        if not isinstance(value, applies) or isinstance(value, bool) or holds(value, argument):
            return None
        return f"{where} must {words.format(argument)}"

    return check


def _any_of(value: Any, argument: Any, where: str) -> str | None:
    faults = [fault_in(value, rule, where) for rule in argument]
    return None if None in faults else " or ".join(filter(None, faults))


_CHECKS: Mapping[str, _Check] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "anyOf": _any_of,
    "minItems": _bound(list, lambda value, least: len(value) >= least, "have at least {0} items"),
    "maxItems": _bound(list, lambda value, most: len(value) <= most, "have at most {0} items"),
    "minLength": _bound(
        str, lambda value, least: len(value) >= least, "have {0} characters or more"
    ),
    "maxLength": _bound(str, lambda value, most: len(value) <= most, "have at most {0} characters"),
    "pattern": _bound(str, lambda value, form: re.search(form, value) is not None, "match {0}"),
    "minimum": _bound((int, float), lambda value, least: value >= least, "be {0} or more"),
    "maximum": _bound((int, float), lambda value, most: value <= most, "be {0} or less"),
}
