from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.factories import make_sample, mentions_of
from helpers.odd_images import SIDES, image_context, open_upright, samples_about, save_odd_images
from helpers.tiny_blip import save_itm
from helpers.tiny_sam import SIDE, save_sam, save_sam2
from PIL import Image
from safetensors.torch import load_file, save_file

from riveg.errors import UserError
from riveg.geometry.heat_maps import Point, heat_array, hottest_point
from riveg.geometry.masks import mask_box, mask_from_array
from riveg.protocols import Mention
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.stages.grounders.itm_gradcam import ItmGradcamConfig, PointSegmenter
from riveg.stages.segmenters.sam import SamConfig
from riveg.stages.table import GROUND
from riveg.types import Box, HeatMap, ImageSize, Issue
from riveg.vision.matchers.itm import load_itm_matcher
from riveg.vision.matchers.itm_heat import ItmHeat
from riveg.vision.matchers.trained import MatcherSettings
from riveg.vision.queries import query_text
from riveg.vision.runtime.square_images import Preparation
from riveg.vision.runtime.tensors import image_tensors

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

QUERY = "{mention} is belong {label}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("models")
    save_itm(home / "itm")
    save_sam(home / "sam")
    save_sam2(home / "sam2")
    save_odd_images(home / "pictures")
    return home


def config(folder: Path, network: str = "sam", **options: Any) -> ItmGradcamConfig:
    return ItmGradcamConfig.model_validate(
        {
            "model": str(folder / "itm"),
            "query": QUERY,
            "layer": 1,
            "device": "cpu",
            "segmenter": {"network": network, "model": str(folder / network), "device": "cpu"},
            **options,
        }
    )


def build(folder: Path, network: str = "sam", **options: Any) -> Any:
    context = image_context(folder / "pictures", folder)
    return config(folder, network, **options).build(context)


def mentions() -> list[Mention]:
    return mentions_of(*samples_about(*SIDES))


def by_autograd(model: Path, picture: Image.Image, text: str, layer: int) -> np.ndarray:
    """The formula as it is printed, one patch, token and head at a time, of the whole network."""
    network = transformers.BlipForImageTextRetrieval.from_pretrained(model).eval()
    processor = transformers.BlipProcessor(
        transformers.BlipImageProcessorPil.from_pretrained(model),
        transformers.AutoTokenizer.from_pretrained(model),
    )
    kept: list[torch.Tensor] = []
    attention = network.text_encoder.encoder.layer[layer].crossattention.self
    attention.register_forward_hook(lambda _, __, output: kept.append(output[1]))
    said = network(**processor(images=picture, text=text, return_tensors="pt")).itm_score
    probability = said.double().softmax(dim=1)[0, 1]
    (gain,) = torch.autograd.grad(probability, kept[0])
    seen = kept[0].detach()
    heads, tokens, patches = seen.shape[1:]
    heat = [
        sum(
            max(0.0, float(gain[0, head, token, patch])) * float(seen[0, head, token, patch])
            for token in range(tokens)
            for head in range(heads)
        )
        / heads
        for patch in range(1, patches)
    ]
    side = int(len(heat) ** 0.5)
    return np.array(heat).reshape(side, side)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_maps_are_those_of_the_formula(folder: Path, layer: int, batch_size: int) -> None:
    model = folder / "itm"
    matcher = load_itm_matcher(model, config(folder))
    texts = ("Eileen Collins is belong PER", "Red Team is belong ORG", "a dog in a red shirt")
    pictures = [open_upright(folder / "pictures", name) for name in ("odd.png", "turned.jpg")]
    images = [image_tensors(matcher.processor, np.asarray(picture)) for picture in pictures]
    heat = ItmHeat(matcher, layer, batch_size=batch_size)
    hottest = set()
    for picture, maps in zip(pictures, heat.maps(images, [texts, texts[:2]]), strict=True):
        for text, found in zip(texts, maps, strict=False):
            expected = by_autograd(model, picture, text, layer)
            assert expected.max() > 0
            assert found / found.max() == pytest.approx(expected / expected.max(), abs=1e-4)
            hottest.add(int(found.argmax()))
    assert len(hottest) > 1, "maps of any use differ"


