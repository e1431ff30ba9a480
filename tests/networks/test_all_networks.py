"""Every network: parameter count of the literature, size rules, and what it does at fixed weights."""

import pytest
import torch
from torch.nn import functional

import lowdose.networks  # noqa: F401
from lowdose.errors import IncompatibleCheckpoint
from lowdose.network_spec import NETWORKS, NetworkSpec
from lowdose.networks.esau_net import ChannelAttention

SMALL = {
    "cpce": {"channels": 8},
    "du_gan": {"channels": 8},
    "gcn": {"width": 8, "blocks": 1, "window": 9, "neighbours": 4, "rank": 2, "slices": 1},
    "map_nn": {"channels": 8, "depth": 3},
    "noise2noise_td": {"width": 4, "features": 4},
    "red_cnn": {"channels": 4},
    "esau_net": {"width": 8},
    "res_hlf": {"channels": 8},
    "shuffle_unet": {"width": 8},
    "smgan": {"channels": 8, "slices": 1},
    "unet": {"width": 4, "levels": 3},
    "wgan_vgg": {"channels": 8},
}


def count(spec: NetworkSpec) -> int:
    return sum(p.numel() for p in spec.build().parameters())


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (NetworkSpec("du_gan"), 185_569),
        (NetworkSpec("du_gan", {"kernel": 5}), 514_273),
        (NetworkSpec("gcn"), 83_075),
        (NetworkSpec("noise2noise_td"), 181_988 + 737),
        (NetworkSpec("red_cnn"), 1_848_865),
        (NetworkSpec("esau_net"), 4_914_230),
        (NetworkSpec("res_hlf"), 56_097),
        (NetworkSpec("shuffle_unet"), 1_479_796),
        (NetworkSpec("smgan"), 111_744),
        (NetworkSpec("smgan", {"slices": 3}), 111_744),
        (NetworkSpec("unet"), 1_946_305),
        (NetworkSpec("wgan_vgg"), 55_872),
        (NetworkSpec("wgan_vgg", {"bias": True}), 56_097),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_parameter_count(spec: NetworkSpec, parameters: int) -> None:
    assert count(spec) == parameters


