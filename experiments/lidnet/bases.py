"""Train trained denoisers further, with and without LIDnet, and by other schedules: the runs that the tables compare.

    python -m experiments.lidnet.bases WORK DETECTOR [--bases red_cnn ...] [--schedules without alternating ...]

Each base starts from its job of the leaderboard and from the same detector, DETECTOR, which has learned on full dose
(T1 of Algorithm 1). Every schedule gives the denoiser as many steps on the same patches, with the same lesions in them.
WORK holds a run folder for each base and schedule; what is there already is left as it is.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path

import lowdose
from experiments.furnace.jobs import Job, find_job, load_jobs
from experiments.leaderboard.row import JOBS, leaderboard

BASES = {"red_cnn": "mse_red_cnn", "leda": "leda", "wgan_vgg": "wgan_vgg", "cpce": "cpce", "res_hlf": "res_hlf"}
"""Job of the leaderboard by name of the base."""
TURNS = (100, 50)
"""Steps of a round in which the denoiser learns, and then the detector."""
SCHEDULES: Mapping[str, Mapping[str, float]] = {
    "without": {"roi_weight": 0, "detection_weight": 0},
    "alternating": {},
    "frozen": {"detector_turns": 0},
    "joint": {"joint": 1},
}
"""Settings by name of the schedule: the detector learns from the denoiser alone; Algorithm 1; never; in every step."""


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("detector", type=Path)
    parser.add_argument("--bases", nargs="*", default=list(BASES), choices=list(BASES))
    parser.add_argument("--schedules", nargs="*", default=["without", "alternating"], choices=list(SCHEDULES))
    parser.add_argument("--denoiser-steps", type=int, default=600)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    arguments = parser.parse_args()
    jobs = load_jobs(JOBS)
    for base in arguments.bases:
        job = find_job(jobs, BASES[base])
        start = start_folder(arguments.work / f"{base}-start", job, arguments.detector)
        for schedule in arguments.schedules:
            run = arguments.work / f"{base}-{schedule}"
            if (run / "model.safetensors").exists():
                continue
            print(run.name, flush=True)
            given = dict(each.split("=", 1) for each in arguments.settings)
            settings = {**common(job, schedule, arguments.denoiser_steps), **SCHEDULES[schedule], **given}
            options = {name: value for name, value in job.options.items() if isinstance(value, str)}
            lowdose.train(
                "lidnet", run, base=job.recipe, network=job.network, data=leaderboard().training_set(job.data),
                pairing="simulated", bank=leaderboard().noise_bank(job.bank), start=start, set=settings, **options,
            )  # type: ignore[arg-type]  # fmt: skip


def start_folder(folder: Path, job: Job, detector: Path) -> Path:
    """Put model and critic of the job and the detector into one folder, as a run has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (leaderboard().folder / "jobs" / job.name / "run").glob("*.safetensors"):
        shutil.copy(file, folder)
    shutil.copy(detector, folder / "detector.safetensors")
    return folder


def common(job: Job, schedule: str, denoiser_steps: int) -> dict[str, object]:
    """Return the settings that all schedules of a base share, and as many steps as give the denoiser its own."""
    of_denoiser, of_detector = TURNS
    in_turns = schedule in ("without", "alternating")
    steps = denoiser_steps * (of_denoiser + of_detector) // of_denoiser if in_turns else denoiser_steps
    return {
        **job.set, "steps": steps, "learning_rate": 1e-4, "final_learning_rate": 1e-6, "validation_patients": 0,
        "detector_first": 0, "denoiser_turns": of_denoiser, "detector_turns": of_detector,
        "detector_learning_rate": 3e-4, "checkpoint_every": 10**6, "validate_every": 10**6,
    }  # fmt: skip


if __name__ == "__main__":
    main()
