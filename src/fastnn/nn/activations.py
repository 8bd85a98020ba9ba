"""Activation layers: one for each row of the registry, some written out here, and custom ones.

The layers of elementwise activations are made from the registry: name, parameters, docstring and initialiser come from
the row, and adding a row adds the layer.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _records
from fastnn import _validation as v
from fastnn._activations import ACTIVATIONS, ALIASES, Parameter
from fastnn._activations import Activation as _Row
from fastnn._names import Names
from fastnn._typing import Array
from fastnn.engine import Builder, write_result
from fastnn.nn import init as _init
from fastnn.nn.layers import Layer, Shapes

__all__ = [
    "GELU",
    "Activation",
    "CustomActivation",
    "Identity",
    "LogSoftmax",
    "PReLU",
    "Softmax",
    "activation",
    "register_activation",
]


_INITIALIZERS = {"kaiming": _init.KAIMING_NORMAL, "lecun": _init.LECUN_NORMAL, "xavier": _init.XAVIER_UNIFORM}


def _add_parameters(cls: Any, parameters: Sequence[Parameter]) -> None:
    """Give a class the parameters of its activation: its signature, and a property for each."""

    def value(index: int) -> property:
        return property(lambda layer: layer.constants[index])

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    cls.__signature__ = inspect.Signature([inspect.Parameter(p.name, kind, default=p.default) for p in parameters])
    for index, parameter in enumerate(parameters):
        setattr(cls, parameter.name, value(index))


class Activation(Layer, abstract=True):
    """Base class of the layers of elementwise activations; parameters are given by position or by name.

    Attributes
    ----------
    name : str
        The activation's name in `fastnn.kernels`.
    constants : tuple of float
        The values of its parameters, in the registry's order.
    """

    name: str
    constants: tuple[float, ...]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        kind: Any = cls
        if "__init__" in vars(cls):
            kind.__signature__ = inspect.signature(kind.__init__.__get__(kind))
        elif vars(cls).get("name", "") in ACTIVATIONS:
            _add_parameters(kind, ACTIVATIONS[cls.name].parameters)

    def __init__(self, *values: float, **named: float) -> None:
        super().__init__()
        if not hasattr(self, "name"):
            fix = "make an object of a class that has one, such as nn.ReLU()"
            v.refuse(TypeError, f"{type(self).__name__}.name", "be the name of an activation", "none", fix)
        names = [parameter.name for parameter in ACTIVATIONS[self.name].parameters]
        given = dict(zip(names, values, strict=False))
        if len(values) > len(names):
            parameters = f"the number of parameters of {type(self).__name__}"
            v.refuse(TypeError, parameters, f"be at most {len(names)}" if names else "be 0", len(values))
        for name in given.keys() & named.keys():
            v.refuse(TypeError, name, "be given once", "a value by position and one by name")
        _, self.constants = v.activation(self.name, given | named)

    def emit(self, builder: Builder, x: str) -> str:
        """Append the activation."""
        y = builder.rows(builder.batch[x])
        builder.op("activation", {"x": x, "y": y}, activation=self.name, parameters=self.constants)
        return y

    def init_before(self) -> _init.Initializer:
        """Return the registry's initialiser; before a leaky ReLU, with the gain of its slope."""
        if self.name == "leaky_relu":
            return _init.kaiming_normal(self.constants[0])
        return _INITIALIZERS[ACTIVATIONS[self.name].init]


class Identity(Activation):
    """Identity: ``y = x``."""

    name = "identity"

    def emit(self, builder: Builder, x: str) -> str:
        """Append nothing: the output is the input."""
        return x


