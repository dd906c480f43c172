"""The threshold of a tagger, tuned from records: against scoring again at every threshold."""

import json
from pathlib import Path

import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riveg.config.calibrated import read_artifact
from riveg.errors import UserError
from riveg.evaluation.calibration import calibrate
from riveg.evaluation.calibration_file import artifact_content, write_artifact
from riveg.evaluation.canonical import canonical
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.evaluation.tag_calibration import calibrate_tagger, tag_rerun_advice
from riveg.types import Box, Entity, Sample, Span

WORDS = "a b c d"
SCORES = (0.0, 0.25, 0.5, 0.5001, 0.75, 1.0, None)


def entity(number: int, score: float | None, label: str) -> Entity:
    return Entity(f"e{number}", WORDS.split()[number], label, Span(number, number + 1), score)


def sample(id: str, *entities: Entity) -> Sample:
    return make_sample(WORDS, id=id, entities=entities, has_image=False)


def gold(words: str) -> GoldSample:
    """The words that are persons."""
    return GoldSample(
        tuple(
            AnnotatedEntity(word, "PER", Span(start, start + 1))
            for start, word in enumerate(WORDS.split())
            if word in words
        )
    )


def gold_of(**samples: GoldSample) -> GoldSet:
    return gold_set("dev", samples)


def run_of(folder: Path, *samples: Sample, threshold: float = 0.0) -> Path:
    overrides = ["tag=gliner", f"tag.threshold={threshold}"]
    return make_run(folder, samples, overrides=overrides, data="dev")


def scored_again(samples: list[Sample], gold: GoldSet, threshold: float) -> Count:
    """What a run with another threshold would have scored."""
    scorer, total = canonical(boxes=False), NOTHING
    for one in samples:
        kept = tuple(
            entity
            for entity in one.entities or ()
            if entity.score is None or entity.score >= threshold
        )
        case = gold.case_of(make_sample(WORDS, id=one.id, entities=kept, has_image=False))
        assert case is not None
        total += scorer(case)["mner"]
    return total


tags = st.tuples(st.sampled_from(SCORES), st.sampled_from(["PER", "LOC"]))
posts = st.lists(
    st.tuples(st.lists(tags, max_size=4), st.sets(st.sampled_from(WORDS.split()))),
    min_size=1,
    max_size=5,
)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(posts, st.sampled_from([0.0, 0.25, 0.6]))
def test_no_threshold_is_better_than_the_chosen_one(
    tmp_path: Path,
    posts: list[tuple[list[tuple[float | None, str]], set[str]]],
    own: float,
) -> None:
    samples = [
        sample(f"s{at}", *(entity(number, *tag) for number, tag in enumerate(found)))
        for at, (found, _) in enumerate(posts)
    ]
    annotated = gold_of(**{f"s{at}": gold("".join(words)) for at, (_, words) in enumerate(posts)})
    tried = sorted({own, *(score for score in SCORES if score is not None and score >= own)})
    again = {threshold: scored_again(samples, annotated, threshold) for threshold in tried}
    folder = run_of(tmp_path, *samples, threshold=own)
    if not any(count.hits for count in again.values()):
        with pytest.raises(UserError, match="none of its entities is right at any threshold"):
            calibrate_tagger(folder, annotated, resamples=10)
        return
    found = calibrate_tagger(folder, annotated, resamples=10)
    assert found.before.count == again[own]
    assert found.after.count == scored_again(samples, annotated, found.tuned.chosen.value)
    assert found.after.count.f1 == pytest.approx(max(count.f1 for count in again.values()))
    for threshold, count in again.items():
        assert found.outcomes.count(found.outcomes.at(threshold)) == count


def three_posts() -> tuple[list[Sample], GoldSet]:
    """Right from 0.6 on, wrong below."""
    samples = [
        sample(f"s{at}", entity(0, 0.9 - at / 10, "PER"), entity(1, 0.1 + at / 10, "PER"))
        for at in range(3)
    ]
    return samples, gold_of(**{f"s{at}": gold("a") for at in range(3)})


def test_the_middle_of_the_widest_stretch_is_taken(tmp_path: Path) -> None:
    samples, annotated = three_posts()
    found = calibrate_tagger(run_of(tmp_path, *samples), annotated)
    chosen = found.tuned.chosen
    assert (chosen.low, chosen.high) == pytest.approx((0.3, 0.7))
    assert chosen.value == 0.5
    assert found.before.count == Count(3, 6, 3)
    assert found.after.count == Count(3, 3, 3)
    assert found.cross_validated is not None
    assert found.gain.low > 0


def test_the_file_is_loaded_for_this_tagger_only(tmp_path: Path) -> None:
    samples, annotated = three_posts()
    folder = run_of(tmp_path / "run", *samples)
    content = artifact_content(folder, "mine", annotated, calibrate_tagger(folder, annotated))
    write_artifact(tmp_path / "mine.json", content)
    artifact = read_artifact(tmp_path / "mine.json")
    assert artifact.value("tag.threshold", {"tag": "gliner"}) == 0.5
    assert json.loads((tmp_path / "mine.json").read_text())["metric"] == "mner"
    with pytest.raises(UserError, match="found for tag: gliner, not for other"):
        artifact.value("tag.threshold", {"tag": "other"})


def test_what_a_run_does_not_show_has_its_command(tmp_path: Path) -> None:
    samples, annotated = three_posts()
    half, whole = (
        run_of(tmp_path / str(threshold), *samples, threshold=threshold) for threshold in (0.5, 0)
    )
    advice = tag_rerun_advice(half, calibrate_tagger(half, annotated))
    assert advice is not None
    assert "--until tag --set tag.threshold=0" in advice
    assert tag_rerun_advice(whole, calibrate_tagger(whole, annotated)) is None


def test_a_tagger_without_a_threshold_is_named(tmp_path: Path) -> None:
    samples, annotated = three_posts()
    folder = make_run(tmp_path, samples, data="dev")
    with pytest.raises(UserError, match=r"its tagger has no threshold \(tag: mini\)"):
        calibrate_tagger(folder, annotated)


def test_gmner_points_at_mner_where_only_the_tagger_has_a_threshold(tmp_path: Path) -> None:
    samples, _ = three_posts()
    shown = AnnotatedEntity("a", "PER", Span(0, 1), boxes=(Box(0, 0, 9, 9),))
    overrides = ["tag=gliner", "entail=none", "ground=none", "segment=none"]
    folder = make_run(tmp_path, samples, overrides=overrides, data="dev")
    with pytest.raises(UserError, match=r"no backend of entail and ground.* --metric mner tunes"):
        calibrate(folder, gold_of(s0=GoldSample((shown,))))
