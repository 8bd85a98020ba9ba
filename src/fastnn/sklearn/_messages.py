"""scikit-learn's own errors and warnings, word for word: code and tests of others match these texts.

Each function raises or warns what its name says. Every other message of the estimators has fastnn's form, see
`fastnn._validation`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from sklearn.exceptions import ConvergenceWarning

from fastnn import _validation as v
from fastnn._typing import Array

# ---- errors ----


def hidden_layer_sizes_not_positive(sizes: list[Any]) -> NoReturn:
    """Refuse a hidden layer of width 0 or less."""
    raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")


def invalid_parameter(error: ValueError, fix: str) -> NoReturn:
    """Raise scikit-learn's error about a parameter again, with what to write instead at its end."""
    raise type(error)(f"{str(error).removesuffix('.')}: {fix}") from None


def validation_set_too_small() -> NoReturn:
    """Refuse to stop early by fewer than two validation rows."""
    raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")


def non_finite_weights() -> NoReturn:
    """Report weights that are not finite after a fit."""
    raise ValueError(
        "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
        " preprocessed."
    )


def partial_fit_without_early_stopping() -> NoReturn:
    """Refuse `partial_fit` with `early_stopping`."""
    raise ValueError("partial_fit does not support early_stopping=True")


def partial_fit_needs_batches(solver: str) -> NoReturn:
    """Refuse `partial_fit` of a solver that takes all rows at once."""
    raise AttributeError(f"partial_fit is only available for stochastic optimizers. {solver} is not stochastic.")


def warm_start_with_other_classes(previous: Array, classes: Array) -> NoReturn:
    """Refuse a warm start with classes other than the previous ones."""
    raise ValueError(
        "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously got"
        f" {previous}, `y` has {classes}"
    )


def unknown_classes(known: Array, classes: Array) -> NoReturn:
    """Refuse labels that are none of the known classes."""
    raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has {classes}.")


def classes_without_weight(classes: list[Any]) -> NoReturn:
    """Refuse a dict of class weights that names other classes instead of these."""
    raise ValueError(f"The classes, {classes}, are not in class_weight")


def partial_fit_without_class_totals(class_weight: str) -> NoReturn:
    """Refuse "balanced" class weights in `partial_fit`, which sees only a part of the rows."""
    raise ValueError(
        f"class_weight {class_weight!r} is not supported for partial_fit. In order to use {class_weight!r} weights, use"
        f" compute_class_weight({class_weight!r}, classes=classes, y=y) with a large enough sample of the targets as y,"
        " and pass the resulting weights, as a dict, as class_weight"
    )


def categorical_features_of_other_kind(kinds: list[str]) -> NoReturn:
    """Refuse `categorical_features` that are neither numbers of columns, nor a mask, nor names."""
    raise ValueError(f"categorical_features must be an array-like of bool, int or str, got: {', '.join(kinds)}.")


def categorical_names_without_frame() -> NoReturn:
    """Refuse names of columns if X has none."""
    raise ValueError(
        "categorical_features should be passed as an array of integers or as a boolean mask when the model is fitted on"
        " data without feature names."
    )


def categorical_name_unknown(name: str, names: list[Any]) -> NoReturn:
    """Refuse the name of a column that X does not have."""
    raise ValueError(
        f"categorical_features has an item value '{name}' which is not a valid feature name of the training data."
        f" Observed feature names: {names}"
    )


def categorical_indices_out_of_range() -> NoReturn:
    """Refuse the number of a column that X does not have."""
    raise ValueError("categorical_features set as integer indices must be in [0, n_features - 1]")


def categorical_mask_of_other_shape(shape: tuple[int, ...]) -> NoReturn:
    """Refuse a mask of another length than X has columns."""
    raise ValueError(f"categorical_features set as a boolean mask must have shape (n_features,), got: {shape}")


# ---- warnings ----


def warn_batch_size_clipped() -> None:
    """Warn that `batch_size` exceeds the number of rows."""
    v.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")


def warn_not_converged(max_iter: int) -> None:
    """Warn that `max_iter` has ended the fit."""
    v.warn(
        f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't converged yet.",
        ConvergenceWarning,
    )


def warn_interrupted() -> None:
    """Warn that Ctrl-C has ended the fit."""
    v.warn("Training interrupted by user.")
