from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

library = pytest.importorskip("transformers.models.grounding_dino.modeling_grounding_dino")

from riveg.vision.detectors.grounding_dino_kernels import NarrowFusion, WeightedRows  # noqa: E402

Sizes = list[tuple[int, int]]

sizes = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4)


def sampled(
    module: torch.nn.Module,
    levels: Sizes,
    *,
    batch: int,
    heads: int,
    points: int,
    spread: float,
    on_edges: bool = False,
) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(5)
    total = sum(height * width for height, width in levels)
    value = torch.randn(batch, total, heads, 4, generator=numbers)
    shape = (batch, 7, heads, len(levels), points)
    places = torch.rand(*shape, 2, generator=numbers) * (1 + 2 * spread) - spread
    if on_edges:
        places = places.round()
    attention = torch.rand(shape, generator=numbers)
    found: torch.Tensor = module(value, None, levels, None, places, attention, 64)
    return found


@given(sizes, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.sampled_from([0, 0.2, 5]))
@settings(deadline=None, max_examples=60)
def test_rows_give_what_sampled_maps_give(
    levels: Sizes, batch: int, heads: int, points: int, spread: float
) -> None:
    case: dict[str, Any] = {"batch": batch, "heads": heads, "points": points, "spread": spread}
    expected = sampled(library.MultiScaleDeformableAttention(), levels, **case)
    torch.testing.assert_close(sampled(WeightedRows(), levels, **case), expected, rtol=0, atol=2e-5)


def test_places_on_the_edges_of_the_image() -> None:
    levels = [(3, 5), (1, 1), (1, 4)]
    case: dict[str, Any] = {"batch": 2, "heads": 2, "points": 3, "spread": 1.0, "on_edges": True}
    expected = sampled(library.MultiScaleDeformableAttention(), levels, **case)
    torch.testing.assert_close(sampled(WeightedRows(), levels, **case), expected, rtol=0, atol=2e-6)


def test_rows_are_given_in_the_type_that_came() -> None:
    value = torch.randn(1, 4, 2, 4, dtype=torch.bfloat16)
    places, attention = torch.rand(1, 3, 2, 1, 2, 2), torch.rand(1, 3, 2, 1, 2)
    found = WeightedRows()(value, None, [(2, 2)], None, places, attention, 64)
    assert found.dtype == torch.bfloat16


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 20), st.integers(0, 4))
@settings(deadline=None, max_examples=40)
def test_narrow_fusion_gives_what_the_wide_one_gives(
    batch: int, places: int, tokens: int, hidden: int
) -> None:
    from transformers import GroundingDinoConfig

    torch.manual_seed(batch + places)
    config = GroundingDinoConfig(d_model=32, encoder_attention_heads=8, encoder_ffn_dim=64)
    wide = library.GroundingDinoBiMultiHeadAttention(config).eval()
    vision, text = torch.randn(batch, places, 32), torch.randn(batch, tokens, 32)
    no_places = torch.zeros(batch, places, dtype=torch.bool)
    no_tokens = torch.zeros(batch, tokens, dtype=torch.bool)
    no_places[-1, max(1, places - hidden) :] = True
    no_tokens[-1, max(1, tokens - hidden) :] = True
    with torch.inference_mode():
        expected = wide(vision, text, no_places, no_tokens)
        found = NarrowFusion(wide)(vision, text, no_places, no_tokens)
        unmasked = NarrowFusion(wide)(vision, text)
        torch.testing.assert_close(unmasked, wide(vision, text), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)
