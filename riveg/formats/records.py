"""Records to JSON lines and back: compact, in field order, strict on keys and numbers."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError
from pydantic_core.core_schema import DataclassSchema

from riveg import types
from riveg.errors import UserError

Record = TypeVar("Record")


def encode(record: object) -> bytes:
    """One JSON line without its newline; fields that hold their default are left out.

    Raises:
        UserError: If a text holds half of a surrogate pair, which UTF-8 cannot.
    """
    try:
        return _adapter(type(record)).dump_json(record, exclude_defaults=True)
    except PydanticSerializationError as error:
        raise UserError(f"a {type(record).__name__} cannot be written: {error}") from error


def decode(kind: type[Record], line: bytes | str, *, where: str = "record") -> Record:
    """The record in a JSON line.

    Raises:
        UserError: If the line is no such record or holds keys that this version does not know.
    """
    try:
        return _adapter(kind).validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the line"
        raise UserError(
            f"{where}: not a {kind.__name__} of schema {types.SCHEMA_VERSION}: "
            f"{key}: {first['msg']}"
        ) from error


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema of a dataclass as it is written."""
    return _adapter(kind).json_schema(mode="serialization", schema_generator=_DescribedSchema)


class _DescribedSchema(GenerateJsonSchema):
    """Dataclasses are described by their docstrings; pydantic does so from 2.13 on only."""

    def dataclass_schema(self, schema: DataclassSchema) -> JsonSchemaValue:
        made = super().dataclass_schema(schema)
        text = inspect.getdoc(schema["cls"])
        if text and "$ref" not in made:
            made.setdefault("description", text)
        return made


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Record]) -> TypeAdapter[Record]:
    if kind not in _ADAPTERS:
        _forbid_unknown_keys()
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


@cache
def _forbid_unknown_keys() -> None:
    # Here and not in types.py, so that the records themselves need no pydantic.
    for kind in vars(types).values():
        if is_dataclass(kind) and isinstance(kind, type):
            kind.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]
