"""``riveg train mner-qg`` on a tiny encoder and backbone: it learns eight posts by heart."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.tiny_mner_qg import QUERIES, SIDE, save_backbone, widen, write_dataset
from helpers.tiny_taggers import FINE, save_encoder
from helpers.training import Heard, trained

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.nn.anchors import AnchorGrid
from riveg.nn.mner_qg_design import read_settings
from riveg.nn.mner_qg_prediction import FoundSpan, QueryAnswer
from riveg.runs.system import load_system
from riveg.training.config import Course
from riveg.training.mner_qg.config import MnerQgTrainingConfig
from riveg.training.mner_qg.data import read_posts
from riveg.training.mner_qg.trainee import MnerQgTrainee
from riveg.types import Box

CHANNELS = {"PER": 0, "LOC": 1, "ORG": 2}
"""Of the colours in which the pictures show each type."""

LOOP = {
    "epochs": 160,
    "batch_size": 4,
    "learning_rate": 0.005,
    "warmup": 0.05,
    "patience": 40,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, an encoder and a backbone."""
    folder = tmp_path_factory.mktemp("parts")
    write_dataset(folder / "data")
    widen(save_encoder(folder / "encoder", "bert"))
    widen(save_backbone(folder / "backbone"))
    return folder


def settings(parts: Path, out: Path, **more: Any) -> MnerQgTrainingConfig:
    values = {
        "data": str(parts / "data" / "tiny.yaml"),
        "model": str(parts / "encoder"),
        "backbone": str(parts / "backbone"),
        "out": out,
        "queries": QUERIES,
        "max_pieces": 60,
        "image_side": SIDE,
        "width": 32,
        "attention_heads": 2,
        "dropout": 0.0,
        "weights": {"box": 20},
        "loop": LOOP,
        **more,
    }
    return MnerQgTrainingConfig.model_validate(values)


def trainee(config: MnerQgTrainingConfig, tmp_path: Path) -> MnerQgTrainee:
    return MnerQgTrainee(config, Course(config, tmp_path / "model", tmp_path / "work", Heard()))


@pytest.mark.slow
def test_eight_posts_are_learnt_by_heart_spans_and_boxes(parts: Path, tmp_path: Path) -> None:
    folder = trained(settings(parts, tmp_path / "out"), Heard())
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    for figure in ("f1", "gmner_f1", "grounding", "existence"):
        assert f"| {figure} | 100.00 | [100.0, 100.0] |" in card
    assert 'Gold boxes ("oracle" in the paper)' in card
    assert read_settings(folder).labels == tuple(QUERIES)


