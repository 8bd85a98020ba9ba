"""Losses along lines, and Hessians, against values computed in other ways."""

import numpy as np
import pytest

import fastnn
from fastnn import diagnosis, nn, optim


def problem(rows=40, columns=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def net_of(seed=0, dtype="float32"):
    return nn.Sequential(nn.Dense(3, 4), nn.Tanh(), nn.Dense(4, 2), dtype=dtype, seed=seed)


def loss_of(net, X, y, loss="cross_entropy"):
    return fastnn.Trainer(net, loss).evaluate(X, y)["loss"]


def contents(net):
    return [net.params.data.tobytes(), net.state.data.tobytes(), net.scaler, net.training_steps]


# ---- lines ----


def test_the_ends_are_the_nets(impl, dtype):
    X, y = problem()
    one, other = net_of(0, dtype), net_of(1, dtype)
    before = contents(one), contents(other)
    line = diagnosis.loss_along_line(one, X, y, to=other)
    assert len(line.positions) == len(line.losses) == 41 and line.between
    assert line.losses[line.positions == 0].tolist() == [loss_of(one, X, y)]
    assert line.losses[line.positions == 1].tolist() == [loss_of(other, X, y)]
    assert (contents(one), contents(other)) == before


def test_between_the_ends_is_the_mean_of_the_parameters():
    X, y = problem()
    one, other = net_of(0, "float64"), net_of(1, "float64")
    middle = one.copy()
    middle.load_state_dict({k: (each + other.state_dict()[k]) / 2 for k, each in one.state_dict().items()})
    line = diagnosis.loss_along_line(one, X, y, to=other.state_dict(), span=(0, 1), points=3)
    np.testing.assert_allclose(line.losses[1], loss_of(middle, X, y), rtol=1e-12)


def test_running_statistics_move_along_and_stay_beyond_the_ends():
    X, y = problem()
    one = nn.Sequential(nn.Dense(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Dense(4, 2), seed=0)
    trainer = fastnn.Trainer(one.copy(), optimizer=optim.SGD(lr=0.5))
    trainer.fit(X, y, epochs=5, verbose=0)
    line = diagnosis.loss_along_line(one, X, y, to=trainer.net, span=(-2, 4), points=7)
    assert line.losses[3] == trainer.evaluate(X, y)["loss"]
    assert np.isfinite(line.losses).all()


def test_a_trainer_brings_its_loss_and_its_averaged_net():
    X, y = problem()
    trainer = fastnn.Trainer(net_of(), "multi_margin", average=optim.EMA(0.1), penalty=optim.Penalty(l2=0.1))
    trainer.fit(X, y, epochs=3, verbose=0)
    line = diagnosis.loss_along_line(trainer, X, y, points=3, sample_weight=np.arange(40.0))
    assert line.losses[1] == trainer.evaluate(X, y, sample_weight=np.arange(40.0))["loss"]
    assert not line.between


def test_a_random_direction_has_the_size_of_the_net():
    """Checked through a loss that shows the parameters: of a linear net of one unit."""
    net = nn.Sequential(nn.Dense(3, 2, bias=False), dtype="float64", seed=0)
    net[0].weight[...] = [[3.0, 0.0], [0.0, 0.0], [4.0, 0.0]]
    X, y = np.eye(3), np.zeros((3, 2))
    line = diagnosis.loss_along_line(net, X, y, loss="mean_squared_error", span=(0, 1), points=3)
    # The sum of squares of w + t * d is 25 + 2 t (w, d) + 25 t**2, whose second difference is 25 * 2 * 0.5**2.
    sums = 6 * line.losses
    np.testing.assert_allclose(sums[2] - 2 * sums[1] + sums[0], 25 * 2 * 0.25, rtol=1e-10)
    again = diagnosis.loss_along_line(net, X, y, loss="mean_squared_error", span=(0, 1), points=3, seed=0)
    other = diagnosis.loss_along_line(net, X, y, loss="mean_squared_error", span=(0, 1), points=3, seed=1)
    assert again.losses.tolist() == line.losses.tolist() != other.losses.tolist()


@pytest.mark.parametrize("normalize", [True, False, None])
def test_a_given_direction(normalize):
    X, y = problem()
    net = net_of(dtype="float64")
    net[2].bias[...] = 1.0, 2.0
    rng = np.random.default_rng(1)
    d = {name: rng.normal(size=each.shape) for name, each in net.parameters().items() if name != "0.bias"}
    moved = net.copy()
    for name, part in d.items():
        w = net.parameters()[name]
        norms = [np.linalg.norm(each, axis=0 if w.ndim == 2 else None) for each in (w, part)]
        moved.parameters()[name][...] = w + (part * norms[0] / norms[1] if normalize else part)
    flat = np.concatenate([d.get(name, np.zeros(4)).reshape(-1) for name in net.parameters()])
    for direction in (d, flat):
        line = diagnosis.loss_along_line(net, X, y, direction=direction, normalize=normalize, points=3)
        np.testing.assert_allclose(line.losses[1:], [loss_of(net, X, y), loss_of(moved, X, y)], rtol=1e-12)


@pytest.mark.parametrize("index", [0, 5, -1])
def test_along_an_eigenvector_the_curvature_is_the_eigenvalue(index):
    X, y = problem()
    net = net_of(dtype="float64")  # its biases are 0
    eigenvalues, vectors = np.linalg.eigh(diagnosis.hessian(net, X, y))
    h = 1e-3
    line = diagnosis.loss_along_line(net, X, y, direction=vectors[:, index], span=(-h, h), points=3)
    np.testing.assert_allclose(np.diff(line.losses, 2)[0] / h**2, eigenvalues[index], rtol=1e-4, atol=1e-6)


def test_frozen_parameters_stay():
    X, y = problem()
    net = net_of()
    net.freeze("*")
    assert len(set(diagnosis.loss_along_line(net, X, y, points=5).losses)) == 1


def test_losses_far_away_may_be_infinite():
    X, y = problem()
    net = nn.Sequential(nn.Dense(3, 2), seed=0)
    line = diagnosis.loss_along_line(net, X, y, span=(0, 1e300), points=3)
    assert np.isfinite(line.losses[0]) and not np.isfinite(line.losses[2])


def with_scaler():
    net = net_of(1)
    net.scaler = (1.0, 2.0)
    return net


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": net_of(1), "direction": np.zeros(26)}, "^direction must be left out with to"),
        ({"to": nn.Sequential(nn.Dense(3, 2), seed=0)}, "^to: other must have arrays of the same shapes"),
        ({"to": {"0.weight": [1.0]}}, "^to: state_dict"),
        ({"to": with_scaler()}, "^to must have the scalers of net"),
        ({"to": 3}, "^to must be a Sequential, got int"),
        ({"direction": {"5.weight": 1}}, r"^direction must have names of parameters as keys: 0.weight.*got '5.weight'"),
        ({"direction": {"2.bias": [1.0]}}, r"^direction\['2.bias'\] must have shape \(2,\), got shape \(1,\)"),
        ({"direction": {"2.bias": [1.0, np.nan]}}, "^direction must contain finite numbers, got NaN or infinity for 2"),
        ({"direction": np.zeros(25)}, r"^direction must have shape \(26,\), got shape \(25,\)"),
        ({"points": 1}, "^points must be an integer of at least 2"),
        ({"span": 1}, "^span must be a pair of numbers, got int"),
        ({"span": (1, 1)}, "^span must begin with the lower number"),
        ({"normalize": 1}, "^normalize must be"),
        ({"loss": "hinge"}, "^y must"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_refused_lines(arguments, message):
    X, y = problem()
    net = net_of()
    before = contents(net)
    with pytest.raises((TypeError, ValueError), match=message):
        diagnosis.loss_along_line(net, X, y, **arguments)
    assert contents(net) == before


# ---- Hessians ----


def differences(net, X, y, loss):
    """Return second differences of the loss alone, of a net in float64."""
    flat = [each.reshape(-1) for each in net.parameters().values()]
    entries = [(each, i) for each in flat for i in range(each.size)]
    h = 2e-4

    def at(*moves):
        for (each, i), by in moves:
            each[i] += by
        value = loss_of(net, X, y, loss)
        for (each, i), by in moves:
            each[i] -= by
        return value

    return np.array(
        [
            [(at((a, h), (b, h)) - at((a, h), (b, -h)) - at((a, -h), (b, h)) + at((a, -h), (b, -h))) / (4 * h * h)
             for b in entries]
            for a in entries
        ]
    )  # fmt: skip


def test_the_hessian_is_that_of_second_differences(impl):
    X, y = problem(rows=10)
    net = nn.Sequential(nn.Dense(3, 2), nn.Tanh(), nn.Dense(2, 2), dtype="float64", seed=0)
    found = diagnosis.hessian(net, X, y)
    assert found.dtype == np.float64 and (found == found.T).all()
    np.testing.assert_allclose(found, differences(net, X, y, "cross_entropy"), atol=1e-6)


@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_the_hessian_of_a_quadratic(l2, dtype):
    """Of a linear net with the squared error it is 2 X'X / n, and the penalty adds l2 to those of the weights."""
    X, _ = problem()
    net = nn.Sequential(nn.Dense(3, 1), dtype=dtype, seed=0)
    trainer = fastnn.Trainer(net, "mean_squared_error", penalty=optim.Penalty(l2=l2, per_batch=False))
    before = contents(net)
    found = diagnosis.hessian(trainer, X, X[:, 0])
    columns = np.column_stack([X, np.ones(40)])
    expected = 2 * columns.T @ columns / 40 + np.diag([l2, l2, l2, 0])
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert contents(net) == before


def test_the_hessian_leaves_frozen_parameters_out():
    X, y = problem()
    net = net_of(dtype="float64")
    whole = diagnosis.hessian(net, X, y, sample_weight=np.arange(40.0))
    net.freeze("0.*")
    part = diagnosis.hessian(net, X, y, sample_weight=np.arange(40.0))
    np.testing.assert_allclose(part, whole[16:, 16:], atol=1e-9)


def frozen():
    net = net_of()
    net.freeze("*")
    return net


def huge():
    net = net_of()
    net[2].weight[...] = np.inf
    return net


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Dense(3, 600), nn.Dense(600, 2), seed=0), "^net must have from 1 to 2000 parameters.*3,602"),
        (frozen(), "^net must have from 1 to 2000 parameters that are not frozen, .* got 0$"),
        (nn.Sequential(nn.Dense(3, 2), nn.Dropout(0.5), seed=0), "^net must have no BatchNorm and no Dropout for a He"),
        (huge(), "^net must have a finite loss, got "),
        (nn.Dense(3, 2), "^net must be a Sequential, got Dense"),
    ],
    ids=["large", "frozen", "dropout", "infinite", "layer"],
)
def test_refused_hessians(net, message):
    X, y = problem()
    with pytest.raises((TypeError, ValueError), match=message):
        diagnosis.hessian(net, X, y)
