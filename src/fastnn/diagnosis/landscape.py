"""The surface of the loss around a net's parameters: along a line, and its second derivatives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.diagnosis.gradients import objective
from fastnn.nn import Loss, Sequential
from fastnn.nn.sequential import as_net
from fastnn.optim import Penalty
from fastnn.optim.full_batch import NEWTON_PARAMETERS, hessian_of
from fastnn.training import Trainer
from fastnn.training._arguments import check_function_of_parameters, count_trained
from fastnn.training.evaluation import evaluate
from fastnn.training.examples import validated_examples
from fastnn.training.full_batch import Objective

__all__ = ["LossLine", "gradient_and_hessian", "hessian", "loss_along_line"]


@dataclass(frozen=True, eq=False)
class LossLine:
    """Losses along a straight line through a net's parameters.

    Attributes
    ----------
    positions : ndarray of float64, shape (points,)
        Where on the line: 0 is the net.
    losses : ndarray of float64, shape (points,)
        The mean loss at each position.
    between : bool
        Whether position 1 is another net; otherwise it is the net plus the direction.
    """

    positions: Array
    losses: Array
    between: bool


@with_hints
def loss_along_line(
    net: Sequential | Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    loss: str | Loss | None = None,
    sample_weight: npt.ArrayLike | None = None,
    to: Sequential | Mapping[str, npt.ArrayLike] | None = None,
    direction: Mapping[str, npt.ArrayLike] | npt.ArrayLike | None = None,
    normalize: bool | None = None,
    seed: int = 0,
    points: int = 41,
    span: tuple[float, float] | None = None,
) -> LossLine:
    """Return the loss along a straight line of parameters: to another net, or in a direction.

    At position t the parameters are ``(1 - t) * net + t * to``, or ``net + t * direction``. The loss is that of
    `Trainer.evaluate`: in evaluation mode, without a penalty. The net itself does not change.

    Parameters
    ----------
    net : Sequential or Trainer
        With a trainer the loss is its own, and with an `average` the net is the one `averaged`.
    X : array_like, shape (rows, in_features)
        Some rows.
    y : array_like, shape (rows,) or (rows, out_features)
        Their targets, as the loss takes them.
    loss : str or Loss, default "cross_entropy"
        The loss, or its name, for a net; a trainer has its own.
    sample_weight : array_like, shape (rows,), optional
        Weights of the rows, as for `fastnn.Trainer.evaluate`.
    to : Sequential or state dict, optional
        The other end: a net of the same layers with the same scalers. Running statistics of batch norms move along,
        and stay beyond both ends.
    direction : mapping of str to array_like, or array_like of shape (n,), optional
        Arrays by the names of ``net.parameters()``, where those that are left out are 0; or one number for each
        parameter that is not frozen, in that order, such as an eigenvector of `hessian`. By default the direction is
        random, of normal numbers. Frozen parameters stay in a random direction.
    normalize : bool, optional
        Whether the direction is scaled to the size of the net, see Notes. By default random directions are, and one
        that is given is taken as it is: a scaled eigenvector would be none.
    seed : int, default 0
        Of the random direction.
    points : int, default 41
        Number of positions, evenly spaced, at least 2.
    span : pair of float, optional
        The first and the last position, by default (-0.5, 1.5) for `to` and (-1, 1) for a direction: the default
        positions contain 0, and for `to` also 1.

    Returns
    -------
    LossLine

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range, a weight of the net is not finite, or both `to` and `direction`
        are given.

    Notes
    -----
    Nets with large weights change less by the same step, so that lines of two nets can be compared only after the
    direction has been normalised (Li et al., 2018, Visualizing the loss landscape of neural nets). They normalise each
    filter of a convolution; in a dense layer a filter is the weights into one unit. So each column of a matrix gets the
    norm that this column has in the net, and each other array, such as a bias, that of the whole array. What is 0 in
    the net stays 0. The code that Li et al. have published leaves biases as they are.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import diagnosis, nn
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> y = (X[:, 0] > 0).astype(int)
    >>> net = nn.Sequential(nn.Dense(2, 2), seed=0)
    >>> trainer = fastnn.Trainer(net.copy(), optimizer=fastnn.optim.LBFGS())
    >>> history = trainer.fit(X, y, epochs=5, verbose=0)
    >>> line = diagnosis.loss_along_line(net, X, y, to=trainer.net, span=(0, 1), points=3)
    >>> line.positions, bool(line.losses[2] < line.losses[1] < line.losses[0])
    (array([0. , 0.5, 1. ]), True)
    """
    subject, checked_loss, _ = _subject(net, loss)
    check_finite(subject)
    examples = validated_examples(subject, checked_loss, X, y, sample_weight, finite=True)
    if to is not None and direction is not None:
        v.refuse(ValueError, "direction", "be left out with to, which says where the line goes", v.kind_of(direction))
    normalize = direction is None if normalize is None else v.boolean("normalize", normalize)
    positions = _positions(span, (-1.0, 1.0) if to is None else (-0.5, 1.5), v.integer("points", points, 2))
    twin = subject.copy()
    start, state = twin.params.data.astype(np.float64), twin.state.data.astype(np.float64)
    if to is None:
        end, last_state = start + _direction(subject, direction, v.integer("seed", seed, 0), normalize), state
    else:
        other = _other_end(subject, to)
        end, last_state = other.params.data.astype(np.float64), other.state.data.astype(np.float64)
    losses = []
    with np.errstate(all="ignore"):  # far from the net numbers may be too large
        for t in positions:
            within = min(max(t, 0.0), 1.0)  # beyond the ends a variance could become negative
            twin.params.data[...] = (1.0 - t) * start + t * end
            twin.state.data[...] = (1.0 - within) * state + within * last_state
            losses.append(evaluate(twin, checked_loss, examples, {})["loss"])
    return LossLine(positions, np.array(losses), to is not None)


def _subject(net: Sequential | Trainer, loss: str | Loss | None) -> tuple[Sequential, Loss, Penalty]:
    """Return the net that is looked at, with the loss and the penalty."""
    found, checked, penalty = objective(net, loss, None)
    return (net.evaluated_net() if isinstance(net, Trainer) else found), checked, penalty


def check_finite(net: Sequential) -> None:
    """Refuse a net of which a parameter is NaN or infinite."""
    for name, values in net.parameters().items():
        if not v.all_finite(values):
            v.refuse(ValueError, "net", "have finite weights", f"NaN or infinity in {name}")


def _positions(span: object, default: tuple[float, float], points: int) -> Array:
    """Return evenly spaced positions, 0 and 1 without rounding if they are among them."""
    low, high = v.interval("span", default if span is None else span)
    positions = np.linspace(low, high, points)
    for exact in (0.0, 1.0):
        positions[np.abs(positions - exact) < 1e-9 * (high - low)] = exact
    return positions


def _other_end(net: Sequential, to: Sequential | Mapping[str, npt.ArrayLike]) -> Sequential:
    """Return a net of the same layers with the values of the line's other end."""
    other = net.copy()
    with v.part("to"):
        if isinstance(to, Mapping):
            other.load_state_dict(to)
        else:
            other.copy_from(as_net("to", to))
    pairs = ((net.input_scaling, other.input_scaling), (net.output_scaling, other.output_scaling))
    for ours, theirs in pairs:
        if ours is not theirs and (ours is None or not ours.equals(theirs)):
            v.refuse(ValueError, "to", "have the scalers of net, which the line does not change", "others")
    return other


