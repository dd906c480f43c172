"""A reviewed run from its beginning to its scores, with a server that knows the gold or harms."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.fault_server import Handler, Sent, Server, completion, user_texts

from riveg.config.reader import load_config
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import read_gold
from riveg.evaluation.predictions import predictions_of_run
from riveg.evaluation.verdicts import verdicts
from riveg.geometry.frames import FRAMES, Resize
from riveg.runs.dry_run import dry_run
from riveg.runs.reading import read_records, stage_answers
from riveg.runs.system import System
from riveg.stages.words import describe_reviews
from riveg.text.spans import character_range
from riveg.types import Gold, GoldEntity, Sample

pytestmark = [pytest.mark.server, pytest.mark.slow]

SYSTEM = """
name: reviewed
data: quickstart
llm:
  main: {{model: any, base_urls: ["{url}"], prices: {{input: 1.0, output: 2.0}}}}
tag: {{backend: mini}}
observe: {{backend: evidence}}
entail: {{backend: mini}}
ground: {{backend: evidence}}
review: {{backend: chat, frame: norm1000, {gates}}}
"""
EVERYTHING = "span: 0, type: 0, region: 0"
LIMIT = 4

UNSURE: dict[str, dict[str, Any]] = {
    "span": {"entity": "unsure"},
    "type": {"label": "unsure"},
    "region": {"shown": "unsure", "boxes": []},
}

Answer = Callable[[str, str], dict[str, Any]]
"""From the kind and the words of a question to the answer."""


@contextmanager
def reviewing_server(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server in this process, and the kinds that it was asked about so far."""
    asked: list[str] = []
    kinds = {"entity": "span", "label": "type", "shown": "region"}

    class Reviewing(Handler):
        options = argparse.Namespace(key=None, refuse=[])

        def _answer(self, body: dict[str, Any]) -> Sent:
            fields = body["response_format"]["json_schema"]["schema"]["properties"]
            (kind,) = [name for field, name in kinds.items() if field in fields]
            asked.append(kind)
            said = answer(kind, user_texts(body)[0])
            return Sent(completion(json.dumps({"reason": "so", **said})))

    server = Server(("127.0.0.1", 0), Reviewing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


class Annotator:
    """Answers with the gold of the entity that shares a word with the marked one."""

    def __init__(self, posts: Iterable[Sample], dataset: Dataset) -> None:
        golds = {one.sample_id: one for one in dataset.gold()}
        self._posts = [(post, golds[post.id]) for post in posts]

    def __call__(self, kind: str, question: str) -> dict[str, Any]:
        marked = question.partition("Text: ")[2].partition("\n")[0]
        line = question.partition("Name: ")[2].partition("\n")[0]
        name = line if kind == "type" else line.rpartition(" [")[0]
        post, gold = next(
            (post, gold) for post, gold in self._posts if post.text == marked.replace("&&", "")
        )
        start = marked.find("&&") if "&&" in marked else post.text.find(name)
        found = self._touched(post, gold, start, start + len(name))
        if found is None:
            return UNSURE[kind]
        return self._right(kind, post, found)

    def _touched(self, post: Sample, gold: Gold, start: int, end: int) -> GoldEntity | None:
        for one in gold.entities:
            left, right = character_range(post.offsets, one.span) or (0, 0)
            if left < end and start < right:
                return one
        return None

    def _right(self, kind: str, post: Sample, gold: GoldEntity) -> dict[str, Any]:
        if kind == "span":
            return {"entity": gold.text}
        if kind == "type":
            return {"label": gold.label}
        size = post.image.size if post.image else None
        if not gold.boxes or size is None:
            return {"shown": "no", "boxes": []}
        frame = FRAMES["norm1000"]
        numbers = frame.numbers(gold.boxes[0], frame.extent(size, Resize()), size)
        return {"shown": "yes", "boxes": [{"bbox_2d": [*numbers]}]}


def harmful(kind: str, question: str) -> dict[str, Any]:
    """Takes away boxes and gives everything another type."""
    so_far = question.partition("Type so far: ")[2].partition("\n")[0]
    spoilt = {"label": "LOC" if so_far != "LOC" else "PER"}
    return {**UNSURE, "type": spoilt, "region": {"shown": "no", "boxes": []}}[kind]


def run(folder: Path, url: str, gates: str, name: str) -> Path:
    system = folder / f"{name}.yaml"
    system.write_text(SYSTEM.format(url=url, gates=gates), encoding="utf-8")
    System(load_config(system)).run("quickstart", out=folder / name, limit=LIMIT)
    return folder / name


def scored(folder: Path) -> Evaluation:
    return evaluate(predictions_of_run(folder), read_gold(open_dataset("quickstart")))


def hits(evaluation: Evaluation, metric: str = "gmner") -> int:
    score = evaluation.scores["canonical"][metric]
    assert score is not None
    return score.hits


def test_a_perfect_reviewer_makes_right_all_it_is_asked_about_and_resumes(tmp_path: Path) -> None:
    dataset = open_dataset("quickstart")
    gold = read_gold(dataset)
    quickstart = System(load_config("quickstart"))
    quickstart.run(dataset, out=tmp_path / "plain", limit=LIMIT, until="ground")
    posts = [*read_records(tmp_path / "plain")]
    with reviewing_server(Annotator(posts, dataset)) as (url, asked):
        config = tmp_path / "reviewed.yaml"
        config.write_text(SYSTEM.format(url=url, gates=EVERYTHING), encoding="utf-8")
        counted = dry_run(load_config(config), dataset, tmp_path / "reviewed", limit=LIMIT)
        assert not asked
        assert counted.done == ("tag", "observe", "entail", "ground")
        folder = run(tmp_path, url, EVERYTHING, "reviewed")
        first = len(asked)
        (requests,) = counted.stages
        assert (requests.stage, requests.to_send) == ("review", first)
        records = (folder / "records.jsonl").read_bytes()
        run(tmp_path, url, EVERYTHING, "reviewed")
        assert len(asked) == first, "a run that is done asks nothing"
        for part in (folder / "5-review").glob("part-*"):
            part.unlink()
        run(tmp_path, url, EVERYTHING, "reviewed")
        assert len(asked) == first, "what was answered is on file"
        assert (folder / "records.jsonl").read_bytes() == records
    touched = 0
    for sample in read_records(folder):
        case = gold.case_of(sample)
        assert case is not None
        for verdict in verdicts(case, stages=("tag", "entail", "ground")):
            if verdict.predicted is None or verdict.gold is None:
                continue
            touched += 1
            assert verdict.kind == "right", (sample.id, verdict)
    assert touched == hits(scored(folder))
    assert touched > hits(scored(tmp_path / "plain"))
    found = scored(folder)
    assert found.reviews is not None
    assert all(one.broken == 0 for one in found.reviews.values())
    assert sum(one.fixed or 0 for one in found.reviews.values()) > 0
    assert sum(one.asked for one in found.reviews.values()) == first
    cost = found.review_cost
    assert cost is not None
    assert (cost.requests, cost.prompt_tokens, cost.answer_tokens) == (first, 10 * first, 5 * first)
    assert cost.cost == pytest.approx(first * (10 * 1.0 + 5 * 2.0) / 1e6)
    sent = json.loads((folder / "manifest.json").read_text())["images_sent"]["review"]["sent"]
    asked_about = [
        one for one in read_records(folder) if any(e.reviews for e in one.entities or ())
    ]
    assert sent["count"] == len(asked_about)
    shown = stage_answers(folder, posts[0].id)
    (reviewed,) = [one for one in shown if one.stage == "review"]
    assert any("uncertainty" in line for line in describe_reviews(reviewed.sample))


def test_a_harmful_reviewer_does_harm_and_below_the_gate_nobody_asks_it(tmp_path: Path) -> None:
    with reviewing_server(harmful) as (url, asked):
        shut = run(tmp_path, url, "span: 1, type: 1, region: 1", "shut")
        assert not asked
        spoilt = run(tmp_path, url, EVERYTHING, "spoilt")
        assert asked
    sent = json.loads((shut / "manifest.json").read_text())["images_sent"]["review"]["sent"]
    assert sent["count"] == 0
    before, after = scored(shut), scored(spoilt)
    assert hits(before) > 0
    assert hits(after) == 0
    assert after.reviews is not None
    assert after.reviews["type"].broken == hits(before, "mner")
    cost = before.review_cost
    assert cost is not None
    assert cost.requests is None, "unknown, not 0"
