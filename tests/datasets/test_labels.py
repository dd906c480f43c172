"""Label sets of one level and of two: as a YAML file says them, and as the data keep to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from riveg.cli.data import app
from riveg.datasets.check import Report, TypeCounts, check
from riveg.datasets.config import shipped_datasets
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.labels import label_levels

TWO = "labels: {PER: [actor, athlete], LOC: [city], ORG: }"
NAMES = st.text("ab", min_size=1, max_size=2)


def dataset(folder: Path, labels: str, *entities: tuple[str, str | None]) -> Dataset:
    """Posts of one entity each, with its two labels."""
    rows = [
        {"id": str(number), "text": f"w{number}", "entities": [cell(label, fine)]}
        for number, (label, fine) in enumerate(entities)
    ]
    (folder / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    path = folder / "set.yaml"
    path.write_text(f"name: small\nformat: jsonl\ntext: {{train: a.jsonl}}\n{labels}\n")
    return open_dataset(str(path))


def cell(label: str, fine: str | None) -> dict[str, Any]:
    return {"label": label, "start": 0, "end": 1, "fine_label": fine, "boxes": []}


def told(report: Report) -> list[tuple[str, str, str]]:
    return [(defect.kind, defect.where, defect.message) for defect in report.defects]


def test_one_level(tmp_path: Path) -> None:
    found = dataset(tmp_path, "labels: [PER, LOC, 5]", ("PER", None))
    assert (found.labels, found.fine_labels) == (("PER", "LOC", "5"), {})
    assert not check(found).defects


def test_two_levels(tmp_path: Path) -> None:
    found = dataset(tmp_path, TWO, ("PER", "actor"), ("LOC", "city"), ("ORG", None))
    assert found.labels == ("PER", "LOC", "ORG")
    assert found.fine_labels == {"PER": ("actor", "athlete"), "LOC": ("city",), "ORG": ()}
    report = check(found)
    assert not report.defects
    assert report.splits["train"].by_fine_type == {
        "PER": {"actor": TypeCounts(1, 0)},
        "LOC": {"city": TypeCounts(1, 0)},
    }


def test_fine_labels_that_do_not_fit_are_defects(tmp_path: Path) -> None:
    entities = (("PER", "city"), ("PER", "spy"), ("ORG", "spy"), ("LOC", None), ("MISC", None))
    assert told(check(dataset(tmp_path, TWO, *entities))) == [
        (
            "fine-label-mismatch",
            "a.jsonl:1",
            "'w0' has the fine type 'city' and the type 'PER'; it belongs to LOC",
        ),
        (
            "unknown-fine-label",
            "a.jsonl:2",
            "'w1' has the fine type 'spy'; declared below PER are actor, athlete",
        ),
        (
            "unknown-fine-label",
            "a.jsonl:3",
            "'w2' has the fine type 'spy'; declared below ORG are none",
        ),
        ("no-fine-label", "a.jsonl:4", "'w3' has the type 'LOC' and no fine type"),
        (
            "unknown-label",
            "a.jsonl:5",
            "'w4' has the type 'MISC'; declared are PER, LOC, ORG",
        ),
    ]


def test_fine_labels_that_nobody_declares_belong_where_they_first_stand(tmp_path: Path) -> None:
    entities = (("PER", "band"), ("ORG", None), ("PER", "band"), ("ORG", "band"))
    assert told(check(dataset(tmp_path, "labels: [PER, ORG]", *entities))) == [
        (
            "fine-label-mismatch",
            "a.jsonl:4",
            "'w3' has the fine type 'band' and the type 'ORG'; it belongs to PER, as in a.jsonl:1",
        )
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("labels: PER", "found PER; expected a list of types here: [...], or types with"),
        ("labels: [PER, PER]", "'PER' is named twice here"),
        ("labels: {PER: actor}", "expected a list of types below PER: [...]"),
        ("labels: {PER: [actor, actor]}", "'actor' is named twice below PER"),
        (
            "labels: {PER: [band], ORG: [band]}",
            "the fine type 'band' stands below PER and below ORG; a fine type belongs to one type",
        ),
        ("labels: {PER: [ORG], ORG: }", "'ORG' stands below PER and is a type itself"),
        ("labels: [{PER: [actor]}]", "is no name of a type: expected a text on one line"),
        ("labels: [' PER']", "' PER' is no name of a type"),
        ("labels: [true]", "True is no name of a type"),
    ],
)
def test_a_label_set_that_cannot_be_is_one_line(tmp_path: Path, labels: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        dataset(tmp_path, labels)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / 'set.yaml'}:4: labels: found ")
    assert message in line


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=4))
def test_every_fine_label_has_one_label(levels: dict[str, list[str]]) -> None:
    below = [(label, fine) for label, names in levels.items() for fine in names]
    sound = len({fine for _, fine in below}) == len(below) and not any(
        fine in levels and fine != label for label, fine in below
    )
    if sound:
        assert label_levels(levels) == {label: tuple(names) for label, names in levels.items()}
    else:
        with pytest.raises(ValueError, match=r"twice|stands below"):
            label_levels(levels)


def test_several_files_share_their_label_sets(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    dataset(tmp_path / "x", TWO, ("PER", "actor"))
    dataset(tmp_path / "y", "labels: {PER: [actor, spy]}", ("PER", "spy"))
    both = open_dataset([str(tmp_path / name / "set.yaml") for name in "xy"])
    assert both.fine_labels["PER"] == ("actor", "athlete", "spy")
    dataset(tmp_path / "y", "labels: [PER]", ("PER", None))
    both = open_dataset([str(tmp_path / name / "set.yaml") for name in "xy"])
    assert not both.fine_labels


def test_twitter_fmnerg_declares_its_51_fine_types() -> None:
    levels = shipped_datasets()["twitter-fmnerg"].labels
    assert [*levels] == ["PER", "LOC", "ORG", "OTHER"]
    assert sum(map(len, levels.values())) == 51


def test_fine_types_are_counted_below_their_types(tmp_path: Path) -> None:
    dataset(tmp_path, "", ("PER", "actor"), ("PER", "actor"), ("PER", None), ("ORG", "band"))
    result = CliRunner().invoke(app, ["check", str(tmp_path / "set.yaml")])
    assert result.exit_code == 0, result.output
    rows = [" ".join(line.split()) for line in result.output.splitlines()]
    start = rows.index("fine type (groundable) train")
    assert rows[start + 1 : start + 4] == [
        "ORG/band 1 (0)",
        "PER, without 1 (0)",
        "PER/actor 2 (0)",
    ]
    one_level = dataset(tmp_path, "", ("PER", None))
    assert not check(one_level).splits["train"].by_fine_type
    assert "fine" not in CliRunner().invoke(app, ["check", str(tmp_path / "set.yaml")]).output
