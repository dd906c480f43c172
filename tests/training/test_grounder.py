"""``riveg train grounder`` on a tiny GroundingDINO: rows, folder, resuming, mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.places import ROOT
from helpers.report_runs import make_run
from helpers.tiny_grounding_dino import save_grounding_dino
from helpers.tiny_mner_qg import write_dataset
from helpers.training import Heard, trained
from PIL import Image
from safetensors.torch import load_file, save_file

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.runs.reading import read_records
from riveg.runs.system import load_system
from riveg.training.batches import Chance, Pick
from riveg.training.config import Course
from riveg.training.grounder.config import GrounderTrainingConfig
from riveg.training.grounder.loss import BOX_COUNT, BOXES, pixels_key
from riveg.training.grounder.trainee import GrounderTrainee
from riveg.types import Observation, Sample
from riveg.vision.detectors.phrase_settings import PhraseSettings

LOOP = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "device": "cpu", "threads": 1}
MOVED = {
    "augmentation": {"crop": 1.0, "scale": [0.8, 1.2]},
    "jitter": {"beta": 0.1, "gamma": 0.1, "min_area": 0},
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and a network."""
    folder = tmp_path_factory.mktemp("parts")
    write_dataset(folder / "data")
    # With 32, the library's group norms refuse maps of a single place.
    save_grounding_dino(folder / "model", "mm-grounding-dino", num_queries=20, d_model=64)
    return folder


def values(parts: Path, out: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": str(parts / "data" / "tiny.yaml"),
        "model": str(parts / "model"),
        "out": str(out),
        "query": "{mention} ({label})",
        "shortest_edge": 64,
        "longest_edge": 64,
        "loop": LOOP,
        **more,
    }


def settings(parts: Path, out: Path, **more: Any) -> GrounderTrainingConfig:
    return GrounderTrainingConfig.model_validate(values(parts, out, **more))


def trainee(
    config: GrounderTrainingConfig, folder: Path, heard: Heard | None = None
) -> GrounderTrainee:
    return GrounderTrainee(config, Course(config, folder / "model", folder, heard or Heard()))


def chance(epoch: int, number: int = 0) -> Chance:
    return Chance.of(Pick(0, f"1/{epoch}", number))


def gold_boxes(parts: Path) -> list[tuple[str, int]]:
    """Id and number of boxes of each mention."""
    dataset = open_dataset(str(parts / "data" / "tiny.yaml"), split="train")
    return [
        (sample.id, len(one.boxes or ()))
        for sample, gold in dataset.annotated_samples()
        for one in gold.entities
    ]


def test_rows_are_shown_mentions_and_others_at_the_ratio(parts: Path, tmp_path: Path) -> None:
    gold = gold_boxes(parts)
    shown, hidden = [one for one in gold if one[1]], [one for one in gold if not one[1]]
    for ratio, wanted in ((0, 0), (0.25, round(0.25 * len(shown))), (9, len(hidden))):
        rows = trainee(settings(parts, tmp_path, negatives=ratio), tmp_path).rows()
        assert [(row.sample_id, len(row.boxes)) for row in rows if row.boxes] == shown
        assert sum(not row.boxes for row in rows) == wanted


def test_a_visit_is_decided_by_seed_epoch_and_row_alone(parts: Path, tmp_path: Path) -> None:
    found = trainee(settings(parts, tmp_path, **MOVED), tmp_path)
    rows = found.rows()[:3]
    together = found.batch(rows, chance(1))
    again = found.batch(rows, chance(1, number=5))
    assert all(together[key].equal(again[key]) for key in together)
    alone = [found.batch([row], chance(1)) for row in rows]
    ordered = sorted(alone, key=lambda one: tuple(one[pixels_key(0)].shape[1:]))
    for number, one in enumerate(ordered):
        count = one[BOX_COUNT].item()
        assert together[BOXES][number, :count].equal(one[BOXES][0, :count])
    assert not found.batch(rows, chance(2))[BOXES].equal(together[BOXES])
    plain = trainee(settings(parts, tmp_path), tmp_path)
    assert plain.batch(rows, chance(1))[BOXES].equal(plain.batch(rows, chance(2))[BOXES])


