"""The rules that hold for every backend: who is asked, what comes back, how a fault stays small."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from riveg.config.backend import BackendConfig
from riveg.config.system import Step
from riveg.errors import NO_IMAGE, ImageFault, RivegError, UserError
from riveg.geometry.arrays import Pixels
from riveg.pipeline import AnyStage, StageRunner
from riveg.protocols import Extraction, Mention, PartialAnswer, Ranking
from riveg.runs.building import require_packages
from riveg.stages.table import STAGES, TAG
from riveg.text.tokenise import join_tokens
from riveg.types import (
    Box,
    Entailment,
    Entity,
    ImageRef,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
    Span,
)

STAGE = {stage.name: stage for stage in STAGES}


class Images:
    """An image source that knows the sides of ``good.jpg`` and faults on the rest."""

    def load(self, image: ImageRef) -> Pixels:
        raise NotImplementedError

    def probe(self, image: ImageRef) -> ImageRef:
        if image.path != "good.jpg":
            raise ImageFault("missing-image", f"{image.path} is not there")
        return replace(image, width=100, height=50)

    def stamp(self, image: ImageRef) -> str:
        return image.path


class Answers:
    """A backend of every stage that answers with what it is given, and notes what it was asked."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.batches: list[list[Any]] = []

    def __getattr__(self, stage: str) -> Any:
        if stage not in STAGE:
            raise AttributeError(stage)
        return self._ask

    def _ask(self, items: Sequence[Any]) -> Sequence[Any]:
        self.batches.append(list(items))
        return [self._answer(item) if callable(self._answer) else self._answer for item in items]


class PlainConfig(BackendConfig[object]):
    stage: ClassVar[str] = "any"
    name: ClassVar[str] = "plain"
    summary: ClassVar[str] = "for tests"


class ImageConfig(PlainConfig):
    needs_image: ClassVar[bool] = True


def make_sample(id: str = "a", image: str | None = "good.jpg", **values: Any) -> Sample:
    text, offsets = join_tokens(["Ada", "met", "Bob"])
    reference = None if image is None else ImageRef(image)
    return Sample(id, text, ("Ada", "met", "Bob"), offsets, image=reference, **values)


def make_entity(id: str = "e0", **values: Any) -> Entity:
    return Entity(id, "Ada", "PER", Span(0, 1), **values)


def run(
    stage: str,
    answer: Any,
    samples: Sequence[Sample],
    *,
    config: BackendConfig[object] | None = None,
    gated: bool = True,
    batch_size: int = 16,
) -> tuple[list[Sample], Answers]:
    backend = Answers(answer)
    runner = StageRunner(
        STAGE[stage],
        backend,
        Images(),
        needs_image=(config or PlainConfig()).needs_image,
        batch_size=batch_size,
        gated=gated,
    )
    return list(runner(samples)), backend


def test_a_sample_answer_is_joined_and_the_input_is_left_as_it_was() -> None:
    sample = make_sample()
    (answered,), _ = run("tag", (make_entity(),), [sample])
    assert answered.entities == (make_entity(),)
    assert sample == make_sample()


def test_samples_come_in_batches_and_keep_their_order() -> None:
    samples = [make_sample(str(number)) for number in range(5)]
    answered, backend = run("caption", lambda s: f"of {s.id}", samples, batch_size=2)
    assert [sample.caption for sample in answered] == [f"of {number}" for number in range(5)]
    assert [len(batch) for batch in backend.batches] == [2, 2, 1]


def test_mentions_of_one_sample_arrive_together() -> None:
    sample = make_sample(entities=(make_entity("e0"), make_entity("e1")))
    _, backend = run("rerank", Issue("rerank", "e0", "no", "no"), [sample])
    assert [mention.entity.id for mention in backend.batches[0]] == ["e0", "e1"]


def test_a_bad_row_of_the_input_is_asked_about_nothing() -> None:
    sample = make_sample(issues=(Issue("input", None, "empty-text", "no text"),))
    (answered,), backend = run("tag", (), [sample])
    assert answered == sample
    assert not backend.batches


def test_an_image_is_opened_before_a_backend_that_needs_it() -> None:
    (answered,), _ = run("observe", (), [make_sample()], config=ImageConfig())
    assert answered.image == ImageRef("good.jpg", 100, 50)
    assert answered.observations == ()


