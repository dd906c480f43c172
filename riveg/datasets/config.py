"""A dataset's YAML file: where its files are and how they are read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from riveg.config.yaml_file import Document, InvalidConfig, Problem
from riveg.datasets.column_names import require_choice
from riveg.datasets.columns import TEXT_BETWEEN
from riveg.datasets.csv_dialect import DELIMITERS
from riveg.errors import UserError
from riveg.files import NAME_OF_FOLDERS, names_a_folder, shipped
from riveg.labels import label_levels
from riveg.text.tag_schemes import scheme_named

Format = Literal[
    "twitter-gmner",
    "twitter-fmnerg",
    "twitter-mner",
    "twitter-smner",
    "jsonl",
    "json",
    "csv",
    "tsv",
    "parquet",
    "hugging-face",
    "sake",
]

_FOLDERS: Mapping[str, str | None] = {
    "twitter-gmner": "xml",
    "twitter-fmnerg": "xml",
    "twitter-mner": None,
    "twitter-smner": "masks",
}
"""The annotation folder that each format of the Twitter sets has."""

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


class DatasetConfig(BaseModel):
    """A dataset on disk. Paths start from ``root``.

    Args:
        name: What it is called.
        description: One line for lists.
        format: How its files are to be read.
        version: The publisher's version.
        root: Its folder; ``${VARIABLE:-default}`` is taken from the environment. With a variable
            in it, a relative path starts from the working folder, otherwise from the YAML file.
        text: The file of each split (or a folder for ``hugging-face``).
        xml: Folder of VOC boxes, ``<id>.xml``.
        masks: Folder of masks, ``<id>.json``.
        images: Image folders, looked up in order.
        suffixes: Endings of image names, tried in order.
        captions: Caption files.
        knowledge: Files with a language model's knowledge about the posts of each split: PGIM's,
            JSON lines, or a run's folder; several of a split give a post several.
        labels: The types that may occur, as riveg names them: a list, or each type with the list of
            its fine types.
        label_map: Type in the file -> type in riveg; others stay as they are.
        columns: Of files with columns, riveg's name -> the file's; ``null`` for one that is not to
            be read.
        delimiter: What separates the columns of a CSV file: ``comma``, ``semicolon``, ``tab``,
            ``pipe`` or the sign itself; ``None``: it is recognised.
        text_between: In the format ``sake``, what a post stands between in its prompt: the
            beginning of a line, and what follows; nothing for the end of the prompt.
        scheme: The tag scheme of the Twitter sets' texts, such as ``bio``, ``iob1``, ``bioes`` or
            ``bilou``; ``None``: the one that all tags of a file have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    name: str = Field(min_length=1)
    description: str = ""
    format: Format
    version: str | None = None
    root: str = "."
    text: dict[str, str] = Field(min_length=1)
    xml: str | None = None
    masks: str | None = None
    images: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = Field(default=(".jpg",), min_length=1)
    captions: tuple[str, ...] = ()
    knowledge: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    label_map: dict[str, str] = Field(default_factory=dict)
    columns: dict[str, str | None] = Field(default_factory=dict)
    delimiter: str | None = None
    text_between: tuple[str, str] = TEXT_BETWEEN
    scheme: str | None = None

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not names_a_folder(name):
            raise ValueError(f"expected {NAME_OF_FOLDERS}")
        return name

    @field_validator("text")
    @classmethod
    def _splits_name_folders(cls, text: dict[str, str]) -> dict[str, str]:
        for split in text:
            if not names_a_folder(split):
                raise ValueError(f"split {split!r}: expected {NAME_OF_FOLDERS}")
        return text

    @field_validator("labels", mode="before")
    @classmethod
    def _have_one_level_or_two(cls, labels: Any) -> Any:
        return label_levels(labels)

    @field_validator("columns")
    @classmethod
    def _are_columns(cls, columns: dict[str, str | None]) -> dict[str, str | None]:
        try:
            require_choice(columns, "columns")
        except UserError as error:
            raise ValueError(str(error)) from error
        return columns

    @field_validator("delimiter")
    @classmethod
    def _is_one_sign(cls, delimiter: str | None) -> str | None:
        sign = DELIMITERS.get(delimiter or "", delimiter)
        if sign is not None and len(sign) != 1:
            raise ValueError(f"expected one sign, or {', '.join(DELIMITERS)}")
        return sign

    @field_validator("scheme")
    @classmethod
    def _is_a_scheme(cls, scheme: str | None) -> str | None:
        try:
            return None if scheme is None else scheme_named(scheme).name
        except UserError as error:
            raise ValueError(str(error)) from error

    @field_validator("suffixes")
    @classmethod
    def _begin_with_a_dot(cls, suffixes: tuple[str, ...]) -> tuple[str, ...]:
        if not all(suffix.startswith(".") for suffix in suffixes):
            raise ValueError("every suffix begins with a dot, for example .jpg")
        return suffixes


