"""Aggregation along the edges of a graph: the formula, the sign of the attention, and that nodes have no order."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lowdose.networks.graph import aggregation
from lowdose.networks.graph.aggregation import CODE, SLOPE, EdgeAggregation, attention

NODES, NEIGHBOURS, CHANNELS, RANK = 30, 5, 6, 3


def a_graph() -> tuple[EdgeAggregation, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    layer = EdgeAggregation(CHANNELS, RANK).double()
    neighbours = torch.stack([torch.randperm(NODES)[:NEIGHBOURS] for _ in range(NODES)])
    return layer, torch.randn(NODES, CHANNELS, dtype=torch.float64), neighbours


def test_written_out_slowly() -> None:
    layer, nodes, neighbours = a_graph()
    into = layer.project.weight.view(RANK, CODE + 1, CHANNELS)
    out = layer.expand.weight.view(CHANNELS, RANK, CODE + 1)
    for node, own in enumerate(nodes):
        differences = nodes[neighbours[node]] - own
        distances = differences.square().mean(1)
        weights = torch.softmax(-distances / (distances.mean() + 1e-8), dim=0)
        total = layer.expand.bias.clone()
        for weight, difference, other in zip(weights, differences, nodes[neighbours[node]], strict=True):
            code = torch.cat([functional.leaky_relu(layer.encode(difference), SLOPE), torch.ones(1).double()])
            predicted = torch.zeros(CHANNELS, CHANNELS).double()
            for rank in range(RANK):
                predicted += torch.outer(out[:, rank] @ code, into[rank].T @ code)
            total = total + weight * predicted @ other
        # The attention is computed in single precision.
        torch.testing.assert_close(layer.over(nodes, neighbours)[node], total, rtol=1e-5, atol=1e-6)


def test_the_rank_of_the_predicted_weights_is_bounded() -> None:
    layer, _, _ = a_graph()
    code = torch.randn(CODE + 1).double()
    factors = (
        layer.expand.weight.view(CHANNELS, RANK, -1) @ code,
        layer.project.weight.view(RANK, -1, CHANNELS).mT @ code,
    )
    assert torch.linalg.matrix_rank(factors[0] @ factors[1]) == RANK < CHANNELS


def test_relabelling_nodes_permutes_the_output() -> None:
    layer, nodes, neighbours = a_graph()
    order = torch.randperm(NODES)
    new_number = torch.argsort(order)
    found = layer.over(nodes[order], new_number[neighbours[order]])
    torch.testing.assert_close(found, layer.over(nodes, neighbours)[order])


def test_the_order_of_neighbours_does_not_matter() -> None:
    layer, nodes, neighbours = a_graph()
    torch.testing.assert_close(layer.over(nodes, neighbours.flip(1)), layer.over(nodes, neighbours))


def test_similar_neighbours_count_more_and_equal_ones_the_same() -> None:
    differences = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1).expand(1, 3, 4)
    weights = attention(differences)[0]
    assert weights.sum().item() == pytest.approx(1)
    assert weights[0] > weights[1] > weights[2]
    torch.testing.assert_close(attention(100 * differences)[0], weights)
    torch.testing.assert_close(attention(torch.zeros(1, 4, 2)), torch.full((1, 4), 0.25))


@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_chunks_of_any_size_give_the_same_result_and_gradient(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, nodes, neighbours = a_graph()
    nodes.requires_grad_()
    expected = torch.autograd.grad(layer.over(nodes, neighbours).square().sum(), [nodes, *layer.parameters()])
    monkeypatch.setattr(aggregation, "CHUNK", chunk)
    found = torch.autograd.grad(layer.over(nodes, neighbours).square().sum(), [nodes, *layer.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
