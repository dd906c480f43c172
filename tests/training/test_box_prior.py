from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from helpers.training import trained

from riveg.errors import UserError
from riveg.evaluation.bootstrap import Interval
from riveg.files import asset, shipped
from riveg.nn.box_prior import read_box_priors
from riveg.training.box_prior import (
    BoxedEntity,
    BoxPriorTrainingConfig,
    HitRate,
    fit_body_reaches,
    fit_box_priors,
    hit_rates,
    read_boxed_entities,
)
from riveg.training.settings import read_settings
from riveg.types import Box, ImageSize

CONFIG = shipped("configs", "train", "box-prior.yaml")


Corners = tuple[float, float, float, float]


def entity(*boxes: Corners, label: str = "PER") -> BoxedEntity:
    return BoxedEntity(label, tuple(Box(*box) for box in boxes), ImageSize(200, 100))


def test_first_box_hits_most_and_the_next_what_is_missed() -> None:
    left, right = entity((0, 0, 80, 100)), entity((100, 0, 200, 100))
    priors = fit_box_priors([[left], [left], [left], [right], [right]], 2)
    assert [prior.edges for prior in priors["PER"]] == [(0, 0, 0.4, 1), (0.5, 0, 1, 1)]
    assert [prior.share for prior in priors["PER"]] == [0.6, 0.4]
    assert priors["PER"][0].in_pixels(ImageSize(600, 450)) == Box(0, 0, 240, 450)


def test_no_box_is_kept_that_hits_nothing_new() -> None:
    priors = fit_box_priors([[entity((0, 0, 80, 100))]], 5)
    assert len(priors["PER"]) == 1


def test_an_entity_of_several_boxes_counts_once() -> None:
    both = entity((0, 0, 80, 100), (100, 0, 200, 100))
    priors = fit_box_priors([[both], [both], [entity((100, 0, 200, 100))]], 2)
    assert priors["PER"][0].edges == (0.5, 0, 1, 1)
    assert priors["PER"][0].share == 1


def test_types_are_apart_and_all_are_in_the_star() -> None:
    images = [[entity((0, 0, 80, 100)), entity((100, 0, 200, 100), label="ORG")]]
    priors = fit_box_priors(images, 5)
    assert set(priors) == {"PER", "ORG", "*"}
    assert len(priors["*"]) == 2
    for rate in hit_rates(priors, images)["ORG"]:
        assert rate == HitRate(1, 100, Interval(100, 100))


def test_the_first_box_and_all_of_them_are_counted_apart_and_images_are_resampled() -> None:
    left, right = entity((0, 0, 80, 100)), entity((100, 0, 200, 100))
    images = [[left], [left], [left], [right], [entity((100, 0, 200, 100), label="ORG")]]
    first, any_of = hit_rates(fit_box_priors(images, 2), images)["PER"]
    assert (first.entities, first.percent, any_of.percent) == (4, 75, 100)
    assert 0 <= first.interval.low < 75 < first.interval.high <= 100
    assert any_of.interval == Interval(100, 100)


@pytest.mark.parametrize(
    ("box", "low", "high"),
    [
        ((80, 0, 100, 100), 4.0, 4.0),  # five widths long, to the edge: as long as allowed
        ((60, 0, 140, 80), 0.9, 1.5),  # one width long, with image below: stops there
    ],
)
def test_reach_follows_the_bodies(box: Corners, low: float, high: float) -> None:
    (reach,) = fit_body_reaches([[entity(box)]], "PER")
    assert low <= reach <= high


def test_reach_goes_by_the_number_of_people() -> None:
    tall, short = (80, 0, 100, 100), (10, 0, 50, 40)
    images = [[entity(tall)], [entity(short), entity((60, 0, 100, 40))]]
    alone, two = fit_body_reaches(images, "PER")
    assert alone > two


