"""Twitter-GMNER as the entailer's trainer wants it: posts, and which entities have a box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException, ElementTree

from riveg.errors import UserError
from riveg.formats.bio import bio_to_spans
from riveg.formats.conll import ConllSentence, read_conll
from riveg.models.entailment_features import (
    LABELS,
    Fame,
    known_label,
    mention_features,
    mention_words,
)
from riveg.stages.captioners.recorded import read_captions
from riveg.text import join_tokens
from riveg.types import Entity, ImageRef, Sample


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A post with its gold entities; ``shown`` says of each whether it has a box."""

    sample: Sample
    shown: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A mention's features and what is to be learnt; ``sample`` is its post's number."""

    features: Mapping[str, float]
    shown: bool
    sample: int


def read_judged(text: Path, boxes: Path, captions: Mapping[str, str]) -> tuple[JudgedSample, ...]:
    """Posts of a CoNLL file with the groundability of their entities.

    Args:
        text: ``IMGID:`` lines, tokens and BIO tags.
        boxes: Folder of VOC files; an object's name is an entity's surface form. No file: no box.
        captions: By picture id.

    Raises:
        UserError: If a file is missing or malformed.
    """
    if not boxes.is_dir():
        raise UserError(f"{boxes}: no such folder of VOC files")
    return tuple(_judged(sentence, text, boxes, captions) for sentence in read_conll(text))


def _judged(
    sentence: ConllSentence, text: Path, boxes: Path, captions: Mapping[str, str]
) -> JudgedSample:
    picture = sentence.image_id
    if picture is None:
        raise UserError(f"{text}:{sentence.line}: a sentence without its `IMGID:` line")
    names = _boxed_names(boxes / f"{picture}.xml")
    joined, offsets = join_tokens(sentence.tokens)
    spans = bio_to_spans(sentence.columns[0]) if sentence.columns else ()
    entities = tuple(
        Entity(f"e{number}", " ".join(sentence.tokens[span.start : span.end]), label, span)
        for number, (span, label) in enumerate(spans)
    )
    sample = Sample(
        picture,
        joined,
        sentence.tokens,
        offsets,
        image=ImageRef(f"{picture}.jpg"),
        caption=captions.get(picture),
        entities=entities,
    )
    return JudgedSample(sample, tuple(entity.text in names for entity in entities))


def _boxed_names(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException) as error:
        raise UserError(f"{path}: not a VOC file ({error})") from error
    return frozenset(found.findtext("name", "") for found in root.iter("object"))


def read_all_captions(paths: Iterable[Path]) -> dict[str, str]:
    """Captions of several files by picture id; the first file that has one counts."""
    captions: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file of captions")
        for picture, caption in read_captions(path).items():
            if caption is not None:
                captions.setdefault(picture, caption)
    return captions


class FameCounter:
    """Counts names in train, and gives the fame that a post would see without itself.

    Args:
        judged: The posts of train.
        least_uses: Names with fewer uses are forgotten, here and in what is shipped alike.
    """

    def __init__(self, judged: Sequence[JudgedSample], *, least_uses: int) -> None:
        self._least_uses = least_uses
        self._mentions: Counter[tuple[str, bool]] = Counter()
        self._words: Counter[tuple[str, bool]] = Counter()
        labels: Counter[tuple[str, bool]] = Counter()
        for one in judged:
            mentions, words = _names(one)
            self._mentions.update(mentions)
            self._words.update(words)
            labels.update(
                (known_label(entity.label), shown)
                for entity, shown in zip(one.sample.entities or (), one.shown, strict=True)
            )
        self._rates = {
            label: (labels[label, True] + 1) / (labels[label, True] + labels[label, False] + 2)
            for label in LABELS
        }

    def fame(self) -> Fame:
        """The fame of all train."""
        nothing: Counter[tuple[str, bool]] = Counter()
        return Fame(
            self._counted(self._mentions, nothing, {name for name, _ in self._mentions}),
            self._counted(self._words, nothing, {name for name, _ in self._words}),
            self._rates,
        )

    def fame_without(self, judged: JudgedSample) -> Fame:
        """The fame of a post's own names, the post itself left out: its answer must not leak."""
        mentions, words = map(Counter, _names(judged))
        return Fame(
            self._counted(self._mentions, mentions, {name for name, _ in mentions}),
            self._counted(self._words, words, {name for name, _ in words}),
            self._rates,
        )

    def _counted(
        self,
        counts: Mapping[tuple[str, bool], int],
        own: Mapping[tuple[str, bool], int],
        names: Iterable[str],
    ) -> dict[str, tuple[int, int]]:
        counted: dict[str, tuple[int, int]] = {}
        for name in sorted(names):
            shown = counts.get((name, True), 0) - own.get((name, True), 0)
            uses = shown + counts.get((name, False), 0) - own.get((name, False), 0)
            if uses >= self._least_uses:
                counted[name] = (uses, shown)
        return counted


def _names(judged: JudgedSample) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    mentions: list[tuple[str, bool]] = []
    words: list[tuple[str, bool]] = []
    for entity, shown in zip(judged.sample.entities or (), judged.shown, strict=True):
        own = mention_words(judged.sample, entity)
        mentions.append((" ".join(own), shown))
        words += [(word, shown) for word in own]
    return mentions, words


def training_rows(
    judged: Sequence[JudgedSample], counter: FameCounter, *, captioned: bool
) -> Iterator[Row]:
    """Rows of train, each seen with the fame that the other posts give its names."""
    for number, one in enumerate(judged):
        if captioned and not one.sample.caption:
            continue
        fame = counter.fame_without(one)
        for entity, shown in zip(one.sample.entities or (), one.shown, strict=True):
            features = mention_features(
                one.sample, entity, known_label(entity.label), fame, captioned=captioned
            )
            yield Row(features, shown, number)
