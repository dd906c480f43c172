"""Runs on a folder: what is made, kept, made anew, refused."""

import json
import re
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.system import RunSettings, Step, SystemConfig
from riveg.errors import UserError
from riveg.files import write_atomically
from riveg.formats.records import encode
from riveg.runs.folder import RunFolder
from riveg.runs.reading import read_records
from riveg.runs.run import RunReport
from riveg.runs.sources import Samples, make_sample
from riveg.runs.stage_job import faults_of, issues_of
from riveg.runs.system import System
from riveg.stages.table import STAGES
from riveg.types import Gold, Issue, Sample

STAGE = {stage.name: stage for stage in STAGES}

asked: list[str] = []
"""Ids that the toy backends were asked about, ``stage:id``, in order."""


class ToyConfig(BackendConfig[object]):
    """Writes its word behind the caption or the knowledge; fails on the ids it is told to."""

    stage: ClassVar[str] = "caption"
    name: ClassVar[str] = "toy"
    summary: ClassVar[str] = "for tests"

    word: str = "one"
    failing: Path | None = None

    def build(self, context: BuildContext) -> object:
        return Toy(self.word, self.failing)


class Toy:
    def __init__(self, word: str, failing: Path | None) -> None:
        self._word = word
        self._failing = failing

    def caption(self, samples: Sequence[Sample]) -> Sequence[str | Issue]:
        return [self._answer("caption", sample) for sample in samples]

    def augment(self, samples: Sequence[Sample]) -> Sequence[str | Issue]:
        return [self._answer("augment", sample) for sample in samples]

    def _answer(self, stage: str, sample: Sample) -> str | Issue:
        asked.append(f"{stage}:{sample.id}")
        if self._failing and sample.id in self._failing.read_text().split():
            return Issue(stage, None, "toy-fault", "told to fail")
        return f"{self._word} {sample.caption or ''}"


class OracleConfig(ToyConfig):
    oracle: ClassVar[bool] = True


def system(
    caption: ToyConfig | None = None, augment: ToyConfig | None = None, part_size: int = 3
) -> System:
    steps = (
        Step(STAGE["caption"], caption or ToyConfig()),
        Step(STAGE["augment"], augment or ToyConfig()),
    )
    run = RunSettings(part_size=part_size, batch_size=2)
    return System(SystemConfig("toy", "", steps, run, None, Path(), "toy.yaml"))


def samples(
    count: int,
    text: Callable[[int], str] = lambda number: f"post {number}",
    origin: tuple[str, ...] = ("/a",),
) -> Samples:
    def make() -> Iterator[Sample]:
        return (make_sample(text(number), id=str(number)) for number in range(count))

    return Samples("posts", (), make, origin=origin)


@pytest.fixture(autouse=True)
def _forget() -> None:
    asked.clear()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run that has to be the same, whenever it was made."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jsonl"))
    }


def times(folder: Path, stage: str) -> list[int]:
    return [path.stat().st_mtime_ns for path in sorted((folder / stage).iterdir())]


def test_a_run_leaves_its_stages_its_records_and_its_manifest(tmp_path: Path) -> None:
    report = system().run(samples(7), out=tmp_path)
    assert (report.samples, report.failed, report.error_rate) == (7, 0, 0.0)
    assert sorted(path.name for path in (tmp_path / "2-augment").iterdir()) == [
        "part-00000.jsonl",
        "part-00001.jsonl",
        "part-00002.jsonl",
    ]
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [str(number) for number in range(7)]
    assert records[0]["knowledge"] == "one one "
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["samples"] == 7
    assert set(manifest["seconds"]) == {"caption", "augment"}
    assert manifest["finished"] >= manifest["started"]
    assert "backend: toy" in (tmp_path / "config.yaml").read_text()
    assert (tmp_path / "failed.jsonl").read_text() == ""


def test_a_finished_run_asks_nothing_and_writes_no_part(tmp_path: Path) -> None:
    system().run(samples(7), out=tmp_path)
    before = [times(tmp_path, stage) for stage in ("0-input", "1-caption", "2-augment")]
    asked.clear()
    report = system().run(samples(7), out=tmp_path)
    assert not asked
    assert [stage.made for stage in report.stages] == [0, 0]
    assert before == [times(tmp_path, stage) for stage in ("0-input", "1-caption", "2-augment")]


