"""A system read from its YAML file and checked, every problem told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError

from riveg.config.calibrated import ArtifactValue, find_artifact, is_reference
from riveg.config.llm_blocks import (
    LanguageModels,
    read_language_models,
)
from riveg.config.overrides import TEXTS, override
from riveg.config.system import (
    LLM_FIELD,
    ExecutorName,
    RunSettings,
    Step,
    SystemConfig,
    shipped_systems,
)
from riveg.config.yaml_file import Document, InvalidConfig, Problem, nested_model
from riveg.errors import UserError, suggest
from riveg.files import NAME_OF_FOLDERS, names_a_folder
from riveg.pipeline import AnyStage
from riveg.registry import backend_config, backend_table
from riveg.stages.table import STAGES, stages_giving

PART_FIELD = "matcher"
"""The field by which a part of a backend's configuration names what answers there."""

LEFT_OUT = "none"
"""A backend's name that means: the stage is not run."""

_FILES = frozenset({".jinja", ".jsonl", ".yaml", ".yml", ".json", ".txt"})
"""Endings by which a text given with ``--set`` is a path, where its key does not tell."""


def load_config(system: str | Path, overrides: Sequence[str] = ()) -> SystemConfig:
    """Reads and checks a system.

    Args:
        system: A shipped name or the path of a YAML file.
        overrides: ``stage.key=value`` items; naming another backend drops the file's keys for the
            old one. Their relative paths start at the working folder, the file's at the file's.

    Raises:
        InvalidConfig: With every problem that was found.
        UserError: If there is no such system or the file is no YAML.
    """
    path = _find(system)
    document, misplaced = override(Document.read(path), overrides)
    reader = _SystemReader(document)
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


