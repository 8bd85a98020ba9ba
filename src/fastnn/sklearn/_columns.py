"""Categorical columns: which columns they are, the codes of their categories, and the embeddings that read the codes.

Categories are matched by their values, never by the codes of a frame: these depend on the categories that a frame has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils.validation import _check_n_features, _num_samples, check_X_y, validate_data

from fastnn import _validation as v
from fastnn import nn
from fastnn._foreign import is_frame
from fastnn._typing import Array
from fastnn.sklearn import _messages as messages

WIDEST = 8  # of the vectors of a column's categories
_WHOLE_NUMBERS = 2.0**53  # float64 holds all whole numbers below, in size
_MISSING = ("NoneType", "NAType", "NaTType")  # types whose objects stand for a missing value, as NaN does


def vector_width(categories: int) -> int:
    """Return the width of the vectors of a column with so many categories."""
    return max(1, min(WIDEST, categories - 1))


def categorical_mask(X: Any, categorical_features: Any) -> Array | None:
    """Return which columns of X the parameter names, as a mask; None if it names none.

    Raises
    ------
    TypeError, ValueError
        If the parameter names no columns of X; in scikit-learn's words, where it has such a check.
    """
    if categorical_features is None:
        return None
    if isinstance(categorical_features, str):  # "from_dtype"
        if not is_frame(X):
            fix = "write the numbers of the columns: categorical_features=[0, 2]"
            must = f"be a data frame with categorical_features={categorical_features!r}"
            v.refuse(TypeError, "X", must, v.kind_of(X), fix)
        dtypes = [str(each).lower() for each in X.dtypes]
        mask = np.array([each.startswith(("category", "categorical", "enum")) for each in dtypes])
        return mask if mask.any() else None
    given = np.asarray(categorical_features)
    if given.ndim != 1:
        v.refuse(ValueError, "categorical_features", "be 1-dimensional", f"shape {given.shape}")
    if given.size == 0:
        return None
    kinds = {type(each).__name__ for each in given} if given.dtype.kind == "O" else {given.dtype.name}
    if given.dtype.kind not in "biuUO" or (given.dtype.kind == "O" and kinds != {"str"}):
        messages.categorical_features_of_other_kind(sorted(kinds))
    width = X.shape[1]
    mask = np.zeros(width, dtype=bool)
    if given.dtype.kind == "b":
        if len(given) != width:
            messages.categorical_mask_of_other_shape(given.shape)
        mask |= given
    elif given.dtype.kind in "iu":
        if given.max() >= width or given.min() < 0:
            messages.categorical_indices_out_of_range()
        mask[given] = True
    else:
        if not is_frame(X):
            messages.categorical_names_without_frame()
        names = list(X.columns)
        for name in given:
            if name not in names:
                messages.categorical_name_unknown(name, names)
            mask[names.index(name)] = True
    return mask if mask.any() else None


class CategoryColumns:
    """The categorical columns of a fit, and the categories that the fit has seen.

    Attributes
    ----------
    mask : ndarray of bool, shape (n_features,)
    labels : list of str
        What messages call the columns.
    kinds : list of str
        What each column's categories are: "strings", "numbers", or the name of their type; "" without any category.
    encoders : list of OrdinalEncoder
        One for each categorical column.
    """

    def __init__(self, X: Any, mask: Array) -> None:
        self.mask = mask
        self.labels = _labels(X)
        self.kinds: list[str] = []
        self.encoders: list[OrdinalEncoder] = []
        for j in self.columns:
            kind, values = self._values(X, j)
            try:
                encoder = fitted_encoder(values)
            except (TypeError, ValueError, ArithmeticError):
                must, fix = "contain categories that can be sorted", "convert them to strings"
                v.refuse(TypeError, self.labels[j], must, kind, fix)
            self.kinds.append(kind)
            self.encoders.append(encoder)

    @classmethod
    def restored(
        cls, mask: Array, labels: list[str], kinds: list[str], encoders: list[OrdinalEncoder]
    ) -> CategoryColumns:
        """Return the columns of an earlier fit, from what its attributes were."""
        columns = cls.__new__(cls)
        columns.mask, columns.labels, columns.kinds, columns.encoders = mask, labels, kinds, encoders
        return columns

    @property
    def columns(self) -> Array:
        """The numbers of the categorical columns."""
        return np.flatnonzero(self.mask)

    @property
    def numbers(self) -> Array:
        """The numbers of the other columns."""
        return np.flatnonzero(~self.mask)

    @property
    def categories(self) -> list[Array]:
        """The categories of each column, without missing values; the code of a category is its place."""
        both = ((kind, encoder.categories_[0]) for kind, encoder in zip(self.kinds, self.encoders, strict=True))
        return [values[: len(values) - _ends_with_nan(values)] if kind else values[:0] for kind, values in both]

    @property
    def table_sizes(self) -> list[int]:
        """The numbers of rows of the tables, without the row for unknown categories; at least 1, as a table needs."""
        return [max(1, len(each)) for each in self.categories]

    def input_layers(self) -> list[nn.Layer]:
        """Return the layers in front of a net that takes the encoded rows."""
        sizes = self.table_sizes
        tables = nn.Embeddings(sizes, [vector_width(size) for size in sizes], unknown="own")
        if not len(self.numbers):
            return [tables]
        width = len(self.mask)
        branches = nn.Columns(self.numbers, in_features=width), nn.Columns(self.columns, tables, in_features=width)
        return [nn.Parallel(*branches)]

    def input_width(self) -> int:
        """Return the width of the output of these layers."""
        return len(self.numbers) + sum(map(vector_width, self.table_sizes))

    @staticmethod
    def reset_unknown(net: nn.Sequential) -> None:
        """Set the vectors of unknown categories to 0: without rows to learn from, they keep their initial values."""
        for layer in net.leaves:
            if isinstance(layer, nn.Embeddings):
                for table in layer.weights:
                    table[-1] = 0

    def encode(self, X: Any, **checks: Any) -> Array:
        """Return the rows as numbers: categories are replaced by their codes, -1 if missing or unknown.

        `checks` are those of scikit-learn's `check_array`. The columns keep their order.
        """
        dtype = np.dtype(np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64)
        numbers = None
        if len(self.numbers):
            numbers = self._numbers(X, **checks)
            dtype = numbers.dtype
        if max(self.table_sizes) > v.WHOLE_NUMBERS_OF_FLOAT32:
            dtype = np.dtype(np.float64)
        encoded = np.empty((_num_samples(X), len(self.mask)), dtype)
        if numbers is not None:
            encoded[:, ~self.mask] = numbers
        for j, kind, encoder in zip(self.columns, self.kinds, self.encoders, strict=True):
            got, values = self._values(X, j)
            if got and kind and got != kind:
                fix = f"convert it, or fit with {got}"
                v.refuse(TypeError, self.labels[j], f"contain {kind}, as in the fit", got, fix)
            encoded[:, j] = encoder.transform(values[:, np.newaxis])[:, 0] if got and kind else -1
        return encoded

    def _numbers(self, X: Any, **checks: Any) -> Array:
        """Return the columns that are no categories."""
        part = X[:, self.numbers] if isinstance(X, np.ndarray) else _safe_indexing(X, self.numbers.tolist(), axis=1)
        try:
            numbers: Array = check_array(part, **checks)
        except (TypeError, ValueError):
            _refuse_other_than_numbers(X, self.numbers)
            raise
        return numbers

    def _values(self, X: Any, j: int) -> tuple[str, Array]:
        """Return the kind of a column's categories, and its entries: numbers or objects, NaN if missing."""
        column, label = _column(X, j), self.labels[j]
        if column.dtype.kind == "O":
            column, is_missing = _objects(column)
            kind = _kind_of_values(column[~is_missing])
            if "," in kind:
                v.refuse(TypeError, label, "contain categories of one kind", kind, "convert them to strings")
            if kind != "numbers":
                column[is_missing] = np.nan
                return kind, column
            whole = not is_missing.any() and all(isinstance(each, Integral | np.bool_) for each in column)
            column[is_missing] = np.nan
            column = np.array(column.tolist(), dtype=None if whole else np.float64)
        elif column.dtype.kind in "UT":
            return "strings", column.astype(object)
        if column.dtype.kind not in "biuf" or column.dtype.itemsize > 8:
            must, fix = "contain strings or numbers", "convert the column to strings"
            v.refuse(TypeError, label, must, f"dtype {column.dtype}", fix)
        return self._whole_or_real(column, label)

    def _whole_or_real(self, column: Array, label: str) -> tuple[str, Array]:
        """Return the kind of a column of numbers, and the numbers as int64 or float64."""
        if column.dtype.kind != "f":
            if column.dtype.kind == "u" and column.max(initial=0) > np.iinfo(np.int64).max:
                v.refuse(
                    ValueError, label, "contain numbers below 2**63", column.max(), "convert the column to strings"
                )
            return "numbers", column.astype(np.int64, copy=False)
        column = column.astype(np.float64, copy=False)
        is_missing = np.isnan(column)
        if (np.abs(column[~is_missing]) >= _WHOLE_NUMBERS).any():
            must = "contain no infinity, and no float of 2**53 or more: such floats do not hold each whole number"
            largest = np.nanmax(np.abs(column))
            v.refuse(ValueError, label, must, largest, "give the numbers as integers or as strings")
        return "" if is_missing.all() else "numbers", column


