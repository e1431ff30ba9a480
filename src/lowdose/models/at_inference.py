"""Settings of a network that are chosen when it is applied: sampling steps, and the depth of an unrolled network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lowdose.errors import InvalidSetting
from lowdose.models.load import LoadedModel


def choose_at_inference(model: LoadedModel, wanted: Mapping[str, int | None]) -> LoadedModel:
    """Set what the model's network is to be applied with, and return the model; None = the usual value.

    Raises InvalidSetting for a setting that the network does not declare, and for a value outside its range.
    """
    network = model.plain.network if model.plain else None
    declared: Mapping[str, tuple[int, int]] = getattr(network, "at_inference", {})
    for name, value in wanted.items():
        if value is None:
            continue
        if name not in declared:
            has = f"has {', '.join(f'--{other}' for other in declared)}" if declared else "has no such setting"
            raise InvalidSetting(f"--{name} {value}: is not for the model {model.name}, which {has}; leave it out")
        least, most = declared[name]
        if not least <= value <= most:
            raise InvalidSetting(f"--{name} {value}: must be from {least} to {most} for the model {model.name}")
        setattr(network, name, value)
    return replace(model, stated=tuple(name for name, value in wanted.items() if value is not None))
