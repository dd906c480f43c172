"""Made-up posts of the shape of SYSU's gold: the same numbers of rows, repeats and absent entities.

1500 posts, 82 of them without an entity, 2543 entities. 46 are not in the gold file (24 of them
groundable), which holds the others in 2703 rows: one a box, or one without a box. Within a post 14
entities are repeated. The posts with an even number hold 1224 of the distinct entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Corners = list[int]

APART = [[0, 0, 100, 100], [200, 0, 300, 100]]
CLOSE = [[0, 0, 100, 100], [0, 0, 100, 90]]
"""Two boxes of one entity which are the same place at an IoU of 0.5."""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity of the full gold; ``listed``: whether SYSU's file has it."""

    start: int
    text: str
    label: str
    boxes: list[Corners]
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Post:
    id: str
    tokens: list[str]
    entities: list[Entity]


@dataclass(frozen=True, slots=True)
class _Half:
    """How many distinct entities of each kind half of the posts hold.

    ``repeated`` are said once more, ``far`` and ``close`` have a second box.
    """

    ungroundable: int
    groundable: int
    repeated_ungroundable: int
    repeated_groundable: int
    far: int
    close: int
    absent_ungroundable: int
    absent_groundable: int


EVEN = _Half(710, 492, 3, 5, 119, 4, 10, 12)
ODD = _Half(760, 521, 2, 4, 81, 2, 12, 12)
POSTS, WITHOUT = 1500, 82
LABELS = ("PER", "LOC", "ORG", "MISC")


def sysu_posts() -> list[Post]:
    places: list[list[list[Entity]]] = [_places(half) for half in (EVEN, ODD)]
    posts = []
    for number in range(POSTS):
        nth, half = divmod(number, 2)
        found = places[half][nth] if nth < len(places[half]) else []
        named = [entity.text for entity in found]
        placed = [
            Entity(at, one.text, one.label, one.boxes, one.listed) for at, one in enumerate(found)
        ]
        posts.append(Post(f"17_{number:04}", [*named, "rain"], placed))
    return posts


def _places(half: _Half) -> list[list[Entity]]:
    """The entities of each of half of the posts that have some."""
    found: list[list[Entity]] = [[] for _ in range((POSTS - WITHOUT) // 2)]
    for number, group in enumerate(_entities(half)):
        found[number % len(found)] += group
    return found


def _entities(half: _Half) -> list[list[Entity]]:
    """Entities that stand in one post together: one, or one and its repeat."""
    second = half.far + half.close
    groups = []
    for number in range(half.ungroundable):
        groups.append(_said(number, [], 1 + (number < half.repeated_ungroundable)))
    for number in range(half.groundable):
        boxes = APART if number < half.far else CLOSE if number < second else APART[:1]
        repeat = second <= number < second + half.repeated_groundable
        groups.append(_said(half.ungroundable + number, boxes, 1 + repeat))
    for number in range(half.absent_ungroundable + half.absent_groundable):
        boxes = [] if number < half.absent_ungroundable else APART
        groups.append(_said(9000 + number, boxes, 1, listed=False))
    return groups


def _said(number: int, boxes: list[Corners], often: int, *, listed: bool = True) -> list[Entity]:
    entity = Entity(0, f"N{number}", LABELS[number % 4], boxes, listed)
    return [entity] * often


def gold_json(posts: Sequence[Post]) -> list[dict[str, Any]]:
    """SYSU's gold file: a row for each box."""
    return [
        {
            "tokens": post.tokens,
            "img_id": f"{post.id}.jpg",
            "gt_entities": [
                {
                    "start": entity.start,
                    "end": entity.start + 1,
                    "entity_type": entity.label,
                    "phrase": entity.text,
                    "region_box": box or None,
                }
                for entity in post.entities
                if entity.listed
                for box in entity.boxes or [[]]
            ],
        }
        for post in posts
    ]
