from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from helpers.places import ROOT

from riveg.checkpoints.fetching import SystemModel, system_models
from riveg.config.reader import load_config
from riveg.config.system import Step
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.stages.segmenters.segment_anything import SegmentAnythingConfig
from riveg.stages.table import STAGES

COMMAND = (
    "import riveg.cli.fetch as fetch; from riveg.cli import app, main\n"
    "if 'fetch' not in [one.name for one in app.registered_commands]:\n"
    "    app.command('fetch')(fetch.fetch)\n"
    "main()"
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"a pickle",
    "onnx/model.safetensors": b"weights of another library",
    "weights/net.pth": b"a checkpoint",
    "encoder_config/config.json": b'{"model_type": "deberta-v2"}',
    "run.py": b"code",
}

SYSTEM = """\
name: three
description: three models
llm:
  main: {model: tiny/writer, licence: mit, serve: vllm}
  far: {model: their-model, base_urls: ["http://127.0.0.1:9/v1"]}
caption: {backend: chat, llm: far}
tag: {backend: mini}
rewrite: {backend: chat, llm: main}
"""


def riveg(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [
            sys.executable,
            "-c",
            COMMAND,
            *arguments,
        ],
        capture_output=True,
        check=False,
        text=True,
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "120",
            "HF_HOME": str(folder / "home"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
            **environment,
        },
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "three.yaml").write_text(SYSTEM)
    return tmp_path


def test_models_of_a_system(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tiny" / "writer").mkdir(parents=True)
    (folder / "tiny" / "writer" / "model.safetensors").write_bytes(b"12345")
    first, second = system_models(load_config(folder / "three.yaml"))
    assert first == SystemModel(
        "llm.main", "tiny/writer", None, "mit", False, folder / "tiny" / "writer"
    )
    assert first.size == 5
    assert second == SystemModel("llm.far", "their-model", None, None, False, None, True)


def test_models_of_stages(folder: Path) -> None:
    config = load_config(folder / "three.yaml")
    stage = next(one for one in STAGES if one.name == "entail")
    (folder / "itm").mkdir()
    step = Step(stage, ItmEntailerConfig(model="itm", gated=True))
    assert system_models(replace(config, steps=(step,)))[2:] == (
        SystemModel("entail", "itm", None, "bsd-3-clause", True, folder / "itm"),
    )


def test_a_model_inside_a_backends_options_is_listed_too(folder: Path) -> None:
    config = load_config(folder / "three.yaml")
    stage = next(one for one in STAGES if one.name == "ground")
    step = Step(stage, GroundingDinoConfig(model="a/b", recheck={"model": "c/d"}))
    found = system_models(replace(config, steps=(step,)))[2:]
    assert [(one.setting, one.model) for one in found] == [
        ("model", "a/b"),
        ("recheck.model", "c/d"),
    ]


def test_a_checkpoint_is_here_as_a_file_or_in_a_folder(folder: Path) -> None:
    config = load_config(folder / "three.yaml")
    stage = next(one for one in STAGES if one.name == "segment")
    (folder / "sam").mkdir()
    (folder / "sam" / "b.pth").write_bytes(b"12345")
    for options, size in (
        ({"model": "sam/b.pth"}, 5),
        ({"model": "sam", "checkpoint": "b.pth"}, 5),
        ({"model": "sam", "checkpoint": "h.pth"}, None),
    ):
        step = Step(stage, SegmentAnythingConfig(**options))
        assert system_models(replace(config, steps=(step,)))[2].size == size


@pytest.mark.slow
def test_the_list_opens_no_connection(folder: Path) -> None:
    done = riveg(folder, "fetch", "three.yaml", "--list", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "used by model licence gated here",
        "llm.main tiny/writer mit no no",
        "llm.far their-model not said no on its server",
    ]


@pytest.mark.slow
def test_a_system_without_models(folder: Path) -> None:
    done = riveg(folder, "fetch", "quickstart")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "quickstart needs no model but those that come with riveg\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_without_a_network_one_line_says_what_to_do(
    folder: Path, environment: dict[str, str]
) -> None:
    done = riveg(folder, "fetch", "three.yaml", **environment)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("riveg: tiny/writer: the hub cannot be reached")
    assert "--to DIR" in line


