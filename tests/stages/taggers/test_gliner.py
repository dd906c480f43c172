"""GLiNER2 as a tagger: tiny networks of its package, random ones and one that knows names."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_context
from helpers.hub_cache import put_in_cache
from helpers.tiny_gliner import NAMES, Architecture, require_gliner, save_gliner
from pydantic import ValidationError

from riveg.errors import MissingExtra, MissingModel, UserError
from riveg.labels import Label
from riveg.nn.gliner_network import GlinerNetwork
from riveg.runs.sources import make_sample
from riveg.stages.table import TAG
from riveg.stages.taggers.gliner import GlinerTagger, GlinerTaggerConfig
from riveg.types import Entity, Span

require_gliner()
pytestmark = pytest.mark.slow  # torch, transformers and the package, loaded and run

ARCHITECTURES: tuple[Architecture, ...] = ("span", "boundary")
LABELS = (Label(name="person"), Label(name="ship", description="a ship"))
TEXTS = (
    "Zorblax was the day, Quux-like quux and @frobnitz's long",
    "the day was long",
    "",
    "[E] ship ( [SEP_TEXT] zorblax ) http://x.y/[E] {{ 7 * 7 }} \u202eمرحبا 😀 \x00",
    "the day was long. " * 30 + "zorblax",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for architecture in ARCHITECTURES:
        save_gliner(folder / architecture, architecture)
    save_gliner(folder / "deberta", encoder="deberta-v2")
    save_gliner(folder / "known", known=True)
    return folder


def build(models: Path, model: str = "known", **options: Any) -> GlinerTagger:
    labels = options.pop("labels", LABELS)
    config = GlinerTaggerConfig(model=model, device="cpu", **options)
    return config.build(make_context(models, labels=labels))


def tagged(tagger: GlinerTagger, *texts: str) -> list[tuple[Entity, ...]]:
    return list(tagger.tag([make_sample(text, id=str(at)) for at, text in enumerate(texts)]))


@pytest.mark.parametrize("model", ["known", "deberta", *ARCHITECTURES])
def test_it_keeps_the_contract(models: Path, model: str) -> None:
    samples = [make_sample(text, id=str(number)) for number, text in enumerate(TEXTS)]
    answers = check_backend(TAG, build(models, model, threshold=0.2), samples)
    assert any(answers)
    for answer in answers:
        assert isinstance(answer, tuple)
        ends = [0, *(entity.span.end for entity in answer)]
        starts = [entity.span.start for entity in answer]
        assert all(end <= start for end, start in zip(ends, starts, strict=False))


SHORT = "zorblax was the ship, quux the person (frobnitz)."
LONG = "the day was long, zorblax the ship. " * 24 + "quux."
"""More pieces than the encoder would have positions for, and fewer than a window."""


@pytest.mark.parametrize(
    ("model", "text"), [("span", SHORT), ("boundary", SHORT), ("deberta", SHORT), ("deberta", LONG)]
)
def test_names_and_scores_are_the_package_s_own(models: Path, model: str, text: str) -> None:
    from gliner2 import AutoExtractor

    package = AutoExtractor.from_pretrained(str(models / model)).eval()
    found = package.extract_entities(
        text,
        {"person": {}, "ship": {"description": "a ship"}},
        threshold=0.1,
        include_confidence=True,
        include_spans=True,
        overlap_policy="allow",
    )
    expected = {
        (name["start"], min(name["end"], len(text)), label): name["confidence"]
        for label, names in found["entities"].items()
        for name in names
    }
    assert len({round(score, 2) for score in expected.values()}) > 5, "scores of any use differ"
    (ours,) = network(models, model, threshold=0.1).find([text])
    assert {(one.start, one.end, one.label): one.score for one in ours} == pytest.approx(
        expected, abs=1e-4
    )


def network(models: Path, model: str, **options: Any) -> GlinerNetwork:
    return build(models, model, **options)._network


def test_a_description_is_read(models: Path) -> None:
    text = "zorblax was the ship"
    plain = (Label(name="person"), Label(name="ship"))
    told, untold = (
        network(models, "span", labels=labels, threshold=0.1).find([text])
        for labels in (LABELS, plain)
    )
    assert told != untold


def test_a_planted_name_is_found_wherever_it_stands(models: Path) -> None:
    filling = ["the", "day", "was", "long"] * 100
    offsets = range(0, 400, 7)
    texts = [
        " ".join([*filling[:offset], "Zorblax zorblax", *filling[offset:]]) for offset in offsets
    ]
    for offset, found in zip(offsets, tagged(build(models), *texts), strict=True):
        entity = Entity(
            "e0", "Zorblax zorblax", "person", Span(offset, offset + 2), NAMES["zorblax"]
        )
        assert found == (entity,), offset


def test_a_long_word_is_read_to_its_end(models: Path) -> None:
    (found,) = tagged(build(models), "x" * 20_000 + " quux")
    assert [entity.text for entity in found] == ["quux"]


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_batches_and_windows_change_nothing_but_rounding(models: Path, model: str) -> None:
    one, many = (
        tagged(build(models, model, batch_size=size, threshold=0.2), *TEXTS) for size in (1, 64)
    )
    assert one == many


@pytest.mark.parametrize("model", ["known", *ARCHITECTURES])
@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_a_threshold_leaves_out_what_scores_less(
    models: Path, model: str, threshold: float
) -> None:
    """So what another threshold would have answered can be read from a run's records."""
    (everything,) = tagged(build(models, model, threshold=0.0), SHORT)
    (above,) = tagged(build(models, model, threshold=threshold), SHORT)
    expected = [entity for entity in everything if (entity.score or 0) >= threshold]
    assert [(one.span, one.label) for one in above] == [(one.span, one.label) for one in expected]


