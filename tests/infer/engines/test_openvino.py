"""OpenVINO beside signals, whose handlers run on a stack that OpenVINO sets."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

PROGRAM = """
import os, signal, threading, torch
from lowdose.infer.engines.base import CompileRequest
from lowdose.infer.engines.openvino import OpenVino

signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
shape = (1, 1, 16, 16)
networks = [OpenVino().compile(CompileRequest(torch.nn.Conv2d(1, 1, 3, padding=1), shape, "exact", torch.zeros(shape)))]
networks[0](torch.zeros(shape))
released = threading.Thread(target=networks.clear)
released.start()
released.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_signals_are_handled_after_another_thread_has_released_a_network() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
