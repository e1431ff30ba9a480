"""A slice as the words of LEDA's token pyramid, each with the part of the image that it stands for."""

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
WORD_LAYERS = 2
"""Layers that stand for regions, and so are read as words; below them every cell of the latent has one (Fig. 3)."""


@dataclass(frozen=True, eq=False)
class ExplainedLayer:
    """One layer of the pyramid as far as its regions lie in the image: h x w positions.

    tokens: (h, w) numbers in the vocabulary. words: (h, w) as tuples of rows. readable: (h, w) whole words.
    distance: (h, w) Euclidean, of the layer's residual to its token, in the units of the codebook.
    relevance: (h, w) how well each token fits the slice, 0 to 1; None where it was not asked for.
    rows, columns: of each position the first pixel of its region and the one past its last, in the image as given.
    """

    tokens: NDArray[np.int64]
    words: tuple[tuple[str, ...], ...]
    readable: NDArray[np.bool_]
    distance: NDArray[np.float32]
    relevance: NDArray[np.float32] | None
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def listed(self, readable: bool = False) -> list[str]:
        """The words of all positions, row by row; of the readable ones only, if asked."""
        flat = [word for line in self.words for word in line]
        return [word for word, good in zip(flat, self.readable.flat, strict=True) if good or not readable]


@dataclass(frozen=True, eq=False)
class Explanation:
    """layers: coarsest first. latents, embedding: (C, h, w), every cell of the latent that lies in the image, before
    and after it became words, in the units of the codebook; word_length: root mean square length of a word in them.
    stride: pixels a side of a cell. shape: (y, x) of the image.
    """

    layers: tuple[ExplainedLayer, ...]
    latents: NDArray[np.float32]
    embedding: NDArray[np.float32]
    word_length: float
    stride: int
    shape: tuple[int, int]


class Count(NamedTuple):
    """layer: from 1. share: of the layer's positions."""

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
    """(y, x) HU of any size -> its words. Values that are not numbers count as air.

    The image is mirrored at its far edges up to a multiple of the stride, and to the smallest size in which every layer
    has a position; nothing is cut off, and regions end where the image does. Raises InvalidSetting for an autoencoder
    whose codebook was learned, as it has no words, and for an image that is not (y, x).
    """
    words = vocabulary_of(guided)
    if hu.ndim != 2 or not hu.size:
        raise InvalidSetting(f"an image of shape {hu.shape} to be explained: give one slice, (y, x)")
    model = guided.autoencoder
    device = next(model.parameters()).device
    image = torch.from_numpy(_mirrored(np.nan_to_num(hu, nan=float(AIR)), model.stride, model.smallest))[None, None]
    latents = model.encode(OBJECTIVE.encode(image.to(device).clamp(OBJECTIVE.low, OBJECTIVE.high))).float()
    read = model.quantise(latents)
    scores = None if relevance is None else relevance.scores(hu, pixel_mm)
    parts, stride = model.quantiser.parts, model.stride
    inside = tuple(-(-side // stride) for side in hu.shape)
    return Explanation(
        tuple(_layer(number, read, latents, parts, words, scores, hu.shape, stride) for number in range(len(parts))),
        latents[0, :, : inside[0], : inside[1]].cpu().numpy(),
        read.embedding[0, :, : inside[0], : inside[1]].cpu().numpy(),
        float(model.codebook.double().square().sum(1).mean().sqrt()),
        stride,
        (hu.shape[0], hu.shape[1]),
    )


def vocabulary_of(guided: LanguageGuidedAutoencoder) -> Vocabulary:
    """Its words. Raises InvalidSetting when its codebook was learned."""
    if guided.vocabulary is None:
        raise InvalidSetting(
            f"autoencoder '{guided.name}': its codebook was learned, so its tokens are no words; take one that was "
            "trained on a vocabulary ('lowdose train leda_autoencoder' with learned_tokens=0)"
        )
    return guided.vocabulary


def _mirrored(hu: HU, stride: int, smallest: int) -> HU:
    """The edge pixel is repeated too, and the image as often as it takes: a single pixel can be mirrored, too."""
    more = [(0, max(smallest, -(-side // stride) * stride) - side) for side in hu.shape]
    return np.ascontiguousarray(np.pad(hu, more, mode="symmetric"), np.float32)


def spans(part: slice, cells: int, stride: int, side: int) -> tuple[Span, ...]:
    """The regions along one axis of ``side`` pixels: of each position its block of cells, the last one to the edge.

    part: the layer's positions (``pyramid_quantiser.positions``) among ``cells``. Blocks wholly outside are left out.
    """
    step = part.step or 1
    count = len(range(cells)[part])
    found = []
    for number in range(count):
        first = number * step * stride
        last = side if number == count - 1 else min(first + step * stride, side)
        if first < side:
            found.append((first, last))
    return tuple(found)


def _layer(
    number: int,
    read: Quantised,
    latents: torch.Tensor,
    parts: Sequence[slice],
    words: Vocabulary,
    scores: NDArray[np.float32] | None,
    shape: tuple[int, ...],
    stride: int,
) -> ExplainedLayer:
    part = parts[number]
    rows, columns = (spans(part, cells, stride, side) for cells, side in zip(latents.shape[2:], shape, strict=True))
    kept = (slice(len(rows)), slice(len(columns)))
    tokens = read.indices[number][0].cpu().numpy()[kept]
    # The error telescopes: the average of n tokens is n times as near as the last token is to the last residual.
    miss = (read.averages[number][0] - latents[0][:, part, part]).norm(dim=0).cpu().numpy()
    distance = (miss * _tokens_so_far(number, parts, latents.shape[2:]))[kept]
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
    """At every position of layer ``number`` how many tokens it has in this and the coarser layers."""
    count = np.zeros(tuple(cells), np.int64)
    for part in parts[: number + 1]:
        count[part, part] += 1
    return count[parts[number], parts[number]]


def frequencies(found: Iterable[Explanation], layers: int = WORD_LAYERS) -> list[Count]:
    """Every word of the first ``layers`` layers of all explanations: layer by layer, the most frequent first."""
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
    """Share of the positions of the first ``layers`` layers that hold the same word, 0 to 1."""
    pairs = list(zip(first.layers[:layers], second.layers, strict=False))
    same = sum(int((a.tokens == b.tokens).sum()) for a, b in pairs)
    return same / sum(a.tokens.size for a, _ in pairs)


def common(first: Explanation, second: Explanation, layers: int = WORD_LAYERS) -> float:
    """Dice of the different words of both, wherever they stand: 2 |A and B| / (|A| + |B|), 0 to 1."""
    a, b = ({word for layer in each.layers[:layers] for word in layer.listed()} for each in (first, second))
    return 2 * len(a & b) / (len(a) + len(b))
