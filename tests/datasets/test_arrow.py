"""Parquet files and saved datasets folders, with and without images in them."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from riveg.datasets.check import check
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader

pa = pytest.importorskip("pyarrow", reason="needs the extra data")
parquet = pytest.importorskip("pyarrow.parquet")
datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVEG_CACHE", str(tmp_path / "cache"))


def image_bytes(colour: str, kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (20, 10), colour).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_rows_of_parquet(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "Hi @NASA", "image": "a.jpg", "caption": None, "likes": 3},
        {"id": None, "text": None, "image": None, "caption": "x", "likes": 4},
        {
            "id": "c",
            "text": "{{ }}\0=cmd()",
            "image": "../../etc/passwd",
            "caption": "",
            "likes": 5,
        },
    ]
    dataset = open_dataset(str(write(tmp_path / "posts.parquet", rows)))
    first, second, third = dataset.samples()
    assert (first.tokens, first.image and first.image.path) == (("Hi", "@", "NASA"), "a.jpg")
    assert (second.id, [issue.kind for issue in second.issues]) == ("row-2", ["missing-text"])
    assert second.issues[0].message.startswith("posts.parquet: row 2: ")
    assert (third.text, third.caption) == ("{{ }}\0=cmd()", None)
    assert third.image
    assert third.image.path == "../../etc/passwd"
    assert dataset.image_roots == (tmp_path,)


def test_a_column_of_numbers_is_an_issue_a_row(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.parquet", [{"text": 1}, {"text": 2}])
    kinds = [s.issues[0].kind for s in open_dataset(str(path)).samples()]
    assert kinds == ["bad-text", "bad-text"]


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    rows = [{"id": number, "tokens": ["post", str(number)]} for number in range(100)]
    dataset = open_dataset(str(write(tmp_path / "posts.parquet", rows)))
    assert [sample.id for sample in dataset.samples()] == [str(number) for number in range(100)]


def saved_parquet(folder: Path, rows: dict[str, Any], features: Any) -> Path:
    path = folder / "posts.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))
    return path


def saved_folder(folder: Path, rows: dict[str, Any], features: Any) -> Path:
    path = folder / "posts"
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(path))
    return path


@pytest.mark.parametrize("save", [saved_parquet, saved_folder])
def test_images_in_an_image_feature_are_written_once(tmp_path: Path, save: Any) -> None:
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "text": datasets.Value("string"),
            "image": datasets.Image(),
        }
    )
    red, blue = image_bytes("red"), image_bytes("blue", "JPEG")
    rows = {
        "id": ["a", "b", "c", "d", "e"],
        "text": ["x"] * 5,
        "image": [
            {"bytes": red, "path": "a.png"},
            {"bytes": blue, "path": None},
            {"bytes": red, "path": "again.png"},
            None,
            {"bytes": b"no picture", "path": None},
        ],
    }
    dataset = open_dataset(str(save(tmp_path, rows, features)))
    samples = list(dataset.samples())
    names = [sample.image.path if sample.image else None for sample in samples]
    assert names[0] == names[2] != names[1]
    assert names[3] is None
    folder = dataset.image_roots[-1]
    assert folder.is_relative_to(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted({n for n in names if n})
    assert (folder / str(names[0])).read_bytes() == red
    assert {Path(str(name)).suffix for name in names if name} == {".png", ".jpg", ".bin"}
    loader = ImageLoader(dataset.image_roots)
    assert loader.load(samples[1].image).shape == (10, 20, 3)  # type: ignore[arg-type]
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert list(dataset.samples()) == samples
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    assert [defect.kind for defect in check(dataset).defects] == ["not-an-image"]


def test_plain_bytes_are_images_too(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.parquet", [{"text": "x", "image": image_bytes("red")}])
    (sample,) = open_dataset(str(path)).samples()
    assert sample.image
    assert sample.image.path.endswith(".png")


def test_a_feature_that_names_files_keeps_their_paths(tmp_path: Path) -> None:
    image = [{"bytes": None, "path": "sub/a.png"}]
    features = datasets.Features({"text": datasets.Value("string"), "image": datasets.Image()})
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(image_bytes("red"))
    table = pa.table({"text": ["x"], "image": image}, schema=features.arrow_schema)
    parquet.write_table(table, tmp_path / "posts.parquet")
    dataset = open_dataset(str(tmp_path / "posts.parquet"))
    (sample,) = dataset.samples()
    assert sample.image
    assert sample.image.path == "sub/a.png"
    assert ImageLoader(dataset.image_roots).load(sample.image).shape == (10, 20, 3)


def test_a_folder_of_splits(tmp_path: Path) -> None:
    parts = {
        split: datasets.Dataset.from_dict({"id": [split], "text": ["x"]})
        for split in ("train", "dev")
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "posts"))
    dataset = open_dataset(str(tmp_path / "posts"))
    assert (dataset.splits, dataset.split) == (("train", "dev"), None)
    assert [sample.id for sample in dataset.samples()] == ["train", "dev"]
    only = open_dataset(str(tmp_path / "posts"), split="dev")
    assert (only.split, [sample.id for sample in only.samples()]) == ("dev", ["dev"])
    with pytest.raises(UserError, match="no split 'test'"):
        open_dataset(str(tmp_path / "posts"), split="test")


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"text\na\n"])
def test_damaged_parquet_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "posts.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        open_dataset(str(path))


def test_a_damaged_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read as a saved dataset"):
        open_dataset(str(tmp_path))
    (tmp_path / "dataset_dict.json").write_text("[]")
    with pytest.raises(UserError, match="list of splits"):
        open_dataset(str(tmp_path))


_READ_DAMAGED = """
import random, sys
from pathlib import Path
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError

source, file = map(Path, sys.argv[1:])
whole = file.read_bytes()
refused = 0
for seed in range(150):
    chance = random.Random(seed)
    content = bytearray(whole if seed % 5 else whole[: chance.randrange(len(whole))])
    for _ in range(chance.choice([1, 1, 2, 8]) if content else 0):
        content[chance.randrange(len(content))] = chance.choice([0, 127, 255])
    file.write_bytes(content)
    try:
        for sample in open_dataset(str(source)).samples():
            str(sample.text)
    except UserError as error:
        assert "\\n" not in str(error), (seed, error)
        refused += 1
assert refused > 20, refused
"""


@pytest.mark.parametrize("save", [saved_parquet, saved_folder])
def test_damaged_bytes_are_one_line_and_no_crash(tmp_path: Path, save: Any) -> None:
    """In a process of its own: Arrow's offsets, used unchecked, end the process."""
    rows: dict[str, Any] = {"id": [f"s{n}" for n in range(40)], "text": ["Hi @NASA"] * 40}
    rows["tokens"] = [["Hi", "@NASA"]] * 40
    path = save(tmp_path, rows, None)
    file = path if path.is_file() else next(path.glob("*.arrow"))
    command = [sys.executable, "-c", _READ_DAMAGED, str(path), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-600:]


def test_names_of_columns_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    datasets.Dataset.from_list([{"text": "Rain", "caption": "a street"}]).save_to_disk(folder)
    (path,) = folder.glob("*.arrow")
    path.write_bytes(path.read_bytes().replace(b"caption", b"\xffaption"))
    with pytest.raises(UserError, match="cannot be read as a saved dataset") as error:
        list(open_dataset(folder).samples())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "state",
    ['{"_data_files": [{"filename": "../other.arrow"}]}', '{"_data_files": []}', "[" * 9000],
)
def test_a_folder_is_read_by_its_own_files_alone(tmp_path: Path, state: str) -> None:
    path = saved_folder(tmp_path, {"text": ["a"]}, None)
    (path / "state.json").write_text(state)
    with pytest.raises(UserError, match=r"state\.json: cannot be read as a saved dataset"):
        open_dataset(str(path))


@pytest.mark.slow
def test_an_image_above_the_limit_is_not_written(tmp_path: Path) -> None:
    large = image_bytes("red") + bytes(ImageLimits().max_bytes)
    path = write(tmp_path / "posts.parquet", [{"text": "a", "image": {"bytes": large}}])
    (sample,) = open_dataset(str(path)).samples()
    assert [issue.kind for issue in sample.issues] == ["too-large"]
    assert sample.image is None
    assert not [*tmp_path.glob("cache/**/*.png")]


def test_ids_that_their_floats_cannot_tell_apart_are_issues(tmp_path: Path) -> None:
    values = [1.0, 2.0**24 - 1, 2.0**24, 123456789.0, None]
    table = pa.table({"id": pa.array(values, pa.float32()), "text": ["a"] * 5})
    parquet.write_table(table, tmp_path / "posts.parquet")
    rows = [*open_dataset(tmp_path / "posts.parquet").samples()]
    assert [row.id for row in rows] == ["1", "16777215", "row-3", "row-4", "row-5"]
    assert [len(row.issues) for row in rows] == [0, 0, 1, 1, 0]
    assert "is the float 1.67772e+07, which is too large to be exact with 24 bits" in (
        rows[2].issues[0].message
    )