def sam_box(folder: Path, picture: Image.Image, point: Point) -> Box:
    """The library's own path: processor, one forward from the pixels on, post-processing."""
    network = transformers.SamModel.from_pretrained(folder).eval()
    processor = transformers.SamProcessor(transformers.SamImageProcessorPil.from_pretrained(folder))
    inputs = processor(picture, input_points=[[list(point)]], return_tensors="pt")
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    with torch.inference_mode():
        found = network(pixel_values=inputs["pixel_values"], input_points=inputs["input_points"])
    (masks,) = processor.post_process_masks(found.pred_masks, *sizes)
    best = int(found.iou_scores[0, 0].argmax())
    return mask_box(mask_from_array(masks[0, best].numpy()))


def sam2_box(folder: Path, picture: Image.Image, point: Point) -> Box:
    """One forward from the pixels on, as the library does it, but for the torchvision in it."""
    network = transformers.Sam2Model.from_pretrained(folder).eval()
    square = Preparation(SIDE, SIDE)
    place = [point.x * SIDE / picture.width, point.y * SIDE / picture.height]
    with torch.inference_mode():
        found = network(
            pixel_values=square.prepare(np.asarray(picture)),
            input_points=torch.tensor([[[place]]]),
            input_labels=torch.ones((1, 1, 1), dtype=torch.int),
        )
        best = int(found.iou_scores[0, 0].argmax())
        grown = torch.nn.functional.interpolate(
            found.pred_masks[0][:, [best]], picture.size[::-1], mode="bilinear", align_corners=False
        )
    return mask_box(mask_from_array((grown[0, 0] > 0).numpy()))


@pytest.mark.parametrize(("network", "reference"), [("sam", sam_box), ("sam2", sam2_box)])
def test_the_box_is_around_the_best_mask_at_the_hottest_point(
    folder: Path, network: str, reference: Callable[[Path, Image.Image, Point], Box]
) -> None:
    asked = mentions_of(*samples_about("odd.png", "square.png", "turned.jpg"))
    boxes = set()
    for mention, answer in zip(asked, build(folder, network, heat=True).ground(asked), strict=True):
        (region,) = whole(answer)
        assert mention.sample.image is not None
        picture = open_upright(folder / "pictures", mention.sample.image.path)
        text = query_text(QUERY, mention.entity)
        expected = by_autograd(folder / "itm", picture, text, 1)
        point = hottest_point(region.heat, ImageSize(*picture.size))
        row, column = divmod(int(expected.argmax()), 4)
        assert point == ((column + 0.5) * picture.width / 4, (row + 0.5) * picture.height / 4)
        assert region.box == reference(folder / network, picture, point)
        assert (region.score, region.source, region.mask) == (None, "itm-gradcam", None)
        boxes.add(region.box)
    assert len(boxes) > 2, "answers of any use differ"


@pytest.mark.parametrize("network", ["sam", "sam2"])
def test_contract(folder: Path, network: str) -> None:
    samples = samples_about(*SIDES, "gone.png")
    samples.append(make_sample("no picture", [(0, 1, "PER")], id="none", has_image=False))
    asked = mentions_of(*samples)
    backend = build(folder, network, heat=True, batch_size=3)
    answers = check_backend(GROUND, backend, asked)
    issues = [answer.kind for answer in answers if isinstance(answer, Issue)]
    assert issues == ["missing-image", "missing-image", "no-picture"]


def test_heat_is_kept_only_on_request_and_changes_nothing_else(folder: Path) -> None:
    asked = mentions()
    with_heat = build(folder, heat=True).ground(asked)
    for bare, hot in zip(build(folder).ground(asked), with_heat, strict=True):
        (one,), (other,) = whole(bare), whole(hot)
        assert one.heat is None
        assert isinstance(other.heat, HeatMap)
        assert heat_array(other.heat).max() == 255
        assert one.box == other.box


