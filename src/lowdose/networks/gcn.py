"""Graph network that looks locally, at similar pixels farther away, and through slices (Chen et al. 2020, rebuilt)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.network_spec import register_network
from lowdose.networks.graph.aggregation import SLOPE, EdgeAggregation
from lowdose.networks.graph.neighbours import nearest_neighbours
from lowdose.networks.slice_convolution import SliceConvolution

LOCAL = 3
"""Side of the square around a pixel that convolutions see, and in which no neighbour is looked for."""


class PaddedSliceConvolution(nn.Module):
    """Convolution of 3x3 pixels in ``depth`` slices that keeps the size: (B, S, C, H, W) -> (B, S, filters, H, W).

    Beyond the border of the image there are zeros, beyond the outermost slices these themselves.
    """

    def __init__(self, channels: int, filters: int, depth: int) -> None:
        super().__init__()
        self.convolution = SliceConvolution(channels, filters, depth)
        self.bias = nn.Parameter(torch.zeros(filters, 1, 1))

    def forward(self, stack: Tensor) -> Tensor:
        """Return the feature maps of every slice."""
        beyond = self.convolution.depth // 2
        whole = torch.cat([stack[:, :1]] * beyond + [stack] + [stack[:, -1:]] * beyond, dim=1)
        result: Tensor = self.convolution(functional.pad(whole, (1,) * 4)) + self.bias
        return result


class GraphBlock(nn.Module):
    """One layer of the network: x + leaky ReLU of (1 - beta) local + beta (intra + inter), of features x.

    (B, slices, C, H, W) -> the same. The local branch is a convolution over 3x3 pixels of up to three slices. The intra
    branch aggregates the nearest pixels of the same slice, the inter branch the same pixel of the other slices. beta is
    learned and 0 at first, so that an untrained block is the convolution alone. Only the slice in the middle is
    searched for neighbours, which takes most of the time; the others have the local branch alone.
    """

    def __init__(self, width: int, window: int, neighbours: int, rank: int, slices: int) -> None:
        super().__init__()
        self.window, self.neighbours = window, neighbours
        self.local = PaddedSliceConvolution(width, width, slices)
        self.intra = EdgeAggregation(width, rank)
        self.inter = EdgeAggregation(width, rank) if slices > 1 else None
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, stack: Tensor) -> Tensor:
        """Return the features of all slices after this layer."""
        local, middle = self.local(stack), stack.shape[1] // 2
        before, own, after = local[:, :middle], local[:, middle], local[:, middle + 1 :]
        fused = (1 - self.beta) * own + self.beta * self._from_the_graph(stack)
        return stack + functional.leaky_relu(torch.cat([before, fused[:, None], after], dim=1), SLOPE)

    def _from_the_graph(self, stack: Tensor) -> Tensor:
        """Return the sum of intra and inter branch of the slice in the middle, (B, C, H, W)."""
        batch, slices, channels, height, width = stack.shape
        middle = slices // 2
        nodes = stack.permute(1, 0, 3, 4, 2).reshape(slices, -1, channels)
        near = nearest_neighbours(stack[:, middle], self.window, self.neighbours, LOCAL)
        first = torch.arange(batch, device=near.device)[:, None, None] * (height * width)
        found = self.intra.over(nodes[middle], (near + first).flatten(0, 1))
        if self.inter is not None:
            others = torch.cat([nodes[:middle], nodes[middle + 1 :]]).transpose(0, 1)
            found = found + self.inter(nodes[middle], others, self.inter.project(others))
        return found.view(batch, height, width, channels).permute(0, 3, 1, 2)


@register_network("gcn")
class GraphDenoiser(nn.Module):
    """Graph network of one slice or of three: convolutions, similar pixels farther away, and neighbouring slices.

    (B, slices, H, W) -> (B, 1, H, W). This is a reconstruction: the text of the paper was not available. From its
    abstract is that it looks locally, then non-locally, then at neighbouring slices; from a later release of the same
    first author (arXiv 2105.07146) are the 16 neighbours in a window of 49 x 49 pixels without the 3 x 3 around each,
    weights of rank 11, and the fusion by a beta that starts at 0. Width, number of layers, and that the noise is
    predicted and subtracted are this project's choice, as is the attention (``graph.aggregation``). The last
    convolution starts at zero, so that an untrained network returns its input.

    Which pixels are neighbours depends on which of two nearly equal distances is smaller, so rounding can change a
    pixel by more than inference engines may; plain PyTorch runs it.

    Parameters
    ----------
    width : int
        Features of a pixel.
    blocks : int
        Layers, each with a graph of its own. The defaults give 83,075 parameters.
    window : int
        Side of the square that is searched for neighbours, in pixels; the time grows with its square. An odd number.
    neighbours : int
        Neighbours of a pixel.
    rank : int
        Rank of the weights that are predicted for each of them.
    slices : int
        Neighbouring slices that the network receives, the one to denoise in the middle: 1 or 3.

    Attributes
    ----------
    smallest : int
        Pixels a side of the smallest image.
    unexportable : str
        Why no inference engine runs it.

    Raises
    ------
    ValueError
        For other numbers of slices, and for a window that is even or too small for the neighbours.

    References
    ----------
    K. Chen, X. Pu, Y. Ren, H. Qiu, H. Li, J. Sun, Low-Dose CT Image Blind Denoising with Graph Convolutional Networks,
    ICONIP 2020.
    """

    unexportable = "looks for similar pixels"

    def __init__(
        self, width: int = 32, blocks: int = 2, window: int = 49, neighbours: int = 16, rank: int = 11, slices: int = 3
    ) -> None:
        super().__init__()
        if slices not in (1, 3):
            raise ValueError(f"slices={slices}: must be 1 or 3")
        self.smallest = math.isqrt(neighbours + LOCAL**2 - 1) + 1
        if window % 2 == 0 or window < 2 * self.smallest - 1:
            raise ValueError(
                f"window={window}: must be odd, and at least {2 * self.smallest - 1} for {neighbours} neighbours"
            )
        self.slices = slices
        self.first = PaddedSliceConvolution(1, width, slices)
        self.blocks = nn.ModuleList([GraphBlock(width, window, neighbours, rank, slices) for _ in range(blocks)])
        self.out = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W)."""
        stack = functional.leaky_relu(self.first(x[:, :, None]), SLOPE)
        for block in self.blocks:
            stack = block(stack)
        middle = self.slices // 2
        noise: Tensor = self.out(stack[:, middle])
        return x[:, middle : middle + 1] - noise
