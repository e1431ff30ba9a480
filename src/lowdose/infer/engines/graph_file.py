"""Exported graphs as JSON files, so that the next process need not export them anew, which takes seconds."""

from __future__ import annotations

import hashlib
import inspect
import json
import operator
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node

from lowdose.errors import LowDoseError
from lowdose.io.atomic_replace import replace_file

GETITEM = "getitem"
"""Name in the file of the one operator that is not PyTorch's: an element of several results."""

CONSTANTS: Mapping[type, str] = {torch.dtype: "dtype", torch.memory_format: "memory format", torch.layout: "layout"}
"""Constants of PyTorch that arguments may hold, by the name of their kind in the file."""


def source_fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 of the source files that define the classes of a network, its layers and their settings."""
    digest = hashlib.sha256(repr(network).encode())
    for kind in sorted({type(module) for module in network.modules()}, key=lambda kind: kind.__qualname__):
        if not kind.__module__.startswith("torch."):
            with suppress(OSError, TypeError):
                digest.update(Path(inspect.getfile(kind)).read_bytes())
    return digest.hexdigest()


def save_graph(graph: GraphModule, network: nn.Module, path: Path) -> None:
    """Write a graph exported from ``network``; without its weights, which are those of the network.

    Nothing is written where the graph holds anything that a file cannot: other tensors than the network's, or other
    operators than PyTorch's. What cannot be written is exported again the next time.
    """
    try:
        nodes = [_node_to_json(node, network) for node in graph.graph.nodes]
    except (TypeError, AttributeError):
        return
    with suppress(OSError, LowDoseError):
        replace_file(path, json.dumps({"sha256": _checksum(nodes), "nodes": nodes}).encode())


def load_graph(network: nn.Module, path: Path) -> GraphModule | None:
    """Read a graph that ``save_graph`` wrote for this network; None if there is none or it is damaged."""
    try:
        record = json.loads(path.read_text())
        if record["sha256"] != _checksum(record["nodes"]):
            return None
        graph, made = Graph(), dict[str, Node]()
        for fields in record["nodes"]:
            made[fields["name"]] = _node_from_json(graph, fields, made)
        graph.lint()
        return GraphModule(network, graph)
    except Exception:  # a damaged file can raise anything, and the graph is exported again
        return None


def _checksum(nodes: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(nodes).encode()).hexdigest()


def _node_to_json(node: Node, network: nn.Module) -> dict[str, Any]:
    """Describe a node. Raises TypeError or AttributeError for one that a file cannot hold."""
    fields: dict[str, Any] = {"name": node.name, "op": node.op, "target": str(node.target)}
    if node.op == "get_attr":
        operator.attrgetter(str(node.target))(network)
    elif node.op == "call_function":
        fields["target"] = GETITEM if node.target is operator.getitem else _operator_name(node.target)
    elif node.op not in ("placeholder", "output"):
        raise TypeError(f"{node.op} is not written")
    arguments = node.args if node.op != "output" else [_only_result(node)]
    fields["args"] = [_argument_to_json(argument) for argument in arguments]
    fields["kwargs"] = {name: _argument_to_json(argument) for name, argument in node.kwargs.items()}
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor):
        fields["shape"] = [int(side) for side in value.shape]
    return fields


def _only_result(output: Node) -> Node:
    """Return the result of a graph, which an exported one gives as a list of results. Raises TypeError for several."""
    (results,) = output.args
    if isinstance(results, Node):
        return results
    if not isinstance(results, (list, tuple)) or len(results) != 1 or not isinstance(results[0], Node):
        raise TypeError("a graph with several results is not written")
    return results[0]


def _operator_name(target: Any) -> str:
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        raise TypeError(f"{target} is no operator of PyTorch")
    return str(target)


def _argument_to_json(argument: Any) -> Any:
    if isinstance(argument, Node):
        return {"node": argument.name}
    if isinstance(argument, (list, tuple)):
        return [_argument_to_json(each) for each in argument]
    if argument is None or isinstance(argument, (bool, int, float, str)):
        return argument
    kind = CONSTANTS.get(type(argument))
    if kind is None:
        raise TypeError(f"an argument of type {type(argument).__name__} is not written")
    return {kind: str(argument).removeprefix("torch.")}


def _node_from_json(graph: Graph, fields: Mapping[str, Any], made: Mapping[str, Node]) -> Node:
    target = fields["target"]
    if fields["op"] == "call_function":
        target = operator.getitem if target == GETITEM else _find_operator(target)
    args = tuple(_argument_from_json(argument, made) for argument in fields["args"])
    kwargs = {name: _argument_from_json(argument, made) for name, argument in fields["kwargs"].items()}
    node = graph.create_node(fields["op"], target, args, kwargs, fields["name"])
    if "shape" in fields:
        node.meta["val"] = torch.empty(fields["shape"], device="meta")
    return node


def _find_operator(name: str) -> Any:
    namespace, packet, overload = name.split(".")
    if namespace != "aten":
        raise ValueError(f"{name} is no operator of PyTorch")
    return getattr(getattr(torch.ops.aten, packet), overload)


def _argument_from_json(argument: Any, made: Mapping[str, Node]) -> Any:
    if isinstance(argument, list):
        return [_argument_from_json(each, made) for each in argument]
    if not isinstance(argument, dict):
        return argument
    ((kind, name),) = argument.items()
    if kind == "node":
        return made[name]
    constant = getattr(torch, name)
    if CONSTANTS[type(constant)] != kind:
        raise ValueError(f"{name} is no {kind}")
    return constant
