"""Run folders made of records, without a run."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from helpers.factories import write_records
from riveg.config.reader import load_config
from riveg.files import file_digest
from riveg.formats.run_records import DIGEST
from riveg.runs.system import resolved_text
from riveg.types import SCHEMA_VERSION, Sample


def make_run(
    folder: Path,
    samples: Iterable[Sample],
    *,
    system: str | Path = "quickstart",
    overrides: Sequence[str] = (),
    **manifest: Any,
) -> Path:
    """A finished run of a system with these records."""
    folder.mkdir(parents=True, exist_ok=True)
    config = load_config(system, overrides)
    records = list(samples)
    write_records(folder / "records.jsonl", records)
    stages = {
        step.stage.name: {"backend": step.config.name, "fingerprint": "f", "contents": {}}
        for step in config.steps
    }
    values = {
        "schema": SCHEMA_VERSION,
        "system": config.name,
        "data": "quickstart",
        "origin": ["/data/txt/dev.txt"],
        "split": "dev",
        "samples": len(records),
        "limit": None,
        "oracle_stages": [],
        "stages": stages,
        "finished": 1.0,
        DIGEST: file_digest(folder / "records.jsonl"),
        **manifest,
    }
    (folder / "manifest.json").write_text(json.dumps(values))
    (folder / "config.yaml").write_text(resolved_text(config))
    return folder
