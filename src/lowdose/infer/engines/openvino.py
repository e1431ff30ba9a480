"""OpenVINO, Intel's engine for CPUs, AMD's included."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowdose.infer.engines.base import FAST, CompiledNetwork, CompileRequest
from lowdose.infer.engines.graph import export_graph, suppress_warnings


class OpenVino:
    """float32 when exact. Fast: bfloat16 inside, float32 in and out, on processors that multiply it natively."""

    name = "openvino"

    @property
    def version(self) -> str:
        return version("openvino")

    def unavailable_reason(self) -> str:
        return "" if find_spec("openvino") else "it is not installed; pip install 'lowdose[engines]'"

    def supports(self, precision: str) -> bool:
        return precision != FAST or "BF16" in _capabilities()

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        import openvino

        model = work.folder and work.folder / "model.xml"
        made = None if model and model.is_file() else self._convert(work, model)
        core = openvino.Core()
        if work.folder:
            core.set_property({"CACHE_DIR": str(work.folder)})
        precise = "bf16" if work.precision == FAST else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": precise,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = core.compile_model(made or str(model), "CPU", settings).create_infer_request()

        def run(units: Tensor) -> Tensor:
            request.infer([units.contiguous().numpy()], share_inputs=True)
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

        return run

    def _convert(self, work: CompileRequest, model: Path | None) -> Any:
        """The converted network; also saved where ``model`` says, so that the next process need not convert."""
        import openvino

        graph = export_graph(work.network, work.shape)
        with suppress_warnings():
            made = openvino.convert_model(torch.export.export(graph, (torch.zeros(work.shape),)))
        if model:
            openvino.save_model(made, model, compress_to_fp16=False)
        return made


def _capabilities() -> list[str]:
    import openvino

    found: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found
