"""Runs with networks: images prepared by workers, settings that shape no answer, short memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.factories import make_sample
from helpers.marked_processes import command_of, end_marked, gone_within, marked_processes
from helpers.odd_images import SIDES, image_context, samples_about, save_odd_images
from helpers.places import ROOT
from helpers.tiny_blip import save_captioner, save_itm
from helpers.tiny_grounding_dino import save_grounding_dino
from helpers.tiny_owlv2 import save_owlv2
from helpers.tiny_siglip import save_siglip

from riveg.config.backend import BackendConfig
from riveg.config.system import RunSettings, Step, SystemConfig
from riveg.formats.records import encode
from riveg.pipeline import StageRunner
from riveg.registry import backend_config
from riveg.runs.progress import Silence
from riveg.runs.run import immaterial
from riveg.runs.sources import Samples
from riveg.runs.system import System
from riveg.stages.table import STAGES
from riveg.types import Sample

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

STAGE = {stage.name: stage for stage in STAGES}

WIDE_ENOUGH = [name for name in SIDES if name != "one-column.png"]
"""Images that a run takes."""

MODELS: dict[str, tuple[str, Callable[[Path], object], dict[str, Any]]] = {
    "blip": ("caption", save_captioner, {"max_new_tokens": 4}),
    "itm": ("entail", save_itm, {}),
    "siglip": ("entail", save_siglip, {}),
    "owlv2": ("ground", save_owlv2, {"box_threshold": 0.0}),
    "grounding-dino": (
        "ground",
        save_grounding_dino,
        {"box_threshold": 0.0, "shortest_edge": 64, "longest_edge": 128},
    ),
}
"""Stage, what saves a tiny model, and options, by the backend's name."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, (_, save, _) in MODELS.items():
        save(folder / name)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_odd_images(tmp_path_factory.mktemp("pictures"))
    whole = (folder / "odd.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    return folder


def config_of(name: str, models: Path, **fields: Any) -> BackendConfig[object]:
    stage, _, options = MODELS[name]
    options = {"model": str(models / name), "device": "cpu", **options}
    return backend_config(stage, name)(**{**options, **fields})


def samples() -> list[Sample]:
    """Samples about every odd image, one of them twice, broken ones, and one without an image."""
    shown = samples_about(*SIDES, "cut.png", "gone.png", "odd.png")
    known = replace(shown[0], id="known")
    assert known.image is not None
    known = replace(known, image=replace(known.image, width=97, height=61))
    return [*shown, known, make_sample("nothing", id="bare", has_image=False)]


def wait_for_worker(seconds: float = 60) -> None:
    """Returns when a worker of this process has loaded what it needs: it then waits for tasks."""
    deadline = time.monotonic() + seconds
    while not any(map(_sleeps_ready, workers_of(os.getpid()))) and time.monotonic() < deadline:
        time.sleep(0.1)


def _sleeps_ready(number: int) -> bool:
    maps = Path(f"/proc/{number}/maps").read_text()
    return "libtorch_cpu" in maps and "S" in Path(f"/proc/{number}/stat").read_text().split()[2]


def workers_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(number) for path in children for number in path.read_text().split()]
    return [number for number in found if b"image_worker" in command_of(number)]


@pytest.mark.parametrize("name", MODELS)
def test_answers_do_not_depend_on_workers(models: Path, images: Path, name: str) -> None:
    found = []
    for workers in (0, 2):
        config = config_of(name, models, workers=workers, batch_size=2)
        context = image_context(images, models)
        backend = config.build(context)
        runner = StageRunner(
            STAGE[config.stage],
            backend,
            context.images,
            needs_image=config.needs_image,
            batch_size=3,
            gated=False,
        )
        try:
            runner(samples()).__next__()  # starts the workers
            if workers:
                assert len(workers_of(os.getpid())) == 2
                wait_for_worker()
            found.append([encode(sample) for sample in runner(samples())])
        finally:
            runner.close()
        assert workers_of(os.getpid()) == []
    assert found[0] == found[1]
    assert b"truncated-image" in b"".join(found[0])
    assert b"missing-image" in b"".join(found[0])


def system(*configs: BackendConfig[object]) -> System:
    steps = tuple(Step(STAGE[config.stage], config) for config in configs)
    run = RunSettings(part_size=4, batch_size=4)
    return System(SystemConfig("tiny", "", steps, run, None, Path(), "tiny.yaml"))


def source(images: Path) -> Samples:
    return Samples("posts", (images,), lambda: iter(samples_about(*WIDE_ENOUGH)))


