"""Embedding tables of an ONNX network as int8, with a scale for each row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from riveg.files import write_atomically


def quantize_table(path: Path) -> None:
    """Rewrites a network whose largest table that ``Gather`` reads is float32 so that it is int8.

    What is read is the row times its scale, so every row is as exact as its own largest number
    allows, whatever the other rows hold.

    Raises:
        ValueError: If ``Gather`` reads no float32 table.
        UserError: If the file cannot be written.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = onnx.load(str(path))
    graph = network.graph
    tables = {
        each.name: each
        for each in graph.initializer
        if len(each.dims) == 2 and each.data_type == TensorProto.FLOAT
    }
    readers = [node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables]
    if not readers:
        raise ValueError(f"{path}: reads no float32 table")
    largest = max((node.input[0] for node in readers), key=lambda name: tables[name].dims[0])
    weights = numpy_helper.to_array(tables[largest])
    scales = np.abs(weights).max(axis=1, keepdims=True) / np.float32(127)
    whole = np.round(weights / np.where(scales, scales, 1)).astype(np.int8)
    graph.initializer.remove(tables[largest])
    graph.initializer.append(numpy_helper.from_array(whole, f"{largest}_int8"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{largest}_scales"))
    nodes = []
    for node in graph.node:
        if node.op_type != "Gather" or node.input[0] != largest:
            nodes.append(node)
            continue
        rows, out = node.input[1], node.output[0]
        nodes += [
            helper.make_node("Gather", [f"{largest}_int8", rows], [f"{out}_int8"]),
            helper.make_node("Gather", [f"{largest}_scales", rows], [f"{out}_scales"]),
            helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}_float", f"{out}_scales"], [out]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    write_atomically(path, [network.SerializeToString()])
