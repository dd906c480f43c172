"""The blocks ``llm:`` and ``labels:`` of a system file, checked with every problem noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from riveg.config.yaml_file import Document, Problem
from riveg.labels import USUAL_LABELS, Label, label_levels
from riveg.llm.endpoint import Endpoint

Checked = TypeVar("Checked", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LanguageModels:
    """What a system says of language models and types.

    Args:
        endpoints: Models by the name that stages ask for.
        labels: The types; the four usual ones where the file names none.
        problems: What is wrong with the blocks.
    """

    endpoints: Mapping[str, Endpoint]
    labels: tuple[Label, ...]
    problems: tuple[Problem, ...]


def no_language_models() -> LanguageModels:
    """Of a system that asks none, with the usual types."""
    return LanguageModels({}, USUAL_LABELS, ())


def read_language_models(document: Document) -> LanguageModels:
    """The models and types of a system file."""
    endpoints, problems = _endpoints(document)
    labels, more = _labels(document)
    return LanguageModels(endpoints, labels, (*problems, *more))


def _endpoints(document: Document) -> tuple[dict[str, Endpoint], list[Problem]]:
    block = document.values.get("llm") or {}
    if not isinstance(block, dict):
        return {}, [document.problem("llm", block, "expected models by name: llm: {main: ...}")]
    found: dict[str, Endpoint] = {}
    problems: list[Problem] = []
    for name, values in block.items():
        key = f"llm.{name}"
        if not isinstance(values, dict):
            problems.append(document.problem(key, values, "expected keys and values"))
            continue
        endpoint = _checked(document, key, Endpoint, values, problems)
        if endpoint is not None:
            found[str(name)] = endpoint
    return found, problems


def _labels(document: Document) -> tuple[tuple[Label, ...], list[Problem]]:
    block = document.values.get("labels")
    if block is None:
        return USUAL_LABELS, []
    if not isinstance(block, list) or not block:
        advice = "expected a list of types: [VESSEL, {name: SPONSOR, description: ...}]"
        return (), [document.problem("labels", block, advice)]
    problems: list[Problem] = []
    found: list[Label] = []
    for number, values in enumerate(block, start=1):
        named = {"name": values} if isinstance(values, str) else values
        if not isinstance(named, dict):
            problems.append(document.problem("labels", values, f"type {number}: expected a name"))
            continue
        label = _checked(document, "labels", Label, named, problems)
        if label is not None:
            found.append(label)
    names = [label.name for label in found]
    for twice in dict.fromkeys(name for name in names if names.count(name) > 1):
        problems.append(document.problem("labels", twice, "a type is named once"))
    try:
        label_levels({label.name: label.fine for label in found})
    except ValueError as error:
        fine = sorted({name for label in found for name in label.fine})
        problems.append(document.problem("labels", ", ".join(fine), str(error)))
    return tuple(found), problems


def _checked(
    document: Document,
    key: str,
    kind: type[Checked],
    values: Mapping[Any, Any],
    problems: list[Problem],
) -> Checked | None:
    try:
        return kind(**{str(name): value for name, value in values.items()})
    except ValidationError as error:
        problems += document.validation_problems(error, kind, key)
        return None


def resolved_blocks(models: LanguageModels) -> Iterator[tuple[str, Any]]:
    """Both blocks as plain data, where the file has them."""
    if models.endpoints:
        yield (
            "llm",
            {name: endpoint.model_dump(mode="json") for name, endpoint in models.endpoints.items()},
        )
    if models.labels != USUAL_LABELS:
        yield "labels", [label.model_dump(mode="json") for label in models.labels]
