"""Samples in scripts that a backend's model was not trained on, counted for the run's notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from riveg.config.system import Step
from riveg.text.scripts import foreign_script
from riveg.types import Sample


class ForeignScripts:
    """Counts the samples of a run by script, where a backend knows some scripts only.

    Args:
        steps: The steps of the run.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._known = {
            f"{step.stage.name}: {step.config.name}": scripts
            for step in steps
            if (scripts := step.config.scripts())
        }
        self._found: dict[str, Counter[str]] = {name: Counter() for name in self._known}
        self._samples = 0

    @property
    def known(self) -> dict[str, list[str]]:
        """The scripts that each backend knows."""
        return {name: sorted(scripts) for name, scripts in self._known.items()}

    @property
    def found(self) -> dict[str, dict[str, int]]:
        """How many samples are mostly in which other script, for each backend."""
        return {name: dict(counts) for name, counts in self._found.items()}

    def restore(self, samples: int, found: Mapping[str, Mapping[str, int]]) -> None:
        """Takes what was found before, instead of looking at the same samples again."""
        self._samples = samples
        self._found = {name: Counter(found.get(name, {})) for name in self._known}

    def add(self, sample: Sample) -> None:
        """Looks at a sample's tokens."""
        self._samples += 1
        for name, known in self._known.items():
            script = foreign_script(sample.tokens, known)
            if script is not None:
                self._found[name][script] += 1

    def notes(self) -> Iterator[str]:
        """One line for each backend that was asked about other scripts."""
        for name, found in self._found.items():
            if found:
                scripts = ", ".join(f"{script} {count}" for script, count in found.most_common())
                yield (
                    f"{name} was trained on {' and '.join(sorted(self._known[name]))} script; of "
                    f"{self._samples} posts {found.total()} are mostly in others ({scripts}), and "
                    "what it says of them means little"
                )
