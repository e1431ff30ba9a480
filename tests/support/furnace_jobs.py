"""Lists of jobs for the furnace, as text."""

from pathlib import Path

JOB = """
[[job]]
name = "{name}"
purpose = "test"
recipe = "noise_free"
network = "shuffle_unet:width=4"
{more}
[job.set]
steps = {steps}
patch = 32
batch = 1
warmup = 2
realisations = 1
checkpoint_every = 10
{settings}
"""


def job_text(name: str, steps: int = 60, more: str = "", settings: str = "") -> str:
    return JOB.format(name=name, steps=steps, more=more, settings=settings)


def jobs_of(tmp_path: Path, *texts: str) -> Path:
    path = tmp_path / "jobs.toml"
    path.write_text("\n".join(texts))
    return path
