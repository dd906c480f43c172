"""Draws a world of posts in which it can be seen whether a network learns to find and to ground.

    python benchmarks/learning.py FOLDER [--train 2000] [--dev 300] [--test 300] [--seed 1]
                                         [--side 256]

writes the splits in Twitter-GMNER's form (``txt/``, ``xml/``, ``images/``) with ``world.yaml``, so
that ``riveg data check FOLDER/world.yaml`` and every trainee read it. The same options write the
same bytes, with the same Pillow.

Names are invented, and bound to what is seen: the first syllable of a name is the colour of its
thing, its ending the kind of thing. People are faces, places buildings, organisations round
logos, other things letters on a card. Test and dev have names that train has not, made of the same
syllables. A third of the entities is not shown. Things that nobody names stand about in half of the
pictures, in a few of them one of a named kind in another colour. Texts have words
that look like names, tags, links, and no entity in one of twenty.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from PIL import Image, ImageDraw, ImageFont

Edges = tuple[int, int, int, int]
"""Whole pixels, xyxy, the last ones outside."""

COLOURS = {
    "ver": (46, 139, 87),
    "rub": (200, 30, 45),
    "zaf": (30, 80, 200),
    "gol": (235, 185, 20),
    "lil": (150, 60, 190),
    "tan": (225, 110, 30),
}
"""First syllable of a name -> the colour of its thing, RGB."""

_ENDINGS = {
    "PER": ("mira", "bert", "nia", "dolf"),
    "LOC": ("ville", "stad", "burg", "mouth"),
    "ORG": ("corp", "tech", "union", "soft"),
    "OTHER": ("phone", "saga", "cola", "fest"),
}
_MIDDLES = ("", "o", "an", "el", "is", "ur", "ek", "ami")
_SURNAMES = ("Quist", "Halvar", "Brenn", "Odum", "Tarsk")
_CLAUSES = {
    "PER": ("we met {}", "{} smiles again", "so proud of {}", "{} said hello"),
    "LOC": ("back in {}", "rain over {}", "the road to {}", "{} at night"),
    "ORG": ("{} hires people", "news from {}", "{} lost the case", "he works for {}"),
    "OTHER": ("my new {}", "{} is out now", "waiting for {}", "who wants {}"),
}
_NOISE = (
    *("lol", "so good", "Monday again", "what a day", "RT @ someone :", "# blessed"),
    *("http://t.co/x1", "Thanks everyone", "Good morning", "&lt;3", "No comment", "see below"),
)
_PLACES = 3
"""Rows and columns of places for things: no two things overlap."""
_SHOWN = 2 / 3
_LETTERS = "ABDEGHKMRSTX"


@dataclass(frozen=True)
class Named:
    """An entity of a post, and whether the picture shows it."""

    label: str
    words: tuple[str, ...]
    colour: str
    is_shown: bool


@dataclass(frozen=True)
class Post:
    """A post before it is drawn: words with tags, and its entities."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    entities: tuple[Named, ...]


