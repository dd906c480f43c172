"""What the training loop asks of a sequence tagger: rows, network, loss, figures on dev."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from riveg.checkpoints.encoder_folders import encoder_folder
from riveg.evaluation.bootstrap import Tally
from riveg.evaluation.counts import Count
from riveg.formats.json_files import checked
from riveg.nn.encoders import load_encoder, load_fast_tokenizer, padding_id
from riveg.nn.sequence_tagger import FINE_TAGS, TAGS, SequenceTagger
from riveg.nn.tagger_decoding import FoundEntity, fine_spans, found_entities
from riveg.nn.tagger_design import TaggerDesign, TaggerSettings
from riveg.nn.tagger_folder import require_pieces, require_positions
from riveg.nn.tagger_inputs import collate
from riveg.nn.tagger_prediction import TaggerPrediction
from riveg.nn.word_pieces import WordPieceWindows
from riveg.training.config import Course
from riveg.training.crf_tagger.data import (
    LabelSet,
    RowMaker,
    TaggerRow,
    knowledge_differs,
    label_set,
    read_posts,
    rows_with_knowledge,
    together,
)
from riveg.training.crf_tagger.settings import CrfTaggerSettings
from riveg.training.data import hidden_by_longer
from riveg.types import Span
from riveg.vision.runtime.loading import Placement

F1, FINE_F1, FINE_HEAD_F1 = "f1", "fine_f1", "fine_head_f1"
"""Figures on dev, in percent: spans with labels; with fine labels; of the fine head by itself."""


@dataclass(frozen=True, slots=True)
class DevAnswers:
    """What a network finds in the posts of dev.

    Args:
        entities: The tagger's answers, by post.
        by_fine_head: What the fine head says by itself, by post; empty where there is one level.
    """

    entities: Sequence[tuple[FoundEntity, ...]]
    by_fine_head: Sequence[Sequence[tuple[Span, str]]]


class CrfTagger:
    """What the training loop asks of the tagger.

    Args:
        config: What to train.
        course: On what; hears what was read.
    """

    def __init__(self, config: CrfTaggerSettings, course: Course) -> None:
        self.config = config
        self._folder = encoder_folder(config.model, config.revision)
        self.tokenizer = load_fast_tokenizer(self._folder)
        self.train = read_posts(config, course.train)
        self.dev = read_posts(config, course.dev)
        self.labels = label_set(config, self.train, self.dev)
        encoder = load_encoder(self._folder)
        require_positions(encoder, config.max_pieces)
        require_pieces(encoder, self.tokenizer, self._folder)
        self.padding_id = padding_id(encoder)
        maker = RowMaker(
            WordPieceWindows(self.tokenizer, max_pieces=config.max_pieces),
            self.labels,
            level=config.level,
            knowledge_is_scored=config.knowledge_is_scored,
        )
        self._rows = list(maker.rows(self.train.posts))
        self._dev_rows = list(maker.first_rows(self.dev.posts))
        self.design = _design(config, self.labels, self.train.name)
        for text in self.remarks():
            course.progress.note(text)

    @property
    def metric(self) -> str:
        """F1 of spans with labels, the fine ones where these are learnt."""
        return F1 if self.config.level == "coarse" else FINE_F1

    @property
    def settings(self) -> TaggerSettings:
        """What the trained folder says of itself, before it is calibrated."""
        return TaggerSettings(
            design=self.design,
            coarse_of=self.labels.coarse_of,
            max_pieces=self.config.max_pieces,
            knowledge=self.config.knowledge,
            knowledge_is_scored=self.config.knowledge_is_scored,
            knowledge_made_by=self.train.knowledge_made_by,
        )

    def remarks(self) -> list[str]:
        """What a user should know of the data: how many rows, and what of the knowledge is cut."""
        rows, dev = len(self._rows), len(self._dev_rows)
        texts = [f"{rows} rows to learn from, {dev} posts to choose by"]
        for posts in (self.train, self.dev):
            if (hidden := hidden_by_longer(posts.source)) is not None:
                texts.append(f"{hidden}; they are not learnt, and on dev they count as missed")
        if self.config.knowledge != "none":
            for posts, found in ((self.train, self._rows), (self.dev, self._dev_rows)):
                texts += posts.remarks
                having, cut = rows_with_knowledge(found)
                without = sum(1 for post in posts.posts if not post.knowledge)
                texts.append(
                    f"{posts.name}: {having} rows have knowledge, the end of {cut} is cut off "
                    f"(max_pieces {self.config.max_pieces}); {without} posts have none"
                )
            if (differs := knowledge_differs(self.train, self.dev)) is not None:
                texts.append(differs)
        return texts

    def rows(self) -> Sequence[TaggerRow]:
        """The rows of train."""
        return self._rows

    def length(self, row: TaggerRow) -> int:
        """Its pieces."""
        return row.pieces

    def network(self) -> SequenceTagger:
        """The pretrained encoder with heads of random weights, the same for the same seed."""
        transformers.set_seed(self.config.loop.seed)
        start = None
        if self.design.fine_tags:
            start = together(self._rows, len(self.design.tags), len(self.design.fine_tags))
        return SequenceTagger(load_encoder(self._folder), self.design, start)

    def batch(self, rows: Sequence[TaggerRow], chance: random.Random) -> dict[str, Tensor]:  # noqa: ARG002
        """Pieces and gold tags of rows."""
        batch = collate(
            [row.windows for row in rows],
            padding_id=self.padding_id,
            with_knowledge=self.config.knowledge_is_scored,
        )
        batch[TAGS] = _padded([row.tags for row in rows])
        if self.design.fine_tags:
            batch[FINE_TAGS] = _padded([row.fine_tags for row in rows])
        return batch

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean negative log-likelihood of the gold tags."""
        return _tagger(network).loss(batch)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """F1 on dev in percent: of labels, and of fine labels where these are learnt."""
        totals = self.tally(self.answers_on_dev(_tagger(network))).totals()
        return {name: count.f1 for name, count in totals.items()}

    def tally(self, answers: DevAnswers) -> Tally:
        """Hits, predicted and gold entities of each post of dev, by figure."""
        tally = Tally()
        posts = zip(self.dev.posts, answers.entities, answers.by_fine_head, strict=True)
        for post, found, by_fine_head in posts:
            gold = {(entity.span, entity.label) for entity in post.gold.entities}
            fine = {(entity.span, str(entity.fine_label)) for entity in post.gold.entities}
            counts = {F1: _count([(one.span, one.label) for one in found], gold)}
            if self.labels.coarse_of:
                counts[FINE_F1] = _count([(one.span, str(one.fine_label)) for one in found], fine)
            if self.design.fine_tags:
                counts[FINE_HEAD_F1] = _count(by_fine_head, fine)
            tally.add(counts)
        return tally

    def answers_on_dev(self, network: SequenceTagger) -> DevAnswers:
        """What the network finds in each post of dev, wherever it lies, in float32."""
        found: list[tuple[FoundEntity, ...]] = [()] * len(self._dev_rows)
        by_fine_head: list[list[tuple[Span, str]]] = [[] for _ in self._dev_rows]
        texts = [row.windows for row in self._dev_rows]
        for numbers, emissions, words in self._prediction(network).emissions(texts):
            entities = found_entities(network, emissions, words, self.labels.coarse_of)
            spans = fine_spans(network, emissions, words)
            for position, number in enumerate(numbers):
                found[number] = entities[position]
                by_fine_head[number] = spans[position] if spans else []
        return DevAnswers(found, by_fine_head)

    def _prediction(self, network: SequenceTagger) -> TaggerPrediction:
        return TaggerPrediction(
            network,
            Placement(next(network.parameters()).device, torch.float32),
            padding_id=self.padding_id,
            batch_size=4 * self.config.loop.batch_size,
            coarse_of=self.labels.coarse_of,
            with_knowledge=self.config.knowledge_is_scored,
        )


def _count(found: Sequence[tuple[Span, str]], gold: Set[tuple[Span, str]]) -> Count:
    return Count(len(gold & {*found}), len(found), len(gold))


def _tagger(network: nn.Module) -> SequenceTagger:
    if not isinstance(network, SequenceTagger):
        raise TypeError(f"expected a SequenceTagger, got {type(network).__name__}")
    return network


def _design(config: CrfTaggerSettings, labels: LabelSet, name: str) -> TaggerDesign:
    values = {
        "tags": labels.fine_tags if config.level == "fine" else labels.tags,
        "fine_tags": labels.fine_tags if config.level == "both" else (),
        "crf": config.head == "crf",
        **config.model_dump(include={"shapes", "dropout", "alpha", "beta"}),
    }
    return checked(TaggerDesign, values, f"{name}: nobody can learn its labels")


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)
