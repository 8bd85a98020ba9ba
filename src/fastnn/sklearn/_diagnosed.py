"""What `fastnn.diagnose` needs of an estimator: the training that `fit` would run, as a trainer and arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils import check_array

from fastnn import nn, optim
from fastnn._names import normalized
from fastnn._typing import Array
from fastnn.diagnosis._inputs import Given, missing_entries
from fastnn.diagnosis._setup import quiet
from fastnn.sklearn._columns import CategoryColumns, as_table, categorical_mask
from fastnn.sklearn._diagnosed_words import Condition, Words
from fastnn.sklearn._model import SOFT_LOG_LOSS, Model, make_loss, make_net, settings_unchanged
from fastnn.sklearn._rows import to_dense
from fastnn.sklearn._scaling import scalers_of, set_scalers
from fastnn.sklearn._stochastic import trainer_for
from fastnn.sklearn._targets import encode
from fastnn.training import Trainer

# What a fit has besides its steps, and what prints: left out of a diagnosis.
_LEFT_OUT: Mapping[str, Any] = {
    "callbacks": None, "early_stopping": False, "scoring": None, "verbose": False, "warm_start": False,
}  # fmt: skip

_FLOATS = (np.float64, np.float32)


def diagnosed(estimator: Any, fitted: set[str], X: Any, y: Any, sample_weight: Any, validation_data: Any) -> Given:
    """Return the training that `fit` would run with these arguments, from its beginning.

    The estimator is not changed, and neither are its random numbers. NaN and infinity stay in the arrays. The rules
    that end a fit early, and the learning rates "invscaling" and "adaptive", are no part of it.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.
    fitted : set of str
        The names of the attributes that fits set.
    X, y, sample_weight, validation_data
        As `fit` takes them; `validation_data` is a tuple (X, y) or None.
    """
    draft = _draft(estimator, fitted)
    draft._validate_params()
    rows, wrong = _rows(draft, X)
    y_given = y
    y, unknown = _known(y)
    with quiet():
        fit = draft._check_fit(False, _filled(rows, wrong), y, sample_weight, False, None, None)
    trainer = _trainer(estimator, draft, fit)
    given_X, given_y = to_dense(fit.rows.X), fit.rows.y
    if wrong is not None:
        given_X = np.where(wrong, rows, given_X)
    if unknown is not None:
        given_y = np.where(unknown.reshape(-1, *[1] * (given_y.ndim - 1)), np.nan, given_y)
    if validation_data is not None:
        validation_data = _encoded(draft, trainer.loss, *validation_data)
    epochs = _epochs(estimator)
    size = 200 if estimator.batch_size == "auto" else int(estimator.batch_size)
    arguments = {
        "epochs": epochs, "batch_size": min(size, len(given_X)), "shuffle": bool(estimator.shuffle),
        "augment": estimator.augment,
    }  # fmt: skip
    condition = Condition(
        gaps=wrong is not None,
        infinite=wrong is not None and bool(np.isinf(rows).any()),
        missing_objects=unknown is not None and np.asarray(y_given).dtype.kind == "O",
    )
    words = Words(estimator, epochs < estimator.max_iter, condition)
    return Given(trainer, given_X, given_y, fit.rows.weight, validation_data, arguments, words)


def _draft(estimator: Any, fitted: set[str]) -> Any:
    """Return an estimator with the same parameters that shares no random numbers and has not been fitted."""
    draft = object.__new__(type(estimator))
    draft.__dict__ = {name: value for name, value in vars(estimator).items() if name not in fitted}
    draft.__dict__ |= _LEFT_OUT
    given = estimator.random_state
    # Without a seed, fits draw from NumPy's global state, which a diagnosis leaves alone.
    draft.random_state = np.random.RandomState(0) if given is None else copy.deepcopy(given)
    return draft


def _epochs(estimator: Any) -> int:
    """Return the number of epochs of the fits so far, or of those that a fit may have if there was none."""
    most = int(estimator.max_iter)
    model = vars(estimator).get("_model")
    if model is None or not settings_unchanged(estimator, model):
        return most
    return max(1, int(estimator._optimizer.epoch))


# ---- the trainer ----


def _trainer(estimator: Any, draft: Any, fit: Any) -> Trainer:
    """Return a trainer of a net whose layers draw values as the estimator draws them; intercepts begin at 0.

    The values are others than those of `fit`: with another seed, and in a changed net, the layers draw others.
    """
    columns, before = draft._fitted_columns(), fit.model
    widths = [before.coefs[0].shape[0], *(coef.shape[1] for coef in before.coefs)]
    draft._ensure_seed()
    initial = _usual_init(estimator) if estimator.init is None else estimator.init
    model = Model(make_net(draft._structure, columns, widths, before.net.dtype, draft._seed, initial))
    set_scalers(model.net, scalers_of(before.net))
    if estimator.solver != "lbfgs":
        trainer, _ = trainer_for(draft, model, incremental=False, unchanged=False, mixes=True)
        return trainer
    loss = make_loss(estimator.loss, draft.out_activation_, model.net.out_features)
    loss = SOFT_LOG_LOSS[draft.out_activation_] if isinstance(loss, nn.LogLoss) else loss
    # As `FullBatchFit` has it, the penalty is divided by the sum of the weights of the rows.
    total = len(fit.rows.y) if fit.rows.weight is None else float(fit.rows.weight.sum())
    return Trainer(
        model.net, loss, optim.LBFGS(tol=float(estimator.tol)), penalty=optim.Penalty(l2=estimator.alpha / total)
    )


def _usual_init(estimator: Any) -> Any:
    """Return the initialiser with the distribution of the weights that scikit-learn draws."""
    name = estimator.activation
    logistic = isinstance(name, str) and normalized(name) == "logistic"
    return nn.init.xavier_uniform(gain=3.0**-0.5 if logistic else 1.0)


# ---- the arrays ----


def _rows(draft: Any, X: Any) -> tuple[Any, Array | None]:
    """Return the rows with the codes of categories, and which entries are NaN or infinite; None if none is.

    What is no number is left as it is: `fit` refuses it. The draft gets the categorical columns.
    """
    if draft.categorical_features is not None and not scipy.sparse.issparse(X):
        X = as_table(X)
        mask = categorical_mask(X, draft.categorical_features)
        if mask is not None:
            # The rows have codes from now on, and the net tables for these columns.
            draft.categorical_features, draft._category_columns = None, CategoryColumns(X, mask)
    columns: CategoryColumns | None = draft._fitted_columns()
    if columns is not None:
        X = columns.encode(as_table(X), ensure_all_finite=False, dtype=_FLOATS)
    try:
        X = check_array(X, accept_sparse=["csr", "csc"], dtype=_FLOATS, ensure_all_finite=False)
    except (TypeError, ValueError):
        return X, None
    if scipy.sparse.issparse(X):
        if np.isfinite(X.data).all():
            return X, None
        X = X.toarray()
    wrong = ~np.isfinite(X)
    return X, wrong if wrong.any() else None


def _filled(X: Any, wrong: Array | None) -> Any:
    """Return rows in which the mean of a column stands for its entries that are NaN or infinite."""
    if wrong is None:
        return X
    from sklearn.impute import SimpleImputer  # takes a while, and few need it

    return SimpleImputer(keep_empty_features=True).fit_transform(np.where(wrong, np.nan, X))


def _known(y: Any) -> tuple[Any, Array | None]:
    """Return targets with others in place of missing ones, and which rows miss theirs; None if none does."""
    array = np.asarray(y)
    if array.ndim not in (1, 2) or not len(array):
        return y, None
    unknown = np.asarray(missing_entries(array).reshape(len(array), -1).any(axis=1))
    if not unknown.any():
        return y, None
    known = array[~unknown]
    filled = array.copy()
    filled[unknown] = known[0] if len(known) else 0
    if array.dtype.kind == "O":
        filled = np.array(filled.tolist())
    return filled, unknown


def _encoded(draft: Any, loss: nn.Loss, X: Any, y: Any, *_weight: Any) -> tuple[Array, Array]:
    """Return validation data as the trainer takes them."""
    rows, wrong = _rows(draft, X)
    checked, y = draft._validate_eval_data(_filled(rows, wrong), y, "validation_data[1]")
    y = y.reshape(-1, 1) if y.ndim == 1 else y
    return to_dense(checked), encode(loss, y, draft.out_activation_, draft._model.net.dtype)