def _direction(
    net: Sequential, given: Mapping[str, npt.ArrayLike] | npt.ArrayLike | None, seed: int, normalize: bool
) -> Array:
    """Return a direction in the layout of the net's arena."""
    layout, parameters = net.params.layout, net.parameters()
    free = [name for name in parameters if name not in net.params.frozen]
    parts: dict[str, Array]
    if given is None:
        rng = np.random.default_rng(seed)
        parts = {name: np.asarray(rng.normal(size=parameters[name].shape)) for name in free}
    elif isinstance(given, Mapping):
        parts = {name: _part(name, value, parameters) for name, value in given.items()}
    else:
        vector, ends = v.numeric("direction", given), np.cumsum([parameters[name].size for name in free])
        v.shape("direction", vector, (int(ends[-1]) if free else 0,))
        pieces = np.split(vector.astype(np.float64), ends[:-1]) if free else []
        parts = {name: piece.reshape(parameters[name].shape) for name, piece in zip(free, pieces, strict=True)}
    flat = np.zeros(len(net.params.data))
    for name, part in parts.items():
        if not v.all_finite(part):
            v.refuse(ValueError, "direction", "contain finite numbers", f"NaN or infinity for {name}")
        sized = _resized(part, parameters[name].astype(np.float64)) if normalize else part
        flat[layout.offsets[name] : layout.offsets[name] + part.size] = sized.reshape(-1)
    return flat