def test_a_scale_changes_the_input_and_no_share_of_it(parts: Path, tmp_path: Path) -> None:
    larger = settings(parts, tmp_path, augmentation={"scale": [2.0, 2.0]})
    found, plain = (trainee(one, tmp_path) for one in (larger, settings(parts, tmp_path)))
    rows = found.rows()[:2]
    scaled, whole = (one.batch(rows, chance(0)) for one in (found, plain))
    assert scaled[pixels_key(0)].shape[-2:] == (128, 128)
    assert whole[pixels_key(0)].shape[-2:] == (64, 64)
    assert scaled[BOXES].equal(whole[BOXES])


def test_the_input_is_that_of_the_backend(parts: Path, tmp_path: Path) -> None:
    """The same text, and the same numbers of the picture."""
    from riveg.images.loader import ImageLoader
    from riveg.vision.detectors.grounding_dino import GroundingDinoNetwork
    from riveg.vision.runtime.options import TorchOptions

    found = trainee(settings(parts, tmp_path), tmp_path)
    row = found.rows()[0]
    (named,) = [
        one.mention.entity
        for one in found.dev.mentions
        if (one.mention.sample.id, one.number) == (row.sample_id, row.number)
    ]
    options = TorchOptions(model="-", device="cpu")
    network = GroundingDinoNetwork(parts / "model", options)
    pixels = ImageLoader([parts / "data" / "images"]).load(row.image)
    batch = found.batch([row], chance(0))
    assert batch[pixels_key(0)][0].equal(network.prepare(pixels, 64, 64))
    said = network.tokenizer.decode(row.prompt.tokens, skip_special_tokens=True)
    assert said == network.tokenizer.decode(
        network.tokenizer(f"{named.text} ({named.label}).".lower())["input_ids"],
        skip_special_tokens=True,
    )


