"""Do the converted networks answer as the originals do? Runs in an environment of ``build.py``.

``compare.py images NETWORK FOLDER IMAGES`` writes random images and those of a folder to
``IMAGES``. ``compare.py outputs NETWORK IMAGES OUTPUTS FULL SMALL`` asks the two ONNX files about
them, prints how far they are from what ``originals.py`` wrote, and fails beyond ``LIMITS``.
"""

# ruff: noqa: T201  (a script: what it finds goes to standard output)

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import originals  # type: ignore[import-not-found]
from PIL import Image, ImageOps

RANDOM_IMAGES = 4
ENDINGS = {".jpg", ".jpeg", ".png"}
Outputs = dict[str, np.ndarray]
"""Name to array, one row an image."""


@dataclass(frozen=True)
class Limits:
    """How far a converted network may be from its original.

    ``side``: of its input in pixels.
    ``full``, ``small``: largest difference of any output, with float32 weights and as it ships.
    ``decides``, ``threshold``: the outputs that say yes, and from which value on.
    ``agreement``: the least IoU of what the original and the shipped one say yes to.
    """

    side: int
    full: float
    small: float
    decides: str
    threshold: float
    agreement: float


LIMITS = {
    # Scores are in [0, 1], bins are logits of about -7 to 10.
    "nanodet": Limits(416, 1e-4, 1.5, "scores", threshold=0.4, agreement=0.85),
    # Boxes are in pixels of the input; scores are logits, 0.4 is a probability of 0.6.
    "face": Limits(192, 1e-3, 1e-3, "scores", threshold=0.4, agreement=0.99),
    # MediaPipe scales the pixels of its input itself, a little differently.
    "selfie": Limits(256, 5e-3, 5e-3, "mask", threshold=0.5, agreement=0.999),
}


def write_images(network: str, folder: Path, target: Path) -> None:
    """Writes square images: random ones first, then those of a folder, padded."""
    side = LIMITS[network].side
    random = np.random.default_rng(0).integers(0, 256, (RANDOM_IMAGES, side, side, 3), np.uint8)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    real = [
        np.asarray(ImageOps.pad(Image.open(path).convert("RGB"), (side, side))) for path in files
    ]
    np.savez(target, images=np.stack([*random, *real]))


def compare(network: str, images: Path, outputs: Path, full: Path, small: Path) -> list[str]:
    """Prints the differences of both files; one line for each limit that is not kept."""
    limits, wanted = LIMITS[network], dict(np.load(outputs))
    pixels = np.load(images)["images"]
    print(f"{network}: {RANDOM_IMAGES} random images, {len(pixels) - RANDOM_IMAGES} real ones")
    faults = []
    for title, path, limit in (("float32", full, limits.full), ("shipped", small, limits.small)):
        found = answers(network, path, pixels)
        largest = max(differences(title, wanted, found))
        if not largest <= limit:
            faults.append(f"{network}, {title}: differs by {largest:.2g}, allowed {limit:.2g}")
        share = agreement(limits, wanted, found)
        if not share >= limits.agreement:
            faults.append(f"{network}, {title}: agrees by {share}, asked {limits.agreement}")
    return faults


def answers(network: str, path: Path, images: np.ndarray) -> Outputs:
    """What an ONNX file gives for images, one row an image."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    prepare = getattr(originals, f"{network}_input")
    rows = [session.run(names, {"image": prepare(image)}) for image in images]
    return {name: np.concatenate(column) for name, *column in zip(names, *rows, strict=True)}


def differences(title: str, wanted: Outputs, found: Outputs) -> list[float]:
    """Prints and gives the largest difference of each output."""
    largest = []
    for name, values in found.items():
        apart = np.abs(values - wanted[name])
        largest.append(float(apart.max()))
        low, high = wanted[name].min(), wanted[name].max()
        print(
            f"  {title}  {name:9}  from {low:8.3f} to {high:8.3f}"
            f"  differs by {apart.max():.1e} at most, {apart.mean():.1e} on average"
        )
    return largest


def agreement(limits: Limits, wanted: Outputs, found: Outputs) -> float:
    """IoU of what both say yes to, over the real images; printed with its counts."""
    originally, now = (
        np.concatenate(
            [
                (values[RANDOM_IMAGES:] >= limits.threshold).ravel()
                for name, values in sorted(outputs.items())
                if name.startswith(limits.decides)
            ]
        )
        for outputs in (wanted, found)
    )
    both, either = (originally & now).sum(), (originally | now).sum()
    share = float(both / either) if either else 1.0
    print(f"    yes: {originally.sum()} originally, {now.sum()} now, {both} both, IoU {share:.4f}")
    return share


if __name__ == "__main__":
    _, task, name_of_network, *paths = sys.argv
    if task == "images":
        write_images(name_of_network, *map(Path, paths))
    else:
        sys.exit("\n".join(compare(name_of_network, *map(Path, paths))) or 0)
