"""Layers that normalise: by the batch's statistics, or each row by its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Builder
from fastnn.nn.init import Initializer
from fastnn.nn.layers import Layer, Shapes

__all__ = ["BatchNorm", "LayerNorm", "RMSNorm"]


class _Norm(Layer, abstract=True):
    """What the norms have in common: a width, a scale for each column that starts at 1, and perhaps a shift."""

    in_features: int
    out_features: int
    _kept_as: ClassVar[Mapping[str, str]] = {"features": "in_features"}

    def _set_width(self, features: int) -> None:
        width = v.integer("features", features, 1)
        self._set_unchecked(in_features=width, out_features=width)

    @property
    def weight(self) -> Array:
        """A view of the net's parameters."""
        return self.array("weight")

    def reset(self, seed: int, default: Initializer) -> None:
        """Set the scale to 1."""
        self.weight[...] = 1


class BatchNorm(_Norm):
    """Batch normalisation (Ioffe and Szegedy, 2015): ``y = (x - mean) / sqrt(var + eps) * weight + bias``.

    In training, mean and (biased) variance are those of the batch, and the running statistics are updated:
    ``running = (1 - momentum) * running + momentum * batch``, with the batch's unbiased variance. Evaluation uses the
    running statistics. This is PyTorch's form; Keras calls ``1 - momentum`` the momentum. If weight and bias are both
    frozen, training uses the running statistics as well, and does not update them.

    With ``momentum=None`` the running statistics are cumulative, the means over all batches: at the layer's k-th batch,
    ``running += (batch - running) / k``. The layer keeps k, which `state_dict` has as "num_batches_tracked", as in
    PyTorch. (In float32, k stays at 2**24.)

    Parameters
    ----------
    features : int
        Width of input and output, at least 1.
    eps : float, default 1e-5
        Added to the variance, not negative.
    momentum : float or None, default 0.1
        Weight of the batch in the running statistics, from 0 to 1; None for cumulative statistics.

    Attributes
    ----------
    weight, bias : ndarray, shape (features,)
        Parameters, initially 1 and 0.
    running_mean, running_var : ndarray, shape (features,)
        Running statistics, initially 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If `features` is not a positive integer, `eps` negative or `momentum` outside [0, 1].

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(3, 4, bias=False), nn.BatchNorm(4), nn.ReLU())
    >>> net[1].running_var
    array([1., 1., 1., 1.], dtype=float32)
    """

    eps: float
    momentum: float | None
    uses_batch_statistics = True

    in_pytorch = True

    def __init__(self, features: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__()
        self._set_width(features)
        self._set_unchecked(
            eps=v.real("eps", eps, 0),
            momentum=None if momentum is None else v.real("momentum", momentum, 0, 1, closed=True),
        )

    def parameters(self) -> Shapes:
        """Return the shapes of weight and bias."""
        return {"weight": (self.in_features,), "bias": (self.in_features,)}

    def buffers(self) -> Shapes:
        """Return the shapes of running mean and variance, and of the count of batches where they are cumulative."""
        shapes: Shapes = {"running_mean": (self.in_features,), "running_var": (self.in_features,)}
        return shapes | {"num_batches_tracked": (1,)} if self.momentum is None else shapes

    @property
    def bias(self) -> Array:
        """A view of the net's parameters."""
        return self.array("bias")

    @property
    def running_mean(self) -> Array:
        """A view of the net's running statistics."""
        return self.array("running_mean")

    @property
    def running_var(self) -> Array:
        """A view of the net's running statistics."""
        return self.array("running_var")

    def emit(self, builder: Builder, x: str) -> str:
        """Append the normalisation by the batch's statistics or, in evaluation and if frozen, by the running ones."""
        y = builder.rows(self.in_features)
        common = {"x": x, **self.roles(gamma="weight", beta="bias"), "y": y}
        if builder.training and not self.keeps_statistics(builder.frozen):
            running = self.roles(running_mean="running_mean", running_var="running_var")
            batch = {"mean": builder.vector(self.in_features), "inv_std": builder.vector(self.in_features)}
            if self.momentum is None:
                count = self.roles(count="num_batches_tracked")
                builder.op("batch_norm", {**common, **running, **batch, **count}, eps=self.eps)
            else:
                builder.op("batch_norm", {**common, **running, **batch}, eps=self.eps, momentum=self.momentum)
        else:
            builder.op("affine", {**common, **self.roles(mean="running_mean", var="running_var")}, eps=self.eps)
        return y

    def keeps_statistics(self, frozen: Collection[str]) -> bool:
        """Whether weight and bias are both frozen."""
        return all(f"{self._prefix}{name}" in frozen for name in self.parameters())

    def reset(self, seed: int, default: Initializer) -> None:
        """Set the scale and the running variance to 1."""
        super().reset(seed, default)
        self.running_var[...] = 1


class LayerNorm(_Norm):
    """Layer normalisation (Ba, Kiros and Hinton, 2016): ``y = (x - mean) / sqrt(var + eps) * weight + bias``.

    Mean and (biased) variance are those of each row, in training and in evaluation: there are no running statistics,
    and a row's output depends on that row alone. This is PyTorch's `LayerNorm` over the last axis; Keras's has an `eps`
    of 1e-3.

    Parameters
    ----------
    features : int
        Width of input and output, at least 1.
    eps : float, default 1e-5
        Added to the variance, not negative.
    bias : bool, default True
        Whether there is a bias.

    Attributes
    ----------
    weight : ndarray, shape (features,)
        A parameter, initially 1.
    bias : ndarray, shape (features,), or None
        A parameter, initially 0.

    Raises
    ------
    TypeError, ValueError
        If `features` is not a positive integer, `eps` is negative or `bias` is no bool.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.LayerNorm(2, eps=0.0), dtype="float64")
    >>> net.predict(np.array([[1.0, 3.0], [30.0, 10.0]]))
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    eps: float
    _kept_as: ClassVar[Mapping[str, str]] = {**_Norm._kept_as, "bias": "_has_bias"}
    _has_bias: bool

    in_pytorch = True

    def __init__(self, features: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self._set_width(features)
        self._set_unchecked(eps=v.real("eps", eps, 0), _has_bias=v.boolean("bias", bias))

    def parameters(self) -> Shapes:
        """Return the shapes of weight and bias."""
        shapes: Shapes = {"weight": (self.in_features,)}
        return shapes | {"bias": (self.in_features,)} if self._has_bias else shapes

    @property
    def bias(self) -> Array | None:
        """A view of the net's parameters."""
        return self.array("bias") if self._has_bias else None

    def emit(self, builder: Builder, x: str) -> str:
        """Append the normalisation; training keeps the statistics of the rows."""
        y = builder.rows(self.in_features)
        roles = self.roles(gamma="weight", beta="bias") if self._has_bias else self.roles(gamma="weight")
        kept = {role: builder.rows(1) for role in ("mean", "inv_std") if builder.training}
        builder.op("layer_norm", {"x": x, **roles, **kept, "y": y}, eps=self.eps)
        return y


class RMSNorm(_Norm):
    """Root mean square normalisation (Zhang and Sennrich, 2019): ``y = x / sqrt(mean(x**2) + eps) * weight``.

    The mean is over each row, in training and in evaluation; a row's output depends on that row alone. Unlike layer
    normalisation it subtracts nothing and has no bias. This is PyTorch's `RMSNorm` over the last axis.

    Parameters
    ----------
    features : int
        Width of input and output, at least 1.
    eps : float, optional
        Added to the mean square, not negative. By default the spacing of the net's dtype at 1, as in PyTorch: 1.2e-7
        for float32, 2.2e-16 for float64.

    Attributes
    ----------
    weight : ndarray, shape (features,)
        A parameter, initially 1.

    Raises
    ------
    TypeError, ValueError
        If `features` is not a positive integer or `eps` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.RMSNorm(2, eps=0.0), dtype="float64")
    >>> net.predict(np.array([[1.0, 7.0], [-3.0, 3.0]]))
    array([[ 0.2,  1.4],
           [-1. ,  1. ]])
    """

    eps: float | None

    in_pytorch = True

    def __init__(self, features: int, eps: float | None = None) -> None:
        super().__init__()
        self._set_width(features)
        self._set_unchecked(eps=None if eps is None else v.real("eps", eps, 0))

    def parameters(self) -> Shapes:
        """Return the shape of the weight."""
        return {"weight": (self.in_features,)}

    def emit(self, builder: Builder, x: str) -> str:
        """Append the normalisation; training keeps the statistic of the rows."""
        y = builder.rows(self.in_features)
        kept = {"inv_std": builder.rows(1)} if builder.training else {}
        builder.op("rms_norm", {"x": x, **self.roles(gamma="weight"), **kept, "y": y}, eps=self.eps)
        return y
