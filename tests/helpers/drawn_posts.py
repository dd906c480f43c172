"""Eight posts with drawn images of 140 pixels, for a tiny vision-language model to learn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hal")
LABELS = ("PER", "LOC", "ORG", "OTHER")


def write_posts(
    folder: Path, *, repeats: int = 1, more: tuple[Mapping[str, Any], ...] = ()
) -> Path:
    """A dataset whose dev is eight posts and whose train is the same, so many times.

    One post has no entity, one has an entity with two boxes, the others one that is shown and one
    that is not. ``more``: lines that train has besides.

    Returns:
        Its YAML file.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    posts = [_post(folder / "images", number) for number in range(len(NAMES))]
    train = [{**post, "id": f"{post['id']}-{time}"} for time in range(repeats) for post in posts]
    for name, lines in (("train", [*train, *more]), ("dev", posts)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    path = folder / "data.yaml"
    path.write_text(
        "name: drawn\nformat: jsonl\ntext: {train: train.jsonl, dev: dev.jsonl}\n"
        f"images: [images]\nlabels: [{', '.join(LABELS)}]\n"
    )
    return path


def _post(images: Path, number: int) -> dict[str, Any]:
    chance = np.random.default_rng(number)
    size = (140, 112) if number % 2 else (112, 140)
    image = Image.new("RGB", size, tuple(chance.integers(0, 255, 3).tolist()))
    left, top = chance.integers(0, 50, 2).tolist()
    boxes = [[left, top, left + 40, top + 50]]
    if number == 7:
        boxes.append([100, 60, 135, 100])
    pen = ImageDraw.Draw(image)
    for box in boxes:
        pen.rectangle(box, fill=tuple(chance.integers(0, 255, 3).tolist()))
    image.save(images / f"p{number}.png")
    name = NAMES[number]
    post = {"id": f"p{number}", "text": f"{name} in Rome", "image": f"p{number}.png"}
    if number == 6:
        return {**post, "text": "nothing at all", "entities": []}
    entities = [
        {"label": LABELS[number % 3], "start": 0, "end": 1, "boxes": boxes},
        {"label": "LOC", "start": 2, "end": 3, "boxes": []},
    ]
    return {**post, "entities": entities}
