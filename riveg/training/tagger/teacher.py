"""A larger tagger that teaches the embedded one: for every word, how likely it holds each tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from riveg.errors import UserError
from riveg.geometry.arrays import Floats
from riveg.nn.encoders import padding_id
from riveg.nn.tagger_design import TaggerSettings, read_settings
from riveg.nn.tagger_folder import read_network, read_windows
from riveg.nn.tagger_prediction import TaggerPrediction
from riveg.runs.progress import Progress
from riveg.vision.runtime.loading import place

_TOGETHER = 2048
"""Sentences between two lines of progress."""


def teacher_settings(folder: Path, tags: Sequence[str]) -> TaggerSettings:
    """The settings of a tagger that can teach these tags; its network is not loaded.

    Raises:
        UserError: If the folder is no such tagger's, or its tags are others.
    """
    settings = read_settings(folder)
    if settings.knowledge != "none":
        raise UserError(f"teacher.models: {folder} was trained with knowledge, which texts lack")
    own = settings.design.tags
    if set(own) != set(tags):
        raise UserError(
            f"teacher.models: {folder} tags {', '.join(sorted(own))}, but `labels` makes "
            f"{', '.join(sorted(tags))}"
        )
    return settings


class Teacher:
    """A tagger of ``riveg train crf-tagger`` that was trained without knowledge.

    Args:
        folder: As that training wrote it.
        tags: Those of the learner, in its order; the teacher has to know the same.
        dtype: Number type of the products, as ``tag: crf`` takes it.

    Raises:
        UserError: If the folder is no such tagger's, or its tags are others.
    """

    def __init__(self, folder: Path, tags: Sequence[str], dtype: str = "auto") -> None:
        settings = teacher_settings(folder, tags)
        placement = place("auto", dtype)
        self._device = placement.device
        self._columns = [settings.design.tags.index(tag) for tag in tags]
        network = read_network(folder, settings).requires_grad_(requires_grad=False)
        self._network = network.to(placement.device)
        self._windows = read_windows(folder, settings, self._network.encoder)
        self._prediction = TaggerPrediction(
            self._network,
            placement,
            padding_id=padding_id(self._network.encoder),
            batch_size=32,
            coarse_of=settings.coarse_of,
        )

    def __call__(self, sentences: Sequence[Sequence[str]], progress: Progress) -> list[Floats]:
        """Probabilities of the learner's tags, *shape* ``(words, tags)`` for each sentence.

        Those of a CRF are its marginals.
        """
        found: list[Floats] = []
        for start in range(0, len(sentences), _TOGETHER):
            some = sentences[start : start + _TOGETHER]
            known = self._probabilities(some)
            found += [known.get(at, np.zeros((0, len(self._columns)))) for at in range(len(some))]
            progress.note(f"teacher: {len(found)} of {len(sentences)} sentences")
        return found

    def _probabilities(self, sentences: Sequence[Sequence[str]]) -> Mapping[int, Floats]:
        texts = [self._windows(tokens) for tokens in sentences]
        found: dict[int, Floats] = {}
        for numbers, emissions, words in self._prediction.emissions(texts):
            marginals = self._network.crf.marginals(
                emissions.tags.to(self._device), words.to(self._device)
            )
            columns = marginals[..., self._columns].double().cpu().numpy()
            for number, rows, is_word in zip(numbers, columns, words.numpy(), strict=True):
                found[number] = rows[is_word]
        return found
