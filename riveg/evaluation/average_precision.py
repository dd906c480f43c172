"""Average precision and recall of regions, as COCO counts them (pycocotools)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.geometry.masks import mask_area
from riveg.types import Box, Mask, Region


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """COCO's figures, 0 to 100: sizes ``all``, at most 100 regions of a label in an image.

    Args:
        ap: Mean over the IoU thresholds 0.5, 0.55 ... 0.95 and over labels.
        ap50: At IoU 0.5.
        ap75: At IoU 0.75.
        ar: Recall, mean over the same thresholds and labels.
        predicted: Regions compared.
        gold: Gold boxes or masks compared with.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    predicted: int
    gold: int


def region_score(region: Region, entity: PredictedEntity) -> float:
    """The score of a region in [0, 1]: its own, else that of its entity, else 1."""
    if region.score is not None:
        return region.score
    return 1.0 if entity.score is None else entity.score


def average_precision(cases: Iterable[Case]) -> dict[str, AveragePrecision | None]:
    """Box and mask AP and AR.

    Images are samples and categories are labels; words do not count. Every region of every entity
    counts, those with the highest score first (:func:`region_score`), and every gold box or mask of
    every gold entity: two entities with the same box need two regions. As in COCO, predicted labels
    that the gold does not have are left out.

    Args:
        cases: The samples.

    Returns:
        ``box`` and ``mask``; ``None`` where the gold has none, or masks cannot be compared
        (:func:`with_odd_masks`).
    """
    kept = list(cases)
    comparable = with_odd_masks(kept) is None
    return {
        "box": _figures(kept, "bbox", _gold_boxes, _box_of),
        "mask": _figures(kept, "segm", _gold_masks, _mask_of) if comparable else None,
    }


def with_odd_masks(cases: Iterable[Case]) -> str | None:
    """The id of the first sample whose masks, gold and predicted, cannot be compared; or ``None``.

    They differ in size, or the run lengths of one are damaged.
    """
    return next((case.id for case in cases if not _are_comparable(list(_masks(case)))), None)


def _masks(case: Case) -> Iterator[Mask]:
    for annotated in case.gold:
        yield from annotated.masks or ()
    for predicted in case.predicted:
        yield from (one.mask for one in predicted.regions or () if one.mask is not None)


def _are_comparable(masks: Sequence[Mask]) -> bool:
    try:
        for mask in masks:
            mask_area(mask)
    except ValueError:
        return False
    return len({(mask.height, mask.width) for mask in masks}) < 2


_Object = dict[str, Any]
"""A region in COCO's terms: box or segmentation, and area."""


def _figures(
    cases: Sequence[Case],
    kind: str,
    gold_of: Callable[[AnnotatedEntity], Iterator[_Object]],
    found_of: Callable[[Region], _Object | None],
) -> AveragePrecision | None:
    numbers: dict[str, int] = {}
    for case in cases:
        for entity in case.gold:
            numbers.setdefault(entity.label, len(numbers) + 1)
    gold = [
        {**place, "image_id": image, "category_id": numbers[entity.label], "iscrowd": 0}
        for image, case in enumerate(cases, start=1)
        for entity in case.gold
        for place in gold_of(entity)
    ]
    if not gold:
        return None
    found = [
        {**place, "image_id": image, "category_id": numbers[label], "score": score}
        for image, case in enumerate(cases, start=1)
        for label, score, place in _found(case, found_of)
        if label in numbers
    ]
    if not found:
        return AveragePrecision(0.0, 0.0, 0.0, 0.0, 0, len(gold))
    ap, ap50, ap75, ar = _evaluated(len(cases), numbers, gold, found, kind)
    return AveragePrecision(ap, ap50, ap75, ar, len(found), len(gold))


def _found(
    case: Case, found_of: Callable[[Region], _Object | None]
) -> Iterator[tuple[str, float, _Object]]:
    for entity in case.predicted:
        for region in entity.regions or ():
            place = found_of(region)
            if place is not None:
                yield entity.label, region_score(region, entity), place


def _gold_boxes(entity: AnnotatedEntity) -> Iterator[_Object]:
    return map(_box, entity.boxes or ())


def _gold_masks(entity: AnnotatedEntity) -> Iterator[_Object]:
    return map(_mask, entity.masks or ())


def _box_of(region: Region) -> _Object:
    return _box(region.box)


def _mask_of(region: Region) -> _Object | None:
    return None if region.mask is None else _mask(region.mask)


def _box(box: Box) -> _Object:
    return {"bbox": [box.x_min, box.y_min, box.width, box.height], "area": box.area}


def _mask(mask: Mask) -> _Object:
    runs = {"size": [mask.height, mask.width], "counts": mask.counts.encode("ascii")}
    return {"segmentation": runs, "area": mask_area(mask)}


def _evaluated(
    images: int,
    numbers: Mapping[str, int],
    gold: list[_Object],
    found: list[_Object],
    kind: str,
) -> tuple[float, float, float, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    # COCO prints its progress on stdout, which is for results.
    with redirect_stdout(StringIO()):
        wanted, answers = (_indexed(COCO(), images, numbers, places) for places in (gold, found))
        evaluation = COCOeval(wanted, answers, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = evaluation.stats
    # 8: recall with at most 100 regions.
    return tuple(100 * max(0.0, float(stats[index])) for index in (0, 1, 2, 8))  # type: ignore[return-value]


def _indexed(coco: Any, images: int, numbers: Mapping[str, int], places: list[_Object]) -> Any:
    coco.dataset = {
        # COCO requires the sides but does not use them: run lengths have their own.
        "images": [{"id": number, "height": 0, "width": 0} for number in range(1, images + 1)],
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        # From 1: an id of 0 reads as "no match" in COCOeval.
        "annotations": [{**place, "id": number} for number, place in enumerate(places, start=1)],
    }
    coco.createIndex()
    return coco
