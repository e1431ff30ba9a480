"""Denoising networks by name: registration, and their description in checkpoints by name and constructor arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from torch import Tensor, nn

from lowdose import plugins
from lowdose.errors import IncompatibleCheckpoint

Number = int | float | bool
NETWORKS: dict[str, type[nn.Module]] = {}
"""Registered network classes by name; ``find_network`` adds those of installed packages when they are needed."""


class Network(Protocol):
    """What a denoising network must have: ``forward``; it is also a ``torch.nn.Module``.

    Its constructor takes numbers, each with a default, which are what ``--network NAME:setting=number`` can change. It
    may have further attributes, of the class or of the instance:

    - ``multiple`` (1 if missing): both sides of an image must be multiples of this.
    - ``smallest`` (1): pixels a side of the smallest image.
    - ``slices`` (1): neighbouring slices that it takes as channels, an odd number.
    - ``scale`` (``hounsfield.Scale()``), of the class: map from HU to its units that it is trained with.
    - ``sample``, a method: how it denoises if its result is drawn, see ``networks.sampling.Sampler``.
    - ``at_inference``: (least, most) of what can be chosen when it is applied, 'steps' or 'depth', each an attribute of
      the instance whose value is the usual one.
    - ``unexportable``: what it does that keeps inference engines from running it, as in 'looks for similar pixels'.
    - ``images``, a method, of a network with a depth: its results at the depths from 0 to the usual one, of which that
      is taken whose noise is nearest to what is asked for, unless a depth is stated (``infer.depth_choice``).
    """

    def forward(self, x: Tensor, /) -> Tensor:
        """Denoise the middle one of neighbouring slices, in network units: (B, slices, H, W) -> (B, 1, H, W)."""
        ...


N = TypeVar("N", bound=type[Network])


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

        Raises UnknownNetwork when there is no network of this name, and IncompatibleCheckpoint when its constructor
        refuses a setting.
        """
        network = find_network(self.name)
        try:
            return network(**self.settings)
        except (TypeError, ValueError) as error:
            raise IncompatibleCheckpoint(f"network '{self.name}' refuses {dict(self.settings)}: {error}") from error


def register_network(name: str) -> Callable[[N], N]:
    """Return a class decorator that registers a ``Network`` under ``name``; a name can be used once.

    It raises ValueError for a name that is taken, and TypeError for a class that is no ``Network``. A class that is
    defined anew, as in a notebook, takes the place of its earlier self.
    """

    def register(cls: N) -> N:
        taken = NETWORKS.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"two networks are called '{name}'")
        if not issubclass(cls, nn.Module):
            raise TypeError(f"network '{name}': {cls.__name__} must be a torch.nn.Module")
        for setting, default in constructor_defaults(cls).items():
            if not isinstance(default, Number):
                raise TypeError(f"network '{name}': its setting '{setting}' needs a number as default")
        NETWORKS[name] = cls
        return cls

    return register


class UnknownNetwork(IncompatibleCheckpoint):
    """Network that neither this package nor an installed one has, nor a file that was given."""


def network_names() -> list[str]:
    """List the names of all networks, those of installed packages too, sorted."""
    return sorted({*NETWORKS, *plugins.plugin_names(plugins.NETWORKS)})


def find_network(name: str) -> type[nn.Module]:
    """Return the class of the network called ``name``; one of an installed package is imported.

    Raises UnknownNetwork, which says how to provide it, and InvalidSetting for a package that does not import.
    """
    if name not in NETWORKS:
        plugins.load_plugin(plugins.NETWORKS, name)
    if name not in NETWORKS:
        raise UnknownNetwork(
            f"network '{name}' is not known; give the Python file that defines it with --network-file, or install the "
            f"package that has it. Known are {', '.join(network_names())}"
        )
    return NETWORKS[name]


def constructor_defaults(cls: type[nn.Module]) -> dict[str, Number]:
    """Return the default of each argument of a network's constructor by name."""
    return {setting: argument.default for setting, argument in inspect.signature(cls).parameters.items()}
