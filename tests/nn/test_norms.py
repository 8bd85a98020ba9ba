"""The norms as layers: PyTorch's values and gradients, cumulative statistics, rows that keep to themselves."""

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn

ROWS, WIDTH = 12, 7


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="the oracle, PyTorch, is not installed")


PAIRS = {
    "layer norm": (lambda: nn.LayerNorm(WIDTH), lambda torch: torch.nn.LayerNorm(WIDTH)),
    "layer norm without bias": (
        lambda: nn.LayerNorm(WIDTH, eps=1e-2, bias=False),
        lambda torch: torch.nn.LayerNorm(WIDTH, eps=1e-2, bias=False),
    ),
    "root mean square norm": (lambda: nn.RMSNorm(WIDTH), lambda torch: torch.nn.RMSNorm(WIDTH)),
    "root mean square norm, eps": (
        lambda: nn.RMSNorm(WIDTH, eps=0.1),
        lambda torch: torch.nn.RMSNorm(WIDTH, eps=0.1),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_values_and_gradients_are_pytorchs(pair, torch, impl, dtype, rng):
    ours, theirs = PAIRS[pair][0](), PAIRS[pair][1](torch)
    theirs = torch.nn.Sequential(theirs, torch.nn.Linear(WIDTH, 3)).to(getattr(torch, dtype.name))
    net = nn.Sequential(ours, nn.Dense(WIDTH, 3), dtype=dtype)
    state = {name: rng.normal(size=tuple(value.shape)) for name, value in theirs.state_dict().items()}
    net.load_state_dict(state)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    X, dz = rng.normal(size=(ROWS, WIDTH)).astype(dtype), rng.normal(size=(ROWS, 3)).astype(dtype)
    x = torch.from_numpy(X).requires_grad_()
    z = theirs(x)
    z.backward(torch.from_numpy(dz))
    tolerance = 200 * np.finfo(dtype).eps

    def same(got, expected):
        np.testing.assert_allclose(got, expected.detach().numpy(), rtol=tolerance, atol=tolerance)

    same(net.predict(X), z)
    same(net.forward(X, training=True, input_grad=True), z)
    same(net.backward(dz), x.grad)
    for name, parameter in theirs.named_parameters():
        got = net.gradients()[name]
        same(got.T if got.ndim == 2 else got, parameter.grad)


def test_settings_of_layer_norms(impl):
    net = nn.Sequential(nn.LayerNorm(3, bias=False), nn.RMSNorm(3), nn.LayerNorm(3))
    assert (net[0].bias, net[2].bias.tolist(), net[1].weight.tolist()) == (None, [0, 0, 0], [1, 1, 1])
    assert list(net.state_dict()) == ["0.weight", "1.weight", "2.weight", "2.bias"]
    assert repr(net[0]) == "LayerNorm(3, bias=False)"
    assert not net.uses_batch_statistics
    assert net.forward(np.ones((1, 3)), training=True).shape == (1, 3)  # a single row is a batch


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "features must be an integer of at least 1, got 0", lambda: nn.LayerNorm(0)),
        (ValueError, "eps must be a finite number of at least 0, got -1.0", lambda: nn.RMSNorm(3, eps=-1)),
        (TypeError, "bias must be True or False, got 1", lambda: nn.LayerNorm(3, bias=1)),
        (TypeError, "the arguments of nn.LayerNorm must .*, got 'normalized_shape': write features",
         lambda: nn.LayerNorm(normalized_shape=3)),
        (TypeError, "the arguments of nn.LayerNorm must .*, got 'elementwise_affine': leave it out",
         lambda: nn.LayerNorm(3, elementwise_affine=True)),
    ],
)  # fmt: skip
def test_wrong_settings(error, message, make):
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize("layer", [nn.LayerNorm, nn.RMSNorm])
def test_a_row_alone_is_normalised_as_in_any_batch(layer, impl, dtype, rng):
    net = nn.Sequential(layer(WIDTH), nn.Tanh(), dtype=dtype)
    X = rng.normal(size=(300, WIDTH)).astype(dtype)
    X[17] *= 1e30  # its squares overflow in float32
    X[18] = np.nan
    together = net.predict(X)
    np.testing.assert_array_equal(net.forward(X, training=True), together)
    for i in (0, 16, 17, 18, 19, 299):
        np.testing.assert_array_equal(net.predict(X[i : i + 1]), together[i : i + 1])
    assert np.isnan(together).all(axis=1).nonzero()[0].tolist() == [18]


def test_trajectories_agree(native, rng):
    """After 200 steps of Adam both executors have the same parameters."""
    X, y = rng.normal(size=(330, 10)), rng.integers(0, 3, 330)
    values = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            net = nn.Sequential(
                nn.LayerNorm(10), nn.Dense(10, 24), nn.LayerNorm(24, bias=False), nn.ReLU(), nn.Dropout(0.2),
                nn.Dense(24, 17), nn.RMSNorm(17), nn.GELU(), nn.Dense(17, 3), nn.LayerNorm(3), dtype="float64", seed=7,
            )  # fmt: skip
            trainer = fastnn.Trainer(net)
            trainer.fit(X, y, epochs=19, batch_size=32, verbose=0)
            assert trainer.step_count > 200
            values.append(net.parameters())
    for name, expected in values[1].items():
        assert np.abs(values[0][name] - expected).max() <= 1e-10 * np.abs(expected).max(), name