def main() -> None:
    """Writes the world and says where it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    for split, count in (("train", 2000), ("dev", 300), ("test", 300)):
        parser.add_argument(f"--{split}", type=int, default=count, help="posts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, default=256, help="of the pictures, in pixels")
    options = parser.parse_args()
    sizes = {split: getattr(options, split) for split in ("train", "dev", "test")}
    print(draw_world(options.folder, sizes, seed=options.seed, side=options.side))


def draw_world(folder: Path, sizes: dict[str, int], *, seed: int = 1, side: int = 256) -> Path:
    """Writes posts, boxes and pictures.

    Args:
        folder: Made if it is not there; files of the same names are replaced.
        sizes: Posts of each split.
        seed: Decides everything.
        side: Width and height of the pictures, in pixels, at least 96.

    Returns:
        The dataset's YAML file.

    Raises:
        SystemExit: If ``side`` is too small.
    """
    if side < 96:
        raise SystemExit(f"--side: {side}: things need pictures of 96 pixels at least")
    for name in ("txt", "xml", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    told: set[tuple[str, ...]] = set()
    for split, count in sizes.items():
        blocks = []
        for number in range(count):
            chance = random.Random(f"{seed}/{split}/{number}")
            name = f"{split}{number:05d}"
            post = _new_post(chance, told, is_train=split == "train")
            pairs = zip(post.words, post.tags, strict=True)
            rows = "".join(f"{word}\t{tag}\n" for word, tag in pairs)
            blocks.append(f"IMGID:{name}\n{rows}")
            image, boxes = _draw(post, chance, side)
            image.save(folder / "images" / f"{name}.jpg", quality=85)
            if boxes:
                (folder / "xml" / f"{name}.xml").write_bytes(_voc(name, boxes, side))
        (folder / "txt" / f"{split}.txt").write_text("\n".join(blocks), encoding="utf-8")
    path = folder / "world.yaml"
    values = {
        "name": "world",
        "description": "drawn posts with invented names",
        "format": "twitter-gmner",
        "version": f"{seed}",
        "text": {split: f"txt/{split}.txt" for split in sizes},
        "xml": "xml",
        "images": ["images"],
        "labels": [*_ENDINGS],
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return path


def _new_post(chance: random.Random, told: set[tuple[str, ...]], *, is_train: bool) -> Post:
    """A post whose text stands nowhere else in the world, neither in its split nor in another."""
    while True:
        post = _invent(chance, is_train=is_train)
        if post.words not in told:
            told.add(post.words)
            return post


def _invent(chance: random.Random, *, is_train: bool) -> Post:
    """A post: clauses with an entity each, and noise between them."""
    count = chance.choices((0, 1, 2, 3), (1, 7, 9, 3))[0]
    labels = chance.sample([*_ENDINGS], count)
    if count > 1 and chance.random() < 0.1:
        labels[1] = labels[0]
    words: list[str] = []
    tags: list[str] = []
    entities: list[Named] = []
    for label in labels:
        if chance.random() < 0.4:
            _say(chance.choice(_NOISE).split(), words, tags)
        named = _name(label, chance, is_train=is_train)
        if any(one.words == named.words for one in entities):
            continue
        before, _, after = chance.choice(_CLAUSES[label]).partition("{}")
        _say(before.split(), words, tags)
        words += named.words
        tags += [f"B-{label}", *[f"I-{label}"] * (len(named.words) - 1)]
        _say([*after.split(), chance.choice((".", "!", ","))], words, tags)
        entities.append(named)
    for _ in range(chance.choice((0, 1)) if words else chance.choice((2, 3, 4))):
        _say(chance.choice(_NOISE).split(), words, tags)
    return Post(tuple(words), tuple(tags), tuple(entities))


def _say(some: Sequence[str], words: list[str], tags: list[str]) -> None:
    words += some
    tags += ["O"] * len(some)


def _name(label: str, chance: random.Random, *, is_train: bool) -> Named:
    colour = chance.choice([*COLOURS])
    # Some middles are kept from train: dev and test then have names that nobody has seen.
    middle = chance.choice(_MIDDLES[:-2] if is_train else _MIDDLES)
    first = (colour + middle + chance.choice(_ENDINGS[label])).capitalize()
    words = (first,)
    if label == "PER" and chance.random() < 0.5:
        words = (first, chance.choice(_SURNAMES))
    return Named(label, words, colour, is_shown=chance.random() < _SHOWN)


def _draw(
    post: Post, chance: random.Random, side: int
) -> tuple[Image.Image, list[tuple[str, Edges]]]:
    """The picture of a post, and the boxes of its entities with their words."""
    image = _background(chance, side)
    pencil = ImageDraw.Draw(image)
    places = [(column, row) for column in range(_PLACES) for row in range(_PLACES)]
    chance.shuffle(places)
    boxes = []
    for named in post.entities:
        if named.is_shown:
            box = _placed(places.pop(), chance, side)
            _THINGS[named.label](pencil, box, COLOURS[named.colour], chance)
            boxes.append((" ".join(named.words), box))
    for label, colour in _bystanders(post, chance):
        _THINGS[label](pencil, _placed(places.pop(), chance, side), COLOURS[colour], chance)
    return image, boxes


def _bystanders(post: Post, chance: random.Random) -> list[tuple[str, str]]:
    """Kinds and colours of things that nobody names."""
    found = []
    named = {one.label: one.colour for one in post.entities}
    others = [label for label in _ENDINGS if label not in named]
    if others and chance.random() < 0.5:
        found.append((chance.choice(others), chance.choice([*COLOURS])))
    shown = [one.label for one in post.entities if one.is_shown]
    if shown and chance.random() < 0.1:
        label = chance.choice(shown)
        taken = {one.colour for one in post.entities if one.label == label}
        found.append((label, chance.choice([one for one in COLOURS if one not in taken])))
    return found


def _placed(place: tuple[int, int], chance: random.Random, side: int) -> Edges:
    """A box somewhere in a place."""
    room = side // _PLACES
    width = int(room * chance.uniform(0.6, 0.95))
    height = int(min(room, max(room * 0.6, width * chance.uniform(0.85, 1.15))))
    left = place[0] * room + chance.randint(0, room - width)
    top = place[1] * room + chance.randint(0, room - height)
    return left, top, left + width, top + height


def _background(chance: random.Random, side: int) -> Image.Image:
    """A dull colour with grains of noise."""
    base = [chance.randint(170, 225) for _ in range(3)]
    grains = chance.randbytes(side * side // 16)
    noise = Image.frombytes("L", (side // 4, side // 4), grains[: (side // 4) ** 2])
    noise = noise.resize((side, side)).point(lambda value: value // 8)
    flat = Image.new("RGB", (side, side), (base[0], base[1], base[2]))
    return Image.blend(flat, Image.merge("RGB", (noise, noise, noise)), 0.15)


def _inner(box: Edges, *shares: float) -> Edges:
    """A part of a box, by shares of its sides, xyxy."""
    left, top, right, bottom = box
    width, height = right - left - 1, bottom - top - 1
    return (
        left + round(shares[0] * width),
        top + round(shares[1] * height),
        left + round(shares[2] * width),
        top + round(shares[3] * height),
    )


_Colour = tuple[int, int, int]
_SKIN = ((250, 215, 185), (205, 150, 110), (120, 80, 55))


def _face(pencil: ImageDraw.ImageDraw, box: Edges, colour: _Colour, chance: random.Random) -> None:
    """Hair in the colour, a face in it."""
    pencil.ellipse(_inner(box, 0, 0, 1, 1), fill=colour, outline="black")
    pencil.ellipse(_inner(box, 0.15, 0.22, 0.85, 0.98), fill=chance.choice(_SKIN))
    for left in (0.3, 0.6):
        pencil.ellipse(_inner(box, left, 0.45, left + 0.1, 0.55), fill="black")
    pencil.arc(_inner(box, 0.32, 0.55, 0.68, 0.85), 20, 160, fill="darkred", width=3)


def _building(
    pencil: ImageDraw.ImageDraw, box: Edges, colour: _Colour, chance: random.Random
) -> None:
    """Walls in the colour with rows of windows."""
    pencil.rectangle(_inner(box, 0, 0, 1, 1), fill=colour, outline="black")
    for row in range(chance.choice((3, 4))):
        for column in range(3):
            left, top = 0.12 + 0.28 * column, 0.08 + 0.22 * row
            pencil.rectangle(_inner(box, left, top, left + 0.16, top + 0.13), fill="lightyellow")


def _logo(pencil: ImageDraw.ImageDraw, box: Edges, colour: _Colour, chance: random.Random) -> None:
    """A ring in the colour around a sign."""
    pencil.ellipse(_inner(box, 0, 0, 1, 1), fill=colour, outline="black")
    pencil.ellipse(_inner(box, 0.18, 0.18, 0.82, 0.82), fill="white")
    left, top, right, bottom = _inner(box, 0.3, 0.3, 0.7, 0.7)
    middle = (left + right) // 2
    upright = [(left, bottom), (middle, top), (right, bottom)]
    turned = [(left, top), (middle, bottom), (right, top)]
    pencil.polygon(chance.choice((upright, turned)), fill=colour)


def _card(pencil: ImageDraw.ImageDraw, box: Edges, colour: _Colour, chance: random.Random) -> None:
    """A letter in the colour on a white card."""
    pencil.rectangle(_inner(box, 0, 0, 1, 1), fill="white", outline=colour, width=4)
    font = ImageFont.load_default(size=0.7 * (box[3] - box[1]))
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    pencil.text(middle, chance.choice(_LETTERS), fill=colour, font=font, anchor="mm")


_THINGS: dict[str, Callable[[ImageDraw.ImageDraw, Edges, _Colour, random.Random], None]] = {
    "PER": _face,
    "LOC": _building,
    "ORG": _logo,
    "OTHER": _card,
}


def _voc(name: str, boxes: Sequence[tuple[str, Edges]], side: int) -> bytes:
    root = Element("annotation")
    SubElement(root, "filename").text = f"{name}.jpg"
    size = SubElement(root, "size")
    for key, value in (("width", side), ("height", side), ("depth", 3)):
        SubElement(size, key).text = str(value)
    for words, box in boxes:
        item = SubElement(root, "object")
        SubElement(item, "name").text = words
        edges = SubElement(item, "bndbox")
        for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            SubElement(edges, key).text = str(edge)
    indent(root)
    written: bytes = tostring(root, encoding="utf-8")
    return written + b"\n"


if __name__ == "__main__":
    main()
