"""Training recipes, one module per paper: its name is that on the command line, and it must define ``RECIPE``."""

from __future__ import annotations

import importlib
import pkgutil

from lowdose.errors import InvalidSetting
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.recipe import AnatomyRecipe, DenoiserRecipe

AnyRecipe = DenoiserRecipe | AnatomyRecipe | AutoencoderRecipe


def recipe_names() -> list[str]:
    """List the names of all recipes of ``lowdose train``, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get_recipe(name: str) -> AnyRecipe:
    """Return the recipe called ``name``; raises InvalidSetting, listing the known ones, if there is none."""
    if name not in recipe_names():
        raise InvalidSetting(f"no recipe '{name}'; there are {', '.join(recipe_names())}")
    recipe: AnyRecipe = importlib.import_module(f"{__name__}.{name}").RECIPE
    return recipe
