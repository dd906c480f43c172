"""A run in shards, merged, is the run over everything, byte by byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import riveg
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import Response
from riveg.llm.response_cache import ResponseCache
from riveg.runs.building import ANSWERS
from riveg.runs.merging import merge_runs
from riveg.runs.portion import Portion, Shard
from riveg.runs.progress import Silence
from riveg.runs.sources import make_sample
from riveg.runs.status import run_status
from riveg.runs.system import load_system

POSTS = 20
NAMES = ("Ann Lee", "Oslo", "NASA", "Paris", "Bob")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "posts.jsonl"
    posts = [
        {"id": f"p{number}", "text": f"{NAMES[number % 5]} is number {number} today"}
        for number in range(POSTS)
    ]
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return path


def run(data: Path, out: Path, shard: str | None = None, *settings: str) -> Path:
    system = load_system("quickstart", "run.part_size=3", *settings)
    share = None if shard is None else Shard.parse(shard)
    system.run(data, out=out, until="tag", shard=share)
    return out


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(data, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def shards(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    return [run(data, folder / f"run-{number}", f"{number}/3") for number in (1, 2, 3)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jsonl")}


def test_merged_shards_are_the_run_over_everything(
    data: Path, whole: Path, shards: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "merged"
    assert merge_runs([shards[at] for at in (2, 0, 1)], out) == POSTS
    assert contents(out) == contents(whole)
    merged, unbroken = (json.loads((run / "manifest.json").read_text()) for run in (out, whole))
    # Of what file the parts were read is known again once the run is given over all of it.
    assert merged.keys() == unbroken.keys() - {"input"}
    other = {key for key in merged if merged[key] != unbroken[key]}
    assert other <= {"started", "finished", "seconds", "workers"}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.jsonl")}
    merge_runs(shards, out)
    run(data, out)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("part-*.jsonl")}
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_the_commands_of_a_job_array(data: Path, whole: Path, tmp_path: Path) -> None:
    command = ("run", "quickstart", "--until", "tag", "--set", "run.part_size=3", "--data", data)
    for number in (1, 2):
        done = riveg(*command, "--shard", f"{number}/2", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"(partial: --shard {number}/2; partial: --until tag)" in done.stdout
    runs = sorted((tmp_path / "runs").iterdir())
    assert [run.name for run in runs] == [f"quickstart-posts-{n}-of-2" for n in (1, 2)]
    done = riveg("merge", *runs, "--out", "merged", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "20 samples of 2 shards in merged\n")
    assert contents(tmp_path / "merged") == contents(whole)


def test_shards_that_do_not_belong_together_are_refused(
    data: Path, whole: Path, shards: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "merged"

    def refuses(reason: str, *runs: Path) -> None:
        with pytest.raises(UserError, match=reason):
            merge_runs(runs, out)
        assert not out.exists()

    first, second, third = shards
    refuses("shards 2/3 are missing; name the folders of all 3", first, third)
    refuses("is shard 1/3, as .* is", first, first, second, third)
    refuses("is a run over everything, not one with --shard", whole, second)
    refuses("in the number of shards", first, run(data, tmp_path / "fourth", "2/4"))
    other = run(data, tmp_path / "other", "2/3", "tag=phrases")
    refuses("differs from .* in the settings of tag; they are not one run", first, other)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(third, unfinished)
    manifest = json.loads((third / "manifest.json").read_text())
    (unfinished / "manifest.json").write_text(json.dumps({**manifest, "finished": None}))
    refuses("has not come to its end", first, second, unfinished)


def without_its_last_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: part.write_text("{}"),
        without_its_last_line,
        Path.unlink,
        lambda part: part.write_text(part.read_text().replace("PER", "LOC")),
    ],
    ids=["header", "cut off", "gone", "edited"],
)
@pytest.mark.parametrize("name", ["0-input/part-00001.jsonl", "1-tag/part-00001.jsonl"])
def test_a_damaged_part_is_told(
    damage: Callable[[Path], object], name: str, shards: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(shards[2], broken)
    before = (broken / name).read_bytes()
    damage(broken / name)
    if (broken / name).is_file() and (broken / name).read_bytes() == before:
        return  # the input has no types
    with pytest.raises(UserError, match=r"part-00001\.jsonl: is damaged; give the run again"):
        merge_runs([*shards[:2], broken], tmp_path / "merged")


def test_a_run_of_other_data_is_not_written_over(
    data: Path, shards: list[Path], tmp_path: Path
) -> None:
    posts = tmp_path / "mine.jsonl"
    posts.write_text(data.read_text())
    mine = run(posts, tmp_path / "mine")
    before = contents(mine)
    with pytest.raises(UserError, match=r"holds a run of data mine, this one is of posts"):
        merge_runs(shards, mine)
    assert contents(mine) == before


def test_shards_of_data_that_changed_between_them_are_refused(data: Path, tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text(data.read_text())
    first = run(posts, tmp_path / "1", "1/2")
    posts.write_text("".join(reversed(data.read_text().splitlines(keepends=True))))
    second = run(posts, tmp_path / "2", "2/2")
    with pytest.raises(UserError, match=r"differs from .* in the samples of the data"):
        merge_runs([first, second], tmp_path / "merged")


def test_a_merge_that_was_interrupted_says_so(
    shards: list[Path], whole: Path, tmp_path: Path
) -> None:
    class Stops(Silence):
        def advance(self, finished: int, failed: int) -> None:
            raise KeyboardInterrupt

    out = tmp_path / "merged"
    with pytest.raises(KeyboardInterrupt):
        merge_runs(shards, out, Stops())
    assert (run_status(out).state, run_status(out).samples) == ("stopped", POSTS)
    merge_runs(shards, out)
    assert contents(out) == contents(whole)
    assert [stage.rate for stage in run_status(out).stages] == [None]  # it made nothing


def test_what_is_damaged_beside_the_parts_is_told(shards: list[Path], tmp_path: Path) -> None:
    def refuses(name: str, text: str, reason: str) -> None:
        broken = tmp_path / "broken"
        shutil.copytree(shards[0], broken)
        (broken / name).write_text(text)
        with pytest.raises(UserError, match=reason):
            merge_runs([broken, *shards[1:]], tmp_path / "merged")
        shutil.rmtree(broken)

    manifest = (shards[0] / "manifest.json").read_text()
    refuses("config.yaml", "tag: phrases", r"config\.yaml: is not what the run had")
    refuses("manifest.json", manifest.replace('"1/3"', '"4/3"'), "manifest.json: shard '4/3'")
    refuses(ANSWERS, "no database", r"broken/answers\.sqlite: its answers cannot be read")


def test_a_run_folder_stays_with_its_share(data: Path, whole: Path, shards: list[Path]) -> None:
    with pytest.raises(UserError, match="holds a run of all samples, this one is of shard 1/3"):
        run(data, whole, "1/3")
    with pytest.raises(UserError, match="holds a run of shard 1/3, this one is of all samples"):
        run(data, shards[0])
    with pytest.raises(UserError, match="holds a run of shard 1/3, this one is of all samples"):
        merge_runs(shards, shards[0])


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/3/4", "", "1/9999999"])
def test_what_is_no_share_is_told(text: str) -> None:
    with pytest.raises(
        UserError, match="expected NUMBER/OF with a number from 1 to OF, such as 3/16"
    ):
        Shard.parse(text)


def test_a_share_without_samples_says_so(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no samples for shard 9/9, as it has fewer than 9 parts"):
        run(data, tmp_path / "run", "9/9")


@given(
    count=st.integers(0, 60),
    of=st.integers(1, 7),
    size=st.integers(1, 9),
    limit=st.none() | st.integers(0, 70),
)
def test_every_sample_is_in_one_share_in_whole_parts(
    count: int, of: int, size: int, limit: int | None
) -> None:
    samples = [make_sample("", id=str(number)) for number in range(count)]
    kept = samples[:limit]
    parts = [kept[start : start + size] for start in range(0, len(kept), size)]
    for number in range(1, of + 1):
        shard = Shard(number, of)
        found = list(Portion(limit, shard).of(iter(samples), size))
        own = range(len(range(number - 1, len(parts), of)))
        assert found == [sample for part in own for sample in parts[shard.place(part)]]


def test_answers_of_language_models_are_merged(shards: list[Path], tmp_path: Path) -> None:
    runs = []
    for number, shard in enumerate(shards):
        runs.append(tmp_path / shard.name)
        shutil.copytree(shard, runs[-1])
        with ResponseCache(runs[-1] / ANSWERS) as cache:
            cache.put("same", answer("first" if not number else "later"))
            cache.put(f"own {number}", answer(str(number)))
    merge_runs(runs, tmp_path / "merged")
    with ResponseCache(tmp_path / "merged" / ANSWERS) as cache:
        assert cache.get("same") == answer("first")
        assert [cache.get(f"own {number}") for number in range(3)] == [*map(answer, "012")]


def answer(text: str) -> CachedResponse:
    return CachedResponse(Response(text, "stop"), "plain", "m")
