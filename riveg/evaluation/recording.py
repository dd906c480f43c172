"""Predictions of any form as records of a dataset's posts, for stages that go on from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from riveg.datasets.dataset import Dataset
from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign.lines import counted
from riveg.evaluation.joining import none_is_known, not_one_to_one
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.evaluation.proposals import placed, read_proposals
from riveg.files import write_atomically
from riveg.formats.records import encode
from riveg.geometry.boxes import touched_edges
from riveg.stages.named_spans import UNALIGNED
from riveg.text.alignment import TokenAligner, Unaligned
from riveg.types import Entailment, Entity, Issue, Region, Sample, Span

STAGE = "extract"
"""The stage whose answers predictions become."""


@dataclass(slots=True)
class _Counts:
    """What a reader of the records should know of their making."""

    elsewhere: int = 0
    first_elsewhere: str = ""
    without_prediction: int = 0
    unanswered: int = 0
    unaligned: int = 0
    ambiguous: int = 0
    repeated: int = 0
    without_place: int = 0
    without_image: int = 0

    def notes(self) -> Iterator[str]:
        """One line for each that there is."""
        posts = counted(self.elsewhere, "predicted post is", "predicted posts are")
        texts = {
            f"{posts} not in the data, for example {self.first_elsewhere}": self.elsewhere,
            f"{counted(self.without_prediction, 'post has', 'posts have')} no prediction: "
            "each gets an Issue": self.without_prediction,
            f"{counted(self.unanswered, 'post was', 'posts were')} not answered: "
            "each gets an Issue": self.unanswered,
            f"{_entities(self.unaligned)} left out, with an Issue: the words are no words of "
            "the post": self.unaligned,
            f"{_entities(self.ambiguous)} with words that stand in the post more often than they "
            "are predicted: the first places are taken": self.ambiguous,
            f"{_entities(self.repeated)} said more often than the words stand in the post: they "
            "share a place": self.repeated,
            f"{_entities(self.without_place)} without a place, though the image may show them: "
            "no mask": self.without_place,
            f"{counted(self.without_image, 'box', 'boxes')} of posts without an image: "
            "no mask": self.without_image,
        }
        return (text for text, count in texts.items() if count)


def record_predictions(
    predictions: Predictions, data: Dataset, file: Path, *, proposals: Path | None = None
) -> tuple[str, ...]:
    """Writes predictions as records of a dataset's posts.

    Posts are joined by id, or one to one in order where the predictions have no ids. Entities stay
    in their order, with their scores; where only their words are told, their tokens are found in
    the post.

    Args:
        predictions: Read by :func:`riveg.evaluation.reading.open_predictions`.
        data: Its posts.
        file: Where the records are written.
        proposals: The folder of a detector's boxes, for predictions that name them by number.

    Returns:
        What is missing or was decided, one line each.

    Raises:
        UserError: If the predictions say no places, an id comes twice, none is in the data, or
            they have no ids and are not as many as the posts.
    """
    if predictions.detail != "regions" and not (predictions.by_candidate and proposals):
        raise UserError(f"{predictions.name}: {_no_places(predictions)}")
    counts = _Counts()
    lines = (encode(one) + b"\n" for one in _recorded(predictions, data, proposals, counts))
    write_atomically(file, lines, goes_on=True)
    return (*predictions.notes, *counts.notes())


def frame_notes(records: Iterable[Sample]) -> tuple[str, ...]:
    """How the boxes of a run's records lie in their images, where that is not inside."""
    found: Counter[str] = Counter()
    for sample in records:
        size = None if sample.image is None else sample.image.size
        for region in (one for entity in sample.entities or () for one in entity.regions or ()):
            box = region.box
            if size is None:
                found["unseen"] += sample.image is not None
            elif touched_edges(box, size) is None:
                found["outside"] += 1
            else:
                found["over"] += (
                    min(box.x_min, box.y_min) < -_TOLERANCE
                    or box.x_max > size.width + _TOLERANCE
                    or box.y_max > size.height + _TOLERANCE
                )
    texts = {
        "outside": "outside of the image, without a mask: is it another frame, or another image?",
        "over": "reaching over the edge of the image: the mask ends at the edge",
        "unseen": "in images that no stage has opened: no mask",
    }
    return tuple(
        f"{counted(found[what], 'box', 'boxes')} {text}"
        for what, text in texts.items()
        if found[what]
    )


_TOLERANCE = 0.5
"""Pixels that a box may reach over an edge by rounding."""


def _entities(number: int) -> str:
    return counted(number, "entity", "entities")


def _no_places(predictions: Predictions) -> str:
    if predictions.by_candidate:
        return "names places by their number among a detector's boxes; give these: --proposals DIR"
    if predictions.format == "riveg":
        return "says what is shown, but not where; give its boxes: --boxes FILE"
    return "says no places, and masks are made of boxes"


