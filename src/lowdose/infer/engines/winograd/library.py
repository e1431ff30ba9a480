"""The compiled convolutions: which of them this processor runs, and calling them."""

from __future__ import annotations

import ctypes
import importlib.machinery
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LINE = 64
"""Bytes of a cache line; packed weights start on one."""

TILES = {3: (4, 6), 5: (4, 6)}
"""Sizes of output tiles by size of kernel. Of larger tiles there are fewer products, and more rounding."""

VECTORS = {"AVX512": ("avx512", "avx2", "portable"), "AVX2": ("avx2", "portable")}
"""What to look for, best first, by what PyTorch says of the processor."""


@cache
def load_library() -> ctypes.CDLL | None:
    """The fastest build that is there and that this processor runs; None where nothing was compiled."""
    for kind in VECTORS.get(torch.backends.cpu.get_cpu_capability(), ("portable",)):
        for ending in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(__file__).with_name(f"{kind}{ending}")
            if path.is_file():
                return _declared(ctypes.CDLL(str(path)))
    return None


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    number, real, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    found.lowdose_packed_size.restype = ctypes.c_long
    found.lowdose_packed_size.argtypes = [number] * 4
    found.lowdose_pack.restype = None
    found.lowdose_pack.argtypes = [number, number, pointer, number, number, pointer]
    found.lowdose_convolve.argtypes = [number, number, *[pointer] * 5, *[number] * 6, real, real, number]
    return found


class PackedConvolution:
    """The weights of one convolution, transformed once. weight: (outputs, inputs, k, k) float32, k a key of TILES.

    tile: one of TILES[k]. Stride 1, no dilation, no groups. Raises RuntimeError where nothing was compiled.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, tile: int, padding: int) -> None:
        made = load_library()
        if made is None:
            raise RuntimeError("the Winograd convolutions were not compiled")
        self._library, self._tile, self._padding = made, tile, padding
        self._outputs, self._inputs, self._kernel = (int(n) for n in weight.shape[:3])
        size = made.lowdose_packed_size(tile, self._kernel, self._outputs, self._inputs)
        if not size:
            raise ValueError(f"no tile of {tile} for kernels of {self._kernel}; there are {TILES}")
        room = torch.empty(size + LINE // 4)
        self._packed = room[-room.data_ptr() % LINE // 4 :]
        plain = weight.detach().float().contiguous()
        made.lowdose_pack(tile, self._kernel, plain.data_ptr(), self._outputs, self._inputs, self._packed.data_ptr())
        self._bias = None if bias is None else bias.detach().float().contiguous()

    def __call__(self, image: Tensor, added: Tensor | None = None, before: float = 1.0, after: float = 1.0) -> Tensor:
        """activate(activate(conv(image), before) + added, after), activate(x, s) = max(x, s x): 0 ReLU, 1 nothing.

        image: (B, inputs, H, W) float32; added: as the result. Channels last, as is the result; what is laid out
        otherwise is copied. Raises MemoryError when there is not enough.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        count, _, height, width = image.shape
        grown = 2 * self._padding - self._kernel + 1
        shape = (count, self._outputs, height + grown, width + grown)
        if added is not None:
            added = added.expand(shape).contiguous(memory_format=torch.channels_last)
        result = torch.empty(shape, memory_format=torch.channels_last)
        pointers = (image, self._packed, self._bias, added, result)
        failed = self._library.lowdose_convolve(
            self._tile, self._kernel, *(None if each is None else each.data_ptr() for each in pointers),
            count, height, width, self._inputs, self._outputs, self._padding, before, after, torch.get_num_threads(),
        )  # fmt: skip
        if failed:
            raise MemoryError(f"a convolution of {tuple(image.shape)} found not enough memory")
        return result
