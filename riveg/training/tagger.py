"""``riveg train tagger``: trains several seeds, averages them where it helps, exports the best."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import MissingExtra, UserError, pip_install
from riveg.text.bio import OUTSIDE, bio_to_spans, spans_to_bio
from riveg.training.tagger_settings import TaggerTrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.evaluation.counts import Count
    from riveg.geometry.arrays import Floats
    from riveg.nn.shape_tagger import ShapeTagger
    from riveg.nn.word_pieces import WordPieceWindows
    from riveg.training.tagger_data import TaggedSentence


def train_tagger(config: TaggerTrainingConfig, *, report: Callable[[str], None]) -> Path:
    """Trains, exports and describes the tagger; a second call continues after the last epoch.

    Returns:
        The folder with ``model.onnx``, ``tokenizer.json``, ``tagger.json`` and ``CARD.md``.

    Raises:
        UserError: If the extra ``train``, the data or the base model is not there.
    """
    _require_extra()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return _Training(config, report).run()


def _require_extra() -> None:
    for package in ("torch", "transformers", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("riveg train tagger", package, "train")


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    weights: Mapping[str, Tensor]
    dev: Count


class _Training:
    def __init__(self, config: TaggerTrainingConfig, report: Callable[[str], None]) -> None:
        import torch

        from riveg.nn.word_pieces import WordPieceWindows
        from riveg.training.tagger_data import fine_types_of

        if config.threads is not None:
            torch.set_num_threads(config.threads)
        self._config = config
        self._report = report
        self._base = _base_folder(config.base)
        self._tokenizer = read_tokenizer(self._base / "tokenizer.json")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._windows: WordPieceWindows = WordPieceWindows(
            self._tokenizer, max_pieces=config.max_pieces
        )
        self._train = read_sentences(config.data, "train", config.labels)
        self._dev = read_sentences(config.data, "dev", config.labels)
        self._fine_types = fine_types_of(self._train)
        report(f"{len(self._train)} sentences to train on, {len(self._dev)} to choose by")

    def run(self) -> Path:
        candidates = [self._trained(seed, swap_rate) for seed, swap_rate in self._config.seed_plan]
        best = self._best(candidates)
        return self._export(best)

    def _model(self) -> ShapeTagger:
        import torch
        import transformers

        from riveg.nn.shape_tagger import ShapeTagger

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        # The same start for every seed: otherwise their weights cannot be averaged.
        torch.manual_seed(0)
        encoder = transformers.BertModel.from_pretrained(
            self._base, add_pooling_layer=False, attn_implementation="sdpa"
        )
        return ShapeTagger(
            encoder, len(self._config.tags), len(self._fine_types), self._config.dropout
        )

    def _trained(self, seed: int, swap_rate: float) -> _Candidate:
        import torch

        from riveg.nn.piece_layout import special_id
        from riveg.training.tagger_data import Batcher, MentionSwapper
        from riveg.training.tagger_loop import LoopSettings, TaggerLoop

        config = self._config
        settings = LoopSettings(
            **{name: getattr(config, name) for name in LoopSettings.__dataclass_fields__}
        )
        batcher = Batcher(
            self._windows,
            config.tags,
            self._fine_types,
            batch_size=config.batch_size,
            mask_rate=config.mask_rate,
            mask_id=special_id(self._tokenizer, "[MASK]"),
        )
        folder = config.work / f"seed-{seed}"
        loop = TaggerLoop(
            self._model(),
            settings,
            batcher=batcher,
            swapper=MentionSwapper(self._train, swap_rate),
            windows=self._windows,
            tags=config.tags,
            folder=folder,
            seed=seed,
            report=self._report,
        )
        loop.run(self._train, self._dev)
        weights = torch.load(folder / "best.pt", weights_only=True)
        return self._candidate(f"seed {seed}", weights)

    def _candidate(self, name: str, weights: Mapping[str, Tensor]) -> _Candidate:
        from riveg.training.tagger_loop import evaluate

        model = self._model()
        model.load_state_dict(weights)
        counts = evaluate(model, self._dev, self._windows, self._config.tags)
        self._report(f"{name}: dev F1 {counts.f1:.2f}")
        return _Candidate(name, weights, counts)

    def _best(self, candidates: Sequence[_Candidate]) -> _Candidate:
        from riveg.training.tagger_export import average_weights

        ranked = sorted(candidates, key=lambda candidate: -candidate.dev.f1)
        tried = list(candidates)
        for size in range(2, len(ranked) + 1):
            names = ", ".join(candidate.name for candidate in ranked[:size])
            weights = average_weights([candidate.weights for candidate in ranked[:size]])
            tried.append(self._candidate(f"average of {names}", weights))
        return max(tried, key=lambda candidate: candidate.dev.f1)

    def _export(self, best: _Candidate) -> Path:
        from riveg.training.tagger_export import calibrate_tagger, export_int8, write_settings

        out = self._config.out
        out.mkdir(parents=True, exist_ok=True)
        model = self._model()
        model.load_state_dict(best.weights)
        export_int8(model, out / "model.onnx")
        self._tokenizer.save(str(out / "tokenizer.json"))
        calibration = {"slope": 1.0, "intercept": 0.0}
        tags, max_pieces = self._config.tags, self._config.max_pieces
        write_settings(out, tags=tags, max_pieces=max_pieces, calibration=calibration)
        calibration = calibrate_tagger(self._dev, self._int8_logits(out), tags)
        write_settings(out, tags=tags, max_pieces=max_pieces, calibration=calibration)
        self._describe(out, best)
        return out

    def _int8_logits(self, folder: Path) -> list[Floats]:
        from riveg.stages.taggers.mini import MiniTagger

        tagger = MiniTagger(folder)
        return [tagger.word_logits(sentence.tokens) for sentence in self._dev]

    def _describe(self, out: Path, best: _Candidate) -> None:
        from riveg.training.tagger_card import measure, write_card

        figures = measure(out, self._dev)
        self._report(
            f"int8: dev F1 {figures.counts.f1:.2f}, ECE {figures.calibration_error:.3f}, "
            f"{figures.size_mb:.1f} MB"
        )
        labels = Counter(
            label for sentence in self._train for _, label in bio_to_spans(sentence.tags)
        )
        write_card(
            out / "CARD.md",
            config=self._config,
            chosen=best.name,
            float_f1=best.dev.f1,
            figures=figures,
            train_sentences=len(self._train),
            train_entities=dict(labels),
        )


def _base_folder(base: str) -> Path:
    prefix = "package:"
    if not base.startswith(prefix):
        folder = Path(base)
    else:
        name = base.removeprefix(prefix)
        try:
            folder = Path(import_module(name).get_model_path())
        except ImportError as error:
            command = pip_install(f"--no-deps {name.replace('_', '-')}")
            raise UserError(f"base: the Python package {name} is not here: {command}") from error
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"base: {folder} holds no encoder (no tokenizer.json)")
    return folder


def read_sentences(data: str, split: str, labels: Iterable[str]) -> list[TaggedSentence]:
    """A dataset's split as tagged sentences.

    Raises:
        UserError: If the split has no gold, or a label is not among ``labels``.
    """
    from riveg.datasets.opening import open_dataset
    from riveg.training.tagger_data import TaggedSentence

    allowed = set(labels)
    sentences = []
    for sample, gold in open_dataset(data, split=split).annotated_samples():
        fine = [OUTSIDE] * len(sample.tokens)
        for entity in gold.entities:
            if entity.label not in allowed:
                raise UserError(f"{data} {split}: label {entity.label!r} is not among `labels`")
            span = entity.span
            fine[span.start : span.end] = [entity.fine_label or entity.label] * (
                span.end - span.start
            )
        spans = [(entity.span, entity.label) for entity in gold.entities]
        tags = spans_to_bio(spans, len(sample.tokens))
        sentences.append(TaggedSentence(sample.tokens, tags, tuple(fine)))
    if not sentences:
        raise UserError(f"{data} {split}: has no gold to train on")
    return sentences