def _part(name: str, value: npt.ArrayLike, parameters: Mapping[str, Array]) -> Array:
    """Return one array of a direction, checked."""
    if name not in parameters:
        v.refuse(ValueError, "direction", f"have names of parameters as keys: {', '.join(parameters)}", v.shown(name))
    array = v.numeric(f"direction[{name!r}]", value)
    v.shape(f"direction[{name!r}]", array, parameters[name].shape)
    return array.astype(np.float64)


def _resized(part: Array, values: Array) -> Array:
    """Return a direction with the norms of the values: of each column of a matrix, of any other array as a whole."""
    axis = 0 if values.ndim == 2 else None
    most, largest = (np.abs(each).max(initial=0.0) or 1.0 for each in (part, values))
    part, values = part / most, values / largest  # squares of larger numbers could overflow
    size, target = (np.sqrt(np.square(each).sum(axis=axis, keepdims=True)) for each in (part, values))
    factor: Array = np.divide(target, size, out=np.zeros_like(size), where=size > 0)
    return part * factor * largest


@with_hints
def hessian(
    net: Sequential | Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    loss: str | Loss | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """Return the second derivatives of the mean loss of all rows by the parameters, of which there are at most 2000.

    They are computed in float64 from central differences of gradients, as `optim.Newton` does. These are two gradients
    of all rows for each parameter: about 9 s for 1960 parameters and 1797 rows on two cores. The net itself does not
    change.

    Parameters
    ----------
    net : Sequential or Trainer
        With a trainer loss and penalty are its own, and with an `average` the net is the one `averaged`.
    X : array_like, shape (rows, in_features)
        All rows of the training.
    y : array_like, shape (rows,) or (rows, out_features)
        Their targets, as the loss takes them.
    loss : str or Loss, default "cross_entropy"
        The loss, or its name, for a net; a trainer has its own.
    sample_weight : array_like, shape (rows,), optional
        Weights of the rows, as for `fastnn.Trainer.fit`.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Symmetric. Rows and columns are the parameters that are not frozen, in the order of ``net.parameters()``.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range; if the net has more than 2000 parameters, none that is not
        frozen, batch norms, dropout or sparse updates; or if the loss is not finite.

    Examples
    --------
    The loss ``(w * x - y)**2`` has the second derivative ``2 * x**2``:

    >>> from fastnn import diagnosis, nn
    >>> net = nn.Sequential(nn.Dense(1, 1, bias=False), seed=0)
    >>> diagnosis.hessian(net, [[3.0]], [[1.0]], loss="mean_squared_error").round(6)
    array([[18.]])
    """
    return gradient_and_hessian(net, X, y, loss, sample_weight)[1]


def gradient_and_hessian(
    net: Sequential | Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: str | Loss | None,
    sample_weight: npt.ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Return the gradient, float64 (n,), and what `hessian` returns."""
    subject, checked_loss, penalty = _subject(net, loss)
    check_function_of_parameters(subject, "for a Hessian", "write diagnosis.loss_along_line(net, X, y) to look at it")
    count = count_trained(subject)
    if not 0 < count <= NEWTON_PARAMETERS:
        must = f"have from 1 to {NEWTON_PARAMETERS} parameters that are not frozen, as a Hessian has their square"
        fix = "write diagnosis.loss_along_line(net, X, y), or freeze layers" if count else ""
        v.refuse(ValueError, "net", must, f"{count:,}", fix)
    examples = validated_examples(subject, checked_loss, X, y, sample_weight, finite=True)
    surface = Objective(subject, checked_loss, penalty, examples, np.float64)

    def function(x: Array) -> tuple[float, Array]:
        found = surface(x)
        surface.forget()  # of each point the loss would be kept
        return found

    x = surface.read(subject)
    value, gradient = function(x)
    if not math.isfinite(value):
        v.refuse(ValueError, "net", "have a finite loss", value)
    return gradient, hessian_of(function, x)
