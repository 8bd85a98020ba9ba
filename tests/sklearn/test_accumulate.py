"""`accumulate`: some batches are a larger one, and no feed of sparse rows ends within an update."""

import numpy as np
import pytest
import scipy.sparse

import fastnn
import fastnn.sklearn._rows as rows_module
from fastnn import nn
from fastnn.sklearn import MLPClassifier

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(103, 4)), RNG.integers(0, 3, 103)
K = 4
SETTINGS = {
    "hidden_layer_sizes": (8,), "dtype": "float64", "shuffle": False, "random_state": 0, "max_iter": 13, "tol": 0.0,
    "n_iter_no_change": 20, "alpha": 0.1,
}  # fmt: skip
KINDS = {"dense": np.asarray, "sparse": scipy.sparse.csr_matrix}


def fitted(make, accumulate, batch_size, **settings):
    with pytest.warns(UserWarning, match="Maximum iterations"):
        return MLPClassifier(batch_size=batch_size, accumulate=accumulate, **SETTINGS | settings).fit(make(X), Y)


@pytest.mark.parametrize("settings", [{}, {"schedule": "OneCycleLR"}, {"verbose": "bar"}])
@pytest.mark.parametrize("kind", KINDS)
def test_some_batches_are_one_larger_batch(impl, monkeypatch, kind, settings):
    """Sparse rows are made dense a few batches at a time: an update never ends there."""
    monkeypatch.setattr(rows_module, "BLOCK", 4 * 30)
    small = fitted(KINDS[kind], K, 5, **settings)
    large = fitted(KINDS[kind], 1, 5 * K, **settings)
    for have, want in zip(small.coefs_ + small.intercepts_, large.coefs_ + large.intercepts_, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(small.loss_curve_, large.loss_curve_, rtol=1e-11)
    assert small._optimizer.t == large._optimizer.t == 13 * 6
    assert small.t_ == large.t_ == 13 * 103


@pytest.mark.parametrize("merge_last", [False, True])
@pytest.mark.parametrize("n", [100, 101, 103])
def test_feeds_end_with_an_update(monkeypatch, n, merge_last):
    monkeypatch.setattr(rows_module, "BLOCK", 4 * 30)
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 1)), "mean_squared_error")
    rows = rows_module.Rows(
        scipy.sparse.csr_matrix(np.ones((n, 4))), np.ones((n, 1)), None, 5, merge_last, trainer.net, trainer.loss
    )
    feeds = list(rows.feeds(np.arange(n)[np.newaxis], K))
    assert len(feeds) == -(-n // 20) - (merge_last and n == 101)
    assert all(feed.group(feed.n_batches - 1).batches == K for feed in feeds[:-1])