def test_a_change_makes_its_stage_and_the_later_ones_anew_and_nothing_else(tmp_path: Path) -> None:
    system().run(samples(4), out=tmp_path)
    caption = times(tmp_path, "1-caption")
    augment = times(tmp_path, "2-augment")
    asked.clear()
    system(augment=ToyConfig(word="two")).run(samples(4), out=tmp_path)
    assert {item.split(":")[0] for item in asked} == {"augment"}
    assert times(tmp_path, "1-caption") == caption
    assert all(now > then for now, then in zip(times(tmp_path, "2-augment"), augment, strict=True))
    asked.clear()
    system(caption=ToyConfig(word="three"), augment=ToyConfig(word="two")).run(
        samples(4), out=tmp_path
    )
    assert len(asked) == 8  # both stages


def test_a_stage_that_has_nothing_to_do_keeps_its_seconds(tmp_path: Path) -> None:
    def told(**changed: float) -> dict[str, float]:
        path = tmp_path / "manifest.json"
        manifest = json.loads(path.read_text())
        found: dict[str, float] = manifest["seconds"]
        path.write_text(json.dumps({**manifest, "seconds": {**found, **changed}}))
        return found

    system().run(samples(4), out=tmp_path)
    told(caption=111.0, augment=222.0)
    system().run(samples(4), out=tmp_path)
    assert told() == {"caption": 111.0, "augment": 222.0}
    system(augment=ToyConfig(word="two")).run(samples(4), out=tmp_path)
    now = told()
    assert now["caption"] == 111.0
    assert now["augment"] < 100


def test_an_edited_sample_is_the_only_one_made_anew(tmp_path: Path) -> None:
    system().run(samples(7), out=tmp_path)
    asked.clear()
    edited = samples(7, lambda number: "another text" if number == 4 else f"post {number}")
    system().run(edited, out=tmp_path)
    assert asked == ["caption:4", "augment:4"]


def test_samples_can_be_appended(tmp_path: Path) -> None:
    system().run(samples(4), out=tmp_path / "grown")
    system().run(samples(8), out=tmp_path / "grown")
    system().run(samples(8), out=tmp_path / "whole")
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_until_stops_and_goes_on_later(tmp_path: Path) -> None:
    report = system().run(samples(4), out=tmp_path, until="caption")
    assert [stage.stage for stage in report.stages] == ["caption"]
    assert json.loads((tmp_path / "records.jsonl").read_text().splitlines()[0])["caption"]
    asked.clear()
    system().run(samples(4), out=tmp_path)
    assert {item.split(":")[0] for item in asked} == {"augment"}


def failing(tmp_path: Path, ids: str) -> ToyConfig:
    path = tmp_path / "failing.txt"
    path.write_text(ids)
    return ToyConfig(failing=path)


