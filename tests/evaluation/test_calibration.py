"""Thresholds tuned from records: against scoring the run again at every threshold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riveg.config.calibrated import read_artifact
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.evaluation.bootstrap import Interval
from riveg.evaluation.calibration import Calibration, calibrate, rerun_advice
from riveg.evaluation.calibration_file import artifact_content, write_artifact
from riveg.evaluation.calibration_run import ENTAIL, refuse_test
from riveg.evaluation.canonical import canonical
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.counts import NOTHING
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.types import Box, Entailment, Entity, ImageRef, Issue, Region, Sample, Span

SQUARE, ASIDE = Box(0, 0, 100, 100), Box(200, 0, 300, 100)
GROUND = "ground.threshold"
WORDS = "a b c d"


def entity(
    number: int,
    probability: float | None,
    *regions: Region,
    shown: bool = True,
    span: int | None = None,
    label: str = "PER",
) -> Entity:
    start = number if span is None else span
    return Entity(
        f"e{number}",
        WORDS.split()[start],
        label,
        Span(start, start + 1),
        entailment=Entailment(probability, shown),
        regions=regions if shown else (),
    )


def sample(id: str, *entities: Entity) -> Sample:
    return replace(
        make_sample(WORDS, id=id), entities=entities, image=ImageRef(f"{id}.jpg", 400, 400)
    )


def gold(*places: bool | None) -> GoldSample:
    """An entity on each word: shown, not shown, or no entity."""
    return GoldSample(
        tuple(
            AnnotatedEntity(word, "PER", Span(start, start + 1), boxes=(SQUARE,) if shown else ())
            for start, (word, shown) in enumerate(zip(WORDS.split(), places, strict=False))
            if shown is not None
        )
    )


def gold_of(*samples: GoldSample) -> GoldSet:
    return gold_set("mine", {str(number): item for number, item in enumerate(samples)}, split="dev")


RIGHT, WRONG = Region(SQUARE, 0.9), Region(ASIDE, 0.3)
OPEN = ["entail.threshold=0"]


def test_the_best_thresholds_of_a_run_with_an_open_gate(tmp_path: Path) -> None:
    samples = [
        sample("0", entity(0, 0.8, RIGHT), entity(1, 0.4, RIGHT)),
        sample("1", entity(0, 0.3, RIGHT), entity(1, 0.6, WRONG)),
    ]
    folder = make_run(tmp_path / "run", samples, overrides=OPEN)
    found = calibrate(folder, gold_of(gold(True, True), gold(False, False)))
    assert found.before.count.hits == 2  # both of "1" are shown nowhere
    assert found.after.count.hits == 4
    tuned = found.thresholds
    assert (tuned[ENTAIL].chosen.low, tuned[ENTAIL].chosen.high) == (0.3, 0.4)
    assert (tuned[GROUND].chosen.low, tuned[GROUND].chosen.high) == (0.3, 0.9)
    assert tuned[ENTAIL].floor == tuned[GROUND].floor == 0
    assert rerun_advice(folder, found) is None
    assert found.gain.low >= 0
    assert found.after.f1 == Interval(100, 100)


def test_below_the_gate_of_the_run_nothing_is_searched(tmp_path: Path) -> None:
    samples = [
        sample("0", entity(0, 0.7, RIGHT), entity(1, 0.45, shown=False)),
        sample("1", entity(0, 0.6, WRONG), entity(1, 0.2, shown=False)),
    ]
    folder = make_run(tmp_path / "run", samples)
    found = calibrate(folder, gold_of(gold(True, True), gold(False, False)))
    assert found.thresholds[ENTAIL].floor == 0.45
    assert found.thresholds[ENTAIL].chosen.low >= 0.45
    assert found.outcomes.shut_out == 2
    advice = rerun_advice(folder, found)
    assert advice is not None
    assert "riveg run quickstart --data quickstart --split dev --set entail.threshold=0" in advice


def test_entities_without_probability_or_score_stay_as_they_are(tmp_path: Path) -> None:
    no_image = replace(sample("0", entity(0, None, shown=False)), image=None, issues=())
    broken = replace(
        sample("1", replace(entity(0, 0.1, shown=False), regions=None)),
        issues=(Issue("observe", None, "missing-image", "gone"),),
    )
    unanswered = sample("2", replace(entity(0, 0.9), entailment=None, regions=None))
    told = sample("3", entity(0, None, Region(SQUARE)))
    samples = [no_image, broken, unanswered, told]
    folder = make_run(tmp_path / "run", samples, overrides=OPEN)
    found = calibrate(folder, gold_of(*[gold(False)] * 3, gold(True)))
    assert found.before.count == found.after.count
    assert found.after.count.hits == 2
    assert found.outcomes.without_probability == 1
    assert found.outcomes.without_score == 1


PROBABILITIES = st.sampled_from([0.0, 0.2, 0.5, 0.50001, 0.9, 1.0])
REGIONS = st.lists(
    st.builds(Region, st.sampled_from([SQUARE, ASIDE]), st.sampled_from([None, 0.0, 0.4, 1.0])),
    max_size=3,
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Sample], GoldSet]:
    samples, golds = [], []
    for number in range(draw(st.integers(1, 4))):
        entities = [
            entity(
                index,
                draw(PROBABILITIES),
                *draw(REGIONS),
                span=draw(st.integers(0, 2)),
                label=draw(st.sampled_from(["PER", "ORG"])),
            )
            for index in range(draw(st.integers(0, 3)))
        ]
        samples.append(sample(str(number), *entities))
        golds.append(gold(*(draw(st.sampled_from([None, True, False])) for _ in range(3))))
    if not any(one.entities for one in golds):
        golds[0] = gold(True)
    return samples, gold_of(*golds)


def run_at(samples: list[Sample], entail: float, ground: float) -> list[Sample]:
    """The records that a run with these thresholds would have written."""

    def answered(one: Entity) -> Entity:
        assert one.entailment is not None
        assert one.entailment.probability is not None
        shown = one.entailment.probability >= entail
        regions = tuple(
            region
            for region in one.regions or ()
            if shown and (region.score is None or region.score >= ground)
        )
        return replace(one, entailment=replace(one.entailment, groundable=shown), regions=regions)

    return [replace(one, entities=tuple(map(answered, one.entities or ()))) for one in samples]


def hits(samples: list[Sample], gold: GoldSet) -> int:
    total = NOTHING
    for one in samples:
        case = gold.case_of(one)
        assert case is not None
        total += canonical()(case)["gmner"]
    return total.hits


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(runs(), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.2]))
def test_every_outcome_is_what_the_run_would_have_scored(
    tmp_path: Path, run: tuple[list[Sample], GoldSet], own: float, own_ground: float
) -> None:
    samples, annotation = run
    ran = run_at(samples, own, own_ground)
    overrides = [f"entail.threshold={own}", f"ground.threshold={own_ground}"]
    folder = make_run(tmp_path, ran, overrides=overrides)
    found = calibrate(folder, annotation, resamples=10)
    surface = found.outcomes.surface
    most = 0
    for entail in (0.0, 0.1, 0.2, 0.3, 0.5, 0.50001, 0.6, 0.9, 0.95, 1.0):
        for ground in (0.0, 0.2, 0.4, 0.41, 1.0):
            if entail <= surface.entail.edges[0] or ground <= surface.ground.edges[0]:
                continue
            expected = hits(run_at(ran, entail, ground), annotation)
            by_sample = surface.hits_by_sample(entail, ground, len(samples))
            assert int(by_sample.sum()) == expected
            most = max(most, expected)
    assert found.after.count.hits == most == hits(run_at(ran, *found.chosen), annotation)
    assert found.before.count.hits == hits(ran, annotation)


def test_tuning_on_noise_is_seen_in_the_folds(tmp_path: Path) -> None:
    """Which samples show their entity has nothing to do with the probability."""
    shown = [True, False, False, True, True, False, True, False, False, True]
    samples = [sample(str(n), entity(0, 0.5 + n / 100, RIGHT)) for n in range(10)]
    folder = make_run(tmp_path / "run", samples, overrides=OPEN)
    found = calibrate(folder, gold_of(*(gold(one) for one in shown)))
    assert found.cross_validated is not None
    assert found.cross_validated.count.hits < found.after.count.hits
    assert found.cross_validated.count.gold == found.after.count.gold == 10


def test_a_single_sample_has_no_folds(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample("0", entity(0, 0.8, RIGHT))])
    assert calibrate(folder, gold_of(gold(True))).cross_validated is None


def test_samples_whose_gate_changes_are_counted(tmp_path: Path) -> None:
    samples = [
        sample("0", entity(0, 0.8, RIGHT), entity(1, 0.3, RIGHT)),  # one goes, one stays
        sample("1", entity(0, 0.3, RIGHT)),  # its only one goes
        sample("2", entity(0, 0.9, RIGHT)),
    ]
    folder = make_run(tmp_path / "run", samples, overrides=OPEN)
    found = calibrate(folder, gold_of(gold(True, False), gold(False), gold(True)))
    assert found.rearranged == 1


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["entail.backend=always", "ground=none", "segment=none"], "no backend of entail and"),
        (["ground=none", "segment=none"], "nothing was grounded"),
    ],
)
def test_a_run_without_a_threshold_is_refused(
    tmp_path: Path, overrides: list[str], word: str
) -> None:
    folder = make_run(tmp_path / "run", [sample("0")], overrides=overrides)
    with pytest.raises(UserError, match=word):
        calibrate(folder, gold_of(gold(True)))


def test_only_existing_thresholds_are_tuned(tmp_path: Path) -> None:
    overrides = ["entail.backend=always"]
    samples = [sample("0", entity(0, None, WRONG)), sample("1", entity(0, None, RIGHT))]
    folder = make_run(tmp_path / "run", samples, overrides=overrides)
    found = calibrate(folder, gold_of(gold(False), gold(True)))
    assert list(found.thresholds) == [GROUND]
    assert found.after.count.hits == 2


def test_regions_of_a_grounder_without_a_threshold_are_all_kept(tmp_path: Path) -> None:
    samples = [sample("0", entity(0, 0.8, RIGHT))]
    folder = make_run(tmp_path / "run", samples, overrides=["ground.backend=gold", *OPEN])
    found = calibrate(folder, gold_of(gold(True)))
    assert list(found.thresholds) == [ENTAIL]
    assert found.before.count.hits == found.after.count.hits == 1


@pytest.mark.parametrize(
    ("probabilities", "reason"),
    [((0.6, 0.4), "yes below no"), ((0.2, 0.3), "a threshold, but not of 0.5")],
)
def test_a_gate_that_is_no_threshold_is_refused(
    tmp_path: Path, probabilities: tuple[float, float], reason: str
) -> None:
    no, yes = probabilities
    samples = [sample("0", entity(0, no, shown=False), entity(1, yes, RIGHT))]
    folder = make_run(tmp_path / "run", samples)
    with pytest.raises(UserError, match="the gate is no threshold of"):
        calibrate(folder, gold_of(gold(True, True)))


def test_what_was_refused_for_being_unseen_is_no_business_of_the_threshold(tmp_path: Path) -> None:
    refused = entity(0, 0.9, shown=False)
    assert refused.entailment is not None
    unseen = replace(refused, entailment=replace(refused.entailment, source="mini:unseen"))
    samples = [sample("0", unseen, entity(1, 0.6, RIGHT))]
    found = calibrate(make_run(tmp_path / "run", samples), gold_of(gold(True, True)))
    assert found.after.count.hits == 1


def test_gold_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample("other", entity(0, 0.8, RIGHT))])
    with pytest.raises(UserError, match="none of its samples is annotated in mine"):
        calibrate(folder, gold_of(gold(True)))
    boxless = GoldSample((AnnotatedEntity("a", "PER", Span(0, 1)),))
    with pytest.raises(UserError, match="tells no boxes"):
        calibrate(folder, gold_of(boxless))


@pytest.mark.parametrize(
    ("split", "ran"),
    [("test", "dev"), ("dev", "test"), ("TEST-coarse", None), ("my_test", "dev")],
)
def test_a_split_called_test_is_refused(tmp_path: Path, split: str, ran: str | None) -> None:
    path = tmp_path / f"{split}.jsonl"
    path.write_text('{"id": "0", "text": "a", "entities": []}\n')
    folder = make_run(tmp_path / "run", [], split=ran)
    with pytest.raises(UserError, match="tuned on test"):
        refuse_test(folder, open_dataset(path))


@pytest.mark.parametrize("split", ["dev", "contest", "latest-dev"])
def test_other_splits_are_calibrated_on(tmp_path: Path, split: str) -> None:
    path = tmp_path / f"{split}.jsonl"
    path.write_text('{"id": "0", "text": "a", "entities": []}\n')
    refuse_test(make_run(tmp_path / "run", []), open_dataset(path))


def small(tmp_path: Path) -> tuple[Path, GoldSet, Calibration]:
    folder = make_run(tmp_path / "run", [sample("0", entity(0, 0.8, RIGHT))])
    annotation = gold_of(gold(True))
    return folder, annotation, calibrate(folder, annotation)


def test_the_file_can_be_loaded_again(tmp_path: Path) -> None:
    folder, annotation, found = small(tmp_path)
    path = tmp_path / "new" / "mine.json"
    write_artifact(path, artifact_content(folder, "mine", annotation, found))
    artifact = read_artifact(path)
    entail, _ = found.chosen
    assert artifact.value(ENTAIL, {"entail": "mini"}) == entail
    content = json.loads(path.read_text())
    assert content["data"] == {"name": "mine", "version": None, "split": "dev"}
    assert content["run"]["stages"]["entail"]["fingerprint"] == "f"
    assert content["scores"]["after"]["f1"] == 100
    assert content["samples"] == 1
    write_artifact(path, content)  # a calibration may be made anew


def test_a_file_that_is_no_calibration_is_not_written_over(tmp_path: Path) -> None:
    folder, annotation, found = small(tmp_path)
    path = tmp_path / "mine.json"
    path.write_text('{"thesis": 1}')
    with pytest.raises(UserError, match="no calibration"):
        write_artifact(path, artifact_content(folder, "mine", annotation, found))
