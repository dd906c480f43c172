"""The commands of docs/training.md: knowledge by a language model, a tagger that reads it, a run.

The server is a process that speaks the protocol, the encoder has one layer of random weights.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.fault_server import fault_server
from helpers.places import ROOT
from helpers.tiny_taggers import POSTS, save_encoder
from typer.testing import CliRunner

from riveg.cli import app
from riveg.errors import ServerGone, UserError
from riveg.formats.records import decode
from riveg.formats.run_records import read_manifest
from riveg.types import Sample

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Knowledge of your own\n")[2].partition("\n## ")[0]

FAILING = ("key=q9 fault=filtered*99 Rome", "O O B-LOC", "")
"""A post that the server never answers."""

TINY = (
    *("--set", "loop.epochs=1", "--set", "loop.precision=fp32", "--set", "loop.device=cpu"),
    *("--set", "loop.threads=1", "--set", "max_pieces=60"),
)
"""What makes the shipped configuration fit the tiny encoder."""


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)
    return str(found)


KNOWLEDGE_TRAIN, KNOWLEDGE_DEV, TRAIN, TEST = map(shlex.split, block("bash").strip().split("\n"))


@dataclass(frozen=True)
class Place:
    """A folder as a user's, and a server."""

    folder: Path
    server: tuple[str, ...]
    encoder: tuple[str, ...]

    def riveg(self, command: list[str], *more: str) -> str:
        """What the command prints; it ends without a fault."""
        done = CliRunner().invoke(app, [*command[1:], *more], env={"COLUMNS": "200"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output + done.stderr

    def records(self, run: str) -> list[Sample]:
        lines = (self.folder / run / "records.jsonl").read_bytes().splitlines()
        return [decode(Sample, line) for line in lines]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    data = tmp_path / "data" / "twitter-gmner"
    for name in ("txt", "xml", "images"):
        (data / name).mkdir(parents=True)
    for split, posts in {"train": (*POSTS, FAILING), "dev": POSTS, "test": POSTS[:2]}.items():
        (data / "txt" / f"{split}.txt").write_text(conll(posts), encoding="utf-8")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "pgim.yaml").write_text(block("yaml"), encoding="utf-8")
    (tmp_path / "pool.jsonl").write_text(block("json"), encoding="utf-8")
    monkeypatch.setenv("RIVEG_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    encoder = save_encoder(tmp_path / "encoder", "xlm-roberta")
    with fault_server(tmp_path / "counts") as server:
        at = ("--set", "llm.main.serve=null", "--set", f"llm.main.base_urls=[{server.url}]")
        yield Place(tmp_path, at, ("--set", f"model={encoder}"))


def conll(posts: tuple[tuple[str, str, str], ...]) -> str:
    blocks = []
    for number, (text, tags, _) in enumerate(posts):
        rows = (f"{token}\t{tag}" for token, tag in zip(text.split(), tags.split(), strict=True))
        blocks.append("\n".join([f"IMGID:{number}", *rows]) + "\n")
    return "\n".join(blocks)


@pytest.mark.slow
def test_the_commands_of_the_page_end_in_a_tagger_with_knowledge_of_its_own(place: Place) -> None:
    nobody = ("--set", "llm.main.base_urls=[http://127.0.0.1:9/v1]", "--set", "llm.main.tries=1")
    with pytest.raises(ServerGone):
        place.riveg(KNOWLEDGE_TRAIN, "--set", "llm.main.serve=null", *nobody)
    with pytest.raises(UserError, match="its run has not come to its end"):
        place.riveg(TRAIN, *place.encoder, *TINY)
    assert not [*place.folder.glob("out/*")]

    place.riveg(KNOWLEDGE_TRAIN, *place.server)
    place.riveg(KNOWLEDGE_DEV, *place.server)
    known = [sample.knowledge for sample in place.records("runs/knowledge-train")]
    assert known == ["a red coat"] * len(POSTS) + [None]

    other = [*KNOWLEDGE_TRAIN[:-1], "runs/other-train", "--set", "augment.prompt=augment/gem.v1"]
    place.riveg(other, *place.server)
    two = "knowledge_files.train=[runs/knowledge-train, runs/other-train]"
    card = place.riveg(TRAIN, "--set", two, *place.encoder, *TINY)
    made = read_manifest(place.folder / "runs/knowledge-train")["stages"]["augment"]["fingerprint"]
    for words in (
        f"runs/knowledge-train: knowledge about 8 of 9 posts by Qwen/Qwen3-8B (augment {made[:16]})"
        "; augment failed on 1: give its run again with --retry-failed",
        "runs/other-train: knowledge about 8 of 9 posts",
        "runs/knowledge-dev: knowledge about 8 of 8 posts",
        "17 rows to learn from, 8 posts to choose by",
        "16 rows have knowledge, the end of 0 is cut off (max_pieces 60); 1 posts have none",
    ):
        assert words in card
    assert "by another model, prompt or examples" not in card

    place.riveg(TEST, *place.server, "--set", "tag.device=cpu")
    for sample in place.records("runs/pgim-test"):
        assert sample.knowledge == "a red coat"
        assert sample.entities is not None
        assert not sample.issues
    manifest = read_manifest(place.folder / "runs/pgim-test")
    assert manifest["stages"]["augment"]["fingerprint"] == made
    assert manifest["notes"] == []

    by_other = "knowledge_files.train=[runs/other-train]"
    again = ("--set", "out=out/other", "--set", by_other)
    assert "by another model, prompt or examples" in place.riveg(
        TRAIN, *again, *place.encoder, *TINY
    )
    with_other = ("--set", "tag.model=out/other", "--set", "tag.device=cpu")
    place.riveg([*TEST[:-1], "runs/falsely-trusted"], *place.server, *with_other)
    (note,) = read_manifest(place.folder / "runs/falsely-trusted")["notes"]
    assert f"and here it is {made[:16]}: another model, prompt, pool or setting" in note


def test_the_pool_of_the_page_is_one_line_of_json() -> None:
    assert {"text", "annotation"} <= set(json.loads(block("json")))
