"""Files and folders that appear under their final name complete or not at all, written by one run at a time.

While an output is written, it lies under a hidden name beside its place, and a lock beside it keeps other runs off. A
run that was killed leaves both behind; the next one to the same place removes them.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from lowdose.errors import OutputRefused
from lowdose.io.messages import reason
from lowdose.io.run_lock import RunLock
from lowdose.logger import log

WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""Error numbers that only writing can cause: disk full, quota exceeded, read-only, file too large."""


@contextmanager
def output_errors(output: Path) -> Iterator[None]:
    """Turn errors of the file system (disk full, no permission) into OutputRefused that names the output."""
    try:
        yield
    except OSError as error:
        raise OutputRefused(f"{output}: cannot be written ({reason(error)})") from error


def temporary_path(output: Path) -> Path:
    """Return a hidden path beside the output, at which it is written until it is complete."""
    return output.parent / f".{output.name}.partial-{secrets.token_hex(4)}"


def lock_path(output: Path) -> Path:
    """Return the path of the lock of an output that is written beside its final place."""
    return output.parent / f".{output.name}.lock"


def remove_unfinished(folder: Path, name: str) -> None:
    """Remove from ``folder`` what killed runs left of an output; the caller must hold its lock.

    name: of the output, as a pattern of `pathlib`. What cannot be removed is named in a warning.
    """
    for path in sorted(folder.glob(f".{name}.partial-*")):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            log.info("%s: was left by a run that was killed; removed", path)
        except OSError as error:
            log.warning("%s: was left by a run that was killed; remove it (%s)", path, reason(error))


def real_path(path: Path) -> Path:
    """Return a path without links; unlike ``Path.resolve``, it leaves a link that leads to itself as it is."""
    return Path(os.path.realpath(path))


def lies_inside(path: Path, folder: Path) -> bool:
    """Return whether a path lies inside a folder, or is that folder."""
    return real_path(path).is_relative_to(real_path(folder))


def missing_parents(path: Path) -> list[Path]:
    """Return the folders that must be created to hold ``path``, deepest first."""
    return [parent for parent in path.parents if not parent.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def refuse_existing_folder(output: Path) -> None:
    """Raise OutputRefused when a folder to be written exists and is not empty, is a file, or cannot be made.

    What an unfinished run to the same folder holds in it does not count.
    """
    with output_errors(output):
        if output.is_dir():
            unfinished = (lock_path(output).name, f".{output.name}.partial-")
            if not all(entry.name.startswith(unfinished) for entry in output.iterdir()):
                raise OutputRefused(f"{output}: exists and is not empty; choose another folder or remove it")
        elif output.exists() or output.is_symlink():
            raise OutputRefused(f"{output}: exists and is not a folder; choose another name")
        _refuse_unwritable(output)


def refuse_existing_file(output: Path) -> None:
    """Raise OutputRefused when a file to be written exists, or cannot be made."""
    with output_errors(output):
        if output.exists() or output.is_symlink():
            raise OutputRefused(f"{output}: exists; choose another name or remove it")
        _refuse_unwritable(output)


def _refuse_unwritable(output: Path) -> None:
    """Raise NotADirectoryError or PermissionError when no file or folder can be made at a free or empty place."""
    above = next(parent for parent in output.absolute().parents if parent.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not any(os.access(folder, os.W_OK | os.X_OK) for folder in (above, output)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def refuse_inside(output: Path, source: Path) -> None:
    """Raise OutputRefused when an output lies inside the input folder that it is made from."""
    if source.is_dir() and lies_inside(output, source):
        raise OutputRefused(f"{output}: lies inside the input folder {source}; choose a place outside it")


class AtomicFolder:
    """Folder that is filled at the temporary ``path`` and becomes ``output`` on ``commit``.

    ``source`` is the input that the output is made from; the output may not lie inside it. From ``open`` to ``discard``
    it is locked. Raises OutputRefused when the output exists and is not an empty folder, is being written by another
    run, or cannot be written.
    """

    def __init__(self, output: Path, source: Path | None = None) -> None:
        with output_errors(output):
            self.output = real_path(output)
            refuse_existing_folder(self.output)
            if source is not None:
                refuse_inside(output, source)
            # Renaming cannot replace a mount point, or a folder whose parent is not writable: fill it from inside.
            parent_not_writable = self.output.is_dir() and not os.access(self.output.parent, os.W_OK | os.X_OK)
            self._fill_inside = parent_not_writable or self.output.is_mount()
        beside = self.output / self.output.name if self._fill_inside else self.output
        self.path, self._lock = temporary_path(beside), RunLock(lock_path(beside), output)
        self._created_folders: list[Path] = []

    def open(self) -> None:
        """Take the lock and create the temporary folder, and the parent folders that it needs."""
        try:
            with output_errors(self.output):
                refuse_existing_folder(self.output)
                self._created_folders = missing_parents(self.path)
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
                refuse_existing_folder(self.output)  # of a run that has ended since
                remove_unfinished(self.path.parent, escape(self.output.name))
                self.path.mkdir()
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Move the temporary folder, or its files, to the output."""
        with output_errors(self.output):
            if self._fill_inside:
                for file in self.path.iterdir():
                    file.rename(self.output / file.name)
                self.path.rmdir()
                return
            refuse_existing_folder(self.output)
            if self.output.exists():
                self.output.rmdir()
            self.path.rename(self.output)

    def discard(self) -> None:
        """Remove what was not committed, and the parent folders created for it, and give the lock back."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()
        remove_empty(self._created_folders)


class AtomicFiles:
    """Main file and companion files, written under temporary names and renamed together, the main file first.

    From the first ``add`` to ``discard`` the main file is locked.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._lock = RunLock(lock_path(output), output)
        self._renames: list[tuple[Path, Path]] = []
        self._created_folders: list[Path] = []

    def add(self, final: Path) -> Path:
        """Return the temporary path at which to write ``final``.

        Raises OutputRefused when ``final`` exists, or the main file is being written by another run.
        """
        with output_errors(final):
            refuse_existing_file(final)
            self._created_folders = missing_parents(final) or self._created_folders
            final.parent.mkdir(parents=True, exist_ok=True)
            if not self._renames:
                self._lock.acquire()
                refuse_existing_file(final)  # of a run that has ended since
            remove_unfinished(final.parent, escape(final.name))
        hidden = temporary_path(final)
        self._renames.append((hidden, final))
        return hidden

    def commit(self) -> None:
        """Rename all files to their final names."""
        for hidden, final in self._renames:
            with output_errors(final):
                hidden.replace(final)

    def discard(self) -> None:
        """Remove what was not committed, and the parent folders created for it."""
        for hidden, _ in self._renames:
            hidden.unlink(missing_ok=True)
        self._lock.release()
        remove_empty(self._created_folders)


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes ``output`` when the block succeeds and vanishes when it fails.

    Raises OutputRefused when writing fails; errors in reading other files inside the block are passed on unchanged.
    """
    folder = AtomicFolder(output)
    folder.open()
    try:
        yield folder.path
        folder.commit()
    except OSError as error:
        if not _is_write_error(error, folder.path):
            raise
        with output_errors(output):
            raise
    finally:
        folder.discard()


def _is_write_error(error: OSError, folder: Path) -> bool:
    """Return whether an error concerns a file of ``folder``, or is one that only writing can cause."""
    in_folder = isinstance(error.filename, (str, os.PathLike)) and Path(error.filename).is_relative_to(folder)
    return in_folder or error.errno in WRITE_ERRORS
