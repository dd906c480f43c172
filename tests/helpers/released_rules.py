"""The rules of released scorers, written down once more, step by step, as slowly as they read.

Nothing of the package is used: a test lets both count the same cases.
"""

from __future__ import annotations

import json
import math
import re
from itertools import permutations
from typing import Any

Numbers = tuple[int, int, int]
"""Hits, predicted, gold."""
Corners = tuple[float, float, float, float]
Triple = tuple[str, str, Any]
"""Name, type, region: ``None``, a list of corners, or ``"invalid"``."""


def overlap(one: Corners, other: Corners) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = wide * high if wide > 0 and high > 0 else 0.0
    areas = [max(0.0, c[2] - c[0]) * max(0.0, c[3] - c[1]) for c in (one, other)]
    union = areas[0] + areas[1] - shared
    return shared / union if union > 0 else 0.0


# E2E-GMNER


def e2e_answer(generated: str) -> str:
    lower = generated.lower()
    begin = lower.find("<answer>")
    end = lower.find("</answer>", begin + 8) if begin >= 0 else -1
    if end >= 0:
        return generated[begin + 8 : end]
    thought = lower.find("</think>")
    return generated[thought + 8 :] if thought >= 0 else generated


def e2e_triples(answer: str) -> list[Triple]:
    triples: list[Triple] = []
    for bar in "\uff5c\u2502\u4e28\uffe8\u2223":
        answer = answer.replace(bar, "|")
    for end in "\uff1b\n":
        answer = answer.replace(end, ";")
    for piece in answer.split(";"):
        parts = []
        for part in piece.split("|"):
            if part.strip() != "":
                parts.append(part.strip())
        if len(parts) < 3:
            continue
        triples.append(("|".join(parts[:-2]), parts[-2], e2e_region(parts[-1])))
    return triples


def e2e_region(text: str) -> Any:
    if text.lower() in ("none", "n/a"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, list) and len(value) == 4 and all(is_number(v) for v in value):
        return [tuple(value)]
    if isinstance(value, list) and value and all(isinstance(box, list) for box in value):
        fours = [box for box in value if len(box) == 4 and all(map(is_number, box))]
        if len(fours) == len(value):
            return [tuple(box) for box in fours]
    numbers = [float(found) for found in re.findall(r"[-+]?\d*\.?\d+", text)]
    if not numbers or len(numbers) % 4 != 0:
        return "invalid"
    return [tuple(numbers[at : at + 4]) for at in range(0, len(numbers), 4)]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def e2e_region_is_right(said: Any, gold: Any) -> bool:
    if said == "invalid" or gold == "invalid":
        return False
    if said is None or gold is None:
        return said is None and gold is None
    return max(overlap(one, other) for one in said for other in gold) >= 0.5


def e2e_resized(width: int, height: int) -> tuple[int, int]:
    """The sides of the model's input."""
    least, most = 256 * 28 * 28, 1024 * 28 * 28
    w, h = max(28, round(width / 28) * 28), max(28, round(height / 28) * 28)
    if w * h > most:
        shrink = math.sqrt(width * height / most)
        w = max(28, math.floor(width / shrink / 28) * 28)
        h = max(28, math.floor(height / shrink / 28) * 28)
    elif w * h < least:
        grow = math.sqrt(least / (width * height))
        w, h = math.ceil(width * grow / 28) * 28, math.ceil(height * grow / 28) * 28
    return w, h


def e2e_gold_text(gold: list[tuple[str, str, list[Corners]]], width: int, height: int) -> str:
    """The gold as its files hold it, in whole pixels of the model's input."""
    w, h = e2e_resized(width, height)
    written = []
    for name, label, boxes in gold:
        scaled = []
        for x1, y1, x2, y2 in boxes:
            xs = [min(max(round(x * w / width), 0), w) for x in (x1, x2)]
            ys = [min(max(round(y * h / height), 0), h) for y in (y1, y2)]
            scaled.append([xs[0], ys[0], xs[1], ys[1]])
        region = "None" if not boxes else json.dumps(scaled[0] if len(scaled) == 1 else scaled)
        written.append(f"{name}|{label}|{region}")
    return "; ".join(written) if written else "None"


def e2e_counts(
    generated: str, gold: list[tuple[str, str, list[Corners]]], width: int, height: int
) -> dict[str, Numbers]:
    nothing = {"mner": (0, 0, 0), "eeg": (0, 0, 0), "gmner": (0, 0, 0)}
    if gold and (min(width, height) < 28 or max(width, height) / min(width, height) > 200):
        return nothing
    wanted = e2e_triples(e2e_gold_text(gold, width, height))
    if gold and not wanted:
        return nothing
    said = e2e_triples(e2e_answer(generated))
    free = [(name, label) for name, label, _ in wanted]
    mner = 0
    for name, label, _ in said:
        if (name, label) in free:
            free.remove((name, label))
            mner += 1
    hits = {
        "mner": mner,
        "eeg": most_pairs(said, wanted, typed=False),
        "gmner": most_pairs(said, wanted, typed=True),
    }
    return {metric: (hit, len(said), len(wanted)) for metric, hit in hits.items()}


