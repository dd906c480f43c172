"""``riveg train tagger``: corpora first, then the task with several seeds; exports the best."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers

from riveg.checkpoints.encoder_folders import encoder_folder
from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import UserError
from riveg.evaluation.counts import Count
from riveg.files import write_atomically
from riveg.nn.encoders import load_encoder
from riveg.nn.piece_layout import special_id
from riveg.nn.shape_tagger import ShapeTagger
from riveg.nn.word_pieces import WordPieceWindows
from riveg.text.bio import bio_tags
from riveg.training.data import hidden_by_longer
from riveg.training.loop import Trained, train
from riveg.training.loop_arguments import require_there
from riveg.training.loop_settings import LoopSettings
from riveg.training.tagger.card import card_of, measure
from riveg.training.tagger.data import (
    MentionSwapper,
    TaggedCorpus,
    fine_types_of,
    tagged_corpus,
    tagged_sentences,
)
from riveg.training.tagger.export import (
    average_weights,
    calibrate_tagger,
    export_int8,
    int8_logits,
    write_settings,
)
from riveg.training.tagger.teacher import Teacher, teacher_settings
from riveg.training.tagger.trainee import (
    ANSWERS,
    FINE_TYPES,
    TAGS,
    TRUST,
    TaggerTrainee,
    TaskSentence,
    count_spans,
    word_logits,
)

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.geometry.arrays import Floats
    from riveg.training.config import Course
    from riveg.training.tagger.settings import TaggerSettings


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Weights of the whole network; what they find on dev as they are, and in int8."""

    name: str
    weights: Mapping[str, Tensor]
    full: Count
    int8: Count


