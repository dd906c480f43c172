"""Embedding tables of ONNX networks as int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `train` is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from riveg.training.int8_tables import quantize_table  # noqa: E402

TABLE = np.array(
    [[0.001, -0.0005], [100.0, -3.0], [0.0, 0.0], [-2.0, 2.0]],
    dtype=np.float32,
)


def save(path: Path, *, table: np.ndarray) -> Path:
    """A network that reads rows of a table, twice, and of a smaller one."""
    small = np.ones((2, 2), dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "rows"], ["first"]),
            helper.make_node("Gather", ["table", "rows"], ["second"]),
            helper.make_node("Add", ["first", "second"], ["both"]),
            helper.make_node("Gather", ["small", "places"], ["third"]),
            helper.make_node("Add", ["both", "third"], ["out"]),
        ],
        "tables",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [1, "n"])
            for name in ("rows", "places")
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, "n", 2])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(small, "small")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def test_each_row_is_as_exact_as_its_own_numbers_allow(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", table=TABLE)
    quantize_table(path)
    network = onnx.load(str(path))
    assert {each.data_type for each in network.graph.initializer if "int8" in each.name} == {
        TensorProto.INT8
    }
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = np.array([[0, 1, 2, 3, 0]])
    (found,) = session.run(None, {"rows": rows, "places": np.zeros_like(rows)})
    error = np.abs((found[0] - 1) / 2 - TABLE[rows[0]])
    steps = np.abs(TABLE).max(axis=1)[rows[0]] / 127
    assert (error <= steps[:, None] / 2 + 1e-6).all()
    assert (error[2] == 0).all()


def test_a_network_without_a_table_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", table=TABLE.astype(np.float16))
    network = onnx.load(str(path))
    del network.graph.initializer[:]
    onnx.save(network, str(path))
    with pytest.raises(ValueError, match="reads no float32 table"):
        quantize_table(path)
