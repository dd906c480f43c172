"""Draws the quickstart pictures and writes the gold boxes: ``python draw.py [FOLDER]``.

Every drawing returns where it put the lettering that a post names, so picture and gold cannot
part. The photos' boxes stand in a table below. Everything drawn here is CC0.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
Pixels = tuple[int, int, int, int]
Boxes = list[tuple[str, Pixels]]

PHOTO_BOXES: dict[str, Boxes] = {
    "qs01-astronaut": [
        ("Eileen Collins", (21, 15, 363, 512)),
        ("Space Shuttle", (354, 0, 460, 276)),
    ],
    "qs02-rocket": [("Falcon 9", (310, 127, 335, 408))],
    "qs03-cat": [("Chelsea", (0, 0, 394, 300))],
}


class Sheet:
    """A canvas in picture coordinates, drawn at twice the size so that edges come out smooth."""

    FINE = 2

    def __init__(self, width: int, height: int, top: str, bottom: str) -> None:
        shade = Image.linear_gradient("L").resize((width * self.FINE, height * self.FINE))
        upper, lower = (Image.new("RGB", shade.size, colour) for colour in (top, bottom))
        self.image = Image.composite(lower, upper, shade)
        self.pen = ImageDraw.Draw(self.image)

    def fine(self, *values: float) -> list[float]:
        return [value * self.FINE for value in values]

    def rectangle(self, box: Sequence[float], fill: str, *, radius: float = 0) -> None:
        self.pen.rounded_rectangle(self.fine(*box), radius * self.FINE, fill=fill)

    def ellipse(self, box: Sequence[float], fill: str) -> None:
        self.pen.ellipse(self.fine(*box), fill=fill)

    def polygon(self, points: Sequence[tuple[float, float]], fill: str) -> None:
        self.pen.polygon([tuple(self.fine(*point)) for point in points], fill=fill)

    def line(self, points: Sequence[tuple[float, float]], fill: str, width: float = 1) -> None:
        fine = [tuple(self.fine(*point)) for point in points]
        self.pen.line(fine, fill=fill, width=round(width * self.FINE), joint="curve")

    def shadow(self, box: Sequence[float], *, radius: float = 8, depth: float = 8) -> None:
        dark = Image.new("L", self.image.size)
        moved = [
            value + depth * self.FINE * (index % 2) for index, value in enumerate(self.fine(*box))
        ]
        ImageDraw.Draw(dark).rounded_rectangle(moved, radius * self.FINE, fill=150)
        dark = dark.filter(ImageFilter.GaussianBlur(depth * self.FINE))
        self.image.paste("black", (0, 0), dark)

    def write(
        self,
        parts: str | Sequence[str],
        x: float,
        y: float,
        size: float,
        fill: str,
        *,
        bold: float = 0,
        anchor: str = "l",
    ) -> list[Pixels]:
        """One line of text whose middle height is ``y``; gives each part's box in the picture."""
        parts = [parts] if isinstance(parts, str) else parts
        font = ImageFont.load_default(size * self.FINE)
        stroke = bold * self.FINE
        lengths = [self.pen.textlength(part, font=font) + 2 * stroke for part in parts]
        left = x * self.FINE - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * sum(lengths)
        boxes = []
        for part, length in zip(parts, lengths, strict=True):
            place = {"xy": (left, y * self.FINE), "text": part, "font": font, "anchor": "lm"}
            self.pen.text(**place, fill=fill, stroke_width=stroke, stroke_fill=fill)
            edges = self.pen.textbbox(**place, stroke_width=stroke)
            boxes.append(self._outward(edges))
            left += length
        return boxes

    def _outward(self, edges: Sequence[float]) -> Pixels:
        """Whole pixels of the picture, one to spare on each side as an annotator leaves."""
        left, top, right, bottom = edges
        return (
            math.floor(left / self.FINE) - 1,
            math.floor(top / self.FINE) - 1,
            math.ceil(right / self.FINE) + 1,
            math.ceil(bottom / self.FINE) + 1,
        )

    def finish(self) -> Image.Image:
        width, height = (side // self.FINE for side in self.image.size)
        return self.image.resize((width, height), Image.Resampling.LANCZOS)


def poster() -> tuple[Sheet, Boxes]:
    """A festival poster: rays behind a sun, hills, the bill in large letters."""
    sheet = Sheet(480, 600, "#3b1254", "#f0672f")
    for step in range(0, 360, 15):
        edge = [
            (240 + 700 * math.cos(math.radians(a)), 250 + 700 * math.sin(math.radians(a)))
            for a in (step, step + 7)
        ]
        sheet.polygon([(240, 250), *edge], "#7a2a5e" if step % 30 else "#93385a")
    sheet.ellipse((120, 130, 360, 370), "#ffcf5c")
    sheet.ellipse((136, 146, 344, 354), "#ffdf8b")
    sheet.polygon(
        [(0, 330), (110, 270), (230, 345), (350, 265), (480, 335), (480, 600), (0, 600)], "#2a0f3d"
    )
    sheet.ellipse((205, 258, 275, 330), "#3b1254")
    sheet.ellipse((213, 226, 267, 284), "#3b1254")
    sheet.rectangle((234, 150, 246, 250), "#3b1254", radius=2)
    sheet.polygon([(230, 126), (250, 126), (247, 156), (233, 156)], "#3b1254")
    sheet.ellipse((227, 250, 253, 276), "#ffdf8b")
    sheet.rectangle((224, 300, 256, 306), "#ffdf8b", radius=2)
    for x in (236.5, 240, 243.5):
        sheet.line([(x, 132), (x, 302)], "#b8864a", 0.5)
    title = sheet.write("WOODSTOCK", 240, 62, 66, "#fff3d6", bold=2, anchor="m")
    sheet.write("3 days of peace and music", 240, 112, 22, "#ffcf5c", anchor="m")
    hendrix = sheet.write("JIMI HENDRIX", 240, 404, 44, "#ffcf5c", bold=1, anchor="m")
    joplin = sheet.write("JANIS JOPLIN", 240, 456, 38, "#fff3d6", bold=1, anchor="m")
    who = sheet.write("THE WHO", 240, 506, 38, "#fff3d6", bold=1, anchor="m")
    sheet.line([(90, 540), (390, 540)], "#ffcf5c", 2)
    sheet.write("August 15 - 18, 1969", 240, 566, 24, "#ffcf5c", anchor="m")
    names = ("Woodstock", "Jimi Hendrix", "Janis Joplin", "The Who")
    return sheet, list(zip(names, title + hendrix + joplin + who, strict=True))


def slide() -> tuple[Sheet, Boxes]:
    """A slide on the wall of a dark hall, the first rows of heads before it."""
    sheet = Sheet(640, 440, "#23262e", "#0d0f13")
    sheet.shadow((60, 26, 580, 326), radius=2, depth=14)
    sheet.rectangle((60, 26, 580, 326), "#f7f8fa")
    sheet.rectangle((60, 26, 580, 36), "#2c6fbb")
    hopper = sheet.write("Grace Hopper", 92, 84, 50, "#16324f", bold=1)
    sheet.write("a life in three programs", 94, 126, 22, "#6b7785")
    rows: list[list[Pixels]] = []
    for y, parts in (
        (178, ["1934   PhD in mathematics at ", "Yale"]),
        (220, ["1952   the first compiler"]),
        (262, ["1959   the language ", "COBOL"]),
    ):
        sheet.ellipse((92, y - 4, 100, y + 4), "#2c6fbb")
        rows.append(sheet.write(parts, 114, y, 26, "#222a33"))
    sheet.line([(92, 292), (548, 292)], "#c9d0d8", 1)
    sheet.rectangle((492, 298, 510, 316), "#ffd23f", radius=5)
    sheet.rectangle((484, 306, 502, 322), "#2c6fbb", radius=5)
    pycon = sheet.write("PyCon", 418, 309, 22, "#16324f", bold=0.5)
    chance = random.Random(7)
    for row, (y, size) in enumerate(((408, 30), (446, 40))):
        for x in range(-10 + 34 * row, 660, 74 + 8 * row):
            shift, tilt = chance.randint(-7, 7), chance.randint(-8, 8)
            sheet.ellipse(
                (x + shift, y - size + tilt, x + shift + size, y + size * 0.3 + tilt), "#07080a"
            )
            sheet.ellipse(
                (
                    x + shift - size * 0.6,
                    y + size * 0.1 + tilt,
                    x + shift + size * 1.6,
                    y + size * 2 + tilt,
                ),
                "#07080a",
            )
    return sheet, [
        ("Grace Hopper", hopper[0]),
        ("Yale", rows[0][1]),
        ("COBOL", rows[2][1]),
        ("PyCon", pycon[0]),
    ]


def _shirt(sheet: Sheet, left: float, *, neck: str) -> None:
    """A striped shirt 240 wide, hanging; the neck is open at the front."""
    outline = [
        (70, 60),
        (98, 52),
        (142, 52),
        (170, 60),
        (240, 112),
        (214, 180),
        (198, 160),
        (200, 392),
        (40, 392),
        (42, 160),
        (26, 180),
        (0, 112),
    ]
    points = [(x + left, y + 14) for x, y in outline]
    shape = Image.new("L", sheet.image.size)
    ImageDraw.Draw(shape).polygon([tuple(sheet.fine(*point)) for point in points], fill=255)
    shape = shape.filter(ImageFilter.GaussianBlur(3)).point(lambda level: 255 if level > 127 else 0)
    soft = shape.filter(ImageFilter.GaussianBlur(14))
    sheet.image.paste("#1a1a1a", (12, 16), soft.point(lambda level: level // 2))
    cloth = Sheet(sheet.image.width // 2, sheet.image.height // 2, "#a50044", "#8c003a")
    for index in range(0, 9, 2):
        cloth.rectangle((left + 8 + index * 26, 0, left + 34 + index * 26, 450), "#004d98")
    cloth.rectangle((left + 40, 396, left + 200, 410), "#edbb00")
    shade = ImageChops.multiply(
        cloth.image, Image.merge("RGB", [soft.point(lambda level: 150 + level * 105 // 255)] * 3)
    )
    sheet.image.paste(shade, (0, 0), shape)
    depth = 34 if neck == "front" else 16
    sheet.pen.chord(
        sheet.fine(left + 94, 66 - depth, left + 146, 66 + depth), 0, 180, fill="#edbb00"
    )
    sheet.pen.chord(
        sheet.fine(left + 100, 66 - depth, left + 140, 66 + depth - 7), 0, 180, fill="#3a1526"
    )


def jersey() -> tuple[Sheet, Boxes]:
    """Two football shirts on a line: the front with the club, the back with the player."""
    sheet = Sheet(600, 450, "#dfe7ec", "#b9c6cf")
    for y in range(30, 450, 60):
        sheet.line([(0, y), (600, y)], "#cbd6dd", 1)
        for x in range((y // 60 % 2) * 60, 600, 120):
            sheet.line([(x, y), (x, y + 60)], "#cbd6dd", 1)
    sheet.line([(0, 50), (300, 58), (600, 50)], "#55606a", 3)
    for left, neck in ((36, "front"), (324, "back")):
        _shirt(sheet, left, neck=neck)
        for x in (left + 84, left + 150):
            sheet.rectangle((x, 46, x + 8, 78), "#c98f4e", radius=2)
    sheet.rectangle((100, 172, 212, 202), "#a50044", radius=4)
    club = sheet.write("BARCELONA", 156, 187, 18, "#ffe27a", bold=0.5, anchor="m")
    player = sheet.write("MESSI", 444, 152, 34, "#ffe27a", bold=1.5, anchor="m")
    sheet.write("10", 444, 246, 104, "#ffe27a", bold=4, anchor="m")
    return sheet, [("Messi", player[0]), ("Barcelona", club[0])]


def shop() -> tuple[Sheet, Boxes]:
    """A bookshop's front in the rain, its name on the board."""
    sheet = Sheet(600, 450, "#c9c4b8", "#9c9789")
    for y in range(0, 100, 22):
        for x in range(-20 + (y // 22 % 2) * 30, 600, 60):
            sheet.rectangle((x, y, x + 57, y + 19), "#b9b3a5", radius=2)
    sheet.rectangle((24, 84, 576, 396), "#1f4d3a")
    sheet.shadow((36, 94, 564, 158), radius=3, depth=5)
    sheet.rectangle((36, 94, 564, 158), "#f2d269", radius=3)
    sheet.rectangle((41, 99, 559, 153), "#f7dd83", radius=2)
    sign = sheet.write("SHAKESPEARE AND COMPANY", 300, 126, 33, "#22301f", bold=1, anchor="m")
    chance = random.Random(3)
    for left, right in ((44, 232), (368, 556)):
        sheet.rectangle((left, 176, right, 340), "#ffe9b0")
        for shelf in (228, 280, 332):
            x = left + 6
            while x < right - 14:
                thick, tall = chance.randint(6, 14), chance.randint(26, 40)
                colour = chance.choice(
                    ["#8c2f39", "#2d4a6b", "#3f6b4f", "#b5752f", "#5b3b66", "#d8c9a4"]
                )
                sheet.rectangle((x, shelf - tall, x + thick, shelf), colour, radius=1)
                x += thick + chance.choice([1, 1, 1, 7])
            sheet.rectangle((left, shelf, right, shelf + 5), "#6b4a2b")
        for x in (left, (left + right) // 2, right - 6):
            sheet.rectangle((x, 172, x + 6, 344), "#173b2c")
        sheet.rectangle((left - 8, 344, right + 8, 388), "#18402f", radius=2)
    sheet.rectangle((252, 176, 348, 396), "#173b2c")
    sheet.rectangle((264, 190, 336, 300), "#ffe9b0", radius=2)
    sheet.rectangle((264, 312, 336, 384), "#1f4d3a", radius=2)
    sheet.ellipse((330, 300, 340, 310), "#d8b24a")
    sheet.rectangle((276, 226, 324, 250), "#fffaf0", radius=3)
    sheet.write("open", 300, 237, 17, "#8c2f39", anchor="m")
    sheet.rectangle((0, 396, 600, 450), "#5d5f63")
    for x, colour in ((138, "#ffe9b0"), (300, "#c8ad74"), (462, "#ffe9b0")):
        for y in range(402, 446, 8):
            half = chance.randint(24, 62)
            sheet.line(
                [(x - half, y), (x + half, y)], "#7d786d" if colour != "#ffe9b0" else "#8f866f", 2
            )
    for _ in range(150):
        x, y, long = chance.randint(0, 610), chance.randint(-10, 440), chance.randint(8, 20)
        sheet.line([(x, y), (x - long * 0.25, y + long)], "#d6dde2", 0.5)
    return sheet, [("Shakespeare and Company", sign[0])]


def book() -> tuple[Sheet, Boxes]:
    """A paperback on a wooden table: a castle under lightning."""
    sheet = Sheet(600, 450, "#8a5a33", "#6e4526")
    chance = random.Random(5)
    for y in range(0, 450, 75):
        sheet.line([(0, y), (600, y)], "#4d2f18", 2)
        for _ in range(9):
            x, dy, long = chance.randint(-40, 600), chance.randint(8, 66), chance.randint(60, 200)
            sheet.line([(x, y + dy), (x + long, y + dy + chance.randint(-2, 2))], "#7c4f2b", 1)
    sheet.shadow((158, 22, 450, 432), radius=3, depth=12)
    sheet.rectangle((166, 26, 450, 430), "#ece3cf", radius=2)
    cover = Sheet(284, 404, "#101a33", "#3d5a73")
    cover.ellipse((150, 92, 232, 174), "#e9e4c9")
    cover.ellipse((40, 120, 180, 160), "#27405c")
    cover.ellipse((130, 138, 290, 176), "#2b4663")
    for points in (
        [(0, 404), (0, 318), (70, 296), (142, 274), (214, 300), (284, 316), (284, 404)],
        [
            (92, 296),
            (92, 214),
            (86, 214),
            (104, 178),
            (122, 214),
            (116, 214),
            (116, 240),
            (128, 240),
            (128, 196),
            (122, 196),
            (142, 152),
            (162, 196),
            (156, 196),
            (156, 240),
            (168, 240),
            (168, 222),
            (162, 222),
            (178, 190),
            (194, 222),
            (188, 222),
            (188, 300),
        ],
    ):
        cover.polygon(points, "#080d18")
    for x, y in ((101, 232), (139, 214), (139, 256), (175, 240), (112, 262), (164, 264)):
        cover.rectangle((x, y, x + 6, y + 11), "#ffd45e", radius=2)
    cover.line([(46, 104), (66, 142), (52, 146), (80, 190), (68, 193), (92, 236)], "#fff6c2", 3)
    sheet.image.paste(cover.image, (158 * Sheet.FINE, 22 * Sheet.FINE))
    sheet.rectangle((158, 22, 166, 426), "#0b1222")
    title = sheet.write("FRANKENSTEIN", 303, 74, 34, "#f4e9c8", bold=1, anchor="m")
    sheet.write("or, the modern Prometheus", 303, 104, 15, "#c9d3dc", anchor="m")
    author = sheet.write("MARY SHELLEY", 303, 394, 26, "#f4e9c8", bold=0.5, anchor="m")
    sheet.line([(500, 90), (520, 400)], "#d9b23c", 9)
    sheet.line([(499, 76), (500, 92)], "#d98a8a", 9)
    sheet.polygon([(515.5, 400), (524.5, 399), (521, 418)], "#e8d3a8")
    sheet.polygon([(519, 411), (523, 410.6), (521, 418)], "#222222")
    return sheet, [("Frankenstein", title[0]), ("Mary Shelley", author[0])]


def scoreboard() -> tuple[Sheet, Boxes]:
    """A stadium's board at the end of the match, the crowd below it."""
    sheet = Sheet(600, 450, "#0a1226", "#1c2d4f")
    chance = random.Random(11)
    for x in (70, 530):
        sheet.line([(x, 20), (x, 340)], "#3a4763", 6)
        for row in range(2):
            for column in range(4):
                sheet.ellipse(
                    (x - 44 + column * 23, 8 + row * 20, x - 26 + column * 23, 26 + row * 20),
                    "#fff9df",
                )
    sheet.rectangle((90, 56, 510, 312), "#2b3038", radius=8)
    sheet.rectangle((100, 66, 500, 302), "#07090c", radius=4)
    ground = sheet.write("ANFIELD", 300, 92, 27, "#7fd4ff", bold=0.5, anchor="m")
    sheet.line([(118, 116), (482, 116)], "#2c3440", 2)
    home = sheet.write("LIVERPOOL", 122, 154, 42, "#ffb52e", bold=1)
    sheet.write("4", 470, 154, 50, "#ff5a3c", bold=1.5, anchor="r")
    away = sheet.write("BARCELONA", 122, 214, 42, "#ffb52e", bold=1)
    sheet.write("0", 470, 214, 50, "#ff5a3c", bold=1.5, anchor="r")
    sheet.line([(118, 250), (482, 250)], "#2c3440", 2)
    sheet.write("90:00", 300, 276, 32, "#67e08a", bold=0.5, anchor="m")
    sheet.rectangle((180, 312, 196, 350), "#2b3038")
    sheet.rectangle((404, 312, 420, 350), "#2b3038")
    for row in range(8):
        y, size = 344 + row * 14, 5 + row
        x = float(-chance.randint(0, 10))
        while x < 610:
            coat = chance.choice(["#a3121f", "#c8102e", "#7d0f19", "#2a2f3b", "#d9d4cb"])
            sheet.ellipse((x - size, y + size, x + 2 * size, y + 5 * size), coat)
            sheet.ellipse(
                (x, y, x + size, y + size * 1.2), chance.choice(["#e0b08c", "#b98560", "#8a5a3c"])
            )
            x += size * 2.2 + chance.randint(0, 5)
    return sheet, [("Liverpool", home[0]), ("Barcelona", away[0]), ("Anfield", ground[0])]


def _column(
    sheet: Sheet, left: float, right: float, top: float, bottom: float, chance: random.Random
) -> None:
    y = top
    while y < bottom:
        end = right if chance.random() > 0.14 else left + (right - left) * chance.uniform(0.3, 0.8)
        x = left
        while x < end:
            word = min(chance.uniform(5, 20), end - x)
            sheet.rectangle((x, y, x + word, y + 2.5), "#8d8674")
            x += word + 3
        y += 7


def newspaper() -> tuple[Sheet, Boxes]:
    """A yellowed front page about the landing on the Moon."""
    sheet = Sheet(480, 600, "#5a4a3c", "#3f332a")
    sheet.shadow((22, 18, 458, 586), radius=1, depth=8)
    sheet.rectangle((22, 18, 458, 586), "#efe6cd")
    ink = "#2a2620"
    sheet.write("The Morning Paper", 240, 48, 34, ink, bold=0.5, anchor="m")
    for y in (72, 92):
        sheet.line([(38, y), (442, y)], ink, 1)
    sheet.write("Monday, July 21, 1969", 240, 82, 12, ink, anchor="m")
    first = sheet.write("APOLLO 11", 240, 132, 66, ink, bold=2, anchor="m")
    sheet.write("two men walk on another world", 240, 178, 22, ink, anchor="m")
    sheet.rectangle((132, 200, 348, 394), "#16161a")
    chance = random.Random(2)
    for _ in range(50):
        x, y = chance.uniform(134, 346), chance.uniform(202, 330)
        sheet.ellipse((x, y, x + 1.4, y + 1.4), "#cfcabb")
    sheet.polygon(
        [(132, 350), (190, 338), (270, 344), (348, 332), (348, 394), (132, 394)], "#a8a396"
    )
    for x, y, size in (
        (150, 366, 18),
        (200, 378, 26),
        (300, 372, 22),
        (262, 356, 12),
        (330, 350, 10),
    ):
        sheet.ellipse((x, y, x + size, y + size * 0.4), "#8d887b")
    sheet.polygon(
        [(212, 276), (224, 262), (258, 262), (270, 276), (270, 298), (212, 298)], "#d8d3c4"
    )
    sheet.rectangle((204, 298, 278, 322), "#b8a25e", radius=2)
    sheet.rectangle((228, 270, 240, 282), "#3a3a40", radius=2)
    for foot, knee in ((186, 206), (296, 276)):
        sheet.line([(knee, 304), (foot, 346)], "#d8d3c4", 3)
        sheet.rectangle((foot - 9, 345, foot + 9, 349), "#d8d3c4", radius=2)
    sheet.line([(241, 322), (241, 342)], "#d8d3c4", 4)
    second = sheet.write(["The lander of ", "Apollo 11"], 240, 406, 15, ink, anchor="m")
    _column(sheet, 38, 122, 204, 572, chance)
    _column(sheet, 358, 442, 204, 572, chance)
    armstrong = sheet.write("NEIL ARMSTRONG", 240, 440, 23, ink, bold=0.5, anchor="m")
    sheet.write("and", 240, 462, 14, ink, anchor="m")
    aldrin = sheet.write("BUZZ ALDRIN", 240, 484, 23, ink, bold=0.5, anchor="m")
    _column(sheet, 132, 234, 508, 572, chance)
    _column(sheet, 246, 348, 508, 572, chance)
    return sheet, [
        ("Neil Armstrong", armstrong[0]),
        ("Buzz Aldrin", aldrin[0]),
        ("Apollo 11", first[0]),
        ("Apollo 11", second[1]),
    ]


DRAWINGS: dict[str, Callable[[], tuple[Sheet, Boxes]]] = {
    "qs06-poster": poster,
    "qs07-slide": slide,
    "qs08-jersey": jersey,
    "qs09-bookshop": shop,
    "qs10-book": book,
    "qs11-scoreboard": scoreboard,
    "qs12-newspaper": newspaper,
}


def write_voc(path: Path, size: tuple[int, int], boxes: Boxes) -> None:
    """A Pascal VOC file as Twitter-GMNER has them: one object a box, named by the entity's text."""
    root = ElementTree.Element("annotation")

    def add(parent: ElementTree.Element, name: str, text: object = None) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, name)
        child.text = None if text is None else str(text)
        return child

    add(root, "folder", "images")
    add(root, "filename", f"{path.stem}.jpg")
    add(root, "path", f"images/{path.stem}.jpg")
    add(add(root, "source"), "database", "riveg quickstart")
    sides = add(root, "size")
    for name, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
        add(sides, name, value)
    add(root, "segmented", 0)
    for entity, box in boxes:
        item = add(root, "object")
        for name, value in (
            ("name", entity),
            ("pose", "Unspecified"),
            ("truncated", 0),
            ("difficult", 0),
        ):
            add(item, name, value)
        corners = add(item, "bndbox")
        for name, edge in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            add(corners, name, edge)
    ElementTree.indent(root, "\t")
    path.write_text(ElementTree.tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Writes ``images/`` of the drawn posts and ``xml/`` of all into ``folder``."""
    for name in ("images", "xml"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for post, boxes in PHOTO_BOXES.items():
        with Image.open(HERE / "images" / f"{post}.jpg") as photo:
            write_voc(folder / "xml" / f"{post}.xml", photo.size, boxes)
    for post, draw in DRAWINGS.items():
        sheet, boxes = draw()
        picture = sheet.finish()
        picture.save(folder / "images" / f"{post}.jpg", quality=88)
        write_voc(folder / "xml" / f"{post}.xml", picture.size, boxes)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
