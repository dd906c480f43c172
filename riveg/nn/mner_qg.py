"""MNER-QG: one network that answers a query for a type with spans, existence and a region.

After Jia et al. 2023 (AAAI, arXiv 2211.14739), of which no code was released: which parts are the
paper's and which are guesses stands in ``docs/mner-qg.md``.

Shape letters: R rows (a query before a window of a sentence), L pieces of the longest row, W words
of the longest window, D the design's width, I images, N positions of a scale, K anchors in all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from riveg.nn.mner_qg_design import ANCHORS, SCALES, MnerQgDesign

START, END, MATCH, EXISTENCE, ANCHOR, BOX = "start", "end", "match", "existence", "anchor", "box"
"""The parts of the loss, and names of their gold in a batch."""

GROUNDED = "grounded"
"""Of a batch: of which rows it is known where the region is, bool, *shape* ``(R,)``."""

_NUMBERS = 5
"""Of an anchor: its logit, and the four of its box."""


class QueryLogits(NamedTuple):
    """What the network says of each row, all before sigmoid or softmax.

    ``start (R, W)``, ``end (R, W)``: an entity of the type begins, or ends, with the word;
    ``match (R, W, W)``: one goes from the first word to the second; ``existence (R,)``;
    ``anchor (R, K + 1)``, the last one for no region; ``box (R, K, 4)``, as
    :meth:`riveg.nn.anchors.AnchorGrid.boxes` reads it. ``None`` where the design has no such part,
    the last two also where no row has an image.
    """

    start: Tensor
    end: Tensor
    match: Tensor
    existence: Tensor | None
    anchor: Tensor | None
    box: Tensor | None


class ImageScales(nn.Module):
    """A backbone's three feature maps in a common width, each hearing the coarser ones.

    Args:
        backbone: Of transformers, as ``AutoBackbone`` loads it, with three maps, finest first.
        width: D.
    """

    def __init__(self, backbone: Any, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.to_width = nn.ModuleList(
            nn.Conv2d(channels, width, kernel_size=1) for channels in backbone.channels
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(SCALES))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Positions row by row, finest scale first.

        *Shape:* ``pixels (I, 3, side, side)``; each scale ``(I, N, D)``.
        """
        maps = [
            layer(found)
            for layer, found in zip(self.to_width, self.backbone(pixels).feature_maps, strict=True)
        ]
        for scale in (1, 0):  # the coarsest is heard by all
            coarser = functional.interpolate(maps[scale + 1], size=maps[scale].shape[2:])
            maps[scale] = maps[scale] + coarser
        flat = [one.flatten(2).transpose(1, 2) for one in maps]
        return [norm(one) for norm, one in zip(self.norms, flat, strict=True)]


