"""JSON in another form than was asked for, where it is plain what was meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from riveg.llm.json_schema import fault_in
from riveg.llm.json_values import load_strictly

_WRAPPERS = ("answer", "final_answer", "final", "output", "response", "result", "json")
"""Keys under which the object may stand alone."""
_ALONE = frozenset({*_WRAPPERS, "arguments", "parameters"})
_WHOLE = re.compile(r"\s*-?[0-9]{1,9}\s*\Z")


def as_asked(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value in the form of a schema, as far as that is a matter of form.

    Where an object is asked for that holds one list and nothing else, the list alone is taken for
    it, and one item of the list for a list of one. An object in a list of one, alone under a key
    such as ``answer`` or as a tool's arguments is the object; keys are read in any case.
    ``null`` for an optional key is the key left out, ``1.0`` is the whole number, and a whole
    number or a list in quotation marks is read. The value may still break the schema.

    >>> rules = {"names": {"type": "array"}}
    >>> as_asked(["Ann"], {"type": "object", "properties": rules, "required": ["names"]})
    {'names': ['Ann']}
    """
    value = _with_known_keys(_unwrapped(value, schema), schema)
    name = _only_list(schema)
    if name is None:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            (value,) = value
        return _in_parts(value, schema)
    if isinstance(value, list) and not _is_wrapped(value, name):
        value = {name: value}
    elif isinstance(value, list):
        (value,) = value
    elif isinstance(value, dict) and name not in value:
        items = schema["properties"][name].get("items", {})
        item = _in_parts(value, items)
        if items.get("type") == "object" and fault_in(item, items) is None:
            value = {name: [item]}
    return _in_parts(value, schema)


def holds_one_list(schema: Mapping[str, Any]) -> bool:
    """Whether an object has to hold one list and nothing else."""
    return _only_list(schema) is not None


def _unwrapped(value: Any, schema: Mapping[str, Any]) -> Any:
    """The object that stands alone under a key such as ``answer``, or as a tool's arguments."""
    known = schema.get("properties", {})
    if not isinstance(value, dict) or not known or known.keys() & value.keys():
        return value
    names = {key for key in value if key != "name" or isinstance(value[key], dict)}
    inner = value[names.pop()] if len(names) == 1 and names <= _ALONE else None
    return inner if isinstance(inner, dict) else value


def _with_known_keys(value: Any, schema: Mapping[str, Any]) -> Any:
    """The object with its keys in the case that is asked for, where no two of them become one."""
    if not isinstance(value, dict):
        return value
    known = {key.casefold(): key for key in schema.get("properties", {})}
    renamed = {known.get(key.casefold(), key): item for key, item in value.items()}
    return renamed if len(renamed) == len(value) else value


def keys_of(schema: Mapping[str, Any]) -> frozenset[str]:
    """The keys of an object, and of the items of its one list if it holds nothing else."""
    rules = schema.get("properties", {})
    name = _only_list(schema)
    items = rules[name].get("items", {}) if name else {}
    return frozenset({*rules, *items.get("properties", {})})


def _only_list(schema: Mapping[str, Any]) -> str | None:
    """The key of the one list that an object has to hold; ``None``: it holds something else."""
    required = schema.get("required", [])
    if len(required) != 1 or schema.get("type") != "object":
        return None
    rule = schema.get("properties", {}).get(required[0], {})
    return required[0] if rule.get("type") == "array" else None


def _is_wrapped(value: list[Any], name: str) -> bool:
    """Whether a list holds nothing but the object that was asked for."""
    return len(value) == 1 and isinstance(value[0], dict) and name in value[0]


def _in_parts(value: Any, schema: Mapping[str, Any]) -> Any:
    """The value in the schema's form at any depth, without optional keys that are null."""
    if isinstance(value, str):
        value = _unquoted(value, schema)
    if isinstance(value, float) and schema.get("type") == "integer" and value.is_integer():
        return int(value)
    if schema.get("type") == "array" and isinstance(value, list | dict):
        return _items(value, schema.get("items", {}))
    value = _with_known_keys(value, schema)
    if not isinstance(value, dict):
        return value
    rules, required = schema.get("properties", {}), schema.get("required", [])
    return {
        key: _in_parts(item, rules.get(key, {}))
        for key, item in value.items()
        if item is not None
        or key in required
        or key not in rules
        or fault_in(None, rules[key]) is None
    }


def _unquoted(text: str, schema: Mapping[str, Any]) -> Any:
    """A whole number or a list that stands in quotation marks, where one is asked for."""
    if schema.get("type") == "integer" and _WHOLE.match(text):
        return int(text)
    if schema.get("type") == "array" and text.lstrip().startswith("["):
        try:
            return load_strictly(text)
        except ValueError:
            return text
    return text


def _items(value: list[Any] | dict[str, Any], rules: Mapping[str, Any]) -> Any:
    """The items of a list; one item alone, also one without its key, is a list of one."""
    if rules.get("type") == "object":
        alone = as_asked(value, rules)
        if isinstance(alone, dict) and fault_in(alone, rules) is None:
            return [alone]
    if isinstance(value, dict):
        return value
    return [_item(item, rules) for item in value]


def _item(item: Any, rules: Mapping[str, Any]) -> Any:
    return as_asked(item, rules) if _only_list(rules) else _in_parts(item, rules)