class TaggerTraining:
    """One training of the embedded tagger.

    Raises:
        UserError: If the data, a corpus, a teacher or the base model cannot be used.
    """

    def __init__(self, config: TaggerSettings, course: Course) -> None:
        self._config = config
        self._course = course
        # What only the last loop asks for should not be missed after the first has taken an hour.
        if config.corpora:
            require_there(config.pretraining, "pretraining")
        require_there(config.loop)
        for model in config.teacher.models if config.teacher else ():
            teacher_settings(model, config.tags)
        self._base = encoder_folder(config.base)
        _require_bert(self._base)
        self._tokenizer = read_tokenizer(self._base / "tokenizer.json")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._windows = WordPieceWindows(self._tokenizer, max_pieces=config.max_pieces)
        self._train = tagged_sentences(course.train, config.labels)
        self._dev = tagged_sentences(course.dev, config.labels)
        others = iter(course.others)
        self._corpora = [
            tagged_corpus(corpus, [next(others) for _ in corpus.splits], random.Random(0))
            for corpus in config.corpora
        ]
        _require_different(self._corpora)
        for split in (course.train, course.dev, *course.others):
            if (hidden := hidden_by_longer(split)) is not None:
                course.progress.note(f"{hidden}; they are neither learnt nor, on dev, counted")
        course.progress.note(
            f"{len(self._train)} sentences to train on, {len(self._dev)} to choose by"
        )

    def run(self) -> str:
        """Trains and exports; the text of the card."""
        start = self._network
        candidates: list[_Candidate] = []
        taught = self._taught_rows()
        if self._corpora:
            start = self._pretrained()
            candidates.append(self._candidate("pretraining", start().state_dict()))
        candidates += [
            self._candidate(f"seed {seed}", self._trained(start, taught, seed, swap_rate))
            for seed, swap_rate in self._config.seed_plan
        ]
        tried = [*candidates, *self._averages(candidates)]
        best = max(tried, key=lambda candidate: candidate.int8.f1)
        self._export(best.weights)
        return card_of(
            config=self._config,
            corpora=self._corpora,
            chosen=best.name,
            float_f1=best.full.f1,
            figures=measure(self._course.out, self._dev),
            source=self._course.train,
            sentences=self._train,
            taught=len(taught) if self._config.teacher else 0,
        )

    def _network(self) -> ShapeTagger:
        # The same start for every seed: otherwise their weights cannot be averaged.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            encoder = transformers.BertModel.from_pretrained(
                self._base, add_pooling_layer=False, attn_implementation="sdpa"
            )
            encoder.embeddings.word_embeddings.requires_grad_(self._config.train_words)
            classes = self._classes
            side = {task: len(names) for task, names in classes.items() if task != TAGS}
            return ShapeTagger(encoder, len(classes[TAGS]), side, self._config.dropout)

    @property
    def _classes(self) -> dict[str, tuple[str, ...]]:
        fine_types = fine_types_of(self._train)
        return {
            TAGS: self._config.tags,
            **({FINE_TYPES: fine_types} if fine_types else {}),
            **{_task(corpus): bio_tags(corpus.labels) for corpus in self._corpora},
        }

    def _pretrained(self) -> Callable[[], ShapeTagger]:
        rows = [
            TaskSentence(_task(corpus), sentence)
            for corpus in self._corpora
            for sentence in corpus.sentences
        ]
        trainee = self._trainee(self._network, [*self._own_rows(), *rows], swap_rate=0.0)
        trained = self._loop(trainee, self._config.pretraining, "pretraining")

        def start() -> ShapeTagger:
            network = self._network()
            trained.load_into(network)
            return network

        return start

    def _trained(
        self,
        start: Callable[[], ShapeTagger],
        rows: Sequence[TaskSentence],
        seed: int,
        swap_rate: float,
    ) -> Mapping[str, Tensor]:
        trainee = self._trainee(start, rows, swap_rate)
        settings = self._config.loop.model_copy(update={"seed": seed})
        trained = self._loop(trainee, settings, f"seed {seed}")
        network = start()
        trained.load_into(network)
        return network.state_dict()

    def _own_rows(self) -> Iterator[TaskSentence]:
        return (TaskSentence(TAGS, sentence) for sentence in self._train)

    def _taught_rows(self) -> list[TaskSentence]:
        """The rows of the task's own training, with the teachers' answers if there are any."""
        own = list(self._own_rows())
        settings = self._config.teacher
        if settings is None:
            return own
        chance = random.Random(0)
        others = [
            TaskSentence(None, sentence)
            for corpus in self._corpora
            for sentence in corpus.sentences
            if chance.random() < settings.corpora_share
        ]
        rows = [*own, *others]
        texts = [row.sentence.tokens for row in rows]
        answers = [
            Teacher(model, self._config.tags, settings.dtype)(texts, self._course.progress)
            for model in settings.models
        ]
        return [
            replace(row, answers=np.mean(each, axis=0))
            for row, each in zip(rows, zip(*answers, strict=True), strict=True)
        ]

    def _trainee(
        self, start: Callable[[], ShapeTagger], rows: Sequence[TaskSentence], swap_rate: float
    ) -> TaggerTrainee:
        config = self._config
        return TaggerTrainee(
            start=start,
            sentences=rows,
            dev=self._dev,
            classes=self._classes,
            windows=self._windows,
            swapper=MentionSwapper(self._train, swap_rate),
            mask_rate=config.mask_rate,
            mask_id=special_id(self._tokenizer, "[MASK]"),
            label_smoothing=config.label_smoothing,
            fine_weight=config.fine_weight,
            trust=config.teacher.trust if config.teacher else 0.0,
            adversarial=config.adversarial,
        )

    def _loop(self, trainee: TaggerTrainee, settings: LoopSettings, name: str) -> Trained:
        folder = self._course.work / name.replace(" ", "-")
        return train(trainee, settings, folder, progress=self._course.progress, name=name)

    def _candidate(self, name: str, weights: Mapping[str, Tensor]) -> _Candidate:
        network = self._network_of(weights)
        with torch.inference_mode():
            logits = word_logits(network, self._dev, self._windows)
        full = count_spans(logits, self._dev, self._config.tags)
        with tempfile.TemporaryDirectory() as folder:
            int8 = count_spans(self._written(network, Path(folder)), self._dev, self._config.tags)
        self._course.progress.note(f"{name}: dev F1 {full.f1:.2f}, in int8 {int8.f1:.2f}")
        return _Candidate(name, weights, full, int8)

    def _averages(self, candidates: Sequence[_Candidate]) -> Iterator[_Candidate]:
        """Of the best two, the best three, and so on (Wortsman et al. 2022)."""
        ranked = sorted(candidates, key=lambda candidate: -candidate.int8.f1)
        for size in range(2, len(ranked) + 1):
            names = ", ".join(candidate.name for candidate in ranked[:size])
            weights = average_weights([candidate.weights for candidate in ranked[:size]])
            yield self._candidate(f"average of {names}", weights)

    def _network_of(self, weights: Mapping[str, Tensor]) -> ShapeTagger:
        network = self._network()
        network.load_state_dict(weights)
        return network.eval()

    def _written(self, network: ShapeTagger, folder: Path) -> list[Floats]:
        """Writes the files of ``tag: mini`` without a calibration; what they say of dev."""
        export_int8(network, folder / "model.onnx")
        tokenizer = self._tokenizer.to_str(pretty=True)
        write_atomically(folder / "tokenizer.json", [tokenizer.encode()])
        self._write_settings(folder, {"slope": 1.0, "intercept": 0.0})
        return int8_logits(folder, self._dev)

    def _write_settings(self, folder: Path, calibration: Mapping[str, float]) -> None:
        tags, max_pieces = self._config.tags, self._config.max_pieces
        write_settings(folder, tags=tags, max_pieces=max_pieces, calibration=calibration)

    def _export(self, weights: Mapping[str, Tensor]) -> None:
        out = self._course.out
        logits = self._written(self._network_of(weights), out)
        self._write_settings(out, calibrate_tagger(self._dev, logits, self._config.tags))


def _require_bert(folder: Path) -> None:
    """The library would give any other kind random weights, and say nothing."""
    kind = load_encoder(folder).config.model_type
    if kind != "bert":
        raise UserError(
            f"base: {folder} is an encoder of the kind {kind}; `tag: mini` runs bert alone, "
            "`riveg train crf-tagger` takes any"
        )


def _task(corpus: TaggedCorpus) -> str:
    """Names a head: torch allows no dot in it."""
    return corpus.name.replace(".", "-")


def _require_different(corpora: Sequence[TaggedCorpus]) -> None:
    names = [TAGS, FINE_TYPES, ANSWERS, TRUST, *map(_task, corpora)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"corpora: {', '.join(twice)} names two things to learn; rename one")
