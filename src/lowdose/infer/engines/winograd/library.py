"""Python interface of the compiled Winograd convolutions: loading the build for this processor, and calling it."""

from __future__ import annotations

import ctypes
import importlib.machinery
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LINE = 64
"""Size of a cache line in bytes; packed weights are aligned to it."""

TILES = {3: (4, 6), 5: (4, 6)}
"""Available output tile sizes by kernel size. Larger tiles need fewer multiplications and round more."""

VECTORS = {"AVX512": ("avx512", "avx2", "portable"), "AVX2": ("avx2", "portable")}
"""Builds to try, fastest first, by the CPU capability that PyTorch reports."""


@cache
def load_library() -> ctypes.CDLL | None:
    """Load the fastest build that is installed and that this processor runs; None if nothing was compiled."""
    for kind in VECTORS.get(torch.backends.cpu.get_cpu_capability(), ("portable",)):
        for ending in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(__file__).with_name(f"{kind}{ending}")
            if path.is_file():
                return _declare_signatures(ctypes.CDLL(str(path)))
    return None


def _declare_signatures(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the argument and result types of the functions of ``winograd.h``."""
    integer, real, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    library.lowdose_packed_size.restype = ctypes.c_long
    library.lowdose_packed_size.argtypes = [integer] * 4
    library.lowdose_pack.restype = None
    library.lowdose_pack.argtypes = [integer, integer, pointer, integer, integer, pointer]
    library.lowdose_convolve.argtypes = [integer, integer, *[pointer] * 5, *[integer] * 6, real, real, integer]
    return library


class PackedConvolution:
    """A convolution of stride 1, without dilation or groups, whose weights are transformed once.

    Raises RuntimeError if the library was not compiled, ValueError for a tile size that it does not have.

    Parameters
    ----------
    weight : torch.Tensor
        Filters (outputs, inputs, k, k), float32; k is a key of ``TILES``.
    bias : torch.Tensor or None
        One value for each output channel.
    tile : int
        Size of the output tile, one of ``TILES[k]``.
    padding : int
        Zeros on each side of the image.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, tile: int, padding: int) -> None:
        library = load_library()
        if library is None:
            raise RuntimeError("the Winograd convolutions were not compiled")
        self._library, self._tile, self._padding = library, tile, padding
        self._outputs, self._inputs, self._kernel = (int(n) for n in weight.shape[:3])
        size = library.lowdose_packed_size(tile, self._kernel, self._outputs, self._inputs)
        if not size:
            raise ValueError(f"no tile of {tile} for kernels of {self._kernel}; there are {TILES}")
        buffer = torch.empty(size + LINE // 4)
        self._packed = buffer[-buffer.data_ptr() % LINE // 4 :]
        filters = weight.detach().float().contiguous()
        library.lowdose_pack(
            tile, self._kernel, filters.data_ptr(), self._outputs, self._inputs, self._packed.data_ptr()
        )
        self._bias = None if bias is None else bias.detach().float().contiguous()

    def __call__(self, image: Tensor, added: Tensor | None = None, before: float = 1.0, after: float = 1.0) -> Tensor:
        """Compute activate(activate(conv(image) + bias, before) + added, after), where activate(x, s) = max(x, s x).

        A slope s of 0 is a ReLU, 1 no activation. ``image`` is (B, inputs, H, W) float32; ``added`` has the shape of
        the result, or one that expands to it. The result is in channels-last layout; arguments in another layout are
        copied. Raises MemoryError if there is not enough memory.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        count, _, height, width = image.shape
        growth = 2 * self._padding - self._kernel + 1
        shape = (count, self._outputs, height + growth, width + growth)
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
