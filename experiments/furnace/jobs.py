"""The named jobs of the furnace, as ``jobs.toml`` lists them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

JOBS = Path(__file__).with_name("jobs.toml")
COMMON = {"validation_patients": 0, "checkpoint_every": 10**9, "validate_every": 10**9}
"""Settings of every job: models are validated by the furnace, on slices that no training set holds."""
CHECKPOINT_MINUTES = 5


class TrainingSet(NamedTuple):
    """What a training set is chosen from.

    Attributes
    ----------
    folders : tuple of str
        Folders of scans.
    whole_runs : bool
        Whether all neighbouring slices are taken, as a model of three slices needs.
    """

    folders: tuple[str, ...]
    whole_runs: bool = False


ALL = ("normal-dose", "more", "blocks")
TRAINING_SETS = {
    "training_set": TrainingSet(ALL),
    "neighbours": TrainingSet(ALL, whole_runs=True),
    "seven_patients": TrainingSet(("normal-dose",)),
}
"""Training sets by name; the last is for comparison."""


class BadJobs(Exception):
    """The list of jobs cannot be read."""


@dataclass(frozen=True)
class Job:
    """One training that runs in the background.

    Attributes
    ----------
    name : str
        Name of the job, and of its folder.
    purpose : str
        What it is for, in a line.
    recipe, network : str
        Recipe, and network with its settings, as on the command line.
    start : str
        Weights that it starts from: a shipped model or a path; '' = random ones.
    ships_as : str
        Name of the shipped model that its result may replace; '' = none.
    data : str
        Training set: 'training_set', or another of ``TRAINING_SETS``.
    bank : str
        Folder of simulated noise, which jobs of the same training set and ``count_floor`` share; of an autoencoder,
        of digital patients.
    share : float
        Share of the time that this job gets, relative to others.
    short : bool
        Whether it is done before all jobs that are not short.
    options : mapping
        Further options of ``lowdose train``, such as teacher networks.
    set : mapping
        Hyperparameters.
    """

    name: str
    purpose: str
    recipe: str
    network: str = ""
    start: str = ""
    ships_as: str = ""
    data: str = "training_set"
    bank: str = "noise_bank"
    share: float = 1.0
    short: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    set: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int | None:
        """Steps of the whole job; None for one that trains for a time (option ``minutes``)."""
        return int(self.set["steps"]) if "steps" in self.set else None

    def arguments(self, data: Path, bank: Path, run: Path, resume: bool) -> list[str]:
        """Return the arguments of ``lowdose`` for one turn."""
        made = ["train", self.recipe, "--data", str(data), "--bank", str(bank)]
        made += [] if self.recipe == "leda_autoencoder" else ["--pairing", "simulated"]
        made += ["--network", self.network] if self.network else []
        made += ["--start", self.start] if self.start else []
        for name, value in self.options.items():
            made += [f"--{name}", value]
        for name, number in {**COMMON, **self.set}.items():
            made += ["--set", f"{name}={number}"]
        made += ["--checkpoint-minutes", str(CHECKPOINT_MINUTES), "--out", str(run)]
        return [*made, "--resume"] if resume else made


def load_jobs(path: Path = JOBS) -> list[Job]:
    """Read the jobs; raises BadJobs, naming the file and the fault."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        jobs = [_job(entry) for entry in content["job"]]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise BadJobs(f"{path}: {error}") from error
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise BadJobs(f"{path}: two jobs are called '{next(name for name in names if names.count(name) > 1)}'")
    return jobs


def _job(entry: Mapping[str, object]) -> Job:
    unknown = set(entry) - {item.name for item in fields(Job)}
    if unknown:
        raise TypeError(f"job '{entry.get('name')}': no setting '{min(unknown)}'")
    job = Job(**entry)  # type: ignore[arg-type]  # a wrong type fails where it is used, with the file named
    if "steps" not in job.set and "minutes" not in job.options:
        raise TypeError(f"job '{job.name}': its number of steps, or the option minutes, is missing")
    if not job.name.replace("_", "").isalnum():
        raise TypeError(f"job '{job.name}': a name consists of letters, digits and underscores")
    if job.data not in TRAINING_SETS:
        raise TypeError(f"job '{job.name}': data={job.data} is none of {', '.join(TRAINING_SETS)}")
    if job.share <= 0:
        raise TypeError(f"job '{job.name}': share={job.share} must be above 0")
    return job


def find_job(jobs: Sequence[Job], name: str) -> Job:
    """Return the job called ``name``; raises BadJobs, listing the known ones."""
    for job in jobs:
        if job.name == name:
            return job
    raise BadJobs(f"no job '{name}'; there are {', '.join(job.name for job in jobs)}")