def test_the_activation_and_dropout_are_part_of_the_op():
    net = nn.Sequential(nn.Dense(2, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(0.5), nn.Dense(4, 1))
    program = net.training_program(loss="mean_squared_error", target="rows", optimizer="adam")
    assert [op.kind for op in program.sections["forward"]] == ["dense", "layer_norm", "dense"]
    assert [op.kind for op in program.sections["backward"]] == [
        "dense_grad_input", "dense_grad_weight", "layer_norm_backward", "dense_grad_weight",
    ]  # fmt: skip
    assert {op.attrs["update"] for op in program.sections["backward"] if op.spec.updates} == {"adam"}


# ---- cumulative statistics ----


def batches(rng, n, dtype=np.float64):
    return [(rng.normal(3, 2, size=(int(rows), WIDTH)) * rng.uniform(0.5, 2)).astype(dtype)
            for rows in rng.integers(2, 9, n)]  # fmt: skip


def cumulative(dtype="float64", **more):
    return nn.Sequential(nn.BatchNorm(WIDTH, momentum=None), nn.Dense(WIDTH, 2), dtype=dtype, seed=0, **more)


def test_cumulative_statistics_are_the_means_over_the_steps(impl, rng):
    """Those of batches of any size count the same; `load_state_dict` continues the count."""
    net, given = cumulative(), batches(rng, 30)
    for k, x in enumerate(given, 1):
        net.forward(x, training=True)
        if k == 11:
            state, net = net.state_dict(), cumulative()
            net.load_state_dict(state)
        means = np.mean([x.mean(axis=0) for x in given[:k]], axis=0)
        variances = np.mean([x.var(axis=0, ddof=1) for x in given[:k]], axis=0)
        np.testing.assert_allclose(net[0].running_mean, means, rtol=1e-12)
        np.testing.assert_allclose(net[0].running_var, variances, rtol=1e-12)
    assert net.state_dict()["0.num_batches_tracked"] == 30


def test_cumulative_statistics_are_pytorchs(torch, impl, rng):
    theirs = torch.nn.BatchNorm1d(WIDTH, momentum=None).double()
    net = cumulative()
    for x in batches(rng, 30):
        theirs(torch.from_numpy(x))
        net.forward(x, training=True)
        for name in ("running_mean", "running_var"):
            np.testing.assert_allclose(getattr(net[0], name), getattr(theirs, name).numpy(), rtol=1e-12)
    assert net.state_dict()["0.num_batches_tracked"] == theirs.num_batches_tracked.item()


def test_cumulative_statistics_of_a_trainer(impl, dtype, rng):
    """Two fits, of several slices, with a short last batch: as a hand-written loop over the same batches."""
    X, y = rng.normal(2, 3, size=(50, WIDTH)).astype(dtype), rng.integers(0, 2, 50)
    fitted, by_hand = cumulative(dtype), cumulative(dtype)
    trainer, loop = fastnn.Trainer(fitted), fastnn.Trainer(by_hand)
    trainer.fit(X, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    trainer.fit(X, y, epochs=1, batch_size=8, shuffle=False, verbose=0)
    for _ in range(4):
        for start in range(0, 50, 8):
            z = by_hand.forward(X[start : start + 8], training=True)
            dz = np.empty_like(z)
            kernels.cross_entropy(z, y[start : start + 8], grad=dz)
            by_hand.backward(dz)
            loop.step()
    assert fitted.training_steps == by_hand.training_steps == 28
    np.testing.assert_array_equal(fitted.params.data, by_hand.params.data)
    np.testing.assert_array_equal(fitted.state.data, by_hand.state.data)
    tolerance = 100 * np.finfo(dtype).eps
    starts = [slice(start, start + 8) for start in range(0, 50, 8)]
    np.testing.assert_allclose(fitted[0].running_mean, np.mean([X[s].mean(axis=0) for s in starts], axis=0),
                               rtol=tolerance, atol=tolerance)  # fmt: skip


def test_a_layer_takes_its_count_along(impl, rng):
    """Into a net made of it, a slice, a copy; other layers have counts of their own, and nets their steps."""
    first, *rest = batches(rng, 12)
    net = cumulative()
    net.forward(first, training=True)
    twins = [nn.Sequential(net, dtype="float64"), nn.Sequential(*net, dtype="float64"), net[:1], net.copy()]
    for twin in twins:
        layer = twin.leaves[0]
        for x in rest:
            twin.forward(x, training=True)
        np.testing.assert_allclose(layer.running_mean, np.mean([x.mean(axis=0) for x in (first, *rest)], axis=0))
    state = nn.Sequential(net, nn.BatchNorm(2, momentum=None), nn.BatchNorm(2), dtype="float64").state_dict()
    assert [int(state[f"{path}.num_batches_tracked"]) for path in ("0.0", "1", "2")] == [1, 0, 0]
    other = nn.Sequential(cumulative(), nn.BatchNorm(2, momentum=None), nn.BatchNorm(2), dtype="float64")
    other.load_state_dict(state | {"0.0.num_batches_tracked": 100, "2.num_batches_tracked": 7})
    other.forward(first, training=True)
    state = other.state_dict()
    assert [int(state[f"{path}.num_batches_tracked"]) for path in ("0.0", "1", "2")] == [101, 1, 8]


def test_momentum_may_be_none(impl):
    layer = nn.BatchNorm(4, momentum=None)
    assert repr(layer) == "BatchNorm(4, momentum=None)"
    assert fastnn.from_config(layer.config()) == layer != nn.BatchNorm(4)
