"""Train one method on the common data for the common budget, and score it: one row of the leaderboard.

    python -m experiments.leaderboard.row METHOD [--budget cpu] [--steps N] [--slices N] [--teacher KIND:FILE] [--ct CT]
    python -m experiments.furnace --jobs experiments/leaderboard/jobs.toml run --ct CT   # trains all of them

METHOD: low_dose, nlm, tv, or a job of ``jobs.toml`` (``jobs_gpu.toml`` for --budget gpu). What the furnace has trained
already, with $LOWDOSE_FURNACE naming the same folder as $LOWDOSE_LEADERBOARD, is scored only. --steps and --slices
train fewer steps than the budget, on fewer slices, and the row says so. --teacher: another frozen network than the
job's, after whose file the row is then called, as of LEDA's Table 4. --ct: folder with normal-dose, more, blocks and
pairs, from which the data are built where they are missing; that takes minutes. Data and weights lie in
$LOWDOSE_LEADERBOARD, below the user's cache if that is not set; the row is written into ``rows``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experiments.furnace.jobs import Job, find_job, load_jobs
from experiments.furnace.runner import prepare
from experiments.furnace.score import denoise, patient_means
from experiments.furnace.state import Furnace, JobFolder
from experiments.furnace.turn import ONE_THREAD
from experiments.furnace.validation_set import load_images, load_set
from experiments.leaderboard.figures import Blend, score, strength_of_equal_noise
from experiments.leaderboard.sheet import write_panel
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.models import checkpoint
from lowdose.models.classical import CLASSICAL
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.networks.denoiser import Denoiser

HERE = Path(__file__).parent
JOBS, ROWS = HERE / "jobs.toml", HERE / "rows"
UNTRAINED = ("low_dose", "nlm", "tv")
TWIN = "mse_"
"""Jobs of this name train with mean squared error alone; they are the twins of all jobs of the same network."""


@dataclass(frozen=True)
class Cost:
    """What a training took: wall-clock and processor time in seconds; None where the furnace trained."""

    wall_s: float
    cpu_s: float | None


def main() -> None:
    """Make one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--budget", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--slices", type=int)
    parser.add_argument("--teacher", help="KIND:FILE, as of 'lowdose train'")
    parser.add_argument("--ct", type=Path)
    arguments = parser.parse_args()
    jobs = load_jobs(JOBS if arguments.budget == "cpu" else HERE / "jobs_gpu.toml")
    chosen = [variant(job, arguments.budget, arguments.steps, arguments.slices) for job in jobs]
    folder, name = leaderboard(), arguments.method
    number = 0 if name in UNTRAINED else jobs.index(find_job(jobs, name))
    prepare(folder, [chosen[number]], arguments.ct)
    if name in UNTRAINED:
        row = untrained_row(name, folder)
    else:
        job, twin = chosen[number], find_twin(chosen, chosen[number])
        if arguments.teacher:
            job, name = with_teacher(job, arguments.teacher), with_teacher(jobs[number], arguments.teacher).name
        row = trained_row(name, job, twin, folder)
        row |= {"budget_steps": jobs[number].steps, "budget_slices": int(jobs[number].set.get("bank_slices", 0))}
    row |= {"method": name, "job": arguments.method, "budget": arguments.budget}
    ROWS.mkdir(exist_ok=True)
    (ROWS / f"{name}-{arguments.budget}.json").write_text(json.dumps(row, indent=1) + "\n")
    print(json.dumps({name: value for name, value in row.items() if name not in ("slices", "control")}))


