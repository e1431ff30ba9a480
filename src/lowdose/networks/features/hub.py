"""Pretrained networks of the library ``transformers``, from a local folder or by their name on its hub.

Nothing is downloaded unless the caller allows it; otherwise a hub name is only searched for in the local cache.
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

CONFIG, WEIGHTS, PREPROCESSING = "config.json", "model.safetensors", "preprocessor_config.json"
"""Files of a model's folder: configuration, weights, and preprocessing of the images."""

_FILES = (CONFIG, PREPROCESSING, WEIGHTS, "model.safetensors.index.json", "model-*.safetensors")


class Family(NamedTuple):
    """Architecture of pretrained networks.

    Attributes
    ----------
    name : str
        Name of the features, such as 'dinov2'.
    classes : mapping of str to str
        ``model_type`` of a config.json -> class in transformers.
    default_model : str
        Name of the default model on the hub.
    statistics : ChannelStatistics
        Normalisation of the inputs where the model's folder states none.
    attention : str
        Implementation of attention. It is always stated, since a config.json may otherwise name code on the hub.
    """

    name: str
    classes: Mapping[str, str]
    default_model: str
    statistics: ChannelStatistics
    attention: str = "sdpa"


class LoadedBackbone(NamedTuple):
    """Network of transformers together with what it expects as input.

    Attributes
    ----------
    network, config : Any
        The network, and its configuration in transformers.
    statistics : ChannelStatistics
        Normalisation of its training images.
    side : pixels
        Side of its training images.
    """

    network: nn.Module
    config: Any
    statistics: ChannelStatistics
    side: int


def load_from_hub(family: Family, weights: str | Path | None, fetch: bool) -> LoadedBackbone:
    """Load a network of the family from a folder or by a hub name; None takes the family's default model.

    Raises InvalidSetting without transformers; IncompatibleCheckpoint when there is no such folder, or files in it are
    missing, of another architecture, incomplete or not finite; DownloadFailed when a download was allowed and failed.
    """
    given = str(weights or family.default_model)
    _import_class("transformers", "PreTrainedModel", family)  # report a missing package before a missing folder
    folder = Path(given) if Path(given).is_dir() else _cached_folder(given, family, fetch)
    cls = _import_class("transformers", family.classes[_checked_model_type(folder, given, family)], family)
    network = _load_complete(cls, family.attention, folder)
    if network.config.num_channels != 3:
        raise IncompatibleCheckpoint(
            f"{folder / CONFIG}: takes images of {network.config.num_channels} channels; needs a network for 3"
        )
    default = getattr(network.config, "image_size", 224)
    return LoadedBackbone(
        network, network.config, *settings.input_statistics(folder / PREPROCESSING, family.statistics, default)
    )


def weights_instructions(given: str, family: Family) -> str:
    """Return instructions for getting the files on a machine without a network connection, for error messages."""
    name = given if re.fullmatch(r"\w[\w.-]*/[\w.-]+", given) else family.default_model
    return (
        f"put {CONFIG}, {WEIGHTS} and, where there is one, {PREPROCESSING} into a folder and give its path; on a "
        f"connected machine: hf download {name} {CONFIG} {WEIGHTS} {PREPROCESSING} --local-dir {family.name}"
    )


def _import_class(module: str, name: str, family: Family) -> Any:
    """Import a class or function of a package that only these features need."""
    hide_broken_torchvision()
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidSetting(
            f"features '{family.name}' need a working Python package transformers 5 or later "
            f"({_first_line(error)}): pip install 'transformers>=5'"
        ) from error


def hide_broken_torchvision() -> None:
    """Mark torchvision as not installed, in this process, if it cannot be imported.

    transformers tests whether torchvision is installed, not whether it works, and fails with it; none of the networks
    here needs it.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception:  # a build for another torch raises RuntimeError, AttributeError or OSError
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # Python's mark of a module not to be imported


def _cached_folder(given: str, family: Family, fetch: bool) -> Path:
    """Return the folder of a model in the local cache of the hub, after downloading it where that is allowed."""
    download = _import_class("huggingface_hub", "snapshot_download", family)
    try:
        return Path(download(given, allow_patterns=list(_FILES), local_files_only=not fetch))
    except Exception as error:  # its type depends on the client that the hub's library uses
        if fetch:
            raise DownloadFailed(
                f"'{given}': no folder of that name, and cannot be fetched ({type(error).__name__}); "
                f"{weights_instructions(given, family)}"
            ) from error
        raise IncompatibleCheckpoint(
            f"'{given}' for features '{family.name}': no folder of that name, nor in this machine's cache of the hub, "
            f"and nothing is fetched unless allowed (fetch=True); {weights_instructions(given, family)}"
        ) from error


def _checked_model_type(folder: Path, given: str, family: Family) -> str:
    """Return the ``model_type`` of a folder, after checking that it belongs to the family and no file is missing."""
    if not (folder / CONFIG).is_file():
        raise IncompatibleCheckpoint(f"{folder}: has no {CONFIG}; {weights_instructions(given, family)}")
    model_type = str(settings.read_settings(folder / CONFIG).get("model_type"))
    if model_type not in family.classes:
        raise IncompatibleCheckpoint(
            f"{folder / CONFIG}: its model_type is '{model_type}', features '{family.name}' take "
            f"{' or '.join(family.classes)}; {weights_instructions(given, family)}"
        )
    if not (folder / WEIGHTS).is_file() and not (folder / f"{WEIGHTS}.index.json").is_file():
        raise IncompatibleCheckpoint(
            f"{folder}: has no {WEIGHTS} (pickled weights, pytorch_model.bin, are not read: "
            f"{family.classes[model_type]}.from_pretrained(folder).save_pretrained(folder) writes it); "
            f"{weights_instructions(given, family)}"
        )
    return model_type


class ReadNetwork(NamedTuple):
    """Network as read from a folder, with a list of its faults.

    Attributes
    ----------
    network : Any
        The network of transformers.
    missing : list of str
        Names of the weights that the folder does not hold.
    broken : list of str
        Names of the weights with NaN or infinity.
    """

    network: Any
    missing: list[str]
    broken: list[str]


def from_folder(cls: Any, folder: Path, attention: str = "sdpa") -> ReadNetwork:
    """Read a network of transformers as float32, from the folder alone.

    attention: implementation of attention, always stated, since a config.json may otherwise name code on the hub.
    Raises IncompatibleCheckpoint when the folder cannot be read.
    """
    try:
        with _silenced(importlib.import_module("transformers.utils.logging")):
            network, loading_info = cls.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation=attention,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # a damaged folder can raise any exception
        raise IncompatibleCheckpoint(
            f"{folder}: cannot be loaded as {cls.__name__} ({_first_line(error)}); copy its files again"
        ) from error
    broken = [name for name, value in network.state_dict().items() if not bool(value.isfinite().all())]
    return ReadNetwork(network, sorted(loading_info["missing_keys"]), broken)


def _load_complete(cls: Any, attention: str, folder: Path) -> Any:
    """Load a network, all of whose weights are in the file and finite."""
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
def _silenced(logging: ModuleType) -> Iterator[None]:
    """Switch off the progress bars of transformers and its table of unused weights, such as CLIP's text encoder."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