def test_boxes_are_all_the_first_or_one_around_them(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    xml = data.parent / "xml" / "4.xml"
    item = (
        "<object><name>Ann Lee</name><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>{}</xmax>"
        "<ymax>9</ymax></bndbox></object>"
    )
    boxes = "".join(item.format(left, left + 8) for left in (2, 30, 50))
    xml.write_text(f"<annotation>{boxes}</annotation>")
    for choice, wanted in (
        ("all", [(2, 10), (30, 38), (50, 58)]),
        ("first", [(2, 10)]),
        ("union", [(2, 58)]),
    ):
        found = trainee(settings(parts, tmp_path, data=str(data), boxes=choice), tmp_path)
        (row,) = [one for one in found.rows() if one.sample_id == "4"]
        assert [(box.x_min, box.x_max) for box in row.boxes] == wanted


def test_pictures_that_cannot_be_used_are_told(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    (data.parent / "images" / "0.png").unlink()
    whole = (data.parent / "images" / "1.png").read_bytes()
    (data.parent / "images" / "1.png").write_bytes(whole[: len(whole) // 2])
    found = trainee(settings(parts, tmp_path, data=str(data)), tmp_path)
    assert not [one for one in found.rows() if one.sample_id in {"0", "1"}]
    told = [one for one in found.remarks if "tiny train: 2 pictures cannot be used" in one]
    assert len(told) == 1
    assert "0.png" in told[0]


def test_a_split_of_which_nothing_is_left_is_named(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    (data.parent / "dev.txt").write_text("IMGID:narrow\nAda\tB-PER\tB-actor\n")
    Image.new("RGB", (400, 3)).save(data.parent / "images" / "narrow.png")
    box = "<xmin>0</xmin><ymin>0</ymin><xmax>90</xmax><ymax>3</ymax>"
    (data.parent / "xml" / "narrow.xml").write_text(
        f"<annotation><object><name>Ada</name><bndbox>{box}</bndbox></object></annotation>"
    )
    with pytest.raises(UserError, match="tiny dev: no phrase is left to measure on; 1 mentions"):
        trainee(settings(parts, tmp_path, data=str(data)), tmp_path)


def run_of(parts: Path, folder: Path) -> Path:
    """A run that has rewritten gold's mentions."""
    system = folder.with_suffix(".yaml")
    system.write_text("name: repeated\ntag: {backend: gold}\nrewrite: {backend: template}\n")
    load_system(system).run(
        open_dataset(str(parts / "data" / "tiny.yaml"), split="train"), out=folder
    )
    return folder


def test_expressions_of_a_run_are_the_phrases(parts: Path, tmp_path: Path) -> None:
    run = run_of(parts, tmp_path / "run")
    asked = {"query": "{expression}", "expressions": [str(run)]}
    heard = Heard()
    found = trainee(settings(parts, tmp_path, **asked), tmp_path, heard)
    assert any("mentions have an expression" in note for note in heard.notes)
    mentions = [one.mention.entity for one in found.dev.mentions]
    assert all(one.expression and one.expression_source for one in mentions)


def looked(folder: Path, found: dict[str, list[str]], lettering: str = "always") -> Path:
    """A run that has seen things of these kinds in the pictures of posts."""
    from riveg.types import Box

    samples = [
        Sample(
            id=sample_id,
            text="x",
            tokens=("x",),
            offsets=((0, 1),),
            observations=tuple(Observation(kind, Box(0, 0, 1, 1)) for kind in kinds),
        )
        for sample_id, kinds in found.items()
    ]
    run = make_run(folder, samples, images=folder.parent / "none", stages=("observe",))
    text = f"observe:\n  backend: evidence\n  lettering: {lettering}\n"
    (run / "config.yaml").write_text(text)
    return run


def test_only_pictures_without_words_are_mirrored(parts: Path, tmp_path: Path) -> None:
    run = looked(tmp_path / "run", {"0": ["person"], "2": ["text"], "4": []})
    flips = {"augmentation": {"flip": 1.0}, "observations": [str(run)]}
    found = trainee(settings(parts, tmp_path, **flips), tmp_path)
    assert {row.sample_id for row in found.rows() if row.mirrors} <= {"0", "4"}
    assert any(row.mirrors for row in found.rows())
    for row in found.rows():
        moved, plain = found.batch([row], chance(0))[BOXES], found._dev_maker.batch([row], None)
        across = plain[BOXES][0, :, 0]
        wanted = 1 - across if row.mirrors else across
        assert moved[0, :, 0].allclose(wanted)
    unsure = looked(tmp_path / "unsure", {"0": []}, lettering="auto")
    with pytest.raises(UserError, match="has not looked for words in every picture"):
        trainee(settings(parts, tmp_path, **{**flips, "observations": [str(unsure)]}), tmp_path)


@pytest.mark.slow  # trains, loads and asks
def test_what_is_saved_answers_as_what_was_trained(parts: Path, tmp_path: Path) -> None:
    config = settings(parts, tmp_path / "out", freeze=["text"], negatives=1.0)
    folder = trained(config, Heard())
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "Asked `{mention} ({label})`, pictures of 64 to 64 pixels" in card
    assert "| acc_50 |" in card
    assert PhraseSettings.read(folder) == PhraseSettings(
        query="{mention} ({label})", shortest_edge=64, longest_edge=64
    )
    after = trainee(config.model_copy(update={"model": str(folder)}), tmp_path / "again")
    weights, before = (load_file(one / "model.safetensors") for one in (folder, parts / "model"))
    learnt = {name for name, one in weights.items() if not one.equal(before[name])}
    assert learnt
    assert not [name for name in learnt if name.startswith("model.text_backbone.")]
    system = tmp_path / "system.yaml"
    ground = {
        "backend": "grounding-dino",
        "model": str(folder),
        "box_threshold": 0.0,
        "regions": "many",
        "top_k": 20,
        "device": "cpu",
    }
    system.write_text(f"name: asked\ntag: {{backend: gold}}\nground: {json.dumps(ground)}\n")
    dev = open_dataset(config.data, split="dev")
    report = load_system(system).run(dev, out=tmp_path / "run")
    assert report.notes == ()
    resolved = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "query: '{mention} ({label})'\n" in resolved
    assert "shortest_edge: 64\n  longest_edge: 64\n" in resolved
    records = [
        entity.regions
        for sample in read_records(tmp_path / "run")
        for entity in sample.entities or ()
    ]
    assert records == after.answers_on_dev(after.network())


@pytest.mark.slow  # trains in two processes, and in a third
def test_a_training_that_was_killed_ends_with_the_same_weights(parts: Path, tmp_path: Path) -> None:
    more = {**MOVED, "negatives": 1.0, "loop": {**LOOP, "save_steps": 1}}
    whole = trained(settings(parts, tmp_path / "whole", **more), Heard())
    path = tmp_path / "grounder.yaml"
    path.write_text(json.dumps(values(parts, tmp_path / "out", **more)))
    command = [sys.executable, "-m", "riveg", "train", "grounder", str(path)]
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=given, stderr=subprocess.DEVNULL) as process:
        work = tmp_path / "out.training"
        while process.poll() is None and not list(work.glob("checkpoint-*/whole")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out" / "CARD.md").exists()
    done = subprocess.run([*command, "--resume"], env=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    weights = [one / "model.safetensors" for one in (whole, tmp_path / "out")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow  # 320 steps
def test_sixteen_posts_are_learnt_by_heart(tmp_path: Path) -> None:
    """As ``benchmarks/grounder.py`` shows it."""
    command = [sys.executable, str(ROOT / "benchmarks" / "grounder.py"), str(tmp_path / "out")]
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--ways", "by-heart"], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name, before, after, accuracy, *_ = done.stdout.splitlines()[-1].split()
    assert (name, accuracy) == ("by-heart", "100.0")
    assert float(after) < float(before)


def test_mistakes_in_data_and_models_are_told_in_one_line(parts: Path, tmp_path: Path) -> None:
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for path in (parts / "model").iterdir():
        (lacking / path.name).write_bytes(path.read_bytes())
    weights = load_file(lacking / "model.safetensors")
    gone = "model.text_projection.bias"
    del weights[gone]
    save_file(weights, lacking / "model.safetensors", {"format": "pt"})
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "owlv2"}')
    bare = write_dataset(tmp_path / "bare")
    for path in (bare.parent / "xml").iterdir():
        path.unlink()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model": str(lacking)}, f"lacks 1 weights of a MM.*, for example {gone}"),
        ({"model": str(other)}, "whose model_type is one of grounding-dino, mm-grounding-dino"),
        ({"model": "nobody/nothing"}, "model nobody/nothing: neither a folder nor"),
        ({"data": str(bare)}, "has no box in a picture that can be opened"),
        ({"query": "{expression}", "expressions": [tmp_path]}, "run folder"),
        (
            {"loop": {**LOOP, "learning_rates": {"model.bakbone": 1e-5}}},
            "no parameter's name begins with 'model.bakbone'; did you mean model.backbone",
        ),
    ]
    for more, message in cases:
        with pytest.raises(UserError, match=message) as raised:
            trainee(settings(parts, tmp_path, **more), tmp_path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"query": "{expression}"}, r"query: \{expression\} is what a rewriter says"),
        ({"expressions": ["run"]}, r"the query .* has no \{expression\}"),
        ({"augmentation": {"flip": 0.5}}, "flip needs `observations`"),
        ({"shortest_edge": 128}, "shortest_edge must not be above longest_edge"),
        ({"loop": {"learning_rates": {"crf": 0.1}}}, "no parameter's name begins with 'crf'"),
    ],
)
def test_mistakes_in_settings_are_told(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(tmp_path, tmp_path, **more)
