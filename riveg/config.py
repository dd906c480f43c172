"""A system: a YAML file that names a backend for each stage, checked before anything loads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from riveg.errors import UserError
from riveg.protocols import STAGES, BackendConfig, Stage
from riveg.registry import backend_config, backend_table, suggest
from riveg.resources import shipped

LEFT_OUT = "none"
"""As a backend's name: the stage is not run."""


class RunSettings(BaseModel):
    """How a run is cut up and when it counts as failed.

    ``part_size``: samples a part file; ``batch_size``: samples a call of a backend;
    ``max_error_rate``: share of samples with an Issue above which the exit code is 1, in [0, 1];
    ``overlays``: over so many pictures, from the first, a run draws its answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part_size: int = Field(default=64, ge=1)
    batch_size: int = Field(default=16, ge=1)
    max_error_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    overlays: int = Field(default=0, ge=0)


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
class Step:
    """A stage of a system together with its backend's configuration."""

    stage: Stage
    config: BackendConfig


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """A checked system; ``base`` is where its relative paths start."""

    name: str
    description: str
    steps: tuple[Step, ...]
    run: RunSettings
    data: str | None
    base: Path
    file: str

    def until(self, stage: str | None) -> tuple[Step, ...]:
        """The steps up to and with ``stage``; all for ``None``.

        Raises:
            UserError: If the system has no such stage.
        """
        names = [step.stage.name for step in self.steps]
        if stage is None:
            return self.steps
        if stage not in names:
            raise UserError(
                f"--until {stage}: {self.name} has no such stage; {suggest(stage, names)}"
            )
        return self.steps[: names.index(stage) + 1]

    def resolved(self) -> dict[str, Any]:
        """The configuration with every default filled in, as plain data."""
        steps = {
            step.stage.name: {"backend": step.config.name, **step.config.model_dump(mode="json")}
            for step in self.steps
        }
        return {
            "name": self.name,
            "description": self.description,
            "data": self.data,
            "run": self.run.model_dump(),
            **steps,
        }


def shipped_systems() -> dict[str, Path]:
    """Name and file of every system that comes with riveg."""
    return {path.stem: path for path in sorted(shipped("configs", "systems").glob("*.yaml"))}


def load_config(system: str | Path, overrides: Sequence[str] = ()) -> SystemConfig:
    """Reads and checks a system.

    Args:
        system: A shipped name or the path of a YAML file.
        overrides: ``stage.key=value`` items; naming another backend drops the file's keys for the
            old one.

    Raises:
        InvalidConfig: With every problem that was found.
        UserError: If there is no such system or the file is no YAML.
    """
    path = _find(system)
    document = Document.read(path)
    values, misplaced = _override(document.values, overrides)
    reader = _SystemReader(document, values)
    config = reader.read()
    problems = [*document.problems, *misplaced, *reader.problems]
    if problems or config is None:
        raise InvalidConfig(problems)
    return config


def _find(system: str | Path) -> Path:
    known = shipped_systems()
    if str(system) in known:
        return known[str(system)]
    path = Path(system)
    if path.is_file():
        return path
    looks_like_path = path.suffix in {".yaml", ".yml"} or len(path.parts) > 1
    if looks_like_path:
        raise UserError(f"{path}: no such file; shipped systems: {', '.join(known)}")
    raise UserError(f"no system {system!r}; {suggest(str(system), known)}")


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping with the line of every key (``a.b`` -> line), and keys given twice."""

    file: str
    base: Path
    values: dict[str, Any]
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]

    @classmethod
    def read(cls, path: Path) -> Document:
        """Parses a file.

        Raises:
            UserError: If it cannot be read, is no YAML, or is not a mapping.
        """
        try:
            text = path.read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error})") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = path if mark is None else f"{path}:{mark.line + 1}"
            raise UserError(
                f"{place}: not YAML: {getattr(error, 'problem', None) or error}"
            ) from error
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

    def problem(self, key: str, found: object, allowed: str) -> Problem:
        """A problem at a key; of an absent key, at its nearest parent's line."""
        line: int | None = None
        parent = key
        while line is None and parent:
            line = self.lines.get(parent)
            parent = parent.rpartition(".")[0]
        text = found if isinstance(found, str) else repr(found)
        return Problem(self.file, line, key, text, allowed)

    def validation_problems(
        self, error: ValidationError, kind: type[BaseModel], *prefix: str
    ) -> Iterator[Problem]:
        """Every problem that pydantic found with a ``kind`` read from below ``prefix``."""
        for item in error.errors(include_url=False):
            key = ".".join([*prefix, *map(str, item["loc"])])
            if item["type"] == "extra_forbidden":
                advice = suggest(str(item["loc"][-1]), kind.model_fields)
                yield self.problem(key, "an unknown key", advice)
            elif item["type"] == "missing":
                yield self.problem(key, "nothing", "this key is required")
            elif item["type"] == "literal_error":
                allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
                yield self.problem(key, item["input"], suggest(str(item["input"]), allowed))
            else:
                advice = item["msg"].removeprefix("Value error, ")
                yield self.problem(key or "the file", item["input"], advice)


