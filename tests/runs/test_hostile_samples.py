"""Broken and hostile samples through the command line, in real processes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT
from helpers.samples_on_the_fly import (
    ASTRONAUT,
    BadSample,
    bad_images,
    bad_lines,
    blur,
    plain_sample,
    write_samples,
    write_system,
)

from riveg import load_system
from riveg.errors import UserError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def riveg(*arguments: str | Path | bytes) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "riveg", *arguments],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err
    for character in out + err:
        # Whatever could steer a terminal; joiners only join what stands beside them.
        assert character in "\n\u200c\u200d" or character.isprintable(), (character, out, err)
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def made(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Stage -> samples made now, from the table that a run prints."""
    lines = done.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("stage "))
    cells = (line.split() for line in lines[start + 1 : start + 7])
    return {stage: int(number) for stage, _, number, *_ in cells}


class BadData:
    """160 good samples and 40 bad ones among them, each bad in its own way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.good = [plain_sample(folder, number) for number in range(160)]
        # Lines that are no sample get an id from their number: here 5, 10, 15, ...
        self.bad = [
            replace(bad, id=bad.id.format(5 * number))
            for number, bad in enumerate([*bad_images(folder), *bad_lines()], start=1)
        ]
        self.path = folder / "posts.jsonl"

    def write(self, bad_lines: Sequence[bytes]) -> None:
        lines = []
        for number, line in enumerate(bad_lines):
            lines += [
                json.dumps(sample).encode() for sample in self.good[4 * number : 4 * number + 4]
            ]
            lines.append(line)
        self.path.write_bytes(b"\n".join(lines))


MENDED_IMAGES = (
    "gone.jpg",
    "cut.jpg",
    "cut.png",
    "bomb.png",
    "text.jpg",
    "flat.png",
    "empty.jpg",
    "link-out.jpg",
)


def assert_reasons(out: Path, bad: Sequence[BadSample]) -> None:
    failed = rows(out / "failed.jsonl")
    assert [row["id"] for row in failed] == [sample.id for sample in bad]
    for row, sample in zip(failed, bad, strict=True):
        assert [issue["kind"] for issue in row["issues"]] == [sample.kind], row
        assert sample.word in row["issues"][0]["message"]


@pytest.mark.slow
def test_40_bad_samples_of_200_have_their_reasons_and_mended_ones_are_made_anew(
    tmp_path: Path,
) -> None:
    data = BadData(tmp_path / "data")
    assert len(data.bad) == 40
    data.write([bad.line for bad in data.bad])
    out = tmp_path / "run"
    system = write_system(tmp_path / "system.yaml")
    command = ("run", system, "--data", data.path, "--out")

    done = riveg(*command, out)
    assert done.returncode == 1, done.stderr
    assert "issues    40 samples (20.0 %)" in done.stdout
    assert riveg(*command, out, "--max-error-rate", "0.25").returncode == 0
    assert riveg(*command, out, "--max-error-rate", "0.1").returncode == 1
    assert_reasons(out, data.bad)
    before = {json.loads(line)["id"]: line for line in lines_of(out)}
    answered = [row for row in map(json.loads, before.values()) if "issues" not in row]
    assert [row["id"] for row in answered] == [sample["id"] for sample in data.good]
    assert all(row["entities"][0]["regions"] is not None for row in answered)

    for name in MENDED_IMAGES:
        (data.folder / name).unlink(missing_ok=True)
        blur(80, 80).save(data.folder / name)
    data.write([bad.mended or bad.line for bad in data.bad])
    rest = [
        bad
        for bad in data.bad
        if not bad.mended and bad.id.removeprefix("bad ") not in MENDED_IMAGES
    ]
    assert len(rest) == 30
    done = riveg(*command, out, "--retry-failed")
    assert done.returncode == 1
    assert_reasons(out, rest)
    # Two lines have changed, and the 22 images that failed have been looked at again.
    assert made(done)["tag"] == made(done)["rewrite"] == 2
    assert made(done)["observe"] == 22 + 2
    assert made(done)["entail"] == made(done)["segment"] == 8 + 2
    after = {json.loads(line)["id"]: line for line in lines_of(out)}
    for sample in (*data.good, *({"id": bad.id} for bad in rest)):
        assert after[sample["id"]] == before[sample["id"]]

    assert riveg(*command, tmp_path / "fresh").returncode == 1
    for path in sorted((tmp_path / "fresh").rglob("*.jsonl")):
        assert path.read_bytes() == (out / path.relative_to(tmp_path / "fresh")).read_bytes()


def lines_of(out: Path) -> list[bytes]:
    return (out / "records.jsonl").read_bytes().splitlines()


TEXTS = {
    "template": "{{ 7*7 }} Eileen Collins {% raw %} {{ config }} {# no #}",
    "statement": "{% for x in ().__class__.__mro__ %} NASA {% endfor %}",
    "script": "<script>alert('Paris')</script> & <img src=x onerror=alert(1)>",
    "path": "../../etc/passwd of Paris",
    "nul": "Eileen\0Collins in\0Paris",
    "right-to-left": "\u202eNASA\u202c مرحبا من باريس שלום Paris \u2067x\u2069",
    "emoji": "Paris 👩🏽‍🚀🇫🇷 Eileen Collins ❤️",
    "zero-width": "Pa\u200bris \ufeffEileen\u200d Collins\u2060",
    "colour": "\x1b[31mEileen Collins\x1b[0m \x1b]0;title\x07 \x9b31m NASA \x08\x7f",
    "formula": "=cmd|'/C calc'!A0 @SUM(1+1) +Paris -NASA",
    "markup": "[bold]Eileen Collins[/bold] [/x] [link=http://x]NASA[/link]",
    "lines": "Eileen Collins\r\nin Paris\rand\u2028NASA\u0085",
    "quotes": 'Paris ","image":"x.jpg"} "issues":[ \\" \\u0000',
    "long": "Eileen Collins " + "x" * 1_000_000,
}

IDS = (
    "../../x",
    "/etc/passwd",
    "a\nb",
    "a b",
    "a/b",
    "a\0b",
    "a:b?*",
    "..",
    "\x1b[31mred",
    "[/red]",
    "𝐀" * 200,
    "{{ 7*7 }}",
    "<script>",
    "=cmd()",
)


def hostile_samples(folder: Path) -> list[Mapping[str, str]]:
    samples: list[Mapping[str, str]] = []
    for number, (id, text) in enumerate(zip(IDS, TEXTS.values(), strict=True)):
        name = f"{number} [x] ;$(id) é\n.png"
        blur(40 + number, 40).save(folder / name)
        samples.append({"id": id, "text": text, "image": name})
    return samples


def write_csv(path: Path, samples: Sequence[Mapping[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["id", "text", "image"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(samples)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_hostile_text_and_names_come_back_unchanged_and_do_nothing(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    samples = hostile_samples(folder)
    write = write_samples if kind == "jsonl" else write_csv
    data = write(folder / f"\x1b[31m[-x].{kind}", samples)
    out = tmp_path / "[/run] \x1b[31m"
    out.parent.mkdir()
    before = everything(tmp_path)
    done = riveg("run", "quickstart", "--data", data, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    records = rows(out / "records.jsonl")
    assert [(row["id"], row["text"]) for row in records] == [
        (sample["id"], sample["text"]) for sample in samples
    ]
    for row in records:
        cut = [row["text"][start:end] for start, end in row["offsets"]]
        assert cut == row["tokens"]
    expressions = [e["expression"] for e in records[0]["entities"]]
    assert any("Eileen Collins" in expression for expression in expressions)
    assert "49" not in "".join(expressions)
    drawn = list((out / "overlays").iterdir())
    assert len(drawn) == len(samples)
    assert {path for path in everything(tmp_path) - before if not path.is_relative_to(out)} == set()
    for id in ("../../x", "\x1b[31mred"):
        shown = riveg("show", "run", out, "--id", id)
        assert shown.returncode == 0, shown.stderr


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", TEXTS)
def test_predict_gives_hostile_text_back(name: str) -> None:
    sample = SYSTEM.predict(text=TEXTS[name])
    assert sample.text == TEXTS[name]
    assert not sample.issues


SYSTEM = load_system("quickstart")


@pytest.mark.slow
def test_predict_prints_hostile_text_harmlessly(tmp_path: Path) -> None:
    text = " ".join(value.replace("\0", "") for name, value in TEXTS.items() if name != "long")
    image = tmp_path / "[x] \x1b[31m.jpg"
    image.write_bytes(ASTRONAUT.read_bytes())
    out = tmp_path / "[/out] \x1b[31m"
    done = riveg("predict", "--text", text, "--image", image, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Eileen Collins" in done.stdout
    record = json.loads((out / "record.json").read_bytes())
    assert (record["text"], record["image"]["path"]) == (text, image.name)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--text", "--caption", "--image"])
def test_an_argument_that_is_not_unicode_is_one_line(tmp_path: Path, option: str) -> None:
    values = {"--text": b"Eileen Collins", option: os.fsencode(tmp_path / "x") + b"\xff.jpg"}
    Path(os.fsdecode(values[option])).write_bytes(ASTRONAUT.read_bytes())
    done = riveg("predict", *(item for pair in values.items() for item in pair))
    assert done.returncode == 2
    assert f"{option[2:]}: not valid Unicode" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(UserError, match="text: not valid Unicode at character 2 of"):
        SYSTEM.predict(text="a \ud800")


def test_a_mistake_does_not_print_control_characters(tmp_path: Path) -> None:
    done = riveg("run", "quickstart", "--data", tmp_path / "\x1b[31mgone.jsonl")
    assert done.returncode == 2
    assert r"\x1b[31mgone.jsonl: no such file" in done.stderr
