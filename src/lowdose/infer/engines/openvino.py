"""OpenVINO engine, made by Intel for x86 CPUs, including those of AMD."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowdose.infer.engines.base import FAST, CompiledNetwork, CompileRequest
from lowdose.infer.engines.graph import suppress_warnings


class OpenVino:
    """OpenVINO on the CPU.

    Exact: float32. Fast: bfloat16 with float32 input and output, on processors that multiply bfloat16 natively.
    """

    name = "openvino"
    keeps_files = True

    @property
    def version(self) -> str:
        """Version of OpenVINO."""
        return version("openvino")

    def unavailable_reason(self) -> str:
        """Explain how to install OpenVINO; '' if it is installed."""
        return "" if find_spec("openvino") else "it is not installed; pip install 'lowdose[engines]'"

    def supports(self, accuracy: str) -> bool:
        """Return whether the processor offers this accuracy: fast needs native bfloat16."""
        return accuracy != FAST or "BF16" in _capabilities()

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        """Convert the network, or read the converted model from the folder of the request, and compile it."""
        model = work.folder and work.folder / "model.xml"
        converted = None if model and model.is_file() else self._convert(work, model)
        accuracy = "bf16" if work.accuracy == FAST else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": accuracy,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            **({"CACHE_DIR": str(work.folder)} if work.folder else {}),
        }
        request = _core().compile_model(converted or str(model), "CPU", settings).create_infer_request()

        def run(units: Tensor) -> Tensor:
            request.infer([units.contiguous().numpy()], share_inputs=True)
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

        return run

    def _convert(self, work: CompileRequest, model: Path | None) -> Any:
        """Convert the network; also save it as ``model``, if given, so that the next process need not convert."""
        import openvino

        graph = work.export()
        with suppress_warnings():
            converted = openvino.convert_model(torch.export.export(graph, (torch.zeros(work.shape),)))
        if model:
            openvino.save_model(converted, model, compress_to_fp16=False)
        return converted


@cache
def _core() -> Any:
    """Return the OpenVINO runtime, one for the life of the process.

    Its CPU plugin gives the thread that first compiles a network a stack for signal handlers, and frees that memory
    with itself. If that happened in another thread, the next signal of the first one, even Ctrl-C or the end of a child
    process, would end the process without a word.
    """
    import openvino

    return openvino.Core()


def _capabilities() -> list[str]:
    """Return the number formats and instructions that OpenVINO reports for the processor, such as 'BF16'."""
    capabilities: list[str] = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities
