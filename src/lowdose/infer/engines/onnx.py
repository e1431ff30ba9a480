"""ONNX Runtime, which runs on whatever has no other engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowdose.infer.engines.base import EXACT, FAST, CompiledNetwork, CompileRequest
from lowdose.infer.engines.graph import export_graph, suppress_warnings

NEEDED = ("onnxruntime", "onnx", "onnxscript")


class OnnxRuntime:
    """float32 when exact. Fast: the convolutions but the first and the last in 8-bit integers, everything else, the
    sums of skip connections above all, in float32; their ranges are those of one noisy slice.
    """

    name = "onnxruntime"

    @property
    def version(self) -> str:
        return version("onnxruntime")

    def unavailable_reason(self) -> str:
        absent = [name for name in NEEDED if find_spec(name) is None]
        return f"{' and '.join(absent)} not installed; pip install 'lowdose[engines]'" if absent else ""

    def supports(self, precision: str) -> bool:
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        import onnxruntime

        with _kept_or_not(work.folder) as folder:
            model = folder / f"{work.precision}.onnx"
            if not model.is_file():
                plain = folder / f"{EXACT}.onnx"
                _convert(work, plain)
                if work.precision == FAST:
                    _quantise(plain, model, work)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(units: Tensor) -> Tensor:
            return torch.from_numpy(session.run(None, {name: units.contiguous().numpy()})[0])

        return run


@contextmanager
def _kept_or_not(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="lowdose-onnx-") as made:
        yield Path(made)


def _convert(work: CompileRequest, path: Path) -> None:
    graph, example = export_graph(work.network, work.shape), (torch.zeros(work.shape),)
    with suppress_warnings():
        torch.onnx.export(graph, example, str(path), dynamo=True, external_data=False, verbose=False)


class _Samples:
    """The sample, repeated over the whole image, once: its crops have seen everything that it shows."""

    def __init__(self, name: str, work: CompileRequest) -> None:
        low, high = (size - there for size, there in zip(work.shape[2:], work.sample.shape[2:], strict=True))
        room = ((0, 0), (0, 0), (0, max(0, low)), (0, max(0, high)))
        image = np.pad(work.sample.numpy(), room, mode="wrap")[:, :, : work.shape[2], : work.shape[3]]
        self._left = [{name: np.repeat(image, work.shape[0], axis=0)}]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None


def _quantise(plain: Path, target: Path, work: CompileRequest) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    graph = onnx.load(plain).graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    with suppress_warnings():
        quantize_static(
            plain,
            target,
            _Samples(graph.input[0].name, work),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