class ScaleInteraction(nn.Module):
    """Cross-modality interaction at one scale: positions look at pieces, pieces at positions.

    What an image gives to it is computed once for all rows of the image.
    """

    def __init__(self, design: MnerQgDesign) -> None:
        super().__init__()
        width = design.width
        self._heads = design.attention_heads
        self.of_positions = nn.Linear(width, 3 * width)
        self.of_pieces = nn.Linear(width, 3 * width)
        self.heard = nn.Linear(width, width)
        self.seen = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, positions: Tensor, image_of: Tensor, pieces: Tensor, is_piece: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Positions that have heard the pieces, and what the pieces have seen.

        *Shape:* ``positions (I, N, D)``, ``image_of (R,)`` in [0, I), ``pieces (R, L, D)``,
        ``is_piece (R, L)`` false at padding; results ``(R, N, D)`` and ``(R, L, D)``.
        """
        rows = torch.cat([positions, self.of_positions(positions)], dim=-1)
        own, *seen_by = rows.index_select(0, image_of).chunk(4, dim=-1)
        heard_by = self.of_pieces(pieces).chunk(3, dim=-1)
        heard = self._attend(seen_by[0], heard_by[1], heard_by[2], is_piece)
        seen = self._attend(heard_by[0], seen_by[1], seen_by[2], None)
        return self.norm(own + self.heard(heard)), self.seen(seen)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """*Shape:* ``query (R, A, D)``, ``key (R, B, D)``, ``value (R, B, D)``, ``mask (R, B)``."""
        query, key, value = (
            one.unflatten(-1, (self._heads, -1)).transpose(1, 2) for one in (query, key, value)
        )
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=None if mask is None else mask[:, None, None, :]
        )
        return attended.transpose(1, 2).flatten(2)


class ExistenceInteraction(nn.Module):
    """Says whether the sentence has an entity of the type, and tells every piece of it.

    No norm follows: beside what all pieces share, it would shrink what is a piece's own.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.state = nn.Linear(width, width)
        self.head = nn.Linear(width, 1)
        self.back = nn.Linear(width, width)

    def forward(self, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """Pieces that know it, and the logit. *Shape:* ``(R, L, D)``; ``(R, L, D)``, ``(R,)``."""
        state = torch.tanh(self.state(pieces[:, 0]))
        logit = self.head(state).squeeze(1)
        return pieces + self.back(state)[:, None], logit


class SpanHeads(nn.Module):
    """Start, end, and whether a start and an end are those of one entity (BERT-MRC)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edges = nn.Linear(width, 2)
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width)
        self.match = nn.Linear(width, 1)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits. *Shape:* ``words (R, W, D)``; ``(R, W)``, ``(R, W)``, ``(R, W, W)``."""
        start, end = self.edges(words).unbind(dim=-1)
        # A linear layer on both vectors side by side, without making every pair of them.
        pairs = self.first(words)[:, :, None] + self.last(words)[:, None, :]
        return start, end, self.match(functional.gelu(pairs)).squeeze(-1)


class GroundingHeads(nn.Module):
    """Logits and boxes of all K anchors, and the logit of no region.

    A region begins as likely as none: K anchors would outweigh what is right of most queries.
    """

    def __init__(self, width: int, anchors: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, ANCHORS * _NUMBERS))
            for _ in range(SCALES)
        )
        self.no_region = nn.Linear(width, 1)
        nn.init.constant_(self.no_region.bias, math.log(anchors))

    def forward(self, scales: list[Tensor], query: Tensor) -> tuple[Tensor, Tensor]:
        """Of every anchor.

        *Shape:* each scale ``(R, N, D)``, ``query (R, D)``; ``(R, K + 1)`` and ``(R, K, 4)``.
        """
        found = torch.cat(
            [
                head(positions).reshape(len(positions), -1, _NUMBERS)
                for head, positions in zip(self.scales, scales, strict=True)
            ],
            dim=1,
        )
        return torch.cat([found[..., 0], self.no_region(query)], dim=1), found[..., 1:]


