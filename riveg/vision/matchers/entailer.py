"""Entailment by a network that says how well a text fits an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.checkpoints.folders import EXTRA, model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault
from riveg.protocols import AnswerOrIssue, Entailer, ImageSource, Mention, PartialAnswer
from riveg.reads import NAMED, Reads, reads
from riveg.types import Entailment, Issue
from riveg.vision.matchers.loading import MatcherName, matcher_loader, usual_settings
from riveg.vision.matchers.matcher import Pair, TextMatcher
from riveg.vision.matchers.trained import MatcherSettings, calibrated
from riveg.vision.queries import CutText, QueryTemplate, TextReader
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.vision.runtime.loading import shared_network, worker_count
from riveg.vision.runtime.tensors import image_tensors
from riveg.vision.trained import AskedAsTrained


class MatchingEntailerConfig(AskedAsTrained[MatcherSettings], BackendConfig[Entailer]):
    """``query``: the text that is held against the image, as a template.

    It may hold ``{mention}``, ``{label}``, ``{fine_label}``, ``{expression}`` and
    ``{description}``. ``threshold``: groundable from this probability on, in [0, 1]. Where the
    system states neither, they are those that the model was trained with and calibrated to
    (``riveg train entailer-itm``), or of a published one ``{expression}`` and the usual threshold.
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[MatcherName]
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    query: QueryTemplate | None = None
    threshold: float | None = Field(default=None, ge=0.0, le=1.0)

    def reads(self) -> Reads:
        return reads("image", entity=NAMED)

    def build(self, context: BuildContext) -> MatchingEntailer:
        """Loads the network.

        Raises:
            UserError: If the model is not there, or is another.
        """
        folder, load = self.folder(context.base), matcher_loader(self.name)
        asked = self.asked(context.base)
        return MatchingEntailer(
            context.images,
            shared_network(context.networks, load, folder, self),
            query=asked.query,
            threshold=asked.threshold,
            temperature=asked.temperature,
            source=self.name,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))

    def usual(self) -> MatcherSettings:
        """How a published model is asked."""
        return usual_settings(self.name)

    def notes(self, base: Path) -> tuple[str, ...]:
        """How a model that riveg has trained is asked, and whether as in its training."""
        trained = self.trained(base)
        if trained is None:
            return ()
        asked = self.over(trained)
        is_own = "calibrated with it" if asked.threshold == trained.threshold else "of this system"
        return (
            f"{self.model} answers at the temperature {asked.temperature:g}, calibrated with it, "
            f"and the threshold {asked.threshold:g}, {is_own}",
            *super().notes(base),
        )


class MatchingEntailer:
    """Asks a matcher whether texts of mentions fit their images, about each pair once.

    Args:
        images: Where images come from.
        matcher: The network.
        query: The template of the text.
        threshold: Groundable from this probability on.
        temperature: By which log-odds of the network's probabilities are divided.
        source: Of the answers.
        workers: Processes that prepare images.
    """

    def __init__(
        self,
        images: ImageSource,
        matcher: TextMatcher,
        *,
        query: str,
        threshold: float,
        temperature: float = 1.0,
        source: str,
        workers: int = 0,
    ) -> None:
        prepare = partial(image_tensors, matcher.processor)
        self.image_queue = PreparedImageQueue(images, prepare, workers=workers)
        self._matcher = matcher
        self._reader = TextReader(query, matcher.most_tokens, matcher.count_tokens)
        self._threshold = threshold
        self._temperature = temperature
        self._source = source

    def entail(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Entailment]]:
        """P(the text fits the image); 0 and never groundable for a sample without an image."""
        prepared = self.image_queue.take_distinct(mention.sample.image for mention in mentions)
        usable = {
            path: image.value
            for path, image in prepared.items()
            if not isinstance(image, ImageFault)
        }
        places = {path: place for place, path in enumerate(usable)}
        cuts = self._reader.read([mention.entity for mention in mentions])
        pairs = [
            (number, Pair(places[mention.sample.image.path], cuts[number].text))
            for number, mention in enumerate(mentions)
            if mention.sample.image is not None and mention.sample.image.path in places
        ]
        fits = self._matcher.probabilities(list(usable.values()), [pair for _, pair in pairs])
        by_number = {number: one for (number, _), one in zip(pairs, fits, strict=True)}
        return [
            self._answer(mention, prepared, cuts[number], by_number.get(number))
            for number, mention in enumerate(mentions)
        ]

    def _answer(
        self,
        mention: Mention,
        prepared: Mapping[str, object],
        cut: CutText,
        probability: float | None,
    ) -> AnswerOrIssue[Entailment]:
        image, entity = mention.sample.image, mention.entity
        if image is None:
            return Entailment(0.0, False, self._source)
        fault = prepared[image.path]
        if isinstance(fault, ImageFault):
            return Issue("entail", entity.id, fault.kind, str(fault))
        if probability is None or math.isnan(probability):
            return Issue("entail", entity.id, "no-number", "the network gave no probability")
        rounded = calibrated(probability, self._temperature)
        entailment = Entailment(rounded, rounded >= self._threshold, self._source)
        warnings = self._reader.warnings("entail", entity, cut)
        return PartialAnswer(entailment, warnings) if warnings else entailment
