"""Which rows a run reads again: none where nothing has changed, all of them where anything has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PIL import Image

from riveg.datasets import open_dataset
from riveg.datasets.dataset import Dataset, Reader, Row
from riveg.datasets.joined import join_datasets
from riveg.errors import UserError
from riveg.formats.records import encode
from riveg.runs.folder import RunFolder
from riveg.runs.merging import merge_runs
from riveg.runs.portion import Shard
from riveg.runs.record_files import count_entities
from riveg.runs.run import RunReport
from riveg.runs.stage_job import image_of
from riveg.runs.system import System, load_system
from riveg.types import Before, Entity, ImageRef, Review, Sample, Span


@dataclass(frozen=True)
class Counted:
    """Reads as another reader does and notes the rows that were read."""

    reader: Reader
    read: list[str] = field(default_factory=list)

    @property
    def files(self) -> Mapping[str, Path]:
        return self.reader.files

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        for row in self.reader.rows(split, annotated=annotated):
            self.read.append(row.sample.id)
            yield row

    def digest(self, split: str) -> str | None:
        return self.reader.digest(split)


def counted(dataset: Dataset) -> tuple[Dataset, list[str]]:
    reader = Counted(dataset.reader)
    return replace(dataset, reader=reader), reader.read


def posts(path: Path, *texts: str, image: str | None = None) -> Path:
    rows = [{"id": f"p{n}", "text": text} for n, text in enumerate(texts)]
    rows = [row if image is None else {**row, "image": image} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def phrases(folder: Path, *settings: str) -> System:
    file = folder / "phrases.yaml"
    file.write_text("name: phrases\nrun: {part_size: 2}\ntag: {backend: phrases}\n")
    return load_system(file, *settings)


def run_of(tmp_path: Path, data: Dataset, **options: int | Shard) -> tuple[RunReport, list[str]]:
    """The report of a run, and the ids of the rows that it has read."""
    dataset, read = counted(data)
    report = phrases(tmp_path).run(dataset, out=tmp_path / "out", **options)  # type: ignore[arg-type]
    return report, read


def made(report: RunReport) -> int:
    return report.stages[0].made


def test_a_finished_run_reads_no_row_again(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", "a cat.", "two dogs.", "a sign.")
    first, read = run_of(tmp_path, open_dataset(data))
    records = (tmp_path / "out" / "records.jsonl").read_bytes()
    manifest = RunFolder(tmp_path / "out").read_manifest()
    assert (made(first), read) == (3, ["p0", "p1", "p2"])
    again, read = run_of(tmp_path, open_dataset(data))
    assert (made(again), read) == (0, [])
    assert (again.samples, again.entities) == (first.samples, first.entities) == (3, 3)
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == records
    now = RunFolder(tmp_path / "out").read_manifest()
    assert {**now, "started": 0, "finished": 0} == {**manifest, "started": 0, "finished": 0}


@pytest.mark.parametrize("name", ["posts.csv", "posts.json", "posts.parquet"])
def test_so_it_is_with_other_files(tmp_path: Path, name: str) -> None:
    data, rows = tmp_path / name, [{"id": f"p{n}", "text": f"a cat {n}"} for n in range(3)]
    if name.endswith(".csv"):
        data.write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows))
    elif name.endswith(".json"):
        data.write_text(json.dumps(rows))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        parquet.write_table(arrow.Table.from_pylist(rows), data)
    assert len(run_of(tmp_path, open_dataset(data))[1]) == 3
    assert run_of(tmp_path, open_dataset(data))[1] == []


def test_so_it_is_with_several_files_and_each_of_them_counts(tmp_path: Path) -> None:
    texts = {"a": "a cat.", "b": "a dog."}

    def data() -> Dataset:
        files = {n: tmp_path / f"{n}.jsonl" for n in texts}
        for name, file in files.items():
            file.write_text(json.dumps({"id": name, "text": texts[name]}) + "\n")
        return join_datasets({name: open_dataset(file) for name, file in files.items()})

    assert run_of(tmp_path, data())[1] == ["a", "b"]
    assert run_of(tmp_path, data())[1] == []
    texts["b"] = "a sign."
    report, read = run_of(tmp_path, data())
    assert (made(report), read) == (1, ["a", "b"])


def test_a_changed_row_is_found_and_made_anew(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", "a cat.", "two dogs.", "a sign.")
    run_of(tmp_path, open_dataset(data))
    kept = data.stat()
    posts(data, "a cat.", "two hogs.", "a sign.")
    assert data.stat().st_size == kept.st_size
    report, read = run_of(tmp_path, open_dataset(data))
    assert (made(report), read) == (1, ["p0", "p1", "p2"])
    assert b"two hogs" in (tmp_path / "out" / "records.jsonl").read_bytes()


def test_a_changed_reading_is_found(tmp_path: Path) -> None:
    data = tmp_path / "posts.jsonl"
    data.write_text('{"id": "p0", "text": "a cat.", "other": "a dog."}\n')
    run_of(tmp_path, open_dataset(data))
    report, read = run_of(tmp_path, open_dataset(data, columns={"text": "other"}))
    assert (made(report), read) == (1, ["p0"])


def test_another_limit_reads_again(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", "a cat.", "two dogs.", "a sign.")
    run_of(tmp_path, open_dataset(data), limit=2)
    assert run_of(tmp_path, open_dataset(data), limit=2)[1] == []
    report, read = run_of(tmp_path, open_dataset(data))
    assert (report.samples, made(report), read) == (3, 1, ["p0", "p1", "p2"])


@pytest.mark.parametrize("damage", ["edited", "cut", "gone", "other header"])
def test_an_input_part_that_is_not_what_was_written_is_read_again(
    tmp_path: Path, damage: str
) -> None:
    data = posts(tmp_path / "posts.jsonl", "a cat.", "two dogs.", "a sign.")
    run_of(tmp_path, open_dataset(data))
    part = RunFolder(tmp_path / "out").input.part_path(1)
    whole = part.read_bytes()
    if damage == "gone":
        part.unlink()
    else:
        changes = {
            "edited": (b"sign", b"sigh"),
            "cut": (b"}\n", b""),
            "other header": (b"[", b"[ "),
        }
        part.write_bytes(whole.replace(*changes[damage]))
    report, read = run_of(tmp_path, open_dataset(data))
    assert read == ["p0", "p1", "p2"]
    assert b"sigh" not in (tmp_path / "out" / "records.jsonl").read_bytes()
    assert made(report) == 0
    assert damage == "other header" or part.read_bytes() == whole


def test_an_edited_answer_is_found_without_reading_the_data(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", "a cat.", "two dogs.", "a sign.")
    run_of(tmp_path, open_dataset(data))
    records = (tmp_path / "out" / "records.jsonl").read_bytes()
    part = RunFolder(tmp_path / "out").stage(1, "tag").part_path(0)
    part.write_bytes(part.read_bytes().replace(b'"two dogs"', b'"two hogs"'))
    report, read = run_of(tmp_path, open_dataset(data))
    assert (made(report), read) == (1, [])
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == records


def test_images_that_were_looked_for_are_looked_for_again(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", "a cat.", image="Zürich.png")
    run_of(tmp_path, open_dataset(data))
    assert run_of(tmp_path, open_dataset(data))[1] == ["p0"]


def test_missing_images_are_told_of_although_no_row_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    data = posts(tmp_path / "posts.jsonl", "a cat.", "a dog.", "a sign.", image="a.png")
    file = tmp_path / "seen.yaml"
    file.write_text("name: seen\ntag: {backend: phrases}\nobserve: {backend: evidence}\n")
    system = load_system(file)
    system.run(open_dataset(data), out=tmp_path / "seen")
    dataset, read = counted(open_dataset(data))
    system.run(dataset, out=tmp_path / "seen")
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match="none of the first 3 pictures is there"):
        system.run(dataset, out=tmp_path / "seen")
    assert read == []


def test_notes_on_scripts_stay_although_no_row_is_read(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", "Привет мир", "Hello world")
    file = tmp_path / "mini.yaml"
    file.write_text("name: mini\ntag: {backend: mini}\n")
    notes = load_system(file).run(open_dataset(data), out=tmp_path / "out").notes
    dataset, read = counted(open_dataset(data))
    again = load_system(file).run(dataset, out=tmp_path / "out").notes
    assert read == []
    assert any("1 are mostly in others" in note for note in notes)
    assert again == notes


def test_a_share_keeps_what_it_was_dealt_from(tmp_path: Path) -> None:
    data = posts(tmp_path / "posts.jsonl", *[f"a cat {n}." for n in range(6)])
    for number in (1, 2, 3):
        for expected in (6, 0):
            dataset, read = counted(open_dataset(data))
            share = Shard(number, 3)
            phrases(tmp_path).run(dataset, out=tmp_path / f"share-{number}", shard=share)
            assert len(read) == expected
    merge_runs([tmp_path / f"share-{number}" for number in (1, 2, 3)], tmp_path / "out")
    assert "input" not in RunFolder(tmp_path / "out").read_manifest()
    report, read = run_of(tmp_path, open_dataset(data))
    assert (made(report), len(read)) == (0, 6)
    assert run_of(tmp_path, open_dataset(data))[1] == []


HOSTILE = (
    Sample("a", "no image", ("no",), ((0, 2),)),
    Sample("b", '{"id":"e0"},"image":{"path":"x"}', (), (), image=ImageRef('y"}\\{é,"image":{')),
    Sample("c", "x", ("x",), ((0, 1),), image=ImageRef("a.png", 3, 4), caption='"image":{"path"'),
    Sample(
        "d",
        "x y",
        ("x", "y"),
        ((0, 1), (2, 3)),
        entities=(
            Entity("e0", "x", "id", Span(0, 1), label_scores={"id": 0.5, "image": 0.5}),
            Entity(
                "e1",
                '{"id":"',
                "image",
                Span(1, 2),
                reviews=(Review("span", 0.1, "changed", Before("x", Span(0, 1))),),
            ),
        ),
    ),
)


@pytest.mark.parametrize("sample", HOSTILE, ids=lambda one: one.id)
def test_images_and_entities_are_found_in_a_line_that_is_not_parsed(sample: Sample) -> None:
    line = encode(sample)
    assert image_of(line) == sample.image
    assert count_entities(line) == len(sample.entities or ())
