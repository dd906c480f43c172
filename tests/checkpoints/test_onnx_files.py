"""ONNX files: weights that lie in other files are not read, wherever the file names them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from riveg.checkpoints.onnx_files import read_onnx
from riveg.checkpoints.onnx_session import open_session
from riveg.errors import UserError
from riveg.files import asset
from riveg.stages.taggers.mini import MiniTagger

onnx = pytest.importorskip("onnx", reason='needs the extra: pip install "riveg[train]"')


def weights(location: str | None) -> Any:
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])
    if location is not None:
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        tensor.external_data.add(key="length", value="8")
    return tensor


def graph(nodes: list[Any], initial: list[Any], inputs: bool = True) -> Any:
    value = onnx.helper.make_tensor_value_info
    given = [value("x", onnx.TensorProto.FLOAT, [2])] if inputs else []
    result = value("y", onnx.TensorProto.FLOAT, [2])
    return onnx.helper.make_graph(nodes, "g", given, [result], initializer=initial)


def as_initializer(tensor: Any) -> Any:
    return graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], [tensor])


def as_constant(tensor: Any) -> Any:
    constant = onnx.helper.make_node("Constant", [], ["w"], value=tensor)
    return graph([constant, onnx.helper.make_node("Add", ["x", "w"], ["y"])], [])


def in_a_branch(tensor: Any) -> Any:
    same = onnx.helper.make_node("Identity", ["w"], ["y"])
    branch = graph([same], [tensor], inputs=False)
    true = onnx.helper.make_tensor("true", onnx.TensorProto.BOOL, [], [True])
    choice = onnx.helper.make_node("If", ["true"], ["y"], then_branch=branch, else_branch=branch)
    return graph([choice], [true])


def save(path: Path, content: Any) -> Path:
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(content, opset_imports=[opset], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


PLACES = [as_initializer, as_constant, in_a_branch]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "w.bin", "linked.bin"])
def test_weights_elsewhere_are_refused(
    place: Callable[[Any], Any], location: str, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(bytes(8))
    (folder / "linked.bin").symlink_to("/etc/passwd")
    path = save(folder / "model.onnx", place(weights(location)))
    with pytest.raises(UserError, match=r"model\.onnx: takes weights from another file") as error:
        open_session(path)
    assert location in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", PLACES)
def test_weights_in_the_file_are_read(place: Callable[[Any], Any], tmp_path: Path) -> None:
    session = open_session(save(tmp_path / "model.onnx", place(weights(None))))
    assert [output.name for output in session.get_outputs()] == ["y"]


def test_a_tensor_that_lies_elsewhere_and_does_not_say_where(tmp_path: Path) -> None:
    tensor = weights(None)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    path = save(tmp_path / "model.onnx", as_initializer(tensor))
    with pytest.raises(UserError, match="takes weights from another file"):
        read_onnx(path)


def test_a_tagger_of_others(tmp_path: Path) -> None:
    shutil.copytree(asset("tagger"), tmp_path, dirs_exist_ok=True)
    save(tmp_path / "model.onnx", as_initializer(weights("../../secret")))
    with pytest.raises(UserError, match=r"takes weights from another file .*\.\./\.\./secret"):
        MiniTagger(tmp_path)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.onnx", in_a_branch(weights(None))).read_bytes()
    chance = random.Random(1)
    errors = []
    for _ in range(150):
        content = bytearray(whole)
        content[chance.randrange(len(content))] = chance.randrange(256)
        path = tmp_path / "model.onnx"
        path.write_bytes(content[: chance.randrange(len(content) + 1)])
        try:
            read_onnx(path)
        except UserError as error:
            errors.append(str(error))
    assert len(errors) > 20
    assert not [error for error in errors if "\n" in error]
