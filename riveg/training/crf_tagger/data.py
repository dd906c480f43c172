"""Annotated posts as rows of a sequence tagger: windows of pieces and tags, with knowledge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from riveg.datasets.dataset import quoted
from riveg.datasets.knowledge import knowledge_of
from riveg.errors import UserError
from riveg.formats.knowledge_runs import UNKNOWN, knowledge_run
from riveg.nn.tag_transitions import span_tags
from riveg.nn.word_pieces import Window, WordPieceWindows
from riveg.text.bio import OUTSIDE
from riveg.training.crf_tagger.settings import CrfTaggerSettings
from riveg.training.data import AnnotatedSplit, apart, coarse_of_fine
from riveg.types import Gold, GoldEntity, Sample, Span


@dataclass(frozen=True, slots=True)
class Post:
    """An annotated post, and the different pieces of knowledge about it."""

    sample: Sample
    gold: Gold
    knowledge: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaggerRow:
    """A post as the network reads it.

    Args:
        windows: Its pieces.
        tags: Numbers of its words' tags, and of its words of knowledge where these are tagged.
        fine_tags: The same of the fine level; ``()`` where there is one level.
    """

    windows: tuple[Window, ...]
    tags: tuple[int, ...]
    fine_tags: tuple[int, ...]

    @property
    def pieces(self) -> int:
        """All pieces of its windows."""
        return sum(len(window.input_ids) for window in self.windows)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of train.

    Args:
        labels: Coarse ones.
        coarse_of: Fine label -> coarse label; empty where fine labels are not learnt.
        closes: Whether tags are BIOES, not BIO.
    """

    labels: tuple[str, ...]
    coarse_of: dict[str, str]
    closes: bool

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags of the coarse level."""
        return self._tags(self.labels)

    @property
    def fine_tags(self) -> tuple[str, ...]:
        """All tags of the fine level."""
        return self._tags(tuple(self.coarse_of))

    def _tags(self, labels: Sequence[str]) -> tuple[str, ...]:
        letters = "BIES" if self.closes else "BI"
        return (OUTSIDE, *(f"{letter}-{label}" for label in labels for letter in letters))


@dataclass(frozen=True, slots=True)
class Posts:
    """The posts of a split that have words, in file order, and where they come from.

    Args:
        source: The split.
        posts: Its posts.
        knowledge_files: What their knowledge is from.
        remarks: Of each of these files, what it holds and who has made it.
    """

    source: AnnotatedSplit
    posts: tuple[Post, ...]
    knowledge_files: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.source.dataset.name} {self.source.dataset.split}"

    @property
    def knowledge_made_by(self) -> tuple[str, ...]:
        """Fingerprints of the stages that made the knowledge; ``unknown`` of other files.

        Raises:
            UserError: If a run has not come to its end.
        """
        runs = map(knowledge_run, self.knowledge_files)
        return tuple(sorted({run.fingerprint if run else UNKNOWN for run in runs}))


def read_posts(config: CrfTaggerSettings, source: AnnotatedSplit) -> Posts:
    """The annotated posts of a split, with the knowledge about them where it is appended.

    Raises:
        UserError: If knowledge is not there, or about other posts.
    """
    pairs = [pair for pair in source.pairs if pair[0].tokens]
    if config.knowledge == "none":
        return Posts(source, tuple(Post(*pair) for pair in pairs))
    files = config.files_of_knowledge(source)
    name = f"{config.data} {source.dataset.split}"
    if not files:
        raise UserError(
            f"knowledge: {name} has no knowledge files; add `knowledge:` to the dataset's YAML "
            "file, or set knowledge_files"
        )
    remarks: list[str] = []
    # A run has knowledge about posts without words or gold, too.
    samples = source.dataset.samples()
    found = knowledge_of(samples, files, name, remarks.append)
    posts = tuple(Post(sample, gold, found.get(sample.id, ())) for sample, gold in pairs)
    return Posts(source, posts, tuple(files), tuple(remarks))


def knowledge_differs(train: Posts, dev: Posts) -> str | None:
    """Told where the knowledge that dev is read with was made otherwise than all that of train.

    Only runs say how they were made: where another file is among them, nobody knows.

    Raises:
        UserError: If a run has not come to its end.
    """
    made = train.knowledge_made_by
    first = knowledge_run(dev.knowledge_files[0])
    if first is None or UNKNOWN in made or first.fingerprint in made:
        return None
    return (
        f"the knowledge of {dev.name} was made by another model, prompt or examples than that of "
        f"{train.name}; figures on dev are then those of other knowledge than was learnt"
    )


def label_set(config: CrfTaggerSettings, train: Posts, dev: Posts) -> LabelSet:
    """The labels of train.

    Raises:
        UserError: If there are none, dev has another, an entity lacks a fine label that is to be
            learnt, or a fine label stands below two coarse ones.
    """
    counts = Counter(entity.label for _, entity in _entities(train.posts))
    labels = [label for label in train.source.dataset.labels if label in counts]
    labels += sorted(set(counts) - set(labels))
    if not labels:
        raise UserError(f"{train.name}: has no entity to learn from")
    if not any(_entities(dev.posts)):
        raise UserError(f"{dev.name}: has no entity by which the best epoch could be chosen")
    coarse_of = {}
    if config.level != "coarse":
        coarse_of = coarse_of_fine(train.source, f"level: {config.level}")
    for post, entity in _entities(dev.posts):
        if coarse_of and entity.fine_label is None:
            raise UserError(
                f"{dev.name}: {quoted(entity.text)} of {quoted(post.sample.id)} has no fine "
                f"label; level: {config.level} needs one on every entity"
            )
        asked = [(entity.label, labels), *([(entity.fine_label, coarse_of)] if coarse_of else [])]
        for name, known in asked:
            if name not in known:
                raise UserError(
                    f"{dev.name}: the label {quoted(str(name))} of {quoted(post.sample.id)} is on "
                    f"no entity of {train.name}; nobody can learn it"
                )
    return LabelSet(tuple(labels), coarse_of, closes=config.scheme == "bioes")


def _entities(posts: Sequence[Post]) -> Iterator[tuple[Post, GoldEntity]]:
    return ((post, entity) for post in posts for entity in post.gold.entities)


class RowMaker:
    """Makes rows of posts.

    Args:
        windows: Cuts texts into pieces.
        labels: The labels.
        level: Which of them are learnt.
        knowledge_is_scored: Whether words of knowledge are tagged ``O``.
    """

    def __init__(
        self, windows: WordPieceWindows, labels: LabelSet, *, level: str, knowledge_is_scored: bool
    ) -> None:
        self._windows = windows
        self._labels = labels
        self._level = level
        self._knowledge_is_scored = knowledge_is_scored
        self._numbers = {tag: number for number, tag in enumerate(labels.tags)}
        self._fine_numbers = {tag: number for number, tag in enumerate(labels.fine_tags)}

    def rows(self, posts: Sequence[Post]) -> Iterator[TaggerRow]:
        """A row for each piece of knowledge about each post; one for a post without any."""
        for post in posts:
            for text in post.knowledge or ("",):
                yield self._row(post, text)

    def first_rows(self, posts: Sequence[Post]) -> Iterator[TaggerRow]:
        """One row for each post, with the first piece of knowledge about it."""
        return (self._row(post, next(iter(post.knowledge), "")) for post in posts)

    def _row(self, post: Post, knowledge: str) -> TaggerRow:
        windows = self._windows(post.sample.tokens, knowledge.split())
        more = len(windows[-1].knowledge_first_pieces) if self._knowledge_is_scored else 0
        entities = apart(post.gold.entities)
        coarse = [(entity.span, entity.label) for entity in entities]
        fine = [(entity.span, entity.fine_label or "") for entity in entities]
        length = len(post.sample.tokens)
        coarse_tags = self._tags(coarse, length, more, self._numbers)
        if self._level == "coarse":
            return TaggerRow(windows, coarse_tags, ())
        fine_tags = self._tags(fine, length, more, self._fine_numbers)
        if self._level == "fine":
            return TaggerRow(windows, fine_tags, ())
        return TaggerRow(windows, coarse_tags, fine_tags)

    def _tags(
        self, spans: Sequence[tuple[Span, str]], length: int, more: int, numbers: dict[str, int]
    ) -> tuple[int, ...]:
        tags = [numbers[OUTSIDE]] * (length + more)
        for span, label in spans:
            own = span_tags(label, span.end - span.start, closes=self._labels.closes)
            tags[span.start : span.end] = [numbers[tag] for tag in own]
        return tuple(tags)


def rows_with_knowledge(rows: Sequence[TaggerRow]) -> tuple[int, int]:
    """How many rows have knowledge, and of how many its end has found no room."""
    last = [row.windows[-1] for row in rows]
    having = [one for one in last if one.knowledge_first_pieces or one.knowledge_cut]
    return len(having), sum(1 for one in having if one.knowledge_cut)


def together(rows: Sequence[TaggerRow], tags: int, fine_tags: int) -> Tensor:
    """How often a word has each pair of a coarse and a fine tag, *shape* ``(tags, fine tags)``."""
    counts = torch.zeros(tags, fine_tags)
    for row in rows:
        for pair in zip(row.tags, row.fine_tags, strict=True):
            counts[pair] += 1
    return counts
