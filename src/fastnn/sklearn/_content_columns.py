"""The categorical columns of a fit in files: categories are listed, and the encoders are fitted on them again."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._content import ContentReader
from fastnn.sklearn._columns import CategoryColumns, fitted_encoder
from fastnn.sklearn._content_values import EstimatorWriter

KINDS = ("strings", "numbers", "")
_DTYPES = {"strings": ("object",), "numbers": ("int64", "float64"), "": ("object", "float64")}


def pack_columns(columns: CategoryColumns, content: EstimatorWriter) -> dict[str, Any]:
    """Return the columns as plain values, and add arrays to the content."""
    packed = []
    for j, kind, encoder in zip(columns.columns, columns.kinds, columns.encoders, strict=True):
        label, categories = columns.labels[j], encoder.categories_[0]
        if kind not in KINDS:
            fix = "convert the column to strings before the fit, or pickle the estimator"
            v.refuse(
                TypeError, label, "have categories that are strings or numbers, as files have no others", kind, fix
            )
        missing = isinstance(categories[-1], float) and bool(np.isnan(categories[-1]))
        values, where = categories[: len(categories) - missing], f"categories.{j}"
        is_text = categories.dtype.kind == "O"
        plain = content.of_strings(values, where, label) if is_text else content.of_array(values, where)
        packed.append({"kind": kind, "values": plain, "missing": missing})
    labels = np.array(columns.labels, object)
    return {
        "mask": content.of_array(columns.mask, "categories.mask"),
        "labels": content.of_strings(labels, "categories.labels", "the names of the columns"),
        "columns": packed,
    }


def unpack_columns(saved: ContentReader, part: Any, features: int) -> CategoryColumns:
    """Return the columns that `pack_columns` has packed, of a net with so many inputs."""
    part = saved.part(part, "categories", ("mask", "labels", "columns"))
    mask, labels = (saved.value(part[name], f"categories.{name}") for name in ("mask", "labels"))
    for name, array, dtype in (("mask", mask, bool), ("labels", labels, object)):
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != (features,):
            what = "bools" if dtype is bool else "strings"
            v.refuse(ValueError, f"categories.{name}", f"be {features} {what}", v.shown(array))
    given, count = v.instance("categories.columns", part["columns"], list, "be a list"), int(mask.sum())
    if not count or len(given) != count:
        v.refuse(ValueError, "categories.columns", "have one entry for each column of the mask", len(given))
    found = [_column(saved, each, f"categories.{j}") for j, each in zip(np.flatnonzero(mask), given, strict=True)]
    kinds, encoders = [kind for kind, _ in found], [fitted_encoder(categories) for _, categories in found]
    return CategoryColumns.restored(mask, labels.tolist(), kinds, encoders)


def _column(saved: ContentReader, part: Any, where: str) -> tuple[str, Array]:
    """Return what the categories of a column are, and the categories; the last is NaN if some were missing."""
    part = saved.part(part, where, ("kind", "values", "missing"))
    kind, values, missing = v.choice(f"{where}.kind", part["kind"], KINDS), part["values"], part["missing"]
    values = saved.value(values, where)
    v.instance(f"{where}.missing", missing, bool, "be True or False")
    if not isinstance(values, np.ndarray) or values.ndim != 1 or str(values.dtype) not in _DTYPES[kind]:
        v.refuse(TypeError, where, f"be a 1-dimensional array of {' or '.join(_DTYPES[kind])}", v.shown(values))
    if bool(kind) != bool(len(values)) or not (kind or missing):
        must = f"have {'categories' if kind else 'missing values alone'} with the kind {kind!r}"
        v.refuse(ValueError, where, must, f"{len(values)} categories")
    if values.dtype.kind == "f" and not v.all_finite(values):
        v.refuse(ValueError, where, "have finite categories", "NaN or infinity")
    if missing and values.dtype.kind == "i":
        v.refuse(ValueError, where, "have float64 categories with missing values", values.dtype)
    if not (values[:-1] < values[1:]).all():
        v.refuse(ValueError, where, "have categories in ascending order, each once", v.shown(values))
    return kind, np.array([*values, np.nan], values.dtype) if missing else values
