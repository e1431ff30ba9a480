"""Export of a network as a graph of ATen operators for inputs of one shape, which every engine starts from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from lowdose.infer.engines.graph_file import load_graph, save_graph

Shape = tuple[int, int, int, int]
"""Shape of an input: (B, slices, H, W)."""

ATEN = torch.ops.aten


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Silence log messages up to WARNING and Python warnings, which model converters emit in great number."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def export_graph(network: nn.Module, shape: Shape, file: Path | None = None) -> GraphModule:
    """Export ``network`` in eval mode as ATen operators on float32 inputs of ``shape``, on the CPU.

    ``file``: where the exported graph is kept. It is read if it is there and sound, else written.

    Two operators are replaced by equivalent ones. Transposed convolutions of stride 1 become convolutions with flipped
    filters, which compute the same sums: CPUs have far better code for those. Euclidean norms become square roots of
    sums of squares: along a strided axis PyTorch's own norm takes five times as long and adds one by one, which loses
    four digits over an image. Weights that are not transformed are shared with the network.
    """
    graph = load_graph(network.eval(), file) if file else None
    if graph is None:
        graph = _export(network, shape)
        if file:
            save_graph(graph, network, file)
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target == ATEN.conv_transpose2d.input:
            _replace_transposed_convolution(graph, node)
        elif node.op == "call_function" and node.target == ATEN.linalg_vector_norm.default:
            _replace_euclidean_norm(graph, node)
    graph.graph.lint()
    graph.recompile()
    return graph


def _export(network: nn.Module, shape: Shape) -> GraphModule:
    with torch.no_grad(), suppress_warnings():
        graph = torch.export.export(network, (torch.zeros(shape),)).module()
    assert isinstance(graph, GraphModule)
    for node in list(graph.graph.nodes):
        guards = node.op == "call_module" and str(node.target).startswith("_guards")
        if guards or node.target == ATEN._assert_tensor_metadata.default:
            graph.graph.erase_node(node)  # checks of shapes and types, which the caller guarantees
    return graph


def constant_weight(graph: GraphModule, node: Any) -> Tensor | None:
    """Return the weight that an argument refers to, None if it is None. Raises TypeError if it is computed."""
    if node is None:
        return None
    if not isinstance(node, Node) or node.op != "get_attr":
        raise TypeError(f"{node} is no weight")
    attribute: Any = graph
    for name in str(node.target).split("."):
        attribute = getattr(attribute, name)
    assert isinstance(attribute, Tensor)
    return attribute


def named_arguments(node: Node, names: str, **defaults: Any) -> dict[str, Any]:
    """Map the positional and keyword arguments of an operator to ``names`` (in order, separated by spaces)."""
    return {**defaults, **dict(zip(names.split(), node.args, strict=False)), **node.kwargs}


def _replace_transposed_convolution(graph: GraphModule, node: Node) -> None:
    """Replace a transposed convolution of stride 1 by a convolution with flipped filters; leave others as they are."""
    arguments = named_arguments(
        node, "input weight bias stride padding output_padding groups dilation",
        bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    )  # fmt: skip
    is_plain = all(_all_equal(arguments[name], 1) for name in ("stride", "groups", "dilation"))
    if not is_plain or not _all_equal(arguments["output_padding"], 0):
        return
    weight = constant_weight(graph, arguments["weight"])
    assert weight is not None
    padding = _pair(arguments["padding"])
    name = f"{node.name}_flipped".replace(".", "_")
    graph.register_buffer(name, weight.detach().flip(2, 3).transpose(0, 1).contiguous())
    new_padding = [side - 1 - pad for side, pad in zip(weight.shape[2:], padding, strict=True)]
    if min(new_padding) < 0:
        return
    with graph.graph.inserting_before(node):
        flipped = graph.graph.get_attr(name)
        replacement = graph.graph.call_function(
            ATEN.conv2d.default, (arguments["input"], flipped, arguments["bias"], [1, 1], new_padding)
        )
    replacement.meta = dict(node.meta)
    node.replace_all_uses_with(replacement)
    graph.graph.erase_node(node)


def _replace_euclidean_norm(graph: GraphModule, node: Node) -> None:
    """Replace a Euclidean norm along axes by the square root of a sum of squares; leave other norms as they are."""
    arguments = named_arguments(node, "input ord dim keepdim dtype", ord=2, dim=None, keepdim=False, dtype=None)
    if arguments["ord"] != 2 or arguments["dim"] is None or arguments["dtype"] is not None:
        return
    with graph.graph.inserting_before(node):
        squares = graph.graph.call_function(ATEN.mul.Tensor, (arguments["input"], arguments["input"]))
        total = graph.graph.call_function(ATEN.sum.dim_IntList, (squares, arguments["dim"], arguments["keepdim"]))
        replacement = graph.graph.call_function(ATEN.sqrt.default, (total,))
    replacement.meta = dict(node.meta)
    node.replace_all_uses_with(replacement)
    graph.graph.erase_node(node)


def _pair(number: Any) -> tuple[int, int]:
    """Return the values for both axes; one value stands for both."""
    values = [number] if isinstance(number, int) else list(number)
    return (values * 2)[0], (values * 2)[1]


def _all_equal(number: Any, wanted: int) -> bool:
    """Return whether the values for both axes equal ``wanted``."""
    return _pair(number) == (wanted, wanted)
