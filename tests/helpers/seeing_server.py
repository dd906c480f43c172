"""A chat server, in a process of its own, that looks at the picture of a request and answers so.

It finds colours and ink in the JPEG that it is sent. The name of the model that is asked says how
it answers, whatever the prompt says: ``resized-28``, ``pixels+swapped``, ``upto-1000+no-usage``,
``blind`` ... It knows nothing of riveg.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from helpers.fault_server import (
    Handler,
    Sent,
    Server,
    completion,
    error,
    free_port,
    text_of,
    wait_until_up,
)
from helpers.places import ROOT

NAMES = ("red", "green", "blue", "yellow", "orange", "purple", "pink", "black", "white")
PALETTE = Image.new("P", (1, 1))
PALETTE.putpalette([part for name in NAMES for part in ImageColor.getrgb(name)[:3]])
"""The web's colours of these names, which a drawing's own come near to."""

WORDS = {640: "Tiger", 420: "lemon", 268: "ROBOT", 820: "Piano.", 900: "CLOUD", 108: "HORSE"}
"""What is printed, by the width of the drawing: this server cannot read."""


def image_of(body: dict[str, Any]) -> Image.Image | None:
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        for part in parts:
            if part["type"] == "image_url":
                content = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                return Image.open(io.BytesIO(content)).convert("RGB")
    return None


def colours_in(image: Image.Image) -> NDArray[np.uint8]:
    """The nearest colour of each pixel, as its place in ``NAMES``; *shape* ``(height, width)``."""
    return np.asarray(image.quantize(palette=PALETTE, dither=Image.Dither.NONE))


def edges_of(mask: NDArray[np.bool_], least: float) -> tuple[int, int, int, int]:
    """The outermost columns and rows that hold a share of what the fullest one holds."""
    columns, rows = mask.sum(0), mask.sum(1)
    (across,) = np.nonzero(columns > least * columns.max())
    (down,) = np.nonzero(rows > least * rows.max())
    return int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1


def box_of(thing: str, image: Image.Image) -> tuple[int, int, int, int]:
    """Where a thing is, in pixels of the image that was sent."""
    found = re.match(r"the (\w+) rectangle", thing)
    if found:
        return edges_of(colours_in(image) == NAMES.index(found[1]), 0.3)
    return edges_of(np.asarray(image).max(-1) < 110, 0.0)


def resized(side: float, multiple: int) -> int:
    return round(side / multiple) * multiple


def ends_of(image: Image.Image, habits: list[str]) -> tuple[int, int]:
    """The numbers at the right and the lower edge."""
    kind, _, number = habits[0].partition("-")
    if kind == "upto":
        return int(number), int(number)
    if kind == "resized":
        scale = 1.4 if "enlarged" in habits else 1
        width, height = (resized(scale * side, int(number)) for side in image.size)
        return width, height
    return image.size


def numbers_of(thing: str, image: Image.Image, habits: list[str]) -> list[float]:
    if "blind" in habits:
        return [40, 40, 60, 60]
    ends = ends_of(image, habits)
    left, top, right, bottom = box_of(thing, image)
    x_min, x_max = (edge / image.width * ends[0] for edge in (left, right))
    y_min, y_max = (edge / image.height * ends[1] for edge in (top, bottom))
    numbers = (y_min, x_min, y_max, x_max) if "swapped" in habits else (x_min, y_min, x_max, y_max)
    if "vague" in habits:
        off = itertools.cycle(hashlib.sha256(thing.encode() + image.tobytes()[:9999]).digest())
        return [round(number + next(off) % 15 - 7) for number in numbers]
    return [round(one, 4) if ends == (1, 1) else round(one) for one in numbers]


def words_of(text: str, image: Image.Image | None, habits: list[str], *, bound: bool) -> str:
    if "lighthouse" in text:
        return '{"animal": "gull", "legs": 2}' if bound else "It is a tower with a lamp."
    if "Which word" in text:
        is_seen = image is not None and "blind" not in habits
        return WORDS[image.width] if image is not None and is_seen else "There is no picture."
    assert image is not None
    if "Which colour" in text:
        middle = colours_in(image)[image.height // 2, image.width // 2]
        return "red" if "blind" in habits else f"{NAMES[middle]}."
    thing = re.search(r"What to look for: (.*)", text)
    assert thing is not None, text
    if "shy" in habits and "word" in thing[1]:
        return '{"boxes": []}'
    boxes = [{"bbox_2d": numbers_of(thing[1], image, habits)}]
    return json.dumps({"boxes": boxes}) if bound else f"```json\n{json.dumps(boxes)}\n```"


class SeeingHandler(Handler):
    def _answer(self, body: dict[str, Any]) -> Sent:
        habits = body["model"].split("+")
        image = image_of(body)
        if image is not None and "text-only" in habits:
            return error(400, "this model takes text alone")
        text = text_of(body["messages"][-1])
        is_bound = "response_format" in body and "breaks-schema" not in habits
        words = words_of(text, image, habits, bound=is_bound)
        sent = json.loads(completion(words))
        if "no-usage" in habits:
            del sent["usage"]
        else:
            tokens = 0 if image is None or "blind" in habits else image_tokens(image)
            sent["usage"]["prompt_tokens"] = len(text.split()) + tokens
        if body.get("logprobs") and "no-logprobs" not in habits:
            sent["choices"][0]["logprobs"] = log_probabilities(words, body.get("top_logprobs", 0))
        return Sent(json.dumps(sent).encode())


def image_tokens(image: Image.Image) -> int:
    return resized(image.width, 28) * resized(image.height, 28) // 28**2


def log_probabilities(words: str, most: int) -> dict[str, Any]:
    pieces = re.findall(r"\S+\s*", words)
    others = [{"token": f"other{number}", "logprob": -3.0 - number} for number in range(most - 1)]
    return {
        "content": [
            {
                "token": piece,
                "logprob": -0.1,
                "top_logprobs": [{"token": piece, "logprob": -0.1}, *others] if most else [],
            }
            for piece in pieces
        ]
    }


def serve() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key")
    parser.add_argument("--refuse", nargs="*", default=[])
    SeeingHandler.options = parser.parse_args()
    Server(("127.0.0.1", SeeingHandler.options.port), SeeingHandler).serve_forever()


@contextlib.contextmanager
def seeing_server(*options: str) -> Iterator[str]:
    """The URL of a running server; ``options`` are those of this file's command line."""
    port = free_port()
    command = [sys.executable, "-m", "helpers.seeing_server", "--port", str(port), *options]
    with subprocess.Popen(command, cwd=ROOT / "tests") as process:
        try:
            wait_until_up(f"http://127.0.0.1:{port}/v1/chat/completions", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


if __name__ == "__main__":
    serve()
