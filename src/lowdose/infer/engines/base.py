"""Interface of an engine: a way to run a network on images of one shape, faster than PyTorch or without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn
from torch.fx import GraphModule

from lowdose.infer.engines.graph import Shape, export_graph

CompiledNetwork = Callable[[Tensor], Tensor]
"""Function that maps (B, slices, H, W) float32 in network units to (B, 1, H, W) float32 in network units."""

EXACT, FAST = "exact", "fast"
ACCURACIES = (EXACT, FAST)
"""Exact agrees with float64 within 0.01 HU; fast may differ more. ``accuracy_check`` holds the limits."""


@dataclass(frozen=True)
class CompileRequest:
    """A network to compile for one input shape and accuracy.

    Attributes
    ----------
    network : torch.nn.Module
        Network to compile.
    shape : tuple of int
        Input shape (B, slices, H, W).
    accuracy : str
        One of ``ACCURACIES``.
    sample : torch.Tensor
        CT slice (1, slices, h, w) in network units, for engines that calibrate the range of their values.
    folder : pathlib.Path or None
        Folder of this request alone for compiled files; None to keep none.
    graph_file : pathlib.Path or None
        File of the exported graph, which all engines and all weights of a network share; None to keep none.
    """

    network: nn.Module
    shape: Shape
    accuracy: str
    sample: Tensor
    folder: Path | None = None
    graph_file: Path | None = None

    def export(self) -> GraphModule:
        """Return the network as a graph of ATen operators, from its file or exported anew; see ``export_graph``."""
        return export_graph(self.network, self.shape, self.graph_file)


class Engine(Protocol):
    """One way to run networks.

    Attributes
    ----------
    name : str
        Name of the engine, as given to ``--engine``.
    keeps_files : bool
        Whether it keeps compiled files in the folder of a request; else the folder is None.
    """

    name: str
    keeps_files: bool

    @property
    def version(self) -> str:
        """What results and compiled files depend on besides the network, such as library versions."""
        ...

    def unavailable_reason(self) -> str:
        """Explain why the engine cannot be used on this machine and what to do about it; '' if it can be used."""
        ...

    def supports(self, accuracy: str) -> bool:
        """Return whether the engine offers this accuracy; fast only where it is faster than its exact accuracy."""
        ...

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Compile a network, within seconds. May raise any exception: an engine that fails is skipped."""
        ...
