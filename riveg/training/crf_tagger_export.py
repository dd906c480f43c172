"""The folder of a trained sequence tagger: calibrated on dev, described in its card."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riveg.files import write_atomically
from riveg.nn.calibration import PlattCurve, log_odds
from riveg.nn.sequence_tagger import SequenceTagger
from riveg.nn.tagger_folder import write_network, write_settings
from riveg.training.reliability import measure_reliability
from riveg.training.temperature import fit_temperature

if TYPE_CHECKING:
    from riveg.training.crf_tagger import CrfTagger
    from riveg.training.crf_tagger_data import Posts
    from riveg.training.loop import Trained

_PACKAGES = ("torch", "transformers", "tokenizers")

_MEANING = {
    "f1": "spans with labels, exact positions",
    "fine_f1": "spans with fine labels, as the tagger gives them",
    "fine_head_f1": "spans with fine labels, of the fine head by itself",
}


def export_tagger(trainee: CrfTagger, network: SequenceTagger, trained: Trained) -> Path:
    """Calibrates the tagger on dev and writes its folder.

    Args:
        trainee: What was trained.
        network: It, with the best weights.
        trained: How the training went.

    Raises:
        OSError: If the folder cannot be written.
    """
    out = trainee.config.out
    out.mkdir(parents=True, exist_ok=True)
    probabilities, right = _dev_answers(trainee, network)
    temperature = round(fit_temperature(probabilities, right), 4)
    settings = trainee.settings.model_copy(update={"temperature": temperature})
    write_network(out, network, trainee.tokenizer)
    write_settings(out, settings)
    scores = PlattCurve(1 / temperature, 0.0)(log_odds(np.array(probabilities)))
    error = measure_reliability(scores, right).calibration_error if probabilities else 0.0
    text = "\n".join(_card(trainee, trained, temperature, error)) + "\n"
    write_atomically(out / "CARD.md", [text.encode()])
    return out


def _dev_answers(trainee: CrfTagger, network: SequenceTagger) -> tuple[list[float], list[bool]]:
    """The raw probability of every entity found in dev, and whether it is one."""
    probabilities: list[float] = []
    right: list[bool] = []
    for post, found in zip(trainee.dev.posts, trainee.dev_entities(network), strict=True):
        truth = {(entity.span, entity.label) for entity in post.gold.entities}
        probabilities += [entity.probability for entity in found]
        right += [(entity.span, entity.label) in truth for entity in found]
    return probabilities, right


def _card(trainee: CrfTagger, trained: Trained, temperature: float, error: float) -> Iterator[str]:
    config = trainee.config
    levels = {"coarse": "labels", "fine": "fine labels", "both": "labels and fine labels"}
    yield f"# Sequence tagger: {levels[config.level]}, {config.head} head, {config.scheme.upper()}"
    yield ""
    yield f"Made by `riveg train crf-tagger`; `tag: crf` with `model: {config.out}` loads it."
    yield ""
    yield f"- Encoder: {config.model}" + (f" at {config.revision}" if config.revision else "")
    for posts in (trainee.train, trainee.dev):
        yield f"- {posts.source.described()}"
        if posts.source.is_test:
            yield "  **This is a test split: figures of this tagger on it mean nothing.**"
        yield from _knowledge_files(posts)
    yield from (f"- {remark}" for remark in trainee.remarks())
    if config.knowledge == "appended":
        yield (
            "- Knowledge is appended to the text. A run needs the stage `augment`, with knowledge "
            "of the same kind of language model; do not compare its figures with those without."
        )
    if config.knowledge_is_scored:
        yield (
            "- Words of knowledge are tagged, too, in training and on dev, as in RiVEG's released "
            "code. Entities found in them count as wrong here, and `tag: crf` leaves them out."
        )
    yield f"- Labels: {', '.join(trainee.labels.labels)}"
    if trainee.labels.coarse_of:
        yield f"- {len(trainee.labels.coarse_of)} fine labels below them"
    yield ""
    yield "| figure on dev | percent | what it counts |"
    yield "|---|---|---|"
    for name, value in trained.figures.items():
        yield f"| {name} | {value:.2f} | {_MEANING[name]} |"
    yield ""
    yield f"Best epoch: {trained.epoch} of {config.loop.epochs}, by {trainee.metric}, one seed."
    yield (
        f"Scores are marginal probabilities of span and label, at the temperature {temperature:g} "
        f"that fits dev; expected calibration error there: {error:.3f}."
    )
    yield ""
    yield f"Trained in {timedelta(seconds=round(trained.seconds))}, seed {config.loop.seed}, with"
    yield f"Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in _PACKAGES
    )
    yield ""
    yield "```json"
    yield config.model_dump_json(indent=2, exclude={"presets"})
    yield "```"


def _knowledge_files(posts: Posts) -> Iterator[str]:
    for path in posts.knowledge_files:
        yield f"  - knowledge: {path.name}"
