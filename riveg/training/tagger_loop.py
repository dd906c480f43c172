"""The training loop of the embedded tagger: one seed, evaluated after each epoch, resumable."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from riveg.evaluation.counts import Count
from riveg.files import replacing
from riveg.geometry.arrays import Floats
from riveg.nn.bio_decoding import decode
from riveg.nn.shape_tagger import ShapeTagger
from riveg.nn.word_pieces import WordPieceWindows
from riveg.text.bio import bio_to_spans
from riveg.training.tagger_data import IGNORED, Batch, Batcher, MentionSwapper, TaggedSentence


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How one seed is trained; the fields are those of the training configuration."""

    epochs: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    warmup: float
    label_smoothing: float
    fine_weight: float
    consistency_weight: float
    average_decay: float


class TaggerLoop:
    """Trains one seed; keeps the epoch whose averaged weights score best on dev.

    The state after each epoch is written to ``folder``; a second call of :meth:`run` continues from
    there.
    """

    def __init__(
        self,
        model: ShapeTagger,
        settings: LoopSettings,
        *,
        batcher: Batcher,
        swapper: MentionSwapper,
        windows: WordPieceWindows,
        tags: Sequence[str],
        folder: Path,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        self._model = model
        self._settings = settings
        self._batcher = batcher
        self._swapper = swapper
        self._windows = windows
        self._tags = tags
        self._folder = folder
        self._seed = seed
        self._report = report

    def run(self, train: Sequence[TaggedSentence], dev: Sequence[TaggedSentence]) -> float:
        """Trains to the last epoch and writes ``folder/best.pt``; the best dev F1 in [0, 1]."""
        torch.manual_seed(self._seed)
        self._folder.mkdir(parents=True, exist_ok=True)
        steps = self._settings.epochs * -(-len(train) // self._settings.batch_size)
        optimizer, schedule = self._optimizer(steps)
        averaged = AveragedModel(
            self._model, multi_avg_fn=get_ema_multi_avg_fn(self._settings.average_decay)
        )
        start, best = self._restore(optimizer, schedule, averaged)
        for epoch in range(start, self._settings.epochs):
            loss = self._epoch(train, epoch, optimizer, schedule, averaged)
            f1 = evaluate(averaged.module, dev, self._windows, self._tags).f1 / 100
            self._report(
                f"seed {self._seed} epoch {epoch + 1}/{self._settings.epochs} "
                f"loss {loss:.4f} dev F1 {100 * f1:.2f}"
            )
            if f1 > best:
                best = f1
                torch.save(averaged.module.state_dict(), self._folder / "best.pt")
            self._save(optimizer, schedule, averaged, epoch + 1, best)
        return best

    def _optimizer(
        self, steps: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        settings = self._settings
        encoder = list(self._model.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        heads = [p for p in self._model.parameters() if id(p) not in known]
        optimizer = torch.optim.AdamW(
            [
                {"params": encoder, "lr": settings.learning_rate},
                {"params": heads, "lr": settings.head_learning_rate},
            ],
            weight_decay=settings.weight_decay,
        )
        warmup = max(1, int(settings.warmup * steps))

        def factor(step: int) -> float:
            return min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))

        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    def _epoch(
        self,
        train: Sequence[TaggedSentence],
        epoch: int,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        averaged: AveragedModel,
    ) -> float:
        chance = random.Random(f"{self._seed}/{epoch}")
        sentences = [self._swapper(sentence, chance) for sentence in train]
        self._model.train()
        losses: list[float] = []
        for batch in self._batcher(sentences, chance):
            loss = self._loss(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(self._model)
            losses.append(loss.item())
        return float(np.mean(losses))

    def _loss(self, batch: Batch) -> Tensor:
        inputs = (batch.input_ids, batch.attention_mask, batch.shape_ids)
        logits, loss = self._supervised(batch, inputs)
        if self._settings.consistency_weight:
            again, second = self._supervised(batch, inputs)
            kept = batch.tags != IGNORED
            loss = (loss + second) / 2 + self._settings.consistency_weight * _symmetric_kl(
                logits[kept], again[kept]
            )
        return loss

    def _supervised(
        self, batch: Batch, inputs: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        logits, fine_logits = self._model.training_logits(*inputs)
        smoothing = self._settings.label_smoothing
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.tags.flatten(), label_smoothing=smoothing
        )
        if fine_logits is not None and self._settings.fine_weight:
            loss = loss + self._settings.fine_weight * nn.functional.cross_entropy(
                fine_logits.flatten(0, 1), batch.fine_types.flatten(), label_smoothing=smoothing
            )
        return logits, loss

    def _save(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        averaged: AveragedModel,
        epoch: int,
        best: float,
    ) -> None:
        state = {
            "model": self._model.state_dict(),
            "averaged": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "random": torch.get_rng_state(),
            "epoch": epoch,
            "best": best,
        }
        with replacing(self._folder / "last.pt") as temporary:
            torch.save(state, temporary)

    def _restore(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        averaged: AveragedModel,
    ) -> tuple[int, float]:
        path = self._folder / "last.pt"
        if not path.exists():
            return 0, -1.0
        state = torch.load(path, weights_only=True)
        self._model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        self._report(f"seed {self._seed}: goes on after epoch {state['epoch']}")
        return int(state["epoch"]), float(state["best"])


def _symmetric_kl(left: Tensor, right: Tensor) -> Tensor:
    first, second = left.log_softmax(-1), right.log_softmax(-1)
    forward = nn.functional.kl_div(first, second, log_target=True, reduction="batchmean")
    backward = nn.functional.kl_div(second, first, log_target=True, reduction="batchmean")
    return (forward + backward) / 2


def word_logits(
    model: nn.Module, sentences: Sequence[TaggedSentence], windows: WordPieceWindows
) -> list[Floats]:
    """The tag logits of each sentence; each word's are those of the window that owns it.

    *Shape:* ``(words, tags)`` for each sentence.
    """
    model.eval()
    with torch.inference_mode():
        return [_sentence_logits(model, sentence, windows) for sentence in sentences]


def _sentence_logits(
    model: nn.Module, sentence: TaggedSentence, windows: WordPieceWindows
) -> Floats:
    parts: list[Floats] = []
    for window in windows(sentence.tokens):
        ids = torch.tensor([window.input_ids])
        logits = model(ids, torch.ones_like(ids), torch.tensor([window.shape_ids]))[0]
        firsts = [window.first_pieces[word - window.words.start] for word in window.owned]
        parts.append(logits[firsts].double().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 1))


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


def evaluate(
    model: nn.Module,
    sentences: Sequence[TaggedSentence],
    windows: WordPieceWindows,
    tags: Sequence[str],
) -> Count:
    """Exact-match counts of the model's own weights, float32."""
    return count_spans(word_logits(model, sentences, windows), sentences, tags)
