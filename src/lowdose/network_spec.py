"""A network by name and numbers: what a checkpoint stores instead of code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import nn

from lowdose.errors import IncompatibleCheckpoint

Number = int | float | bool
NETWORKS: dict[str, type[nn.Module]] = {}
N = TypeVar("N", bound=type[nn.Module])


@dataclass(frozen=True)
class NetworkSpec:
    """``name`` of a registered network and the numbers its constructor takes."""

    name: str
    settings: Mapping[str, Number] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network with fresh weights. Raises IncompatibleCheckpoint when the name or a setting is unknown."""
        if self.name not in NETWORKS:
            raise IncompatibleCheckpoint(f"network '{self.name}' is not known; known are {', '.join(sorted(NETWORKS))}")
        try:
            return NETWORKS[self.name](**self.settings)
        except (TypeError, ValueError) as error:
            raise IncompatibleCheckpoint(f"network '{self.name}' refuses {dict(self.settings)}: {error}") from error


def register_network(name: str) -> Callable[[N], N]:
    """Class decorator: makes a network known by ``name``."""

    def register(cls: N) -> N:
        if name in NETWORKS:
            raise ValueError(f"two networks are called '{name}'")
        NETWORKS[name] = cls
        return cls

    return register