def _key_lines(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        yield name, key.start_mark.line + 1
        yield from _key_lines(value, f"{name}.")


def _override(
    values: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], list[Problem]]:
    result = dict(values)
    problems: list[Problem] = []
    # Backends first: naming one drops the file's keys, never those of another override.
    for item in sorted(overrides, key=lambda item: ".backend=" not in item):
        key, separator, text = item.partition("=")
        parts = key.split(".")
        if not separator or not 1 <= len(parts) <= 2 or not all(parts):
            problems.append(Problem("--set", None, key, repr(item), "expected STAGE.KEY=VALUE"))
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if len(parts) == 1:
            result[key] = value
        elif parts[1] == "backend":
            result[parts[0]] = {"backend": value}
        else:
            block = result.get(parts[0])
            block = {"backend": block} if isinstance(block, str) else block or {}
            result[parts[0]] = {**block, parts[1]: value}
    return result, problems


class _SystemReader:
    """Turns a document's values into a system and notes every problem on the way."""

    _KEYS = ("name", "description", "data", "run")

    def __init__(self, document: Document, values: Mapping[str, Any]) -> None:
        self._document = document
        self._values = values
        self.problems: list[Problem] = []

    def read(self) -> SystemConfig | None:
        known = [*self._KEYS, *(stage.name for stage in STAGES)]
        for key in self._values:
            if key not in known:
                self._note(key, "an unknown key", suggest(key, known))
        steps = tuple(filter(None, (self._step(stage) for stage in STAGES)))
        run = self._run_settings()
        self._check_order(steps)
        if self.problems or run is None:
            return None
        return SystemConfig(
            name=self._text("name") or Path(self._document.file).stem,
            description=self._text("description") or "",
            steps=steps,
            run=run,
            data=self._text("data"),
            base=self._document.base,
            file=self._document.file,
        )

    def _note(self, key: str, found: object, allowed: str) -> None:
        self.problems.append(self._document.problem(key, found, allowed))

    def _text(self, key: str) -> str | None:
        value = self._values.get(key)
        return None if value is None else str(value).strip()

    def _run_settings(self) -> RunSettings | None:
        values = self._values.get("run") or {}
        if not isinstance(values, dict):
            self._note("run", values, "expected keys and values")
            return None
        try:
            return RunSettings(**values)
        except ValidationError as error:
            self._note_all("run", error, RunSettings)
            return None

    def _step(self, stage: Stage) -> Step | None:
        block = self._values.get(stage.name)
        if block is None or block == LEFT_OUT:
            return None
        if isinstance(block, str):
            block = {"backend": block}
        names = [*backend_table()[stage.name], LEFT_OUT]
        if not isinstance(block, dict) or not isinstance(block.get("backend"), str):
            self._note(f"{stage.name}.backend", block, f"name a backend. {suggest('', names)}")
            return None
        name = block["backend"]
        if name == LEFT_OUT:
            return None
        if name not in names:
            self._note(f"{stage.name}.backend", name, suggest(name, names))
            return None
        return self._configured(stage, name, block)

    def _configured(self, stage: Stage, name: str, block: Mapping[str, Any]) -> Step | None:
        try:
            kind = backend_config(stage.name, name)
        except UserError as error:
            self._note(f"{stage.name}.backend", name, str(error))
            return None
        try:
            options = {str(key): value for key, value in block.items() if key != "backend"}
            return Step(stage, kind(**options))
        except ValidationError as error:
            self._note_all(stage.name, error, kind)
            return None

    def _note_all(self, prefix: str, error: ValidationError, kind: type[BaseModel]) -> None:
        self.problems += self._document.validation_problems(error, kind, prefix)

    def _check_order(self, steps: Sequence[Step]) -> None:
        names = [step.stage.name for step in steps]
        if not steps and not self.problems:
            self._note("stages", "none", suggest("", [stage.name for stage in STAGES]))
        if "tag" in names and "extract" in names:
            self._note("extract", "tag and extract", "one of them finds the entities, not both")
        for step in steps:
            needed = step.config.needs_stage
            if needed and needed not in names:
                found = f"{step.config.name} without {needed}"
                self._note(step.stage.name, found, f"add the stage {needed}")
            if step.stage.asks_about == "entity" and not {"tag", "extract"} & {*names}:
                self._note(step.stage.name, "no stage that finds entities", "add tag or extract")
