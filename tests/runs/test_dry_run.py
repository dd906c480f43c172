"""The requests of a run: counted, and none sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.debugged_samples import SYSTEM, write_system
from helpers.fault_server import fault_server

from riveg.config.reader import load_config
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.runs.dry_run import dry_run
from riveg.runs.system import System
from riveg.stages.rewriters.chat import ChatRewriterConfig

TWO_STAGES = SYSTEM + "entail: {backend: chat}\n"


def test_local_stages_are_done_and_requests_counted(tmp_path: Path) -> None:
    config = write_system(tmp_path)
    found = dry_run(config, open_dataset("quickstart"), tmp_path / "run", limit=3)
    assert found.done == ("tag",)
    assert (tmp_path / "run" / "1-tag" / "part-00000.jsonl").is_file()
    assert not (tmp_path / "run" / "records.jsonl").exists()
    (rewrite,) = found.stages
    assert (rewrite.requests, rewrite.answered, rewrite.to_send) == (8, 0, 8)
    assert rewrite.prompt_tokens
    rewriter = config.steps[-1].config
    assert isinstance(rewriter, ChatRewriterConfig)
    assert rewriter.max_tokens
    assert rewrite.answer_tokens == 8 * rewriter.max_tokens
    assert rewrite.cost == pytest.approx((rewrite.prompt_tokens + 2 * rewrite.answer_tokens) / 1e6)
    assert (rewrite.currency, rewrite.model) == ("USD", "tiny/model")


def test_a_stage_behind_it_is_estimated(tmp_path: Path) -> None:
    config = write_system(tmp_path, TWO_STAGES)
    found = dry_run(config, open_dataset("quickstart"), tmp_path / "run", limit=3)
    rewrite, entail = found.stages
    assert not rewrite.estimated
    assert entail.estimated
    assert (entail.requests, entail.answered) == (8, 0)
    assert entail.prompt_tokens
    assert not entail.exact


def test_without_names_a_number_is_assumed_and_said(tmp_path: Path) -> None:
    system = SYSTEM.replace("tag: {backend: mini}", "tag: {backend: chat}")
    found = dry_run(
        write_system(tmp_path, system), open_dataset("quickstart"), tmp_path / "run", limit=10
    )
    tag, rewrite = found.stages
    assert (tag.requests, tag.estimated, found.done) == (10, False, ())
    assert (rewrite.requests, rewrite.prompt_tokens, rewrite.cost) == (17, None, None)
    assert any("no names are known yet" in note for note in found.notes)


def test_a_system_without_a_language_model_does_nothing(tmp_path: Path) -> None:
    found = dry_run(load_config("quickstart"), open_dataset("quickstart"), tmp_path / "run")
    assert (found.stages, found.done) == ((), ())


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    System(load_config("quickstart")).run("quickstart", out=tmp_path / "run", limit=1, until="tag")
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    with pytest.raises(UserError, match="choose another --out"):
        dry_run(write_system(tmp_path), open_dataset("quickstart"), tmp_path / "run")
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before


@pytest.mark.server
@pytest.mark.slow
def test_a_run_that_is_done_asks_nothing_more(tmp_path: Path) -> None:
    """After a run over two of three samples only the third has questions to send."""
    data = open_dataset("quickstart")
    with fault_server(tmp_path / "counts") as server:
        text = TWO_STAGES.replace("http://127.0.0.1:9/v1", server.url)
        config = write_system(tmp_path, text)
        with System(config) as system:
            system.run(data, out=tmp_path / "run", limit=2)
        asked = sum(server.counts().values())
        manifest = (tmp_path / "run" / "manifest.json").read_bytes()
        whole = dry_run(config, data, tmp_path / "run", limit=2)
        more = dry_run(config, data, tmp_path / "run", limit=3)
        assert sum(server.counts().values()) == asked, "nothing was sent"
    assert [(one.stage, one.to_send, one.estimated) for one in whole.stages] == [
        ("rewrite", 0, False),
        ("entail", 0, False),
    ]
    assert whole.stages[0].requests == whole.stages[0].answered > 0
    assert more.stages[0].to_send == 2
    assert more.stages[0].answered == whole.stages[0].requests
    assert (tmp_path / "run" / "manifest.json").read_bytes() == manifest
