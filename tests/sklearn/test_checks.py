"""scikit-learn's estimator checks, with fastnn's own options off and on."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import nn
from fastnn.sklearn import MLPClassifier, MLPRegressor

# Options with which each row is computed by itself, and those with which it depends on its batch.
ROW_BY_ROW = {
    "activation": ["gelu", nn.LeakyReLU(0.1)],
    "hidden_layer_sizes": (20, 10),
    "optimizer": "AdamW",
    "weight_decay": 1e-4,
    "clip_norm": 10.0,
    "learning_rate_init": 0.02,
    "schedule": "CosineAnnealingLR",
    "init": "xavier_uniform",
    "dtype": "float64",
    "n_threads": 1,
}
BY_BATCH = {"dropout": 0.05, "batch_norm": True}
BLOCKS = {"norm": "layer", "residual": True, "hidden_layer_sizes": (20, 20), "learning_rate_init": 0.02}
BLOCKS_BY_BATCH = {**BLOCKS, "norm": "batch"}
SCALED = {"scale": "standard", "hidden_layer_sizes": (20,), "learning_rate_init": 0.02}

REASON = (
    "leaving out a row changes the batch statistics and the dropout masks of the other rows; "
    "scikit-learn expects this check to fail for its own random estimators as well"
)


def expected(estimator):
    if estimator.scale is not None:
        return {"check_sample_weight_equivalence_on_dense_data": "scalers count rows, whatever their weights"}
    if not estimator.batch_norm and estimator.norm != "batch":
        return {}
    checks = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": REASON for kind in checks}


OPTIONS = ((100, {}), (60, ROW_BY_ROW), (60, BY_BATCH), (60, BLOCKS), (60, BLOCKS_BY_BATCH), (60, SCALED))


@pytest.mark.sampled(2)
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        kind(max_iter=max_iter, **options, **({"scale_targets": True} if options is SCALED and of_numbers else {}))
        for kind, of_numbers in ((MLPClassifier, False), (MLPRegressor, True))
        for max_iter, options in OPTIONS
    ],
    expected_failed_checks=expected,
)
def test_checks(estimator, check):
    check(estimator)
