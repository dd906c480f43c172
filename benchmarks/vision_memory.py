"""How much memory does each vision backend take, at which batch size?

Each backend and batch size runs in a process of its own: the network, of its real sizes and random
weights, is loaded and asked about one batch of images of 480 x 640 pixels, one or two entities
each. Given is the process's highest memory with everything in it (Python and torch take 0.4 GB), on
a GPU the highest that torch allocated there.

    python benchmarks/vision_memory.py [--device cuda] [--batches 1 2 4] [--only sam owlv2]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import random_models
import torch
from vision import make_samples

from riveg.config.backend import BuildContext
from riveg.images.loader import ImageLoader
from riveg.protocols import Mention
from riveg.registry import backend_config
from riveg.types import Issue


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend, the network that it is measured with, and on which devices."""

    stage: str
    name: str
    network: str
    save: Callable[[Path], Path]
    fields: dict[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu", "cuda")


SMALL_INPUT = {"shortest_edge": 480, "longest_edge": 640}
BACKENDS = {
    "blip": Backend(
        "caption",
        "blip",
        "blip-image-captioning-base",
        lambda f: random_models.save_blip(f, "caption"),
    ),
    "itm": Backend("entail", "itm", "blip-itm-base", lambda f: random_models.save_blip(f, "itm")),
    "siglip": Backend("entail", "siglip", "siglip2-base-patch16-224", random_models.save_siglip2),
    "grounding-dino-480": Backend(
        "ground",
        "grounding-dino",
        "grounding-dino-tiny, 480 x 640",
        lambda f: random_models.save_grounding_dino(f, "tiny"),
        SMALL_INPUT,
    ),
    "grounding-dino": Backend(
        "ground",
        "grounding-dino",
        "grounding-dino-tiny, 800 x 1066",
        lambda f: random_models.save_grounding_dino(f, "tiny"),
    ),
    "grounding-dino-base": Backend(
        "ground",
        "grounding-dino",
        "grounding-dino-base, 800 x 1066",
        lambda f: random_models.save_grounding_dino(f, "base"),
    ),
    "owlv2": Backend("ground", "owlv2", "owlv2-base-patch16-ensemble", random_models.save_owlv2),
    "sam": Backend("segment", "sam", "sam-vit-base", lambda f: random_models.save_sam(f, "base")),
    "sam-huge": Backend(
        "segment",
        "sam",
        "sam-vit-huge",
        lambda f: random_models.save_sam(f, "huge"),
        devices=("cuda",),
    ),
    "sam2": Backend("segment", "sam2", "sam2.1-hiera-tiny", random_models.save_sam2),
}


def peak(backend: Backend, model: Path, batch: int, device: str) -> float:
    """Highest memory in GB after one batch; in this process, which does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        samples = make_samples(Path(folder), batch, sides=((480, 640),))
        given = {"model": str(model), "device": device, "batch_size": batch, **backend.fields}
        config = backend_config(backend.stage, backend.name).model_validate(given)
        asked: list[Any] = samples
        if backend.stage != "caption":
            asked = [
                Mention(sample, entity) for sample in samples for entity in sample.entities or ()
            ]
        built = config.build(BuildContext(ImageLoader([Path(folder)])))
        for answer in getattr(built, backend.stage)(asked):
            if isinstance(answer, Issue):
                raise SystemExit(str(answer))
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resident()


def resident() -> float:
    """This process's highest memory in GB; Linux's own count.

    ``getrusage`` would begin with that of the process by which this one was started.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, flags=re.MULTILINE)
    return int(kilobytes) * 1024 / 1e9


def measured(name: str, model: Path, batch: int, device: str) -> float:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--device", device, "--batches", str(batch)]
    done = subprocess.run(
        [*command, "--one", name, "--model", str(model)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name}, {batch} at once: {done.stderr[-2000:]}")
    return float(done.stdout)


def main() -> None:
    """Reads the options and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--only", nargs="+", choices=sorted(BACKENDS))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(peak(BACKENDS[options.one], options.model, options.batches[0], options.device))
        return
    heads = " | ".join(f"{batch} at once" for batch in options.batches)
    print(
        f"| backend | network | on disk | {heads} |\n|---|---|---|{'---|' * len(options.batches)}"
    )
    for name in options.only or BACKENDS:
        backend = BACKENDS[name]
        if options.device not in backend.devices:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = backend.save(Path(folder) / "model")
            size = (model / "model.safetensors").stat().st_size / 1e9
            peaks = [measured(name, model, one, options.device) for one in options.batches]
        row = " | ".join(f"{one:.1f} GB" for one in peaks)
        kind = f"`{backend.stage}: {backend.name}`"
        print(f"| {kind} | {backend.network} | {size:.1f} GB | {row} |", flush=True)


if __name__ == "__main__":
    main()
