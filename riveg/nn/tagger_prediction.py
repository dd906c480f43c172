"""A sequence tagger over many texts: batches by length, windows, number types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from riveg.nn.sequence_tagger import Emissions, SequenceTagger
from riveg.nn.tagger_decoding import FoundEntity, found_entities
from riveg.nn.tagger_inputs import collate, to_device
from riveg.nn.word_pieces import Window
from riveg.vision.runtime.loading import Placement, autocast

Text = Sequence[Window]
"""The windows of one text."""


class TaggerPrediction:
    """Asks a network in evaluation mode, which stays on its device.

    Args:
        network: The tagger.
        placement: Where it is, and in which numbers it computes.
        padding_id: The tokenizer's piece for padding.
        batch_size: At most so many windows in one forward pass.
        coarse_of: Fine label -> coarse label; empty where there are no fine labels.
        with_knowledge: Whether words of knowledge are tagged, too.
    """

    def __init__(
        self,
        network: SequenceTagger,
        placement: Placement,
        *,
        padding_id: int,
        batch_size: int,
        coarse_of: Mapping[str, str],
        with_knowledge: bool = False,
    ) -> None:
        self._network = network
        self._placement = placement
        self._padding_id = padding_id
        self._batch_size = batch_size
        self._coarse_of = coarse_of
        self._with_knowledge = with_knowledge

    def entities(self, texts: Sequence[Text]) -> list[tuple[FoundEntity, ...]]:
        """The entities of each text, in the order of the texts."""
        answers: list[tuple[FoundEntity, ...]] = [()] * len(texts)
        for numbers, emissions, words in self.emissions(texts):
            found = found_entities(self._network, emissions, words, self._coarse_of)
            for number, entities in zip(numbers, found, strict=True):
                answers[number] = entities
        return answers

    def emissions(
        self, texts: Sequence[Text]
    ) -> Iterator[tuple[list[int], Emissions, torch.Tensor]]:
        """Batches of texts of similar length: their numbers, emissions, and where words are.

        Everything is on the CPU and in float32. Texts without words are in none of them.
        """
        for numbers in self._batches(texts):
            batch = collate(
                [texts[number] for number in numbers],
                padding_id=self._padding_id,
                with_knowledge=self._with_knowledge,
            )
            found = emissions_of(self._network, self._placement, batch, self._batch_size)
            yield numbers, found, batch["words"]

    def _batches(self, texts: Sequence[Text]) -> Iterator[list[int]]:
        lengths = [sum(len(window.input_ids) for window in text) for text in texts]
        numbers: list[int] = []
        windows = 0
        for number in sorted(range(len(texts)), key=lambda one: (lengths[one], one)):
            if not texts[number]:
                continue
            if numbers and windows + len(texts[number]) > self._batch_size:
                yield numbers
                numbers, windows = [], 0
            numbers.append(number)
            windows += len(texts[number])
        if numbers:
            yield numbers


def emissions_of(
    network: SequenceTagger,
    placement: Placement,
    batch: Mapping[str, torch.Tensor],
    windows_at_once: int,
) -> Emissions:
    """What a network says of a batch, on the CPU and in float32; nothing is learnt from it."""
    with torch.no_grad(), autocast(placement):
        tags, fine_tags = network(
            to_device(batch, placement.device), windows_at_once=windows_at_once
        )
    return Emissions(tags.float().cpu(), None if fine_tags is None else fine_tags.float().cpu())