def fitted_encoder(values: Array) -> OrdinalEncoder:
    """Return an encoder of the categories among values: numbers or objects, NaN if missing."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    encoder.set_output(transform="default")  # arrays, whatever scikit-learn's configuration says
    return encoder.fit(values[:, np.newaxis])


def _labels(X: Any) -> list[str]:
    """Return what messages call the columns."""
    return [f"X[{name!r}]" for name in X.columns] if is_frame(X) else [f"X[:, {j}]" for j in range(X.shape[1])]


def _column(X: Any, j: int) -> Array:
    """Return a column of a frame or an array."""
    return np.asarray(X[:, j] if isinstance(X, np.ndarray) else _safe_indexing(X, int(j), axis=1))


def _objects(column: Array) -> tuple[Array, Array]:
    """Return a copy of a column of objects, and which of them stand for a missing value."""
    missing_kinds = {kind for kind in set(map(type, column)) if kind.__name__ in _MISSING}
    is_missing = [
        type(each) in missing_kinds or (isinstance(each, Real) and not isinstance(each, Integral) and each != each)  # noqa: PLR0124
        for each in column
    ]
    return column.copy(), np.array(is_missing, dtype=bool)


def _refuse_other_than_numbers(X: Any, columns: Iterable[int]) -> None:
    """Refuse the first of these columns that has anything but numbers and missing values, if there is one."""
    for j in columns:
        column = _column(X, j)
        if column.dtype.kind == "O":
            column, is_missing = _objects(column)
            column = column[~is_missing]
        fix = "name it in categorical_features if it has categories"
        if column.dtype.kind in "mM":
            fix = "convert it to numbers, such as days"
        else:
            try:
                column.astype(np.float64)
                continue
            except (TypeError, ValueError):
                pass
        v.refuse(ValueError, _labels(X)[j], "contain numbers", _kind_of_values(column), fix)


def _kind_of_values(column: Array) -> str:
    """Return what the entries of a column are, in words: "strings", "numbers", a type, or several with commas."""
    if column.dtype.kind != "O":
        return "strings" if column.dtype.kind in "UT" else f"dtype {column.dtype}"
    words = {_word_for(kind) for kind in set(map(type, column))}
    return ", ".join(sorted(words))


def _word_for(kind: type) -> str:
    if issubclass(kind, str):
        return "strings"
    return "numbers" if issubclass(kind, Real | np.bool_) else kind.__name__


def _ends_with_nan(values: Array) -> bool:
    return len(values) > 0 and isinstance(values[-1], float) and bool(np.isnan(values[-1]))


def as_table(X: Any) -> Any:
    """Return a frame as it is, and anything else as a 2-dimensional array; text among numbers stays text."""
    if is_frame(X):
        return X
    checks = {"ensure_all_finite": False, "ensure_min_samples": 0, "ensure_min_features": 0}
    array = check_array(X, dtype=None, **checks)
    if not hasattr(X, "dtype") and array.dtype.kind in "US":  # NumPy has made text of the numbers of lists
        array = check_array(X, dtype=object, **checks)
    return array


def _validated_numbers(estimator: Any, X: Any, *y: Any, **checks: Any) -> Any:
    """Return what scikit-learn's `validate_data` returns; its errors about columns of a frame get the column's name.

    Without `categorical_features`, text has scikit-learn's error, which names the text.
    """
    try:
        return validate_data(estimator, X, *y, **checks)
    except (TypeError, ValueError) as error:
        by_dtype = isinstance(estimator.categorical_features, str)
        if is_frame(X) and (by_dtype or isinstance(error, np.exceptions.DTypePromotionError)):
            _refuse_other_than_numbers(X, range(X.shape[1]))
        raise


def validated(estimator: Any, X: Any, *y: Any, reset: bool, **checks: Any) -> Any:
    """Return what scikit-learn's `validate_data` returns; categories are replaced by their codes before.

    With `reset` the categorical columns of X are found, and their categories are those of later calls.
    """
    if reset:
        estimator.is_categorical_ = estimator.categories_ = None
    if y and estimator.scale is not None and scipy.sparse.issparse(X):
        fix = "write X.toarray(), or StandardScaler(with_mean=False) in a pipeline"
        v.refuse(TypeError, "X", f"be dense with scale={estimator.scale!r}", "a sparse matrix", fix)
    before: CategoryColumns | None = estimator.__dict__.get("_category_columns")
    if (estimator.categorical_features is None) if reset else (before is None):
        return _validated_numbers(estimator, X, *y, reset=reset, **checks)
    if scipy.sparse.issparse(X):
        v.refuse(TypeError, "X", "be dense with categorical_features", "a sparse matrix", "write X.toarray()")
    X = as_table(X)
    mask = categorical_mask(X, estimator.categorical_features) if reset else None
    if reset and mask is None:
        return _validated_numbers(estimator, X, *y, reset=reset, **checks)
    validate_data(estimator, X, reset=reset, skip_check_array=True)  # sets or compares the names
    _check_n_features(estimator, X, reset=reset)
    if not _num_samples(X):
        # No rows: scikit-learn's error, before encoders of nothing raise others.
        check_array(np.empty((0, X.shape[1])), estimator=estimator)
    columns = before
    if mask is not None:
        columns = estimator._category_columns = CategoryColumns(X, mask)
        estimator.is_categorical_, estimator.categories_ = mask.copy(), columns.categories
    assert columns is not None
    dtype = checks.get("dtype", "numeric")
    encoded = columns.encode(X, estimator=estimator, input_name="X", ensure_all_finite=True, dtype=dtype)
    if not y:
        return encoded
    return check_X_y(encoded, *y, estimator=estimator, **checks)


def check_columns(columns: Any, n_features: Any) -> CategoryColumns:
    """Refuse an object of a pickle that is no record of the categorical columns of a fit."""
    if not isinstance(columns, CategoryColumns):
        v.refuse(TypeError, "_category_columns", "be a CategoryColumns", type(columns).__name__)
    mask = getattr(columns, "mask", None)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != (n_features,) or not mask.any():
        v.refuse(ValueError, "_category_columns.mask", f"be an ndarray of bool of shape ({n_features},)", v.shown(mask))
    lengths = {"labels": len(mask), "kinds": int(mask.sum()), "encoders": int(mask.sum())}
    for name, length in lengths.items():
        each = getattr(columns, name, None)
        if not isinstance(each, list) or len(each) != length:
            v.refuse(ValueError, f"_category_columns.{name}", f"be a list of {length}", v.shown(each))
    for index, (kind, encoder) in enumerate(zip(columns.kinds, columns.encoders, strict=True)):
        v.instance(f"_category_columns.kinds[{index}]", kind, str, "be a string")
        if not isinstance(encoder, OrdinalEncoder) or not isinstance(getattr(encoder, "categories_", None), Sequence):
            v.refuse(TypeError, f"_category_columns.encoders[{index}]", "be a fitted OrdinalEncoder", v.shown(encoder))
    return columns
