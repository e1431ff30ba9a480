"""Finds the convolutions of a graph that have a fast algorithm, and what can be done before their result is stored."""

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
    """A convolution and what follows it alone: activation, sum, activation, each of them or none."""

    convolution: Node
    last: Node
    before: float = 1.0
    added: Node | None = None
    after: float = 1.0


def replace_convolutions(graph: GraphModule, tiles: Mapping[int, int]) -> int:
    """Puts fast convolutions into ``graph``; returns how many. tiles: size of the output tile by size of kernel."""
    done = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target != ATEN.conv2d.default:
            continue
        fast = _filters(graph, node, tiles)
        if fast is None:
            continue
        found = _followed(node)
        graph.add_module(f"fast_{done}", _Call(fast))
        with graph.graph.inserting_after(found.last):
            made = graph.graph.call_module(f"fast_{done}", (node.args[0], found.added, found.before, found.after))
        made.meta = dict(found.last.meta)
        found.last.replace_all_uses_with(made)
        done += 1
    graph.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    graph.graph.lint()
    graph.recompile()
    return done


class _Call(torch.nn.Module):
    def __init__(self, filters: PackedConvolution) -> None:
        super().__init__()
        self._filters = filters

    def forward(self, *given: Any) -> torch.Tensor:
        return self._filters(*given)


def _filters(graph: GraphModule, node: Node, tiles: Mapping[int, int]) -> PackedConvolution | None:
    given = named_arguments(
        node, "input weight bias stride padding dilation groups", bias=None, stride=1, padding=0, dilation=1, groups=1
    )
    try:
        weight, bias = constant_weight(graph, given["weight"]), constant_weight(graph, given["bias"])
    except TypeError:
        return None
    sides, ones = _numbers(given["padding"]), _numbers(given["stride"]) | _numbers(given["dilation"])
    if weight is None or weight.dtype != torch.float32 or ones | {given["groups"]} != {1} or len(sides) != 1:
        return None
    kernel, padding = int(weight.shape[2]), sides.pop()
    if weight.shape[2] != weight.shape[3] or kernel not in TILES or padding >= kernel:
        return None
    return PackedConvolution(weight, bias, tiles[kernel], padding)


def _numbers(given: Any) -> set[int]:
    return {given} if isinstance(given, int) else set(given)


def _followed(convolution: Node) -> FusedConvolution:
    found = FusedConvolution(convolution, convolution)
    while len(found.last.users) == 1:
        (user,) = found.last.users
        slope = _slope(user)
        if slope is not None and found.after == 1.0 and (found.added is not None or found.before == 1.0):
            if found.added is None:
                found.before = slope
            else:
                found.after = slope
        elif found.added is None and (other := _summand(user, found.last)) is not None:
            found.added = other
        else:
            break
        found.last = user
    return found


def _slope(node: Node) -> float | None:
    """Of max(x, slope x); None for what is no such activation."""
    if node.op != "call_function":
        return None
    if node.target in RELU:
        return 0.0
    if node.target in LEAKY:
        slope = float(named_arguments(node, "input negative_slope", negative_slope=0.01)["negative_slope"])
        return slope if 0 <= slope < 1 else None
    return None


def _summand(node: Node, one: Node) -> Node | None:
    """What ``node`` adds to ``one``, an image of the same shape; None when it does something else."""
    if node.op != "call_function" or node.target not in (ATEN.add.Tensor, ATEN.add_.Tensor) or node.kwargs:
        return None
    others = [other for other in node.args if other is not one]
    if len(node.args) != 2 or len(others) != 1 or not isinstance(others[0], Node):
        return None
    shapes = [getattr(each.meta.get("val"), "shape", None) for each in (one, others[0])]
    return others[0] if shapes[0] is not None and shapes[0] == shapes[1] else None