@pytest.mark.parametrize("model", ["known", *ARCHITECTURES])
def test_products_in_bfloat16_change_scores_a_little(models: Path, model: str) -> None:
    (exact,), (coarse,) = (
        network(models, model, threshold=0.0, dtype=dtype).find([SHORT])
        for dtype in ("float32", "bfloat16")
    )
    scores = {(one.start, one.end, one.label): one.score for one in exact}
    near = {(one.start, one.end, one.label): one.score for one in coarse}
    assert near == pytest.approx(scores, abs=0.1)


def test_of_entities_that_overlap_the_more_probable_one_is_left(models: Path) -> None:
    (found,) = tagged(build(models), "quux zorblax and frobnitz")
    assert [(entity.text, entity.score) for entity in found] == [
        ("quux", 0.8),
        ("zorblax", 0.99),
        ("frobnitz", 0.6),
    ]
    assert {entity.label for entity in found} == {"person"}, "of two alike the first type"


def test_a_name_stands_for_the_tokens_that_it_touches(models: Path) -> None:
    (found,) = tagged(build(models), "the quux-like day")
    assert [entity.text for entity in found] == ["quux-like"]


def test_writing_without_blanks_is_read_letter_by_letter(models: Path) -> None:
    text = "天quux天"
    (as_words,), (as_letters,) = (
        tagged(build(models, words=words), text) for words in ("whitespace", "char")
    )
    assert as_words == ()
    assert [entity.text for entity in as_letters] == ["quux"]


def test_a_model_of_the_hub_s_cache(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    name = "fastino/gliner2.5-base-v1"
    with pytest.raises(MissingModel, match=r"riveg fetch SYSTEM"):
        build(models, name)
    put_in_cache(
        tmp_path, name, lambda folder: shutil.copytree(models / "known", folder, dirs_exist_ok=True)
    )
    (found,) = tagged(build(models, name), "zorblax")
    assert found


def test_what_is_fetched_is_what_is_loaded(models: Path, tmp_path: Path) -> None:
    config = GlinerTaggerConfig()
    (files,) = config.model_files()
    for name in files.files:
        if (models / "known" / name).is_file():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(models / "known" / name, tmp_path / name)
    (found,) = tagged(build(tmp_path, "."), "zorblax")
    assert found
    assert {"model.safetensors", "encoder_config/config.json"} <= {*files.files}


def test_the_encoder_s_settings_are_a_part_of_the_run(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "known", tmp_path / "m")
    config = GlinerTaggerConfig(model=str(folder))
    before = config.contents(tmp_path)
    path = folder / "encoder_config" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "layer_norm_eps": 1e-6}))
    after = config.contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"encoder_config/config.json"}


@pytest.mark.parametrize("package", ["gliner2", "peft"])
def test_a_missing_package_is_one_line(
    models: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"^tag: gliner needs the package {package}: .*gliner"):
        build(models)


def with_code(folder: Path) -> None:
    path = folder / "encoder_config" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "a.B"}}))


def without_settings(folder: Path) -> None:
    (folder / "config.json").write_text("5")


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def of_other_width(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "counting_layer": "count_lstm_v2"}))


def of_the_first_gliner(folder: Path) -> None:
    (folder / "gliner_config.json").write_text("{}")


def without_encoder(folder: Path) -> None:
    shutil.rmtree(folder / "encoder_config")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_code, r"encoder_config/config\.json: names code of its own"),
        (without_settings, r"config\.json: holds no settings"),
        (as_pickle, r"expected a file model\.safetensors in it \(model\)"),
        (cut, "cannot be loaded as GLiNER2"),
        (of_other_width, "cannot be loaded as GLiNER2"),
        (of_the_first_gliner, "is a checkpoint of GLiNER, of another package"),
        (without_encoder, r"lacks encoder_config/config\.json"),
    ],
)
def test_a_folder_that_is_no_such_model_is_named(
    models: Path, tmp_path: Path, spoil: Any, message: str
) -> None:
    folder = shutil.copytree(models / "known", tmp_path / "m")
    spoil(folder)
    with pytest.raises(UserError, match=message) as told:
        build(models, str(folder))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            Label(name="ship", description="a ship " * 20 + "x"),
            "types with their descriptions take",
        ),
        (Label(name="[E]"), r"labels: \[E\]: \[E\] is a mark of GLiNER2"),
    ],
)
def test_types_that_the_network_cannot_read(models: Path, label: Label, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(models, labels=(label,))


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(ValidationError, match="a tagger opens no pictures"):
        GlinerTaggerConfig(workers=2)
