"""An encoder with one or two heads that tag words, each with a CRF or a softmax.

Two heads are those of GEM: the fine one also hears what the coarse one says, through a matrix that
starts from how often coarse and fine types go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from riveg.nn.crf import LinearChainCrf
from riveg.nn.shape_embedding import ShapeEmbedding
from riveg.nn.tagger_design import TaggerDesign

TAGS = "tags"
FINE_TAGS = "fine_tags"
"""Names of a batch's gold tags, *shape* ``(texts, words)``."""


class Emissions(NamedTuple):
    """Logits of each word's tags, *shape* ``(texts, words, tags)`` each."""

    tags: Tensor
    fine_tags: Tensor | None


class SequenceTagger(nn.Module):
    """Tags words by the vectors of their first pieces.

    Args:
        encoder: Any encoder of transformers, as ``AutoModel`` loads it.
        design: Heads, tags, shapes.
        together: How often coarse and fine tags go together, *shape* ``(tags, fine tags)``, from
            which the matrix between the two levels starts; ``None``: weights will be loaded.
    """

    _same_place: Tensor

    def __init__(self, encoder: Any, design: TaggerDesign, together: Tensor | None = None) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.design = design
        self.encoder = encoder
        self.shapes = ShapeEmbedding(encoder) if design.shapes else None
        self.dropout = nn.Dropout(design.dropout)
        self.head = nn.Linear(hidden, len(design.tags))
        self.crf = LinearChainCrf(design.tags, learned=design.crf)
        self.fine_head: nn.Linear | None = None
        self.fine_crf: LinearChainCrf | None = None
        if design.fine_tags:
            self.fine_head = nn.Linear(hidden, len(design.fine_tags))
            self.fine_crf = LinearChainCrf(design.fine_tags, learned=design.crf)
            same = same_place(design.tags, design.fine_tags)
            start = torch.zeros_like(same) if together is None else by_row(together * same)
            self.register_buffer("_same_place", same, persistent=False)
            self.coarse_to_fine = nn.Parameter(start)

    def forward(
        self, batch: Mapping[str, Tensor], *, windows_at_once: int | None = None
    ) -> Emissions:
        """Logits of every word of a batch that :func:`riveg.nn.tagger_inputs.collate` made.

        Args:
            batch: The tensors.
            windows_at_once: How many windows the encoder reads at a time; ``None``: all.
        """
        names = ("input_ids", "attention_mask", "shape_ids")
        at_once = windows_at_once or len(batch["input_ids"])
        parts = zip(*(batch[name].split(at_once) for name in names), strict=True)
        hidden = torch.cat([self._encode(*part) for part in parts]).flatten(0, 1)
        vectors = self.dropout(hidden[batch["places"]])
        logits = self.head(vectors)
        if self.fine_head is None:
            return Emissions(logits, None)
        beta = self.design.beta
        heard = logits @ (self.coarse_to_fine * self._same_place)
        return Emissions(logits, beta * heard + (1 - beta) * self.fine_head(vectors))

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch with gold tags: a text's, or a word's where there is no CRF."""
        emissions = self(batch)
        words = batch["words"]
        loss = self._level_loss(self.crf, emissions.tags, batch[TAGS], words)
        if emissions.fine_tags is None or self.fine_crf is None:
            return loss
        fine = self._level_loss(self.fine_crf, emissions.fine_tags, batch[FINE_TAGS], words)
        return self.design.alpha * loss + (1 - self.design.alpha) * fine

    def _encode(self, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor) -> Tensor:
        if self.shapes is not None:
            return self.shapes.read(self.encoder, input_ids, attention_mask, shape_ids)
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _level_loss(
        self, crf: LinearChainCrf, logits: Tensor, tags: Tensor, words: Tensor
    ) -> Tensor:
        if self.design.crf:
            return -crf.log_likelihood(logits, tags, words).mean()
        return nn.functional.cross_entropy(logits[words].float(), tags[words])


def same_place(tags: tuple[str, ...], fine_tags: tuple[str, ...]) -> Tensor:
    """1 where two tags stand for the same place in an entity: B with B, I with I, O with O.

    *Shape:* ``(tags, fine tags)``, float32.
    """
    return torch.tensor([[float(tag[0] == fine[0]) for fine in fine_tags] for tag in tags])


def by_row(counts: Tensor) -> Tensor:
    """Counts as shares of their row, *shape* ``(rows, columns)``; a row of zeros stays as it is."""
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
