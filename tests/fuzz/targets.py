"""What is damaged, and which commands then meet it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fuzz.material import DATA, SAMPLES
from fuzz.stage_answers import ANSWERS

from riveg.exports.registry import FORMATS

SHORT = "@systems/short.yaml"
"""A system without stages that look at pictures."""

_GOLD = ("--gold", f"@{DATA}", "--resamples", "10")


@dataclass(frozen=True, slots=True)
class Target:
    """Files that are damaged, and commands that read them.

    Args:
        folders: Folders of the material that an example has a copy of.
        damaged: Patterns of the files that may be damaged.
        commands: What is run in the copy's folder; ``@`` begins a path in the whole material,
            ``module:name`` calls a function.
        is_signed: Whether the manifest then has the digest of the damaged records, as if the run
            had written them.
        is_configuration: Whether errors may be of several lines: all that is wrong with a system.
    """

    folders: tuple[str, ...]
    damaged: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    is_configuration: bool = False
    is_signed: bool = False


_RUN_FILES = ("run/*.json", "run/*.jsonl", "run/config.yaml")

_READS_RUN = (
    ("eval", "run", *_GOLD, "--json", "-"),
    ("eval", "run", *_GOLD, "--protocol", "all", "--budget", "--average-precision"),
    ("eval", "run", *_GOLD, "--why", SAMPLES[0]),
    ("compare", "run", "@run", *_GOLD),
    ("report", "run", "--gold", f"@{DATA}", "--out", "page.html"),
    ("show", "run", "run"),
    ("show", "run", "run", "--id", SAMPLES[0]),
    ("show", "run", "run", "--id", SAMPLES[0], "--image", "drawn.png"),
    *(("export", "run", "--format", name, "--out", "out") for name in FORMATS),
)

_KEPT = ("--answers", "systems/answers.sqlite")

_TABLES = ("posts.jsonl", "list.json", "posts.csv", "posts.tsv", "packed.csv.gz")

_BINARY_TABLES = ("posts.parquet", "pictures.parquet", "saved", "sake.yaml")


def _of_table(name: str) -> tuple[tuple[str, ...], ...]:
    path = f"tables/{name}"
    return (
        ("data", "check", path),
        ("data", "convert", path, "--out", "new.jsonl"),
        ("data", "convert", path, "--out", "new.parquet"),
        ("run", SHORT, "--data", path, "--until", "tag", "--out", "out"),
    )


def _scored(path: str, *words: str) -> tuple[str, ...]:
    return ("eval", f"predictions/{path}", *_GOLD, *words, "--json", "-")


def _masked(path: str, *words: str) -> tuple[str, ...]:
    taken = ("--from", f"predictions/{path}", *words, "--until", "extract", "--out", "out")
    return ("run", "masks", "--data", f"@{DATA}", *taken)


_PREDICT = ("predict", "--text", "Ann met Bob in Paris", "--image")
_SHORT_PREDICT = ("predict", "--system", SHORT, "--out", "out", *_PREDICT[1:])

TARGETS: Mapping[str, Target] = {
    "run": Target(("run",), (*_RUN_FILES, "run/*-*/part-*.jsonl"), _READS_RUN),
    "records": Target(("run",), ("run/records.jsonl",), _READS_RUN, is_signed=True),
    "resume": Target(
        ("short-run",),
        ("short-run/*.json", "short-run/*.jsonl", "short-run/*.yaml", "short-run/*-*/part-*.jsonl"),
        (("run", SHORT, "--data", f"@{DATA}", "--out", "short-run"),),
    ),
    "predictions": Target(
        ("predictions",),
        ("predictions/*.*", "predictions/smner/*", "predictions/smner/samples/*"),
        (
            *map(_scored, ("records.jsonl", "smner", "tags.conll", "e2e.jsonl", "tiger.txt")),
            _scored("riveg.txt", "--boxes", "predictions/boxes.json"),
            ("compare", "predictions/records.jsonl", "@run", *_GOLD),
        ),
    ),
    "masks": Target(
        ("predictions",),
        ("predictions/*.*",),
        (
            *map(_masked, ("records.jsonl", "e2e.jsonl", "tiger.txt")),
            _masked("riveg.txt", "--boxes", "predictions/boxes.json"),
        ),
    ),
    "scores": Target(
        ("predictions",),
        ("predictions/records.jsonl",),
        (_scored("records.jsonl"),),
    ),
    "rewards": Target(
        ("predictions",),
        ("predictions/rollouts.jsonl",),
        (("rewards", "check", "predictions/rollouts.jsonl"),),
    ),
    "gold": Target(
        ("data",),
        ("data/txt/*",),
        (("eval", "@run", "--gold", DATA, "--resamples", "10", "--json", "-"),),
    ),
    "proposals": Target(
        ("proposals",),
        ("proposals/*",),
        (("eval", "@run", *_GOLD, "--proposals", "proposals", "--protocol", "all"),),
    ),
    "tables": Target(
        ("tables",),
        ("tables/*.*",),
        tuple(command for name in _TABLES for command in _of_table(name)),
    ),
    "binary-tables": Target(
        ("tables",),
        ("tables/*.parquet", "tables/saved/*"),
        tuple(command for name in _BINARY_TABLES for command in _of_table(name)),
    ),
    "datasets": Target(
        ("data", "masked"),
        ("*/txt/*", "*/xml/*", "*/captions.txt", "*/json/*", "*/*.yaml"),
        (
            ("data", "check", DATA),
            ("data", "check", "masked/masked.yaml"),
            ("data", "convert", DATA, "--out", "new.jsonl"),
            ("data", "convert", DATA, "--to", "ms-swift", "--out", "rows"),
            ("data", "convert", DATA, "--to", "trl", "--task", "ground", "--out", "grounded"),
            ("data", "convert", "masked/masked.yaml", "--out", "new.parquet"),
            ("eval", "@run", "--gold", DATA, "--json", "-"),
            ("eval", "@run", "--gold", "masked/masked.yaml"),
        ),
        is_configuration=True,
    ),
    "pictures": Target(
        ("pictures",),
        ("pictures/*",),
        tuple(
            (*_SHORT_PREDICT, f"pictures/{name}")
            for name in ("plain.png", "palette.png", "turned.jpg", "small.webp", "small.gif")
        ),
    ),
    "models": Target(
        ("models", "systems"),
        ("models/tagger/*", "models/entailer/*"),
        (("predict", "--text", "Ann met Bob", "--system", "systems/models.yaml"),),
    ),
    "published-models": Target(
        ("models", "systems", "pictures"),
        ("models/siglip/*",),
        ((*_PREDICT, "pictures/plain.png", "--system", "systems/siglip.yaml"),),
    ),
    "systems": Target(
        ("systems", "models"),
        ("systems/*.yaml",),
        (
            ("validate", "systems/chat.yaml"),
            ("validate", "systems/siglip.yaml"),
            ("predict", "--text", "Ann met Bob", "--system", "systems/models.yaml"),
            ("run", "systems/chat.yaml", "--data", f"@{DATA}", "--dry-run"),
        ),
        is_configuration=True,
    ),
    "adapters": Target(
        ("adapted",),
        ("adapted/adapter/*", "adapted/model/*"),
        (("validate", "adapted/adapted.yaml"),),
        is_configuration=True,
    ),
    "prompts": Target(
        ("systems", "models"),
        ("systems/*.jinja",),
        (
            ("validate", "systems/chat.yaml"),
            ("prompt-debug", "systems/chat.yaml", "--run", "@run"),
            ("predict", "--text", "Ann met Bob", "--system", "systems/models.yaml"),
        ),
        is_configuration=True,
    ),
    "answers": Target(
        ("answers",),
        ("answers/*",),
        tuple(
            ("fuzz.stage_answers:ask", f"answers/{name}", finish)
            for name in ANSWERS
            for finish in ("stop", "length")
        ),
    ),
    "kept-answers": Target(
        ("systems",),
        ("systems/answers.sqlite",),
        (("prompt-debug", "systems/chat.yaml", "--run", "@run", *_KEPT),),
    ),
}
