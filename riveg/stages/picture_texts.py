"""Entailment by a network that says how well a text fits a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from riveg.errors import ImageFault
from riveg.models.picture_tensors import distinct_pictures
from riveg.models.query_text import Cut, query_text
from riveg.models.text_matching import Pair, TextMatcher
from riveg.protocols import Mention, Partly, PictureSource
from riveg.types import WARNING, Entailment, Issue

Answer = Entailment | Partly[Entailment] | Issue


class PictureTexts:
    """Asks a matcher about mentions: each picture once, each pair of picture and text once.

    Args:
        images: Where pictures come from.
        matcher: The network.
        query: The template of the text.
        threshold: Groundable from this probability on.
        source: Of the answers.
    """

    def __init__(
        self,
        images: PictureSource,
        matcher: TextMatcher,
        *,
        query: str,
        threshold: float,
        source: str,
    ) -> None:
        self._images = images
        self._matcher = matcher
        self._query = query
        self._threshold = threshold
        self._source = source

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Answer]:
        """P(the text fits the picture); 0 and never groundable for a post without a picture."""
        references = (mention.sample.image for mention in mentions)
        opened = distinct_pictures(self._images, references, self._matcher.processor)
        usable = {path: one for path, one in opened.items() if not isinstance(one, ImageFault)}
        places = {path: place for place, path in enumerate(usable)}
        cuts = self._cuts(mentions)
        asked = [
            (number, Pair(places[mention.sample.image.path], cuts[number].text))
            for number, mention in enumerate(mentions)
            if mention.sample.image is not None and mention.sample.image.path in places
        ]
        found = self._matcher.probabilities(list(usable.values()), [pair for _, pair in asked])
        by_number = {number: one for (number, _), one in zip(asked, found, strict=True)}
        return [
            self._answer(mention, opened, cuts[number], by_number.get(number))
            for number, mention in enumerate(mentions)
        ]

    def _cuts(self, mentions: Sequence[Mention]) -> list[Cut]:
        texts = [query_text(self._query, mention.entity) for mention in mentions]
        cut = {text: self._matcher.cut(text) for text in dict.fromkeys(texts)}
        return [cut[text] for text in texts]

    def _answer(
        self,
        mention: Mention,
        opened: Mapping[str, object],
        cut: Cut,
        probability: float | None,
    ) -> Answer:
        image, entity = mention.sample.image, mention.entity
        if image is None:
            return Entailment(0.0, False, self._source)
        fault = opened[image.path]
        if isinstance(fault, ImageFault):
            return Issue("entail", entity.id, fault.kind, str(fault))
        if probability is None or math.isnan(probability):
            return Issue("entail", entity.id, "no-number", "the network gave no probability")
        # Four digits that count: those behind them depend on what shared a batch.
        rounded = float(f"{probability:.4g}")
        entailment = Entailment(rounded, rounded >= self._threshold, self._source)
        if not cut.was_cut:
            return entailment
        message = (
            f"the text has more than the {self._matcher.most_tokens} tokens that are read; "
            f"cut to {cut.text!r}"
        )
        return Partly(entailment, (Issue("entail", entity.id, WARNING, message),))
