"""Augmentation: what `Trainer.fit` makes by chance of the rows of each batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._settings import Settings, settings
from fastnn.kernels._images import fill_value, flip_settings, image_layout, largest, most_pixels, numbers_of

__all__ = ["Augmentation", "FeatureDropout", "GaussianNoise", "Mixup", "RandomFlip", "RandomShift", "SwapNoise"]


class Augmentation(Settings, ABC):
    """Base class of all augmentations: settings only, which ``trainer.fit(..., augment=[...])`` takes.

    An augmentation works on the rows of a batch once they are scaled and in the net's dtype, in training alone. What it
    draws depends on the net's seed, on its place in the list, on the number of the step, and on the place of a row in
    the batch: not on the backend or the number of threads.

    It is not to be subclassed: for another augmentation, give ``augment`` a function of a batch and a
    `numpy.random.Generator`.
    """

    _internal = frozenset({"step"})
    _how_to_change = "give fit another one, augment=[{call}]"

    @abstractmethod
    def step(self, in_features: int, dtype: np.dtype[Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the kind and the attributes of the op for rows of `in_features` numbers of this dtype.

        Raises
        ------
        ValueError
            If the settings do not fit such rows.
        """


class _WithProbability(Augmentation, abstract=True):
    """An augmentation whose only setting is a probability."""

    _kind: str
    p: float

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("p", self.p, 0, 1, closed=True)

    def step(self, in_features: int, dtype: np.dtype[Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the kind and the attributes of the op."""
        return self._kind, {"p": float(self.p)}


@settings()
class GaussianNoise(Augmentation):
    """Normally distributed noise, added to each entry: ``x + std * z`` (Bishop, 1995).

    The formula is that of `fastnn.kernels.add_noise`. Columns that an embedding reads stay as they are.

    Parameters
    ----------
    std : float, default 0.1
        Standard deviation in the unit of the scaled rows, not negative.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import data, nn
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 2), seed=0))
    >>> history = trainer.fit(X, y, epochs=30, batch_size=20, augment=[data.GaussianNoise(0.05)], verbose=0)
    >>> trainer.evaluate(X, y)["accuracy"] > 0.95
    True
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("std", self.std, 0)

    def step(self, in_features: int, dtype: np.dtype[Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the kind and the attributes of the op."""
        return "add_noise", {"std": v.real("std", self.std, 0, largest(dtype), closed=True)}


@settings()
class FeatureDropout(_WithProbability):
    """Entries that become 0, each with probability `p`; the others stay as they are (Vincent et al., 2008).

    This is corruption of the data, as missing entries are. `nn.Dropout` as a first layer also divides the other entries
    by ``1 - p``, so that the sums of the layer after it stay the same on average, and it changes the columns that an
    embedding reads, which stay as they are here. After a scaler 0 is its centre. The formula is that of
    `fastnn.kernels.drop_features`.

    Parameters
    ----------
    p : float, default 0.1
        From 0 to 1; it is rounded to a multiple of 1/65536.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import data
    >>> data.FeatureDropout(p=0.2)
    FeatureDropout(p=0.2)
    """

    _kind = "drop_features"

    p: float = 0.1


@settings()
class SwapNoise(_WithProbability):
    """Entries that are replaced, each with probability `p`, by those of the same column in other rows of the batch.

    So each column keeps its own values, whatever their unit (Jahrer, 2017; Bahri et al., 2022, SCARF). Columns that an
    embedding reads are swapped, too: their ids stay ids. The formula is that of `fastnn.kernels.swap_entries`.

    Parameters
    ----------
    p : float, default 0.1
        From 0 to 1; it is rounded to a multiple of 2**-32.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import data
    >>> data.SwapNoise()
    SwapNoise()
    """

    _kind = "swap_entries"

    p: float = 0.1


@settings()
class Mixup(Augmentation):
    """Rows that are mixed with other rows of the batch, and their targets with those (Zhang et al., 2018, mixup).

    Row i becomes ``share * row_i + (1 - share) * row_j``, with a share and a partner j of its own; so do its target and
    its sample weight. Class labels become rows of 0 and 1 before. The loss must therefore take mixtures of its targets,
    as the cross entropy and the losses of numbers do. Columns that an embedding reads stay as they are. The formulas
    are those of `fastnn.kernels.mixup_pairs` and `mix_rows`. A list has at most one `Mixup`.

    Parameters
    ----------
    alpha : float, default 0.2
        Above 0. Shares have the distribution Beta(alpha, alpha): with small ones most rows stay nearly as they are, 1
        makes all shares equally likely, and with large ones they are near 1/2.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.

    Examples
    --------
    >>> from fastnn import data
    >>> data.Mixup(alpha=0.4)
    Mixup(alpha=0.4)
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        """Check the settings."""
        v.real("alpha", self.alpha, 0, excluded=True)

    def step(self, in_features: int, dtype: np.dtype[Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the kind and the attributes of the op."""
        return "mixup", {"alpha": float(self.alpha)}


class _OfImages(Augmentation, abstract=True):
    """An augmentation of rows that are images."""

    shape: tuple[int, ...]
    channels_last: bool

    def __post_init__(self) -> None:
        """Check shape and order of the channels."""
        self._layout(None)
        self._settle("shape")

    def _settle(self, name: str) -> None:
        """Keep a list or an array of integers as a tuple of them."""
        given = numbers_of(getattr(self, name))
        if given is not None:
            object.__setattr__(self, name, tuple(int(each) for each in given))

    def _layout(self, pixels: int | None) -> tuple[int, int, int, int]:
        return image_layout(self.shape, pixels, self.channels_last)


@settings()
class RandomShift(_OfImages):
    """Images that are moved by some pixels, down or up and to the right or to the left.

    Each shift, from -`pixels` to `pixels`, is equally likely: this is ``RandomCrop(padding=pixels)`` of torchvision.
    The formula is that of `fastnn.kernels.shift_images`.

    Parameters
    ----------
    shape : tuple of int
        Of the image that a row is, in C order: (height, width), (channels, height, width), or with `channels_last`
        (height, width, channels).
    pixels : int or (int, int), default 2
        The largest shift, or those down and to the right: from 0 to below height and width.
    fill : float or "edge", default 0.0
        What vacated pixels get: a number in the unit of the scaled rows, where 0 is a scaler's centre, or with
        ``"edge"`` the nearest pixel of the image.
    channels_last : bool, default False
        Whether the channels of a pixel are beside each other.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range. When a fit begins: if `shape` has not as many pixels as the net
        has inputs.

    Examples
    --------
    >>> from fastnn import data
    >>> data.RandomShift((28, 28), pixels=(2, 1))
    RandomShift((28, 28), pixels=(2, 1))
    """

    shape: tuple[int, ...]
    pixels: int | tuple[int, int] = 2
    fill: float | Literal["edge"] = 0.0
    channels_last: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        most_pixels(self.pixels, self._layout(None))
        self._settle("pixels")
        fill_value(self.fill, np.dtype(np.float64))

    def step(self, in_features: int, dtype: np.dtype[Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the kind and the attributes of the op."""
        layout, (fill, edge) = self._layout(in_features), fill_value(self.fill, dtype)
        return "shift_images", {"layout": layout, "most": most_pixels(self.pixels, layout), "fill": fill, "edge": edge}


@settings()
class RandomFlip(_OfImages):
    """Images that are mirrored, each with probability `p`.

    This is ``RandomHorizontalFlip`` or ``RandomVerticalFlip`` of torchvision. The formula is that of
    `fastnn.kernels.flip_images`.

    Parameters
    ----------
    shape : tuple of int
        Of the image that a row is, in C order: (height, width), (channels, height, width), or with `channels_last`
        (height, width, channels).
    p : float, default 0.5
        From 0 to 1; it is rounded to a multiple of 1/65536.
    axis : {"horizontal", "vertical"}, default "horizontal"
        Whether left and right change places, or top and bottom.
    channels_last : bool, default False
        Whether the channels of a pixel are beside each other.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range. When a fit begins: if `shape` has not as many pixels as the net
        has inputs.

    Examples
    --------
    >>> from fastnn import data
    >>> data.RandomFlip((3, 32, 32))
    RandomFlip((3, 32, 32))
    """

    shape: tuple[int, ...]
    p: float = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"
    channels_last: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        flip_settings(self.p, self.axis)

    def step(self, in_features: int, dtype: np.dtype[Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the kind and the attributes of the op."""
        p, vertical = flip_settings(self.p, self.axis)
        return "flip_images", {"layout": self._layout(in_features), "p": p, "vertical": vertical}


AUGMENTATIONS: Mapping[str, Callable[[], Augmentation]] = {
    "gaussian_noise": GaussianNoise,
    "feature_dropout": FeatureDropout,
    "swap_noise": SwapNoise,
    "mixup": Mixup,
}
"""The augmentations that have defaults, by the names that `Trainer.fit` takes."""

_SHIFT = "write fastnn.data.RandomShift((28, 28), pixels=2), for example, as it needs the shape of the images"
_FLIP = "write fastnn.data.RandomFlip((28, 28)), for example, as it needs the shape of the images"
_ENTRIES = 'write "feature_dropout", which sets single entries to 0'

ELSEWHERE = {
    **dict.fromkeys(
        ("shift", "random_shift", "shift_images", "random_crop", "random_translation", "translate"), _SHIFT
    ),
    **dict.fromkeys(("flip", "random_flip", "flip_images", "random_horizontal_flip", "horizontal_flip"), _FLIP),
    **dict.fromkeys(
        ("random_vertical_flip", "vertical_flip"),
        'write fastnn.data.RandomFlip((28, 28), axis="vertical"), for example, as it needs the shape of the images',
    ),
    **dict.fromkeys(("cutout", "random_erasing", "masking"), _ENTRIES),
    "cutmix": 'write "mixup", which mixes whole rows',
    "dropout": 'write "feature_dropout", or nn.Dropout(0.1) as a layer of the net',
}
"""Names that mean something else, or need an argument, each with what to write instead."""

NAMES = Names(
    AUGMENTATIONS,
    {
        "noise": "gaussian_noise",
        "add_noise": "gaussian_noise",
        "drop_features": "feature_dropout",
        "swap": "swap_noise",
        "swap_entries": "swap_noise",
    },
    ELSEWHERE,
)
"""The names that `Trainer.fit` takes."""
