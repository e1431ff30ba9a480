"""Start Ray on this machine or join a running cluster, and decide how many workers fit."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from lowdose.archive.settings import LOCAL, ArchiveOptions, ArchiveSettings
from lowdose.errors import InvalidSetting

STORE_BYTES = 256 << 20
"""Shared memory of Ray on this machine; only names of series pass through it."""

WORKER_BYTES = 1640 << 20
"""Memory reserved for each worker when their number is chosen: RED-CNN of 96 channels and Ray take 1,553 MiB."""


ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
}
"""No statistics sent, GPUs left visible, few lines in the log, and signals left to this program: Ray's own handler
prints a native stack and aborts."""


@contextmanager
def ray_session(cluster: str) -> Iterator[Any]:
    """Start Ray on this machine, without a dashboard, or join the cluster at an address; signals go where they went."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InvalidSetting("--ray: Ray is not installed; pip install 'lowdose[ray]'") from error
    started = not ray.is_initialized()
    if started:
        with _signal_handlers_kept():
            _start(ray, cluster)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, cluster: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if cluster == LOCAL:
        ray.init(include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
    else:
        try:
            ray.init(address=cluster, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidSetting(f"--ray {cluster}: no Ray cluster answers there ({error})") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restore the handlers that Ray replaces when it starts; one of Ray's that runs meanwhile counts as Ctrl-C."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    except SystemExit as end:
        raise KeyboardInterrupt from end
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in kept.items():
                signal.signal(number, handler)


def allocate_workers(
    ray: Any, settings: ArchiveSettings, options: ArchiveOptions, series: int
) -> tuple[int, ArchiveSettings]:
    """Return the number of workers, and the settings with the device and the threads of each; GPUs come first.

    series: number of them; there are no more workers than series.
    """
    resources = ray.cluster_resources()
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    if gpus and settings.device != "cpu":
        workers = min(options.jobs or gpus, gpus, series)
        return workers, replace(settings, device="cuda", threads=settings.threads or max(1, cpus // (2 * gpus)))
    if settings.device == "cuda":
        raise InvalidSetting("--device cuda: this cluster has no GPU; use --device cpu or auto")
    fitting = int(resources.get("memory", WORKER_BYTES) // WORKER_BYTES)
    workers = min(options.jobs or max(1, min(cpus, fitting)), cpus, series)
    if options.cluster == LOCAL:
        cpus = min(cpus, torch.get_num_threads())
    return workers, replace(settings, device="cpu", threads=settings.threads or max(1, cpus // workers))
