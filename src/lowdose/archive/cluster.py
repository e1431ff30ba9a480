"""Start Ray on this machine or join a running cluster, and decide how many workers fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from lowdose.archive.worker import ArchiveSettings
from lowdose.errors import InvalidSetting

LOCAL = "local"
STORE_BYTES = 256 << 20
"""Shared memory of Ray on this machine; only names of series pass through it."""

WORKER_BYTES = 2 << 30
"""Memory reserved for each worker when their number is chosen: RED-CNN takes half of it, Ray some."""


@contextmanager
def ray_session(cluster: str) -> Iterator[Any]:
    """Start Ray on this machine, quiet and without a dashboard, or join the cluster at an address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InvalidSetting("--ray: Ray is not installed; pip install 'lowdose[ray]'") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    started = not ray.is_initialized()
    if started and cluster == LOCAL:
        ray.init(include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
    elif started:
        try:
            ray.init(address=cluster, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidSetting(f"--ray {cluster}: no Ray cluster answers there ({error})") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def allocate_workers(ray: Any, settings: ArchiveSettings, cluster: str, jobs: int) -> tuple[int, ArchiveSettings]:
    """Return the number of workers, and the settings with the device and the threads of each; GPUs come first."""
    resources = ray.cluster_resources()
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    if gpus and settings.device != "cpu":
        workers = min(jobs or gpus, gpus)
        return workers, replace(settings, device="cuda", threads=settings.threads or max(1, cpus // (2 * gpus)))
    if settings.device == "cuda":
        raise InvalidSetting("--device cuda: this cluster has no GPU; use --device cpu or auto")
    fitting = int(resources.get("memory", WORKER_BYTES) // WORKER_BYTES)
    workers = min(jobs or max(1, min(cpus, fitting)), cpus)
    if cluster == LOCAL:
        cpus = min(cpus, torch.get_num_threads())
    return workers, replace(settings, device="cpu", threads=settings.threads or max(1, cpus // workers))
