"""Output that appears under its name whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowdose.errors import OutputRefused


@contextmanager
def refusing(output: Path) -> Iterator[None]:
    """Turns what the file system says (disk full, no permission) into OutputRefused naming the output."""
    try:
        yield
    except OSError as error:
        raise OutputRefused(f"{output}: cannot be written ({error.strerror or error})") from error


def partial(output: Path) -> Path:
    """A hidden name beside the output, where it is made."""
    return output.parent / f".{output.name}.partial-{secrets.token_hex(4)}"


class AtomicFolder:
    """A folder filled at ``path``, which ``commit`` turns into ``output``. Raises OutputRefused.

    ``source``: what the output is made from; the output may not lie inside it.
    """

    def __init__(self, output: Path, source: Path | None = None) -> None:
        with refusing(output):
            self.output = output.resolve()
            self._refuse_existing()
            if source is not None and source.is_dir() and self.output.is_relative_to(source.resolve()):
                raise OutputRefused(f"{output}: lies inside the input folder {source}; choose a place outside it")
        # a mount point cannot be renamed onto: there the folder is filled beside its final contents
        self._inside = self.output.is_mount()
        self.path = partial(self.output / self.output.name if self._inside else self.output)

    def _refuse_existing(self) -> None:
        if self.output.is_dir():
            if any(self.output.iterdir()):
                raise OutputRefused(f"{self.output}: exists and is not empty; choose another folder or remove it")
        elif self.output.exists():
            raise OutputRefused(f"{self.output}: exists and is not a folder; choose another name")

    def open(self) -> None:
        with refusing(self.output):
            self._refuse_existing()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir()

    def commit(self) -> None:
        with refusing(self.output):
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
        shutil.rmtree(self.path, ignore_errors=True)


class AtomicFiles:
    """A main file and what goes beside it, made under hidden names and renamed together, the main file first."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._renames: list[tuple[Path, Path]] = []

    def add(self, final: Path) -> Path:
        """The hidden path at which to write ``final``. Raises OutputRefused when that exists."""
        with refusing(final):
            if final.exists():
                raise OutputRefused(f"{final}: exists; choose another name or remove it")
            final.parent.mkdir(parents=True, exist_ok=True)
        hidden = partial(final)
        self._renames.append((hidden, final))
        return hidden

    def commit(self) -> None:
        for hidden, final in self._renames:
            with refusing(final):
                hidden.replace(final)

    def discard(self) -> None:
        for hidden, _ in self._renames:
            hidden.unlink(missing_ok=True)


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``output`` when the block ends well and vanishes when it does not."""
    folder = AtomicFolder(output)
    try:
        folder.open()
        with refusing(output):
            yield folder.path
        folder.commit()
    except BaseException:
        folder.discard()
        raise
