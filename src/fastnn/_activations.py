"""The registry of activations: one row for each, used by kernels, checks, layers and documentation.

An activation has a row here, one in ``FNN_ACTIVATIONS`` of csrc/fastnn.h, in the same order, and two functions of its
name in the NumPy twin (CONTRIBUTING.md lists all places). Where libraries differ, formula, parameters and the
derivative at a kink are PyTorch's. Unlike PyTorch's, functions and derivatives have the values of their limits at
infinity, and a NaN never becomes a number.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from fastnn._names import Names


@dataclass(frozen=True)
class Parameter:
    """A finite number that an activation takes, with low <= value, or low < value if `low` is `excluded`.

    `low` may be the name of an earlier parameter.
    """

    name: str
    default: float
    low: float | str = -math.inf
    excluded: bool = False


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes
    ----------
    torch : str
        The layer's name: that of PyTorch's class, where PyTorch has one.
    title : str
        What it is, in words.
    derivative_from : {"output", "input"}
        What the derivative is computed from.
    formula, derivative : str
        y as a function of x, and its derivative; parameters by their names.
    error : tuple of str
        Bounds of the errors of y and of the derivative.
    example : str
        y for x = [-1, 0, 2], as NumPy prints it.
    parameters : tuple of Parameter
        At most two, with the names and in the order of PyTorch's.
    source : str
        The publication, or differences to other libraries.
    measured_error : float, optional
        The largest error of y over all float32 arguments, in ULP and counted as in `error`, as measured by
        ``tools/ulp.py --exhaustive`` at AVX2 with all parameters 1.
    init : {"kaiming", "lecun", "xavier"}
        The default initialiser of a dense layer before the activation: "kaiming", with ReLU's gain; "lecun", which
        keeps the variance; "xavier", for activations that saturate.
    kinks : tuple of float or str
        Points where the derivative jumps, as numbers or names of parameters; gradient checks avoid them.
    zero_output_zero_gradient : bool
        Whether the derivative is 0 where y is 0, and 1 elsewhere. It can then be computed from y after dropout too.
    saturation : tuple of float or str, optional
        The lower and the upper limit of y, numbers or names of parameters, from which on a unit counts as saturated:
        the derivative is below 8 % of its largest value there, so that the unit hardly learns. Units that are 0, as
        those of `ReLU`, are counted as zeros.
    """

    torch: str
    title: str
    derivative_from: Literal["output", "input"]
    formula: str
    derivative: str
    error: tuple[str, str]
    example: str
    parameters: tuple[Parameter, ...] = ()
    source: str = ""
    measured_error: float | None = field(default=None, kw_only=True)
    init: Literal["kaiming", "lecun", "xavier"] = field(default="kaiming", kw_only=True)
    kinks: tuple[float | str, ...] = field(default=(), kw_only=True)
    zero_output_zero_gradient: bool = field(default=False, kw_only=True)
    saturation: tuple[float | str, float | str] | None = field(default=None, kw_only=True)

    @property
    def summary(self) -> str:
        """The first line of the layer's docstring."""
        return f"{self.title}: ``y = {self.formula}``" + (f" ({self.source})." if self.source else ".")

    @property
    def derivative_argument(self) -> str:
        """The name of what the derivative is computed from, as in the formulas: "y" or "x"."""
        return "y" if self.derivative_from == "output" else "x"


