"""`Examples`: the arrays passed to `fit` and `evaluate`, checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import nn
from fastnn._typing import Array
from fastnn.engine import own_view, resize_guards
from fastnn.nn import Loss
from fastnn.nn.container_base import last_of
from fastnn.nn.sequential import Sequential, as_native
from fastnn.training.scaled_targets import target_scaling


@dataclass(frozen=True)
class Examples:
    """Checked rows for training or evaluation: views of the user's arrays, whose shapes do not change.

    Attributes
    ----------
    x : ndarray of float32, float64 or uint8, shape (n, in_features)
    y : ndarray
        Class labels (n,) as int64, or rows (n, columns) of float32, float64 or uint8.
    sample_weight : ndarray of float64, shape (n,), or None
        The weights that the caller passed.
    row_weight : ndarray of float64, shape (n,), or None
        The weights of the rows in the mean loss: the sample weights times the loss's class weights.
    """

    x: Array
    y: Array
    sample_weight: Array | None
    row_weight: Array | None

    def __post_init__(self) -> None:
        """Keep the memory of the arrays in place as long as the examples exist."""
        object.__setattr__(self, "_resize_guards", resize_guards(self.x, self.y, self.sample_weight))

    @property
    def target(self) -> str:
        """The kind of `y` in a program: "labels" or "rows"."""
        return "labels" if self.y.ndim == 1 else "rows"


def validated_examples(
    net: Sequential,
    loss: Loss,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    *,
    finite: bool,
    names: tuple[str, str, str] = ("X", "y", "sample_weight"),
) -> Examples:
    """Return arrays as `Examples`, checked against a net and a loss. Arrays that can be read in place are not copied.

    Parameters
    ----------
    net : Sequential
    loss : Loss
    X, y, sample_weight : array_like
    finite : bool
        Whether NaN and infinity in X are refused, except NaN that the net's scaler fills; in y and sample_weight they
        always are.
    names : tuple of str
        The names of the three arrays in messages.

    Raises
    ------
    TypeError, ValueError
        If an array has a wrong type, shape or range.
    """
    x = own_view(net.as_input(names[0], X))
    v.at_least(names[0], x, 0, 1, "row")
    for column in net.id_columns:
        column.check(names[0], x)
    target, sample_weight, row_weight = validated_targets(net, loss, y, sample_weight, len(x), names)
    if finite:
        check_finite(names[0], x, net)
    return Examples(x, target, sample_weight, row_weight)


def data_fingerprints(examples: Examples, validation: Examples | None) -> dict[str, Any]:
    """Return what tells a fit's arrays from others: of each its shape, its dtype and the SHA-256 of its values.

    The keys are the names that the arrays have among the arguments of `fit`.
    """
    named = _arrays(examples, ("X", "y", "sample_weight"))
    if validation is not None:
        named |= _arrays(validation, tuple(f"validation_data[{index}]" for index in range(3)))
    return {name: _fingerprint(array) for name, array in named.items()}


def check_fingerprints(wanted: Mapping[str, Any], examples: Examples, validation: Examples | None) -> None:
    """Refuse data other than those of which these are the `data_fingerprints`."""
    found = data_fingerprints(examples, validation)
    for name in {**wanted, **found}:
        if wanted.get(name) != found.get(name):
            known, got = _described(wanted.get(name)), _described(found.get(name))
            fix = f"pass {name.partition('[')[0]}" if name not in found else ""
            if known == got:
                got = "other values"
            v.refuse(ValueError, name, f"be that of the fit that is resumed, {known}", got, fix)


def _arrays(examples: Examples, names: Sequence[str]) -> dict[str, Array]:
    arrays = examples.x, examples.y, examples.sample_weight
    return {name: array for name, array in zip(names, arrays, strict=True) if array is not None}


def _fingerprint(array: Array) -> dict[str, Any]:
    import hashlib

    digest = hashlib.sha256()
    rows = max(1, v.CHUNK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": digest.hexdigest()}


def _described(fingerprint: Any) -> str:
    if fingerprint is None:
        return "None"
    return f"an array of shape {tuple(fingerprint['shape'])} and dtype {fingerprint['dtype']}"


def check_finite(name: str, x: Array, net: Sequential) -> None:
    """Refuse rows with infinity, or with NaN in a column that the net's scaler does not fill; not in columns of ids.

    Parameters
    ----------
    name : str
        What messages call the rows.
    x : ndarray of float32, float64 or uint8, shape (n, features)
    net : Sequential
        Its columns of ids, which embeddings read, have another check.
    """
    if x.dtype == np.uint8:
        return
    fill = None if net.input_scaling is None else net.input_scaling.fill
    may_be_nan = np.zeros(x.shape[1], bool) if fill is None else ~np.isnan(fill)
    is_checked = np.ones(x.shape[1], bool)
    is_checked[[each.column for each in net.id_columns]] = False
    step = max(1, v.CHUNK // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        chunk = x[start : start + step]
        if v.all_finite(chunk):
            continue
        wrong = ~np.isfinite(chunk) & is_checked & ~(np.isnan(chunk) & may_be_nan)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            value = chunk[row, column]
            fix = _how_to_fill(net) if np.isnan(value) else ""
            v.refuse(ValueError, name, "contain finite numbers", f"{value} in row {start + row}, column {column}", fix)


def _how_to_fill(net: Sequential) -> str:
    """Return how to write a scaler of the kind of the net's that fills NaN in all columns that are no ids."""
    call = "Scaler.fit(X" if net.scaler is None else f"{type(net.scaler).__name__}.fit(X, ..."
    ids = {each.column for each in net.id_columns}
    columns = f", columns={v.shown([j for j in range(net.in_features) if j not in ids])}" if ids else ""
    return f'write net.scaler = {call}{columns}, nan="center")'


