"""Training in parts, on several processes and nodes, and how fast it says it is."""

import csv
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

import support
from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.base import Method, Update
from lowdose.training import runner
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.runner import MODEL_FILE
from lowdose.training.throughput import ThroughputMeter
from lowdose.training.trainer import STATE_FILE, Trainer
from support.training_runs import EXACT, StopAfter, assert_same, environment_of_processes, small_recipe, train


def weights(run: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(run / STATE_FILE, weights_only=True)["modules"]["denoiser"]
    return found


def assert_close(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=2e-6)


def test_a_batch_in_parts_is_the_same_update(tmp_path: Path) -> None:
    # The same patches, since patch n depends on the seed and n alone, and the mean of the parts' gradients.
    assert train(small_recipe(batch=4), tmp_path / "whole")
    for batch, accumulate in ((2, 2), (1, 4)):
        assert train(small_recipe(batch=batch, accumulate=accumulate), tmp_path / str(accumulate))
        assert_close(tmp_path / "whole", tmp_path / str(accumulate))
    logged = [
        {
            row["step"]: float(row["value"])
            for row in csv.DictReader((tmp_path / run / "log.csv").open())
            if row["name"] == "denoiser/mse"
        }
        for run in ("whole", "4")
    ]
    assert logged[0] == pytest.approx(logged[1], rel=1e-5)


def test_parts_resume_with_the_same_parts_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(small_recipe(accumulate=2), tmp_path / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not train(small_recipe(accumulate=2), tmp_path / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    with pytest.raises(InvalidSetting, match="accumulate was 2, now 1"):
        train(small_recipe(), tmp_path / "parts", replace(EXACT, resume=True))
    assert train(small_recipe(accumulate=2), tmp_path / "parts", replace(EXACT, resume=True))
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_run_from_before_there_were_parts_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not train(small_recipe(), tmp_path)
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    del state["run"]["accumulate"]
    torch.save(state, tmp_path / STATE_FILE)
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(small_recipe(), tmp_path, replace(EXACT, resume=True))


class Constant(Method[PairedBatch]):
    """Learns the mean of what it sees; the second player its negative, if there is one."""

    def __init__(self, players: int = 1, accumulates: bool = True) -> None:
        super().__init__()
        self.hyperparameters = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(players)])
        self.accumulates = accumulates  # type: ignore[misc]
        self.seen: list[int] = []

    @property
    def model(self) -> nn.Module:
        return self.hyperparameters[0]

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {str(place): number for place, number in enumerate(self.hyperparameters)}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        self.seen.append(len(batch.low))
        for place, number in enumerate(self.hyperparameters):
            before = number.weight.detach().clone()  # type: ignore[operator]
            yield Update(str(place), {"error": (number.weight - batch.low.mean()).square().sum()})  # type: ignore[operator]
            assert not torch.equal(number.weight, before)  # type: ignore[arg-type]  # past a yield it has been updated


def trainer(method: Constant, run: Path, **hyperparameters: object) -> Trainer:
    fabric = Fabric(accelerator="cpu", devices=1)
    return Trainer(fabric, method, Hyperparameters(steps=4, warmup=0, batch=4, **hyperparameters), run)  # type: ignore[arg-type]


def hooks(wait: float = 0.0) -> TrainerHooks:
    def batches(first: int, last: int) -> Iterator[PairedBatch]:
        for step in range(first, last):
            time.sleep(wait)
            yield PairedBatch(torch.full((8, 1, 16, 16), float(step)), torch.zeros(8, 1, 16, 16), torch.zeros(8))

    return TrainerHooks(batches, dict, lambda: None, lambda *_: None, lambda: False)


def test_checkpoints_by_the_clock_come_besides_those_by_steps(tmp_path: Path) -> None:
    def saved_after(run: Path, checkpoint_minutes: float | None) -> list[int]:
        run.mkdir()
        torch.manual_seed(0)
        fabric, method = Fabric(accelerator="cpu", devices=1), Constant()
        hyperparameters = Hyperparameters(steps=4, warmup=0, batch=4, checkpoint_every=3)
        running = Trainer(fabric, method, hyperparameters, run, checkpoint_minutes)
        exported: list[int] = []
        running.fit({}, replace(hooks(), export=lambda: exported.append(running.step)))
        return exported

    assert saved_after(tmp_path / "steps", None) == [3, 4]
    assert saved_after(tmp_path / "hours", 60.0) == [3, 4]
    assert saved_after(tmp_path / "clock", 1e-9) == [1, 2, 3, 4]
    one, other = (torch.load(tmp_path / run / STATE_FILE, weights_only=True) for run in ("steps", "clock"))
    assert_same(one["ema"], other["ema"])


def test_no_time_between_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="--checkpoint-minutes 0: must be above 0"):
        train(small_recipe(), tmp_path, replace(EXACT, checkpoint_minutes=0.0))


