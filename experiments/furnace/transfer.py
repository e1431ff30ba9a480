"""Export and import of a job: its run, weights and curve as one file, to go on elsewhere."""

from __future__ import annotations

import tarfile
from pathlib import Path

from experiments.furnace.jobs import Job
from experiments.furnace.state import Furnace, locked
from lowdose.io.atomic import new_folder


class CannotTransfer(Exception):
    """A job cannot be exported or imported."""


SKIPPED = ("lock", "tensorboard", "candidate.safetensors", "previous_state.pt")


def export_job(furnace: Furnace, job: Job, target: Path) -> str:
    """Write the folder of a job, without what can be made again, to ``target``."""
    folder = furnace.job(job.name).folder
    if not folder.is_dir():
        raise CannotTransfer(f"{job.name}: has not begun, so there is nothing to export")
    if target.exists():
        raise CannotTransfer(f"{target}: exists already; name another file")
    with locked(folder / "lock", f"job '{job.name}'"):
        partial = target.with_name(f".{target.name}.partial")
        with tarfile.open(partial, "w:gz") as archive:
            archive.add(folder, job.name, filter=lambda item: None if Path(item.name).name in SKIPPED else item)
        partial.rename(target)
    return f"{target}: {target.stat().st_size / 1e6:.1f} MB"


def import_job(furnace: Furnace, job: Job, source: Path) -> str:
    """Read the folder of a job from a file that ``export_job`` wrote; refuses to replace one that has begun."""
    folder = furnace.job(job.name).folder
    if (folder / "run").exists():
        raise CannotTransfer(f"{folder}: has begun; 'restart {job.name}' moves its run aside")
    try:
        with tarfile.open(source) as archive, new_folder(folder.with_name(f"{job.name}.imported")) as unpacked:
            members = [item for item in archive if Path(item.name).parts[:1] == (job.name,)]
            if not members:
                raise CannotTransfer(f"{source}: holds no job '{job.name}'")
            archive.extractall(unpacked, members, filter="data")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise CannotTransfer(f"{source}: cannot be read ({error}); export it again") from error
    imported = folder.with_name(f"{job.name}.imported")
    folder.mkdir(parents=True, exist_ok=True)
    for item in (imported / job.name).iterdir():
        item.rename(folder / item.name)
    (imported / job.name).rmdir()
    imported.rmdir()
    return f"{job.name}: imported after {furnace.job(job.name).progress().hours:.2f} hours"
