"""Replacement of convolutions in a graph by Winograd convolutions, fused with the sum and activations that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from lowdose.infer.engines.graph import ATEN, constant_weight, named_arguments
from lowdose.infer.engines.winograd.library import TILES, PackedConvolution

RELU = {ATEN.relu.default, ATEN.relu_.default}
LEAKY = {ATEN.leaky_relu.default, ATEN.leaky_relu_.default}


@dataclass
class FusedConvolution:
    """A convolution and the operators fused with it: activation, sum, activation, each of them optional.

    An operator is fused if it alone uses the result before it.

    Attributes
    ----------
    convolution : torch.fx.Node
        The convolution.
    last : torch.fx.Node
        Last fused operator, whose result replaces that of all.
    before, after : float
        Slope for negative values of the activation before and after the sum; 0 is a ReLU, 1 no activation.
    added : torch.fx.Node or None
        Image that is added.
    """

    convolution: Node
    last: Node
    before: float = 1.0
    added: Node | None = None
    after: float = 1.0


def replace_convolutions(graph: GraphModule, tiles: Mapping[int, int]) -> int:
    """Replace the convolutions of ``graph`` that have a fast algorithm, in place, and return their number.

    ``tiles`` maps the kernel size to the size of the output tile.
    """
    replaced = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target != ATEN.conv2d.default:
            continue
        packed = _pack(graph, node, tiles)
        if packed is None:
            continue
        fused = _fuse(node)
        graph.add_module(f"fast_{replaced}", _FusedConvolutionModule(packed))
        with graph.graph.inserting_after(fused.last):
            call = graph.graph.call_module(f"fast_{replaced}", (node.args[0], fused.added, fused.before, fused.after))
        call.meta = dict(fused.last.meta)
        fused.last.replace_all_uses_with(call)
        replaced += 1
    graph.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    graph.graph.lint()
    graph.recompile()
    return replaced


class _FusedConvolutionModule(torch.nn.Module):
    """Module through which a graph calls a packed convolution."""

    def __init__(self, convolution: PackedConvolution) -> None:
        super().__init__()
        self._convolution = convolution

    def forward(self, *arguments: Any) -> torch.Tensor:
        """Call the convolution."""
        return self._convolution(*arguments)


def _pack(graph: GraphModule, node: Node, tiles: Mapping[int, int]) -> PackedConvolution | None:
    """Pack the weights of a convolution; None if there is no fast algorithm for it."""
    arguments = named_arguments(
        node, "input weight bias stride padding dilation groups", bias=None, stride=1, padding=0, dilation=1, groups=1
    )
    try:
        weight, bias = constant_weight(graph, arguments["weight"]), constant_weight(graph, arguments["bias"])
    except TypeError:
        return None
    paddings, must_be_one = _values(arguments["padding"]), _values(arguments["stride"]) | _values(arguments["dilation"])
    must_be_one.add(arguments["groups"])
    if weight is None or weight.dtype != torch.float32 or must_be_one != {1} or len(paddings) != 1:
        return None
    kernel, padding = int(weight.shape[2]), paddings.pop()
    if weight.shape[2] != weight.shape[3] or kernel not in TILES or padding >= kernel:
        return None
    return PackedConvolution(weight, bias, tiles[kernel], padding)


def _values(number: Any) -> set[int]:
    """Return the different values of a setting that is given once or for each axis."""
    return {number} if isinstance(number, int) else set(number)


def _fuse(convolution: Node) -> FusedConvolution:
    """Follow the results of a convolution and collect the operators that can be fused with it."""
    fused = FusedConvolution(convolution, convolution)
    while len(fused.last.users) == 1:
        (user,) = fused.last.users
        slope = _slope(user)
        if slope is not None and fused.after == 1.0 and (fused.added is not None or fused.before == 1.0):
            if fused.added is None:
                fused.before = slope
            else:
                fused.after = slope
        elif fused.added is None and (other := _summand(user, fused.last)) is not None:
            fused.added = other
        else:
            break
        fused.last = user
    return fused


def _slope(node: Node) -> float | None:
    """Return the slope of an activation max(x, slope x); None if the node is no such activation."""
    if node.op != "call_function":
        return None
    if node.target in RELU:
        return 0.0
    if node.target in LEAKY:
        slope = float(named_arguments(node, "input negative_slope", negative_slope=0.01)["negative_slope"])
        return slope if 0 <= slope < 1 else None
    return None


def _summand(node: Node, one: Node) -> Node | None:
    """Return the image of the same shape that ``node`` adds to ``one``; None if it does something else."""
    if node.op != "call_function" or node.target not in (ATEN.add.Tensor, ATEN.add_.Tensor) or node.kwargs:
        return None
    others = [other for other in node.args if other is not one]
    if len(node.args) != 2 or len(others) != 1 or not isinstance(others[0], Node):
        return None
    shapes = [getattr(each.meta.get("val"), "shape", None) for each in (one, others[0])]
    return others[0] if shapes[0] is not None and shapes[0] == shapes[1] else None