_EXACT = ("exact", "exact")
_ALPHA = Parameter("alpha", 1.0, low=0, excluded=True)

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("Identity", "Identity", "output", "x", "1", _EXACT, "[-1.,  0.,  2.]", init="xavier"),
    "relu": Activation(
        "ReLU",
        "Rectified linear unit",
        "output",
        "max(x, 0), never -0",
        "1 where y > 0, else 0",
        _EXACT,
        "[0., 0., 2.]",
        kinks=(0,),
        zero_output_zero_gradient=True,
    ),
    "leaky_relu": Activation(
        "LeakyReLU",
        "Leaky rectified linear unit",
        "output",
        "x where x > 0, else negative_slope * x",
        "1 where y > 0, else negative_slope",
        _EXACT,
        "[-0.01,  0.  ,  2.  ]",
        # The derivative depends on the sign of the output, which a negative slope would reverse.
        (Parameter("negative_slope", 0.01, low=0),),
        "Maas, Hannun and Ng, 2013; Keras's slope is 0.3",
        kinks=(0,),
    ),
    "sigmoid": Activation(
        "Sigmoid",
        "Logistic sigmoid",
        "output",
        "1 / (1 + exp(-x))",
        "y * (1 - y)",
        ("2 ULP", "exact"),
        "[0.26894142, 0.5       , 0.88079708]",
        init="xavier",
        saturation=(0.02, 0.98),
    ),
    "tanh": Activation(
        "Tanh",
        "Hyperbolic tangent",
        "output",
        "tanh(x)",
        "1 - y * y",
        ("2 ULP", "exact"),
        "[-0.76159416,  0.        ,  0.96402758]",
        init="xavier",
        saturation=(-0.96, 0.96),
    ),
    "relu6": Activation(
        "ReLU6",
        "Rectified linear unit of at most 6",
        "output",
        "min(max(x, 0), 6)",
        "1 where 0 < y < 6, else 0",
        _EXACT,
        "[0., 0., 2.]",
        source="Krizhevsky, 2010",
        kinks=(0, 6),
        saturation=(-math.inf, 6),
    ),
    "hard_tanh": Activation(
        "Hardtanh",
        "Hyperbolic tangent made of straight pieces",
        "output",
        "min(max(x, min_val), max_val)",
        "1 where min_val < y < max_val, else 0",
        _EXACT,
        "[-1.,  0.,  1.]",
        (Parameter("min_val", -1.0), Parameter("max_val", 1.0, low="min_val")),
        "Collobert, 2004",
        init="xavier",
        kinks=("min_val", "max_val"),
        saturation=("min_val", "max_val"),
    ),
    "threshold": Activation(
        "Threshold",
        "Threshold",
        "input",
        "x where x > threshold, else value",
        "1 where x > threshold, else 0",
        _EXACT,
        "[0., 0., 2.]",
        (Parameter("threshold", 0.0), Parameter("value", 0.0)),
        kinks=("threshold",),
    ),
    "hard_sigmoid": Activation(
        "Hardsigmoid",
        "Sigmoid made of straight pieces",
        "input",
        "min(max(x + 3, 0), 6) / 6",
        "1 / 6, rounded once, where -3 < x < 3, else 0",
        _EXACT,
        "[0.33333333, 0.5       , 0.83333333]",
        source="Howard et al., 2019",
        init="xavier",
        kinks=(-3, 3),
        saturation=(0, 1),
    ),
    "hard_swish": Activation(
        "Hardswish",
        "Swish (`SiLU`) with `Hardsigmoid` in place of the sigmoid",
        "input",
        "x * (min(max(x + 3, 0), 6) / 6)",
        "0 where x <= -3, x / 3 + 1 / 2 where -3 < x < 3, else 1",
        _EXACT,
        "[-0.33333333,  0.        ,  1.66666667]",
        source="Howard et al., 2019",
        kinks=(-3, 3),
    ),
    "softsign": Activation(
        "Softsign",
        "Softsign, a sigmoid without exponentials",
        "input",
        "x / (1 + |x|)",
        "1 / (1 + |x|)^2",
        _EXACT,
        "[-0.5       ,  0.        ,  0.66666667]",
        source="Bergstra et al., 2009",
        init="xavier",
        saturation=(-0.72, 0.72),
    ),
    "elu": Activation(
        "ELU",
        "Exponential linear unit",
        "output",
        "x where x > 0, else alpha * (exp(x) - 1)",
        "1 where y > 0, else y + alpha",
        ("4 ULP", "exact"),
        "[-0.63212056,  0.        ,  2.        ]",
        (Parameter("alpha", 1.0, low=0),),
        "Clevert, Unterthiner and Hochreiter, 2016",
        measured_error=1.1,
        kinks=(0,),
    ),
    "selu": Activation(
        "SELU",
        "Scaled exponential linear unit",
        "output",
        "1.0507 x where x > 0, else 1.7581 (exp(x) - 1)",
        "1.0507 where y > 0, else y + 1.7581",
        ("4 ULP", "exact"),
        "[-1.11133074,  0.        ,  2.10140197]",
        source="Klambauer et al., 2017, whose constants have more digits",
        measured_error=1.9,
        init="lecun",
        kinks=(0,),
    ),
    "celu": Activation(
        "CELU",
        "Continuously differentiable exponential linear unit",
        "output",
        "x where x > 0, else alpha * (exp(x / alpha) - 1)",
        "1 where y > 0, else y / alpha + 1",
        ("4 ULP", "exact"),
        "[-0.63212056,  0.        ,  2.        ]",
        (_ALPHA,),
        "Barron, 2017",
        measured_error=1.1,
    ),
    "softplus": Activation(
        "Softplus",
        "Softplus, a smooth form of `ReLU`",
        "output",
        "max(x, 0) + log(1 + exp(-|beta * x|)) / beta",
        "1 - exp(-beta * y)",
        ("4 ULP at some x' within 2 ULP of x", "4 ULP"),
        "[0.31326169, 0.69314718, 2.12692801]",
        (Parameter("beta", 1.0, low=0, excluded=True),),
        "Dugas et al., 2000; PyTorch's is x itself where beta * x > 20",
        measured_error=1.8,
    ),
    "silu": Activation(
        "SiLU",
        "Sigmoid linear unit",
        "input",
        "x * sigmoid(x)",
        "sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x))",
        ("4 ULP", "bound"),
        "[-0.26894142,  0.        ,  1.76159416]",
        source="Elfwing, Uchibe and Doya, 2017; Ramachandran, Zoph and Le, 2017, call it Swish",
        measured_error=3.4,
    ),
    "mish": Activation(
        "Mish",
        "Mish, a smooth form of `ReLU` that is negative in places",
        "input",
        "x * tanh(log(1 + exp(x)))",
        "t + x * sigmoid(x) * (1 - t * t), t = tanh(log(1 + exp(x)))",
        ("4 ULP", "bound"),
        "[-0.30340146,  0.        ,  1.94395896]",
        source="Misra, 2019",
        measured_error=3.5,
    ),
    "gelu": Activation(
        "GELU",
        "Gaussian error linear unit",
        "input",
        "x * Phi(x) = x / 2 * (1 + erf(x / sqrt(2)))",
        "Phi(x) + x * exp(-x * x / 2) / sqrt(2 pi)",
        ("4 ULP at some x' within 2 ULP of x", "bound"),
        "[-0.15865525,  0.        ,  1.95449974]",
        source="Hendrycks and Gimpel, 2016",
        measured_error=3.4,
    ),
    "gelu_tanh": Activation(
        "GELUTanh",
        "Gaussian error linear unit by the hyperbolic tangent",
        "input",
        "x * sigmoid(u) = x / 2 * (1 + tanh(u / 2)), u = 2 sqrt(2 / pi) (x + 0.044715 x^3)",
        "sigmoid(u) + x u' * sigmoid(u) * (1 - sigmoid(u)), u' = 2 sqrt(2 / pi) (1 + 0.134145 x^2)",
        ("4 ULP at some x' within 2 ULP of x", "bound"),
        "[-0.15880801,  0.        ,  1.95459769]",
        source="Hendrycks and Gimpel, 2016; PyTorch's GELU(approximate='tanh')",
        measured_error=3.0,
    ),
}

DEFAULTS = {name: tuple(float(each.default) for each in row.parameters) for name, row in ACTIVATIONS.items()}
"""The values of the parameters of each activation where none is given."""

ALIASES = {"gelu_new": "gelu_tanh", "linear": "identity", "logistic": "sigmoid", "swish": "silu"}
"""Other names of the same formulas, in Keras, scikit-learn and elsewhere."""

NAMES = Names(
    ACTIVATIONS,
    ALIASES,
    {
        "log_softmax": "write kernels.log_softmax(kernels.dense(x, w, b)), for example",
        "prelu": "write kernels.prelu(kernels.dense(x, w, b), slope), for example",
        "softmax": "write kernels.softmax(kernels.dense(x, w, b)), for example",
    },
)
"""The names that `fastnn.kernels` takes; layers have more, see `fastnn.nn.activation`."""