def test_a_broken_image_is_one_issue_and_the_entity_stays_unanswered() -> None:
    sample = make_sample(image="gone.jpg", entities=(make_entity(),))
    (seen,), backend = run("observe", (), [sample], config=ImageConfig())
    assert [issue.kind for issue in seen.issues] == ["missing-image"]
    (entailed,), other = run("entail", Entailment(1.0, True), [seen])
    (grounded,), _ = run("ground", (), [entailed])
    assert grounded.issues == seen.issues
    assert grounded.entities == (make_entity(),)  # None everywhere: not answered
    assert not backend.batches
    assert not other.batches


def test_text_stages_do_not_mind_a_missing_image() -> None:
    (answered,), _ = run("tag", (), [make_sample(image="gone.jpg")])
    assert answered.entities == ()
    assert not answered.issues


def test_a_sample_without_image_is_answered_not_groundable() -> None:
    sample = make_sample(image=None, entities=(make_entity(),))
    (entailed,), backend = run("entail", Entailment(1.0, True), [sample])
    (grounded,), _ = run("ground", (Region(Box(0, 0, 1, 1)),), [entailed])
    (entity,) = grounded.entities or ()
    assert entity.entailment == Entailment(None, False, NO_IMAGE)
    assert entity.regions == ()
    assert not backend.batches


@pytest.mark.parametrize(
    ("entailment", "gated", "regions"),
    [
        (Entailment(0.9, True), True, (Region(Box(0, 0, 9, 9)),)),
        (Entailment(0.1, False), True, ()),  # the gate says no: answered, nothing there
        (None, True, None),  # the gate did not answer: neither does ground
        (None, False, (Region(Box(0, 0, 9, 9)),)),  # a system without a gate
    ],
)
def test_the_gate(
    entailment: Entailment | None, gated: bool, regions: tuple[Region, ...] | None
) -> None:
    sample = make_sample(entities=(make_entity(entailment=entailment),))
    (answered,), _ = run("ground", (Region(Box(0, 0, 9, 9)),), [sample], gated=gated)
    assert answered.entities is not None
    assert answered.entities[0].regions == regions


def test_masks_join_their_regions() -> None:
    regions = (Region(Box(0, 0, 9, 9)), Region(Box(1, 1, 2, 2)))
    sample = make_sample(entities=(make_entity(regions=regions),))
    masks = (Mask(50, 100, "a"), Mask(50, 100, "b"))
    (answered,), _ = run("segment", masks, [sample], config=ImageConfig())
    assert answered.entities is not None
    found = answered.entities[0].regions or ()
    assert [region.mask for region in found] == list(masks)


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (Box(0, 0, 100, 50), None),  # the whole image
        (Box(-0.4, 0, 100.4, 50), None),  # rounding
        (Box(0, 0, 102, 50), "box-outside-picture"),
        (Box(-3, 0, 10, 10), "box-outside-picture"),
    ],
)
def test_a_box_outside_the_image_is_an_issue_not_a_clip(box: Box, kind: str | None) -> None:
    sample = make_sample(entities=(make_entity(),))
    (answered,), _ = run("ground", (Region(box),), [sample], config=ImageConfig(), gated=False)
    assert [issue.kind for issue in answered.issues] == ([kind] if kind else [])
    assert answered.entities is not None
    assert answered.entities[0].regions == (None if kind else (Region(box),))


def test_a_mask_of_another_size_is_an_issue() -> None:
    sample = make_sample(entities=(make_entity(regions=(Region(Box(0, 0, 9, 9)),)),))
    (answered,), _ = run("segment", (Mask(9, 9, "a"),), [sample], config=ImageConfig())
    assert [issue.kind for issue in answered.issues] == ["mask-size"]


def test_one_item_that_kills_the_backend_does_not_spoil_its_batch() -> None:
    def answer(sample: Sample) -> str:
        if sample.id == "2":
            raise ZeroDivisionError("of this one")
        return "fine"

    samples = [make_sample(str(number)) for number in range(4)]
    answered, _ = run("caption", answer, samples)
    assert [sample.caption for sample in answered] == ["fine", "fine", None, "fine"]
    (issue,) = answered[2].issues
    assert issue == Issue("caption", None, "backend-error", "ZeroDivisionError: of this one")


