"""Image paths as a dataset hands them on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset


def samples(path: Path, *images: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        path.write_text("text,image\n" + "".join(f"a,{image}\n" for image in images))
    else:
        path.write_text("".join(json.dumps({"text": "a", "image": i}) + "\n" for i in images))
    return path


def paths(dataset: Dataset) -> list[str]:
    return [sample.image.path for sample in dataset.samples() if sample.image]


@pytest.mark.parametrize("name", ["posts.csv", "posts.jsonl"])
def test_absolute_paths_below_a_root_become_relative(tmp_path: Path, name: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    file = samples(tmp_path / name, f"{images}/sub/a.jpg", f"{tmp_path}/b.jpg", "c.jpg")
    assert paths(open_dataset(file)) == ["images/sub/a.jpg", "b.jpg", "c.jpg"]
    # Beside --images, the folder of the data counts where absolute paths lie below it.
    dataset = open_dataset(file, images=images)
    assert paths(dataset) == ["sub/a.jpg", "b.jpg", "c.jpg"]
    assert dataset.image_roots == (images, tmp_path)
    assert open_dataset(samples(tmp_path / "r.jsonl", "a"), images=images).image_roots == (images,)


def test_relative_and_linked_roots_count_as_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    file = samples(tmp_path / "posts.jsonl", f"{real}/a.jpg", f"{tmp_path}/link/b.jpg")
    monkeypatch.chdir(tmp_path)
    assert paths(open_dataset(file, images=Path("link"))) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("tail", ["", "/../a.jpg", "x/a.jpg"])
def test_what_does_not_lie_below_stays_as_it_is(tmp_path: Path, tail: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    file = samples(tmp_path / "data" / "posts.jsonl", f"{images}{tail}")
    dataset = open_dataset(file, images=images)
    assert paths(dataset) == [f"{images}{tail}"]
    assert dataset.image_roots == (images,)


def test_a_path_never_comes_to_mean_the_image_of_another_root(tmp_path: Path) -> None:
    roots = (tmp_path / "one", tmp_path / "two")
    for root in roots:
        root.mkdir()
        (root / "a.jpg").write_text("a")
    (roots[1] / "b.jpg").write_text("b")
    file = samples(tmp_path / "posts.jsonl", *(f"{roots[1]}/{name}.jpg" for name in "ab"))
    dataset = replace(open_dataset(file), image_roots=roots)
    assert paths(dataset) == [f"{roots[1]}/a.jpg", "b.jpg"]
