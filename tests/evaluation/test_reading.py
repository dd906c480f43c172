"""From what a user names to what is scored."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.factories import make_sample, write_records
from helpers.scores import score_of

from riveg.errors import UserError
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.proposals import read_proposals
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.reading import open_gold, open_predictions, protocols_named
from riveg.evaluation.reruns import rerun_command
from riveg.runs.system import load_system
from riveg.types import Box

GOLD_ROWS = [
    {
        "id": "1",
        "text": "Ann sings",
        "entities": [{"text": "Ann", "label": "PER", "start": 0, "end": 1, "boxes": []}],
    },
    {"id": "2", "text": "rain", "entities": []},
]


@pytest.fixture
def gold_file(tmp_path: Path) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in GOLD_ROWS))
    return path


@pytest.fixture
def records(tmp_path: Path) -> Path:
    samples = [make_sample("Ann sings", [(0, 1, "PER")], id="1"), make_sample("rain", id="2")]
    return write_records(tmp_path / "records.jsonl", samples)


def test_records_are_known_by_their_look(records: Path, gold_file: Path) -> None:
    predictions = open_predictions(records)
    assert (predictions.format, predictions.detail) == ("jsonl", "tags")
    found = evaluate(predictions, open_gold(str(gold_file), predictions))
    assert score_of(found, "mner").f1 == 100.0


def test_other_systems_are_scored_on_the_same_gold(tmp_path: Path, gold_file: Path) -> None:
    text = tmp_path / "augment.txt"
    text.write_text("Imageid:1.jpg#abcd###Ann(PER)###Ann(PER)-a singer###0\n")
    shown = tmp_path / "shown.txt"
    shown.write_text(text.read_text() + "Imageid:2.jpg#abce###rain(LOC)###rain(LOC)-x###2\n")
    found = evaluate(open_predictions(shown), open_gold(str(gold_file), open_predictions(shown)))
    assert found.format == "riveg"
    assert score_of(found, "mner").hits == 1
    # Without boxes, what it says of groundability is all there is to score.
    assert found.scores["canonical"]["gmner"] is None
    assert score_of(found, "perfect_boxes").hits == 1
    assert any("no boxes" in note for note in found.notes)
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[]")
    for given in (boxes, None):  # Where nothing is in the picture, no box is missing.
        predictions = open_predictions(text, boxes=given)
        located = evaluate(predictions, open_gold(str(gold_file), predictions))
        assert score_of(located, "gmner").hits == 1
        assert not any("no boxes" in note for note in located.notes)


@pytest.mark.parametrize(
    "lines",
    [
        "Ann is a person and a singer, which is not in the image\n\n",
        "Pred: {'Ann singer False': None}\nPred: {'': 0}\n",
    ],
    ids=["sentences", "dump"],
)
def test_who_says_that_nothing_is_in_the_picture_has_answered(
    tmp_path: Path, gold_file: Path, lines: str
) -> None:
    path = tmp_path / "out.txt"
    path.write_text(lines)
    predictions = open_predictions(path)
    found = evaluate(predictions, open_gold(str(gold_file), predictions))
    assert predictions.format == "tiger"
    assert found.scores["canonical"]["eeg"] is not None
    assert score_of(found, "eeg").hits == 1


def test_rivegs_label_file_is_gold(tmp_path: Path, records: Path) -> None:
    labels = tmp_path / "GMNER_finall_label.txt"
    labels.write_text("1.jpg###Ann(PER)###a singer###0###&[0, 0, 0, 0]\n")
    predictions = open_predictions(records)
    gold = open_gold(str(labels), predictions)
    found = evaluate(predictions, gold)
    # The file names no sample without an entity: one that it does not name has none.
    assert (found.without_gold, found.samples) == (0, 2)
    assert score_of(found, "mner").hits == 1


def test_what_cannot_be_scored_is_one_clear_line(records: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        open_predictions(tmp_path / "nothing")
    with pytest.raises(UserError, match="--format jsnl: no such format; did you mean jsonl"):
        open_predictions(records, format="jsnl")
    with pytest.raises(UserError, match="come apart in the format riveg only"):
        open_predictions(records, boxes=tmp_path / "boxes.json")
    with pytest.raises(UserError, match="--gold: say which data"):
        open_gold(None, open_predictions(records))
    with pytest.raises(UserError, match="has no gold"):
        open_gold(str(write_samples(tmp_path)), open_predictions(records))


def write_samples(folder: Path) -> Path:
    path = folder / "posts.jsonl"
    path.write_text(json.dumps({"id": "1", "text": "Ann sings"}) + "\n")
    return path


def test_a_run_over_a_yaml_of_ones_own_knows_its_gold(tmp_path: Path) -> None:
    """Its files alone say neither their form nor what their labels mean."""
    oracle = tmp_path / "oracle.yaml"
    oracle.write_text("name: oracle\ntag: gold\n")
    (tmp_path / "test.txt").write_text("IMGID:1\nAnn\tB-PER\nsings\tO\n")
    (tmp_path / "posts.jsonl").write_text(
        json.dumps(
            {"id": "1", "text": "Ann", "entities": [{"label": "people", "start": 0, "end": 1}]}
        )
    )
    for form, text, more in (
        ("twitter-mner", "test.txt", ""),
        ("jsonl", "posts.jsonl", "label_map: {people: PER}\n"),
    ):
        file = tmp_path / f"{form}.yaml"
        file.write_text(
            f"name: mine\nformat: {form}\ntext: {{test: {text}}}\nlabels: [PER]\n{more}"
        )
        out = tmp_path / form
        load_system(oracle).run(file, out=out)
        gold = open_gold(None, open_predictions(out))
        assert [entity.label for entity in gold.entities()] == ["PER"]
        assert f" --data {file} --split test " in rerun_command(out, suffix="again")
        file.unlink()
        with pytest.raises(UserError, match=rf"{form}\.yaml: is gone, .* name it as --gold"):
            open_gold(None, open_predictions(out))


def test_protocols_by_name() -> None:
    assert protocols_named([]) == ("canonical",)
    assert protocols_named(["tiger", "riveg"]) == ("canonical", "riveg", "tiger")
    assert protocols_named(["all"]) == (*PROTOCOLS,)
    with pytest.raises(UserError, match=r"--protocol rivegg: .* did you mean riveg"):
        protocols_named(["rivegg"])


def test_proposals_are_read_without_pickles(tmp_path: Path) -> None:
    rows = np.array([[0, 0, 10, 10], [5, 5, 5, 9]], dtype=np.float32)
    np.savez(tmp_path / "1.jpg.npz", bounding_boxes=rows, num_boxes=2)
    # A box without an area keeps its place among the first so many.
    assert read_proposals(tmp_path, "1") == (Box(0, 0, 10, 10), None)
    assert read_proposals(tmp_path, "2") == ()
    assert read_proposals(tmp_path, "../1") == ()
    np.savez(tmp_path / "3.npz", bounding_boxes=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="holds no bounding_boxes"):
        read_proposals(tmp_path, "3")
    with pytest.raises(UserError, match="no such folder"):
        read_proposals(tmp_path / "nothing", "1")


def test_a_detector_that_missed_the_box_is_seen_by_the_protocols_of_candidates(
    tmp_path: Path, records: Path
) -> None:
    gold = tmp_path / "boxed.jsonl"
    entity = {"text": "Ann", "label": "PER", "start": 0, "end": 1, "boxes": [[0, 0, 100, 100]]}
    gold.write_text(json.dumps({"id": "1", "text": "Ann sings", "entities": [entity]}) + "\n")
    folder = tmp_path / "vinvl"
    folder.mkdir()
    np.savez(folder / "1.jpg.npz", bounding_boxes=np.array([[0, 0, 40, 100]]))
    opened = open_gold(str(gold), open_predictions(records), proposals=folder)
    assert opened.samples["1"].proposals == (Box(0, 0, 40, 100),)
