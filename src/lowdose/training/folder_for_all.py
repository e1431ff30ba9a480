"""Lock of a folder that all processes of a run share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lightning_fabric import Fabric

from lowdose.errors import OutputRefused
from lowdose.io.locked_folder import locked_folder
from lowdose.io.run_lock import Say


@contextmanager
def folder_for_all(fabric: Fabric, folder: Path, files: Iterable[str], wait: Say | None = None) -> Iterator[None]:
    """Lock a folder by the first process, for all; see ``locked_folder``. Every process must enter it.

    ``wait`` is for a run of one process; others would run into the time limit of their communication. Raises
    OutputRefused in every process when another run holds the folder.
    """
    refusal = ""
    with ExitStack() as stack:
        if fabric.is_global_zero:
            try:
                stack.enter_context(locked_folder(folder, files, wait if fabric.world_size == 1 else None))
            except OutputRefused as error:
                refusal = str(error)
        if refusal := fabric.broadcast(refusal):
            raise OutputRefused(refusal)
        yield