def test_failed_records_are_told_of_kept_and_retried_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = failing(tmp_path, "2 5")
    report = system(caption=config).run(samples(7), out=out)
    assert (report.failed, round(report.error_rate, 3)) == (2, 0.286)
    rows = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["2", "5"]
    assert rows[0]["issues"][0]["kind"] == "toy-fault"

    asked.clear()
    system(caption=config).run(samples(7), out=out)
    assert not asked  # without --retry-failed nothing is asked again

    failing(tmp_path, "5")
    report = system(caption=config).run(samples(7), out=out, retry_failed=True)
    assert asked == ["caption:2", "caption:5", "augment:2"]
    assert report.failed == 1

    failing(tmp_path, "")
    system(caption=config).run(samples(7), out=out, retry_failed=True)
    system(caption=config).run(samples(7), out=tmp_path / "unbroken")
    assert contents(out) == contents(tmp_path / "unbroken")


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from riveg.runs.folder import RunFolder
        with RunFolder(Path(sys.argv[1])).lock():
            print("held", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"process {other.pid}\) is at work"):
            system().run(samples(1), out=tmp_path)
        other.kill()
    system().run(samples(1), out=tmp_path)  # the kernel has freed the lock


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_clearly_and_the_run_goes_on_later(tmp_path: Path) -> None:
    data = samples(7, lambda number: "word " * (2000 if number > 3 else 1))
    with file_size_limit(20_000), pytest.raises(UserError, match="make room, then give the same"):
        system().run(data, out=tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.partial"))
    system().run(data, out=tmp_path / "run")
    system().run(data, out=tmp_path / "unbroken")
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


def test_an_atomic_write_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def chunks() -> Iterator[bytes]:
        yield b"x" * 10
        yield b"y" * 200_000

    with file_size_limit(1000), pytest.raises(UserError, match="make room"):
        write_atomically(path, chunks())
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def run_again(tmp_path: Path, **changes: Any) -> RunReport:
    settings: dict[str, Any] = {"data": samples(6), "limit": None} | changes
    return system().run(settings["data"], out=tmp_path, limit=settings["limit"])


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"limit": 2}, "--limit 2 would throw answers away"),
        ({"data": samples(2)}, "posts with fewer would throw answers away"),
        ({"data": samples(3)}, "posts with 3 would throw answers away"),  # at a part's edge
        (
            {"data": Samples("others", (), samples(6).make, (), ("/a",))},
            "holds a run of data posts",
        ),
        ({"data": samples(6, origin=("/b",))}, "run of origin /a"),
        ({"data": samples(0)}, "no samples in it"),
    ],
)
def test_a_run_folder_is_not_thrown_away(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    run_again(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=word):
        run_again(tmp_path, **changes)
    assert contents(tmp_path) == before


def test_a_limit_can_be_lifted(tmp_path: Path) -> None:
    run_again(tmp_path, limit=2)
    assert run_again(tmp_path).samples == 6


def _swap(content: bytes) -> bytes:
    header, first, second, *rest = content.split(b"\n")
    return b"\n".join([header, second, first, *rest])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"{}\n",
        lambda content: b"\0" * len(content),
        lambda content: content[: len(content) // 2],  # cut off
        lambda content: content[:-1],  # without its last newline
        lambda content: content.partition(b"\n")[0] + b"\n",  # the header alone
        lambda content: content.replace(b"one ", b"two "),  # edited answers
        _swap,
    ],
)
@pytest.mark.parametrize("stage", ["0-input", "1-caption", "2-augment"])
def test_a_damaged_part_is_made_anew(
    tmp_path: Path, stage: str, damage: Callable[[bytes], bytes]
) -> None:
    system().run(samples(7), out=tmp_path)
    before = contents(tmp_path)
    path = tmp_path / stage / "part-00000.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    system().run(samples(7), out=tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("lost", ["1-caption", "1-caption/part-00001.jsonl", "manifest.json"])
