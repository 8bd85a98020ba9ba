"""scikit-learn's checks of estimators, with fastnn's options off and on."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import nn
from fastnn.sklearn import MLPClassifier, MLPRegressor

SAME_FOR_EVERY_ROW = {
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

WEIGHTS = (
    "a row left out changes the statistics and the masks of the others; scikit-learn's checks of random estimators"
)


def expected(estimator):
    if not estimator.batch_norm:
        return {}
    checks = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": WEIGHTS for kind in checks}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        kind(max_iter=max_iter, **options)
        for kind in (MLPClassifier, MLPRegressor)
        for max_iter, options in ((100, {}), (60, SAME_FOR_EVERY_ROW), (60, BY_BATCH))
    ],
    expected_failed_checks=expected,
)
def test_checks(estimator, check):
    check(estimator)