def leaderboard() -> Furnace:
    """Return the folder of data and weights."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Furnace(Path(os.environ.get("LOWDOSE_LEADERBOARD") or cache / "lowdose/leaderboard"))


def find_twin(jobs: list[Job], job: Job) -> Job | None:
    """Return the job that trains the same network with mean squared error; None for this job itself."""
    twins = [each for each in jobs if each.name.startswith(TWIN) and each.network == job.network]
    return twins[0] if twins and not job.name.startswith(TWIN) else None


def variant(job: Job, budget: str, steps: int | None, slices: int | None) -> Job:
    """Return the job under a name for its budget, with fewer steps on fewer slices where they are given."""
    given = {"steps": steps, "bank_slices": slices}
    changes = {name: number for name, number in given.items() if number is not None}
    parts = [job.name, *([] if budget == "cpu" else [budget]), *map(str, changes.values())]
    bank = f"{job.bank}_{slices}" if slices else job.bank
    return replace(job, name="_".join(parts), bank=bank, set={**job.set, **changes})


def with_teacher(job: Job, teacher: str) -> Job:
    """Return the job with another frozen network, called after its folder (of a run) or file."""
    file = Path(teacher.partition(":")[2])
    name = file.parent.name if file.stem == "model" else file.stem
    return replace(job, name=f"{job.name}_{name}", options={**job.options, "teacher": teacher})


def untrained_row(name: str, folder: Furnace) -> dict[str, object]:
    """Score low dose or a classical filter."""
    denoiser = Blend(CLASSICAL["gaussian"], 0.0) if name == "low_dose" else CLASSICAL[name]
    return scored(LoadedModel(name, "", denoiser, None, torch.device("cpu")), folder, name)


def trained_row(name: str, job: Job, twin: Job | None, folder: Furnace) -> dict[str, object]:
    """Train where that is still to do, score, and put the blended twin beside a row that leaves more noise."""
    place = folder.job(job.name)
    cost = train(job, folder)
    row = scored(load_by_name(str(place.model), torch.device("cpu")), folder, name)
    row |= {
        "recipe": job.recipe, "network": job.network, "set": dict(job.set), "steps": steps_of(place),
        "seed": int(job.set.get("seed", 0)), "wall_s": round(cost.wall_s), "cpu_s": cost.cpu_s,
    }  # fmt: skip
    return row | {"control": blended_twin(twin, row, folder)}


def train(job: Job, folder: Furnace) -> Cost:
    """Train to the end, or go on with what was stopped; what is complete stays as it is.

    Steps that were made before the process was killed, which noted no cost, count as the others.
    """
    place = folder.job(job.name)
    note = place.folder / "cost.json"
    place.folder.mkdir(parents=True, exist_ok=True)
    spent = json.loads(note.read_text()) if note.exists() else {"wall_s": 0.0, "cpu_s": 0.0}
    made, steps = steps_of(place) if place.model.exists() else 0, job.steps or 1
    if made < steps:
        uncounted = 0 if note.exists() else made
        arguments = job.arguments(
            folder.training_set(job.data), folder.noise_bank(job.bank), place.run, place.state.exists()
        )
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "lowdose", *arguments], check=True, env={**os.environ, **ONE_THREAD})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent["wall_s"] += time.monotonic() - began
        spent["cpu_s"] += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        spent = {name: seconds * steps / (steps - uncounted) for name, seconds in spent.items()}
        note.write_text(json.dumps(spent))
    if not note.exists():
        return Cost(3600 * place.progress().hours, None)
    return Cost(spent["wall_s"], round(spent["cpu_s"]))


def steps_of(place: JobFolder) -> int:
    """Return the steps that the weights of a run have seen."""
    return int(str(checkpoint.load_denoiser(str(place.model)).training["step"]))


def scored(model: LoadedModel, folder: Furnace, name: str) -> dict[str, object]:
    """Return figures, speed and size of a model, and what it was measured with; draw its panel of the sheet."""
    fast = run_on_engine(model, say=lambda text: None)
    slices = score(fast, folder.validation_set)
    write_panel(fast, folder.folder, ROWS / f"{name}.png")
    network = model.denoiser.network if isinstance(model.denoiser, Denoiser) else None
    return {
        "figures": patient_means(slices),
        "seconds_a_slice": seconds_a_slice(fast, folder),
        "engine": fast.engine,
        "parameters": sum(p.numel() for p in network.parameters()) if network else 0,
        "machine": machine(),
        "commit": commit(),
        "slices": slices,
    }


def blended_twin(twin: Job | None, row: Mapping[str, object], folder: Furnace) -> dict[str, object] | None:
    """Return strength and figures of the twin, blended with the input to the noise of the row.

    None for a row without a twin, or that leaves no more noise than it.
    """
    if twin is None or not folder.job(twin.name).model.exists():
        return None
    model = run_on_engine(load_by_name(str(folder.job(twin.name).model), torch.device("cpu")), say=lambda text: None)
    figures = row["figures"]
    assert isinstance(figures, dict)
    strength = strength_of_equal_noise(model, folder.validation_set, figures["noise_sd"])
    if strength == 1.0:
        return None
    slices = score(replace(model, denoiser=Blend(model.denoiser, strength)), folder.validation_set)
    return {"twin": twin.name, "strength": round(strength, 4), "figures": patient_means(slices), "slices": slices}


def seconds_a_slice(model: LoadedModel, folder: Furnace) -> float:
    """Return the median time of five runs on the first slice of 512 x 512 pixels."""
    images = (load_images(folder.validation_set, item) for item in load_set(folder.validation_set))
    low = next(low for low, full in images if full.shape == (512, 512))
    item, times = load_set(folder.validation_set)[0], list[float]()
    for _ in range(6):
        began = time.perf_counter()
        denoise(model, item, low)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times[1:]), 3)


def machine() -> dict[str, object]:
    """Return processor, cores and load of this machine, since timings depend on them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    kind = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"processor": kind, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}


def commit() -> str:
    """Return the commit of this checkout, with '+' where files differ from it."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "../../src"], check=False).returncode
    return head.stdout.strip() + ("+" if changed else "")


if __name__ == "__main__":
    main()
