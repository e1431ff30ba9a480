"""RED-CNN (Chen et al., IEEE TMI 2017): mean squared error on patches."""

from lowdose.hounsfield import Scale
from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.spec import Spec
from lowdose.train.recipe import DenoiserNumbers, Recipe

RECIPE = Recipe(
    paper="Chen et al., Low-dose CT with a residual encoder-decoder CNN, IEEE TMI 2017",
    network=Spec("red_cnn", {"channels": 96}),
    method=lambda denoiser: Supervised(denoiser, MSE()),
    # Its last layer is a ReLU, so every value of the range must map to a number >= 0.
    scale=Scale(zero=-1150.0, one=2000.0),
    numbers=DenoiserNumbers(steps=100_000, learning_rate=1e-4),
)
