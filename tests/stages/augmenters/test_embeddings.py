from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.stages.augmenters.embeddings import CharacterNgrams, model_digest

NGRAMS = CharacterNgrams()


@given(st.text(max_size=80))
def test_vectors_have_length_one_or_nothing(text: str) -> None:
    vector = NGRAMS.embed_text(text)
    assert vector.shape == (4096,)
    assert vector.dtype == np.float32
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1, abs=1e-5) or length == 0
    assert np.array_equal(vector, NGRAMS.embed_text(text))


@pytest.mark.parametrize(
    ("text", "nearer", "farther"),
    [
        ("Serena wins Wimbledon", "Serena loses at Wimbledon", "a new phone from Apple"),
        ("the launches of NASA", "a launch by nasa", "the lunches of Ann"),  # case and endings
        ("Tokyo 東京タワー", "東京タワー", "大阪城"),
    ],
)
def test_texts_that_share_words_are_near(text: str, nearer: str, farther: str) -> None:
    vector = NGRAMS.embed_text(text)
    assert vector @ NGRAMS.embed_text(nearer) > vector @ NGRAMS.embed_text(farther)


def test_the_vector_of_a_text_stays_the_same_between_versions() -> None:
    vector = NGRAMS.embed_text("Rex")
    assert sorted(np.flatnonzero(vector)) == [406, 511, 1271, 1573, 3126, 4052]


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UserError, match=r"no model there: it has no \*\.safetensors"):
        model_digest(tmp_path)
