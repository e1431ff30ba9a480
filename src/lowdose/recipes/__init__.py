"""One file per paper; the file's name is its name on the command line, its ``RECIPE`` is all it must define."""

from __future__ import annotations

import importlib
import pkgutil

from lowdose.errors import InvalidSetting
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.recipe import AnatomyRecipe, DenoiserRecipe

AnyRecipe = DenoiserRecipe | AnatomyRecipe | AutoencoderRecipe


def recipe_names() -> list[str]:
    """Every recipe that ``lowdose train`` knows."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get_recipe(name: str) -> AnyRecipe:
    """The recipe called ``name``. Raises InvalidSetting listing the known ones."""
    if name not in recipe_names():
        raise InvalidSetting(f"no recipe '{name}'; there are {', '.join(recipe_names())}")
    recipe: AnyRecipe = importlib.import_module(f"{__name__}.{name}").RECIPE
    return recipe
