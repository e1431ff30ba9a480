"""ONNX Runtime engine, for processors that no other engine supports."""

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
from lowdose.infer.engines.graph import suppress_warnings

REQUIRED_PACKAGES = ("onnxruntime", "onnx", "onnxscript")


class OnnxRuntime:
    """ONNX Runtime on the CPU.

    Exact: float32. Fast: all convolutions except the first and the last in 8-bit integers, calibrated on one noisy
    slice; everything else, above all the sums of skip connections, in float32.
    """

    name = "onnxruntime"
    keeps_files = True

    @property
    def version(self) -> str:
        """Version of ONNX Runtime."""
        return version("onnxruntime")

    def unavailable_reason(self) -> str:
        """Name the packages that are not installed; '' if all are."""
        absent = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
        return f"{' and '.join(absent)} not installed; pip install 'lowdose[engines]'" if absent else ""

    def supports(self, accuracy: str) -> bool:
        """Return True: both accuracies are offered."""
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Export the network to ONNX, quantise it for fast accuracy, and start an inference session."""
        import onnxruntime

        with _folder_or_temporary(work.folder) as folder:
            model = folder / f"{work.accuracy}.onnx"
            if not model.is_file():
                plain = folder / f"{EXACT}.onnx"
                _export_onnx(work, plain)
                if work.accuracy == FAST:
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
def _folder_or_temporary(folder: Path | None) -> Iterator[Path]:
    """Yield ``folder``, or a temporary folder that is removed at the end of the block."""
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="lowdose-onnx-") as temporary:
        yield Path(temporary)


def _export_onnx(work: CompileRequest, path: Path) -> None:
    """Write the network as an ONNX file with float32 weights."""
    graph, example = work.export(), (torch.zeros(work.shape),)
    with suppress_warnings():
        torch.onnx.export(graph, example, str(path), dynamo=True, external_data=False, verbose=False)


class _CalibrationReader:
    """Calibration data of ONNX Runtime: one batch, the sample slice tiled to the size of the image.

    One batch is enough: it holds every value that other crops of the sample would show.
    """

    def __init__(self, name: str, work: CompileRequest) -> None:
        rows, columns = (size - have for size, have in zip(work.shape[2:], work.sample.shape[2:], strict=True))
        padding = ((0, 0), (0, 0), (0, max(0, rows)), (0, max(0, columns)))
        image = np.pad(work.sample.numpy(), padding, mode="wrap")[:, :, : work.shape[2], : work.shape[3]]
        self._batches = [{name: np.repeat(image, work.shape[0], axis=0)}]

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by input name, or None at the end."""
        return self._batches.pop() if self._batches else None


def _quantise(plain: Path, target: Path, work: CompileRequest) -> None:
    """Quantise the convolutions of an ONNX file to 8 bits, except the first and the last."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    graph = onnx.load(plain).graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    with suppress_warnings():
        quantize_static(
            plain,
            target,
            _CalibrationReader(graph.input[0].name, work),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
