"""What the manifest of a run says: of what system, data, models and packages it is."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from riveg.checkpoints.adapters import adapter_of
from riveg.config.system import Step, SystemConfig
from riveg.llm.endpoint import Endpoint
from riveg.runs.run import Run
from riveg.runs.sources import DataSource
from riveg.stores.files import place_of
from riveg.types import SCHEMA_VERSION

_MODEL_FIELDS = ("model", "revision", "licence", "gated", "engine")

_PACKAGES = (
    "riveg",
    "numpy",
    "pillow",
    "onnxruntime",
    "opencv-python-headless",
    "rapidocr",
    "torch",
)


def manifest_of(
    config: SystemConfig,
    run: Run,
    source: DataSource,
    steps: Sequence[Step],
    samples: int,
) -> dict[str, Any]:
    """The manifest at a run's beginning.

    Args:
        config: The system.
        run: The run, whose input is written.
        source: The data.
        steps: The stages that run.
        samples: How many samples there are.
    """
    asked = [config.endpoint_of(step) for step in steps]
    return {
        "schema": SCHEMA_VERSION,
        "system": config.name,
        "data": source.name,
        "origin": list(source.origin),
        **({"data_file": str(file)} if (file := getattr(source, "file", None)) else {}),
        **({"columns": dict(chosen)} if (chosen := getattr(source, "columns", {})) else {}),
        "part_size": config.run.part_size,
        "labels": _declared_labels(config, source, steps),
        "data_version": getattr(source, "version", None),
        "split": getattr(source, "split", None),
        "image_roots": [place_of(root) for root in source.image_roots],
        "samples": samples,
        "artifacts": {item.key: asdict(item) for item in config.artifacts},
        "models": {
            name: _model(endpoint, is_asked=endpoint in asked)
            for name, endpoint in config.llm.items()
        },
        "oracle_stages": [step.stage.name for step in steps if step.config.oracle],
        "stages": {
            step.stage.name: {
                "backend": step.config.name,
                "fingerprint": run.fingerprint(step),
                "contents": run.contents(step),
            }
            for step in steps
        },
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _model(endpoint: Endpoint, *, is_asked: bool) -> dict[str, Any]:
    told = endpoint.model_dump(mode="json", include=set(_MODEL_FIELDS))
    adapter = adapter_of(endpoint) if is_asked else None
    if adapter is None:
        return told
    return {**told, "adapter": {"name": endpoint.adapter, "digest": adapter.digest}}


def _declared_labels(config: SystemConfig, source: DataSource, steps: Sequence[Step]) -> list[str]:
    """The system's labels; where a stage reads gold, those of the data as well."""
    of_gold = getattr(source, "labels", ()) if any(s.config.oracle for s in steps) else ()
    return [*dict.fromkeys((*(label.name for label in config.labels), *of_gold))]


def package_versions() -> dict[str, str]:
    """The versions of riveg and of what shapes its answers, as far as it is installed."""
    found = {}
    for package in _PACKAGES:
        if package == "torch" and "torch" not in sys.modules:
            continue
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