class GELU(Activation):
    """Gaussian error linear unit: ``y = x * Phi(x)`` (Hendrycks and Gimpel, 2016).

    Phi is the distribution function of the standard normal.

    Parameters
    ----------
    approximate : {"none", "tanh"}, default "none"
        "tanh" computes ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))``, as many published models do.

    Raises
    ------
    TypeError, ValueError
        If `approximate` is not one of the two.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.GELU(approximate="tanh")
    GELU(approximate='tanh')
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = v.choice("approximate", approximate, ("none", "tanh"))
        self.name = "gelu" if approximate == "none" else "gelu_tanh"
        super().__init__()


class PReLU(Layer):
    """Parametric ReLU: ``y = x where x > 0, else weight * x``, with learned slopes (He et al., 2015).

    Parameters
    ----------
    num_parameters : int, default 1
        1 for one slope shared by all columns, or the number of columns for a slope each.
    init : float, default 0.25
        Initial value of the slopes, finite.

    Attributes
    ----------
    weight : ndarray, shape (num_parameters,)
        The slopes, a view of the net's parameters.

    Raises
    ------
    TypeError, ValueError
        If `num_parameters` is not a positive integer or `init` is no finite number.

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(2, 3, init=nn.init.constant(-1.0)), nn.PReLU(3))
    >>> net[1].weight[0] = 0.5
    >>> net.predict([[1.0, 1.0]])
    array([[-1. , -0.5, -0.5]], dtype=float32)
    """

    in_pytorch = True

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = v.integer("num_parameters", num_parameters, 1)
        self.init = v.real("init", init, -math.inf)
        if self.num_parameters > 1:
            self.in_features = self.out_features = self.num_parameters

    def parameters(self) -> Shapes:
        """Return the shape of the slopes."""
        return {"weight": (self.num_parameters,)}

    @property
    def weight(self) -> Array:
        """A view of the net's parameters."""
        return self.array("weight")

    def emit(self, builder: Builder, x: str) -> str:
        """Append the activation."""
        y = builder.rows(builder.batch[x])
        builder.op("prelu", {"x": x, **self.roles(a="weight"), "y": y})
        return y

    def reset(self, seed: int, default: _init.Initializer) -> None:
        """Set the slopes to their initial value."""
        self.weight[...] = self.init

    def init_before(self) -> _init.Initializer:
        """Return the initialiser before a leaky ReLU with the initial slope."""
        return _init.kaiming_normal(self.init)


class Softmax(Layer):
    """Softmax: ``y = exp(x) / sum(exp(x))`` of each row, the probabilities of classes; computed without overflow.

    A net trained with `cross_entropy` ends without this layer, as the loss takes logits. There is no `dim`: each row is
    an example.

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(1, 2, init="zeros"), nn.Softmax())
    >>> net.predict([[7.0]])
    array([[0.5, 0.5]], dtype=float32)
    """

    name = "softmax"

    _internal = frozenset({"name"})

    def __init__(self) -> None:
        super().__init__()

    def emit(self, builder: Builder, x: str) -> str:
        """Append the activation."""
        y = builder.rows(builder.batch[x])
        builder.op(self.name, {"x": x, "y": y})
        return y

    def init_before(self) -> _init.Initializer:
        """Return Xavier's, as before all activations that saturate."""
        return _init.XAVIER_UNIFORM


class LogSoftmax(Softmax):
    """Logarithm of `Softmax`: ``y = x - log(sum(exp(x)))`` of each row.

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(1, 2, init="zeros"), nn.LogSoftmax())
    >>> net.predict([[7.0]]).round(3)
    array([[-0.693, -0.693]], dtype=float32)
    """

    name = "log_softmax"

    def __init__(self) -> None:
        super().__init__()


