"""Mentions as rows of a grounder: a phrase, a picture changed at random, the phrase's boxes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from riveg.geometry.jitter import visit_chance
from riveg.protocols import ImageSource
from riveg.training.augmentation import Change, names_a_side
from riveg.training.grounder.data import BoxedMention
from riveg.training.grounder.loss import BOX_COUNT, BOXES, MASK, PHRASE, TOKENS, pixels_key
from riveg.training.grounder.settings import GrounderTrainingSettings
from riveg.training.pictures import open_again
from riveg.types import Box, ImageRef, ImageSize
from riveg.vision.detectors.grounding_dino import PhraseReader, padded_tokens
from riveg.vision.detectors.grounding_dino_prompts import (
    PhrasePrompt,
    count_tokens,
    join_phrases,
    phrase_text,
    read_phrase,
)
from riveg.vision.queries import TextReader
from riveg.vision.runtime.tensors import input_size

_WIDEST = 1 << 13
"""Above any side of an input, in pixels."""


@dataclass(frozen=True, slots=True)
class GroundingRow:
    """A phrase about a picture.

    Args:
        sample_id: The post's.
        number: The mention's, among those of the post.
        image: The picture, with the size of the upright one.
        prompt: The phrase's tokens.
        boxes: What it means, in pixels of the picture; ``()``: nothing in it.
        mirrors: Whether the phrase stays true in a mirror, and nobody could miss it there.
    """

    sample_id: str
    number: int
    image: ImageRef
    prompt: PhrasePrompt
    boxes: tuple[Box, ...]
    mirrors: bool

    @property
    def size(self) -> ImageSize:
        """Of the upright picture."""
        assert self.image.size is not None
        return self.image.size


class RowMaker:
    """Makes rows of mentions, and batches of rows.

    Args:
        config: What is trained.
        reader: Of the checkpoint that it begins with.
        images: Where pictures come from.
        strides: Pixels a place of each level, finest first.
        queries: How many places the network picks, and so must find.
        without_words: Posts whose pictures hold no words.
    """

    def __init__(
        self,
        config: GrounderTrainingSettings,
        reader: PhraseReader,
        images: ImageSource,
        *,
        strides: Sequence[int],
        queries: int,
        without_words: frozenset[str] = frozenset(),
    ) -> None:
        self._config = config
        self._reader = reader
        self._images = images
        self._strides = strides
        self._queries = queries
        self._without_words = without_words
        self._texts = TextReader(
            config.query,
            reader.most_tokens,
            partial(count_tokens, tokenizer=reader.tokenizer),
            clean=phrase_text,
        )

    def rows(self, mentions: Sequence[BoxedMention]) -> tuple[list[GroundingRow], list[str]]:
        """Rows of what is shown and, at the ratio asked for, of what is not; and what to know."""
        found: list[GroundingRow] = []
        cut = empty = small = 0
        texts = self._texts.read([one.mention.entity for one in mentions])
        for one, text in zip(mentions, texts, strict=True):
            phrase = read_phrase(text.text, self._reader.tokenizer)
            image = one.mention.sample.image
            if phrase is None or image is None:
                empty += 1
            elif not self._has_places(self._input_size(one.size)):
                small += 1
            else:
                cut += text.was_cut
                sample_id = one.mention.sample.id
                prompt = join_phrases([phrase], self._reader.tokenizer)
                boxes = one.targets(self._config.boxes)
                mirrors = sample_id in self._without_words and not names_a_side(text.text)
                found.append(GroundingRow(sample_id, one.number, image, prompt, boxes, mirrors))
        rows = self._at_the_ratio(found)
        return rows, list(_remarks(rows, cut=cut, empty=empty, small=small))

    def _at_the_ratio(self, rows: Sequence[GroundingRow]) -> list[GroundingRow]:
        """All rows with a box, and as many of the others as are asked for."""
        others = [number for number, row in enumerate(rows) if not row.boxes]
        wanted = round(self._config.negatives * (len(rows) - len(others)))
        chance = random.Random(f"{self._config.loop.seed}/negatives")
        kept = {*chance.sample(others, min(wanted, len(others)))}
        return [row for number, row in enumerate(rows) if row.boxes or number in kept]

    def length(self, row: GroundingRow) -> int:
        """Orders rows by the size of their input: those of one size share a forward."""
        size = self._input_size(row.size)
        return size.height * _WIDEST + size.width

    def batch(self, rows: Sequence[GroundingRow], visit: str | None) -> dict[str, Tensor]:
        """Inputs and gold of rows, as :func:`grounding_loss` takes them.

        Args:
            rows: In any order; they come out in that of their sizes.
            visit: Names the training's seed and the epoch; ``None``: nothing is changed or moved.

        Raises:
            UserError: If a picture that could be opened before cannot be any more.
        """
        seen = [(row, *self._seen(row, visit)) for row in rows]
        seen.sort(key=lambda one: tuple(one[1].shape))
        by_size: dict[tuple[int, ...], list[Tensor]] = {}
        for _, pixels, _ in seen:
            by_size.setdefault(tuple(pixels.shape), []).append(pixels)
        prompts = [row.prompt for row, *_ in seen]
        tokens, mask = padded_tokens(prompts, self._reader.tokenizer.pad_token_id or 0)
        boxes = torch.zeros(len(rows), max(1, *(len(own) for *_, own in seen)), 4)
        for number, (*_, own) in enumerate(seen):
            boxes[number, : len(own)] = torch.tensor(own).reshape(-1, 4)
        return {
            TOKENS: tokens,
            MASK: mask,
            PHRASE: torch.tensor([prompt.phrases[0] for prompt in prompts]),
            BOXES: boxes,
            BOX_COUNT: torch.tensor([len(own) for *_, own in seen]),
            **{
                pixels_key(number): torch.stack(same)
                for number, same in enumerate(by_size.values())
            },
        }

    def _seen(
        self, row: GroundingRow, visit: str | None
    ) -> tuple[Tensor, list[tuple[float, float, float, float]]]:
        """A row's input at a visit, and its boxes: centre and sides in [0, 1]."""
        pixels = open_again(self._images, row.image)
        change, boxes = Change((0, 0, *row.size)), row.boxes
        if visit is not None:
            chance = visit_chance(visit, row.sample_id, row.number)
            drawn = self._config.augmentation.draw(row.size, row.boxes, chance, mirrors=row.mirrors)
            # A small part of a small picture may have fewer places than the network picks.
            if self._has_places(self._input_size(drawn.size, drawn.scale)):
                change = drawn
            boxes = tuple(self._moved(change.box(box), change, chance) for box in boxes)
        shortest, longest = self._edges(change.scale)
        prepared = self._reader.prepare(change.pixels(pixels), shortest=shortest, longest=longest)
        width, height = change.size
        shares = [
            (
                (box.x_min + box.x_max) / 2 / width,
                (box.y_min + box.y_max) / 2 / height,
                box.width / width,
                box.height / height,
            )
            for box in boxes
        ]
        return prepared, shares

    def _moved(self, box: Box, change: Change, chance: random.Random) -> Box:
        """A box after GRBP, which counts in pixels of the input."""
        jitter = self._config.jitter
        if jitter is None or not jitter.moves:
            return box
        size = self._input_size(change.size, change.scale)
        across, down = size.width / change.size.width, size.height / change.size.height
        inside = Box(box.x_min * across, box.y_min * down, box.x_max * across, box.y_max * down)
        moved = jitter(inside, size, chance)
        if moved is None:
            return box
        return Box(
            moved.x_min / across, moved.y_min / down, moved.x_max / across, moved.y_max / down
        )

    def _edges(self, scale: float) -> tuple[int, int]:
        asked = self._config
        return round(asked.shortest_edge * scale), round(asked.longest_edge * scale)

    def _input_size(self, size: ImageSize, scale: float = 1.0) -> ImageSize:
        return input_size(size, *self._edges(scale))

    def _has_places(self, size: ImageSize) -> bool:
        places = sum(
            math.ceil(size.width / one) * math.ceil(size.height / one) for one in self._strides
        )
        return places >= self._queries


def _remarks(rows: Sequence[GroundingRow], *, cut: int, empty: int, small: int) -> Iterator[str]:
    shown = sum(bool(row.boxes) for row in rows)
    yield f"{shown} phrases with boxes and {len(rows) - shown} without to learn from"
    if cut:
        yield f"{cut} phrases are longer than the network reads: cut at a word"
    if empty:
        yield f"{empty} phrases have nothing to look for: left out"
    if small:
        yield f"{small} mentions stand in pictures too narrow for the network's queries: left out"
