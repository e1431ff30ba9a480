"""Freed memory is kept for the next image, in a process of its own."""

import subprocess
import sys

import pytest

from lowdose import memory

FAULTS = """
import resource, sys
import torch
from lowdose import memory

kept = memory.keep_for_reuse() if sys.argv[1] == "keep" else True

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(1 << 24)  # 64 MB, gone at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(kept, min(faults() for _ in range(6)))
"""


def run(how: str) -> tuple[bool, int]:
    result = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    kept, faults = result.stdout.split()
    return kept == "True", int(faults)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for the GNU C library")
def test_memory_that_was_freed_is_not_asked_for_again() -> None:
    kept, faults = run("keep")
    if not kept:
        pytest.skip("another C library")
    _, usual = run("usual")
    assert usual > 50  # at least every huge page anew
    assert faults < usual / 5


def test_other_platforms_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "plan9")
    assert not memory.keep_for_reuse()
