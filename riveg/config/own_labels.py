"""Types that a system names and its tagger does not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riveg.config.system import Step, SystemConfig
from riveg.labels import USUAL_LABELS


def label_notes(config: SystemConfig, steps: Sequence[Step]) -> Iterator[str]:
    """A line for each backend that never answers with some of the types that the file names.

    Args:
        config: The system.
        steps: Those of its steps that are run.

    Raises:
        UserError: If a backend's model is not there.
    """
    if config.labels == USUAL_LABELS:
        return
    for step in steps:
        own = step.config.own_labels(config.base)
        unknown = [label.name for label in config.labels if own and label.name not in own]
        if own and unknown:
            yield (
                f"{step.stage.name}: {step.config.name} knows {', '.join(own)} only, not "
                f"{', '.join(unknown)} of labels; gliner and chat find types of your own"
            )