class MnerQg(nn.Module):
    """Answers queries about sentences and their images.

    Args:
        encoder: Any BERT or RoBERTa of transformers, as ``AutoModel`` loads it.
        backbone: As ``AutoBackbone`` loads it, with three feature maps.
        design: What else it consists of.
    """

    def __init__(self, encoder: Any, backbone: Any, design: MnerQgDesign) -> None:
        super().__init__()
        width = design.width
        self.design = design
        self.encoder = encoder
        self._has_types = getattr(encoder.config, "type_vocab_size", 1) > 1
        self.to_width = nn.Linear(encoder.config.hidden_size, width)
        self.image = ImageScales(backbone, width)
        self.interactions: nn.ModuleList | None = None
        if design.cross_modality:
            self.interactions = nn.ModuleList(ScaleInteraction(design) for _ in range(SCALES))
            self.fusion = nn.Linear(SCALES * width, width)
        self.norm = nn.LayerNorm(width)
        self.existence = ExistenceInteraction(width) if design.existence else None
        self.dropout = nn.Dropout(design.dropout)
        self.spans = SpanHeads(width)
        anchors = ANCHORS * sum(grid * grid for grid in design.grids)
        self.grounding = GroundingHeads(width, anchors) if design.anchors else None

    def train(self, mode: bool = True) -> MnerQg:
        """As any module's; frozen batch norms stay as they are."""
        super().train(mode)
        if self.design.frozen_norms:
            for module in self.image.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, batch: Mapping[str, Tensor]) -> QueryLogits:
        """Logits of every row of a batch of :func:`riveg.nn.mner_qg_inputs.collate_queries`.

        Each image goes through the backbone once, whatever the number of its rows.
        """
        pieces, scales = self._read(batch), []
        looks = self.interactions is not None or self.grounding is not None
        if looks and len(batch["pixels"]):
            scales = self.image(batch["pixels"])
        pieces, scales = self._interact(pieces, scales, batch)
        existence = None
        if self.existence is not None:
            pieces, existence = self.existence(pieces)
        pieces = self.dropout(pieces)
        start, end, match = self.spans(_word_states(pieces, batch))
        if self.grounding is None or not scales:
            return QueryLogits(start, end, match, existence, None, None)
        anchor, box = self.grounding(scales, pieces[:, 0])
        return QueryLogits(start, end, match, existence, anchor, box)

    def losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean of each part of the loss that the design has, by its name; scalars.

        The batch holds gold, too: ``start (R, W)``, ``end (R, W)``, ``match (R, W, W)`` and
        ``existence (R,)``, bool; ``grounded (R,)``; ``anchor (R, K + 1)``, bool, the answers that
        are right, one at least; ``box (R, K, 4)``, looked at where an anchor is right.
        """
        said = self(batch)
        words = batch["words"]
        found = {
            START: _binary(said.start[words], batch[START][words]),
            END: _binary(said.end[words], batch[END][words]),
            MATCH: _match_loss(said, batch),
        }
        if said.existence is not None:
            found[EXISTENCE] = _binary(said.existence, batch[EXISTENCE])
        if self.grounding is not None:
            found |= _grounding_losses(said, batch)
        return found

    def _read(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The encoder's states in the common width, *shape* ``(R, L, D)``."""
        more = {"token_type_ids": batch["token_type_ids"]} if self._has_types else {}
        output = self.encoder(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **more
        )
        states: Tensor = self.norm(self.to_width(output.last_hidden_state))
        return states

    def _interact(
        self, pieces: Tensor, scales: list[Tensor], batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Pieces and positions that know of each other.

        *Shape:* ``pieces (R, L, D)``, each scale ``(I, N, D)``; ``(R, L, D)``, each ``(R, N, D)``.
        """
        image_of = batch["image_of"].clamp(min=0)
        if self.interactions is None:
            hearing = [scale.index_select(0, image_of) + pieces[:, :1] for scale in scales]
            return pieces, hearing
        if not scales:
            return pieces, []
        is_piece = batch["attention_mask"].bool()
        both = [
            interaction(scale, image_of, pieces, is_piece)
            for interaction, scale in zip(self.interactions, scales, strict=True)
        ]
        seen = self.fusion(torch.cat([one for _, one in both], dim=-1))
        has_image = (batch["image_of"] >= 0)[:, None, None]
        # No norm here either: most of what is seen is common to all pieces.
        return pieces + seen * has_image, [positions for positions, _ in both]


def _word_states(pieces: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The mean of each word's pieces: the end of a name may say more than its beginning.

    *Shape:* ``pieces (R, L, D)``; ``(R, W, D)``, 0 at padding.
    """
    position = torch.arange(pieces.shape[1], device=pieces.device)
    first, behind = batch["places"][..., None], batch["ends"][..., None]
    shares = ((position >= first) & (position < behind)).to(pieces.dtype)
    return (shares / (behind - first).clamp(min=1)) @ pieces


def _binary(logits: Tensor, gold: Tensor) -> Tensor:
    """Mean binary cross-entropy, 0 of nothing; both of any one *shape*, gold bool."""
    if not logits.numel():
        return logits.sum()
    return functional.binary_cross_entropy_with_logits(logits.float(), gold.float())


def _match_loss(said: QueryLogits, batch: Mapping[str, Tensor]) -> Tensor:
    """Of the pairs that come into question: starts and ends that are gold or said to be some.

    All pairs would be nearly all wrong ones (BERT-MRC, Li et al. 2020, arXiv 1910.11476).
    """
    words = batch["words"]
    starts = (batch[START] | (said.start > 0)) & words
    ends = (batch[END] | (said.end > 0)) & words
    asked = (starts[:, :, None] & ends[:, None, :]).triu()
    return _binary(said.match[asked], batch[MATCH][asked])


def _grounding_losses(said: QueryLogits, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of rows whose region is known: where several boxes are right, any of them will do."""
    known = batch[GROUNDED]
    if said.anchor is None or said.box is None or not bool(known.any()):
        nothing = said.start.sum() * 0.0
        return {ANCHOR: nothing, BOX: nothing}
    right = batch[ANCHOR][known]
    shares = functional.log_softmax(said.anchor[known].float(), dim=-1)
    anchor = -shares.masked_fill(~right, -torch.inf).logsumexp(dim=-1).mean()
    boxed = right[:, :-1]
    guessed, gold = said.box[known][boxed].float(), batch[BOX][known][boxed].float()
    if not len(gold):
        return {ANCHOR: anchor, BOX: said.box.sum() * 0.0}
    guessed = torch.cat([guessed[:, :2].sigmoid(), guessed[:, 2:]], dim=1)
    return {ANCHOR: anchor, BOX: functional.smooth_l1_loss(guessed, gold)}
