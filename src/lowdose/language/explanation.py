"""Explanation of a slice by the words of LEDA's token pyramid, each with the region of the image it stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.image import AIR, HU
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.relevance import Relevance
from lowdose.language.vocabulary import Vocabulary
from lowdose.networks.pyramid_quantiser import Quantised

Span = tuple[int, int]
"""First pixel of a region along one axis, and the one past its last."""

WORD_LAYERS = 2
"""Layers, from the coarsest, that stand for regions and are read as words.

Finer layers have a token for every cell of the latents (LEDA, Fig. 3).
"""


@dataclass(frozen=True, eq=False)
class ExplainedLayer:
    """One layer of the token pyramid, at the h x w positions whose regions lie in the image.

    Attributes
    ----------
    tokens : (h, w) int64
        Numbers of the tokens in the vocabulary.
    words : (h, w), as a tuple of rows
        Words of the tokens.
    readable : (h, w) bool
        Whether the token is a whole word.
    distance : (h, w), in the units of the codebook
        Euclidean distance of the layer's residual from its token.
    relevance : (h, w) or None
        How well each token fits the slice, from 0 to 1; None where it was not requested.
    rows, columns : h and w pairs (first, last)
        First pixel of the region of each position, and the one past its last, in the image as given.
    """

    tokens: NDArray[np.int64]
    words: tuple[tuple[str, ...], ...]
    readable: NDArray[np.bool_]
    distance: NDArray[np.float32]
    relevance: NDArray[np.float32] | None
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def listed(self, readable: bool = False) -> list[str]:
        """List the words of all positions, row by row; with ``readable``, only the whole words."""
        flat = [word for line in self.words for word in line]
        return [word for word, whole in zip(flat, self.readable.flat, strict=True) if whole or not readable]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A slice as words.

    Attributes
    ----------
    layers : tuple of ExplainedLayer
        Layers of the token pyramid, coarsest first.
    latents, embedding : (C, h, w), in the units of the codebook
        Latents before and after quantisation, at all cells that lie in the image.
    word_length : units of the codebook
        Root mean square length of a word.
    stride : pixels
        Side of a cell of the latents.
    shape : (y, x)
        Size of the image.
    """

    layers: tuple[ExplainedLayer, ...]
    latents: NDArray[np.float32]
    embedding: NDArray[np.float32]
    word_length: float
    stride: int
    shape: tuple[int, int]


class Count(NamedTuple):
    """How often a word occurs in a layer.

    Attributes
    ----------
    layer : int
        Number of the layer, from 1, the coarsest.
    word : str
        The word.
    times : int
        Number of positions with this word.
    share : 0 to 1
        Share of the positions of the layer with this word.
    """

    layer: int
    word: str
    times: int
    share: float