class CustomActivation(Layer):
    """An activation given as two NumPy functions. Each is called once per step, for all rows of the batch.

    Parameters
    ----------
    forward : callable
        ``forward(x)`` returns y, of the shape (n, features) of x.
    backward : callable
        ``backward(dy, x, y)`` turns dy, the derivative of the loss with respect to y, into that with respect to x.

    Raises
    ------
    TypeError
        If one of them cannot be called.

    Notes
    -----
    The functions get read-only arrays of the net's dtype, which are valid only during the call. They may compute any
    function of the whole batch; if each row of the result depends on that row of x alone, so do predictions. Results
    are converted to the net's dtype; a result of another shape, or not of real numbers, is an error. An exception in a
    function ends `predict`, `forward`, `backward` or `fit`, and leaves the net as it was after the last complete step.
    Predictions in several threads call `forward` in several threads. NumPy's floating-point warnings are off.

    `fastnn.check_gradients` checks whether `backward` is the derivative of `forward`. To pickle the net, or to send it
    to another process, the functions have to be importable by name.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> square = nn.CustomActivation(np.square, lambda dy, x, y: 2 * x * dy)
    >>> net = nn.Sequential(nn.Dense(2, 4), square, nn.Dense(4, 1), seed=0)
    >>> fastnn.check_gradients(net, [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]], loss="mean_squared_error").ok
    True
    """

    def __init__(
        self, forward: Callable[[Array], npt.ArrayLike], backward: Callable[[Array, Array, Array], npt.ArrayLike]
    ) -> None:
        super().__init__()
        self.forward = v.function("forward", forward)
        self.backward = v.function("backward", backward)

    def emit(self, builder: Builder, x: str) -> str:
        """Append an op that calls the two functions."""
        y = builder.rows(builder.batch[x])
        builder.op("custom", {"x": x, "y": y}, function=self._run_forward, backward=self._run_backward)
        return y

    def init_before(self) -> _init.Initializer:
        """Return Xavier's, as nothing is known about the function."""
        return _init.XAVIER_UNIFORM

    def _run_forward(self, x: Array, y: Array) -> None:
        write_result("the result of forward", self.forward, x, out=y)

    def _run_backward(self, dy: Array, x: Array, y: Array, dx: Array) -> None:
        write_result("the result of backward", self.backward, dy, x, y, out=dx)


# ---- layers made from the registry ----


def _bounds(parameter: Parameter) -> str:
    if parameter.low == float("-inf"):
        return "Finite."
    return f"{'Above' if parameter.excluded else 'At least'} {parameter.low}."


def _document(row: _Row) -> str:
    lines = [row.summary]
    if row.parameters:
        lines += ["", "Parameters", "----------"]
        for parameter in row.parameters:
            lines += [f"{parameter.name} : float, default {parameter.default}", f"    {_bounds(parameter)}"]
        lines += ["", "Raises", "------", "TypeError, ValueError", "    If a parameter is no number or out of range."]
    return "\n".join(lines) + "\n"


def _layer(name: str, row: _Row) -> type[Activation]:
    """Make the class of one row."""
    return type(row.torch, (Activation,), {"name": name, "__doc__": _document(row), "__module__": __name__})


_SPECIAL: Mapping[str, Callable[..., Layer]] = {
    "identity": Identity,
    "gelu": GELU,
    "gelu_tanh": functools.partial(GELU, "tanh"),
}

LAYERS: Mapping[str, type[Activation]] = {
    row.torch: _layer(name, row) for name, row in ACTIVATIONS.items() if name not in _SPECIAL
}
"""The layers made from the registry, by name."""

globals().update(LAYERS)
__all__ += list(LAYERS)

MAKERS: dict[str, Callable[..., Layer]] = {
    **{name: _SPECIAL.get(name) or LAYERS[row.torch] for name, row in ACTIVATIONS.items()},
    "prelu": PReLU,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}
"""Functions that make a layer, by the activation's name; `register_activation` adds to them."""

NAMES = Names(MAKERS, ALIASES)
"""The names that `activation` takes."""