@pytest.mark.parametrize("error", [UserError("mend me"), MemoryError(), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_row_ends_the_run(error: BaseException) -> None:
    def answer(sample: Sample) -> str:
        raise error

    with pytest.raises(type(error)):
        run("caption", answer, [make_sample()])


def test_a_backend_that_loses_an_answer_is_caught() -> None:
    class Loses:
        def tag(self, samples: Sequence[Sample]) -> Sequence[tuple[Entity, ...]]:
            return [()] * (len(samples) - 1)

    runner = StageRunner(TAG, Loses(), Images(), needs_image=False, batch_size=4, gated=True)
    with pytest.raises(RivegError, match="1 answers to 2 questions"):
        list(runner([make_sample("a"), make_sample("b")]))


def test_entities_must_have_ids_of_their_own_and_lie_in_the_text() -> None:
    with pytest.raises(RivegError, match="not unique"):
        run("tag", (make_entity(), make_entity()), [make_sample()])
    far = Entity("e0", "x", "PER", Span(2, 9))
    (answered,), _ = run("tag", (far,), [make_sample()])
    assert [issue.kind for issue in answered.issues] == ["span-outside-text"]


LEFT_OUT = Issue("tag", None, "unaligned-entity", "'Eve' does not stand in the text")


def test_a_part_of_a_sample_answer_is_kept_beside_its_issues() -> None:
    (answered,), _ = run(
        "tag", PartialAnswer((make_entity(),), (LEFT_OUT, LEFT_OUT)), [make_sample()]
    )
    assert answered.entities == (make_entity(),)
    assert answered.issues == (LEFT_OUT, LEFT_OUT)


def test_a_part_is_checked_as_a_whole_answer_is() -> None:
    far = Entity("e0", "x", "PER", Span(2, 9))
    (answered,), _ = run("tag", PartialAnswer((far,), (LEFT_OUT,)), [make_sample()])
    assert answered.entities is None
    assert [issue.kind for issue in answered.issues] == ["span-outside-text", "unaligned-entity"]


def test_a_part_of_an_entity_answer_is_kept_beside_its_issues() -> None:
    sample = make_sample(entities=(make_entity("e0"), make_entity("e1")))

    def answer(mention: Mention) -> PartialAnswer[Ranking] | Ranking:
        ranking = Ranking("ORG", None)
        unsure = Issue("rerank", "e1", "unmatched-label", "no candidate")
        return PartialAnswer(ranking, (unsure,)) if mention.entity.id == "e1" else ranking

    (answered,), _ = run("rerank", answer, [sample])
    assert [entity.label for entity in answered.entities or ()] == ["ORG", "ORG"]
    assert [(issue.entity_id, issue.kind) for issue in answered.issues] == [
        ("e1", "unmatched-label")
    ]


def test_answers_are_joined_by_id() -> None:
    entities = (make_entity("e1"), make_entity("e0"))
    sample = make_sample(entities=entities)

    def answer(mention: Mention) -> Entailment:
        return Entailment(0.1 if mention.entity.id == "e0" else 0.9, True)

    (answered,), _ = run("entail", answer, [sample])
    assert answered.entities is not None
    found = {entity.id: entity.entailment for entity in answered.entities}
    assert found == {"e0": Entailment(0.1, True), "e1": Entailment(0.9, True)}


def test_a_missing_extra_is_one_line_with_the_command() -> None:
    class NeedsConfig(PlainConfig):
        extra: ClassVar[str | None] = "models"
        packages: ClassVar[tuple[str, ...]] = ("no_such_package_anywhere",)

    with pytest.raises(UserError, match=r'pip install "riveg\[models\]"'):
        require_packages(Step(STAGE["tag"], NeedsConfig()))


def test_an_observation_is_data() -> None:
    seen = (Observation("face", Box(0, 0, 5, 5), 0.9),)
    (answered,), _ = run("observe", seen, [make_sample()], config=ImageConfig())
    assert answered.observations == seen


def extracted(region: Region, **fields: Any) -> Sample:
    entity = make_entity(regions=(region,))
    (answered,), _ = run(
        "extract", Extraction((entity,)), [make_sample()], config=ImageConfig(), **fields
    )
    return answered


def test_an_extracted_region_that_is_sound_is_kept() -> None:
    region = Region(Box(0, 0, 100, 50), 1.0)
    answered = extracted(region)
    assert answered.issues == ()
    assert [entity.regions for entity in answered.entities or ()] == [(region,)]


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        (Region(Box(0, 0, 900, 900), 0.9), "box-outside-picture"),
        (Region(Box(0, 0, 90, 40), 2.5), "score-outside-range"),
        (Region(Box(0, 0, 90, 40), float("nan")), "score-outside-range"),
    ],
)
def test_an_extracted_region_that_is_wrong_is_an_issue_of_its_entity(
    region: Region, kind: str
) -> None:
    answered = extracted(region)
    assert [(issue.stage, issue.entity_id, issue.kind) for issue in answered.issues] == [
        ("extract", "e0", kind)
    ]
    assert [entity.regions for entity in answered.entities or ()] == [None]


