"""Parquet: loaded back by the library that its users load it with."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_runs import (
    IMAGES,
    SIDES,
    answered,
    named,
    region,
    ring,
    trap_samples,
    write_run,
)
from PIL import Image

from riveg.errors import UserError
from riveg.exports.parquet import export_parquet
from riveg.types import Mask, Sample

datasets = pytest.importorskip("datasets", reason="needs the extra data")
parquet = pytest.importorskip("pyarrow.parquet")


def loaded(folder: Path, *samples: Sample, embed: bool = True) -> tuple[Any, Any]:
    report = export_parquet(write_run(folder, samples), folder / "out", embed=embed)
    files = str(report.files[0])
    cache = str(folder / "cache")
    return datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=cache
    ), report


@pytest.mark.slow
def test_rows_come_back_with_their_types(tmp_path: Path) -> None:
    rows, report = loaded(tmp_path, *trap_samples())
    assert isinstance(rows.features["image"], datasets.Image)
    first = rows[0]
    assert first["id"] == "ünï/ ../:1"
    assert (first["image"].size, first["image_path"]) == (SIDES, IMAGES[1])
    entity = first["entities"][0]
    place = entity.pop("regions")[0]
    assert entity == {
        "id": "e0",
        "text": "Ann",
        "label": "PER",
        "start": 0,
        "end": 1,
        "char_start": 0,
        "char_end": 3,
        "score": 0.75,
        "expression": "a Ann",
        "groundable": True,
        "probability": 0.9,
    }
    assert (place["box"], place["score"], place["source"]) == ([4, 6, 24, 26], 0.5, "evidence:face")
    assert np.array_equal(Mask(**place["mask"]).to_numpy(), ring().to_numpy())
    assert report.counts == {"rows": 6, "entities": 6, "regions": 5, "masks": 2, "pictures": 3}
    assert report.left_out == {"picture that cannot be read": 2}


def test_not_answered_and_nothing_there_stay_apart(tmp_path: Path) -> None:
    rows, _ = loaded(tmp_path, *trap_samples())
    assert [row["entities"] is None for row in rows] == [False, False, True, False, False, False]
    assert rows[1]["entities"] == []
    assert rows[0]["entities"][2]["regions"] == []
    assert rows[0]["entities"][0]["regions"][1]["mask"] is None
    assert rows[0]["entities"][2]["score"] is None
    ghost = rows[4]["entities"][0]
    assert (ghost["regions"], ghost["groundable"], ghost["label"]) == (None, None, "SHIP & CO")


def test_characters_are_those_of_the_text(tmp_path: Path) -> None:
    rows, _ = loaded(tmp_path, *trap_samples())
    for row in rows:
        for entity in row["entities"] or ():
            assert row["text"][entity["char_start"] : entity["char_end"]] == entity["text"]
            assert " ".join(row["tokens"][entity["start"] : entity["end"]]) == entity["text"]


def test_images_travel_as_they_are_and_load_upright(tmp_path: Path) -> None:
    rows, _ = loaded(tmp_path, answered("Ann", named("Ann", 0), image="turned.jpg"))
    assert rows[0]["image"].size == SIDES
    kept = rows.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert kept["bytes"] == (tmp_path / "pictures" / "turned.jpg").read_bytes()
    with Image.open(BytesIO(kept["bytes"])) as raw:
        assert raw.size == SIDES[::-1]


def test_unreadable_images_are_null(tmp_path: Path) -> None:
    rows, _ = loaded(tmp_path, *trap_samples())
    assert [row["image"] is None for row in rows] == [False, False, False, True, True, True]
    assert rows[4]["image_path"] == "missing.jpg"


def test_paths_instead_of_images(tmp_path: Path) -> None:
    rows, _ = loaded(tmp_path, *trap_samples(), embed=False)
    path = str(tmp_path / "pictures" / IMAGES[0])
    assert rows.cast_column("image", datasets.Image(decode=False))[1]["image"] == {
        "bytes": None,
        "path": path,
    }
    assert rows[1]["image"].size == SIDES


def test_more_rows_than_a_group_keep_their_order(tmp_path: Path) -> None:
    samples = (
        answered("Ann", named("Ann", 0, region()), id=str(n), image=None) for n in range(2500)
    )
    rows, report = loaded(tmp_path, *samples)
    assert rows["id"][:] == [str(number) for number in range(2500)]
    assert parquet.ParquetFile(report.files[0]).num_row_groups == 3


def test_no_rows(tmp_path: Path) -> None:
    report = export_parquet(write_run(tmp_path, []), tmp_path / "out")
    table = parquet.read_table(report.files[0])
    features = datasets.Features.from_arrow_schema(table.schema)
    assert (table.num_rows, isinstance(features["image"], datasets.Image)) == (0, True)


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    source = write_run(tmp_path, trap_samples(), b"{torn")
    with pytest.raises(UserError, match=r"records.jsonl:7: not a Sample"):
        export_parquet(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
