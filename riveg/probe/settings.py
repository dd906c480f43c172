"""What a system says of a model that is probed, and the lines that it should hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from riveg.checkpoints.adapters import adapter_of
from riveg.checkpoints.wheel_models import require_made
from riveg.config.extras import missing_client
from riveg.config.llm_blocks import read_language_models
from riveg.config.reader import load_config
from riveg.config.system import LLM_FIELD
from riveg.config.yaml_file import Document, InvalidConfig
from riveg.errors import MissingExtra, UserError, suggest
from riveg.geometry.frames import Resize
from riveg.llm.endpoint import Endpoint
from riveg.probe.verdict import CANDIDATES, Candidate

_NEW = "main"
"""What the lines for a server that no system names call its model."""

_BOUNDS = ("min_pixels", "max_pixels")


@dataclass(frozen=True, slots=True)
class Probed:
    """A model, and what is said of its boxes.

    Args:
        name: What a system calls it.
        endpoint: How it is reached.
        frames: By stage, the frame that a system's file says its boxes are in.
        is_new: Whether no system names it.
    """

    name: str
    endpoint: Endpoint
    frames: Mapping[str, Candidate]
    is_new: bool = False

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The frames to look for, those that are said among them."""
        return tuple(dict.fromkeys((*self.frames.values(), *CANDIDATES)))


def model_of_system(system: str, name: str | None, overrides: Sequence[str] = ()) -> Probed:
    """A language model of a system.

    Args:
        system: A shipped name or the path of a YAML file.
        name: The model's in it; ``None``: the one whose boxes are read, or the only one.
        overrides: ``stage.key=value`` items.

    Raises:
        UserError: If there is no such system or model, or it is not said which of several.
        MissingExtra: If what talks to it is not installed.
        MissingModel: If ``riveg fetch`` has to make it first.
    """
    config = load_config(system, overrides)
    frames: dict[str, dict[str, Candidate]] = {one: {} for one in config.llm}
    for step in config.steps:
        setting = getattr(step.config, "frame", None)
        if config.endpoint_of(step) is not None and setting is not None:
            said = Candidate.of_setting(setting, getattr(step.config, "resize", None))
            frames[getattr(step.config, LLM_FIELD)][step.stage.name] = said
    possible = [one for one, stages in frames.items() if stages] or [*frames]
    if name is None and len(possible) != 1:
        several = f"say with --llm which: {', '.join(possible)}" if possible else "nothing to probe"
        raise UserError(f"{config.file}: has {len(possible)} language models; {several}")
    chosen = possible[0] if name is None else name
    if chosen not in frames:
        raise UserError(
            f"--llm {chosen}: {config.file} has no such model; {suggest(chosen, frames)}"
        )
    endpoint = config.llm[chosen]
    _require_client(chosen, endpoint)
    if not endpoint.base_urls:
        require_made(endpoint.model)
    adapter_of(endpoint)
    return Probed(chosen, endpoint, frames[chosen])


def model_at(url: str, model: str, api_key_variable: str | None = None) -> Probed:
    """A model of a server that no system names.

    Args:
        url: The server's OpenAI-compatible root.
        model: The name that it knows the model by.
        api_key_variable: The environment variable with the key.

    Raises:
        UserError: If one of them is none.
        MissingExtra: If what talks to it is not installed.
    """
    block = {"model": model, "base_urls": [url], "api_key_variable": api_key_variable}
    document = Document("--probe", Path(), {"llm": {_NEW: block}}, {}, ())
    models = read_language_models(document)
    if models.problems:
        raise InvalidConfig(models.problems)
    _require_client(_NEW, models.endpoints[_NEW])
    return Probed(_NEW, models.endpoints[_NEW], {}, is_new=True)


def _require_client(name: str, endpoint: Endpoint) -> None:
    missing = missing_client(endpoint)
    if missing is not None:
        raise MissingExtra(f"llm: {name}", missing.package, missing.extra)


def lines_to_use(probed: Probed, candidate: Candidate) -> str:
    """The YAML of a system in which the model's boxes are read in this frame.

    Args:
        probed: The model.
        candidate: A frame that has a setting.
    """
    how: dict[str, Any] = {"frame": candidate.setting}
    if candidate.frame.is_sized:
        how["resize"] = _resize_block(candidate.resize)
    stages = probed.frames or ("ground",)
    lines: dict[str, Any] = {}
    if probed.is_new:
        said = probed.endpoint.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        lines["llm"] = {probed.name: said}
    lines |= {stage: {"backend": "chat", "llm": probed.name, **how} for stage in stages}
    return yaml.safe_dump(lines, sort_keys=False, default_flow_style=None, width=1000).rstrip()


def _resize_block(resize: Resize) -> dict[str, int]:
    unusual = {name: getattr(resize, name) for name in _BOUNDS}
    usual = Resize.model_fields
    return {
        "multiple": resize.multiple,
        **{name: value for name, value in unusual.items() if value != usual[name].default},
    }
