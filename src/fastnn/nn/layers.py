"""Layers: their parameters, their settings, and the ops that they add to a program."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex

import numpy as np

from fastnn import _validation as v
from fastnn._records import is_own, settled
from fastnn._settings import Settings, comparable, value_text
from fastnn._typing import Array
from fastnn.engine import Arena, Builder
from fastnn.nn import init as _init
from fastnn.nn import initializers
from fastnn.nn.init import Initializer

__all__ = ["Dense", "Dropout", "Layer"]

Shapes = dict[str, tuple[int, ...]]


def _same_view(value: object, view: Array) -> bool:
    """Whether a value is the view itself: ``layer.weight *= 2`` writes into the view and then assigns it."""
    return isinstance(value, np.ndarray) and value.__array_interface__ == view.__array_interface__


class Layer(Settings, abstract=True):
    """Base class of all layers: records of settings. `Sequential` binds copies of them to the net.

    ``net[i]`` is such a copy. It is equal to the layer that it was made from, and its arrays, such as
    ``net[0].weight``, are views of the net's values. The layer itself is not changed, and may be used for any number of
    nets.

    Settings are given when a layer is made and are read-only after that, as the net's programs are made from them once.
    Subclasses, users' own as well, may set public attributes while `__init__` runs. Names that begin with "_" are free.
    Nets copy objects of users' classes by `copy.deepcopy`.

    Attributes
    ----------
    in_features, out_features : int or None
        Widths of input and output; None for a layer that takes any width and keeps it.
    penalized : tuple of str
        Names of the parameters that a penalty on large weights applies to.
    max_norms : mapping of str to float
        Upper limits of the column norms of parameters, by name.
    uses_batch_statistics : bool
        Whether the layer's output in training depends on the other rows of the batch; a batch then needs two rows.
    """

    in_features: int | None = None
    out_features: int | None = None
    penalized: ClassVar[tuple[str, ...]] = ()
    uses_batch_statistics: ClassVar[bool] = False
    in_pytorch: ClassVar[bool] = False
    """Whether PyTorch has the layer, with parameters of the same names: files then have these names."""
    reads_ids: ClassVar[bool] = False
    """Whether the layer reads row numbers in columns of the net's input."""
    _registered: tuple[str, Mapping[str, Any]] | None = None
    """The name in `nn.register_activation` that the layer was made by, and the parameters given to `nn.activation`."""
    _initializers: ClassVar[tuple[str, ...]] = ()
    """The arguments that only say how initial values are drawn."""

    _internal = frozenset(
        {
            "bound_to",
            "default_initializers",
            "detached",
            "in_pytorch",
            "in_use",
            "keeps_statistics",
            "keeps_width",
            "leaves",
            "output_width",
            "path",
            "reads_ids",
            "saved_as_is",
            "sparse_parameters",
            "tables_with_own_row",
            "walk",
        }
    )
    # "<path>" is that of the layer.
    _fixes: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("freeze", "frozen", "requires_grad", "requires_grad_", "trainable"), 'write net.freeze("<path>.*")'
        ),
        "unfreeze": 'write net.unfreeze("<path>.*")',
        "eval": 'write net.freeze("<path>.*"); net.predict(X) is in evaluation mode',
    }
    _how_to_change = "make a new layer, {call}, and a new net"
    _prefix = ""
    _number = 0
    _arenas: tuple[Arena, ...] = ()

    def parameters(self) -> Shapes:
        """Return names and shapes of the parameters, which are trained."""
        return {}

    def buffers(self) -> Shapes:
        """Return names and shapes of the running statistics."""
        return {}

    def emit(self, builder: Builder, x: str) -> str:
        """Append the layer's ops to a program.

        Parameters
        ----------
        builder : Builder
            Builds the program; ``builder.training`` says whether it is for training.
        x : str
            The buffer of the input.

        Returns
        -------
        str
            The buffer of the output.
        """
        raise NotImplementedError

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise TypeError: only nets compute. The message says what to write."""
        is_whole = self.in_features is not None
        if self.bound and self.path.isdecimal():
            i = int(self.path)
            fix = f"write net[{i}:{i + 1}].predict(x)" if is_whole else f"write net.activations(X)[{i}]"
        elif self.bound:  # within a container
            layer = "net" + "".join(f"[{index}]" for index in self.path.split("."))
            fix = f"write nn.Sequential({'' if is_whole else '..., '}{layer}).predict(x)"
        else:
            fix = "write nn.Sequential(layer).predict(x)" if is_whole else "write nn.Sequential(..., layer).predict(x)"
        v.refuse(TypeError, "a layer", "be run by a net", f"a call of {v.shown(self)}", fix)

    def reset(self, seed: int, default: Initializer) -> None:
        """Fill the layer's arrays, which are zeros, with initial values.

        Parameters
        ----------
        seed : int
            The net's.
        default : callable
            The initialiser of weights that have none of their own.
        """

    @property
    def max_norms(self) -> Mapping[str, float]:
        """Upper limits of the column norms of parameters, by name."""
        return {}

    @property
    def saved_as_is(self) -> tuple[str, ...]:
        """Names of matrices that state dicts have as they are; others are transposed, to PyTorch's orientation."""
        return ()

    @property
    def tables_with_own_row(self) -> tuple[str, ...]:
        """The names of those parameters whose last row is that of unknown categories."""
        return ()

    @property
    def sparse_parameters(self) -> tuple[str, ...]:
        """Names of matrices whose updates change only the rows of the batch."""
        return ()

    def init_before(self) -> Initializer | None:
        """Return the default initialiser of a `Dense` directly before this layer.

        None means that the layer after this one decides.
        """
        return None

    def default_initializers(self, after: Initializer) -> list[Initializer]:
        """Return the default initialisers of the layers in this one: `after`, unless it is a container.

        `after` is the initialiser that the layers after this one ask for.
        """
        return [after]

    def output_width(self, width: int | None, name: str) -> int | None:
        """Return the width of the output for an input of this width, None if it is not known.

        Containers, which messages call `name`, check whether their layers fit.
        """
        return width if self.out_features is None else self.out_features

    @property
    def keeps_width(self) -> bool:
        """Whether the layer takes any width, and its output is as wide as its input."""
        return self.in_features is None and self.out_features is None

    def keeps_statistics(self, frozen: Collection[str]) -> bool:
        """Whether training uses the running statistics, and keeps them; `frozen` names the net's frozen parameters."""
        return False

    def leaves(self) -> Iterator[Layer]:
        """Yield the layer itself; a container yields those in it."""
        yield self

    def walk(self, width: int | None) -> Iterator[tuple[Layer, int | None]]:
        """Yield the layer, and the width of its output for an input of this width; a container those in it, too."""
        yield self, self.output_width(width, "")

    def detached(self) -> Self:
        """Return a new layer with the same settings that belongs to no net."""
        if is_own(type(self)):  # nothing in it can change
            twin = type(self).__new__(type(self))
            twin._set_unchecked(**self.__getstate__())
            return twin
        try:
            return copy.deepcopy(self)
        except Exception as error:
            error.add_note("A net has copies of its layers; those of users' classes are made by copy.deepcopy.")
            raise

    # ---- a record ----

    def __repr__(self) -> str:
        if self._registered is None:
            return super().__repr__()
        name, parameters = self._registered
        shown = [f"{key}={value_text(settled(each))}" for key, each in parameters.items()]
        return f"activation({', '.join([repr(name), *shown])})"

    def _key(self) -> tuple[object, ...]:
        if self._registered is None:
            return super()._key()
        name, parameters = self._registered
        return name, *sorted((key, comparable(each)) for key, each in parameters.items())

    def _saved(self) -> tuple[str, dict[str, Any]]:
        if self._registered is None:
            return super()._saved()
        name, parameters = self._registered
        return "nn.activation", {"name": name, "parameters": dict(parameters)}

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        reduced = super().__reduce_ex__(protocol)
        if self._registered is None or not is_own(type(self)):  # of a user's class, which has it among its attributes
            return reduced
        return *reduced, {"_registered": self._registered}

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles of a user's layer contain: all but the net that it belongs to."""
        return {name: value for name, value in vars(self).items() if name not in ("_prefix", "_number", "_arenas")}

    def bound_to(self, path: str, numbers: Iterator[int], params: Arena, state: Arena) -> Self:
        """Return a copy that is part of the net that owns these arenas.

        Its place in the net is `path`, and its random streams are those of the next of `numbers`.
        """
        twin = self.detached()
        twin._bind(path, next(numbers), params, state)
        return twin

    def _bind(self, path: str, number: int, params: Arena, state: Arena) -> None:
        self._set_unchecked(_prefix=f"{path}.", _number=number, _arenas=(params, state), _initialised=True)

    @property
    def path(self) -> str:
        """The layer's place in its net, such as "2.0.1": what its arrays' names begin with."""
        return self._prefix[:-1]

    @property
    def bound(self) -> bool:
        """Whether the layer belongs to a net."""
        return bool(self._arenas)

    @property
    def in_use(self) -> bool:
        """Whether a net made of this layer copies its values: see `Sequential`."""
        return any(arena.used for arena in self._arenas)

    def array(self, name: str) -> Array:
        """Return a parameter or running statistic of a bound layer, as a view of the net's values.

        Parameters
        ----------
        name : str
            A name of `parameters` or `buffers`.

        Raises
        ------
        RuntimeError
            If the layer is not part of a net.
        ValueError
            If there is no such array.
        """
        key = f"{self._prefix}{name}"
        for arena in self._arenas:  # the usual case: the checks below go through all names of the layer
            if key in arena.layout.shapes:
                return arena.view(key)
        v.choice("name", name, [*self.parameters(), *self.buffers()])
        if not self.bound:
            fix = f"write net = nn.Sequential(layer, ...), and net[0].{name}"
            v.refuse_state(f"{v.shown(self)} has no {name}, as it is not part of a net", fix)
        return self._arenas[name not in self.parameters()].view(key)

    def _refuse(self, name: str, *value: object) -> None:
        if name not in self.parameters() and name not in self.buffers():
            super()._refuse(name, *value)
        elif not (self.bound and value and _same_view(value[0], self.array(name))):
            kind = type(self).__name__
            v.refuse_attribute(f"{kind}.{name}", "is a view of the net's values", f"write layer.{name}[...] = values")

    def _fix_here(self, fix: str) -> str:
        if "<path>" in fix and not self.parameters():
            return "it has no parameters"
        return fix.replace("<path>", self.path or "0")

    def _hint(self, name: str) -> str:
        if name not in ("trainable", "requires_grad", "frozen") or not self.parameters():
            return ""
        return f'to freeze its parameters, write net.freeze("{self._prefix or "0."}*")'

    def roles(self, **roles: str) -> Mapping[str, str]:
        """Return buffers of a program by the roles that an op has for them: ``roles(w="weight")`` in `emit`.

        Parameters
        ----------
        **roles : str
            For each role the name of a parameter or running statistic.

        Raises
        ------
        ValueError
            If there is no such array.
        """
        if not self.bound:
            v.refuse_state(f"{v.shown(self)} emits ops, but is not part of a net", "a container writes self.layers[i]")
        parameters = self.parameters()
        names = [*parameters, *self.buffers()]
        for role, name in roles.items():
            v.choice(role, name, names)
        return {
            role: f"{'param' if name in parameters else 'state'}:{self._prefix}{name}" for role, name in roles.items()
        }


