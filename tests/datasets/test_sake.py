"""SAKE's data: a post in a prompt, an image as bytes, gold by words with an entry for each box."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT
from PIL import Image
from typer.testing import CliRunner

from riveg.cli import app
from riveg.config.yaml_file import InvalidConfig
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.images.loader import ImageLoader
from riveg.types import Box, Gold

pa = pytest.importorskip("pyarrow", reason="needs the extra data")
parquet = pytest.importorskip("pyarrow.parquet")

QUESTION = "<image>Find the named entities of the post.\nGive boxes in pixels.\nText: "
POST = "RT @NASA : Ann Lee and Bo Lee in Paris , not Paris"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVEG_CACHE", str(tmp_path / "cache"))


def image_bytes() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    return buffer.getvalue()


def entry(words: str, label: str, box: list[float] | None) -> dict[str, Any]:
    return {"entity": words, "type": label, "bbox": box}


def row(gold: list[dict[str, Any]] | str, **changed: Any) -> dict[str, Any]:
    prompt = [
        {"role": "system", "content": "You answer.\nText: of nobody"},
        {"role": "user", "content": QUESTION + POST},
    ]
    made = {
        "images": [{"bytes": image_bytes(), "path": None}],
        "prompt": prompt,
        "ground_truth": gold if isinstance(gold, str) else json.dumps(gold),
    }
    return {name: value for name, value in (made | changed).items() if value is not None}


def dataset_of(folder: Path, rows: list[dict[str, Any]], more: str = "") -> Dataset:
    parquet.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    config = folder / "sake.yaml"
    config.write_text(
        f"name: sake-twitter\nformat: sake\ntext: {{train: train.parquet}}\n{more}",
        encoding="utf-8",
    )
    return open_dataset(config)


def golds(dataset: Dataset) -> list[list[tuple[str, str, int, tuple[Box, ...] | None]]]:
    def told(gold: Gold) -> list[tuple[str, str, int, tuple[Box, ...] | None]]:
        return [(one.text, one.label, one.span.start, one.boxes) for one in gold.entities]

    return [told(gold) for gold in dataset.gold()]


def test_a_row_is_a_post_with_its_image_and_gold(tmp_path: Path) -> None:
    gold = [
        entry("NASA", "ORG", None),
        entry("Ann Lee", "PER", [1, 2, 11, 12]),
        entry("Ann Lee", "PER", [20, 2, 30, 12]),
        entry("Paris", "LOC", [0, 0, 40, 30]),
        entry("Paris", "LOC", [0, 0, 40, 30]),
        entry("Bo Lee", "MISC", []),
    ]
    dataset = dataset_of(tmp_path, [row(gold)], "label_map: {MISC: OTHER}\n")
    (sample,) = dataset.samples()
    assert (sample.id, sample.text, sample.issues) == ("row-1", POST, ())
    assert sample.image is not None
    assert ImageLoader(dataset.image_roots).load(sample.image).shape == (30, 40, 3)
    whole = Box(0, 0, 40, 30)
    assert golds(dataset) == [
        [
            ("NASA", "ORG", 2, ()),
            ("Ann Lee", "PER", 4, (Box(1, 2, 11, 12), Box(20, 2, 30, 12))),
            ("Paris", "LOC", 10, (whole,)),
            ("Paris", "LOC", 13, (whole,)),
            ("Bo Lee", "OTHER", 7, ()),
        ]
    ]
    assert (dataset.has_gold, dataset.has_boxes) == (True, True)


@pytest.mark.parametrize(
    ("changed", "more", "reason"),
    [
        ({"prompt": QUESTION + POST}, "", "a prompt that is one text"),
        ({"prompt": POST}, 'text_between: ["", ""]\n', "a prompt that is nothing but the post"),
        (
            {"prompt": f"Text: a, then:\nPost: {POST}\nAnswer now."},
            'text_between: ["Post:", "Answer"]\n',
            "the post stands between other words",
        ),
        (
            {"prompt": [{"role": "user", "content": [{"type": "text", "text": QUESTION + POST}]}]},
            "",
            "a message in parts",
        ),
        ({"prompt": "nothing", "tweet": POST}, "columns: {text: tweet}\n", "a column of its own"),
        ({"prompt": None, "tweet": POST}, "columns: {text: tweet}\n", "and no prompt"),
    ],
)
def test_where_the_post_stands(
    tmp_path: Path, changed: dict[str, Any], more: str, reason: str
) -> None:
    dataset = dataset_of(tmp_path, [row([entry("NASA", "ORG", None)], **changed)], more)
    assert [sample.text for sample in dataset.samples()] == [POST], reason
    assert golds(dataset) == [[("NASA", "ORG", 2, ())]], reason


def test_ids_and_lists_that_are_no_json(tmp_path: Path) -> None:
    rows = [row("[]", img_id="17_06_1")]
    rows[0]["ground_truth"] = [{"entity": "Paris", "type": "LOC", "bbox": [1.0, 2.0, 3.0, 4.5]}]
    dataset = dataset_of(tmp_path, rows, "columns: {id: img_id}\n")
    assert [sample.id for sample in dataset.samples()] == ["17_06_1"]
    assert golds(dataset) == [[("Paris", "LOC", 10, (Box(1, 2, 3, 4.5),))]]


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"prompt": "no post"}, "bad-text", "0 lines of the prompt 'no post' begin with 'Text:'"),
        ({"prompt": "Text: a\nText: b"}, "bad-text", "2 lines of the prompt"),
        ({"images": [{"bytes": b"a"}] * 2}, "bad-image", "is 2 pictures; a post has one"),
        ({"ground_truth": '[{"entity": "Rome", "type": "LOC"}]'}, "bad-entities", "Rome"),
        (
            {"ground_truth": json.dumps([{"entity": "NASA", "type": "ORG"}] * 2)},
            "bad-entities",
            "the text has 'NASA' less often than the list",
        ),
        ({"ground_truth": '[{"entity": "NASA"}]'}, "bad-entities", "0.type: Field required"),
        ({"ground_truth": "None"}, "bad-entities", "cannot be read"),
        (
            {"ground_truth": '[{"entity": "NASA", "type": "ORG", "bbox": [3, 2, 1, 4]}]'},
            "bad-entities",
            "x_min < x_max",
        ),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, changed: dict[str, Any], kind: str, message: str
) -> None:
    good = row([], prompt=QUESTION + POST)
    dataset = dataset_of(tmp_path, [good | changed, good])
    first, second = dataset.rows()
    found = [(one.kind, one.message) for one in first.sample.issues]
    found += [(one.kind, one.message) for one in first.defects]
    assert [one for one, _ in found] == [kind]
    assert message in found[0][1]
    assert (second.sample.issues, second.defects) == ((), ())


def test_data_check_counts_it(tmp_path: Path) -> None:
    dataset_of(tmp_path, [row([entry("Paris", "LOC", [1, 2, 3, 400])])])
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "sake.yaml")])
    assert result.exit_code == 1
    assert "box-outside" in result.output
    dataset_of(tmp_path, [row([entry("Paris", "LOC", [1, 2, 3, 4])])])
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "sake.yaml")])
    assert (result.exit_code, "no defects" in result.output) == (0, True), result.output


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (example,) = (
        block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "sake" in block
    )
    dataset_of(tmp_path, [row([entry("NASA", "MISC", [1, 2, 3, 4])])])
    (tmp_path / "sake.yaml").write_text(example)
    dataset = open_dataset(tmp_path / "sake.yaml", split="train")
    assert golds(dataset) == [[("NASA", "OTHER", 2, (Box(1, 2, 3, 4),))]]


def test_files_and_settings_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no column 'prompt'; the format sake reads images"):
        dataset_of(tmp_path, [{"images": [], "answer": "[]"}])
    (tmp_path / "a.yaml").write_text(
        'name: a\nformat: csv\ntext: {train: a.csv}\ntext_between: ["A", ""]\n'
    )
    with pytest.raises(InvalidConfig, match="the format csv has no prompts"):
        open_dataset(tmp_path / "a.yaml")