def test_how_many_at_once_redoes_nothing(models: Path, images: Path, tmp_path: Path) -> None:
    made = []
    for fields in ({}, {"workers": 2}, {"batch_size": 3}, {"prompt": "a photo of"}):
        config = config_of("blip", models, **fields)
        (report,) = system(config).run(source(images), out=tmp_path).stages
        made.append(report.made)
    assert made == [5, 0, 0, 5]


def test_options_inside_of_options_do_not_count_either(models: Path) -> None:
    plain = config_of("owlv2", models)
    assert immaterial(plain) == {"batch_size": True, "workers": True, "trained_by": True}
    inside = immaterial(config_of("owlv2", models, recheck={"matcher": "itm"}))
    assert inside == {**immaterial(plain), "recheck": immaterial(plain)}


class Notes(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str, /) -> None:
        self.lines.append(text)


@contextmanager
def room_for(count: int, network: str) -> Iterator[list[int]]:
    """Has a kind of network run out of memory above so many images; gives what was tried."""
    import torch
    from torch.nn.modules.module import register_module_forward_pre_hook

    tried: list[int] = []

    def look(module: Any, given: Any) -> None:
        if type(module).__name__ == network:
            tried.append(len(given[0]))
            if tried[-1] > count:
                raise torch.OutOfMemoryError("no more")

    hook = register_module_forward_pre_hook(look)
    try:
        yield tried
    finally:
        hook.remove()


def test_short_memory_is_told_and_remembered(models: Path, images: Path, tmp_path: Path) -> None:
    notes = Notes()
    config = config_of("blip", models, batch_size=4)
    with room_for(1, "BlipVisionEmbeddings") as tried:
        report = system(config).run(source(images), out=tmp_path / "short", progress=notes)
    assert tried == [4, 2, 1, 1, 1, 1, 1]  # and not 4 again for the second part
    assert report.failed == 0
    assert notes.lines == ["caption: out of memory with 4 items at once; went on with 1"]
    manifest = json.loads((tmp_path / "short" / "manifest.json").read_text())
    assert manifest["out_of_memory"] == {"caption": [{"wanted": 4, "fitted": 1}]}

    with room_for(4, "BlipVisionEmbeddings") as tried:
        system(config).run(source(images), out=tmp_path / "enough")
    assert tried == [4, 1]
    manifest = json.loads((tmp_path / "enough" / "manifest.json").read_text())
    assert manifest["out_of_memory"] == {}
    short, enough = (tmp_path / name / "records.jsonl" for name in ("short", "enough"))
    assert short.read_bytes() == enough.read_bytes()


def command(models: Path, images: Path, folder: Path, workers: int) -> Sequence[str | Path]:
    data = folder / "posts.jsonl"
    names = WIDE_ENOUGH * 4
    rows = [{"id": str(number), "text": "a b", "image": one} for number, one in enumerate(names)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"backend": "blip", "model": str(models / "blip"), "max_new_tokens": 4}
    (folder / "system.yaml").write_text(
        json.dumps({"name": "tiny", "run": {"part_size": 8}, "caption": options})
    )
    return (
        *(sys.executable, "-m", "riveg", "run", folder / "system.yaml", "--data", data),
        *(
            "--images",
            images,
            "--set",
            f"caption.workers={workers}",
            "--set",
            "caption.device=cpu",
            "--out",
        ),
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_ended_run_leaves_no_worker_and_goes_on_later(
    models: Path, images: Path, tmp_path: Path, number: signal.Signals
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RIVEG_TEST": str(tmp_path)}
    marker = f"RIVEG_TEST={tmp_path}"
    parts = tmp_path / "run" / "1-caption"
    try:
        with subprocess.Popen(
            [*command(models, images, tmp_path, 2), tmp_path / "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=partial(  # noqa: PLW1509 - no thread is there that could hold a lock
                signal.signal, signal.SIGINT, signal.default_int_handler
            ),
        ) as process:
            workers: list[int] = []
            # On a busy machine one worker may have made a part before the other is there.
            while process.poll() is None and not (
                len(workers) == 2 and list(parts.glob("part-*.jsonl"))
            ):
                workers = [one for one in marked_processes(marker) if one != process.pid]
            process.send_signal(number)
            _, stderr = process.communicate()
        assert len(workers) == 2
        code = -number if number == signal.SIGKILL else 130
        assert process.returncode == code, stderr.decode()
        assert b"Traceback" not in stderr
        assert gone_within(workers, 10)
    finally:
        end_marked(marker)
    for out, workers_wanted in (("run", 2), ("alone", 0)):
        arguments = [*command(models, images, tmp_path, workers_wanted), tmp_path / out]
        done = subprocess.run(arguments, capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
    found, expected = (tmp_path / name / "records.jsonl" for name in ("run", "alone"))
    assert found.read_bytes() == expected.read_bytes()