def changed(folder: Path, copy: Path, name: str, **parts: float | tuple[float, ...]) -> Path:
    """A copy of the models in which weights with such a part in their name have these values."""
    for model in ("itm", "sam"):
        (copy / model).mkdir(parents=True)
        for file in (folder / model).iterdir():
            (copy / model / file.name).write_bytes(file.read_bytes())
    save_odd_images(copy / "pictures")
    path = copy / name / "model.safetensors"
    weights = load_file(path)
    for part, value in parts.items():
        named = [values for key, values in weights.items() if part in key]
        assert named
        for values in named:
            values.copy_(torch.tensor(value))
    save_file(weights, path, metadata={"format": "pt"})
    return copy


def test_a_map_without_any_heat_is_an_issue(folder: Path, tmp_path: Path) -> None:
    cold = changed(folder, tmp_path, "itm", itm_head=0.0)
    for answer in build(cold).ground(mentions()):
        assert isinstance(answer, Issue)
        assert answer.kind == "no-heat"


def test_a_mask_without_any_pixel_is_an_issue(folder: Path, tmp_path: Path) -> None:
    blind = changed(folder, tmp_path, "sam", output_hypernetworks_mlps=0.0)
    asked = mentions_of(*samples_about("odd.png"))
    answers = build(blind).ground(asked)
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["no-mask"] * 2
    assert "cut out no pixel at " in answers[0].message


def test_a_network_that_is_sure_still_has_a_map(folder: Path, tmp_path: Path) -> None:
    """There the gradient of the probability itself is 0 in float32."""
    sure = changed(folder, tmp_path, "itm", **{"itm_head.bias": (-200.0, 200.0)})
    asked = mentions_of(*samples_about("odd.png"))
    for answer, usual in zip(build(sure).ground(asked), build(folder).ground(asked), strict=True):
        assert whole(answer) == whole(usual)


@pytest.mark.parametrize("layer", [2, 7])
def test_a_layer_that_is_not_there_is_one_line(folder: Path, layer: int) -> None:
    message = f"layer: {layer}: the model has text layers 0 to 1; name one of them"
    with pytest.raises(UserError, match=message):
        build(folder, layer=layer)
    with pytest.raises(UserError, match=message):
        config(folder, layer=layer).contents(folder)


def test_stages_of_one_folder_share_their_networks(folder: Path) -> None:
    context = image_context(folder / "pictures", folder)
    grounder: Any = config(folder).build(context)
    entailer = ItmEntailerConfig(model="itm", device="cpu").build(context)
    segmenter: Any = SamConfig(model="sam", device="cpu").build(context)
    assert grounder._finder._heat._matcher is entailer._matcher
    assert grounder._finder._segmenter is segmenter._network
    asked = mentions_of(*samples_about("odd.png"))
    before = entailer.entail(asked)
    grounder.ground(asked)
    assert entailer.entail(asked) == before, "no hook stays behind"
    other = ItmEntailerConfig(model="itm", device="cpu", dtype="bfloat16").build(context)
    assert other._matcher is not entailer._matcher


def test_a_model_of_a_training_is_asked_as_in_it(folder: Path) -> None:
    assert ItmGradcamConfig(model="itm").settled(folder).query == "{expression}"
    trained = MatcherSettings(query="{label} {mention}", threshold=0.5)
    trained.write(folder / "itm")
    try:
        assert ItmGradcamConfig(model="itm").settled(folder).query == "{label} {mention}"
        assert config(folder).settled(folder).query == QUERY
    finally:
        (folder / "itm" / MatcherSettings.file).unlink()


def test_half_precision_gives_answers(folder: Path) -> None:
    for answer in build(folder, dtype="bfloat16").ground(mentions()):
        assert len(whole(answer)) == 1


def test_the_segmenter_has_its_usual_model() -> None:
    assert PointSegmenter.model_validate({"network": "sam"}).model == "facebook/sam-vit-huge"
    files = [one.setting for one in ItmGradcamConfig().model_files()]
    assert files == ["model", "segmenter.model"]
    with pytest.raises(ValueError, match="no workers of its own"):
        PointSegmenter(workers=2)


def test_contents_are_of_both_models(folder: Path) -> None:
    names = {*config(folder).contents(folder)}
    assert {"model.safetensors", "config.json", "segmenter/model.safetensors"} <= names