class Dense(Layer):
    """An affine map: ``y = x @ weight + bias``.

    Parameters
    ----------
    in_features, out_features : int
        Widths of input and output, at least 1.
    bias : bool, default True
        Whether there is a bias.
    init : callable or str, optional
        Initialiser of the weight: one of `fastnn.nn.init`, the name of one, or a function of your own. The default
        depends on the next activation, past batch norms and dropouts. It is `xavier_uniform` if that activation
        saturates (tanh, sigmoid, softsign, hard tanh, hard sigmoid) or is a custom one, and if there is none;
        `lecun_normal` for SELU, which needs it to normalise itself; and `kaiming_normal` for all others, with the gain
        of a leaky or parametric ReLU, or else of ReLU. (PyTorch draws weight and bias uniformly from
        ±1/sqrt(in_features).)
    bias_init : callable or str, optional
        Initialiser of the bias, called with the shape ``(out_features,)``. By default the bias starts at zero.
    max_norm : float, optional
        Above 0. After every update, the incoming weights of each unit (a column of `weight`) are scaled down to this
        Euclidean norm if theirs is larger (Srivastava et al., 2014; Keras's `MaxNorm`).

    Attributes
    ----------
    weight : ndarray, shape (in_features, out_features)
        A view of the net's parameters; assigning to its entries changes the net.
    bias : ndarray, shape (out_features,), or None

    Raises
    ------
    TypeError, ValueError
        If a width is not a positive integer, `bias` is no bool, an initialiser is neither a function nor a known name,
        `bias_init` is given with ``bias=False``, or `max_norm` is not above 0.

    Examples
    --------
    >>> from fastnn import nn
    >>> layer = nn.Dense(3, 2, init="orthogonal", bias_init=nn.init.constant(0.1))
    >>> layer
    Dense(3, 2, init='orthogonal', bias_init=init.constant(0.1))
    >>> net = nn.Sequential(layer, seed=0)
    >>> net[0].weight.shape
    (3, 2)
    >>> net[0].bias
    array([0.1, 0.1], dtype=float32)
    """

    in_features: int
    out_features: int
    max_norm: float | None
    penalized = ("weight",)
    in_pytorch = True
    _initializers = ("init", "bias_init")
    _kept_as: ClassVar[Mapping[str, str]] = {"bias": "_has_bias", "init": "_init", "bias_init": "_bias_init"}
    _has_bias: bool
    _init: Initializer | None
    _bias_init: Initializer | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: str | Initializer | None = None,
        bias_init: str | Initializer | None = None,
        max_norm: float | None = None,
    ) -> None:
        super().__init__()
        has_bias = v.boolean("bias", bias)
        self._set_unchecked(
            in_features=v.integer("in_features", in_features, 1),
            out_features=v.integer("out_features", out_features, 1),
            max_norm=None if max_norm is None else v.real("max_norm", max_norm, 0, excluded=True),
            _has_bias=has_bias,
            _init=initializers.named("init", init),
            _bias_init=initializers.named("bias_init", bias_init),
        )
        if bias_init is not None and not has_bias:
            v.refuse(ValueError, "bias_init", "be None with bias=False", v.shown(bias_init))

    def parameters(self) -> Shapes:
        """Return the shapes of weight and bias."""
        shapes: Shapes = {"weight": (self.in_features, self.out_features)}
        return shapes | {"bias": (self.out_features,)} if self._has_bias else shapes

    @property
    def max_norms(self) -> Mapping[str, float]:
        """The limit of the weight's column norms, if there is one."""
        return {} if self.max_norm is None else {"weight": self.max_norm}

    @property
    def weight(self) -> Array:
        """A view of the net's parameters."""
        return self.array("weight")

    @property
    def bias(self) -> Array | None:
        """A view of the net's parameters."""
        return self.array("bias") if self._has_bias else None

    def emit(self, builder: Builder, x: str) -> str:
        """Append the matrix product."""
        y = builder.rows(self.out_features)
        roles = self.roles(w="weight", b="bias") if self._has_bias else self.roles(w="weight")
        builder.op("dense", {"x": x, **roles, "y": y})
        return y

    def reset(self, seed: int, default: Initializer) -> None:
        """Draw the weight, and the bias where it has an initialiser."""
        initializer, stream = self._init or default, 2 * self._number + 1
        shape = (self.in_features, self.out_features)
        self.weight[...] = initializers.draw("init", initializer, shape, _init.Random(seed, stream, step=0))
        if self._bias_init is not None:
            bias = initializers.draw("bias_init", self._bias_init, shape[1:], _init.Random(seed, stream, step=1))
            self.array("bias")[...] = bias

    def init_before(self) -> Initializer:
        """Return Xavier's, as there is no activation between the two layers."""
        return _init.XAVIER_UNIFORM


class Dropout(Layer):
    """Inverted dropout (Srivastava et al., 2014).

    In training, each entry becomes 0 with probability `p`; the others are divided by ``1 - p``. The mask is a pure
    function of the net's seed, the layer, the step and the entry's place in the batch. In evaluation the layer does
    nothing.

    Parameters
    ----------
    p : float, default 0.5
        Probability of 0, from 0 to 1; with 1 all entries become 0.

    Raises
    ------
    TypeError, ValueError
        If `p` is not a number from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(3, 4, init=nn.init.constant(1.0)), nn.Dropout(0.5), seed=0)
    >>> net.forward(np.ones((2, 3)), training=True)
    array([[0., 6., 0., 0.],
           [0., 0., 0., 6.]], dtype=float32)
    >>> net.predict(np.ones((1, 3)))
    array([[3., 3., 3., 3.]], dtype=float32)
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = v.real("p", p, 0, 1, closed=True)

    def emit(self, builder: Builder, x: str) -> str:
        """Append the mask, in training only."""
        if not builder.training or self.p == 0.0:
            return x
        y = builder.rows(builder.batch[x])
        builder.op("activation", {"x": x, "y": y}, p=self.p, stream=2 * self._number + 2)
        return y