def activation(name: str | Layer, **parameters: object) -> Layer:
    """Return a new layer of the named activation.

    Parameters
    ----------
    name : str or Layer
        A name of `fastnn.kernels.activation`, "prelu", "softmax", "log_softmax", or a name given to
        `register_activation`; compared without case, ``_`` and ``-``, and with the aliases "linear", "logistic" and
        "swish". For a layer, the result is a new layer with the same settings.
    **parameters
        Parameters of the layer's class, by name.

    Returns
    -------
    Layer

    Raises
    ------
    TypeError, ValueError
        If the name is unknown, or a parameter is unknown or out of range.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.activation("leaky_relu", negative_slope=0.1)
    LeakyReLU(negative_slope=0.1)
    """
    if isinstance(name, str):
        return MAKERS[v.named("activation", name, NAMES)](**parameters)
    layer: Layer = v.instance("activation", name, Layer, f"be a layer, or one of {', '.join(MAKERS)}")
    for parameter, value in parameters.items():
        v.refuse(TypeError, parameter, "be left out with a layer", v.shown(value), "a layer has its own parameters")
    return layer.detached()


def as_layer(name: str, layer: object) -> Any:
    """Return what was given to a net: a string is the name of an activation, anything else stays as it is."""
    return MAKERS[v.named(name, layer, NAMES)]() if isinstance(layer, str) else layer


def register_activation(name: str, make: Callable[..., Layer]) -> None:
    """Register an activation under a name, so that it can be used wherever an activation is given by name.

    A layer made by its name remembers the name and the parameters that were given. It is shown and compared by them.
    Configs, and files of `Sequential.save`, have them in place of the function: register it again, under the same name,
    before you load such a file.

    Parameters
    ----------
    name : str
        A name that is not registered yet.
    make : callable
        Called for each new layer, with the parameters given to `activation`; it returns the layer. This is a subclass
        of `Layer`, or a function that makes a `CustomActivation`. Configs and files hold parameters that are None,
        bools, numbers, strings, records of fastnn, or lists and arrays of these; a tuple comes back as a list.

    Raises
    ------
    TypeError
        If the name is no string, or `make` cannot be called.
    ValueError
        If the name is registered already.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> def sine(frequency=1.0):
    ...     return nn.CustomActivation(
    ...         lambda x: np.sin(frequency * x), lambda dy, x, y: dy * frequency * np.cos(frequency * x)
    ...     )
    >>> nn.register_activation("sine", sine)
    >>> net = nn.Sequential(nn.Dense(2, 8), nn.activation("sine", frequency=3.0), nn.Dense(8, 1), seed=0)
    >>> net[1]
    activation('sine', frequency=3.0)
    >>> fastnn.from_config(net.config())[1] == net[1]
    True
    """
    if not isinstance(name, str):
        v.refuse(TypeError, "name", "be a string", v.kind_of(name))
    if NAMES.find(name) is not None:
        v.refuse(ValueError, "name", "be a name that is not registered yet", v.shown(name))
    MAKERS[name] = _Registered(name, v.function("make", make))


class _Registered:
    """A registered function, whose layers remember by what call they were made."""

    def __init__(self, name: str, make: Callable[..., Layer]) -> None:
        self._name, self._make = name, make

    def __call__(self, /, **parameters: Any) -> Layer:
        kept = {
            key: copy.copy(each) if isinstance(each, list | np.ndarray) else each for key, each in parameters.items()
        }
        layer = v.instance(
            f"the function registered as {self._name!r}", self._make(**parameters), Layer, "return a layer"
        )
        layer._set_unchecked(_registered=(self._name, kept))
        return layer


def _from_config(config: Mapping[str, Any], where: str, decoder: _records.Decoder) -> Layer:
    """Return the layer that a registered function makes with the parameters of a config."""
    _records.check_keys(config, where, ("name", "parameters"))
    name, given = config["name"], config["parameters"]
    known = NAMES.find(name) if isinstance(name, str) else None
    if known is None:
        fix = f"call nn.register_activation({v.shown(name)}, make) before loading"
        v.refuse(ValueError, where, "name an activation that is registered", v.shown(name), fix)
    v.instance(f"{where}.parameters", given, Mapping, "be an object")
    parameters = {key: _records.value_of(each, f"{where}.parameters.{key}", decoder) for key, each in given.items()}
    with _records.naming(where):
        return MAKERS[known](**parameters)


_records.register_maker("nn.activation", _from_config)
