"""How far the passes of a tagger with dropout differ: Monte-Carlo dropout (Gal & Ghahramani 2016).

As in UnCo (EMNLP 2025) an uncertainty is the entropy of the mean of the passes' distributions; here
it is a share of the highest entropy, so that it lies in [0, 1]. Every text is computed alone, its
passes as the rows of a batch, and from the same seed, so that it does not depend on other texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from riveg.nn.crf import LinearChainCrf
from riveg.nn.sequence_tagger import Emissions, SequenceTagger
from riveg.nn.tagger_decoding import label_distribution
from riveg.nn.tagger_inputs import collate
from riveg.nn.tagger_prediction import emissions_of
from riveg.nn.word_pieces import Window
from riveg.types import Span
from riveg.vision.runtime.loading import Placement

_WINDOWS_AT_ONCE = 32
"""Part of what the seed decides: another number draws other dropout."""


class DropoutPasses:
    """Asks a network several times, each time without other parts of it.

    Args:
        network: The tagger, in evaluation mode, which it is left in.
        placement: Where it is, and in which numbers it computes.
        padding_id: The tokenizer's piece for padding.
        passes: How often each text is read, from 2 on.
        seed: Decides which parts are left out.
        with_knowledge: Whether words of knowledge are tagged, too.
    """

    def __init__(
        self,
        network: SequenceTagger,
        placement: Placement,
        *,
        padding_id: int,
        passes: int,
        seed: int,
        with_knowledge: bool,
    ) -> None:
        self._network = network
        self._placement = placement
        self._padding_id = padding_id
        self._passes = passes
        self._seed = seed
        self._with_knowledge = with_knowledge

    def uncertainties(
        self, windows: Sequence[Window], spans: Sequence[Span]
    ) -> list[Mapping[str, float]]:
        """``span`` and ``type`` of each entity of one text, in [0, 1].

        ``span``: the mean, over its words, of the entropy of where a name begins and goes on,
        whatever its label; ``type``: the entropy of its label, the fine one where there are two.
        """
        if not spans:
            return []
        emissions, words = self._emissions(windows)
        crf, fine_crf = self._network.crf, self._network.fine_crf
        places = _places(crf, emissions.tags, words)
        fine = fine_crf is not None and emissions.fine_tags is not None
        logits = emissions.fine_tags if fine and emissions.fine_tags is not None else emissions.tags
        tags = fine_crf.tags if fine and fine_crf is not None else crf.tags
        return [
            {"span": float(places[one.start : one.end].mean()), "type": _of_type(logits, tags, one)}
            for one in spans
        ]

    def _emissions(self, windows: Sequence[Window]) -> tuple[Emissions, Tensor]:
        """Logits of every pass, *shape* ``(passes, words, tags)``, and which of them are words."""
        batch = collate(
            [windows] * self._passes,
            padding_id=self._padding_id,
            with_knowledge=self._with_knowledge,
        )
        with self._dropping():
            found = emissions_of(self._network, self._placement, batch, _WINDOWS_AT_ONCE)
        return found, batch["words"]

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Dropout is on, and drawn from the seed; the chance of others goes on as it was."""
        device = self._placement.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            self._network.train()
            try:
                yield
            finally:
                self._network.eval()


def _places(crf: LinearChainCrf, logits: Tensor, words: Tensor) -> Tensor:
    """For each word, how uncertain it is whether a name begins, goes on or is not there.

    *Shape:* ``logits (passes, words, tags)``; result ``(words,)``, in [0, 1].
    """
    mean = crf.marginals(logits, words).detach().double().mean(dim=0)
    letters = sorted({tag[0] for tag in crf.tags})
    of_letter = [[tag[0] == letter for tag in crf.tags] for letter in letters]
    return normalised_entropy(mean @ torch.tensor(of_letter, dtype=torch.float64).T)


def _of_type(logits: Tensor, tags: Sequence[str], span: Span) -> float:
    passes = [label_distribution(one[span.start : span.end], tags) for one in logits]
    rows = torch.tensor([[*one.values()] for one in passes], dtype=torch.float64)
    return float(normalised_entropy(rows.mean(dim=0)))


def normalised_entropy(shares: Tensor) -> Tensor:
    """Entropy along the last axis by that of the uniform distribution, in [0, 1].

    >>> normalised_entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    count = shares.shape[-1]
    if count < 2:
        return torch.zeros(shares.shape[:-1])
    entropy: Tensor = torch.special.entr(shares).sum(dim=-1)
    return (entropy / math.log(count)).clamp(0.0, 1.0)