def test_players_take_turns_over_all_parts(tmp_path: Path) -> None:
    method = Constant(players=2)
    assert trainer(method, tmp_path, accumulate=4).fit({}, hooks())
    assert method.seen == [2] * 4 * 4


def test_what_needs_whole_batches_refuses_parts(tmp_path: Path) -> None:
    trainer(Constant(accumulates=False), tmp_path)
    with pytest.raises(InvalidSetting, match="accumulate=2: Constant learns from whole batches"):
        trainer(Constant(accumulates=False), tmp_path, accumulate=2)
    assert not Method.accumulates


def test_the_log_says_how_fast_and_what_is_waited_for(tmp_path: Path) -> None:
    shares = {}
    for name, wait in (("fast", 0.0), ("slow", 0.1)):
        (tmp_path / name).mkdir()
        assert trainer(Constant(), tmp_path / name).fit({}, hooks(wait))
        rows = {row["name"]: float(row["value"]) for row in csv.DictReader((tmp_path / name / "log.csv").open())}
        shares[name] = rows["throughput/data_wait_percent"]
        assert rows["throughput/slices_per_second"] == pytest.approx(
            rows["throughput/patches_per_second"] * 16 * 16 / 512**2, rel=1e-6
        )
    assert shares["slow"] > 80
    assert shares["fast"] < 50
    assert rows["throughput/patches_per_second"] < 8 / 0.1


def test_throughput_counts_patches_of_all_processes_and_excludes_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("lowdose.training.throughput.time.perf_counter", lambda: now[0])
    pace = ThroughputMeter(processes=3)

    def given() -> Iterator[tuple[Tensor, ...]]:
        for _ in range(2):
            now[0] += 1.0  # making a batch
            yield (torch.zeros(4, 1, 256, 256),)

    for _ in pace.batches(given()):
        now[0] += 3.0  # learning from it
    with pace.excluded():
        now[0] += 8.0
    told = pace.read_and_reset()
    assert told == {
        "throughput/patches_per_second": 2 * 4 * 3 / 8,
        "throughput/slices_per_second": 2 * 3 / 8,
        "throughput/data_wait_percent": 25.0,
        "throughput/validation_percent": 50.0,
    }
    now[0] += 1.0
    assert pace.read_and_reset()["throughput/patches_per_second"] == 0.0


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.training_runs import EXACT, train, small_recipe
train(small_recipe(batch=1, accumulate=2, steps=4), Path(sys.argv[1]), EXACT)
"""


def launch(script: Path, run: Path, environment: dict[str, str], *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "torch.distributed.run", *options, str(script), str(run)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


def wait_for_all(nodes: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all have ended well; when one fails, say what it said, and end the others, which wait for it."""
    end = time.monotonic() + 240
    try:
        while any(node.poll() is None for node in nodes) and time.monotonic() < end:
            failed = [node for node in nodes if node.poll()]
            assert not failed, failed[0].communicate()[1].decode()[:6000]
            time.sleep(0.2)
        assert [node.poll() for node in nodes] == [0] * len(nodes), "see what they said: " + str(nodes)
    finally:
        for node in nodes:
            node.kill()


@pytest.mark.long
def test_two_nodes_of_torchrun_equal_one_process_with_the_whole_batch(tmp_path: Path) -> None:
    script = tmp_path / "go.py"
    script.write_text(RUN.format(tests=str(Path(support.__file__).parents[1])))
    port, environment = free_port(), environment_of_processes(tmp_path)
    nodes = [
        launch(script, tmp_path / "nodes", environment, "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1",
               "--master-addr=127.0.0.1", f"--master-port={port}")
        for rank in range(2)
    ]  # fmt: skip
    wait_for_all(nodes)
    assert train(small_recipe(batch=4, steps=4), tmp_path / "alone")
    assert_close(tmp_path / "alone", tmp_path / "nodes")
    assert (tmp_path / "nodes" / MODEL_FILE).is_file()
