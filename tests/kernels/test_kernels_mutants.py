"""Tests of the specs: a twin with one term changed must fail its oracle, and every kernel and twin must have a spec.

tools/mutate.py does the same with compiled kernels, which takes a build for each mutation.
"""

import ast
import inspect
import types

import numpy as np
import pytest
from conftest import implementation
from specs import BY_NAME, SPECS

from fastnn import kernels
from fastnn.kernels import _dispatch

# Family, a text of its twin, the text that replaces it, a spec that must fail.
MUTANTS = [
    ("dense", "out += b", "out -= b", "dense"),
    ("dense", "np.matmul(dy, w.T, out=out)", "np.matmul(dy, w.T * 1.00001, out=out)", "dense_grad_input"),
    ("dense", "dy.sum(axis=0, dtype", "dy[:-1].sum(axis=0, dtype", "dense_grad_bias"),
    ("activations", "np.maximum(x, 0) + 0.0", "np.fmax(x, 0)", "relu"),
    ("activations", "np.where(y > 0, dy, np.where(y <= 0, 0, y))", "np.where(y > 0, dy, 0)", "relu_backward"),
    ("activations", "np.where(x > 0, x, slope * x)", "np.maximum(x, slope)", "leaky_relu"),
    ("activations", "np.where(x > 0, x, x * slope)", "np.maximum(x, x * slope)", "prelu"),
    ("activations", "dslope[: len(slope)] = by_column", "dslope[: len(slope)] = -by_column", "prelu_backward"),
    (
        "activations",
        "derivative: Array = y * (1 - y)",
        "derivative: Array = y * (1 - y) * (1 + 1e-6)",
        "sigmoid_backward",
    ),
    ("activations", "np.tanh(x.astype(np.float64))", "np.tanh(x) * (1 + 6e-8)", "tanh"),
    ("activations", "(1.0 + e)", "(1.0 + e + 1e-6)", "sigmoid"),
    ("activations", "1 - y * y", "1 - y", "tanh_backward"),
    ("normalization", "(wide - mean64) * inv_std64 * gamma", "(wide - mean64) * inv_std64", "batch_norm"),
    ("normalization", "var64 + eps", "var64 + 2 * eps", "batch_norm"),
    ("normalization", "np.sqrt(var64 + eps * unit * unit)", "(np.sqrt(var64) + eps)", "batch_norm"),
    ("normalization", "x_hat * (sum_dy_x_hat / n)", "x_hat * (sum_dy_x_hat / (n - 1))", "batch_norm_backward"),
    ("normalization", "* scale + shift", "* scale - shift", "batch_norm_inference"),
    ("normalization", "deviation * inverse * gamma", "deviation * inverse", "layer_norm"),
    ("normalization", "deviation = from_first - shift", "deviation = from_first", "layer_norm"),
    (
        "normalization",
        "(wide**2).sum(axis=1, keepdims=True) / x.shape[1]",
        "(wide**2).sum(axis=1, keepdims=True)",
        "rms_norm",
    ),
    ("normalization", "g - mean_g - x_hat * mean_product", "g - x_hat * mean_product", "layer_norm_backward"),
    ("normalization", "(dy * x_hat).sum(axis=0)", "dy.sum(axis=0)", "layer_norm_backward"),
    ("normalization", "(g - x_hat * ((g * x_hat)", "(g - ((g * x_hat)", "rms_norm_backward"),
    ("dropout", "bits >= round(p * 2**16)", "bits > round(p * 2**16) - 2**6", "dropout"),
    ("dropout", "1 / (1 - p) if", "1.0 if", "dropout"),
    ("dropout", "_ROUNDS = 10", "_ROUNDS = 9", "random_bits"),
    ("dropout", "_MASK_ROUNDS = 7", "_MASK_ROUNDS = 8", "dropout"),
    ("dropout", "out.size - 1, 0, -1", "out.size - 1, 1, -1", "permutation"),
    ("augmentation", "(exponent.view(np.int32) - (127 + 24))", "(exponent.view(np.int32) - (127 + 23))", "add_noise"),
    ("augmentation", "nearest & _HALF\n", "(nearest + _QUARTER) & _HALF\n", "add_noise"),
    ("augmentation", "-75.393242", "-75.4", "add_noise"),
    ("augmentation", "bits >= round(p * 2**16), x, 0)", "bits > round(p * 2**16) - 2**6, x, 0)", "drop_features"),
    ("augmentation", "(rows + 1 + offset) % n", "(rows + offset) % n", "swap_entries"),
    ("augmentation", "np.uint64(n - 1) //", "np.uint64(n) //", "swap_entries"),
    ("augmentation", "low + (rest * 2.0**-22)", "low + (rest * 2.0**-23)", "mixup_pairs"),
    ("augmentation", "(n > 1) + offset", "offset", "mixup_pairs"),
    ("augmentation", "(share, 1 - share)", "(1 - share, share)", "mix_rows"),
    ("augmentation", "(2 * m + 1) >> 16", "(2 * m) >> 16", "shift_images"),
    ("augmentation", "images if edge else", "images if not edge else", "shift_images"),
    ("augmentation", "axis=2 if vertical else 3", "axis=3 if vertical else 2", "flip_images"),
    ("losses", "np.log(np.exp(z)", "np.log1p(np.exp(z)", "softmax"),
    ("losses", "u.sum(axis=1, keepdims=True) - u", "2 - u", "cross_entropy"),
    ("losses", "_weighted(u, log_p)", "log_p", "cross_entropy of probabilities, weighted"),
    ("losses", "np.maximum(z, 0) + np.log1p(e)", "np.maximum(z, 0) + e", "binary_cross_entropy"),
    ("losses", "delta * (np.abs(d) - delta / 2)", "delta * np.abs(d)", "huber"),
    ("losses", "np.tanh(z - t)", "(z - t)", "log_cosh"),
    ("losses", "smoothing / len(weight)", "smoothing", "cross_entropy, smoothed and weighted by class"),
    (
        "losses",
        "positive = np.array(pos_weight) * t",
        "positive = (np.array(pos_weight) - 1) * t",
        "binary_cross_entropy by column, weighted",
    ),
    ("losses", "(q - 1) * d", "q * d", "quantile at three"),
    ("losses", "z.reshape(len(z), -1, len(q))", "z.reshape(len(z), len(q), -1).swapaxes(1, 2)", "quantile at three"),
    ("losses", "terms + t_log_t - t", "terms + t_log_t", "poisson, the deviance"),
    ("losses", "-t * np.sign(h)", "-t", "hinge"),
    ("losses", "np.where(others, slopes, -slopes.sum(axis=1, keepdims=True))", "slopes", "multi_margin"),
    ("losses", "2 * (z - t)", "(z - t)", "mean_squared_error"),
    ("losses", "share[counted] @ losses[counted]", "losses.mean()", "mean_squared_error, weighted"),
    ("optimizers", "(step_size * m) / (np.sqrt(v) + eps)", "(step_size * m) / np.sqrt(v + eps)", "adam"),
    ("optimizers", "m + rest1 * (g - m)", "(1 - rest1) * m + rest1 * g", "adam"),
    ("optimizers", "(lr * g) / (np.sqrt(v) + eps)", "(lr * g) / np.sqrt(v + eps)", "adagrad"),
    ("optimizers", "alpha * v + rest * (g * g)", "alpha * v + (1 - alpha) * (g * g)", "rmsprop"),
    (
        "optimizers",
        "mu * buf + g / (np.sqrt(v) + eps)",
        "mu * buf + g * (np.sqrt(v) + eps)",
        "rmsprop_momentum",
    ),
    ("optimizers", "v - mean * mean", "v - mean", "rmsprop_centered"),
    ("optimizers", "np.sqrt(u + eps) / np.sqrt(v + eps)", "np.sqrt(u) / np.sqrt(v)", "adadelta"),
    ("optimizers", "np.maximum(top, v, out=top)", "top[...] = v", "amsgrad"),
    ("optimizers", "gradient_rate * g + mean_rate * m", "mean_rate * g + gradient_rate * m", "nadam"),
    ("optimizers", "mu * buf + rest * g", "mu * buf + g", "damped momentum"),
    ("optimizers", "w += buf", "w -= buf", "velocity"),
    ("optimizers", "w += mu * buf - lr * g", "w += buf", "nesterov_velocity"),
    ("optimizers", "one(l1) * np.sign(w)", "one(l1)", "regularize"),
    ("optimizers", "np.maximum(x, -high)", "x", "clip"),
    ("optimizers", "x.dtype.type(factor) * x", "x", "scale"),
    ("optimizers", "limit / norm, 1)", "limit / norm, 2)", "limit_norms"),
    ("optimizers", "chunks * chunks", "chunks", "sums"),
    ("optimizers", "lr * (g + mu * buf)", "lr * (g + buf)", "nesterov"),
    ("optimizers", "np.abs(value) < np.finfo(value.dtype).tiny", "value != value", "momentum"),
    ("optimizers", "w -= lr * g", "w += lr * g", "sgd"),
    ("gather", "x[rows]", "x[rows[::-1]]", "gather"),
    ("joins", "np.add(x, x2, out=out)", "np.subtract(x, x2, out=out)", "add"),
    ("joins", "np.multiply(x, x2, out=out)", "np.multiply(x, x, out=out)", "multiply"),
    ("joins", "x[:, columns]", "x[:, columns[::-1]]", "take_columns"),
    ("joins", "out[:, columns] = x", "out[:, np.sort(columns)] = x", "put_columns"),
    ("joins", "if clear:", "if not clear:", "put_columns"),
    ("joins", "out[...] = 0", "pass", "put_columns, cleared"),
    ("numeric", "(z - left) * scale)", "(z - left) * scale.max())", "piecewise_linear"),
    ("numeric", "z >= upper", "z > upper + 1", "piecewise_linear"),
    ("numeric", 'side="right"', 'side="left"', "piecewise_linear_backward"),
    ("numeric", "np.where(np.isnan(x[:, j]), x[:, j], slope)", "slope", "piecewise_linear_backward"),
    ("numeric", "[cos, -sin, -cos, sin]", "[cos, sin, -cos, -sin]", "periodic"),
    ("numeric", "2 * np.pi * (part", "6.28318 * (part", "periodic"),
    ("numeric", "cos * dsin - sin * dcos", "cos * dsin + sin * dcos", "periodic_grad_input"),
    ("numeric", "x[:, :, np.newaxis]).sum", "abs(x[:, :, np.newaxis])).sum", "periodic_grad_frequencies"),
    ("numeric", "out[...] = dy * scale", "out[...] = x * scale", "scale_columns_backward"),
    ("numeric", "np.multiply(x, scale, out=out)", "np.multiply(x, -scale, out=out)", "scale_columns"),
    ("statistics", "(b.mean - a.mean)", "(a.mean - b.mean)", "entry_statistics"),
    ("statistics", "flat >= x.dtype.type(high)", "flat >= x.dtype.type(low)", "entry_statistics"),
    ("statistics", "(x == 0).all(axis=0)", "(x == 0).any(axis=0)", "entry_statistics"),
    ("statistics", "numbers.max()", "abs(numbers).max()", "entry_statistics"),
    ("scaling", "np.where(np.isnan(x), fill, x)", "np.where(np.isfinite(x), x, fill + 1)", "fill_nan"),
    ("scaling", "1 + t * t", "1 + t", "smooth_clip"),
    ("scaling", "np.abs(t) >= _CLIPPED", "np.abs(t) >= 2.0", "smooth_clip"),
    ("scaling", "0.5 * (first + last - 1)", "1.0 * first", "quantile_normal"),
    ("scaling", "above - 1 + part", "above - part", "quantile_normal"),
    ("scaling", "x <= q[0]", "x < q[0]", "quantile_normal"),
    ("scaling", "x >= q[-1]", "x > q[-1]", "quantile_normal"),
    ("scaling", "(x == q[0]) & (x == q[-1])", "(x == q[0]) & False", "quantile_normal"),
    ("scaling", "_SMALLEST_TAIL = 1e-7", "_SMALLEST_TAIL = 1e-8", "quantile_normal"),
    ("scaling", "reversed(factors[:-1])", "reversed(factors[1:])", "quantile_normal"),
]


