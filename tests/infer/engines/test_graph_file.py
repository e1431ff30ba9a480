"""Graphs kept on disk: the same graph comes back, and anything else is exported anew."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.infer.engines import graph as graph_module
from lowdose.infer.engines.graph import export_graph
from lowdose.infer.engines.graph_file import load_graph, save_graph, source_fingerprint
from lowdose.network_spec import NetworkSpec

SHAPE = (1, 1, 32, 48)
DENOISERS = {"red_cnn": {"channels": 8}, "esau_net": {"width": 8}, "shuffle_unet": {"width": 8}, "cpce": {}}


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NetworkSpec(name, DENOISERS[name]).build().eval()


@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_a_graph_comes_back_with_the_weights_of_the_network_at_hand(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = build(name), torch.randn(SHAPE)
    export_graph(network, SHAPE, tmp_path / "graph.json")
    monkeypatch.setattr(graph_module, "_export", lambda *_: pytest.fail("exported anew"))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        found = export_graph(network, SHAPE, tmp_path / "graph.json")(x)
        torch.testing.assert_close(found, network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("damage", ["torn", "edited", "empty", "foreign operator"])
def test_a_damaged_file_is_written_anew(damage: str, tmp_path: Path) -> None:
    network, file, x = build("red_cnn"), tmp_path / "graph.json", torch.randn(SHAPE)
    export_graph(network, SHAPE, file)
    sound = file.read_text()
    record = json.loads(sound)
    record["nodes"][-2]["target"] = "aten.abs.default"
    damaged = {
        "torn": sound[:-40],
        "edited": json.dumps(record),
        "empty": "",
        "foreign operator": sound.replace("aten.relu.default", "prims.exp.default"),
    }
    file.write_text(damaged[damage])
    assert load_graph(network, file) is None
    with torch.no_grad():
        torch.testing.assert_close(export_graph(network, SHAPE, file)(x), network(x), rtol=1e-4, atol=1e-5)
    assert file.read_text() == sound


class WithConstant(nn.Module):
    """A network with a tensor that is no weight of it, which a file of the graph does not hold."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.layer, self.constant = nn.Conv2d(1, 1, 3, padding=1), constant

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.tensor([self.constant, 1.0])[:1]


def test_a_graph_that_a_file_cannot_hold_is_exported_every_time(tmp_path: Path) -> None:
    x = torch.randn(SHAPE)
    for constant in (1.0, 2.0):
        network = WithConstant(constant)
        with torch.no_grad():
            torch.testing.assert_close(export_graph(network, SHAPE, tmp_path / "graph.json")(x), network(x))
    assert not (tmp_path / "graph.json").exists()


def test_a_folder_that_cannot_be_written_does_no_harm() -> None:
    network = build("red_cnn")
    save_graph(export_graph(network, SHAPE), network, Path("/proc/no-such-place/graph.json"))
    export_graph(network, SHAPE, Path("/proc/no-such-place/graph.json"))


def test_the_fingerprint_follows_layers_and_source(tmp_path: Path) -> None:
    one, other = NetworkSpec("red_cnn", {"channels": 8}).build(), NetworkSpec("red_cnn", {"channels": 9}).build()
    assert source_fingerprint(one) == source_fingerprint(NetworkSpec("red_cnn", {"channels": 8}).build())
    assert len({source_fingerprint(each) for each in (one, other, WithConstant(1.0))}) == 3
