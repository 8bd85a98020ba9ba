"""Initialisers: their distributions, their arguments, and that they depend on the seed alone."""

import inspect
import math

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn import init

FAN_IN, FAN_OUT = 180, 120
ROOT2 = math.sqrt(2)

CUT = 0.87962566103423978  # standard deviation of the standard normal distribution cut to [-2, 2]
LECUN, HE, GLOROT = 1 / math.sqrt(FAN_IN), ROOT2 / math.sqrt(FAN_IN), math.sqrt(2 / (FAN_IN + FAN_OUT))

# E z**4 / (E z**2)**2, and the bound in standard deviations.
SHAPES = {
    "normal": (3.0, math.inf),
    "uniform": (9 / 5, math.sqrt(3)),
    "cut": ((3 * CUT**2 - 16 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(ROOT2)) / CUT**4, 2 / CUT),
}

# name -> (initialiser, standard deviation, shape)
SPREADS = {
    "uniform": (init.uniform(-1.0, 1.0), 1 / math.sqrt(3), "uniform"),
    "normal": (init.normal(std=0.01), 0.01, "normal"),
    "trunc_normal": (init.trunc_normal(std=0.5, a=-1.0, b=1.0), 0.5 * CUT, "cut"),
    "xavier_uniform": (init.xavier_uniform(), GLOROT, "uniform"),
    "xavier_normal": (init.xavier_normal(gain=2.0), 2 * GLOROT, "normal"),
    "kaiming_uniform": (init.kaiming_uniform(), HE, "uniform"),
    "kaiming_uniform, a": (init.kaiming_uniform(a=math.sqrt(5)), LECUN / math.sqrt(3), "uniform"),
    "kaiming_normal": (init.kaiming_normal(nonlinearity="relu"), HE, "normal"),
    "kaiming_normal, fan_out": (init.kaiming_normal(mode="fan_out"), ROOT2 / math.sqrt(FAN_OUT), "normal"),
    "kaiming_normal, tanh": (init.kaiming_normal(nonlinearity="tanh"), 5 / 3 * LECUN, "normal"),
    "lecun_uniform": (init.lecun_uniform(), LECUN, "uniform"),
    "lecun_normal": (init.lecun_normal(), LECUN, "normal"),
    "variance_scaling": (init.variance_scaling(), LECUN, "cut"),
    "variance_scaling, 2": (init.variance_scaling(2.0, distribution="normal"), HE, "normal"),
    "variance_scaling, fan_avg": (init.variance_scaling(1.0, "fan_avg", "uniform"), GLOROT, "uniform"),
    "variance_scaling, fan_out": (init.variance_scaling(0.7, "fan_out"), math.sqrt(0.7 / FAN_OUT), "cut"),
    "orthogonal": (init.orthogonal(0.5), 0.5 / math.sqrt(FAN_IN), "normal"),
}


def chi2_quantile(n, z):
    """Return Wilson and Hilferty's approximation of the chi-squared quantile at the normal quantile z."""
    return n * (1 - 2 / (9 * n) + z * math.sqrt(2 / (9 * n))) ** 3


@pytest.mark.parametrize("name", SPREADS)
def test_spread(name):
    initializer, std, shape = SPREADS[name]
    kurtosis, bound = SHAPES[shape]
    n = FAN_IN * FAN_OUT
    w = initializer((FAN_IN, FAN_OUT), init.Random(1, 2, 3)) / std
    assert w.shape == (FAN_IN, FAN_OUT)
    assert abs(w.mean()) < 5 / math.sqrt(n)
    # For normal numbers the sum of squares is chi-squared with n degrees of freedom. For others it is close to a
    # chi-squared distribution with the degrees of freedom that give the same variance, n * (kurtosis - 1).
    free = 2 * n / (kurtosis - 1)
    assert chi2_quantile(free, -5) < free * (w**2).mean() < chi2_quantile(free, 5)
    assert abs((w**4).mean() - kurtosis) < (0.3 if shape == "normal" else 0.05)
    assert abs(w).max() <= bound * (1 + 1e-15)