def validated_targets(
    net: Sequential,
    loss: Loss,
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    rows: int,
    names: tuple[str, str, str] = ("X", "y", "sample_weight"),
) -> tuple[Array, Array | None, Array | None]:
    """Return targets and weights, checked as in `validated_examples`, for an X that may be sparse.

    Returns
    -------
    y, sample_weight, row_weight
        As in `Examples`.
    """
    target_scaling(net, loss)  # refuses a loss that does not go with the net's output scaler
    target = own_view(_target(net, loss, names[1], y))
    if len(target) != rows:
        v.refuse(ValueError, names[1], f"have {rows} rows, as many as {names[0]}", len(target))
    sample_weight = v.weights(names[2], sample_weight, rows, negative=loss.spec.negative_weights)
    sample_weight = None if sample_weight is None else own_view(sample_weight)
    if sample_weight is not None and not sample_weight.any():
        v.refuse(ValueError, names[2], "contain at least one weight other than 0", "only zeros")
    if target.ndim == 2:
        loss.check_rows(names[1], target)
    row_weight = loss.row_weights(target, sample_weight)
    if row_weight is not sample_weight:
        v.weights(f"{names[2]} times the loss's class weights", row_weight, rows)
    if row_weight is not None and not row_weight.any():
        v.refuse(ValueError, names[1], "contain a row of a class whose weight is above 0", "none")
    return target, sample_weight, row_weight


def _target(net: Sequential, loss: Loss, name: str, y: npt.ArrayLike) -> Array:
    k = net.out_features
    kinds = loss.spec.kinds_of(k)
    array = v.numeric(name, y, _NUMBERED if "labels" in kinds else "")
    if "labels" in kinds and (array.ndim == 1 or "rows" not in kinds):
        if array.ndim == 1 and array.size and array.dtype.kind == "f":
            fix = f"for labels write {name}.astype(int), {_REAL_TARGETS}"
            v.refuse(TypeError, name, "contain integers", f"dtype {array.dtype}", fix)
        if array.ndim != 1:
            v.shape(name, array, ("n",), _labels_fix(name, array, k))
        labels = array.astype(np.int64) if array.dtype.kind == "b" else array
        return v.indices(name, labels, k, "n", f"{_NUMBERED}, and give the net an output for each class")
    columns = loss.bind(k, "rows").target_width
    if array.ndim == 1 and columns == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != columns:
        fix = _labels_fix(name, array, k) if "labels" in kinds else _rows_fix(array, k if columns == k else 0)
        if isinstance(loss, nn.HeadsLoss):
            fix = f"its columns are {loss.target_columns}"
        v.shape(name, array, ("n", columns), fix)
    return as_native(name, array, net.dtype)


_NUMBERED = "number the classes from 0, as np.unique(y, return_inverse=True)[1] does"
_REAL_TARGETS = 'for real targets loss="mean_squared_error"'


def _labels_fix(name: str, y: Array, k: int) -> str:
    """Return what to write instead of targets of a wrong shape for a loss that takes classes."""
    if y.ndim == 2 and y.shape[1] == 1:
        if y.dtype.kind == "f":
            return f"for labels write {name}.ravel().astype(int), {_REAL_TARGETS}"
        return f"for labels write {name}.ravel()"
    return f"for one-hot rows write {name}.argmax(axis=1)" if y.ndim == 2 and y.shape[1] == k else ""


def _rows_fix(y: Array, k: int) -> str:
    """Return what to write instead of targets of a wrong shape for a loss of rows with `k` numbers; 0 if none is k."""
    if k == 0 or y.ndim not in (1, 2) or y.size == 0:
        return ""
    width = 1 if y.ndim == 1 else y.shape[1]
    numbers = "one number" if width == 1 else f"{width} numbers"
    fix = f"for {numbers} per row end the net with nn.Dense(..., {width})"
    return fix + (', for labels write loss="cross_entropy"' if y.ndim == 1 and y.dtype.kind in "iu" else "")


_NO_LOGITS = (nn.Softmax, nn.Sigmoid, nn.ReLU)  # what these layers give is no logits


def warn_of_last_layer(net: Sequential, loss: Loss) -> None:
    """Warn if the net ends in an activation that the loss applies itself, or that keeps logits from being negative.

    LogSoftmax changes nothing before a softmax: no warning.
    """
    last = type(last_of(net.layers))
    if last in _NO_LOGITS and loss.spec.outputs == "logits":
        name, kind = getattr(loss, "name", type(loss).__name__), last.__name__
        fix = f"leave the {kind} out (trainer.predict_proba gives probabilities)"
        v.warn(f"the net ends in {kind}, but the loss {name} takes logits: {fix}")