def most_pairs(said: list[Triple], wanted: list[Triple], *, typed: bool) -> int:
    def fits(one: Triple, other: Triple) -> bool:
        if one[0] != other[0] or (typed and one[1] != other[1]):
            return False
        return e2e_region_is_right(one[2], other[2])

    table = [[fits(one, other) for other in wanted] for one in said]
    if len(said) > len(wanted):
        table = [list(column) for column in zip(*table, strict=True)] if wanted else []
    if not table:
        return 0
    return max(
        sum(row[place] for row, place in zip(table, order, strict=True))
        for order in permutations(range(len(table[0])), len(table))
    )


# TIGER


def tiger_read(line: str) -> list[tuple[str, str, bool]]:
    """What can be read of a line: words, fine type, in the image or not."""
    found = []
    for sentence in line.split("[SSEP]"):
        parts = sentence.strip().split(", which")
        if len(parts) != 2:
            continue
        kinds = parts[0].split(" is a ")
        if len(kinds) != 2:
            continue
        types = kinds[1].split(" and a ")
        if len(types) != 2:
            continue
        if parts[1].strip() in "is in the image":
            shown = True
        elif parts[1].strip() in "is not in the image":
            shown = False
        else:
            continue
        found.append((kinds[0].strip(), types[1].strip(), shown))
    return found


TigerSaid = tuple[str, str, bool, int | None]
"""Words, type, in the image or not, index of a candidate."""
TigerGold = tuple[str, str, list[Corners]]


def tiger_accepts(boxes: list[Corners], candidates: list[Corners | None]) -> list[int]:
    best = []
    for candidate in candidates[:32]:
        best.append(
            0.0 if candidate is None else max((overlap(candidate, box) for box in boxes), default=0)
        )
    if not boxes or not best or max(best) < 0.5:
        return []
    passing = [number for number, iou in enumerate(best) if iou > 0.5]
    # 0 / 0 for every candidate, which is not zero.
    return passing or list(range(len(best)))


def tiger_counts(
    said: list[TigerSaid], gold: list[TigerGold], candidates: list[Corners | None]
) -> dict[str, Numbers]:
    predicted: dict[str, tuple[str, bool, int | None]] = {}
    for words, label, shown, index in said:
        tail = "is in the image" if shown else "is not in the image"
        line = f"{words} is a coarse and a {label}, which {tail}"
        for name, kind, flag in tiger_read(line):
            predicted[f"{name} {kind} {flag}"] = (name, flag, index)
    wanted: dict[str, tuple[str, list[int]]] = {}
    for words, label, boxes in gold:
        wanted[f"{words} {label} {bool(boxes)}"] = (words, tiger_accepts(boxes, candidates))

    gmner = 0
    for key, (_, _, index) in predicted.items():
        if key in wanted and (" False" in key or index in wanted[key][1]):
            gmner += 1

    eeg = 0
    for name, flag, index in predicted.values():
        for key, (words, accepted) in wanted.items():
            if words == name and str(flag) in key and (not flag or index in accepted):
                eeg += 1
                break

    def bare(key: str) -> str:
        return key.replace(" True", "").replace(" False", "")

    said_kinds, gold_kinds = {bare(key) for key in predicted}, {bare(key) for key in wanted}
    sizes = len(predicted), len(wanted)
    placeholder = 1 if not predicted else 0
    return {
        "mner": (len(said_kinds & gold_kinds), len(said_kinds), len(gold_kinds)),
        "eeg": (eeg, *sizes),
        "gmner": (gmner, *sizes),
        "in-loop": (gmner, sizes[0] + placeholder, sizes[1] - placeholder),
    }


# UnCo and SAKE

SysuRow = tuple[Any, str, Corners | None]
"""What a row is known by, its type, its box."""


def sysu_counts(said: list[SysuRow], gold: list[SysuRow]) -> dict[str, Numbers]:
    def kinds(rows: list[SysuRow]) -> set[Any]:
        return {(key, label) for key, label, _ in rows}

    mner = len(kinds(said) & kinds(gold)), len(kinds(said)), len(kinds(gold))
    if not said or not gold:
        return {"mner": mner, "eeg": (0, 0, 0), "gmner": (0, 0, 0)}
    numbers: list[int] = []
    for _, _, box in gold:
        numbers.append(-1 if box is None else max([0, *(n + 1 for n in numbers)]))
    counts = {"mner": mner}
    for metric in ("eeg", "gmner"):
        typed = metric == "gmner"
        wanted = {
            (key, label if typed else "", number)
            for (key, label, _), number in zip(gold, numbers, strict=True)
        }
        found = set()
        for key, label, box in said:
            number = -1
            if box is not None:
                number = -100
                for (other, _, gold_box), own in zip(gold, numbers, strict=True):
                    if other == key and gold_box is not None and overlap(box, gold_box) >= 0.5:
                        number = own
                        break
            found.add((key, label if typed else "", number))
        names = {(key, label) for key, label, _ in wanted}
        extra = sum(1 for key, label, n in found if n == -100 and (key, label) in names)
        counts[metric] = (len(found & wanted), len(found) + extra, len(wanted))
    return counts