def test_an_extracted_span_outside_the_text_is_an_issue() -> None:
    far = Entity("e0", "x", "PER", Span(2, 9))
    (answered,), _ = run("extract", Extraction((far,)), [make_sample()])
    assert answered.entities is None
    assert [issue.kind for issue in answered.issues] == ["span-outside-text"]


def test_an_extractor_that_needs_an_image_says_where_there_is_none() -> None:
    without = make_sample(image=None)
    (answered,), backend = run("extract", Extraction(()), [without], config=ImageConfig())
    assert not backend.batches
    assert answered.entities is None
    assert [(issue.stage, issue.kind) for issue in answered.issues] == [("extract", NO_IMAGE)]
    (answered,), _ = run("extract", Extraction(()), [without])
    assert (answered.entities, answered.issues) == ((), ())


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("ground", (Region(Box(0, 0, 9, 9), 1.01),)),
        ("entail", Entailment(-0.1, True)),
    ],
)
def test_a_score_outside_its_range_is_an_issue(stage: str, answer: Any) -> None:
    sample = make_sample(entities=(make_entity(),))
    (answered,), _ = run(stage, answer, [sample], gated=False)
    assert [(issue.entity_id, issue.kind) for issue in answered.issues] == [
        ("e0", "score-outside-range")
    ]
    assert answered.entities == sample.entities


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_answer_can_be_described(stage: AnyStage) -> None:
    region = Region(Box(0, 0, 9, 9), 0.5, source="test")
    entity = make_entity(regions=(region,), entailment=Entailment(0.5, True))
    for sample in (make_sample(), make_sample(entities=()), make_sample(entities=(entity,))):
        for item in stage.per.split(sample):
            assert all(isinstance(line, str) and line for line in stage.describe(item))
            assert isinstance(stage.tell(item), str | None)


@pytest.mark.parametrize(
    ("stage", "answer"),
    [("segment", 3), ("ground", 5), ("entail", "yes"), ("rewrite", None), ("rerank", {})],
)
def test_what_is_no_answer_at_all_is_an_issue_of_its_item(stage: str, answer: Any) -> None:
    region = Region(Box(0, 0, 9, 9))
    entities = (make_entity("e0", regions=(region,)), make_entity("e1", regions=(region,)))
    (answered,), _ = run(stage, answer, [make_sample(entities=entities)], gated=False)
    assert [(issue.entity_id, issue.kind) for issue in answered.issues] == [
        ("e0", "backend-error"),
        ("e1", "backend-error"),
    ]
    assert answered.entities == entities


def test_too_few_masks_are_an_issue() -> None:
    sample = make_sample(entities=(make_entity(regions=(Region(Box(0, 0, 9, 9)),)),))
    (answered,), _ = run("segment", (), [sample])
    assert [(issue.entity_id, issue.kind) for issue in answered.issues] == [("e0", "mask-count")]


def test_a_tag_with_a_wrong_score_keeps_its_entity() -> None:
    entities = (make_entity("e0", score=1.5), make_entity("e1", score=1.0))
    (answered,), _ = run("tag", entities, [make_sample()])
    assert [entity.score for entity in answered.entities or ()] == [None, 1.0]
    assert [(issue.entity_id, issue.kind) for issue in answered.issues] == [
        ("e0", "score-outside-range")
    ]
