"""The folder of a trained entailer: calibrated on dev, described in its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from riveg.evaluation.bootstrap import RESAMPLES, Score
from riveg.files import writing
from riveg.training.cards import best_epoch, pinned, settings_lines
from riveg.training.entailer_itm.figures import ACCURACY, SHOWN, Judged, calibrate, tally
from riveg.training.reliability import measure_reliability
from riveg.vision.matchers.trained import MatcherSettings, calibrated
from riveg.vision.runtime.loading import silent_transformers

if TYPE_CHECKING:
    from riveg.training.entailer_itm.trainee import EntailerItm
    from riveg.training.loop import Trained


def export_entailer(trainee: EntailerItm, network: nn.Module, trained: Trained, out: Path) -> str:
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
    judged = trainee.judged_on_dev(network)
    settings = calibrate(judged, trainee.config.query)
    matcher = trainee.matcher.with_network(network)
    with writing(out), silent_transformers():
        for part in (matcher.network, matcher.tokenizer, matcher.processor):
            part.save_pretrained(out)
    settings.write(out)
    return "\n".join(_card(trainee, trained, judged, settings)) + "\n"


def _card(
    trainee: EntailerItm, trained: Trained, judged: Sequence[Judged], settings: MatcherSettings
) -> Iterator[str]:
    config = trainee.config
    yield f"# {config.out.name}"
    yield ""
    yield "Says whether a picture shows an entity; used as"
    yield f"`entail: {{backend: {trainee.matcher_name}, model: {config.out}}}`, which takes query,"
    yield "threshold and temperature from here where the system states none."
    yield ""
    yield f"- From {pinned(f'`{config.model}`', config.revision)}"
    yield f"- Query: `{settings.query}`"
    if config.expressions:
        yield f"- Expressions of {', '.join(map(str, config.expressions))}"
    if config.frozen:
        yield f"- Not trained: {' and '.join(config.frozen)}"
    yield from (f"- {remark}" for remark in trainee.remarks())
    yield ""
    yield "| on dev | accuracy | 95 % | precision | recall | F1 of what is shown | 95 % |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in _parts(judged):
        yield _line(name, tally(one, settings).scores())
    yield _line("all, at 0.5 and as it is", tally(judged, _uncalibrated(settings)).scores())
    yield ""
    shown = [one.row.is_shown for one in judged]
    most = 100 * max(sum(shown), len(shown) - sum(shown)) / len(shown)
    yield (
        f"One answer for all would be right for {most:.2f} %. Intervals by bootstrap over posts, "
        f"{RESAMPLES} resamples, of this one training."
    )
    yield best_epoch(trained, config.loop, trainee.metric)
    found = measure_reliability(
        [calibrated(one.probability, settings.temperature) for one in judged], shown
    )
    yield (
        f"Chosen on dev: the temperature {settings.temperature:g} and the threshold "
        f"{settings.threshold:g}. Expected calibration error there: {found.calibration_error:.3f}, "
        f"Brier score {found.brier:.3f}."
    )
    yield from settings_lines(config)


def _parts(judged: Sequence[Judged]) -> Iterator[tuple[str, list[Judged]]]:
    """All mentions, and those of each type."""
    yield "all", [*judged]
    for label in sorted({one.row.label for one in judged}):
        yield label, [one for one in judged if one.row.label == label]


def _uncalibrated(settings: MatcherSettings) -> MatcherSettings:
    return settings.model_copy(update={"threshold": 0.5, "temperature": 1.0})


def _line(name: str, scores: dict[str, Score]) -> str:
    accuracy, shown = scores[ACCURACY], scores[SHOWN]
    return (
        f"| {name} | {accuracy.count.f1:.2f} | {accuracy.f1} | {shown.count.precision:.2f} | "
        f"{shown.count.recall:.2f} | {shown.count.f1:.2f} | {shown.f1} |"
    )
