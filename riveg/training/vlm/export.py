"""The folder of a trained vision-language model: an adapter or whole weights, and its card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import save

from riveg.checkpoints.adapters import SETTINGS, WEIGHTS
from riveg.errors import UserError
from riveg.evaluation.bootstrap import RESAMPLES, Score
from riveg.files import write_atomically, writing
from riveg.formats.json_files import read_json
from riveg.geometry.frames import Resize
from riveg.training.beside import copy_beside
from riveg.training.cards import best_epoch, pinned, settings_lines
from riveg.training.loop import Trained
from riveg.training.vlm.settings import VlmSettings
from riveg.training.vlm.trainee import VlmTrainee
from riveg.vision.runtime.loading import silent_transformers

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""What transformers calls the file with the settings of images; in the second they are a part."""


def require_own_form(config: VlmSettings) -> None:
    """Makes sure that no adapter comes to lie beside whole weights, nor these beside it.

    transformers takes a folder that has both for the adapter alone, vLLM for weights of one model.

    Raises:
        UserError: If ``out`` has the other form, of an earlier training.
    """
    other, what = (SETTINGS, "an adapter") if config.merge else ("config.json", "whole weights")
    if (config.out / other).exists():
        raise UserError(f"out: {config.out} holds {what} ({other}); name another folder")


def export(trainee: VlmTrainee, network: Any, trained: Trained, out: Path) -> str:
    """Writes the folder and describes it.

    Args:
        trainee: What was trained.
        network: It, with the best weights.
        trained: How the training went.
        out: The folder; it exists.

    Returns:
        The card's text.

    Raises:
        UserError: If the folder cannot be written.
    """
    scores = trainee.tally(network).scores()
    with writing(out):
        if trainee.config.merge:
            with silent_transformers():
                network.merge_and_unload().save_pretrained(out)
        else:
            _write_adapter(network, out)
        _copy_beside(trainee.folder, out, trainee.inputs.resize)
    return "\n".join(_card(trainee, trained, scores)) + "\n"


def _write_adapter(network: Any, out: Path) -> None:
    """The two files that peft, vLLM and others load, without peft's own card."""
    matrices = peft.get_peft_model_state_dict(network, save_embedding_layers=False)
    weights = {name: one.detach().cpu().contiguous() for name, one in sorted(matrices.items())}
    write_atomically(out / WEIGHTS, [save(weights, {"format": "pt"})])
    settings = network.peft_config["default"].to_dict() | {"inference_mode": True}
    text = json.dumps(settings, indent=2, sort_keys=True, default=_listed)
    write_atomically(out / SETTINGS, [text.encode()])


def _listed(value: object) -> object:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _copy_beside(base: Path, out: Path, resize: Resize) -> None:
    """The base's files beside its weights; its processor then resizes as in the training."""
    copy_beside(base, out)
    bounds = {"shortest_edge": resize.min_pixels, "longest_edge": resize.max_pixels}
    said = {"size": bounds, "min_pixels": resize.min_pixels, "max_pixels": resize.max_pixels}
    for path in filter(Path.is_file, (out / name for name in _PROCESSORS)):
        settings = read_json(path)
        settings.get("image_processor", settings).update(said)
        write_atomically(path, [json.dumps(settings, indent=2).encode()])


def _card(trainee: VlmTrainee, trained: Trained, scores: Mapping[str, Score]) -> Iterator[str]:
    config = trainee.config
    what = "whole weights" if config.merge else "LoRA adapter"
    yield f"# Vision-language model for `{config.task}: chat`: {what}"
    yield ""
    yield f"Made by `riveg train vlm`; {_use(config.merge, str(config.out), config.model)}"
    yield ""
    yield f"- Base: {pinned(config.model, config.revision)}"
    if config.adapter is not None:
        yield f"- Gone on from the adapter {config.adapter}"
    yield from (f"- {remark}" for remark in trainee.remarks)
    block = trainee.block
    frame = getattr(block, "frame", None)
    in_frame = f", frame {frame}" if frame else ""
    yield f"- Prompt {block.prompt}{in_frame}, pictures of {config.picture_side} pixels at most"
    resize = trainee.inputs.resize
    yield (
        f"- Pictures are resized to multiples of {resize.multiple}, {resize.min_pixels} to "
        f"{resize.max_pixels} pixels, as the processor's settings here tell a server"
    )
    yield ""
    yield "| figure on dev | percent | 95 % | precision | recall |"
    yield "|---|---|---|---|---|"
    for name, score in scores.items():
        count = score.count
        yield (
            f"| {name} | {count.f1:.2f} | {score.f1} | {count.precision:.2f} | {count.recall:.2f} |"
        )
    yield ""
    yield (
        f"Micro F1 of greedy answers over all entities of dev, {trainee.answered:.1f} % of whose "
        "posts had answers without faults; `e2e_`: as E2E-GMNER counts. Intervals by "
        f"bootstrap over posts, {RESAMPLES} resamples, of this one training."
    )
    yield best_epoch(trained, config.loop, trainee.metric)
    yield from settings_lines(config)


def _use(merged: bool, out: str, model: str) -> str:
    if merged:
        return f"`--set llm.main.model={out}` puts it behind a system's stage."
    return f"`--set llm.main.model={model} --set llm.main.adapter={out}` puts it behind a stage."
