"""One trained module with its optimiser and, where it has one, the moving average of its weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from lowdose.methods.base import Method
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.schedule import EMA, UPDATES, count_updates, learning_rate


class OptimisedModule:
    """A trained module, optimised by its settings, or by the hyperparameters where these leave it open.

    Attributes
    ----------
    optimiser : Optimizer
        AdamW, Adam or SGD.
    average : EMA or None
        Moving average of the module's weights; None unless the settings ask for one.
    """

    def __init__(self, module: nn.Module, settings: OptimiserSettings, hyperparameters: Hyperparameters) -> None:
        self.module, self._settings = module, settings
        rate = settings.learning_rate
        self._rate = 1.0 if rate is None else rate / hyperparameters.learning_rate
        self._clip = hyperparameters.clip if settings.clip is None else settings.clip
        self.optimiser = _make_optimiser(self.parameters, settings, hyperparameters)
        self.average = None if settings.ema is None else EMA(module, settings.ema)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return [p for p in self.module.parameters() if p.requires_grad]

    def prepare(self, hyperparameters: Hyperparameters, step: int) -> None:
        """Set the learning rate of ``step`` and clear the gradients."""
        rate = self._rate * learning_rate(hyperparameters, step, count_updates(self.optimiser))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()

    def update(self) -> None:
        """Clip the gradients and make one update."""
        made = count_updates(self.optimiser)
        nn.utils.clip_grad_norm_(self.parameters, self._clip)
        self.optimiser.step()
        self.optimiser.param_groups[0][UPDATES] = made + 1

    def restart(self) -> None:
        """Forget what the optimiser knows, and warm up again."""
        self.optimiser.state.clear()
        self.optimiser.param_groups[0][UPDATES] = 0

    def reset(self) -> None:
        """Forget what optimiser and average know, since the weights were set by other means."""
        self.restart()
        if self._settings.ema is not None:
            self.average = EMA(self.module, self._settings.ema)


def optimised_modules(
    method: Method[Any], hyperparameters: Hyperparameters
) -> tuple[dict[str, OptimisedModule], float]:
    """Return each trained module with its optimiser by name, and the decay of the model's moving average."""
    given, trained, decay = method.optimisers(), method.trained_modules(), hyperparameters.ema
    if unknown := set(given) - set(trained):
        raise ValueError(f"{type(method).__name__}.optimisers() names {', '.join(unknown)}, which is not trained")
    modules = {}
    for name, module in trained.items():
        settings = given.get(name, OptimiserSettings())
        if settings.ema is not None and any(part is method.model for part in module.modules()):
            decay, settings = settings.ema, replace(settings, ema=None)
        modules[name] = OptimisedModule(module, settings, hyperparameters)
    return modules, decay


def _make_optimiser(parameters: list[nn.Parameter], settings: OptimiserSettings, h: Hyperparameters) -> Optimizer:
    betas = (h.beta1, h.beta2) if settings.betas is None else settings.betas
    decay = h.weight_decay if settings.weight_decay is None else settings.weight_decay
    if settings.rule == "sgd":
        return SGD(parameters, lr=h.learning_rate, momentum=betas[0], weight_decay=decay)
    rule = AdamW if settings.rule == "adamw" else Adam
    return rule(parameters, lr=h.learning_rate, betas=betas, weight_decay=decay)
