"""Dataset YAML files: every problem at once, every missing folder in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from riveg.config.yaml_file import InvalidConfig
from riveg.datasets.config import shipped_datasets
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError


def test_every_shipped_dataset_is_valid() -> None:
    found = shipped_datasets()
    assert set(found) == {
        "broad-twitter",
        "quickstart",
        "twitter-2015",
        "twitter-2017",
        "twitter-fmnerg",
        "twitter-gmner",
        "twitter-gmner-v1",
        "twitter-smner",
        "wnut-17",
    }
    assert all(config.name == name and config.description for name, config in found.items())
    assert all(set(config.label_map.values()) <= {*config.labels} for config in found.values())


def test_every_problem_names_file_line_key_and_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(
        "name: x\nformat: twitter-gnmer\ntext: [a]\nimage: [b]\nsuffixes: [jpg]\nname: y\n"
    )
    with pytest.raises(InvalidConfig) as caught:
        open_dataset(str(path))
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for number, words in {
        2: "format: found twitter-gnmer; did you mean twitter-gmner",
        3: "text: found ['a']; Input should be a valid dictionary",
        4: "image: found an unknown key; did you mean images",
        5: "suffixes: found ['jpg']; every suffix begins with a dot",
        6: "name: found a second time",
    }.items():
        assert any(line.startswith(f"{path}:{number}: {words}") for line in lines), lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: x\nformat: jsonl\n", "text: found nothing; this key is required"),
        ("name: x\nformat: jsonl\ntext: {}\n", "text: found {}"),
        ("name: x\nformat: twitter-gmner\ntext: {a: b}\n", "xml: found nothing; the format"),
        ("name: x\nformat: twitter-smner\ntext: {a: b}\n", "masks: found nothing; the format"),
        ("name: x\nformat: twitter-mner\nxml: y\ntext: {a: b}\n", "has no such folder"),
        ("- a\n", "expected keys and values"),
        ("a: [\n", "not YAML"),
    ],
)
def test_single_problems(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        open_dataset(str(path))
    assert message in str(caught.value)


def write(folder: Path, root: str) -> str:
    path = folder / "configs" / "set.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"name: mine\nformat: jsonl\nroot: {root}\ntext: {{train: a.jsonl, dev: b.jsonl}}\n"
        "images: [pictures, more]\nlabels: [PER]\nversion: 2.0\n"
    )
    return str(path)


def place(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f'{{"id": "{name}", "text": "a", "image": "a.png"}}\n')


def test_a_root_is_relative_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path / "posts", "a.jsonl", "b.jsonl")
    monkeypatch.chdir("/")
    dataset = open_dataset(write(tmp_path, "../posts"))
    assert (dataset.name, dataset.version, dataset.labels) == ("mine", "2.0", ("PER",))
    assert [sample.id for sample in dataset.samples()] == ["a.jsonl", "b.jsonl"]
    assert dataset.image_roots == (tmp_path / "posts/pictures", tmp_path / "posts/more")


@pytest.mark.parametrize(
    ("root", "value", "expected"),
    [
        ("${MY_DATA}/posts", "{folder}", "posts"),
        ("${MY_DATA:-data}/posts", None, "data/posts"),
        ("${MY_DATA:-data}/posts", "", "data/posts"),
        ("${MY_DATA:-data}/posts", "else", "else/posts"),
    ],
)
def test_a_root_with_a_variable_is_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, value: str | None, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv("MY_DATA", raising=False)
    else:
        monkeypatch.setenv("MY_DATA", value.format(folder=tmp_path))
    place(tmp_path / expected, "a.jsonl")
    assert open_dataset(write(tmp_path, root)).image_roots[0] == tmp_path / expected / "pictures"


def test_an_error_about_missing_files_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVEG_DATA", raising=False)
    with pytest.raises(UserError, match=r"put txt/train\.txt.* there .*README.* set RIVEG_DATA"):
        open_dataset("twitter-gmner")
    with pytest.raises(UserError, match="set the environment variable NO_SUCH_PLACE"):
        open_dataset(write(tmp_path, "${NO_SUCH_PLACE}/x"))
    (tmp_path / "posts").mkdir()
    with pytest.raises(UserError, match=r"none of its texts is in .*posts: a\.jsonl, b\.jsonl"):
        open_dataset(write(tmp_path, "../posts"))


def test_a_missing_split_is_a_note_unless_it_is_requested(tmp_path: Path) -> None:
    place(tmp_path / "posts", "a.jsonl")
    path = write(tmp_path, "../posts")
    dataset = open_dataset(path)
    assert dataset.split == "train"
    assert any(note.startswith("dev: ") for note in dataset.notes)
    with pytest.raises(UserError, match=r"no split 'dev'; dev: .*b\.jsonl is not there"):
        open_dataset(path, split="dev")
    with pytest.raises(UserError, match="no split 'trian'; did you mean train"):
        open_dataset(path, split="trian")


def test_image_folders_need_not_be_there(tmp_path: Path) -> None:
    place(tmp_path / "posts", "a.jsonl")
    path = write(tmp_path, "../posts")
    dataset = open_dataset(path)
    assert len(list(dataset.samples())) == 1
    (tmp_path / "posts" / "more").mkdir()
    dataset = open_dataset(path)
    assert dataset.image_roots == (tmp_path / "posts" / "more",)
    assert open_dataset(path, images=tmp_path).image_roots == (tmp_path,)
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(path, images=tmp_path / "gone")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("quickstrat", "no dataset 'quickstrat'; did you mean quickstart"),
        ("gone.jsonl", "no such file"),
        ("some/where", "no such file"),
        ("folder", "is a folder without state.json"),
        ("posts.xlsx", "cannot be read by its ending"),
    ],
)
def test_sources_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "posts.xlsx").touch()
    with pytest.raises(UserError, match=message):
        open_dataset(source)
