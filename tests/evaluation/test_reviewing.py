"""What a review put right and what it spoilt, and the gates that pay, worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from riveg.cli import app
from riveg.cli.evaluation_sheets import sheets
from riveg.config.calibrated import read_artifact
from riveg.errors import UserError
from riveg.evaluation.calibration_file import artifact_content, write_artifact
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import AnnotatedEntity, predicted_of
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.evaluation.predictions import predictions_of_run
from riveg.evaluation.review_calibration import (
    best_gates,
    calibrate_review,
    review_rerun_advice,
)
from riveg.evaluation.review_outcomes import read_review_outcomes
from riveg.evaluation.reviewing import ReviewCost, ReviewCount, ReviewTally, undone
from riveg.evaluation.verdicts import verdicts
from riveg.types import Before, Box, Entity, ImageRef, Region, Review, Sample, Span

HERE, THERE = Box(0, 0, 50, 50), Box(50, 50, 100, 100)
Kind = Literal["span", "type", "region"]

SYSTEM = """
name: reviewed
llm: {main: {model: any, base_urls: ["http://127.0.0.1:9/v1"]}}
tag: mini
ground: {backend: chat, frame: norm1000}
review: {backend: chat, span: SPAN, type: 0, region: 0, frame: norm1000}
"""


def entity(number: int, label: str, *reviews: Review, box: Box | None = HERE) -> Entity:
    regions = () if box is None else (Region(box),)
    text = "abcdefgh"[number]
    return Entity(
        f"e{number}", text, label, Span(number, number + 1), 0.9, regions=regions, reviews=reviews
    )


def typed(uncertainty: float, before: str) -> Review:
    return Review("type", uncertainty, "changed", Before(label=before))


def kept(kind: Kind, uncertainty: float) -> Review:
    return Review(kind, uncertainty, "confirmed")


def sample(id: str, *entities: Entity) -> Sample:
    post = make_sample("a b c d e f g h", id=id, entities=entities)
    return replace(post, image=ImageRef(f"{id}.jpg", 100, 100))


def gold_of(**words: str) -> GoldSet:
    """Persons, all of them in the upper left quarter."""
    return gold_set(
        "dev",
        {
            id: GoldSample(
                tuple(
                    AnnotatedEntity(word, "PER", Span(at, at + 1), boxes=(HERE,))
                    for at, word in enumerate("abcdefgh")
                    if word in named
                )
            )
            for id, named in words.items()
        },
    )


def run_of(folder: Path, *samples: Sample, span: str = "0") -> Path:
    system = folder / "system.yaml"
    folder.mkdir(exist_ok=True)
    system.write_text(SYSTEM.replace("SPAN", span), encoding="utf-8")
    return make_run(folder / "run", samples, system=system, data="dev")


POSTS = (
    # The review is right where it is asked about what was very uncertain, and wrong elsewhere.
    sample("s0", entity(0, "PER", typed(0.9, "LOC")), entity(1, "PER", typed(0.8, "LOC"))),
    sample("s1", entity(0, "LOC", typed(0.5, "PER")), entity(1, "LOC", typed(0.4, "PER"))),
    sample("s2", entity(0, "LOC", typed(0.2, "PER")), entity(1, "PER", kept("type", 0.1))),
)
GOLD = gold_of(s0="ab", s1="ab", s2="ab")


def test_the_gate_that_pays_is_found_where_reviewing_everything_does_harm(tmp_path: Path) -> None:
    found = calibrate_review(run_of(tmp_path, *POSTS), GOLD, "gmner", resamples=50)
    assert found.before.count.hits == 4
    assert found.everything.count.hits == 3
    assert found.after.count.hits == 6
    assert found.after.count.f1 == 100
    chosen = found.tuned["type"].chosen
    assert (chosen.low, chosen.high) == (0.5, 0.8)
    assert 0.5 < chosen.value <= 0.8
    assert found.shares_of_run == {"span": 0.0, "type": 100.0, "region": 0.0}
    assert found.shares["type"] == pytest.approx(100 * 2 / 6)
    # Nothing was gained at the others: of equal gates those that ask nobody.
    assert found.tuned["span"].chosen.value == found.tuned["region"].chosen.value == 1
    assert found.entangled == 0
    assert found.cross_validated is not None


def test_the_numbers_of_the_report_are_those_of_a_run_with_these_gates(tmp_path: Path) -> None:
    folder = run_of(tmp_path, *POSTS)
    found = calibrate_review(folder, GOLD, "mner", resamples=50)
    gate = found.tuned["type"].chosen.value
    again = [
        replace(
            post,
            entities=tuple(
                replace(one, label=looked.before.label or "")
                if (looked := (one.reviews or ())[0]).before and looked.uncertainty < gate
                else one
                for one in post.entities or ()
            ),
        )
        for post in POSTS
    ]
    (tmp_path / "again").mkdir()
    scored = evaluate(predictions_of_run(run_of(tmp_path / "again", *again)), GOLD)
    mner = scored.scores["canonical"]["mner"]
    assert mner is not None
    assert mner.hits == found.after.count.hits


def test_the_file_gives_the_gates_to_a_system(tmp_path: Path) -> None:
    folder = run_of(tmp_path, *POSTS)
    found = calibrate_review(folder, GOLD, "gmner", resamples=20)
    write_artifact(tmp_path / "mine.json", artifact_content(folder, "mine", GOLD, found))
    artifact = read_artifact(tmp_path / "mine.json")
    backends = {"review": "chat"}
    assert artifact.value("review.type", backends) == found.tuned["type"].chosen.value
    content = json.loads((tmp_path / "mine.json").read_text())
    assert content["metric"] == "gmner"
    assert content["scores"]["everything"]["hits"] == 3
    assert content["asked_percent"]["type"] == pytest.approx(33.3, abs=0.1)


def test_what_an_earlier_look_changed_makes_a_later_one_uncertain_and_is_told(
    tmp_path: Path,
) -> None:
    spoilt = Review("span", 0.3, "changed", Before(text="a", span=Span(0, 1)))
    better = typed(0.7, "LOC")
    both = replace(entity(0, "PER", spoilt, better), text="a b", span=Span(0, 2))
    found = calibrate_review(run_of(tmp_path, sample("s0", both)), gold_of(s0="a"), "gmner")
    assert found.after.count.hits == 1
    assert found.tuned["span"].chosen.value > 0.3
    assert found.entangled == 1


def test_gates_below_the_runs_own_are_not_in_its_records(tmp_path: Path) -> None:
    folder = run_of(tmp_path, *POSTS, span="0.5")
    found = calibrate_review(folder, GOLD, "gmner", resamples=20)
    assert found.tuned["span"].floor == 0.5
    advice = review_rerun_advice(folder, found)
    assert advice is not None
    assert "review.span=0" in advice
    assert "review.type=0" not in advice


@pytest.mark.parametrize("reviews", [None, ()])
def test_a_run_without_looks_tells_nothing(
    reviews: tuple[Review, ...] | None, tmp_path: Path
) -> None:
    plain = sample("s0", replace(entity(0, "PER"), reviews=reviews))
    with pytest.raises(UserError, match="nothing was reviewed; run it with the gates at 0"):
        calibrate_review(run_of(tmp_path, plain), GOLD, "gmner")
    folder = make_run(tmp_path / "plain", [plain], data="dev")
    with pytest.raises(UserError, match="has no stage review"):
        calibrate_review(folder, GOLD, "gmner")


uncertainties = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
looks = st.tuples(uncertainties, st.sampled_from(["PER", "LOC"]), st.booleans(), uncertainties)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(looks, min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_chosen_gates_are_never_worse_than_no_review_and_than_everything(
    tmp_path_factory: pytest.TempPathFactory,
    posts: list[list[tuple[float, str, bool, float]]],
) -> None:
    samples = [
        sample(
            f"s{at}",
            *(
                entity(
                    number,
                    "LOC" if label == "PER" else "PER",
                    typed(of_type, label),
                    Review("region", of_box, "changed", Before(regions=(Region(THERE),))),
                    box=HERE if helps else None,
                )
                for number, (of_type, label, helps, of_box) in enumerate(found)
            ),
        )
        for at, found in enumerate(posts)
    ]
    gold = gold_of(**{f"s{at}": "abc" for at in range(len(samples))})
    folder = run_of(tmp_path_factory.mktemp("run"), *samples)
    own = dict.fromkeys(("span", "type", "region"), 0.0)
    outcomes = read_review_outcomes(folder, gold, own, "gmner")  # type: ignore[arg-type]
    gates = {kind: one.value for kind, one in best_gates(outcomes).items()}
    assert all(0 <= gate <= 1 for gate in gates.values())
    hits = int(outcomes.hits(gates).sum())
    assert hits >= int(outcomes.hits(dict.fromkeys(gates, 1.0)).sum())
    assert hits >= int(outcomes.hits(own).sum())  # type: ignore[arg-type]


def test_kinds_are_judged_as_they_stood_when_they_were_reviewed() -> None:
    """The words are put right, the type is spoilt, the box was right and stays wrong."""
    looked = Entity(
        "e0",
        "a",
        "LOC",
        Span(0, 1),
        regions=(Region(THERE),),
        reviews=(
            Review("span", 0.5, "changed", Before(text="a b", span=Span(0, 2))),
            Review("type", 0.5, "changed", Before(label="PER")),
            Review("region", 0.5, "changed", Before(regions=(Region(HERE),))),
        ),
    )
    tally = ReviewTally(Rules(), has_boxes=True)
    case = gold_of(s0="a").case_of(sample("s0", looked, entity(1, "PER", kept("type", 0.2))))
    assert case is not None
    tally.add(case)
    assert tally.counts() == {
        "span": ReviewCount(2, 1, 1, 0, fixed=1, broken=0),
        "type": ReviewCount(2, 2, 1, 0, fixed=0, broken=1),
        "region": ReviewCount(2, 1, 1, 0, fixed=0, broken=1),
    }
    (first, _) = predicted_of(sample("s0", looked, entity(1, "PER")))
    whole = undone(first, ("span", "type", "region"))
    assert (whole.text, whole.span, whole.label) == ("a b", Span(0, 2), "PER")
    assert whole.regions == (Region(HERE),)


def test_what_a_review_spoilt_is_blamed_on_it_and_the_rest_is_not() -> None:
    spoilt = entity(0, "LOC", typed(0.5, "PER"))
    never_right = entity(1, "ORG", typed(0.5, "LOC"))
    moved = entity(
        2, "PER", Review("region", 0.5, "changed", Before(regions=(Region(HERE),))), box=THERE
    )
    case = gold_of(s0="abc").case_of(sample("s0", spoilt, never_right, moved))
    assert case is not None
    assert [(one.kind, one.stage) for one in verdicts(case)] == [
        ("wrong-type", "review"),
        ("wrong-type", "tag"),
        ("box-off", "review"),
    ]


def test_eval_tells_what_became_of_second_looks_and_never_a_cost_of_0(tmp_path: Path) -> None:
    found = evaluate(predictions_of_run(run_of(tmp_path, *POSTS)), GOLD)
    assert found.reviews == {"type": ReviewCount(6, 6, 5, 0, fixed=2, broken=3)}
    assert found.reviews["type"].unchanged == 1
    assert found.review_cost == ReviewCost()
    (sheet,) = [one for one in sheets(found) if one.title.startswith("second looks")]
    assert "requests unknown, tokens unknown in and unknown out, cost unknown" in sheet.title
    assert sheet.rows == (("type", "6", "6", "100.00", "5", "2", "3", "1", "0"),)


def test_a_run_without_review_has_no_such_table(tmp_path: Path) -> None:
    plain = sample("s0", replace(entity(0, "PER"), reviews=None))
    found = evaluate(predictions_of_run(make_run(tmp_path, [plain], data="dev")), GOLD)
    assert found.reviews is None
    assert found.review_cost is None


def test_the_command_prints_all_three_scores_and_writes_the_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_of(tmp_path, *POSTS)
    gold: list[dict[str, Any]] = [
        {
            "id": post.id,
            "text": post.text,
            "entities": [
                {"text": w, "label": "PER", "start": at, "end": at + 1, "boxes": [[0, 0, 50, 50]]}
                for at, w in ((0, "a"), (1, "b"))
            ],
        }
        for post in POSTS
    ]
    dev = tmp_path / "dev.jsonl"
    dev.write_text("".join(json.dumps(one) + "\n" for one in gold), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(app, ["calibrate", str(folder), "--gold", str(dev), "--review"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    for begin, f1 in (("no review", "66.67"), ("run's own", "50.00"), ("chosen ", "100.00")):
        assert any(line.startswith(begin) and f1 in line for line in lines), (begin, done.output)
    assert any(line.split() == ["type", "100.0", "33.3"] for line in lines), done.output
    assert "--set review.type=@reviewed-dev-review" in done.output
    assert (tmp_path / "artifacts" / "reviewed-dev-review.json").is_file()