def load_dataset_config(path: Path) -> DatasetConfig:
    """Reads and checks a dataset's YAML file.

    Raises:
        InvalidConfig: With every problem that was found.
        UserError: If the file cannot be read or is no YAML.
    """
    document = Document.read(path)
    problems = list(document.problems)
    try:
        config = DatasetConfig(**document.values)
    except ValidationError as error:
        problems += document.validation_problems(error, DatasetConfig)
        raise InvalidConfig(problems) from error
    problems += _mismatches(document, config)
    if problems:
        raise InvalidConfig(problems)
    return config


def shipped_datasets() -> dict[str, DatasetConfig]:
    """Name and configuration of every dataset that riveg knows by name."""
    return {name: load_dataset_config(path) for name, path in shipped_dataset_files().items()}


def shipped_dataset_files() -> dict[str, Path]:
    """Name and file of every dataset that riveg knows by name."""
    return {path.stem: path for path in sorted(shipped("configs", "datasets").glob("*.yaml"))}


def dataset_root(config: DatasetConfig, base: Path) -> Path:
    """The dataset's folder.

    Args:
        config: The dataset.
        base: The folder of its YAML file.

    Raises:
        UserError: If a variable without default is not set, or the folder is not there.
    """
    text = _VARIABLE.sub(_variable(config), config.root)
    root = Path(text).expanduser()
    if text == config.root:
        root = base / root
    root = Path(os.path.normpath(root.absolute()))
    if not root.is_dir():
        parts = [*config.text.values(), config.xml, config.masks, *config.images]
        inside = ", ".join(part for part in parts if part)
        variables = [match["name"] for match in _VARIABLE.finditer(config.root)]
        other = f", or set {variables[0]} to another place" if variables else ""
        raise UserError(
            f"{config.name}: no folder {root}; put {inside} there (data/README.md says where to "
            f"get them){other}"
        )
    return root


def _variable(config: DatasetConfig) -> Any:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise UserError(
                f"{config.name}: its root is {config.root}: set the environment variable "
                f"{match['name']} to the folder that holds it"
            )
        return found

    return value


def _mismatches(document: Document, config: DatasetConfig) -> Iterator[Problem]:
    """Annotation folders and columns that the format does not have, or lacks."""
    if config.format in _FOLDERS:
        for name, given in (("columns", config.columns), ("delimiter", config.delimiter)):
            if given:
                yield document.problem(
                    name, given, f"the format {config.format} has no named columns"
                )
    elif config.scheme is not None:
        reason = f"the format {config.format} has no tags"
        yield document.problem("scheme", config.scheme, reason)
    if config.format != "sake" and config.text_between != TEXT_BETWEEN:
        reason = f"the format {config.format} has no prompts"
        yield document.problem("text_between", list(config.text_between), reason)
    needed = _FOLDERS.get(config.format)
    for key, value in (("xml", config.xml), ("masks", config.masks)):
        if key == needed and value is None:
            yield document.problem(key, "nothing", f"the format {config.format} needs this folder")
        if key != needed and value is not None:
            yield document.problem(key, value, f"the format {config.format} has no such folder")