def _recorded(
    predictions: Predictions, data: Dataset, proposals: Path | None, counts: _Counts
) -> Iterator[Sample]:
    first = next(predictions.read(), None)
    if first is None:
        raise UserError(f"{predictions.name}: holds no predictions")
    pairs = _by_order(predictions, data) if first.sample_id is None else _by_id(predictions, data)
    own = {} if predictions.records is None else {one.id: one for one in predictions.records()}
    for sample, prediction in pairs:
        if sample is None:
            counts.elsewhere += 1
            if prediction is not None:
                counts.first_elsewhere = counts.first_elsewhere or repr(prediction.sample_id)
        elif prediction is not None:
            yield _record(sample, prediction, own.get(sample.id), predictions, proposals, counts)
        elif predictions.absent_is_empty:
            yield replace(sample, entities=())
        else:
            counts.without_prediction += 1


_Pair = tuple[Sample | None, Prediction | None]


def _by_order(predictions: Predictions, data: Dataset) -> Iterator[_Pair]:
    number = expected = 0
    for sample, prediction in zip_longest(data.samples(), predictions.read()):
        number += prediction is not None
        expected += sample is not None
        yield sample, prediction
    if number != expected:
        raise not_one_to_one(predictions, number, expected, _name(data))


def _by_id(predictions: Predictions, data: Dataset) -> Iterator[_Pair]:
    """Posts in the data's order with their predictions; then predictions of no post."""
    found: dict[str, Prediction] = {}
    for prediction in predictions.read():
        sample_id = prediction.sample_id or ""
        if sample_id in found:
            raise UserError(f"{predictions.name}: the sample {sample_id!r} comes twice")
        found[sample_id] = prediction
    number, example = len(found), next(iter(found))
    for sample in data.samples():
        yield sample, found.pop(sample.id, None)
    if len(found) == number:
        raise none_is_known(predictions, number, example, _name(data))
    for prediction in found.values():
        yield None, prediction


def _name(data: Dataset) -> str:
    return f"{data.name} {data.split}" if data.split else data.name


def _record(
    sample: Sample,
    prediction: Prediction,
    own: Sample | None,
    predictions: Predictions,
    proposals: Path | None,
    counts: _Counts,
) -> Sample:
    """The post with what was predicted; its own record where the predictions are records."""
    if not prediction.answered:
        counts.unanswered += 1
        return replace(sample, issues=own.issues if own else ())
    if own is not None and own.tokens == sample.tokens:
        recorded = replace(own, image=sample.image)
    else:
        boxes = None if proposals is None else read_proposals(proposals, sample.id)
        found = [placed(one, boxes) for one in prediction.predicted]
        recorded = _aligned(sample, found, predictions.format, counts)
    for entity in recorded.entities or ():
        counts.without_place += entity.regions is None
        counts.without_image += len(entity.regions or ()) if sample.image is None else 0
    return recorded


def _aligned(
    sample: Sample, predicted: Iterable[PredictedEntity], source: str, counts: _Counts
) -> Sample:
    """The post with the entities whose words stand in it; spans of other tokens say nothing."""
    aligner = TokenAligner(sample.text, sample.offsets)
    said: Counter[str] = Counter()
    latest: dict[str, Span] = {}
    entities: list[Entity] = []
    issues: list[Issue] = []
    for number, one in enumerate(predicted):
        said[one.text] += 1
        try:
            latest[one.text] = aligner.find(one.text, said[one.text])
        except Unaligned as reason:
            if one.text not in latest:
                counts.unaligned += 1
                issues.append(Issue(STAGE, None, UNALIGNED, str(reason)))
                continue
            # Said more often than it stands there: the last place is shared.
        entities.append(_entity(one.id or f"e{number}", one, latest[one.text], source))
    counts.ambiguous += sum(
        number for words, number in said.items() if _stands_once_more(aligner, words, number)
    )
    counts.repeated += _sharing(entities)
    return replace(sample, entities=tuple(entities), issues=tuple(issues))


def _stands_once_more(aligner: TokenAligner, words: str, said: int) -> bool:
    """Whether the words stand at more places than they are said."""
    try:
        return aligner.find(words, said + 1) != aligner.find(words, said)
    except Unaligned:
        return False


def _sharing(entities: Iterable[Entity]) -> int:
    """How many entities have the words and the place of one before them."""
    places = Counter((entity.text, entity.span) for entity in entities)
    return sum(places.values()) - len(places)


def _entity(entity_id: str, one: PredictedEntity, span: Span, source: str) -> Entity:
    shown = one.groundable if one.entailed is None else one.entailed
    is_told = one.entailed is not None or one.regions is None
    regions = one.regions and tuple(_of(source, region) for region in one.regions)
    return Entity(
        entity_id,
        one.text,
        one.label,
        span,
        one.score,
        fine_label=one.fine_label,
        entailment=Entailment(None, shown, source) if is_told and shown is not None else None,
        regions=regions,
    )


def _of(source: str, region: Region) -> Region:
    return replace(region, source=region.source or source)