@pytest.mark.slow
def test_a_training_that_stopped_goes_on_to_the_same_weights(parts: Path, tmp_path: Path) -> None:
    """In bfloat16, with averaged weights and batch norms that learn, where most could differ."""
    loop = {**LOOP, "epochs": 2, "precision": "bf16", "average_decay": 0.5, "save_steps": 1}
    whole = trained(
        settings(parts, tmp_path / "whole", loop=loop, frozen_norms=False, dropout=0.2), Heard()
    )

    class Stopped(Heard):
        def note(self, text: str, /) -> None:
            if text.startswith("epoch 1/"):
                raise KeyboardInterrupt
            super().note(text)

    config = settings(parts, tmp_path / "parts", loop=loop, frozen_norms=False, dropout=0.2)
    with pytest.raises(KeyboardInterrupt):
        trained(config, Stopped())
    resumed = trained(config, Heard(), resume=True)
    for name in ("model.safetensors", "mner-qg.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


ABLATIONS: list[tuple[dict[str, Any], str, set[str]]] = [
    ({"weights": {"anchor": 0}}, "f1", {"f1", "existence"}),
    ({"weights": {"existence": 0}}, "gmner_f1", {"f1", "gmner_f1", "grounding"}),
    ({"cross_modality": False}, "gmner_f1", {"f1", "gmner_f1", "grounding", "existence"}),
]


@pytest.mark.parametrize(
    ("more", "metric", "figures"), ABLATIONS, ids=[str(more) for more, *_ in ABLATIONS]
)
def test_parts_that_are_switched_off_have_no_figures(
    more: dict[str, Any], metric: str, figures: set[str], parts: Path, tmp_path: Path
) -> None:
    found = trainee(settings(parts, tmp_path, **more), tmp_path)
    network = found.network().eval()
    assert found.metric == metric
    assert set(found.evaluate(network)) == figures


def test_fine_types_have_queries_of_their_own(parts: Path, tmp_path: Path) -> None:
    queries = {fine: QUERIES[label] for label, fine in FINE.items()}
    found = trainee(settings(parts, tmp_path, level="fine", queries=queries), tmp_path)
    assert found.settings.coarse_of == {fine: label for label, fine in FINE.items()}
    assert sum(len(gold.spans) for row in found.rows() for gold in row.golds) == 16


def test_a_post_without_a_usable_picture_teaches_text_alone(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    (data.parent / "images" / "0.png").unlink()
    (data.parent / "images" / "1.png").write_bytes(b"no picture")
    found = trainee(settings(parts, tmp_path, data=str(data)), tmp_path)
    told = " ".join(found.remarks())
    assert "tiny train: 2 pictures cannot be used, and their posts teach text alone" in told
    gone, broken, whole = found.rows()[:3]
    for row in (gone, broken):
        assert any(gold.spans for gold in row.golds)
        assert {gold.boxes for gold in row.golds} == {None}
    assert None not in {gold.boxes for gold in whole.golds}
    losses = found.network().losses(found.batch([gone, broken], random.Random(0)))
    assert losses["anchor"] == losses["box"] == 0
    assert losses["start"] > 0


def test_boxes_outside_of_their_picture_teach_no_region_at_all(parts: Path, tmp_path: Path) -> None:
    """They do not teach that there is none, either: the entity is shown, nobody knows where."""
    data = write_dataset(tmp_path / "data")
    shown = trainee(settings(parts, tmp_path, data=str(data)), tmp_path).rows()
    number = next(at for at, row in enumerate(shown) if any(gold.boxes for gold in row.golds))
    path = data.parent / "xml" / f"{number}.xml"
    xml = re.sub(r"<xmin>\d+", "<xmin>4000", path.read_text())
    path.write_text(re.sub(r"<xmax>\d+", "<xmax>5000", xml))
    found = trainee(settings(parts, tmp_path, data=str(data)), tmp_path)
    for before, now in zip(shown[number].golds, found.rows()[number].golds, strict=True):
        assert now.boxes == (None if before.boxes else before.boxes)
    assert "boxes lie outside of their pictures: left out" in " ".join(found.remarks())


def test_a_network_that_looks_at_nothing_opens_no_picture(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    for path in (data.parent / "images").iterdir():
        path.unlink()
    blind = {"cross_modality": False, "weights": {"anchor": 0}}
    told = trainee(settings(parts, tmp_path, data=str(data), **blind), tmp_path).remarks()
    assert "no picture is opened: nothing in this network looks at one" in told
    assert "cannot be used" not in " ".join(told)
    seen = trainee(settings(parts, tmp_path, **blind), tmp_path)
    assert not len(seen.batch(seen.rows(), random.Random(0))["pixels"])


def test_a_query_for_no_type_of_the_data_is_told(parts: Path, tmp_path: Path) -> None:
    queries = {**QUERIES, "SHIP": "names of ships"}
    found = trainee(settings(parts, tmp_path, queries=queries), tmp_path)
    told = "tiny train: has no SHIP, so queries.SHIP learns to find nothing"
    assert told in found.remarks()
    fine = {**{fine: QUERIES[label] for label, fine in FINE.items()}, "ship": "names of ships"}
    with pytest.raises(UserError, match=r"queries\.ship: no entity of .* which type it belongs to"):
        trainee(settings(parts, tmp_path, level="fine", queries=fine), tmp_path)


def test_a_fine_type_that_only_dev_has_stands_below_its_type(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    path = data.parent / "dev.txt"
    path.write_text(path.read_text().replace(f"B-{FINE['PER']}", "B-pope"))
    path.write_text(path.read_text().replace(f"I-{FINE['PER']}", "I-pope"))
    queries = {**{fine: QUERIES[label] for label, fine in FINE.items()}, "pope": "popes"}
    found = trainee(
        settings(parts, tmp_path, data=str(data), level="fine", queries=queries), tmp_path
    )
    assert found.settings.coarse_of["pope"] == "PER"


def test_an_epoch_is_measured_as_the_trained_folder_answers(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans that are all right, and all less probable than the threshold before calibration."""
    found = trainee(settings(parts, tmp_path, weights={"anchor": 0}), tmp_path)
    answers = [
        tuple(
            QueryAnswer(
                tuple(FoundSpan(one.span, 0.3) for one in post.gold.entities if one.label == label),
                existence=0.5,
            )
            for label in QUERIES
        )
        for post in found.dev.posts
    ]
    monkeypatch.setattr(found, "answers_on_dev", lambda network: answers)
    assert found.evaluate(found.network())["f1"] == 100


def test_boxes_move_with_pictures_that_are_cropped(parts: Path, tmp_path: Path) -> None:
    found = trainee(
        settings(parts, tmp_path, augmentation={"crop": 1, "least_crop": 0.4}), tmp_path
    )
    grid = AnchorGrid(found.design.grids, found.design.anchors)
    channels = [CHANNELS[label] for label in QUERIES]
    rows, looked = found.rows(), 0
    for seed in range(5):
        batch = found.batch(rows, random.Random(seed))
        other = found.batch(rows, random.Random(seed + 9))
        assert not torch.equal(batch["pixels"], other["pixels"])
        queries = [window.query for row in rows for window in row.windows]
        for number, anchor in batch["anchor"][:, :-1].nonzero().tolist():
            offsets = batch["box"][number, anchor].clone()
            offsets[:2] = offsets[:2].logit(eps=1e-4)
            (box,) = grid.boxes(torch.tensor([anchor]), offsets[None]) * SIDE
            left, top, right, bottom = (round(float(edge)) for edge in box)
            pixels = batch["pixels"][batch["image_of"][number]]
            lit = pixels[:, top + 2 : bottom - 2, left + 2 : right - 2]
            assert (lit.argmax(dim=0) == channels[queries[number]]).all()
            assert (lit.max(dim=0).values - lit.min(dim=0).values > 1).all()
            looked += 1
    assert looked > 20


def test_long_texts_are_learnt_in_windows(parts: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    words = [("Ann", "B-PER"), ("met", "O"), ("Bob", "B-PER"), ("in", "O"), ("Rome", "B-LOC")] * 8
    rows = "".join(
        f"{word}\t{tag}\t{tag if tag == 'O' else tag[:2] + 'x'}\n" for word, tag in words
    )
    (data.parent / "train.txt").write_text(f"IMGID:0\n{rows}")
    found = trainee(settings(parts, tmp_path, data=str(data), weights={"anchor": 0}), tmp_path)
    (row,) = found.rows()
    people = [
        (window, gold)
        for window, gold in zip(row.windows, row.golds, strict=True)
        if window.query == 0
    ]
    assert len(people) > 2
    starts = {
        window.words.start + first
        for window, gold in people
        for first, _ in gold.spans
        if window.words.start + first in window.owned
    }
    assert starts == {number for number, (_, tag) in enumerate(words) if tag == "B-PER"}


def test_each_window_that_shows_an_entity_learns_where_it_is(parts: Path, tmp_path: Path) -> None:
    """Also one that does not own it: it would learn that what it reads of has no region."""
    data = write_dataset(tmp_path / "data")
    shown = trainee(settings(parts, tmp_path, data=str(data)), tmp_path).rows()
    row = next(row for row in shown if any(gold.boxes for gold in row.golds))
    first = next(one for one in row.post.gold.entities if one.boxes)
    texts = (data.parent / "train.txt").read_text().split("\n\n")
    block = texts[shown.index(row)].rstrip("\n")
    noise = ["a\tO\tO"] * 200
    for before in (20, 24, 28, 32):  # some of these lie where two windows overlap
        words = [block.split("\n")[0], *noise[:before], *block.split("\n")[1:], *noise]
        (data.parent / "train.txt").write_text("\n".join(words) + "\n")
        (long,) = trainee(settings(parts, tmp_path, data=str(data)), tmp_path).rows()
        golds = [
            gold
            for window, gold in zip(long.windows, long.golds, strict=True)
            if tuple(QUERIES)[window.query] == first.label and gold.spans
        ]
        assert golds
        assert all(gold.boxes for gold in golds)


def without_boxes(parts: Path, folder: Path) -> Path:
    """The same posts as a set without boxes; ``run`` beside it has those of gold for train."""
    gold = open_dataset(str(parts / "data" / "tiny.yaml"), split="train")
    system = folder / "system.yaml"
    system.write_text("name: repeated\ntag: {backend: gold}\nground: {backend: gold}\n")
    load_system(system).run(gold, out=folder / "run")
    values = json.loads((parts / "data" / "tiny.yaml").read_text())
    del values["xml"]
    values |= {"format": "twitter-mner", "root": str(parts / "data")}
    for split in ("train", "dev"):
        texts = (parts / "data" / f"{split}.txt").read_text().splitlines()
        lines = ["\t".join(line.split("\t")[:2]) for line in texts]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    values |= {"text": {split: str(folder / f"{split}.txt") for split in ("train", "dev")}}
    plain = folder / "plain.yaml"
    plain.write_text(json.dumps(values))
    return plain


def test_the_regions_of_a_run_are_weak_boxes(parts: Path, tmp_path: Path) -> None:
    """A set without boxes learns those of a run; here a run that repeats gold."""
    plain = without_boxes(parts, tmp_path)
    with pytest.raises(UserError, match="has no box in a picture that can be opened"):
        trainee(settings(parts, tmp_path, data=str(plain)), tmp_path)
    weak = settings(parts, tmp_path, data=str(plain), weak_boxes=[tmp_path / "run"])
    found = trainee(weak, tmp_path)
    assert found.settings.weak_boxes
    known = trainee(settings(parts, tmp_path), tmp_path)
    assert [row.golds for row in found.rows()] == [row.golds for row in known.rows()]
    with pytest.raises(UserError, match=r"weak_boxes: .* is about '0', as another run before it"):
        trainee(settings(parts, tmp_path, weak_boxes=[tmp_path / "run"] * 2), tmp_path)


@pytest.mark.parametrize(
    ("split", "old", "new", "message"),
    [
        ("dev", "IMGID:", "IMGID:9", "tiny dev: has no boxes to choose an epoch and thresholds by"),
        ("train", "IMGID:", "IMGID:8", "its run is about no post of tiny train or tiny dev"),
        ("train", "Ann", "Zoe", "its '0' has another text than that of tiny train or tiny dev"),
    ],
)
def test_weak_boxes_of_other_posts_are_told(
    split: str, old: str, new: str, message: str, parts: Path, tmp_path: Path
) -> None:
    plain = without_boxes(parts, tmp_path)
    weak = settings(parts, tmp_path, data=str(plain), weak_boxes=[tmp_path / "run"])
    path = tmp_path / f"{split}.txt"
    changed = path.read_text().replace(old, new)
    assert changed != path.read_text()
    path.write_text(changed)
    if split == "train":
        (tmp_path / "dev.txt").write_text(changed)
    with pytest.raises(UserError, match=message):
        trainee(weak, tmp_path)


def test_what_a_run_has_not_found_is_not_known(parts: Path, tmp_path: Path) -> None:
    config = settings(parts, tmp_path)
    course = Course(config, tmp_path / "model", tmp_path / "work", Heard())
    weak = {post.id: {"PER": (Box(1, 2, 30, 40),)} for post, _ in course.train.pairs}
    found = read_posts(config, course.train, weak).posts
    assert {label for post in found for label in post.boxes} == set(QUERIES)
    for post in found:
        for label in post.boxes:
            assert post.inside(label) == (weak[post.sample.id]["PER"] if label == "PER" else None)


def test_mistakes_in_data_and_models_are_told_in_one_line(parts: Path, tmp_path: Path) -> None:
    two = {name: text for name, text in QUERIES.items() if name != "ORG"}
    flat = save_backbone(tmp_path / "flat", "dinov2")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"queries": two}, r"queries: the type 'ORG' of '2' in tiny train has none; add queries\."),
        ({"backbone": str(flat)}, "three scales are needed, as of ResNet, Swin or ConvNeXt"),
        ({"backbone": "nobody/nothing"}, "backbone nobody/nothing: neither a folder nor"),
        ({"max_pieces": 67}, "max_pieces: 67: this encoder reads 66 at most"),
        ({"max_pieces": 20}, r"queries\.PER: takes \d+ of 20 pieces"),
        ({"weak_boxes": [tmp_path]}, "is .* a run folder"),
    ]
    for more, message in cases:
        with pytest.raises(UserError, match=message) as raised:
            trainee(settings(parts, tmp_path, **more), tmp_path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": {"start": 0}}, "spans need all three"),
        ({"weights": {"anchor": 0}, "weak_boxes": ["run"]}, "weak_boxes have no effect"),
        ({"queries": {}}, "at least 1 item"),
        ({"width": 30, "attention_heads": 4}, "width: 30 is no multiple of attention_heads, 4"),
        ({"loop": {"learning_rates": {"crf": 0.1}}}, "no parameter's name begins with 'crf'"),
    ],
)
def test_mistakes_in_settings_are_told(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(tmp_path, tmp_path, **more)