def check_on_all_shapes(spec):
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(0)
        for shape in spec.shapes:
            arguments = spec.make(rng, shape, np.dtype(dtype))
            spec.check(spec.call(kernels, arguments), arguments, shape)
            for name in spec.edge_arguments:
                arguments[name].reshape(-1)[::5] = np.nan
            spec.check(spec.call(kernels, arguments), arguments, shape)


def code_of(module):
    """Return the source of a module without docstrings, whose formulas are like the code."""
    source = inspect.getsource(module)
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None and len(node.body) > 1:
            docstring = node.body[0]
            lines[docstring.lineno - 1 : docstring.end_lineno] = [""] * (docstring.end_lineno - docstring.lineno + 1)
    return "".join(lines)


@pytest.mark.parametrize(("family", "old", "new", "name"), MUTANTS)
def test_mutants_are_caught(family, old, new, name, monkeypatch):
    twin = _dispatch.module_of(family, "reference")
    source = code_of(twin)
    assert old in source, "the twin has changed: change MUTANTS as well"
    mutant = types.ModuleType(twin.__name__)
    exec(compile(source.replace(old, new), twin.__file__, "exec"), mutant.__dict__)  # noqa: S102
    with implementation("reference"):
        check_on_all_shapes(BY_NAME[name])
        monkeypatch.setattr(_dispatch, "module_of", lambda family, backend: mutant)
        with pytest.raises(AssertionError, match="expected"):
            check_on_all_shapes(BY_NAME[name])


