"""Pretrained networks of the library ``transformers``: from a local folder, or by their name on its hub.

Nothing is fetched unless the caller allows it: without that a hub name is looked up in the local cache alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from lowdose.errors import DownloadFailed, IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.features import settings
from lowdose.networks.features.input_transform import ChannelStatistics

CONFIG, WEIGHTS, SEEN = "config.json", "model.safetensors", "preprocessor_config.json"
_FILES = (CONFIG, SEEN, WEIGHTS, "model.safetensors.index.json", "model-*.safetensors")


class Family(NamedTuple):
    """classes: ``model_type`` of a config.json -> class in transformers. usual: a name on the hub.

    attention: stated, since a config.json may else name code on the hub for it.
    """

    name: str
    classes: Mapping[str, str]
    usual: str
    normal: ChannelStatistics
    attention: str = "sdpa"


class LoadedBackbone(NamedTuple):
    """normal, side: how its training images were normalised, and how large they were in pixels."""

    network: nn.Module
    config: Any
    normal: ChannelStatistics
    side: int


def load_from_hub(family: Family, weights: str | Path | None, fetch: bool) -> LoadedBackbone:
    """A network of the family from a folder or a hub name; None is the family's usual name.

    Raises InvalidSetting without transformers; IncompatibleCheckpoint when there is no such folder, or files in it are
    missing, of another architecture, incomplete or not finite; DownloadFailed when a fetch was allowed and failed.
    """
    given = str(weights or family.usual)
    _class("transformers", "PreTrainedModel", family)  # what is missing first is the package, not the folder
    folder = Path(given) if Path(given).is_dir() else _from_hub(given, family, fetch)
    cls = _class("transformers", family.classes[_kind(folder, given, family)], family)
    network = _network(cls, family.attention, folder)
    if network.config.num_channels != 3:
        raise IncompatibleCheckpoint(
            f"{folder / CONFIG}: takes images of {network.config.num_channels} channels; needs a network for 3"
        )
    default = getattr(network.config, "image_size", 224)
    return LoadedBackbone(network, network.config, *settings.input_statistics(folder / SEEN, family.normal, default))


def weights_instructions(given: str, family: Family) -> str:
    """How to get the files where there is no network."""
    name = given if re.fullmatch(r"\w[\w.-]*/[\w.-]+", given) else family.usual
    return (
        f"put {CONFIG}, {WEIGHTS} and, where there is one, {SEEN} into a folder and give its path; on a connected "
        f"machine: hf download {name} {CONFIG} {WEIGHTS} {SEEN} --local-dir {family.name}"
    )


def _class(module: str, name: str, family: Family) -> Any:
    """Something of a package that only these families need."""
    hide_broken_torchvision()
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidSetting(
            f"features '{family.name}' need a working Python package transformers 5 or later "
            f"({_first_line(error)}): pip install 'transformers>=5'"
        ) from error


def hide_broken_torchvision() -> None:
    """Lets a torchvision that cannot be imported look absent, in this process.

    transformers asks whether it is installed, not whether it works, and falls with it; no network here needs it.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception:  # built for another torch it raises RuntimeError, AttributeError, OSError
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # Python's own mark for 'not to be had'


def _from_hub(given: str, family: Family, fetch: bool) -> Path:
    """The folder of the local cache that holds a hub name, fetched before where that is allowed."""
    download = _class("huggingface_hub", "snapshot_download", family)
    try:
        return Path(download(given, allow_patterns=list(_FILES), local_files_only=not fetch))
    except Exception as error:  # of whichever client the hub's library uses
        if fetch:
            raise DownloadFailed(
                f"'{given}': no folder of that name, and cannot be fetched ({type(error).__name__}); "
                f"{weights_instructions(given, family)}"
            ) from error
        raise IncompatibleCheckpoint(
            f"'{given}' for features '{family.name}': no folder of that name, nor in this machine's cache of the hub, "
            f"and nothing is fetched unless allowed (fetch=True); {weights_instructions(given, family)}"
        ) from error


def _kind(folder: Path, given: str, family: Family) -> str:
    """The ``model_type`` of a folder that has what is needed and is of the family."""
    if not (folder / CONFIG).is_file():
        raise IncompatibleCheckpoint(f"{folder}: has no {CONFIG}; {weights_instructions(given, family)}")
    kind = str(settings.read_settings(folder / CONFIG).get("model_type"))
    if kind not in family.classes:
        raise IncompatibleCheckpoint(
            f"{folder / CONFIG}: its model_type is '{kind}', features '{family.name}' take "
            f"{' or '.join(family.classes)}; {weights_instructions(given, family)}"
        )
    if not (folder / WEIGHTS).is_file() and not (folder / f"{WEIGHTS}.index.json").is_file():
        raise IncompatibleCheckpoint(
            f"{folder}: has no {WEIGHTS} (pickled weights, pytorch_model.bin, are not read: "
            f"{family.classes[kind]}.from_pretrained(folder).save_pretrained(folder) writes it); "
            f"{weights_instructions(given, family)}"
        )
    return kind


class ReadNetwork(NamedTuple):
    """missing, broken: names of weights that the folder does not hold, and of those that hold NaN or infinity."""

    network: Any
    missing: list[str]
    broken: list[str]


def from_folder(cls: Any, folder: Path, attention: str = "sdpa") -> ReadNetwork:
    """A network of transformers as float32, from the folder alone. Raises IncompatibleCheckpoint if it cannot be read.

    attention: stated, since a config.json may else name code on the hub for it.
    """
    try:
        with _quiet(importlib.import_module("transformers.utils.logging")):
            network, told = cls.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation=attention,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # a damaged folder can raise anything there
        raise IncompatibleCheckpoint(
            f"{folder}: cannot be loaded as {cls.__name__} ({_first_line(error)}); copy its files again"
        ) from error
    broken = [name for name, value in network.state_dict().items() if not bool(value.isfinite().all())]
    return ReadNetwork(network, sorted(told["missing_keys"]), broken)


def _network(cls: Any, attention: str, folder: Path) -> Any:
    """The network with every weight from the file and finite."""
    network, missing, broken = from_folder(cls, folder, attention)
    if missing:
        raise IncompatibleCheckpoint(
            f"{folder}: {len(missing)} weights of {cls.__name__} are not in {WEIGHTS}, among them '{missing[0]}'; "
            "they would be random: copy the whole file again"
        )
    if broken:
        raise IncompatibleCheckpoint(f"{folder}: weights '{broken[0]}' hold NaN or infinity; copy the file again")
    network.config.return_dict = True
    return network


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


@contextmanager
def _quiet(logging: ModuleType) -> Iterator[None]:
    """Without its progress bars and its table of unused weights, such as those of CLIP's text tower."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