def test_what_was_deleted_is_made_anew(tmp_path: Path, lost: str) -> None:
    system().run(samples(7), out=tmp_path)
    before = contents(tmp_path)
    path = tmp_path / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    system().run(samples(7), out=tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", ["[1]", '{"samples": "x"}', "{", ""])
def test_a_manifest_that_is_none_says_so(tmp_path: Path, content: str) -> None:
    system().run(samples(2), out=tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json: .*remove it"):
        system().run(samples(2), out=tmp_path)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    with pytest.raises(UserError, match="holds files and is no run folder"):
        system().run(samples(2), out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_parts_are_not_cut_anew(tmp_path: Path) -> None:
    system(part_size=3).run(samples(7), out=tmp_path)
    with pytest.raises(UserError, match="run of part_size 3, this one is of 4"):
        system(part_size=4).run(samples(7), out=tmp_path)


def test_an_image_that_was_exchanged_is_looked_at_again(tmp_path: Path) -> None:
    class ImageConfig(ToyConfig):
        needs_image: ClassVar[bool] = True

    pixels = tmp_path / "a.png"
    samples = [make_sample("a", id="0", image="a.png"), make_sample("b", id="1", image="b.png")]
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    looks = system(augment=ImageConfig())
    looks.run(samples, out=tmp_path / "run", images=tmp_path)
    asked.clear()
    looks.run(samples, out=tmp_path / "run", images=tmp_path)
    assert not asked
    Image.new("RGB", (40, 30)).save(pixels)
    looks.run(samples, out=tmp_path / "run", images=tmp_path)
    assert asked == ["augment:0"]
    record = json.loads((tmp_path / "run" / "records.jsonl").read_text().splitlines()[0])
    assert record["image"] == {"path": "a.png", "width": 40, "height": 30}


def test_samples_in_a_program_are_checked(tmp_path: Path) -> None:
    twice = [make_sample("a", id="1"), make_sample("b", id="1")]
    with pytest.raises(UserError, match="two samples have the id '1'"):
        system().run(twice, out=tmp_path)
    with pytest.raises(UserError, match="expected samples, found dict; make them with"):
        system().run([{"text": "a"}], out=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"gone\.jsonl"):
        system().run("gone.jsonl", out=tmp_path)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"id": 1}, "id: expected a text, found int"),
        ({"text": None}, "text: expected a text, found NoneType"),
        ({"caption": 3}, "caption: expected a text"),
        ({"text": "\ud800"}, "not valid Unicode"),
    ],
)
def test_a_sample_is_made_of_texts(values: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        make_sample(**{"text": "a", "id": "1", **values})


def test_a_part_of_another_schema_is_refused(tmp_path: Path) -> None:
    system().run(samples(2), out=tmp_path)
    path = tmp_path / "1-caption" / "part-00000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"schema":3', b'"schema":99'))
    with pytest.raises(UserError, match="is of schema 99, this riveg reads 1 to 3"):
        system().run(samples(2), out=tmp_path)


@pytest.mark.parametrize("schema", [b"1", b"2"])
def test_a_run_of_an_older_schema_is_gone_on_with(tmp_path: Path, schema: bytes) -> None:
    system().run(samples(2), out=tmp_path)
    records = (tmp_path / "records.jsonl").read_bytes()
    for path in (*tmp_path.glob("*/part-*.jsonl"), tmp_path / "manifest.json"):
        content = path.read_bytes()
        older = re.sub(rb'"schema":( ?)3', rb'"schema":\g<1>' + schema, content, count=1)
        assert older != content
        path.write_bytes(older)
    assert [sample.id for sample in read_records(tmp_path)] == ["0", "1"]
    asked.clear()
    system().run(samples(2), out=tmp_path)
    assert not asked
    assert RunFolder(tmp_path).read_manifest()["schema"] == 3
    assert (tmp_path / "records.jsonl").read_bytes() == records


def test_oracles_need_gold_and_are_marked(tmp_path: Path) -> None:
    oracle = system(augment=OracleConfig())
    with pytest.raises(UserError, match="has no gold"):
        oracle.run(samples(2), out=tmp_path)
    data = Samples("posts", (), samples(2).make, annotation=(Gold("0", ()),), origin=("/a",))
    oracle.run(data, out=tmp_path)
    assert RunFolder(tmp_path).read_manifest()["oracle_stages"] == ["augment"]
    with pytest.raises(UserError, match="augment: reads gold"):
        oracle.predict(text="a post")


def test_a_missing_image_folder_is_one_message(tmp_path: Path) -> None:
    class ImageConfig(ToyConfig):
        needs_image: ClassVar[bool] = True

    data = Samples("posts", (tmp_path / "nowhere",), samples(2).make)
    with pytest.raises(UserError, match=r"no picture folder at .*nowhere.*stages augment need"):
        system(augment=ImageConfig()).run(data, out=tmp_path / "run")
    system(augment=ImageConfig()).run(data, out=tmp_path / "run", until="caption")


def test_a_warning_beside_an_answer_is_no_failure() -> None:
    sample = make_sample("Ann sings", id="1")
    warned = replace(sample, issues=(Issue("ground", "e0", "warning", "the phrase was cut"),))
    assert issues_of(encode(warned)) == warned.issues
    assert faults_of(encode(warned)) == ()
    failed = replace(sample, issues=(*warned.issues, Issue("ground", "e0", "no-answer", "gone")))
    assert [issue.kind for issue in faults_of(encode(failed))] == ["no-answer"]
