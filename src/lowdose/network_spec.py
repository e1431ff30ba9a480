"""Description of a network by name and constructor arguments, which checkpoints store instead of code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import nn

from lowdose.errors import IncompatibleCheckpoint

Number = int | float | bool
NETWORKS: dict[str, type[nn.Module]] = {}
"""Registered network classes by name."""
N = TypeVar("N", bound=type[nn.Module])


@dataclass(frozen=True)
class NetworkSpec:
    """Name of a registered network and the arguments of its constructor.

    Attributes
    ----------
    name : str
        Name under which the network was registered.
    settings : mapping of str to number
        Keyword arguments of its constructor.
    """

    name: str
    settings: Mapping[str, Number] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Build the network with fresh weights.

        Raises IncompatibleCheckpoint when the name is not registered or the constructor refuses a setting.
        """
        if self.name not in NETWORKS:
            raise IncompatibleCheckpoint(f"network '{self.name}' is not known; known are {', '.join(sorted(NETWORKS))}")
        try:
            return NETWORKS[self.name](**self.settings)
        except (TypeError, ValueError) as error:
            raise IncompatibleCheckpoint(f"network '{self.name}' refuses {dict(self.settings)}: {error}") from error


def register_network(name: str) -> Callable[[N], N]:
    """Return a class decorator that registers a network under ``name``; a name can be used once."""

    def register(cls: N) -> N:
        if name in NETWORKS:
            raise ValueError(f"two networks are called '{name}'")
        NETWORKS[name] = cls
        return cls

    return register
