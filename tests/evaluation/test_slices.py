"""Slices against a count by hand, and against the scores of everything."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.evaluation_strategies import cases
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.canonical import AGREEMENTS, Rules, matched, related
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.evaluate import EvaluationOptions, evaluate
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.evaluation.reading import seen_mentions
from riveg.evaluation.scores import TypeScore
from riveg.evaluation.slices import CROWDS, NOT_SHOWN, SEEN, SHOWN, UNSEEN, Slices, folded
from riveg.types import Box, Region, Span

PLACE = Box(0, 0, 10, 10)
OTHER = Box(50, 50, 60, 60)


def gold(text: str, at: int, *boxes: Box) -> AnnotatedEntity:
    return AnnotatedEntity(text, "PER", Span(at, at + 1), boxes=boxes)


def said(text: str, at: int, box: Box | None, label: str = "PER") -> PredictedEntity:
    regions = () if box is None else (Region(box),)
    return PredictedEntity(text, label, Span(at, at + 1), bool(regions), regions)


GOLD = gold_set(
    "posts",
    {
        "1": GoldSample((gold("Ann", 0, PLACE), gold("Bob", 1), gold("Cy", 2, PLACE))),
        "2": GoldSample(()),
    },
)
PREDICTIONS = Predictions(
    "out",
    "jsonl",
    lambda: iter(
        (
            # Right; rightly nowhere, wrong type; box elsewhere.
            Prediction(
                "1", (said("Ann", 0, PLACE), said("Bob", 1, None, "ORG"), said("Cy", 2, OTHER))
            ),
            Prediction("2", (said("ANN", 0, None),)),
        )
    ),
)


def sliced(seen: frozenset[str] | None = frozenset({"ann"})) -> Evaluation:
    return evaluate(PREDICTIONS, GOLD, EvaluationOptions(slices=True, seen=seen, resamples=10))


def counts(score: TypeScore) -> tuple[int, int, int]:
    return score.hits, score.predicted, score.gold


def test_a_case_counted_by_hand() -> None:
    slices = sliced().slices
    assert slices is not None
    assert {name: counts(scores["gmner"]) for name, scores in slices.items()} == {
        SHOWN: (1, 2, 2),
        NOT_SHOWN: (0, 2, 1),
        SEEN: (1, 2, 1),
        UNSEEN: (0, 2, 2),
        CROWDS[0]: (0, 1, 0),
        CROWDS[3]: (1, 3, 3),
    }
    assert {name: counts(row["mner"]) for name, row in slices.items() if "mner" in row} == {
        SEEN: (1, 2, 1),
        UNSEEN: (1, 2, 2),
        CROWDS[0]: (0, 1, 0),
        CROWDS[3]: (2, 3, 3),
    }
    assert list(slices) == [SHOWN, NOT_SHOWN, SEEN, UNSEEN, CROWDS[0], CROWDS[3]]


def test_without_what_was_seen_a_note_says_so() -> None:
    found = sliced(None)
    assert found.slices is not None
    assert not {SEEN, UNSEEN} & {*found.slices}
    assert any("which mentions were seen is not known" in note for note in found.notes)
    plain = evaluate(PREDICTIONS, GOLD, EvaluationOptions(resamples=10))
    assert plain.slices is None
    assert not any("seen" in note for note in plain.notes)


@given(st.lists(cases, max_size=4), st.sets(st.sampled_from(["j", "k", "jk"])))
def test_slices_share_out_everything(some: list[Case], seen: set[str]) -> None:
    slices = Slices(seen)
    total: Counter[tuple[str, str]] = Counter()
    for case in some:
        pairs = list(related(case, Rules()))
        slices.add(case, pairs)
        for metric in ("mner", "gmner"):
            agreeing = [pair for pair in pairs if AGREEMENTS[metric](pair)]
            total[metric, "hits"] += len(list(matched(agreeing, len(case.predicted))))
            total[metric, "predicted"] += len(case.predicted)
            total[metric, "gold"] += len(case.gold)
    for metric in ("mner", "gmner"):
        for names in ((SEEN, UNSEEN), CROWDS):
            rows = [slices.counts[name][metric] for name in names if name in slices.counts]
            assert sum(row.hits for row in rows) == total[metric, "hits"]
            assert sum(row.predicted for row in rows) == total[metric, "predicted"]
            assert sum(row.gold for row in rows) == total[metric, "gold"]
    # Whoever is right about the place is right about whether there is one.
    places = [slices.counts[name]["gmner"] for name in (SHOWN, NOT_SHOWN) if name in slices.counts]
    assert sum(row.hits for row in places) == total["gmner", "hits"]


def write_posts(path: Path, *names: str) -> Path:
    rows = [
        {"id": name, "text": f"{name} here", "entities": [{"label": "PER", "start": 0, "end": 1}]}
        for name in names
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_dataset(folder: Path, **splits: tuple[str, ...]) -> Path:
    for split, names in splits.items():
        write_posts(folder / f"{split}.jsonl", *names)
    text = ", ".join(f"{split}: {split}.jsonl" for split in splits)
    path = folder / "posts.yaml"
    path.write_text(f"name: posts\nformat: jsonl\ntext: {{{text}}}\nlabels: [PER]\n")
    return path


def test_seen_mentions_are_those_of_train_or_of_what_is_named(tmp_path: Path) -> None:
    data = str(write_dataset(tmp_path, train=("Ann", "BOB"), dev=("Cy",)))
    assert seen_mentions(data, PREDICTIONS, None) == frozenset({"ann", "bob"})
    assert seen_mentions(data, PREDICTIONS, "dev") == frozenset({"cy"})
    other = write_posts(tmp_path / "other.jsonl", "Dan")
    assert seen_mentions(data, PREDICTIONS, str(other)) == frozenset({"dan"})
    assert seen_mentions(str(other), PREDICTIONS, data) == frozenset({"ann", "bob"})
    lone = str(write_posts(tmp_path / "lone.jsonl", "Eve"))
    assert seen_mentions(lone, PREDICTIONS, None) is None
    with pytest.raises(UserError, match="nowhere"):
        seen_mentions(data, PREDICTIONS, "nowhere")
    assert folded("New  YORK") == "newyork"


def test_the_run_s_own_columns_are_those_of_what_was_seen(tmp_path: Path) -> None:
    posts = write_posts(tmp_path / "train.jsonl", "Ann", "Bob")
    posts.write_text(posts.read_text().replace('"entities"', '"marks"'))
    manifest = {"origin": [str(posts)], "columns": {"entities": "marks"}}
    own = replace(PREDICTIONS, manifest=manifest)
    assert seen_mentions(None, own, None) == frozenset({"ann", "bob"})


@pytest.mark.slow
def test_the_command_prints_a_table_of_80_columns(tmp_path: Path) -> None:
    run = tmp_path / "run"
    posts = write_posts(tmp_path / "posts.jsonl", "Ann", "Bob")
    assert (
        riveg("run", "quickstart", "--until", "tag", "--data", posts, "--out", run).returncode == 0
    )
    done = riveg("eval", run, "--seen-in", posts)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    start = lines.index("by slice; posts by their entities in the gold")
    assert lines[start + 1].split() == ["gold", "predicted", "MNER", "P", "R", "F1"]
    assert lines[start + 2].startswith("mention seen")
    assert max(map(len, lines[start:])) <= 80
