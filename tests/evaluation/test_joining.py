"""What does not fit between predictions and gold is told above the scores, wherever they join."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.factories import make_sample, write_records
from helpers.run_folders import make_run

from riveg.evaluation.calibration_outcomes import read_outcomes
from riveg.evaluation.calibration_run import RunThreshold, RunThresholds
from riveg.evaluation.canonical import Rules
from riveg.evaluation.comparison import compare
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.reading import open_gold, open_predictions
from riveg.report.judging import Judge

GOLD = "IMGID:1\nAnn\tB-PER\nLee\tI-PER\nin\tO\nOslo\tB-LOC\n\nIMGID:2\nMars\tB-OTHER\nrocks\tO\n"
BOX = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>50</xmax><ymax>50</ymax></bndbox>"
TOKENS = "samples with another number of tokens than the gold: "


def write_gold(folder: Path, text: str = GOLD, names: dict[str, str] | None = None) -> Path:
    """A dataset of one split, with an object of this name for each of these ids."""
    (folder / "xml").mkdir(exist_ok=True)
    (folder / "gold.txt").write_text(text, encoding="utf-8")
    for sample_id, name in (names or {}).items():
        content = f"<annotation><object><name>{name}</name>{BOX}</object></annotation>"
        (folder / "xml" / f"{sample_id}.xml").write_text(content, encoding="utf-8")
    path = folder / "gold.yaml"
    path.write_text("name: g\nformat: twitter-gmner\ntext: {test: gold.txt}\nxml: xml\n")
    return path


def scored(folder: Path, predictions: str, gold: Path, name: str = "pred.txt") -> Evaluation:
    path = folder / name
    path.write_text(predictions, encoding="utf-8")
    opened = open_predictions(path)
    return evaluate(opened, open_gold(str(gold), opened, split="test"))


@pytest.mark.parametrize(
    ("predictions", "note"),
    [
        (GOLD, None),
        (GOLD.replace("Ann\tB-PER\n", "An\tB-PER\n##n\tI-PER\n"), "1 (first: '1', 5 for 4)"),
        (GOLD.replace("in\tO\nOslo\tB-LOC\n", ""), "1 (first: '1', 2 for 4)"),
        (GOLD.replace("rocks\tO\n", ""), "1 (first: '2', 1 for 2)"),
        (GOLD.replace("in\tO\n", "").replace("rocks\tO\n", ""), "2 (first: '1', 3 for 4)"),
        (GOLD.replace("IMGID:1\n", "").replace("IMGID:2\n", "").replace("in\tO\n", ""), "1 (first"),
        (GOLD.replace("rocks\tO\n", "rocks\tO\n<EOS>\tX\nknown\tX\n"), None),
    ],
    ids=["the same", "word pieces", "cut", "cut at an O", "both", "by order", "knowledge"],
)
def test_other_numbers_of_tokens_are_told(
    tmp_path: Path, predictions: str, note: str | None
) -> None:
    found = scored(tmp_path, predictions, write_gold(tmp_path))
    told = [line.removeprefix(TOKENS) for line in found.notes if line.startswith(TOKENS)]
    assert len(told) == (note is not None)
    assert all(line.startswith(note or "") for line in told)


def test_records_with_other_tokens_are_told(tmp_path: Path) -> None:
    samples = [make_sample("Ann Lee in Os lo", id="1"), make_sample("Mars rocks", id="2")]
    records = write_records(tmp_path / "records.jsonl", samples)
    opened = open_predictions(records)
    found = evaluate(opened, open_gold(str(write_gold(tmp_path)), opened, split="test"))
    assert f"{TOKENS}1 (first: '1', 5 for 4); are they cut, or word pieces?" in found.notes


@pytest.mark.parametrize("name", ["Ann Lee ", "\n    Ann Lee\n  ", "Ann  Lee", "Ann\u00a0Lee"])
def test_a_name_with_other_blanks_loses_no_point(tmp_path: Path, name: str) -> None:
    gold = write_gold(tmp_path, names={"1": name})
    answers = {"1": "Ann  Lee|PER|[10,10,50,50]; Oslo|LOC|None", "2": "Mars|OTHER|None"}
    lines = (json.dumps({"image_id": key, "prediction": text}) for key, text in answers.items())
    found = scored(tmp_path, "\n".join(lines) + "\n", gold, "pred.jsonl")
    gmner = found.scores["canonical"]["gmner"]
    assert gmner is not None
    assert (gmner.hits, gmner.gold) == (3, 3)
    assert not any("belong to no entity" in note for note in found.notes)


def test_what_the_gold_could_not_take_in_is_told(tmp_path: Path) -> None:
    text = GOLD.replace("B-OTHER", "OTHER")
    gold = write_gold(tmp_path, text, names={"1": "ann lee", "2": "a rover"})
    found = scored(tmp_path, GOLD, gold)
    told = [note for note in found.notes if "riveg data check tells which" in note]
    assert [note.partition(" (")[0] for note in told] == [
        "annotated objects that belong to no entity, so they are not gold: 2",
        "tags of the gold that are none, so they are read as O: 1",
    ]


def test_marks_between_documents_are_no_samples_on_either_side(tmp_path: Path) -> None:
    mark = "-DOCSTART-\tO\n\n"
    sentences = GOLD.replace("IMGID:1\n", mark).replace("IMGID:2\n", mark)
    found = scored(tmp_path, sentences, write_gold(tmp_path))
    assert (found.samples, found.without_prediction) == (2, 0)
    both = scored(tmp_path, sentences, write_gold(tmp_path, sentences))
    assert both.samples == 2
    assert both.scores["canonical"]["mner"] == found.scores["canonical"]["mner"]


@pytest.mark.parametrize(
    "tags",
    ["B-PER I-PER O B-LOC", "B-PER E-PER O S-LOC", "B-PER L-PER O U-LOC", "I-PER I-PER O I-LOC"],
)
def test_gold_and_predictions_have_one_reader_of_tags(tmp_path: Path, tags: str) -> None:
    one, two, three, four = tags.split()
    text = f"IMGID:1\nAnn\t{one}\nLee\t{two}\nin\t{three}\nOslo\t{four}\n"
    for gold, predictions in ((GOLD, text), (text, text), (text, GOLD)):
        found = scored(tmp_path, predictions, write_gold(tmp_path, gold.partition("\n\n")[0]))
        mner = found.scores["canonical"]["mner"]
        assert mner is not None
        assert (mner.hits, mner.gold) == (2, 2)


@pytest.mark.parametrize("end", [" ", "\t", " \t", "\u00a0"])
def test_what_is_not_seen_behind_a_tag_costs_no_point(tmp_path: Path, end: str) -> None:
    trailing = "".join(f"{line}{end * bool(line)}\n" for line in GOLD.splitlines())
    for gold, predictions in ((trailing, GOLD), (GOLD, trailing), (trailing, trailing)):
        mner = scored(tmp_path, predictions, write_gold(tmp_path, gold)).scores["canonical"]["mner"]
        assert mner is not None
        assert (mner.hits, mner.predicted, mner.gold) == (3, 3, 3)


ELSEWHERE = "predicted entities whose words do not stand in their sample's text: "
ASKS = "; is each prediction of its own sample?"
NAMES = ["Ann Lee", "Mars", "Oslo", "Bonn"]


def answers_for(kind: str, names: Sequence[str]) -> str:
    """What these systems write where they find one name in each of the samples 1, 2, 3, 4."""
    lines = []
    for at, name in enumerate(names, start=1):
        answer = {"prediction": f"{name}|PER|None"}
        lines.append(
            {
                "e2e": json.dumps(answer),
                "e2e with ids": json.dumps({"id": at, **answer}),
                "riveg": f"Imageid:{at}.jpg#00aa###{name}(PER)###x###0",
                "tiger": f"{name} is a person and a singer, which is not in the image",
            }[kind]
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["e2e", "e2e with ids", "riveg", "tiger"])
@pytest.mark.parametrize(
    ("names", "note"),
    [
        (NAMES, None),
        ([name.replace(" ", "\u00a0 ") for name in NAMES], None),
        ([*NAMES[1:], NAMES[0]], f"4 of 4{ASKS}"),
        ([NAMES[0], *NAMES[2:], NAMES[3]], f"2 of 4{ASKS}"),
        ([*map(str.lower, NAMES)], "4 of 4 (4 of them only for their case)"),
        ([*map(str.upper, NAMES[:3]), "Rome"], f"4 of 4 (3 of them only for their case){ASKS}"),
    ],
    ids=[
        "its own",
        "other blanks",
        "shifted",
        "one lost",
        "small letters",
        "capitals, and another",
    ],
)
def test_predictions_beside_another_sample_are_told(
    tmp_path: Path, kind: str, names: list[str], note: str | None
) -> None:
    gold = "".join(f"IMGID:{at}\n{name}\tB-PER\n\n" for at, name in enumerate(NAMES, start=1))
    found = scored(tmp_path, answers_for(kind, names), write_gold(tmp_path, gold))
    told = [line.removeprefix(ELSEWHERE) for line in found.notes if line.startswith(ELSEWHERE)]
    assert told == ([] if note is None else [note])


@pytest.fixture
def misfit(tmp_path: Path) -> tuple[Path, GoldSet]:
    """A run with other tokens and without one sample of its gold, which has an object too many."""
    folder = make_run(tmp_path / "run", [make_sample("Ann Lee in Os lo", id="1")])
    gold = write_gold(tmp_path, names={"1": "Bob"})
    return folder, open_gold(str(gold), open_predictions(folder), split="test")


def test_compare_calibrate_and_report_tell_the_same(misfit: tuple[Path, GoldSet]) -> None:
    folder, gold = misfit
    unread = "annotated objects that belong to no entity, so they are not gold: 1"
    tokens = f"{TOKENS}1 (first: '1', 5 for 4)"
    lacking = "samples of the gold that are not predicted, and are left out: 1"
    run = open_predictions(folder)
    compared = compare(run, run, gold).notes
    for expected in (unread, f"A: {tokens}", f"B: {tokens}", lacking):
        assert sum(note.startswith(expected) for note in compared) == 1, expected
    thresholds = RunThresholds(None, RunThreshold("ground.threshold", 0.5))
    calibrated = read_outcomes(folder, gold, thresholds, Rules()).notes
    judged = Judge(run, gold).evaluation
    assert judged is not None
    assert judged.without_prediction == 1
    for notes in (calibrated, judged.notes):
        for expected in (unread, tokens):
            assert sum(note.startswith(expected) for note in notes) == 1, expected
    assert lacking in calibrated