def test_every_network_is_tested() -> None:
    assert set(SMALL) == set(NETWORKS)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_keeps_size_and_learns_one_batch(name: str) -> None:
    torch.manual_seed(0)
    network = NetworkSpec(name, SMALL[name]).build()
    x = torch.rand(1, 1, 24, 32) * 0.1 + 0.3
    target = functional.avg_pool2d(x, 3, 1, 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = functional.mse_loss(network(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert network(x).shape == x.shape
    assert losses[-1] < 0.5 * losses[0]


def test_red_cnn_with_zero_weights_is_relu_of_its_input() -> None:
    network = NetworkSpec("red_cnn", SMALL["red_cnn"]).build()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 1, 24, 24)
    assert torch.equal(network(x), x.relu())


def test_red_cnn_written_out_slowly() -> None:
    torch.manual_seed(1)
    network = NetworkSpec("red_cnn", {"channels": 3}).build()
    c, d = list(network.encode), list(network.decode)
    x = torch.rand(1, 1, 25, 23)
    c1 = c[0](x).relu()
    c2 = c[1](c1).relu()
    c3 = c[2](c2).relu()
    c4 = c[3](c3).relu()
    c5 = c[4](c4).relu()
    d1 = (d[0](c5) + c4).relu()
    d2 = d[1](d1).relu()
    d3 = (d[2](d2) + c2).relu()
    d4 = d[3](d3).relu()
    assert torch.equal(network(x), (d[4](d4) + x).relu())


def test_wgan_vgg_written_out_slowly() -> None:
    torch.manual_seed(1)
    network = NetworkSpec("wgan_vgg", {"channels": 3, "bias": True}).build()
    x = torch.rand(1, 1, 17, 21)
    h = x
    for layer in network.layers:
        h = functional.conv2d(functional.pad(h, (1, 1, 1, 1)), layer.weight, layer.bias).relu()
    torch.testing.assert_close(network(x), h)


def test_du_gan_written_out_slowly() -> None:
    torch.manual_seed(1)
    network = NetworkSpec("du_gan", {"channels": 3, "kernel": 5}).build()
    x = torch.rand(1, 1, 17, 21)
    results = [x]
    for number, layer in enumerate(network.layers):
        h = functional.conv2d(functional.pad(results[-1], (2, 2, 2, 2)), layer.weight, layer.bias)
        if number >= 11:
            h = h + results[21 - number]  # what entered the layer as far from the middle
        results.append(h.relu())
    torch.testing.assert_close(network(x), results[-1])


def test_du_gan_refuses_kernels_without_a_middle() -> None:
    with pytest.raises(IncompatibleCheckpoint, match="kernel=4: must be odd"):
        NetworkSpec("du_gan", {"kernel": 4}).build()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("name", "slices"), [("wgan_vgg", 1), ("smgan", 9)])
def test_no_untrained_network_that_ends_with_a_relu_is_dead(name: str, slices: int, seed: int) -> None:
    # Where the last ReLU is 0 for all images, nothing is ever learned.
    torch.manual_seed(seed)
    x = torch.rand(1, slices, 24, 24) * 0.1 + 0.35
    assert 0.05 < NetworkSpec(name).build()(x).mean().item() < 2


def test_red_cnn_moves_with_its_input_away_from_the_border() -> None:
    torch.manual_seed(2)
    network = NetworkSpec("red_cnn", SMALL["red_cnn"]).build()
    x = torch.rand(1, 1, 64, 64)
    moved = torch.roll(x, (3, 5), (2, 3))
    inside = (..., slice(25, -25), slice(25, -25))
    expected = torch.roll(network(x), (3, 5), (2, 3))
    torch.testing.assert_close(network(moved)[inside], expected[inside], atol=1e-5, rtol=1e-4)


def test_red_cnn_refuses_small_images() -> None:
    network = NetworkSpec("red_cnn", SMALL["red_cnn"]).build()
    assert network(torch.rand(1, 1, 21, 21)).shape[-1] == 21
    with pytest.raises(ValueError, match="at least 21"):
        network(torch.rand(1, 1, 20, 40))


@pytest.mark.parametrize("name", ["esau_net", "shuffle_unet", "unet"])
def test_refuses_sides_that_do_not_divide(name: str) -> None:
    with pytest.raises(ValueError, match="multiples"):
        NetworkSpec(name, SMALL[name]).build()(torch.rand(1, 1, 33, 40))


@pytest.mark.parametrize("name", ["gcn", "map_nn", "res_hlf", "shuffle_unet", "unet"])
def test_an_untrained_network_that_predicts_a_change_is_the_identity(name: str) -> None:
    x = torch.rand(1, 1, 16, 16)
    assert torch.equal(NetworkSpec(name, SMALL[name]).build()(x), x)


def test_esau_net_has_no_bias_and_no_skip_from_the_input() -> None:
    network = NetworkSpec("esau_net", SMALL["esau_net"]).build()
    assert not [name for name, _ in network.named_parameters() if "bias" in name]
    assert not network(torch.zeros(1, 1, 16, 16)).any()
    torch.nn.init.zeros_(network.out.weight)
    assert not network(torch.rand(1, 1, 16, 16)).any()


def test_channel_attention_written_out_slowly() -> None:
    torch.manual_seed(3)
    layer = ChannelAttention(4, 2)
    torch.nn.init.uniform_(layer.temperature, 0.5, 2.0)
    x = torch.randn(1, 4, 5, 6)
    q, k, v = layer.depthwise(layer.qkv(x))[0].reshape(3, 4, 30)
    out = torch.zeros(4, 30)
    for head in range(2):
        for i in (2 * head, 2 * head + 1):
            scores = torch.stack(
                [
                    (q[i] / q[i].norm()) @ (k[j] / k[j].norm()) * layer.temperature[head, 0, 0]
                    for j in (2 * head, 2 * head + 1)
                ]
            ).softmax(0)
            out[i] = scores[0] * v[2 * head] + scores[1] * v[2 * head + 1]
    torch.testing.assert_close(layer(x), layer.project(out.reshape(1, 4, 5, 6)))


def test_channel_attention_ignores_where_pixels_are() -> None:
    layer = ChannelAttention(4, 2)
    # With a depth-wise kernel that only looks at its own pixel, nothing in the layer knows about neighbours.
    torch.nn.init.zeros_(layer.depthwise.weight)
    layer.depthwise.weight.data[:, :, 1, 1] = 1.0
    x = torch.randn(1, 4, 6, 6)
    order = torch.randperm(36)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    expected = layer(x).flatten(2)[..., order].reshape(x.shape)
    torch.testing.assert_close(layer(shuffled), expected, atol=1e-6, rtol=1e-4)


def test_unknown_name_and_setting_say_what_is_known() -> None:
    with pytest.raises(IncompatibleCheckpoint, match="red_cnn"):
        NetworkSpec("redcnn").build()
    with pytest.raises(IncompatibleCheckpoint, match="colour"):
        NetworkSpec("unet", {"colour": 3}).build()
