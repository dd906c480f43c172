"""The original networks in their original runtimes. Runs in the environments of ``build.py``.

``originals.py NETWORK ORIGINAL IMAGES OUTPUTS`` reads ``IMAGES`` (npz: ``images``, uint8, RGB,
*shape* ``(number, side, side, 3)``) and writes ``OUTPUTS`` (npz: the names of ``CARD.md``, one row
an image): NanoDet by TensorFlow, the face network by LiteRT, selfie segmentation by MediaPipe.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Outputs = dict[str, Any]
"""Name to array."""

NANODET_OUTPUTS = {
    "scores_8": "Identity:0",
    "scores_16": "Identity_1:0",
    "scores_32": "Identity_2:0",
    "bins_8": "Identity_3:0",
    "bins_16": "Identity_4:0",
    "bins_32": "Identity_5:0",
}
BGR_MEAN = np.array((103.53, 116.28, 123.675), np.float32)
BGR_DEVIATION = np.array((57.375, 57.12, 58.395), np.float32)


def nanodet(original: Path, images: np.ndarray) -> Outputs:
    """NanoDet by TensorFlow: its graph as the file says, with the weights beside it."""
    tf = import_module("tensorflow")

    content = json.loads(original.read_text(encoding="utf-8"))
    definition = graph_definition(content, original.parent)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            rows = [
                session.run(NANODET_OUTPUTS, {"input_1:0": nanodet_input(image)})
                for image in images
            ]
    return {name: np.concatenate([row[name] for row in rows]) for name in NANODET_OUTPUTS}


def nanodet_input(image: np.ndarray) -> np.ndarray:
    """``(side, side, 3)`` RGB to ``(1, 3, side, side)`` BGR, each channel by mean and deviation."""
    scaled = (image[..., ::-1].astype(np.float32) - BGR_MEAN) / BGR_DEVIATION
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def graph_definition(content: Mapping[str, Any], folder: Path) -> Any:
    """TensorFlow's graph of a TensorFlow.js file."""
    tf, json_format = import_module("tensorflow"), import_module("google.protobuf.json_format")
    topology = {"node": content["modelTopology"]["node"], "versions": {"producer": 1}}
    definition = json_format.ParseDict(topology, tf.compat.v1.GraphDef())
    values = dict(weights(content["weightsManifest"], folder))
    for node in definition.node:
        if node.op == "Const":
            # TensorFlow.js stores int64 as int32; the graph still says which is meant.
            constant = tf.make_tensor_proto(values[node.name], dtype=node.attr["dtype"].type)
            node.attr["value"].tensor.CopyFrom(constant)
    return definition


def weights(manifest: list[Mapping[str, Any]], folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and values of a manifest: int32, float32, and float32 stored as float16."""
    for group in manifest:
        content = b"".join((folder / path).read_bytes() for path in group["paths"])
        start = 0
        for weight in group["weights"]:
            stored = weight.get("quantization", {}).get("dtype", weight["dtype"])
            count = int(np.prod(weight["shape"]))
            values = np.frombuffer(content, np.dtype(stored), count, start)
            start += values.nbytes
            yield weight["name"], values.reshape(weight["shape"]).astype(weight["dtype"])


def face(original: Path, images: np.ndarray) -> Outputs:
    """The face network by LiteRT."""
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter(str(original))
    interpreter.allocate_tensors()
    (place,) = (one["index"] for one in interpreter.get_input_details())
    names = {
        "boxes" if one["shape"][-1] == 16 else "scores": one["index"]
        for one in interpreter.get_output_details()
    }
    rows = []
    for image in images:
        interpreter.set_tensor(place, face_input(image))
        interpreter.invoke()
        rows.append({name: interpreter.get_tensor(index) for name, index in names.items()})
    return {name: np.concatenate([row[name] for row in rows]) for name in names}


def face_input(image: np.ndarray) -> np.ndarray:
    """``(side, side, 3)`` RGB to ``(1, side, side, 3)`` in [-1, 1]."""
    return (image.astype(np.float32) / 127.5 - 1)[None]


def selfie(original: Path, images: np.ndarray) -> Outputs:
    """Selfie segmentation by MediaPipe, which has this very file inside."""
    mediapipe = import_module("mediapipe")
    folder = Path(str(mediapipe.__file__)).parent / "modules" / "selfie_segmentation"
    if (folder / original.name).read_bytes() != original.read_bytes():
        raise ValueError(f"MediaPipe's {original.name} differs from {original}")
    solution = mediapipe.solutions.selfie_segmentation.SelfieSegmentation
    rows = []
    for image in images:
        with solution(model_selection=0) as segmenter:
            rows.append(segmenter.process(image).segmentation_mask[None, ..., None])
    return {"mask": np.concatenate(rows)}


def selfie_input(image: np.ndarray) -> np.ndarray:
    """``(side, side, 3)`` RGB to ``(1, side, side, 3)`` in [0, 1]."""
    return (image.astype(np.float32) / 255)[None]


RUNTIMES = {"nanodet": nanodet, "face": face, "selfie": selfie}

if __name__ == "__main__":
    _, network, original_file, images_file, outputs_file = sys.argv
    found = RUNTIMES[network](Path(original_file), np.load(images_file)["images"])
    np.savez(outputs_file, **found)