@torch.inference_mode()
def explain_slice(
    guided: LanguageGuidedAutoencoder,
    hu: HU,
    pixel_mm: tuple[float, float] | None = None,
    relevance: Relevance | None = None,
) -> Explanation:
    """Explain a slice, (y, x) HU of any size, by words.

    guided: the autoencoder; relevance: provider of the relevance of each word, if requested; pixel_mm: spacing in mm
    between rows and between columns, for the relevance. NaN counts as air. The image is mirrored at its lower and right
    edges to a multiple of the stride, and to the smallest size in which every layer has a position; nothing is cropped,
    and regions end at the edges of the image. Raises InvalidSetting for an autoencoder whose codebook was learned,
    which has no words, and for an image that is not (y, x).
    """
    words = vocabulary_of(guided)
    if hu.ndim != 2 or not hu.size:
        raise InvalidSetting(f"an image of shape {hu.shape} to be explained: give one slice, (y, x)")
    autoencoder = guided.autoencoder
    device = next(autoencoder.parameters()).device
    parts, stride = autoencoder.quantiser.parts, autoencoder.stride
    padded = _mirror_far_edges(np.nan_to_num(hu, nan=float(AIR)), stride, autoencoder.smallest)
    image = torch.from_numpy(padded)[None, None]
    latents = autoencoder.encode(OBJECTIVE.encode(image.to(device).clamp(OBJECTIVE.low, OBJECTIVE.high))).float()
    quantised = autoencoder.quantise(latents)
    scores = None if relevance is None else relevance.scores(hu, pixel_mm)
    cells_down, cells_across = (-(-side // stride) for side in hu.shape)
    return Explanation(
        tuple(
            _explain_layer(number, quantised, latents, parts, words, scores, hu.shape, stride)
            for number in range(len(parts))
        ),
        latents[0, :, :cells_down, :cells_across].cpu().numpy(),
        quantised.embedding[0, :, :cells_down, :cells_across].cpu().numpy(),
        float(autoencoder.codebook.double().square().sum(1).mean().sqrt()),
        stride,
        (hu.shape[0], hu.shape[1]),
    )


def vocabulary_of(guided: LanguageGuidedAutoencoder) -> Vocabulary:
    """Return the vocabulary of an autoencoder. Raises InvalidSetting when its codebook was learned."""
    if guided.vocabulary is None:
        raise InvalidSetting(
            f"autoencoder '{guided.name}': its codebook was learned, so its tokens are no words; take one that was "
            "trained on a vocabulary ('lowdose train leda_autoencoder' with learned_tokens=0)"
        )
    return guided.vocabulary


def _mirror_far_edges(hu: HU, stride: int, smallest: int) -> HU:
    """Pad an image at its lower and right edges to multiples of the stride, and at least ``smallest``, by mirroring.

    The edge pixel is repeated, and the image is mirrored as often as needed, so that even a single pixel can be padded.
    """
    padding = [(0, max(smallest, -(-side // stride) * stride) - side) for side in hu.shape]
    return np.ascontiguousarray(np.pad(hu, padding, mode="symmetric"), np.float32)


def spans(part: slice, cells: int, stride: int, side: int) -> tuple[Span, ...]:
    """Return the regions of a layer along one axis of ``side`` pixels, as pairs of first pixel and one past the last.

    The region of a position is its block of cells; the last one extends to the edge. Regions wholly outside the image
    are left out. part: positions of the layer (``pyramid_quantiser.positions``) among ``cells``; stride: pixels a cell.
    """
    step = part.step or 1
    count = len(range(cells)[part])
    regions = []
    for number in range(count):
        first = number * step * stride
        last = side if number == count - 1 else min(first + step * stride, side)
        if first < side:
            regions.append((first, last))
    return tuple(regions)


def _explain_layer(
    number: int,
    quantised: Quantised,
    latents: torch.Tensor,
    parts: Sequence[slice],
    words: Vocabulary,
    scores: NDArray[np.float32] | None,
    shape: tuple[int, ...],
    stride: int,
) -> ExplainedLayer:
    part = parts[number]
    rows, columns = (spans(part, cells, stride, side) for cells, side in zip(latents.shape[2:], shape, strict=True))
    in_image = (slice(len(rows)), slice(len(columns)))
    tokens = quantised.indices[number][0].cpu().numpy()[in_image]
    # The average of n tokens is n times as close to the latent as the last token is to the last residual, since the
    # errors of the layers telescope.
    error = (quantised.averages[number][0] - latents[0][:, part, part]).norm(dim=0).cpu().numpy()
    distance = (error * _tokens_so_far(number, parts, latents.shape[2:]))[in_image]
    return ExplainedLayer(
        tokens=tokens,
        words=tuple(tuple(words.tokens[token] for token in line) for line in tokens),
        readable=words.readable[tokens],
        distance=distance.astype(np.float32),
        relevance=None if scores is None else scores[tokens],
        rows=rows,
        columns=columns,
    )


def _tokens_so_far(number: int, parts: Sequence[slice], cells: Sequence[int]) -> NDArray[np.int64]:
    """Count the tokens that each position of layer ``number`` has in this layer and all coarser ones."""
    count = np.zeros(tuple(cells), np.int64)
    for part in parts[: number + 1]:
        count[part, part] += 1
    return count[parts[number], parts[number]]


def frequencies(found: Iterable[Explanation], layers: int = WORD_LAYERS) -> list[Count]:
    """Count the words in the first ``layers`` layers of all explanations, layer by layer, most frequent first."""
    counted: list[Counter[str]] = [Counter() for _ in range(layers)]
    for explanation in found:
        for counter, layer in zip(counted, explanation.layers, strict=False):
            counter.update(layer.listed())
    return [
        Count(number, word, count, count / counter.total())
        for number, counter in enumerate(counted, start=1)
        for word, count in sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def agreement(first: Explanation, second: Explanation, layers: int = WORD_LAYERS) -> float:
    """Return the share of positions in the first ``layers`` layers that have the same word in both, from 0 to 1."""
    pairs = list(zip(first.layers[:layers], second.layers, strict=False))
    same = sum(int((a.tokens == b.tokens).sum()) for a, b in pairs)
    return same / sum(a.tokens.size for a, _ in pairs)


def common(first: Explanation, second: Explanation, layers: int = WORD_LAYERS) -> float:
    """Return the Dice coefficient of the sets A and B of words at any place, 2 |A and B| / (|A| + |B|), 0 to 1."""
    a, b = ({word for layer in each.layers[:layers] for word in layer.listed()} for each in (first, second))
    return 2 * len(a & b) / (len(a) + len(b))