NO_SAFETENSORS = {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs: what a commit holds, and its files."""

    listed: ClassVar[dict[str, bytes]] = FILES
    """The files as it lists them; those that it sends may be others."""

    sent: ClassVar[dict[str, bytes]] = FILES

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        headers = {"X-Repo-Commit": COMMIT}
        if path in (f"/api/models/tiny/writer/revision/{name}" for name in ("main", COMMIT)):
            body = json.dumps({"id": "tiny/writer", "sha": COMMIT, "siblings": []}).encode()
        elif path.startswith("/api/models/tiny/writer/tree/"):
            body = json.dumps(
                [_entry(name, content) for name, content in self.listed.items()]
            ).encode()
        elif path.startswith("/tiny/writer/resolve/"):
            name = path.split("/", 5)[5]
            body = self.sent.get(name, self.listed[name])
            headers["ETag"] = f'"{_git_digest(self.listed[name])}"'
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": _git_digest(content)}


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[str]:
    given = getattr(request, "param", {})
    own = {"listed": {**FILES, **given}}
    if given is NO_SAFETENSORS:
        own = {"listed": given, "sent": given}
    handler = type("ThisHub", (Hub,), own)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_only_safe_files_are_fetched_and_found_again(folder: Path, hub: str) -> None:
    done = riveg(folder, "fetch", "three.yaml", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    assert "llm.main: tiny/writer, mit, 9 B, in " in done.stdout
    snapshot = Path(done.stdout.strip().rpartition(", in ")[2])
    assert {path.name for path in snapshot.rglob("*")} == {"config.json", "model.safetensors"}
    listed = riveg(folder, "fetch", "three.yaml", "--list", HF_HUB_OFFLINE="1")
    assert "9 B" in listed.stdout


POINTS = """\
name: points
description: checkpoints of the authors' own packages
tag: {backend: mini}
ground:
  backend: groundingdino
  model: tiny/writer
  checkpoint: weights/net.pth
  text_encoder: tiny/writer
segment: {backend: segment-anything, model: tiny/writer, checkpoint: weights/net.pth}
"""


@pytest.mark.slow
def test_of_a_checkpoint_the_files_that_are_named_are_fetched(folder: Path, hub: str) -> None:
    (folder / "points.yaml").write_text(POINTS)
    listed = riveg(folder, "fetch", "points.yaml", "--list", HF_HUB_OFFLINE="1")
    assert [" ".join(line.split()) for line in listed.stdout.splitlines()[1:]] == [
        "ground tiny/writer weights/net.pth apache-2.0 no no",
        "ground tiny/writer config.json apache-2.0 no no",
        "segment tiny/writer weights/net.pth apache-2.0 no no",
    ]
    done = riveg(folder, "fetch", "points.yaml", "--to", "carried", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    assert "ground: tiny/writer, apache-2.0, 12 B, in " in done.stdout
    assert "ground: tiny/writer, apache-2.0, 2 B, in " in done.stdout
    assert "--set ground.text_encoder=" in done.stdout
    carried = folder / "carried" / "tiny" / "writer"
    assert (carried / "weights" / "net.pth").read_bytes() == b"a checkpoint"
    assert {path.name for path in carried.iterdir()} == {".cache", "weights", "config.json"}
    assert riveg(folder, "fetch", "points.yaml", HF_ENDPOINT=hub).returncode == 0
    listed = riveg(folder, "fetch", "points.yaml", "--list", HF_HUB_OFFLINE="1")
    assert [line.split()[-2] for line in listed.stdout.splitlines()[1:]] == ["12", "2", "12"]


@pytest.mark.slow
def test_the_settings_of_an_encoder_in_a_folder_are_fetched(folder: Path, hub: str) -> None:
    system = ("quickstart", "--set", "tag=gliner", "--set", "tag.model=tiny/writer")
    done = riveg(folder, "fetch", *system, HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    snapshot = Path(done.stdout.strip().rpartition(", in ")[2])
    files = {str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()}
    assert files == {"config.json", "model.safetensors", "encoder_config/config.json"}
    listed = riveg(folder, "fetch", *system, "--list", HF_HUB_OFFLINE="1")
    assert listed.stdout.splitlines()[1].endswith(f"{sum(len(FILES[name]) for name in files)} B")


@pytest.mark.slow
def test_a_checkpoint_that_the_hub_does_not_have_is_reported(folder: Path, hub: str) -> None:
    (folder / "points.yaml").write_text(POINTS.replace("net.pth", "other.pth"))
    done = riveg(folder, "fetch", "points.yaml", HF_ENDPOINT=hub)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "tiny/writer: no weights/other.pth in it, and riveg loads nothing else; name" in line


@pytest.mark.slow
@pytest.mark.parametrize("hub", [{"weights/net.pth": b"another one"}], indirect=True)
def test_a_checkpoint_that_is_not_what_the_hub_says_is_refused(folder: Path, hub: str) -> None:
    (folder / "points.yaml").write_text(POINTS)
    done = riveg(folder, "fetch", "points.yaml", HF_ENDPOINT=hub)
    assert done.returncode == 2
    assert "files are not what the hub says" in done.stderr


@pytest.mark.slow
def test_into_a_folder_to_be_carried(folder: Path, hub: str) -> None:
    done = riveg(folder, "fetch", "three.yaml", "--to", "carried", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    assert (folder / "carried" / "tiny" / "writer" / "model.safetensors").read_bytes() == b"weights"
    assert "--set llm.main.model=" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("hub", [{"model.safetensors": b"heavier"}], indirect=True)
def test_files_that_are_not_what_the_hub_says_are_refused(folder: Path, hub: str) -> None:
    done = riveg(folder, "fetch", "three.yaml", HF_ENDPOINT=hub)
    assert done.returncode == 2
    assert "files are not what the hub says" in done.stderr
    assert "model.safetensors" in done.stderr


@pytest.mark.slow
def test_an_unknown_model_is_named(folder: Path, hub: str) -> None:
    done = riveg(
        folder, "fetch", "three.yaml", "--set", "llm.main.model=tiny/typo", HF_ENDPOINT=hub
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "tiny/typo: the hub has no such model" in line


@pytest.mark.slow
@pytest.mark.parametrize("model", ["../../etc", "a/b/c", "/tmp/nowhere"])
def test_an_id_never_becomes_a_path_out_of_the_folder(folder: Path, model: str) -> None:
    done = riveg(folder, "fetch", "three.yaml", "--to", "x", "--set", f"llm.main.model={model}x")
    assert done.returncode == 2
    assert "neither a folder nor an id of the hub" in done.stderr


ONE_STAGE = """\
name: one
description: a model of a stage
tag: {backend: mini}
entail: {backend: itm, model: tiny/writer}
"""


@pytest.mark.slow
@pytest.mark.parametrize("hub", [NO_SAFETENSORS], indirect=True)
def test_a_pickle_is_fetched_only_where_there_are_no_safetensors(folder: Path, hub: str) -> None:
    (folder / "one.yaml").write_text(ONE_STAGE)
    done = riveg(folder, "fetch", "one.yaml", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    line, note = done.stdout.splitlines()
    snapshot = Path(line.rpartition(", in ")[2])
    assert {path.name for path in snapshot.rglob("*")} == {"config.json", "pytorch_model.bin"}
    assert "its pickle is read as tensors only, and nothing in it is run" in note
    done = riveg(folder, "fetch", "three.yaml", HF_ENDPOINT=hub)
    assert "no safetensors in it, and riveg loads nothing else" in done.stderr, "a server's model"


@pytest.mark.slow
@pytest.mark.parametrize("to", [(), ("--to", "carried")])
def test_the_lock_says_which_commit_and_files_there_are(
    folder: Path, hub: str, to: tuple[str, ...]
) -> None:
    (folder / "one.yaml").write_text(ONE_STAGE)
    assert riveg(folder, "fetch", "one.yaml", *to, HF_ENDPOINT=hub).returncode == 0
    (model,) = json.loads((folder / "models.lock").read_text())["models"]
    assert (model["name"], model["revision"], model["asked"]) == ("tiny/writer", COMMIT, None)
    assert [(one["path"], one["size"], one["sha256"]) for one in model["files"]] == [
        (name, len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest())
        for name in ("config.json", "model.safetensors")
    ]


@pytest.mark.slow
def test_locked_commits_are_fetched_and_checked(folder: Path, hub: str) -> None:
    (folder / "one.yaml").write_text(ONE_STAGE)
    done = riveg(folder, "fetch", "one.yaml", "--locked", HF_ENDPOINT=hub)
    assert done.returncode == 2
    assert "models.lock: cannot be read" in done.stderr
    assert riveg(folder, "fetch", "one.yaml", HF_ENDPOINT=hub).returncode == 0
    lock = folder / "models.lock"
    text = lock.read_text()
    shutil.rmtree(folder / "home")
    done = riveg(folder, "fetch", "one.yaml", "--locked", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    assert (lock.read_text(), next(folder.rglob("refs/main")).read_text()) == (text, COMMIT)
    lock.write_text(text.replace(hashlib.sha256(b"weights").hexdigest(), "0" * 64))
    done = riveg(folder, "fetch", "one.yaml", "--locked", HF_ENDPOINT=hub)
    assert done.returncode == 2
    assert "model.safetensors: is not what is locked at 0123456789ab" in done.stderr
    lock.write_text(text.replace("tiny/writer", "tiny/reader"))
    done = riveg(folder, "fetch", "one.yaml", "--locked", HF_ENDPOINT=hub)
    assert "tiny/writer: the lock does not name it" in done.stderr
