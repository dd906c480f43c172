"""The folder of a trained MNER-QG: calibrated on dev, described in its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.evaluation.bootstrap import RESAMPLES, Score
from riveg.nn.mner_qg import MnerQg
from riveg.nn.mner_qg_design import MnerQgSettings, write_settings
from riveg.nn.mner_qg_folder import write_network
from riveg.training.cards import best_epoch, settings_lines
from riveg.training.mner_qg.figures import EXISTENCE, F1, GMNER, GROUNDING, calibrate, tally

if TYPE_CHECKING:
    from riveg.training.loop import Trained
    from riveg.training.mner_qg.trainee import MnerQgTrainee

_MEANING = {
    F1: "F1: spans with types, exact positions",
    GMNER: "F1: the same with the right box (IoU 0.5), or rightly none, at the threshold",
    GROUNDING: "accuracy: of types that the picture shows, the best box is right (IoU 0.5)",
    EXISTENCE: "accuracy: of all types, whether the text has an entity of it",
}


def export_mner_qg(trainee: MnerQgTrainee, network: MnerQg, trained: Trained, out: Path) -> str:
    """Calibrates the network on dev, writes its folder, and describes it.

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
    posts, level = trainee.dev.posts, trainee.config.level
    answers = trainee.answers_on_dev(network)
    settings = calibrate(posts, answers, trainee.settings, level)
    write_network(out, network, trainee.tokenizer)
    write_settings(out, settings)
    scores = tally(posts, answers, settings, level).scores()
    return "\n".join(_card(trainee, trained, scores, settings)) + "\n"


def _card(
    trainee: MnerQgTrainee,
    trained: Trained,
    scores: Mapping[str, Score],
    settings: MnerQgSettings,
) -> Iterator[str]:
    config = trainee.config
    yield f"# {config.out.name}"
    yield ""
    yield "Finds and grounds entities; used as"
    yield f"`extract: {{backend: mner-qg, model: {config.out}}}`."
    yield ""
    yield f"- From `{config.model}` and `{config.backbone}`"
    yield from (f"- {remark}" for remark in trainee.remarks())
    if config.weak_boxes:
        runs = ", ".join(map(str, config.weak_boxes))
        yield f"- **Weak boxes**: the regions of {runs}, which no person has drawn."
    elif settings.design.anchors:
        yield '- Gold boxes ("oracle" in the paper)'
    else:
        yield "- It was taught no regions (weights.anchor: 0), and gives none."
    yield from (f"- {name}: {text}" for name, text in config.queries.items())
    yield ""
    yield "| figure on dev | percent | 95 % | what it counts |"
    yield "|---|---|---|---|"
    for name, score in scores.items():
        yield f"| {name} | {score.count.f1:.2f} | {score.f1} | {_MEANING[name]} |"
    yield ""
    yield f"Intervals by bootstrap over posts, {RESAMPLES} resamples, of this one training."
    yield best_epoch(trained, config.loop, trainee.metric)
    yield (
        f"Chosen on dev: the temperatures of spans ({settings.span_temperature:g}) and regions "
        f"({settings.region_temperature:g}), and the thresholds of spans "
        f"({settings.span_threshold:g}) and regions ({settings.threshold:g})."
    )
    yield from settings_lines(config)
