"""Kernels in PyTorch, for `bench/lib/peer_cases.py` to compare with fastnn's of the same name in `TORCH`."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TorchKernel:
    """A kernel in PyTorch: `make(torch, arguments)` returns a function without arguments, which returns the result.

    The function writes into an array allocated before, where PyTorch has such a form. Results of `random` kernels
    cannot be compared by value.
    """

    make: Callable
    random: bool = False


def _adam(torch, a):
    """Return the fused kernel alone, without the Python code around it."""
    lists = [[a[name]] for name in ("w", "g", "m", "v")]
    beta1, beta2 = a["beta1"], a["beta2"]
    more = {"lr": a["lr"], "beta1": beta1, "beta2": beta2, "eps": a["eps"], "weight_decay": 0.0}
    step = [torch.tensor(float(a["step"]))]

    def run():
        torch._fused_adam_(*lists, [], step, **more, amsgrad=False, maximize=False)
        return a["w"]

    return run


def _batch_norm(torch, a):
    out = torch.empty_like(a["x"]), torch.empty_like(a["gamma"]), torch.empty_like(a["gamma"])
    arguments = [a[name] for name in ("x", "gamma", "beta", "running_mean", "running_var")]
    return lambda: torch.native_batch_norm(*arguments, True, a["momentum"], a["eps"], out=out)[0]


def _batch_norm_backward(torch, a):
    f = torch.ops.aten.native_batch_norm_backward
    arguments = [a[name] for name in ("dy", "x", "gamma")]
    return lambda: f(*arguments, None, None, a["mean"], a["inv_std"], True, 1e-5, [True] * 3)[0]


def _layer_norm(torch, a):
    f, shape = torch.ops.aten.native_layer_norm.out, [len(a["gamma"])]
    results = torch.native_layer_norm(a["x"], shape, a["gamma"], a["beta"], a["eps"])
    out = dict(zip(("out0", "out1", "out2"), results, strict=True))
    return lambda: f(a["x"], shape, a["gamma"], a["beta"], a["eps"], **out)[0]


def _layer_norm_backward(torch, a):
    """Return the faster of its two forms, which allocates its results."""
    f, shape, beta = torch.ops.aten.native_layer_norm_backward, [len(a["gamma"])], torch.zeros_like(a["gamma"])
    mean, inv_std = a["mean"][:, None], a["inv_std"][:, None]
    return lambda: f(a["dy"], a["x"], shape, mean, inv_std, a["gamma"], beta, [True] * 3)[0]


def _values(a, parameters):
    """Return the parameters as numbers: a name stands for that argument of the kernel."""
    return [a[each] if isinstance(each, str) else each for each in parameters]


def _derivative_from(a):
    """Return the array that the kernel's derivative is computed from, its output or its input."""
    return a["y"] if "y" in a else a["x"]


def _forward(name, *parameters, **more):
    def make(torch, a):
        f, out = getattr(torch.ops.aten, name).out, torch.empty_like(a["x"])
        values = _values(a, parameters)
        return lambda: f(a["x"], *values, **more, out=out)

    return make


def _backward(name, *parameters, **more):
    def make(torch, a):
        f, out = getattr(torch.ops.aten, f"{name}_backward").grad_input, torch.empty_like(a["dy"])
        source, values = _derivative_from(a), _values(a, parameters)
        return lambda: f(a["dy"], source, *values, **more, grad_input=out)

    return make


def _elu_backward(alpha, scale):
    def make(torch, a):
        f, out = torch.ops.aten.elu_backward.grad_input, torch.empty_like(a["dy"])
        values = _values(a, (alpha, scale))
        return lambda: f(a["dy"], *values, 1, True, a["y"], grad_input=out)

    return make


def _allocating(name):
    """Return the maker of a derivative that has no form with an array to write into."""

    def make(torch, a):
        f, source = getattr(torch.ops.aten, f"{name}_backward"), _derivative_from(a)
        return lambda: f(a["dy"], source)

    return make


def _dropout_backward(torch, a):
    """Return what autograd calls: the mask that the forward pass has kept, times the gradient."""
    mask = torch.rand_like(a["dy"]) >= a["p"]
    return lambda: torch.ops.aten.native_dropout_backward(a["dy"], mask, 1 / (1 - a["p"]))


SELU = 1.6732632423543772, 1.0507009873554805  # alpha and scale (Klambauer et al., 2017)

# Kernel of fastnn -> the same kernel in PyTorch.
TORCH = {
    "relu": TorchKernel(_forward("clamp_min", 0)),
    "relu_backward": TorchKernel(_backward("threshold", 0)),
    "leaky_relu": TorchKernel(_forward("leaky_relu", "negative_slope")),
    "leaky_relu_backward": TorchKernel(_backward("leaky_relu", "negative_slope", True)),
    "relu6": TorchKernel(_forward("hardtanh", 0, 6)),
    "hard_tanh": TorchKernel(_forward("hardtanh", "min_val", "max_val")),
    "threshold": TorchKernel(_forward("threshold", "threshold", "value")),
    "hard_sigmoid": TorchKernel(_forward("hardsigmoid")),
    "hard_sigmoid_backward": TorchKernel(_backward("hardsigmoid")),
    "hard_swish": TorchKernel(_forward("hardswish")),
    "hard_swish_backward": TorchKernel(_allocating("hardswish")),
    "tanh": TorchKernel(_forward("tanh")),
    "tanh_backward": TorchKernel(_backward("tanh")),
    "sigmoid": TorchKernel(_forward("sigmoid")),
    "sigmoid_backward": TorchKernel(_backward("sigmoid")),
    "elu": TorchKernel(_forward("elu", "alpha")),
    "elu_backward": TorchKernel(_elu_backward("alpha", 1)),
    "selu": TorchKernel(_forward("elu", *SELU)),
    "selu_backward": TorchKernel(_elu_backward(*SELU)),
    "softplus": TorchKernel(_forward("softplus", "beta")),
    "silu": TorchKernel(_forward("silu")),
    "silu_backward": TorchKernel(_backward("silu")),
    "mish": TorchKernel(_forward("mish")),
    "mish_backward": TorchKernel(_allocating("mish")),
    "gelu": TorchKernel(_forward("gelu")),
    "gelu_backward": TorchKernel(_backward("gelu")),
    "gelu_tanh": TorchKernel(_forward("gelu", approximate="tanh")),
    "gelu_tanh_backward": TorchKernel(_backward("gelu", approximate="tanh")),
    "softmax": TorchKernel(_forward("_softmax", 1, False)),
    "log_softmax": TorchKernel(_forward("_log_softmax", 1, False)),
    "batch_norm": TorchKernel(_batch_norm),
    "batch_norm_backward": TorchKernel(_batch_norm_backward),
    "layer_norm": TorchKernel(_layer_norm),
    "layer_norm_backward": TorchKernel(_layer_norm_backward),
    "dropout": TorchKernel(lambda torch, a: lambda: torch.native_dropout(a["x"], a["p"], True)[0], random=True),
    "dropout_backward": TorchKernel(_dropout_backward, random=True),
    "adam": TorchKernel(_adam),
}