@pytest.mark.parametrize(("mean", "a", "b"), [(0, -1, 2), (3, -2, 0.5), (-1, 4, 5), (-8, 0, 1), (0, -30, -25)])
def test_truncated_normal_is_the_normal_distribution_between_its_bounds(mean, a, b):
    """The fractions below many points are those of the distribution, also far out in a tail."""
    w = np.sort(init.trunc_normal(mean, 1.0, a, b)((100, 200), init.Random(1, 2, 3)).ravel())
    assert a <= w[0] <= w[-1] <= b
    sign = 1 if a + b > 2 * mean else -1  # so that probabilities are counted from the tail, without cancellation

    def tail(x):
        return math.erfc(sign * (x - mean) / ROOT2)

    shares = [(tail(x) - tail(a)) / (tail(b) - tail(a)) for x in w[::100]]
    # Kolmogorov and Smirnov: the largest difference exceeds 2.5 / sqrt(n) once in 10**5.
    np.testing.assert_allclose(shares, np.arange(0, 20000, 100) / 20000, atol=2.5 / math.sqrt(20000))


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (1, 9), (9, 1)])
@pytest.mark.parametrize("gain", [1.0, ROOT2])
def test_orthogonal(shape, gain):
    w = init.orthogonal(gain)(shape, init.Random(5, 6, 7))
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, gain**2 * np.eye(min(shape)), rtol=0, atol=1e-12)


def test_orthogonal_has_no_preferred_sign():
    """Without the signs of R, the diagonal of Q would have the same sign in all matrices."""
    signs = [init.orthogonal()((3, 3), init.Random(seed, 0, 0)).diagonal() > 0 for seed in range(200)]
    assert abs(np.mean(signs, axis=0) - 0.5).max() < 5 * 0.5 / math.sqrt(200)


def test_constants():
    assert (init.zeros()((2, 3), init.Random(0, 0, 0)) == 0).all()
    assert (init.ones()((2, 3), init.Random(0, 0, 0)) == 1).all()
    for distribution in ("normal", "uniform", "truncated_normal"):
        assert (init.variance_scaling(0.0, distribution=distribution)((2, 3), init.Random(0, 0, 0)) == 0).all()
    assert (init.constant(-1.5)((2, 3), init.Random(0, 0, 0)) == -1.5).all()


def test_gains_are_pytorchs():
    gains = [init.calculate_gain(name) for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu")]
    np.testing.assert_allclose(gains, [1, 1, 5 / 3, ROOT2, math.sqrt(2 / (1 + 0.01**2))])
    assert init.calculate_gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)
    with pytest.raises(ValueError, match="nonlinearity"):
        init.calculate_gain("swish")


