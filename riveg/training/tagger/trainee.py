"""The embedded tagger as the training loop sees it: rows, batches, loss, dev F1."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from riveg.evaluation.counts import Count
from riveg.geometry.arrays import Floats
from riveg.nn.bio_decoding import decode
from riveg.nn.shape_tagger import ShapeTagger
from riveg.nn.word_pieces import Window, WordPieceWindows
from riveg.text.bio import bio_to_spans
from riveg.training.tagger.data import TaggedSentence

TAGS = "tags"
"""The task of the head that is kept."""

FINE_TYPES = "fine_types"
"""The side task that shares the sentences of the task itself."""

_IGNORED = -100
"""Target of a position that the loss ignores (PyTorch's default)."""

_TOGETHER = 32
"""Windows that are measured at the same time."""

_INPUTS = ("input_ids", "attention_mask", "shape_ids")

ANSWERS = "answers"
TRUST = "trust"
"""In a batch: a teacher's probabilities; its share of each word's loss, 0 where it is silent."""


@dataclass(frozen=True, slots=True)
class TaskSentence:
    """A sentence, and the task that its tags are of.

    Args:
        task: ``None`` where only the teacher's answers are learnt.
        sentence: Words and tags.
        answers: A teacher's probabilities of the task's own tags, *shape* ``(words, tags)``.
    """

    task: str | None
    sentence: TaggedSentence
    answers: Floats | None = None


@dataclass(frozen=True)
class TaggerTrainee:
    """What one training of the tagger learns from, and how.

    Args:
        start: Makes the network, every time with the same weights.
        sentences: To learn from.
        dev: Of the task, to measure on.
        classes: Of every task, its classes.
        windows: Cuts sentences into inputs.
        swapper: Replaces mentions of the task's own sentences.
        mask_rate: Probability to mask a word piece.
        mask_id: The piece that masks.
        label_smoothing: In [0, 1).
        fine_weight: Of the fine types' loss; every other task weighs 1.
        trust: The teacher's share of the loss of words that have tags of the task, too.
        adversarial: How far the pieces of a window are pushed to where the loss grows, as a share
            of the length of a piece's vector; 0: not at all.
    """

    start: Callable[[], ShapeTagger]
    sentences: Sequence[TaskSentence]
    dev: Sequence[TaggedSentence]
    classes: Mapping[str, Sequence[str]]
    windows: WordPieceWindows
    swapper: Callable[[TaggedSentence, random.Random], TaggedSentence]
    mask_rate: float
    mask_id: int
    label_smoothing: float
    fine_weight: float
    trust: float = 0.0
    adversarial: float = 0.0
    metric: str = field(default="F1", init=False)

    def rows(self) -> Sequence[TaskSentence]:
        """All sentences that have words."""
        return [row for row in self.sentences if row.sentence.tokens]

    def length(self, row: TaskSentence, /) -> int:
        """Pieces of its longest window."""
        return max(len(window.input_ids) for window in self.windows(row.sentence.tokens))

    def network(self) -> ShapeTagger:
        """The tagger at its start."""
        return self.start()

    def batch(self, rows: Sequence[TaskSentence], chance: random.Random, /) -> Mapping[str, Tensor]:
        """Tensors of *shape* ``(windows, pieces)``: inputs, and targets by task.

        Only first pieces of words have targets; tasks that no row is of are left out. A teacher's
        answers add ``answers (windows, pieces, tags)`` and ``trust (windows, pieces)``.
        """
        inputs: list[Window] = []
        targets: dict[str, dict[int, list[int]]] = {}
        heard: dict[int, tuple[Window, Floats, float]] = {}
        for row in rows:
            sentence = row.sentence
            if row.task == TAGS:
                sentence = self.swapper(sentence, chance)
            # Of other words than those that the teacher read, its answers say nothing.
            answers = row.answers if sentence == row.sentence else None
            for window in self.windows(sentence.tokens):
                if answers is not None:
                    trust = 1.0 if row.task is None else self.trust
                    heard[len(inputs)] = (window, answers, trust)
                for task, numbers in self._targets(row.task, sentence, window):
                    targets.setdefault(task, {})[len(inputs)] = numbers
                inputs.append(self._masked(window, chance))
        unknown = [[_IGNORED] * len(window.input_ids) for window in inputs]
        return {
            **_input_tensors(inputs),
            **{
                task: _padded([own.get(at, none) for at, none in enumerate(unknown)], _IGNORED)
                for task, own in targets.items()
            },
            **(self._heard(heard, len(inputs), max(map(len, unknown))) if heard else {}),
        }

    def _heard(
        self, heard: Mapping[int, tuple[Window, Floats, float]], windows: int, pieces: int
    ) -> dict[str, Tensor]:
        answers = torch.zeros(windows, pieces, len(self.classes[TAGS]))
        trust = torch.zeros(windows, pieces)
        for at, (window, known, share) in heard.items():
            places = list(window.owned_pieces)
            rows = known[window.owned.start : window.owned.stop]
            answers[at, places] = torch.from_numpy(rows).float()
            trust[at, places] = share
        return {ANSWERS: answers, TRUST: trust}

    def _targets(
        self, task: str | None, sentence: TaggedSentence, window: Window
    ) -> Iterator[tuple[str, list[int]]]:
        if task is None:
            return
        yield task, self._numbers(task, sentence.tags, window)
        if task == TAGS and FINE_TYPES in self.classes:
            yield FINE_TYPES, self._numbers(FINE_TYPES, sentence.fine_types, window)

    def _numbers(self, task: str, names: Sequence[str], window: Window) -> list[int]:
        known = {name: number for number, name in enumerate(self.classes[task])}
        numbers = [_IGNORED] * len(window.input_ids)
        for word, position in zip(window.owned, window.owned_pieces, strict=True):
            numbers[position] = known.get(names[word], _IGNORED)
        return numbers

    def _masked(self, window: Window, chance: random.Random) -> Window:
        ids = tuple(
            self.mask_id if shape and chance.random() < self.mask_rate else piece
            for piece, shape in zip(window.input_ids, window.shape_ids, strict=True)
        )
        return replace(window, input_ids=ids)

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor], /) -> Tensor:
        """Cross-entropy of all tasks, each weighted by its share of the batch's words.

        Where a teacher answered, its part is the cross-entropy with its probabilities (Hinton et
        al. 2015). ``adversarial`` adds the loss of the same rows with their pieces pushed to where
        it grows (Miyato et al. 2017, arXiv 1605.07725).
        """
        tagger = cast("ShapeTagger", network)
        vectors = tagger.embed(batch["input_ids"], batch["shape_ids"])
        plain = self._loss(tagger, vectors, batch)
        if not self.adversarial:
            return plain
        pushed = vectors + steepest_push(plain, vectors, self.adversarial)
        return plain + self._loss(tagger, pushed, batch)

    def _loss(self, tagger: ShapeTagger, vectors: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        hidden = tagger.read(vectors, batch["attention_mask"])
        trust = batch.get(TRUST, torch.zeros_like(hidden[..., 0], dtype=torch.float32))
        learnt = trust > 0
        losses: list[Tensor] = []
        for task, targets in batch.items():
            if task in (*_INPUTS, ANSWERS, TRUST):
                continue
            each = self._cross_entropy(_head(tagger, task)(hidden), targets)
            if task == FINE_TYPES:
                losses.append(each.sum() * self.fine_weight)
                continue
            losses.append((each * (1 - trust) if task == TAGS else each).sum())
            learnt = learnt | (targets != _IGNORED)
        if ANSWERS in batch:
            guesses = tagger.tag_head(hidden).float().log_softmax(-1)
            losses.append(-((batch[ANSWERS] * guesses).sum(-1) * trust).sum())
        return torch.stack(losses).sum() / learnt.sum().clamp(min=1)

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of each piece, *shape* ``(windows, pieces)``; 0 where there is no target."""
        return nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            targets.flatten(),
            label_smoothing=self.label_smoothing,
            reduction="none",
        ).view_as(targets)

    def evaluate(self, network: nn.Module, /) -> Mapping[str, float]:
        """F1 of exact spans and types, micro, in [0, 100]."""
        logits = word_logits(cast("ShapeTagger", network), self.dev, self.windows)
        return {self.metric: count_spans(logits, self.dev, self.classes[TAGS]).f1}


def steepest_push(loss: Tensor, vectors: Tensor, share: float) -> Tensor:
    """Where to move the vectors of pieces so that the loss grows most.

    Args:
        loss: A scalar that was made from them.
        vectors: *shape* ``(windows, pieces, width)``.
        share: The length of a window's whole push, as a share of the mean length of a vector.

    Returns:
        *Shape* ``(windows, pieces, width)``; nothing is learnt through it.
    """
    (slope,) = torch.autograd.grad(loss, vectors, retain_graph=True)
    length = slope.flatten(1).norm(dim=1).clamp(min=torch.finfo(slope.dtype).tiny)
    far = share * vectors.detach().norm(dim=-1).mean()
    push: Tensor = far * slope / length[:, None, None]
    return push


def _head(tagger: ShapeTagger, task: str) -> nn.Module:
    return tagger.tag_head if task == TAGS else tagger.side_heads[task]


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def word_logits(
    tagger: ShapeTagger, sentences: Sequence[TaggedSentence], windows: WordPieceWindows
) -> list[Floats]:
    """The tag logits of each sentence; each word's are those of the window that owns it.

    *Shape:* ``(words, tags)`` for each sentence.
    """
    inputs = [(at, window) for at, each in enumerate(sentences) for window in windows(each.tokens)]
    found = [np.zeros((len(each.tokens), tagger.tag_head.out_features)) for each in sentences]
    inputs.sort(key=lambda pair: len(pair[1].input_ids))
    device = tagger.tag_head.weight.device
    for start in range(0, len(inputs), _TOGETHER):
        some = inputs[start : start + _TOGETHER]
        tensors = _input_tensors([window for _, window in some])
        logits = tagger(*(tensors[name].to(device) for name in _INPUTS)).double().cpu().numpy()
        for (at, window), rows in zip(some, logits, strict=True):
            found[at][window.owned.start : window.owned.stop] = rows[list(window.owned_pieces)]
    return found


def _input_tensors(windows: Sequence[Window]) -> dict[str, Tensor]:
    lengths = [len(window.input_ids) for window in windows]
    return {
        "input_ids": _padded([window.input_ids for window in windows], 0),
        "attention_mask": _padded([[1] * length for length in lengths], 0),
        "shape_ids": _padded([window.shape_ids for window in windows], 0),
    }


def count_spans(
    logits: Sequence[Floats], sentences: Sequence[TaggedSentence], tags: Sequence[str]
) -> Count:
    """Exact-match counts of the decoded logits against the sentences' own tags.

    Args:
        logits: Of each sentence, *shape* ``(tokens, tags)``.
        sentences: The sentences, in the same order.
        tags: The tag of each column.
    """
    hits = predicted = gold = 0
    for rows, sentence in zip(logits, sentences, strict=True):
        answers = {(found.span, found.label) for found in decode(rows, tags)}
        truth = set(bio_to_spans(sentence.tags))
        hits += len(answers & truth)
        predicted += len(answers)
        gold += len(truth)
    return Count(hits, predicted, gold)
