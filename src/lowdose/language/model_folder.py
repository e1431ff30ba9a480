"""Where a language model's files lie: a folder, or the local cache of the hub under the model's name there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path

from lowdose.errors import DownloadFailed, NothingToRead

_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")


def find_folder(given: str, fetch: bool, needed: Sequence[str], patterns: Sequence[str]) -> Path:
    """The folder ``given``, or that of a hub name ('owner/name'), fetched before where that is allowed.

    needed: what must lie there, said when there is nothing. patterns: of the files to fetch.
    Raises NothingToRead, or DownloadFailed when a fetch was allowed and failed.
    """
    if Path(given).is_dir():
        return Path(given)
    recipe = f"put into a folder {'; '.join(needed)}; then give the path of that folder"
    if not _HUB_NAME.fullmatch(given):
        raise NothingToRead(f"{given}: no such folder; {recipe}")
    try:
        hub = importlib.import_module("huggingface_hub")
        return Path(hub.snapshot_download(given, allow_patterns=list(patterns), local_files_only=not fetch))
    except Exception as error:  # of whichever client the hub's library uses, or there is no such library
        if fetch:
            raise DownloadFailed(f"'{given}': cannot be fetched ({type(error).__name__}); {recipe}") from error
        raise NothingToRead(
            f"'{given}': no folder of that name, nor in this machine's cache of the hub, and nothing is fetched unless "
            f"allowed (fetch=True); {recipe}"
        ) from error
