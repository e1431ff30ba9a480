"""Output that appears under its name whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lowdose.errors import OutputRefused
from lowdose.io.messages import reason

WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""What goes wrong in no reading."""


@contextmanager
def output_errors(output: Path) -> Iterator[None]:
    """Turns what the file system says (disk full, no permission) into OutputRefused naming the output."""
    try:
        yield
    except OSError as error:
        raise OutputRefused(f"{output}: cannot be written ({reason(error)})") from error


def temporary_path(output: Path) -> Path:
    """A hidden name beside the output, where it is made."""
    return output.parent / f".{output.name}.partial-{secrets.token_hex(4)}"


def missing_parents(path: Path) -> list[Path]:
    """The folders that must be made to hold ``path``, the deepest first."""
    return [parent for parent in path.parents if not parent.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes those of the folders that hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class AtomicFolder:
    """A folder filled at ``path``, which ``commit`` turns into ``output``. Raises OutputRefused.

    ``source``: what the output is made from; the output may not lie inside it.
    """

    def __init__(self, output: Path, source: Path | None = None) -> None:
        with output_errors(output):
            self.output = output.resolve()
            self._refuse_existing()
            if source is not None and source.is_dir() and self.output.is_relative_to(source.resolve()):
                raise OutputRefused(f"{output}: lies inside the input folder {source}; choose a place outside it")
            # what cannot be renamed onto, a mount point or a folder of a closed one, is filled from inside
            closed = self.output.is_dir() and not os.access(self.output.parent, os.W_OK | os.X_OK)
            self._inside = closed or self.output.is_mount()
        self.path = temporary_path(self.output / self.output.name if self._inside else self.output)
        self._made: list[Path] = []

    def _refuse_existing(self) -> None:
        if self.output.is_dir():
            if any(self.output.iterdir()):
                raise OutputRefused(f"{self.output}: exists and is not empty; choose another folder or remove it")
        elif self.output.exists():
            raise OutputRefused(f"{self.output}: exists and is not a folder; choose another name")

    def open(self) -> None:
        try:
            with output_errors(self.output):
                self._refuse_existing()
                self._made = missing_parents(self.path)
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir()
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        with output_errors(self.output):
            if self._inside:
                for file in self.path.iterdir():
                    file.rename(self.output / file.name)
                self.path.rmdir()
                return
            self._refuse_existing()
            if self.output.exists():
                self.output.rmdir()
            self.path.rename(self.output)

    def discard(self) -> None:
        """Removes what was not committed, and the folders made for it."""
        shutil.rmtree(self.path, ignore_errors=True)
        remove_empty(self._made)


class AtomicFiles:
    """A main file and what goes beside it, made under hidden names and renamed together, the main file first."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._renames: list[tuple[Path, Path]] = []
        self._made: list[Path] = []

    def add(self, final: Path) -> Path:
        """The hidden path at which to write ``final``. Raises OutputRefused when that exists."""
        with output_errors(final):
            if final.exists():
                raise OutputRefused(f"{final}: exists; choose another name or remove it")
            self._made = missing_parents(final) or self._made
            final.parent.mkdir(parents=True, exist_ok=True)
        hidden = temporary_path(final)
        self._renames.append((hidden, final))
        return hidden

    def commit(self) -> None:
        for hidden, final in self._renames:
            with output_errors(final):
                hidden.replace(final)

    def discard(self) -> None:
        """Removes what was not committed, and the folders made for it."""
        for hidden, _ in self._renames:
            hidden.unlink(missing_ok=True)
        remove_empty(self._made)


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``output`` when the block ends well and vanishes when it does not.

    Raises OutputRefused for what fails in writing it; what the block cannot read is not blamed on the output.
    """
    folder = AtomicFolder(output)
    folder.open()
    try:
        yield folder.path
        folder.commit()
    except OSError as error:
        if not _in_writing(error, folder.path):
            raise
        with output_errors(output):
            raise
    finally:
        folder.discard()


def _in_writing(error: OSError, folder: Path) -> bool:
    named = isinstance(error.filename, (str, os.PathLike)) and Path(error.filename).is_relative_to(folder)
    return named or error.errno in WRITE_ERRORS