# The initialiser, and a function that fills a tensor by torch's module of initialisers.
PYTORCH = {
    "uniform": (init.uniform(-0.2, 0.7), lambda i, t: i.uniform_(t, -0.2, 0.7)),
    "normal": (init.normal(0.3, 0.2), lambda i, t: i.normal_(t, 0.3, 0.2)),
    "trunc_normal": (init.trunc_normal(0.3, 0.2, 0.0, 0.4), lambda i, t: i.trunc_normal_(t, 0.3, 0.2, 0.0, 0.4)),
    "xavier_uniform": (init.xavier_uniform(1.5), lambda i, t: i.xavier_uniform_(t, 1.5)),
    "xavier_normal": (init.xavier_normal(1.5), lambda i, t: i.xavier_normal_(t, 1.5)),
    "kaiming_uniform": (init.kaiming_uniform(0.5), lambda i, t: i.kaiming_uniform_(t, 0.5)),
    "kaiming_uniform, fan_out": (
        init.kaiming_uniform(mode="fan_out", nonlinearity="relu"),
        lambda i, t: i.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"),
    ),
    "kaiming_normal": (init.kaiming_normal(0.5), lambda i, t: i.kaiming_normal_(t, 0.5)),
    "kaiming_normal, tanh": (
        init.kaiming_normal(0.0, "fan_out", "tanh"),
        lambda i, t: i.kaiming_normal_(t, 0.0, "fan_out", "tanh"),
    ),
    "orthogonal": (init.orthogonal(0.5), lambda i, t: i.orthogonal_(t, 0.5)),
    "zeros": (init.zeros(), lambda i, t: i.zeros_(t)),
    "ones": (init.ones(), lambda i, t: i.ones_(t)),
    "constant": (init.constant(0.3), lambda i, t: i.constant_(t, 0.3)),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_distributions_are_pytorchs(name):
    """Mean, spread and bounds of many numbers agree; PyTorch's tensor is (outputs, inputs)."""
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    initializer, fill = PYTORCH[name]
    have = initializer((500, 200), init.Random(1, 2, 3))
    tensor = torch.empty(200, 500, dtype=torch.float64)
    torch.manual_seed(0)
    fill(torch.nn.init, tensor)
    want = tensor.numpy()
    # Five standard errors of a difference: sqrt(2 / n) for means, sqrt((kurtosis - 1) / 2 n) for logarithms of spreads.
    assert abs(have.mean() - want.mean()) <= 5 * math.sqrt(2 / want.size) * want.std() + 1e-15
    assert abs(have.std() - want.std()) <= 5 * math.sqrt(1 / want.size) * want.std()
    if name != "orthogonal" and "normal" not in name.replace("trunc_normal", ""):  # the distribution has bounds
        np.testing.assert_allclose([have.min(), have.max()], [want.min(), want.max()], rtol=1e-3, atol=1e-4)


def test_gains_and_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


NAMES = "zeros, ones, uniform, normal, trunc_normal, .*, orthogonal, glorot_normal, he_normal"
REFUSED = {
    "fans of a vector": (
        ValueError, r"shape must be \(in_features, out_features\), got \(3,\): for bias_init write nn.init.constant",
        lambda: init.lecun_normal()((3,), None),
    ),
    "orthogonal vector": (ValueError, "shape must be", lambda: init.orthogonal()((3,), None)),
    "fans of a bias": (
        ValueError, r"bias_init must be an initialiser for vectors, got one for matrices: write nn\.init\.constant",
        lambda: nn.Sequential(nn.Dense(2, 3, bias_init="lecun_normal")),
    ),
    "std": (ValueError, "std must be a finite number above 0, got 0.0", lambda: init.trunc_normal(std=0.0)),
    "bounds": (ValueError, "b must be above a, which is 2.0, got 1.0", lambda: init.trunc_normal(a=2, b=1)),
    "nothing between": (
        ValueError, r"the interval from a to b must have a probability of at least 1e-290 .*, got \[40.0, 41.0\]",
        lambda: init.trunc_normal(a=40, b=41),
    ),
    "scale": (
        ValueError, "scale must be a finite number of at least 0, got -1.0", lambda: init.variance_scaling(-1.0)
    ),
    "mode": (ValueError, "mode must be one of fan_in, fan_out, fan_avg", lambda: init.variance_scaling(1.0, "fan")),
    "distribution": (
        ValueError, "distribution must be one of normal, truncated_normal, uniform, got 'cauchy'",
        lambda: init.variance_scaling(distribution="cauchy"),
    ),
    "gain": (ValueError, "gain must be a finite number of at least 0, got -1.0", lambda: init.orthogonal(-1.0)),
    "slope": (TypeError, "a must be a finite number, got 'x'", lambda: init.kaiming_normal("x")),
    "name": (
        ValueError, f"init must be an initialiser, or one of the names {NAMES}, got 'xavier': write ",
        lambda: nn.Dense(2, 3, init="xavier"),
    ),
    "kind": (
        TypeError, r"init must be an initialiser, or the name of one, got float: write init=nn.init.constant\(0.5\)$",
        lambda: nn.Dense(2, 3, init=0.5),
    ),
    "bias kind": (
        TypeError, "bias_init must be an initialiser, or the name of one, got ndarray$",
        lambda: nn.Dense(2, 3, bias_init=np.zeros(3)),
    ),
    "a bool": (TypeError, "init must be an initialiser, .*, got bool$", lambda: nn.Dense(2, 3, init=True)),
    "a class": (
        TypeError, "init must be an initialiser, .*, got the class Own: give an object of the class$",
        lambda: nn.Dense(2, 3, init=Own),
    ),
    "no bias": (
        ValueError, "bias_init must be None with bias=False, got 'ones'$",
        lambda: nn.Dense(2, 3, bias=False, bias_init="ones"),
    ),
    "bias shape": (
        ValueError, r"the result of bias_init must be 1-dimensional, of shape \(3,\), got shape \(2, 3\)$",
        lambda: nn.Sequential(nn.Dense(2, 3, bias_init=lambda shape, random: np.zeros((2, 3))), seed=0),
    ),
}  # fmt: skip


class Own:
    """An initialiser of a user's, as a class."""

    def __call__(self, shape, random):
        return np.ones(shape)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    error, message, make = REFUSED[case]
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize("argument", ["init", "bias_init"])
@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_classes_of_initialisers_are_called(name, argument):
    """The message says how: a class without its call, and a name whose initialiser needs a value."""
    make = getattr(init, name)
    needs_value = any(p.default is p.empty for p in inspect.signature(make).parameters.values())
    call = f"{argument}=nn.init.{name}({'0.1' if needs_value else ''})"
    must = f"{argument} must be an initialiser"
    with pytest.raises(TypeError, match=rf"^{must}, or the name of one, got the class {name}: write ") as caught:
        nn.Dense(2, 3, **{argument: make})
    assert str(caught.value).endswith(f"write {call}")
    if needs_value:
        with pytest.raises(ValueError, match=rf"^{must}, or one of the names {NAMES}, got '{name}': write ") as caught:
            nn.Dense(2, 3, **{argument: name})
        assert str(caught.value).endswith("write nn.init.constant(0.1)")
        assert f", {name}," not in str(caught.value)
    eval(f"nn.Dense(2, 3, {call})", {"nn": nn})


def test_initialisers_by_name():
    wanted = {name for name in init.__all__ if name.islower()} - {"calculate_gain"}
    assert {name: getattr(init, name) for name in wanted} == init.INITIALIZERS
    for name in wanted - {"constant"}:
        named, made = (nn.Sequential(nn.Dense(4, 3, init=kind), seed=0) for kind in (name, getattr(init, name)()))
        np.testing.assert_array_equal(named.layers[0].weight, made.layers[0].weight)


def test_copies_do_not_draw():
    """An initialiser may be slow, or give other values in each call."""
    calls = []

    def own(shape, random):
        calls.append(shape)
        return np.full(shape, len(calls))

    net = nn.Sequential(nn.Dense(2, 3, init=own, bias_init=own), nn.BatchNorm(3), nn.Dense(3, 1, init=own), seed=0)
    for twin in (net.copy(), net.astype("float64")):
        assert calls == [(2, 3), (3,), (3, 1)]
        assert twin.state_dict().keys() == net.state_dict().keys()
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(twin.state_dict()[name], value)


def test_biases():
    net = nn.Sequential(
        nn.Dense(4, 300, bias_init=init.normal(0.5, 0.1)), nn.ReLU(), nn.Dense(300, 300, True, "uniform", "uniform"),
        nn.Dense(300, 2), dtype="float64", seed=3,
    )  # fmt: skip
    first, second, last = (net.layers[index].bias for index in (0, 2, 3))
    assert abs(first.mean() - 0.5) < 5 * 0.1 / math.sqrt(300)
    assert abs(first.std() - 0.1) < 0.03
    assert 0 <= second.min() < 0.05
    assert 0.95 < second.max() <= 1
    np.testing.assert_array_equal(last, 0)
    # Weight and bias have different random numbers, which depend on the seed alone.
    assert not np.isin(second, net.layers[2].weight).any()
    again = nn.Sequential(nn.Dense(4, 300, bias_init=init.normal(0.5, 0.1)), dtype="float64", seed=3)
    np.testing.assert_array_equal(again.layers[0].bias, first)
    np.testing.assert_array_equal(net.copy().layers[0].bias, first)


def test_streams_differ_and_repeat():
    base = init.Random(1, 2, 3)
    np.testing.assert_array_equal(base.normal(101), init.Random(1, 2, 3).normal(101))
    for other in (init.Random(0, 2, 3), init.Random(1, 0, 3), init.Random(1, 2, 0)):
        assert abs(np.corrcoef(base.uniform(4000), other.uniform(4000))[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("between", "gain"),
    [
        ([nn.ReLU()], ROOT2 / math.sqrt(400)),
        ([nn.BatchNorm(100), nn.Dropout(0.5), nn.ReLU()], ROOT2 / math.sqrt(400)),
        ([nn.LayerNorm(100), nn.RMSNorm(100), nn.ReLU()], ROOT2 / math.sqrt(400)),
        ([nn.LeakyReLU(1.0)], 1 / math.sqrt(400)),
        ([nn.Tanh()], math.sqrt(2 / 500)),
        ([nn.Sigmoid()], math.sqrt(2 / 500)),
        ([], math.sqrt(2 / 500)),
    ],
)
def test_the_default_initialiser_depends_on_the_next_activation(between, gain):
    net = nn.Sequential(nn.Dense(400, 100), *between, nn.Dense(100, 5), nn.ReLU(), seed=0)
    np.testing.assert_allclose(net.layers[0].weight.std(), gain, rtol=0.03)
    np.testing.assert_array_equal(net.layers[0].bias, 0)


def test_seed_decides(impl):
    def weights(seed):
        return nn.Sequential(nn.Dense(5, 5), nn.Dense(5, 5), seed=seed).parameters()

    first, again, other = weights(3), weights(3), weights(4)
    np.testing.assert_array_equal(first["0.weight"], again["0.weight"])
    assert not np.array_equal(first["0.weight"], other["0.weight"])
    assert not np.array_equal(first["0.weight"], first["1.weight"])
    with fastnn.backend("reference"):
        np.testing.assert_array_equal(weights(3)["1.weight"], first["1.weight"])


def test_an_initialiser_of_a_users():
    net = nn.Sequential(nn.Dense(2, 3, init=lambda shape, random: np.arange(6).reshape(shape)), seed=0)
    np.testing.assert_array_equal(net.layers[0].weight, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(
        ValueError, match=r"^the result of init must be 2-dimensional, of shape \(2, 3\), got shape \(3,\)$"
    ):
        nn.Sequential(nn.Dense(2, 3, init=lambda shape, random: np.zeros(3)), seed=0)


# ---- why initial values matter ----


def squares(depth, activation, initializer, width=256, rows=64):
    """Return the mean square of each activation's output in a deep net, for inputs of mean square 1."""
    layers = [layer for _ in range(depth) for layer in (nn.Dense(width, width, init=initializer), activation())]
    net = nn.Sequential(*layers, dtype="float64", seed=1)
    z, found = np.random.default_rng(0).normal(size=(rows, width)), []
    for dense in net.layers[::2]:
        z = z @ dense.weight
        z = np.maximum(z, 0) if activation is nn.ReLU else np.tanh(z)
        found.append((z**2).mean())
    x = np.random.default_rng(0).normal(size=(rows, width))
    np.testing.assert_allclose(net.predict(x), z, rtol=1e-9, atol=1e-12 * abs(z).max())  # the loop equals the net
    return np.array(found)


@pytest.mark.parametrize(("scale", "kept"), [(1.0, 0.5), (2.0, 1.0), (4.0, 2.0)])
def test_each_relu_layer_multiplies_the_variance_by_half_of_scale(scale, kept):
    """Each layer multiplies E a**2 by scale / 2: a variance of 1/n halves it, 2/n keeps it (He et al., 2015)."""
    depth = 10
    found = squares(depth, nn.ReLU, init.variance_scaling(scale, distribution="normal"))
    # The standard deviation of a layer's factor is about sqrt(5 / width), and of n layers' product sqrt(n) times that.
    for layer, square in enumerate(found, 1):
        assert abs(math.log(square / kept**layer)) < 4 * math.sqrt(5 * layer / 256)
    assert abs(math.log2(found[-1]) / depth - math.log2(kept)) < 0.2


def test_small_random_weights_shrink_a_deep_tanh_net():
    """With 0.01 * randn each layer multiplies the signal by 0.01 * sqrt(n); with Glorot's it does not vanish."""
    depth, width = 8, 256
    small = squares(depth, nn.Tanh, init.normal(std=0.01), width)
    ratios = np.sqrt(small[1:] / small[:-1])
    np.testing.assert_allclose(ratios, 0.01 * math.sqrt(width), rtol=0.1)
    assert math.sqrt(small[-1]) < 1e-5
    assert squares(depth, nn.Tanh, init.xavier_normal(), width)[-1] > 0.03


@pytest.mark.parametrize("value", [0.0, 0.3])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_equal_weights_stay_equal(impl, activation, value):
    """Hidden units with equal weights stay equal: eight act as one. Random weights break the symmetry."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 3))
    y = (X.sum(axis=1) > 0).astype(int)

    def ranks(hidden, output):
        net = nn.Sequential(
            nn.Dense(3, 8, init=hidden), activation(), nn.Dense(8, 2, init=output), dtype="float64", seed=0
        )
        fastnn.Trainer(net, optimizer=fastnn.optim.SGD(0.5)).fit(X, y, epochs=3, batch_size=16, verbose=0)
        return np.linalg.matrix_rank(net.layers[0].weight), net.layers[0].weight, net.layers[2].weight

    rank, first, last = ranks(init.constant(value), init.constant(value))
    assert rank <= 1
    np.testing.assert_array_equal(first, np.repeat(first[:, :1], 8, axis=1))
    np.testing.assert_array_equal(last, np.repeat(last[:1], 8, axis=0))
    if value == 0.0 and activation is not nn.Sigmoid:  # no signal, no gradient: only the last bias learns
        np.testing.assert_array_equal(first, 0)
        np.testing.assert_array_equal(last, 0)
    assert ranks(init.normal(std=0.1), init.normal(std=0.1))[0] == 3