def test_every_kernel_has_a_spec():
    public = {name for name in kernels.__all__ if inspect.isfunction(getattr(kernels, name))}
    public -= {name for name in public if name.endswith("_scalars")}
    # `activation` and its derivative are what the functions of each activation call.
    assert public == {spec.function or spec.name for spec in SPECS} | {"activation", "activation_backward"}


def test_every_twin_has_a_spec():
    for family in {spec.family for spec in SPECS}:
        twin = _dispatch.module_of(family, "reference")
        functions = [node for node in ast.parse(inspect.getsource(twin)).body if isinstance(node, ast.FunctionDef)]
        # The functions of one formula each are called by those that have a spec.
        twins = {node.name for node in functions if node.name[0] != "_"} - set(getattr(twin, "FORMULAS", ()))
        # Random words and powers are tested without an oracle, and swaps of ids with those of entries.
        assert twins - {"philox", "short_words", "half_words", "power", "swap_ids"} == {
            spec.twin for spec in SPECS if spec.family == family
        }


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_benchmarks_have_arguments(spec):
    """The calls of the benchmarks run, at a small shape, and NumPy's lines give about the same result."""
    arguments = spec.make(np.random.default_rng(0), spec.shapes[3], np.dtype(np.float32))
    with np.errstate(all="ignore"):
        by_hand = spec.numpy(**{k: a.copy() if k in spec.in_place else a for k, a in arguments.items()})
    assert len(spec.bench_shapes) > 0
    assert all(len(shape) == len(spec.bench_shapes[0]) for shape in spec.bench_shapes)
    if spec.returns == ("out",) and spec.out and "seed" not in arguments:
        got = spec.call(kernels, arguments)["out"]
        np.testing.assert_allclose(got, by_hand, rtol=1e-4, atol=1e-5)
