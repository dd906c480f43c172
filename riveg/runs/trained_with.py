"""Backends whose models were trained on other answers of a stage than a run gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from riveg.config.system import Step
from riveg.formats.knowledge_runs import UNKNOWN


def training_notes(
    steps: Sequence[Step], base: Path, fingerprint: Callable[[Step], str]
) -> Iterator[str]:
    """A line for each backend that was trained on what another model, prompt or pool has answered.

    Args:
        steps: Those of a run.
        base: Where relative paths of their configurations start.
        fingerprint: Of all that shapes the answers of a step.

    Raises:
        UserError: If a backend's model is not there.
    """
    stages = {step.stage.name: step for step in steps}
    for step in steps:
        name = f"{step.stage.name}: {step.config.name}"
        for stage, learnt in step.config.trained_with(base).items():
            if stage not in stages:
                continue
            now = stages[stage].config.origin(base, fingerprint(stages[stage]))
            if now in learnt:
                continue
            if not learnt or UNKNOWN in learnt:
                yield (
                    f"{name} was trained on answers of {stage} that do not say how they were made; "
                    "whether this run's are of the same kind is not known"
                )
            else:
                yield (
                    f"{name} was trained on what {stage} {_short(learnt)} has answered, and here "
                    f"it is {_short((now,))}: another model, prompt, pool or setting, which it may "
                    "trust falsely"
                )


def _short(fingerprints: Sequence[str]) -> str:
    return " and ".join(one[:16] for one in fingerprints)
