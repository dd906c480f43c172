"""The folder of a trained grounder: its weights, how it is asked, its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.evaluation.bootstrap import RESAMPLES
from riveg.files import writing
from riveg.training.beside import copy_beside
from riveg.training.cards import best_epoch, pinned, settings_lines
from riveg.training.grounder.figures import (
    ACCURACY,
    BOX_AP,
    LOSS,
    MEAN_IOU,
    Found,
    figures,
    tally,
)
from riveg.vision.runtime.loading import silent_transformers

if TYPE_CHECKING:
    from riveg.training.grounder.trainee import GrounderTrainee
    from riveg.training.loop import Trained

_MEANING = {
    ACCURACY: "mentions that are shown: the best box overlaps a gold one by half or more",
    MEAN_IOU: "the same mentions: mean overlap of the best box with the nearest gold one",
    BOX_AP: "COCO's AP of all boxes of all mentions, images are posts, categories are types",
}


def export_grounder(trainee: GrounderTrainee, network: Any, trained: Trained, out: Path) -> str:
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
    with writing(out), silent_transformers():
        network.save_pretrained(out)
        copy_beside(trainee.folder, out)
    trainee.config.asked.write(out)
    answers = trainee.answers_on_dev(network)
    return "\n".join(_card(trainee, answers, trained)) + "\n"


def _card(trainee: GrounderTrainee, answers: Sequence[Found], trained: Trained) -> Iterator[str]:
    config, dev = trainee.config, trainee.dev.mentions
    measured = figures(dev, answers)
    interval = tally(dev, answers).scores()[ACCURACY].f1
    yield f"# {config.out.name}"
    yield ""
    yield "Finds the box of a phrase; used as"
    yield f"`ground: {{backend: grounding-dino, model: {config.out}, box_threshold: 0}}`,"
    yield "which gives each entity its best box, as the figures below have it; a higher"
    yield "`box_threshold` leaves out boxes that score less."
    yield ""
    yield f"- From {pinned(f'`{config.model}`', config.revision)}"
    yield (
        f"- Asked `{config.query}`, pictures of {config.shortest_edge} to {config.longest_edge} "
        "pixels, where the system states nothing else"
    )
    yield from (f"- {remark}" for remark in trainee.remarks)
    yield ""
    yield "| figure on dev | percent | 95 % | what it counts |"
    yield "|---|---|---|---|"
    yield from _figures(measured, {ACCURACY: str(interval)})
    yield ""
    yield (
        f"{sum(bool(one.boxes) for one in dev)} mentions of dev are shown, "
        f"{sum(not one.boxes for one in dev)} are not. The interval by bootstrap over posts, "
        f"{RESAMPLES} resamples, of this one training. Loss on dev: {trained.figures[LOSS]:.3f}."
    )
    yield best_epoch(trained, config.loop, trainee.metric)
    yield from settings_lines(config)


def _figures(measured: Mapping[str, float], intervals: Mapping[str, str]) -> Iterator[str]:
    for name, value in measured.items():
        yield f"| {name} | {value:.2f} | {intervals.get(name, '')} | {_MEANING[name]} |"
