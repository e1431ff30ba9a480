"""A network as a graph of plain operators, for inputs of one shape: what every engine starts from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

Shape = tuple[int, int, int, int]
ATEN = torch.ops.aten


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Within the block converters keep to themselves which passes they run and what of PyTorch is deprecated."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def export_graph(network: nn.Module, shape: Shape) -> GraphModule:
    """``network`` in eval mode as ATen operators on float32 inputs of ``shape``, on the CPU.

    Transposed convolutions of stride 1 become convolutions with flipped filters, the same sums: CPUs have far better
    code for those. Euclidean norms become roots of sums of squares: along an axis with steps PyTorch's own takes five
    times as long, and adds one by one, which loses four digits over an image. The weights are shared with the network
    where they stay as they are.
    """
    with torch.no_grad(), suppress_warnings():
        graph = torch.export.export(network.eval(), (torch.zeros(shape),)).module()
    assert isinstance(graph, GraphModule)
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target == ATEN.conv_transpose2d.input:
            _as_convolution(graph, node)
        elif node.op == "call_function" and node.target == ATEN.linalg_vector_norm.default:
            _as_sum_of_squares(graph, node)
        elif node.op == "call_module" and str(node.target).startswith("_guards"):
            graph.graph.erase_node(node)  # the caller keeps to the shape
    graph.graph.lint()
    graph.recompile()
    return graph


def constant_weight(graph: GraphModule, node: Any) -> Tensor | None:
    """The weight that an argument stands for; None for none. Raises TypeError when it is computed."""
    if node is None:
        return None
    if not isinstance(node, Node) or node.op != "get_attr":
        raise TypeError(f"{node} is no weight")
    found: Any = graph
    for name in str(node.target).split("."):
        found = getattr(found, name)
    assert isinstance(found, Tensor)
    return found


def named_arguments(node: Node, names: str, **defaults: Any) -> dict[str, Any]:
    """The arguments of an operator by name, however they were given."""
    return {**defaults, **dict(zip(names.split(), node.args, strict=False)), **node.kwargs}


def _as_convolution(graph: GraphModule, node: Node) -> None:
    given = named_arguments(
        node, "input weight bias stride padding output_padding groups dilation",
        bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    )  # fmt: skip
    alone = all(_every(given[name], 1) for name in ("stride", "groups", "dilation"))
    if not alone or not _every(given["output_padding"], 0):
        return
    weight = constant_weight(graph, given["weight"])
    assert weight is not None
    padding = _pair(given["padding"])
    name = f"{node.name}_flipped".replace(".", "_")
    graph.register_buffer(name, weight.detach().flip(2, 3).transpose(0, 1).contiguous())
    grown = [side - 1 - pad for side, pad in zip(weight.shape[2:], padding, strict=True)]
    if min(grown) < 0:
        return
    with graph.graph.inserting_before(node):
        flipped = graph.graph.get_attr(name)
        made = graph.graph.call_function(ATEN.conv2d.default, (given["input"], flipped, given["bias"], [1, 1], grown))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.graph.erase_node(node)


def _as_sum_of_squares(graph: GraphModule, node: Node) -> None:
    given = named_arguments(node, "input ord dim keepdim dtype", ord=2, dim=None, keepdim=False, dtype=None)
    if given["ord"] != 2 or given["dim"] is None or given["dtype"] is not None:
        return
    with graph.graph.inserting_before(node):
        squares = graph.graph.call_function(ATEN.mul.Tensor, (given["input"], given["input"]))
        total = graph.graph.call_function(ATEN.sum.dim_IntList, (squares, given["dim"], given["keepdim"]))
        made = graph.graph.call_function(ATEN.sqrt.default, (total,))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.graph.erase_node(node)


def _pair(number: Any) -> tuple[int, int]:
    found = [number] if isinstance(number, int) else list(number)
    return (found * 2)[0], (found * 2)[1]


def _every(number: Any, wanted: int) -> bool:
    return _pair(number) == (wanted, wanted)
