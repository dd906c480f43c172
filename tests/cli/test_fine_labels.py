"""Fine labels where answers are put into words: tables, explanations, pages."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run
from rich.console import Console

from riveg.cli.evaluation_sheets import sheets
from riveg.cli.explanation import print_explanation
from riveg.cli.tables import entity_table
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.evaluate import evaluate, explain
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.evaluation.predictions import predictions_of_run
from riveg.protocols import Mention
from riveg.report.builder import write_page
from riveg.stages.words import describe_entities, tell_entities, tell_label
from riveg.types import Sample, Span

PLAIN = make_sample("Mulan comes", [(0, 1, "OTHER")], id="1")
NAME = "film_and_television_works"
GOLD = gold_set(
    "posts", {"1": GoldSample((AnnotatedEntity("Mulan", "OTHER", Span(0, 1), "game", ()),))}
)


def fine(sample: Sample, **scores: float) -> Sample:
    (entity,) = sample.entities or ()
    found = replace(entity, fine_label=NAME, fine_label_scores=scores or None, regions=())
    return replace(sample, entities=(found,))


def printed(*samples: Sample) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80).print(entity_table(samples))
    return out.getvalue().splitlines()


def test_tables_have_room_for_both_levels() -> None:
    lines = printed(fine(PLAIN))
    assert max(map(len, lines)) <= 80
    assert "".join(" ".join(lines).split()).count("OTHER/film_and_te") == 1
    assert "found by" in lines[0]
    assert printed(PLAIN)[0].split() == ["entity", "type", "tag", "shown", "box", "found", "by"]


def test_answers_in_words_name_both_levels() -> None:
    sample = fine(PLAIN, game=0.75, **{NAME: 0.25})
    (entity,) = sample.entities or ()
    assert tell_entities(sample) == f"Mulan (OTHER/{NAME})"
    assert tell_label(Mention(sample, entity)) == f"OTHER/{NAME} (game 0.75, {NAME} 0.25)"
    assert [*describe_entities(sample)] == [
        f"e0 Mulan: OTHER/{NAME} (tokens 0-1; no scores; game 0.75, {NAME} 0.25)"
    ]
    assert [*describe_entities(PLAIN)] == ["e0 Mulan: OTHER (tokens 0-1; no scores)"]


def test_a_run_is_explained_and_shown_with_both_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = predictions_of_run(make_run(tmp_path / "run", [fine(PLAIN)]))
    print_explanation(explain(predictions, GOLD, "1", ("canonical",)))
    told = capsys.readouterr().out
    assert "Mulan: wrong-fine-type, by tag" in told
    assert f"said  Mulan OTHER/{NAME} [0-1] not shown" in told
    assert "gold  Mulan OTHER/game [0-1] not shown" in told
    written = write_page(tmp_path / "run", tmp_path / "page.html", gold=GOLD)
    page = written.path.read_text(encoding="utf-8")
    assert f'"fine":"{NAME}"' in page
    assert '"verdict":"wrong-fine-type"' in page


def test_what_is_not_scored_has_a_row(tmp_path: Path) -> None:
    (entity,) = PLAIN.entities or ()
    coarse = replace(PLAIN, entities=(replace(entity, regions=()),))
    found = evaluate(predictions_of_run(make_run(tmp_path / "run", [coarse])), GOLD)
    (scores, *_) = sheets(found)
    rows = {row[0]: row[3] for row in scores.rows}
    assert rows["FMNER fine"] == rows["FMNERG fine"] == "not scored"
    assert rows["GMNER coarse"].startswith("100.00")
    page = write_page(tmp_path / "run", tmp_path / "page.html", gold=GOLD).path.read_text()
    assert '"wrong-fine-type"' not in page.partition('id="summary"')[2].partition("</script>")[0]