class _SystemReader:
    """Turns a document's values into a system and notes every problem on the way."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._values = document.values
        self._artifacts: list[ArtifactValue] = []
        self.problems: list[Problem] = []

    def read(self) -> SystemConfig | None:
        known = [*TEXTS, "run", "llm", "labels", *(stage.name for stage in STAGES)]
        for key in self._values:
            if key not in known:
                self._note(key, "an unknown key", suggest(key, known))
        steps = tuple(filter(None, (self._step(stage) for stage in STAGES)))
        run = self._run_settings()
        models = read_language_models(self._document)
        self.problems += models.problems
        self._check_models(steps, models)
        self._check_order(steps)
        name, description, data = self._name(), self._text("description"), self._data()
        executor = self._executor()
        if self.problems or run is None:
            return None
        return SystemConfig(
            name=name,
            description=description or "",
            steps=steps,
            run=run,
            data=data,
            base=self._document.base,
            file=self._document.file,
            artifacts=tuple(self._artifacts),
            models=models,
            executor=executor,
        )

    def _note(self, key: str, found: object, allowed: str) -> None:
        self.problems.append(self._document.problem(key, found, allowed))

    def _text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is None or isinstance(value, str):
            return None if value is None else value.strip()
        self._note(key, value, "expected a text; put it in quotes")
        return None

    def _name(self) -> str:
        given = self._text("name")
        if given is None and self._values.get("name") is not None:
            return ""  # a problem that is noted already
        name = Path(self._document.file).stem if given is None else given
        if not names_a_folder(name):
            self._note("name", repr(name), f"expected {NAME_OF_FOLDERS}")
        return name

    def _data(self) -> str | None:
        data = self._text("data")
        if data == "":
            self._note("data", "an empty text", "name a dataset or a file, or leave the key out")
        if data is None or not (Path(data).suffix or "/" in data):
            return data
        from_file = self._document.override_of("data") is None
        return str(self._document.base / data if from_file else Path(data))

    def _executor(self) -> ExecutorName:
        given = self._text("executor")
        for known in get_args(ExecutorName):
            if given in {None, known}:
                return cast("ExecutorName", known)
        self._note("executor", given, suggest(str(given), get_args(ExecutorName)))
        return "local"

    def _run_settings(self) -> RunSettings | None:
        values = self._values.get("run") or {}
        if not isinstance(values, dict):
            self._note("run", values, "expected keys and values")
            return None
        try:
            return RunSettings(**{str(key): value for key, value in values.items()})
        except ValidationError as error:
            self._note_all("run", error, RunSettings)
            return None

    def _step(self, stage: AnyStage) -> Step | None:
        block = self._values.get(stage.name)
        if _is_left_out(block):
            return None
        if isinstance(block, str):
            block = {"backend": block}
        names = [*backend_table()[stage.name], LEFT_OUT]
        if not isinstance(block, dict) or not isinstance(block.get("backend"), str):
            self._note(f"{stage.name}.backend", block, f"name a backend. {suggest('', names)}")
            return None
        name = block["backend"]
        if name not in names:
            self._note(f"{stage.name}.backend", name, suggest(name, names))
            return None
        return self._configured(stage, name, block)

    def _configured(self, stage: AnyStage, name: str, block: Mapping[str, Any]) -> Step | None:
        try:
            kind = backend_config(stage.name, name)
        except UserError as error:
            self._note(f"{stage.name}.backend", name, str(error))
            return None
        noted = len(self.problems)
        options = {
            str(key): self._with_paths(
                f"{stage.name}.{key}",
                kind,
                self._with_artifacts(f"{stage.name}.{key}", kind, value, {stage.name: name}),
            )
            for key, value in block.items()
            if key != "backend"
        }
        if len(self.problems) > noted:
            return None
        try:
            return Step(stage, kind(**options))
        except ValidationError as error:
            self._note_all(stage.name, error, kind)
            return None

    def _with_artifacts(
        self, key: str, kind: type[BaseModel], value: Any, named: Mapping[str, str]
    ) -> Any:
        """The value with the number of an artifact wherever it, or a part of it, names one.

        ``named``: the backend and the networks that its parts name, by key.
        """
        field = kind.model_fields.get(key.rpartition(".")[2])
        if field is None:
            return value
        part = nested_model(field.annotation)
        if part is not None and isinstance(value, dict):
            name = part.model_fields.get(PART_FIELD)
            inside = {} if name is None else {key: str(value.get(PART_FIELD, name.default))}
            return {
                below: self._with_artifacts(f"{key}.{below}", part, one, {**named, **inside})
                for below, one in value.items()
            }
        if not is_reference(value) or not _holds_number(field.annotation):
            return value
        here, base = Path(), self._document.base
        overridden = self._document.override_of(key) is not None
        try:
            artifact = find_artifact(value, (here, base) if overridden else (base, here))
            number = artifact.value(key, named)
        except UserError as error:
            self._note(key, value, str(error))
            return value
        place = str(artifact.path.absolute())
        self._artifacts.append(ArtifactValue(key, artifact.name, place, artifact.digest, number))
        return number

    def _with_paths(self, key: str, kind: type[BaseModel], value: Any) -> Any:
        """The value with absolute paths if ``--set`` gave it: these start at the working folder."""
        name = key.rpartition(".")[2]
        field = kind.model_fields.get(name)
        part = None if field is None else nested_model(field.annotation)
        if part is not None and isinstance(value, dict):
            return {
                below: self._with_paths(f"{key}.{below}", part, one) for below, one in value.items()
            }
        if self._document.override_of(key) is None:
            return value
        # What may also be an id of the hub is a path where something lies there.
        is_there = name in getattr(kind, "places", ()) and _exists(value)
        is_path = is_there or (field is not None and _holds_path(field.annotation))
        if isinstance(value, list):
            return [_absolute(item, is_path=is_path) for item in value]
        return _absolute(value, is_path=is_path)

    def _note_all(self, prefix: str, error: ValidationError, kind: type[BaseModel]) -> None:
        self.problems += self._document.validation_problems(error, kind, prefix)

    def _check_order(self, steps: Sequence[Step]) -> None:
        # Judged by what the file names: a stage that cannot be built, or is misspelt, is one
        # problem and not one more for each stage that needs it.
        asked = [stage for stage in STAGES if not _is_left_out(self._values.get(stage.name))]
        names = [stage.name for stage in asked]
        meant = {*names, *self._misspelt()}
        if not asked and not self.problems:
            self._note("stages", "none", suggest("", [stage.name for stage in STAGES]))
        if {"tag", "extract"} <= {*names}:
            self._note("extract", "tag and extract", "one of them finds the entities, not both")
        for step in steps:
            needed = step.config.needs_stage
            if needed and needed not in meant:
                found = f"{step.config.name} without {needed}"
                self._note(step.stage.name, found, f"add the stage {needed}")
        configs = {step.stage.name: step.config for step in steps}
        for stage_name, config in configs.items():
            if clash := config.clash(configs):
                name, advice = clash
                self._note(f"{stage_name}.{name}", getattr(config, name), advice)
        for stage in asked:
            if stage.is_about_entities and not {*stages_giving("entities")} & meant:
                self._note(stage.name, "no stage that finds entities", "add tag or extract")

    def _check_models(self, steps: Sequence[Step], models: LanguageModels) -> None:
        broken = {problem.key.split(".")[1] for problem in models.problems if "." in problem.key}
        for step in steps:
            name = getattr(step.config, LLM_FIELD, None)
            if name is not None and name not in {*models.endpoints, *broken}:
                advice = f"add it under llm:, or {suggest(name, models.endpoints)}"
                self._note(f"{step.stage.name}.{LLM_FIELD}", name, f"no such model; {advice}")

    def _misspelt(self) -> Iterator[str]:
        names = [stage.name for stage in STAGES]
        for key in self._values:
            if key not in names:
                yield from get_close_matches(key, names, n=1)


def _is_left_out(block: Any) -> bool:
    named = block.get("backend") if isinstance(block, dict) else block
    return block is None or named == LEFT_OUT


def _holds_path(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return True
    return any(map(_holds_path, get_args(annotation)))


def _holds_number(annotation: Any) -> bool:
    return annotation in {int, float} or any(map(_holds_number, get_args(annotation)))


def _exists(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value) and Path(value).exists()
    except (OSError, ValueError):  # too long for a path, or with a character that none can have
        return False


def _absolute(value: Any, *, is_path: bool) -> Any:
    if not isinstance(value, str) or not value:
        return value
    path = Path(value)
    return str(path.absolute()) if is_path or path.suffix in _FILES else value
