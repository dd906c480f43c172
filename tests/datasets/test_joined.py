"""Several files as one dataset, columns of other names, standard input, other image folders."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path

import pytest
from helpers.places import ROOT

from riveg.datasets.column_names import parse_choice
from riveg.datasets.dataset import Dataset
from riveg.datasets.joined import names_apart
from riveg.datasets.opening import open_dataset, with_images
from riveg.datasets.standard_input import keep_standard_input
from riveg.errors import UserError
from riveg.images.loader import ImageLoader


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVEG_CACHE", str(tmp_path / "cache"))


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def ids(dataset: Dataset) -> list[str]:
    return [sample.id for sample in dataset.samples()]


def images(dataset: Dataset) -> list[str]:
    """The content of each image, found as a run finds it."""
    loader = ImageLoader(dataset.image_roots)
    return [
        loader.locate(sample.image.path).read_text() if sample.image else ""
        for sample in dataset.samples()
    ]


def test_files_of_any_kind_are_read_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id;text\n1;x\n")
    second = write(tmp_path / "b.jsonl", '{"id": "2", "text": "y"}\n')
    dataset = open_dataset([first, second])
    assert ids(dataset) == ["1", "2"]
    assert (dataset.name, dataset.splits) == ("a+b", ("a.csv", "b.jsonl"))
    assert dataset.origin == (str(first.resolve()), str(second.resolve()))
    assert ids(open_dataset([second, first])) == ["2", "1"]


def test_an_id_in_two_files_is_told_with_both_places(tmp_path: Path) -> None:
    files = [write(tmp_path / name / "posts.csv", "id,text\n1,x\n") for name in "ab"]
    with pytest.raises(
        UserError, match=r"'1' stands in a/posts\.csv:2 and again in b/posts\.csv:2"
    ):
        ids(open_dataset(files))


def test_rows_without_an_id_are_named_by_their_file(tmp_path: Path) -> None:
    files = [write(tmp_path / name, "text\nx\n") for name in ("a.csv", "b.csv")]
    assert ids(open_dataset(files)) == ["a.csv:line-2", "b.csv:line-2"]
    assert ids(open_dataset(files[:1])) == ["line-2"]


def test_a_file_that_is_given_twice_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.csv", "text\nx\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.csv").symlink_to(file)
    for other in ("a.csv", "link.csv", file):
        with pytest.raises(UserError, match=r"a\.csv: is given 2 times"):
            open_dataset([file, other])


def test_images_of_one_name_stay_apart(tmp_path: Path) -> None:
    files = [write(tmp_path / name / "posts.csv", "text,image\nx,1.jpg\n") for name in "ab"]
    for name in "ab":
        write(tmp_path / name / "1.jpg", name)
    assert images(open_dataset(files)) == ["a", "b"]
    assert images(open_dataset([*reversed(files)])) == ["b", "a"]
    write(tmp_path / "c" / "1.jpg", "c")
    assert images(open_dataset(files, images=tmp_path / "c")) == ["c", "c"]


def test_files_in_one_folder_share_its_images(tmp_path: Path) -> None:
    files = [write(tmp_path / name, "text,image\nx,1.jpg\n") for name in ("a.csv", "b.csv")]
    write(tmp_path / "1.jpg", "one")
    dataset = open_dataset(files)
    assert dataset.image_roots == (tmp_path,)
    assert images(dataset) == ["one", "one"]


def test_a_shipped_dataset_and_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text,image\n1,x,1.jpg\n")
    write(tmp_path / "1.jpg", "one")
    if Path(os.path.commonpath([ROOT, tmp_path])) == Path("/"):  # a checkout may lie beside it
        with pytest.raises(UserError, match="lie in no folder together; say where all of them"):
            ids(open_dataset(["quickstart", file]))
    dataset = open_dataset(["quickstart", file], images=tmp_path)
    assert len(ids(dataset)) == 13
    assert dataset.has_gold
    assert dataset.has_boxes


def test_many_files_have_a_short_name(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name * 20}.csv", "text\nx\n") for name in "abcd"]
    assert open_dataset(files).name == f"{'a' * 20}-and-3-more"
    assert names_apart([Path("x/a/p.csv"), Path("y/a/p.csv")]) == ["x/a/p.csv", "y/a/p.csv"]


def test_columns_of_a_yaml_file_and_of_a_call(tmp_path: Path) -> None:
    write(tmp_path / "posts.csv", "key;tweet;text;img;lang\n7;Tom in Rome;no;1.jpg;en\n")
    config = write(
        tmp_path / "posts.yaml",
        "name: mine\nformat: csv\ntext: {train: posts.csv}\n"
        "columns: {text: tweet, image: img, id: key}\n",
    )
    (sample,) = open_dataset(config).samples()
    assert (sample.id, sample.text, sample.image and sample.image.path) == (
        "7",
        "Tom in Rome",
        "1.jpg",
    )
    (sample,) = open_dataset(config, columns={"id": None, "text": "TWEET "}).samples()
    assert (sample.id, sample.text) == ("line-2", "Tom in Rome")
    (sample,) = open_dataset(tmp_path / "posts.csv").samples()
    assert (sample.id, sample.text, sample.image) == ("line-2", "no", None)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("columns: {txt: tweet}", "did you mean text"),
        ("columns: {text: tweet, caption: tweet}", "tweet is given for text and caption"),
        ("delimiter: colon", "expected one sign, or comma, semicolon, tab, pipe"),
        ("columns: [tweet]", "dictionary"),
    ],
)
def test_wrong_columns_of_a_yaml_file(tmp_path: Path, keys: str, message: str) -> None:
    write(tmp_path / "posts.csv", "tweet\nx\n")
    config = write(
        tmp_path / "p.yaml", f"name: p\nformat: csv\ntext: {{train: posts.csv}}\n{keys}\n"
    )
    with pytest.raises(UserError, match=rf"p\.yaml:4: .*{message}"):
        open_dataset(config)


def test_formats_without_columns_say_so(tmp_path: Path) -> None:
    config = write(
        tmp_path / "p.yaml",
        "name: p\nformat: twitter-mner\ntext: {train: a.txt}\ncolumns: {text: tweet}\n",
    )
    with pytest.raises(UserError, match="the format twitter-mner has no named columns"):
        open_dataset(config)
    with pytest.raises(UserError, match="its format twitter-gmner has no named columns to choose"):
        open_dataset("quickstart", columns={"text": "tweet"})


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("tweet", "expected COLUMN=NAME, for example text=tweet"),
        ("txt=tweet", "no such column; did you mean text"),
        ("tweet=text", "did you mean text=tweet?"),
    ],
)
def test_wrong_choices(item: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_choice([item])
    with pytest.raises(UserError, match="text is given twice"):
        parse_choice(["text=a", "text=b"])


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b'{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        (b'[{"text": "a"}, {"text": "b"}]', ["a", "b"]),
        (b"\xef\xbb\xbftext;image\na, b;\n", ["a, b"]),
        (b"id\ttext\n1\ta, b\n", ["a, b"]),
        (gzip.compress(b'{"text": "a"}\n', mtime=0), ["a"]),
    ],
)
def test_standard_input_is_kept_under_its_content(content: bytes, texts: list[str]) -> None:
    path = keep_standard_input(io.BytesIO(content))
    assert keep_standard_input(io.BytesIO(content)) == path
    assert [sample.text for sample in open_dataset(path).samples()] == texts


def test_parquet_on_standard_input(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra data")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "x")
    path = keep_standard_input(io.BytesIO((tmp_path / "x").read_bytes()))
    assert [sample.text for sample in open_dataset(path).samples()] == ["a"]


def test_nothing_on_standard_input_is_told() -> None:
    with pytest.raises(UserError, match="nothing came in"):
        keep_standard_input(io.BytesIO(b""))


def test_images_in_another_folder(tmp_path: Path) -> None:
    rows = [{"text": "a", "image": "1.jpg"}, {"text": "b", "image": f"{tmp_path}/own/1.jpg"}]
    file = write(tmp_path / "posts.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for name in ("own", "other"):
        write(tmp_path / name / "1.jpg", name)
    assert images(with_images(open_dataset(file), tmp_path / "other")) == ["other", "own"]
    with pytest.raises(UserError, match="no such folder"):
        with_images(open_dataset(file), tmp_path / "gone")


def test_paths_become_those_on_disk(tmp_path: Path) -> None:
    rows = [{"text": "a", "image": "pics\\a.jpg"}, {"text": "b", "image": "pics/Zo\u00eb.jpg"}]
    file = write(tmp_path / "posts.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write(tmp_path / "pics" / "a.jpg", "a")
    write(tmp_path / "pics" / "Zoe\u0308.jpg", "b")
    samples = list(open_dataset(file).samples())
    assert [one.image.path for one in samples if one.image] == ["pics/a.jpg", "pics/Zoe\u0308.jpg"]


def test_a_chosen_column_counts_where_a_file_has_it(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,tweet,text\n1,x,other\n")
    second = write(tmp_path / "b.csv", "id,text\n2,y\n")
    third = write(tmp_path / "c.jsonl", '{"id": 3, "text": "z"}\n')
    dataset = open_dataset([first, second, third], columns={"text": "tweet", "caption": None})
    assert [sample.text for sample in dataset.samples()] == ["x", "y", "z"]
    assert dataset.columns == {"text": "tweet", "caption": None}
    with pytest.raises(UserError, match=r"text=tweets: none of a\.csv, b\.csv has that column"):
        open_dataset([first, second], columns={"text": "tweets"})
    with pytest.raises(UserError, match="has no column 'tweets', which is chosen for text"):
        open_dataset(first, columns={"text": "tweets"})


def test_rows_without_ids_are_named_by_the_file_of_their_split(tmp_path: Path) -> None:
    write(tmp_path / "tr.csv", "tweet\nx\n")
    write(tmp_path / "te.csv", "tweet\ny\n")
    config = write(
        tmp_path / "d.yaml",
        "name: d\nformat: csv\ntext: {train: tr.csv, test: te.csv}\ncolumns: {text: tweet}\n",
    )
    both = ["tr.csv:line-2", "te.csv:line-2"]
    assert ids(open_dataset(config)) == both
    files = [tmp_path / "tr.csv", tmp_path / "te.csv"]
    assert ids(open_dataset(files, columns={"text": "tweet"})) == both
    assert ids(open_dataset(config, split="test")) == ["line-2"]
    for name in ("tr.txt", "te.txt"):
        write(tmp_path / name, f"{name}\tO\n")
    config = write(
        tmp_path / "c.yaml",
        "name: c\nformat: twitter-mner\ntext: {train: tr.txt, test: te.txt}\nimages: [.]\n",
    )
    assert ids(open_dataset(config)) == ["tr.txt:line-1", "te.txt:line-1"]
    assert ids(open_dataset(config, split="train")) == ["line-1"]


def test_what_came_in_is_called_the_same_when_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "a.csv", "text\nb\n")
    with write(tmp_path / "input", "text\nx\n").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        both = open_dataset([other, "-"])
    assert ids(both) == ids(open_dataset(both.origin)) == ["a.csv:line-2", "stdin:line-2"]
    again = open_dataset(both.origin[1])
    assert (again.name, again.splits, ids(again)) == ("stdin", ("stdin",), ["line-2"])


@pytest.mark.parametrize(
    "content",
    [
        b"tweet\nx\n",
        b"text,text\na,b\n",
        b"text\xff\na\n",
        b"i\0d\0,\0",
        b'{"body": "x"}',
        b'[\n{"text"',
        b"PAR1 and no more",
    ],
)
def test_messages_call_standard_input_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "input").write_bytes(content)
    other = write(tmp_path / "a.csv", "text\nb\n")
    sources: list[list[str | Path]] = [["-"], [other, "-"]]
    for source in sources:
        with (tmp_path / "input").open() as stream:
            monkeypatch.setattr("sys.stdin", stream)
            with pytest.raises(UserError, match=r"^stdin:") as caught:
                ids(open_dataset(source))
        assert "standard-input" not in str(caught.value)
