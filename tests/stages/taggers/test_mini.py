"""The shipped tagger."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.contracts import check_backend

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.files import asset
from riveg.formats.conll import read_conll
from riveg.geometry.arrays import Floats
from riveg.nn.word_pieces import Window
from riveg.runs.sources import make_sample
from riveg.stages.table import TAG
from riveg.stages.taggers.mini import MiniTagger, MiniTaggerConfig
from riveg.text.bio import bio_to_spans
from riveg.text.tokenise import join_tokens
from riveg.types import Entity, Sample

COARSE = {"person": "PER", "organization": "ORG", "location": "LOC", "building": "LOC"}


@pytest.fixture(scope="module")
def tagger() -> MiniTagger:
    return MiniTagger(asset("tagger"))


def tagged(tagger: MiniTagger, text: str) -> tuple[Entity, ...]:
    (answer,) = tagger.tag([make_sample(text, id="a")])
    assert isinstance(answer, tuple)
    return answer


TEXTS = (
    "RT @NASA: Eileen Collins was the first woman to command a Space Shuttle",
    "Messi scored for Barcelona against Real Madrid last night!",
    "nothing to see here",
    "{{ 7 * 7 }} <script>alert('Barack Obama')</script>",
    "\u202eمرحبا لندن 😀 \x00",
)


def test_it_keeps_the_contract(tagger: MiniTagger) -> None:
    samples = [make_sample(text, id=str(number)) for number, text in enumerate(TEXTS)]
    check_backend(TAG, tagger, samples)


def test_names_get_types_scores_and_places_in_the_raw_text(tagger: MiniTagger) -> None:
    text = "Messi scored for  Barcelona, says @FIFAcom"
    found = {entity.text: entity for entity in tagged(tagger, text)}
    assert found["Messi"].label == "PER"
    assert "Barcelona" in found
    for entity in found.values():
        assert entity.text in text
        assert entity.score is not None
        assert 0 < entity.score < 1
        scores = entity.label_scores
        assert scores is not None
        assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
        assert max(scores, key=scores.__getitem__) == entity.label


def test_a_name_at_the_end_of_a_very_long_text_is_found(tagger: MiniTagger) -> None:
    text = "it was a long day . " * 300 + "Then Barack Obama spoke in Chicago ."
    found = [entity.text for entity in tagged(tagger, text)]
    assert "Barack Obama" in found
    assert "Chicago" in found


def test_a_megabyte_of_text_is_answered(tagger: MiniTagger) -> None:
    assert isinstance(tagged(tagger, "x" * 1_000_000), tuple)


def test_threads_do_not_change_answers() -> None:
    samples = [make_sample(text, id=str(number)) for number, text in enumerate(TEXTS)]
    one, four = (MiniTagger(asset("tagger"), threads=threads).tag(samples) for threads in (1, 4))
    assert list(one) == list(four)


def test_a_folder_that_is_no_tagger_is_named(tmp_path: Path) -> None:
    config = MiniTaggerConfig(model=tmp_path)
    with pytest.raises(UserError, match=r"lacks model\.onnx.*riveg train tagger"):
        config.build(BuildContext(images=None))  # type: ignore[arg-type]


def test_the_shipped_files_are_small_and_say_where_they_come_from() -> None:
    folder = asset("tagger")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 25_000_000
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "riveg train tagger configs/train/tagger-mini.yaml" in card
    assert json.loads((folder / "tagger.json").read_text())["calibration"]["slope"] > 0


def test_windows_that_repeat_are_computed_once_and_long_texts_use_every_thread(
    tagger: MiniTagger,
) -> None:
    class Counting(MiniTagger):
        computed = 0

        def _window_logits(self, window: Window) -> Floats:
            self.computed += 1
            return super()._window_logits(window)

    counting = Counting(asset("tagger"), threads=3)
    words = ("Messi", "of", "Barcelona", "met", "Obama") * 200
    windows = counting._windows(words)
    expected = [tagger._window_logits(one)[list(one.owned_pieces)] for one in windows]
    assert (counting.word_logits(words) == np.concatenate(expected)).all()
    assert counting.computed == len({one.input_ids for one in windows}) < len(windows)


@pytest.mark.slow
def test_dev_f1_of_the_shipped_files(tagger: MiniTagger) -> None:
    root = os.environ.get("RIVEG_TEST_DATA")
    if root is None:
        pytest.skip("RIVEG_TEST_DATA is not set")
    samples, gold = [], []
    path = Path(root) / "twitter-gmner-v2" / "txt_fine" / "dev.txt"
    for number, sentence in enumerate(read_conll(path)):
        text, offsets = join_tokens(sentence.tokens)
        samples.append(Sample(str(number), text, sentence.tokens, offsets))
        spans = bio_to_spans(sentence.columns[0])
        gold.append({(span, COARSE.get(label, "OTHER")) for span, label in spans})
    hits = predicted = 0
    for answer, truth in zip(tagger.tag(samples), gold, strict=True):
        assert isinstance(answer, tuple)
        hits += len({(entity.span, entity.label) for entity in answer} & truth)
        predicted += len(answer)
    total = sum(map(len, gold))
    assert total == 2450
    assert 2 * hits / (predicted + total) >= 0.79
