"""The folder of a trained sequence tagger: calibrated on dev, described in its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riveg.evaluation.bootstrap import RESAMPLES, Score
from riveg.files import file_digest
from riveg.nn.calibration import PlattCurve, log_odds
from riveg.nn.sequence_tagger import SequenceTagger
from riveg.nn.tagger_design import write_settings
from riveg.nn.tagger_folder import write_network
from riveg.training.cards import best_epoch, pinned, settings_lines
from riveg.training.reliability import measure_reliability
from riveg.training.temperature import fit_temperature

if TYPE_CHECKING:
    from riveg.training.crf_tagger.trainee import CrfTagger, DevAnswers
    from riveg.training.loop import Trained

_MEANING = {
    "f1": "spans with labels, exact positions",
    "fine_f1": "spans with fine labels, as the tagger gives them",
    "fine_head_f1": "spans with fine labels, of the fine head by itself",
}


def export_tagger(trainee: CrfTagger, network: SequenceTagger, trained: Trained, out: Path) -> str:
    """Calibrates the tagger on dev, writes its folder, and describes it.

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
    answers = trainee.answers_on_dev(network)
    probabilities, right = _judged(trainee, answers)
    temperature = round(fit_temperature(probabilities, right), 4)
    settings = trainee.settings.model_copy(update={"temperature": temperature})
    write_network(out, network, trainee.tokenizer)
    write_settings(out, settings)
    scores = PlattCurve(1 / temperature, 0.0)(log_odds(np.array(probabilities)))
    error = measure_reliability(scores, right).calibration_error if probabilities else 0.0
    scores_on_dev = trainee.tally(answers).scores()
    return "\n".join(_card(trainee, trained, scores_on_dev, temperature, error)) + "\n"


def _judged(trainee: CrfTagger, answers: DevAnswers) -> tuple[list[float], list[bool]]:
    """The raw probability of every entity found in dev, and whether it is one."""
    probabilities: list[float] = []
    right: list[bool] = []
    for post, found in zip(trainee.dev.posts, answers.entities, strict=True):
        truth = {(entity.span, entity.label) for entity in post.gold.entities}
        probabilities += [entity.probability for entity in found]
        right += [(entity.span, entity.label) in truth for entity in found]
    return probabilities, right


def _card(
    trainee: CrfTagger,
    trained: Trained,
    scores: Mapping[str, Score],
    temperature: float,
    error: float,
) -> Iterator[str]:
    config = trainee.config
    levels = {"coarse": "labels", "fine": "fine labels", "both": "labels and fine labels"}
    yield f"# Sequence tagger: {levels[config.level]}, {config.head} head, {config.scheme.upper()}"
    yield ""
    yield f"Made by `riveg train crf-tagger`; `tag: crf` with `model: {config.out}` loads it."
    yield ""
    yield f"- Encoder: {pinned(config.model, config.revision)}"
    for posts in (trainee.train, trainee.dev):
        yield from (
            f"- Knowledge about {posts.name}: {path.name}, sha256 {file_digest(path)[:16]}"
            for path in posts.knowledge_files
            if path.is_file()
        )
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
    yield "| figure on dev | percent | 95 % | precision | recall | what it counts |"
    yield "|---|---|---|---|---|---|"
    for name, score in scores.items():
        count = score.count
        yield (
            f"| {name} | {count.f1:.2f} | {score.f1} | {count.precision:.2f} | {count.recall:.2f} "
            f"| {_MEANING[name]} |"
        )
    yield ""
    yield (
        "Micro F1 over all entities of dev, as `riveg eval` counts MNER; intervals by bootstrap "
        f"over posts, {RESAMPLES} resamples, of this one training."
    )
    yield best_epoch(trained, config.loop, trainee.metric)
    yield (
        f"Scores are marginal probabilities of span and label, at the temperature {temperature:g}, "
        f"which fits dev; expected calibration error there: {error:.3f}."
    )
    yield from settings_lines(config)
