"""Search for the files of a language model, in a folder or in the local cache of the hub."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path

from lowdose.errors import DownloadFailed, NothingToRead

_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")


def find_folder(given: str, fetch: bool, needed: Sequence[str], patterns: Sequence[str]) -> Path:
    """Return the folder of a model, given as a path or by its hub name ('owner/name').

    fetch: whether a hub name may be downloaded; needed: descriptions of the files that must be in the folder, for error
    messages; patterns: names of the files to download. Raises NothingToRead when there is no such folder, or
    DownloadFailed when an allowed download failed.
    """
    if Path(given).is_dir():
        return Path(given)
    recipe = f"put into a folder {'; '.join(needed)}; then give the path of that folder"
    if not _HUB_NAME.fullmatch(given):
        raise NothingToRead(f"{given}: no such folder; {recipe}")
    try:
        hub = importlib.import_module("huggingface_hub")
        return Path(hub.snapshot_download(given, allow_patterns=list(patterns), local_files_only=not fetch))
    except Exception as error:  # its type depends on the client of the hub's library, which may be missing itself
        if fetch:
            raise DownloadFailed(f"'{given}': cannot be fetched ({type(error).__name__}); {recipe}") from error
        raise NothingToRead(
            f"'{given}': no folder of that name, nor in this machine's cache of the hub, and nothing is fetched unless "
            f"allowed (fetch=True); {recipe}"
        ) from error