def write(folder: Path, size: str = "<size><width>200</width><height>100</height></size>") -> str:
    """Two samples, one with a box, as train and as dev; gives the dataset's YAML."""
    (folder / "txt").mkdir()
    (folder / "xml").mkdir()
    text = "IMGID:1\nAnn\tB-PER\nLee\tI-PER\nis\tO\nhere\tO\n\nIMGID:2\nBob\tB-PER\n\n"
    for split in ("train", "dev"):
        (folder / "txt" / f"{split}.txt").write_text(text)
    box = "<bndbox><xmin>20</xmin><ymin>10</ymin><xmax>120</xmax><ymax>100</ymax></bndbox>"
    (folder / "xml" / "1.xml").write_text(
        f"<annotation>{size}<object><name>Ann Lee</name>{box}</object></annotation>"
    )
    (folder / "dataset.yaml").write_text(
        "name: small\nformat: twitter-gmner\nxml: xml\n"
        "text: {train: txt/train.txt, dev: txt/dev.txt}\n"
    )
    return str(folder / "dataset.yaml")


def test_trains_from_files_to_files(tmp_path: Path) -> None:
    out = trained(BoxPriorTrainingConfig(data=write(tmp_path), out=tmp_path / "out"))
    priors = read_box_priors(out / "prior.json")
    assert priors.for_label("PER")[0].edges == (0.1, 0.1, 0.6, 1.0)
    assert priors.for_label("unheard-of") == priors.boxes["*"]
    assert priors.reach(1) == priors.reach(9) == priors.reaches[0]
    card = (out / "CARD.md").read_text()
    assert "- Learnt from small, train: " in card
    whole = "100.0 [100.0, 100.0]"
    assert f"| PER | 1 | 100.0 | 100.0 | 1 | {whole} | {whole} |" in card


@pytest.mark.parametrize(
    ("split", "size", "message"),
    [
        ("test", None, "no split 'test'"),
        ("train", "", "train.txt:1: 1 has boxes, but .* no picture size"),
        ("train", "<", "1.xml: cannot be read as XML"),
    ],
)
def test_bad_data_is_one_clear_line(
    tmp_path: Path, split: str, size: str | None, message: str
) -> None:
    data = write(tmp_path) if size is None else write(tmp_path, size)
    with pytest.raises(UserError, match=message):
        read_boxed_entities(data, split)


def test_data_without_boxes_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path)
    (tmp_path / "xml" / "1.xml").unlink()
    with pytest.raises(UserError, match="train: no entity has a box"):
        read_boxed_entities(data, "train")


def test_the_shipped_configuration_is_valid() -> None:
    config = read_settings(CONFIG, BoxPriorTrainingConfig)
    assert config.boxes == 5
    assert config.out.parts[0] == "out", "a user's training leaves the shipped prior alone"


def test_the_shipped_prior_is_what_the_command_makes(tmp_path: Path) -> None:
    data = os.environ.get("RIVEG_TEST_DATA")
    if not data:
        pytest.skip("RIVEG_TEST_DATA is not set")
    dataset = yaml.safe_load(shipped("configs", "datasets", "twitter-gmner.yaml").read_text())
    dataset["root"] = str(Path(data) / "twitter-gmner-v2")
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(dataset))
    source = str(tmp_path / "dataset.yaml")
    config = read_settings(CONFIG, BoxPriorTrainingConfig)
    trained(config.model_copy(update={"data": source, "out": tmp_path}))
    assert (tmp_path / "prior.json").read_text() == asset("box-prior", "prior.json").read_text()
    cards = [(folder / "CARD.md").read_text() for folder in (tmp_path, asset("box-prior"))]
    made, shipped_one = (card.partition("## How it was made")[0] for card in cards)
    assert made == shipped_one
    priors = read_box_priors(tmp_path / "prior.json")
    dev = read_boxed_entities(source, "dev")
    first, any_of = hit_rates(priors.boxes, dev)["PER"]
    assert first.entities == 698
    assert first.percent > 43
    assert any_of.percent > 70
