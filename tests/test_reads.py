"""What a backend declares to read is all that it sees; equal questions are asked once."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from test_pipeline import STAGE, Answers, Images, make_entity, make_sample

from riveg.pipeline import StageRunner
from riveg.protocols import PartialAnswer
from riveg.reads import Reads, entity_view, reads
from riveg.registry import backend_config, backend_table
from riveg.stages.segmenters.grabcut import GrabCut
from riveg.stages.table import STAGES
from riveg.types import Box, Entity, ImageRef, Issue, Mask, Region, Sample, Span

SEEN = reads("image", entity="text")
MASK = Mask(50, 100, "0", "test")


def run(
    stage: str, answer: Any, samples: Sequence[Sample], read: Reads | None, **options: Any
) -> tuple[list[Sample], Answers]:
    backend = Answers(answer)
    settings: dict[str, Any] = {
        "needs_image": True,
        "batch_size": 2,
        "gated": False,
        "most_kept": 8,
        **options,
    }
    runner = StageRunner(STAGE[stage], backend, Images(), reads=read, **settings)
    return list(runner(samples)), backend


def with_names(id: str, *names: str, image: str = "good.jpg") -> Sample:
    entities = [
        Entity(f"{id}-{at}", name, "PER", Span(at, at + 1), score=0.1 * at)
        for at, name in enumerate(names)
    ]
    return make_sample(id, image, caption=f"caption of {id}", entities=tuple(entities))


def test_a_text_and_an_image_are_asked_about_once_whatever_else_differs() -> None:
    samples = [with_names(f"s{at}", "Ada", "Bob", "Ada") for at in range(5)]
    region = Region(Box(0, 0, 10, 10), 0.5, source="test")
    once, backend = run("ground", (region,), samples, SEEN)
    everything, each = run("ground", (region,), samples, None)
    assert once == everything
    asked = [mention.entity.text for batch in backend.batches for mention in batch]
    assert asked == ["Ada", "Bob"]
    assert sum(map(len, each.batches)) == 15


def test_equal_questions_share_one_mask_in_memory() -> None:
    regions = (Region(Box(0, 0, 10, 10)),)
    sample = make_sample(entities=tuple(make_entity(f"e{at}", regions=regions) for at in range(9)))
    (answered,), backend = run(
        "segment", lambda _: (replace(MASK),), [sample], reads("image", entity="regions")
    )
    assert len(backend.batches[0]) == 1
    masks = [region.mask for one in answered.entities or () for region in one.regions or ()]
    assert len(masks) == 9
    assert all(mask is masks[0] for mask in masks)


def test_a_backend_sees_nothing_but_what_is_declared() -> None:
    sample = with_names("s", "Ada", "Bob")
    _, backend = run("entail", Issue("entail", None, "no-answer", "x"), [sample], SEEN)
    mention = backend.batches[0][0]
    assert mention.sample == Sample(
        "s", "", (), (), image=ImageRef("good.jpg", width=100, height=50)
    )
    assert mention.entity == Entity("s-0", "Ada", "", Span(0, 1))


@pytest.mark.parametrize(
    "answer",
    [
        lambda mention: Issue("entail", mention.entity.id, "no-answer", "x"),
        lambda mention: PartialAnswer(
            (Region(Box(0, 0, 1, 1)),), (Issue("ground", mention.entity.id, "warning", "x"),)
        ),
    ],
)
def test_an_issue_names_its_own_entity_and_is_asked_again_in_the_next_batch(answer: Any) -> None:
    samples = [with_names(f"s{at}", "Ada", "Ada") for at in range(4)]
    answered, backend = run("ground", answer, samples, SEEN)
    told = [[issue.entity_id for issue in one.issues] for one in answered]
    assert told == [[f"s{at}-0", f"s{at}-1"] for at in range(4)]
    assert [len(batch) for batch in backend.batches] == [1, 1]


def test_no_more_answers_are_kept_than_wanted() -> None:
    samples = [with_names(f"s{at}", f"N{at % 3}") for at in range(6)]
    _, few = run("ground", (), samples, SEEN, batch_size=1, most_kept=2)
    _, many = run("ground", (), samples, SEEN, batch_size=1, most_kept=3)
    assert len([batch for batch in few.batches if batch]) == 6
    assert len([batch for batch in many.batches if batch]) == 3


def test_an_image_that_changes_is_another_one() -> None:
    class Changing(Images):
        stamps = 0

        def stamp(self, image: ImageRef) -> str:
            self.stamps += 1
            return str(self.stamps)

    backend = Answers(())
    runner = StageRunner(
        STAGE["ground"],
        backend,
        Changing(),
        reads=SEEN,
        needs_image=True,
        batch_size=1,
        gated=False,
        most_kept=8,
    )
    list(runner([with_names("a", "Ada"), with_names("b", "Ada")]))
    assert [len(batch) for batch in backend.batches] == [1, 1]


def test_what_is_read_as_an_id_tells_samples_apart() -> None:
    samples = [with_names("a", "Ada"), with_names("b", "Ada")]
    _, backend = run("ground", (), samples, SEEN | reads("id"))
    assert len(backend.batches[0]) == 2


def test_a_region_of_fourteen_thousand_entities_is_cut_once() -> None:
    class Photo(Images):
        def load(self, image: ImageRef) -> Any:
            return np.random.default_rng(0).integers(0, 255, (50, 100, 3), dtype=np.uint8)

    class Counting(GrabCut):
        cut = 0

        def mask(self, *arguments: Any, **named: Any) -> Mask:
            self.cut += 1
            return super().mask(*arguments, **named)

    regions = (Region(Box(10, 10, 60, 40), 0.9, source="test"),)
    entities = tuple(make_entity(f"e{at}", regions=regions) for at in range(14_000))
    cutter = Counting(Photo(), threads=1)
    runner = StageRunner(
        STAGE["segment"],
        cutter,
        Photo(),
        reads=backend_config("segment", "grabcut")().reads(),
        needs_image=True,
        batch_size=1,
        gated=False,
    )
    (answered,) = runner([make_sample(entities=entities)])
    assert cutter.cut == 1
    assert (
        len({region.mask for one in answered.entities or () for region in one.regions or ()}) == 1
    )


def test_declared_names_are_fields() -> None:
    samples, entities = ({field.name for field in fields(kind)} for kind in (Sample, Entity))
    declared = [stage.reads for stage in STAGES]
    for stage, names in backend_table().items():
        declared += [backend_config(stage, name).model_construct().reads() for name in names]
    known = [one for one in declared if one is not None]
    assert len(known) > 25
    for one in known:
        assert one.sample <= samples - {"entities", "tokens", "offsets", "issues"}
        assert one.entity | one.entities <= entities


def test_an_entity_seen_whole_is_itself() -> None:
    entity = make_entity(regions=(Region(Box(0, 0, 1, 1)),), score=0.5)
    assert entity_view(entity, [field.name for field in fields(Entity)]) == entity
