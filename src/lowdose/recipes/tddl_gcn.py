"""TDDL-GCN (Chen et al. 2020): a graph network of three slices, trained with mean squared error.

A reconstruction: the text of neither paper was available. The framework is made for clinics that have low dose alone:
its pairs are normal dose of anywhere with the noise of the clinic's own scanner, which is learned first:

    lowdose train tddl_gcn --data NORMAL --low LOWDOSE --out RUN
    lowdose train tddl_gcn --network red_cnn --data NORMAL --low LOWDOSE --out RUN           # TDDL-REDCNN
    lowdose train tddl_gcn --network cpce:slices=3 --data NORMAL --low LOWDOSE --out RUN     # TDDL-CPCE

The recipe takes any network, and any other pairing: pairs of scans with ``--pairing folders``.
"""

from lowdose.methods.supervised import Supervised
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.recipe import LEARNED, DenoiserHyperparameters, DenoiserRecipe

RECIPE = DenoiserRecipe(
    paper="Chen et al., Low-dose CT image blind denoising with graph convolutional networks, ICONIP 2020 "
    "(a reconstruction: losses and schedule are not known)",
    network=default_denoiser("gcn").network,
    method=lambda denoiser, *_: Supervised(denoiser, MSE()),
    scale=default_denoiser("gcn").scale,
    # Batch, patch, steps and both learning rates are those of the first author's later release (arXiv 2105.07146),
    # where the learning rate falls exponentially; here half a cosine leads from one to the other.
    hyperparameters=DenoiserHyperparameters(
        steps=400_000, batch=12, patch=64, learning_rate=1e-4, final_learning_rate=1e-5
    ),
    accepts_any_network=True,
    pairing=LEARNED,
)
