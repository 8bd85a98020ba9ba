"""The arguments of augmentations of images, checked: shapes, shifts, what vacated pixels get."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _validation as check

_EDGE = ("nearest", "replicate", "border")  # what SciPy, PyTorch and others call "edge"
_NUMBER = ("constant", "zeros")
_AXES = ("horizontal", "vertical")


def largest(dtype: np.dtype[Any]) -> float:
    """Return the largest number of a float dtype."""
    return float(np.finfo(dtype).max)


def numbers_of(given: object) -> tuple[Any, ...] | None:
    """Return what a tuple, a list or an array of one axis contains, or None if it is none of them."""
    if isinstance(given, np.ndarray) and given.ndim == 1:
        return tuple(given.tolist())
    return tuple(given) if isinstance(given, tuple | list) else None


def image_layout(shape: object, pixels: int | None, channels_last: object = False) -> tuple[int, int, int, int]:
    """Return a shape as (outer, height, width, inner), where channels are the outer or the inner axis.

    Its product must be `pixels`, the length of a row, if that is known.
    """
    must = "be (height, width), or (channels, height, width)"
    given = numbers_of(shape)
    if given is None:
        check.refuse(TypeError, "shape", must, check.kind_of(shape))
    if len(given) not in (2, 3):
        check.refuse(ValueError, "shape", must, check.shown(shape))
    sizes = tuple(check.integer(f"shape[{i}]", size, 1) for i, size in enumerate(given))
    last = check.boolean("channels_last", channels_last)
    if pixels is not None and math.prod(sizes) != pixels:
        check.refuse(ValueError, "shape", f"have {pixels} pixels in all, as rows of x have", f"{sizes}")
    outer, height, width, inner = (1, *sizes, 1) if len(sizes) == 2 else (1, *sizes) if last else (*sizes, 1)
    return outer, height, width, inner


def most_pixels(pixels: object, layout: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return the largest shifts, down and to the right, for one number or a pair."""
    _, height, width, _ = layout
    given = numbers_of(pixels)
    if given is None:
        most = check.integer("pixels", pixels, 0, min(height, width) - 1)
        return most, most
    if len(given) != 2:
        check.refuse(ValueError, "pixels", "be a number or a pair of them", check.shown(pixels))
    down, right = (
        check.integer(f"pixels[{i}]", value, 0, size - 1)
        for i, (value, size) in enumerate(zip(given, (height, width), strict=True))
    )
    return down, right


def fill_value(fill: object, dtype: np.dtype[Any]) -> tuple[float, bool]:
    """Return the number that vacated pixels get, and whether they get the nearest pixel instead."""
    if isinstance(fill, str) or fill is None:
        if fill != "edge":
            fix = 'write fill="edge"' if fill in _EDGE else "write fill=0.0" if fill is None or fill in _NUMBER else ""
            error = TypeError if fill is None else ValueError
            check.refuse(error, "fill", 'be a number or "edge"', check.shown(fill), fix)
        return 0.0, True
    return check.real("fill", fill, -largest(dtype), largest(dtype), closed=True), False


def flip_settings(p: object, axis: object) -> tuple[float, bool]:
    """Return the probability of a flip, and whether it is vertical."""
    if isinstance(p, str) and p in _AXES:
        check.refuse(TypeError, "p", "be a number in [0, 1]", check.shown(p), f"write axis={p!r}")
    return check.real("p", p, 0, 1, closed=True), check.choice("axis", axis, _AXES) == "vertical"
