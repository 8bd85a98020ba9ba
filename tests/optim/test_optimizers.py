"""Optimisers: compared with PyTorch's and the papers' formulas, and the settings they refuse."""

import dataclasses
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from specs import SPECS

import fastnn
from fastnn import _native, kernels, nn, optim
from fastnn._updates import SQUARES, UPDATES
from fastnn.kernels import _optimizers_ref
from fastnn.optim import update_classes

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 6)), RNG.integers(0, 3, 64)
STEPS, BATCH = 100, 16

# The optimiser; PyTorch's class and its settings.
PEERS = {
    "SGD": (optim.SGD(0.1), "SGD", {"lr": 0.1}),
    "SGD, weight decay": (optim.SGD(0.1, weight_decay=0.05), "SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "momentum": (optim.SGD(0.05, momentum=0.9), "SGD", {"lr": 0.05, "momentum": 0.9}),
    "momentum, dampening, weight decay": (
        optim.SGD(0.05, momentum=0.9, dampening=0.3, weight_decay=0.01),
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    ),
    "Nesterov": (
        optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "Adagrad": (optim.Adagrad(), "Adagrad", {}),
    "Adagrad, all settings": (
        optim.Adagrad(0.05, lr_decay=0.1, initial_accumulator_value=0.2, eps=1e-4, weight_decay=0.02),
        "Adagrad",
        {"lr": 0.05, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-4, "weight_decay": 0.02},
    ),
    "RMSprop": (optim.RMSprop(), "RMSprop", {}),
    "RMSprop, momentum": (
        optim.RMSprop(1e-3, alpha=0.9, momentum=0.9, weight_decay=0.02),
        "RMSprop",
        {"lr": 1e-3, "alpha": 0.9, "momentum": 0.9, "weight_decay": 0.02},
    ),
    "RMSprop, centred": (optim.RMSprop(1e-3, centered=True), "RMSprop", {"lr": 1e-3, "centered": True}),
    "RMSprop, centred, momentum": (
        optim.RMSprop(1e-3, eps=1e-4, centered=True, momentum=0.5, weight_decay=0.02),
        "RMSprop",
        {"lr": 1e-3, "eps": 1e-4, "centered": True, "momentum": 0.5, "weight_decay": 0.02},
    ),
    "Adam": (optim.Adam(), "Adam", {}),
    "Adam, all settings": (
        optim.Adam(0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05),
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.05},
    ),
    "AMSGrad": (
        optim.Adam(0.01, betas=(0.9, 0.9), amsgrad=True),
        "Adam",
        {"lr": 0.01, "betas": (0.9, 0.9), "amsgrad": True},
    ),
    "AdamW": (optim.AdamW(), "AdamW", {}),
    "AdamW, AMSGrad": (
        optim.AdamW(0.01, weight_decay=0.2, amsgrad=True),
        "AdamW",
        {"lr": 0.01, "weight_decay": 0.2, "amsgrad": True},
    ),
}  # fmt: skip


def made_from_a_row(name):
    """Yield the cases of an optimiser that is made from its row: its defaults, then other values of all settings."""
    kind = getattr(optim, name)
    yield name, (kind(), name, {})
    other = {"lr": kind().lr / 2, "weight_decay": 0.02}
    for each in dataclasses.fields(kind):
        if each.name == "betas":
            other["betas"] = (0.8, 0.95)
        elif isinstance(each.default, float) and each.name not in other:
            other[each.name] = 0.9 * each.default
    yield f"{name}, all settings", (kind(**other), name, other)
    if hasattr(kind(), "decoupled_weight_decay"):
        other = {**other, "decoupled_weight_decay": True}
        yield f"{name}, decoupled", (kind(**other), name, other)


for made in update_classes.__all__:
    PEERS |= made_from_a_row(made)


def net_of(dtype="float64"):
    return nn.Sequential(nn.Dense(6, 9), nn.Tanh(), nn.Dense(9, 8), nn.Tanh(), nn.Dense(8, 3), dtype=dtype, seed=4)


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    before, threads = module.get_default_dtype(), module.get_num_threads()
    module.set_default_dtype(module.float64)  # PyTorch's NAdam keeps a product in the default dtype
    module.set_num_threads(1)
    yield module
    module.set_default_dtype(before)
    module.set_num_threads(threads)


def torch_net(torch):
    layers = [torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)]
    model = torch.nn.Sequential(*layers)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in net_of().state_dict().items()})
    return model


def compare_training(torch, model, theirs, before_step=None, **ours):
    """Compare parameters after 100 steps, in both executors: equal to within 1e-12 of a tensor's largest entry."""
    start = net_of().state_dict()
    for step in range(STEPS):
        rows = np.arange(step * BATCH, (step + 1) * BATCH) % len(X)
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.from_numpy(X[rows])), torch.from_numpy(Y[rows])).backward()
        if before_step is not None:
            before_step()
        theirs.step()
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            net = net_of()
            epochs = STEPS * BATCH // len(X)
            fastnn.Trainer(net, **ours).fit(X, Y, epochs=epochs, batch_size=BATCH, shuffle=False, verbose=0)
        for name, have in net.state_dict().items():
            want = model.state_dict()[name].numpy()
            assert np.abs(have - want).max() <= 1e-12 * np.abs(want).max(), (backend, name)
            assert np.abs(have - start[name]).max() > 1e-3 * np.abs(have).max(), f"{name} is untrained"


@pytest.mark.parametrize(("ours", "name", "settings"), PEERS.values(), ids=PEERS)
def test_optimisers_equal_pytorchs(torch, ours, name, settings):
    model = torch_net(torch)
    compare_training(torch, model, getattr(torch.optim, name)(model.parameters(), **settings), optimizer=ours)


def test_groups_equal_pytorchs(torch):
    groups = [optim.NO_DECAY, optim.Group("4.*", lr_scale=0.5, weight_decay=0.3)]
    model = torch_net(torch)
    named = dict(model.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [named["0.weight"], named["2.weight"]]},
            {"params": [named["0.bias"], named["2.bias"], named["4.bias"]], "weight_decay": 0.0},
            {"params": [named["4.weight"]], "weight_decay": 0.3, "lr": 0.005},
        ],
        lr=0.01,
        weight_decay=0.1,
    )
    compare_training(torch, model, optimizer, optimizer=optim.AdamW(0.01, weight_decay=0.1, groups=groups))


@pytest.mark.parametrize(("value", "norm"), [(0.01, None), (None, 0.05), (0.02, 0.05)])
def test_clipping_equals_pytorchs(torch, value, norm):
    model = torch_net(torch)

    def clip():
        if value is not None:
            torch.nn.utils.clip_grad_value_(model.parameters(), value)
        if norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), norm)

    settings = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01}
    theirs = torch.optim.SGD(model.parameters(), **settings)
    compare_training(torch, model, theirs, clip, optimizer=optim.SGD(**settings), clip_value=value, clip_norm=norm)


def test_every_update_has_an_optimiser_that_is_compared():
    compared = {ours.kind for ours, _, _ in PEERS.values()}
    assert compared | {"velocity", "nesterov_velocity"} == set(UPDATES)  # these two are scikit-learn's forms
    assert {type(ours) for ours, _, _ in PEERS.values()} == set(optim.OPTIMIZERS.values())


# ---- the registry ----

CSRC = Path(__file__).resolve().parents[2] / "csrc"


def scalars_of(name):
    """Return the scalars of an update for its settings' defaults, and a rate of 1 where there is none."""
    row = UPDATES[name]
    settings = [1.0 if each.default is None else each.default for each in row.settings]
    return getattr(kernels, f"{name}_scalars")(*[1] * row.takes_step, *settings)


def test_all_lists_of_updates_are_one():
    """Names, slots and the order are the same in C, in the twin and in the registry, and all have specs."""
    assert list(_native.UPDATES.items()) == [(name, len(row.slots)) for name, row in UPDATES.items()]
    assert list(_optimizers_ref.FORMULAS) == list(UPDATES)
    specs = [spec for spec in SPECS if spec.twin == "update"]
    assert {spec.function for spec in specs} == set(UPDATES)
    assert all(spec.in_place == ("w", *(slot.name for slot in UPDATES[spec.function].slots)) for spec in specs)
    assert not SQUARES & {slot.name for row in UPDATES.values() for slot in row.slots if not slot.squares}


@pytest.mark.parametrize("name", UPDATES)
def test_the_twin_takes_the_registrys_scalars(name):
    w, slots, scalars = np.ones(1), tuple(np.ones(1) for _ in UPDATES[name].slots), scalars_of(name)
    assert scalars.shape == (len(UPDATES[name].scalars),)
    _optimizers_ref.update(name, w, w.copy(), slots, scalars, 1)
    for other in (scalars[:-1], np.append(scalars, 1.0)):
        with pytest.raises((TypeError, ValueError)):
            _optimizers_ref.update(name, w, w.copy(), slots, other, 1)


@pytest.mark.skipif(not CSRC.is_dir(), reason="needs the checkout")
def test_c_takes_the_registrys_scalars():
    found = re.findall(r"\b(\w+)_scalars = (\d+)", (CSRC / "optimizers.inc.c").read_text())
    assert {name: int(count) for name, count in found} == {name: len(row.scalars) for name, row in UPDATES.items()}


@pytest.mark.parametrize("name", update_classes.__all__)
def test_made_optimisers_are_classes_like_the_others(name):
    kind = getattr(optim, name)
    assert (kind.__module__, kind.__qualname__) == (optim.Adam.__module__, name)
    made = kind(0.5, weight_decay=0.1)
    assert pickle.loads(pickle.dumps(made)) == made != kind()
    assert repr(made) == f"{name}(lr=0.5, weight_decay=0.1)"
    assert UPDATES[made.kind].optimizer == name
    scalars = made.scalars(np.arange(1, 4), np.full(3, 0.5))
    assert scalars.shape == (3, len(UPDATES[made.kind].scalars))


# ---- properties ----


def test_three_forms_of_nesterov_are_one(impl):
    """They are equal at a constant rate.

    Nesterov's original form takes the gradient at ``position + mu * speed``. With ``w = position + mu * speed`` it
    equals `nesterov` (PyTorch's form) and `nesterov_velocity` (scikit-learn's), whose buffer contains the rate.
    """
    lr, mu = 0.1, 0.9
    curvature = np.random.default_rng(1).uniform(0.5, 2, 8)
    outside, buf, inside, velocity = np.ones(8), np.zeros(8), np.ones(8), np.zeros(8)
    position, speed = np.ones(8), np.zeros(8)
    for _ in range(50):
        kernels.nesterov(outside, curvature * outside, buf, lr=lr, momentum=mu)
        kernels.nesterov_velocity(inside, curvature * inside, velocity, lr=lr, momentum=mu)
        speed = mu * speed - lr * curvature * (position + mu * speed)
        position = position + speed
        np.testing.assert_allclose(outside, position + mu * speed, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(inside, outside, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(velocity, -lr * buf, rtol=1e-10, atol=1e-13)


def test_adagrads_effective_rate_only_falls(impl, dtype, rng):
    """The factor of an entry's gradient never rises, whatever the gradients are."""
    v, last = np.zeros(100, dtype), np.full(100, np.inf)
    for _ in range(50):
        gradient = (rng.standard_normal(100) * 10.0 ** rng.integers(-3, 3, 100)).astype(dtype)
        kernels.adagrad(np.zeros(100, dtype), gradient, v, lr=1.0)
        rate = 1 / (np.sqrt(v) + 1e-10)
        assert (rate <= last).all()
        last = rate


def test_amsgrad_keeps_the_largest_raw_mean_square(impl):
    """After one large gradient and small ones, `top` is still the uncorrected mean square of the first."""
    w, m, v, top = (np.zeros(1) for _ in range(4))
    for step, gradient in enumerate([10.0, 0.0, 0.0, 1.0], start=1):
        kernels.amsgrad(w, [gradient], m, v, top, step=step, beta2=0.9)
        assert top == pytest.approx(10.0, rel=1e-12)  # 0.1 * 10**2, never divided by 1 - 0.9**step
    assert v < 10


def test_centred_variance_is_never_below_zero(impl, dtype):
    """A constant gradient has variance 0: rounding would make it negative, and its root NaN."""
    rng = np.random.default_rng(0)
    gradient = rng.uniform(0.1, 10, 1000).astype(dtype)
    w, v, mean = (np.zeros(1000, dtype) for _ in range(3))
    below = False
    for _ in range(400):
        kernels.rmsprop_centered(w, gradient, v, mean, alpha=0.9)
        below |= bool((v - mean * mean < 0).any())
        assert np.isfinite(w).all()
    assert below


def test_scalars_do_not_depend_on_where_a_block_begins():
    """The scalars are functions of the step, also those that PyTorch computes as running products."""
    step, lr = np.arange(1, 3001), np.linspace(0.1, 0.01, 3000)
    for optimizer in (optim.NAdam(), optim.NAdam(betas=(0.0, 0.9)), *(ours for ours, _, _ in PEERS.values())):
        whole = optimizer.table(step, lr)
        for part in (slice(0, 1), slice(99, 101), slice(2500, 3000)):
            np.testing.assert_array_equal(optimizer.table(step[part], lr[part]), whole[part])


def test_a_repr_shows_the_settings_that_differ_from_the_defaults():
    assert repr(optim.Adam()) == "Adam()"
    group = "Group('*', weight_decay=0.0, vectors_only=True)"
    assert repr(optim.AdamW(0.1, groups=[optim.NO_DECAY])) == f"AdamW(lr=0.1, groups=({group},))"


LEAST_0 = "a finite number of at least 0"
BELOW_1 = r"a number in \[0, 1\)"
BAD = [
    (ValueError, f"lr must be {LEAST_0}, got -0.1", lambda: optim.Adagrad(-0.1)),
    (ValueError, f"lr must be {LEAST_0}, got nan", lambda: optim.NAdam(np.nan)),
    (TypeError, f"lr must be {LEAST_0}, got 'fast'", lambda: optim.SGD("fast")),
    (TypeError, f"lr must be {LEAST_0}, got True", lambda: optim.SGD(True)),
    (ValueError, f"momentum must be {BELOW_1}, got 1.0", lambda: optim.SGD(0.1, momentum=1)),
    (ValueError, f"momentum must be {BELOW_1}, got 1.5", lambda: optim.RMSprop(momentum=1.5)),
    (ValueError, r"momentum must be a number in \[0, 1\], got 2.0", lambda: optim.SGD(momentum=2, velocity=True)),
    (ValueError, "momentum must be above 0 with nesterov=True, got 0.0", lambda: optim.SGD(0.1, nesterov=True)),
    (ValueError, r"dampening must be a number in \[0, 1\], got 2.0", lambda: optim.SGD(momentum=0.9, dampening=2)),
    (
        ValueError,
        "dampening must be 0 with nesterov=True or velocity=True, got 0.1",
        lambda: optim.SGD(momentum=0.9, nesterov=True, dampening=0.1),
    ),
    (TypeError, "nesterov must be True or False, got 'no'", lambda: optim.SGD(0.1, nesterov="no")),
    (TypeError, "velocity must be True or False, got 1", lambda: optim.SGD(0.1, velocity=1)),
    (ValueError, f"alpha must be {BELOW_1}, got 1.0", lambda: optim.RMSprop(alpha=1.0)),
    (TypeError, "centered must be True or False, got 'yes'", lambda: optim.RMSprop(centered="yes")),
    (ValueError, f"rho must be {BELOW_1}, got -0.1", lambda: optim.Adadelta(rho=-0.1)),
    (ValueError, f"eps must be {LEAST_0}, got -1e-09", lambda: optim.Adadelta(eps=-1e-9)),
    (ValueError, f"eps must be {LEAST_0}, got nan", lambda: optim.Adam(eps=np.nan)),
    (ValueError, f"lr_decay must be {LEAST_0}, got -1.0", lambda: optim.Adagrad(lr_decay=-1)),
    (
        ValueError,
        f"initial_accumulator_value must be {LEAST_0}, got -1.0",
        lambda: optim.Adagrad(initial_accumulator_value=-1),
    ),
    (ValueError, rf"betas\[0\] must be {BELOW_1}, got 1.0", lambda: optim.NAdam(betas=(1.0, 0.9))),
    (ValueError, rf"betas\[1\] must be {BELOW_1}, got 1.0", lambda: optim.AdamW(betas=(0.9, 1.0))),
    (TypeError, "betas must be two numbers, got 0.9", lambda: optim.NAdam(betas=0.9)),
    (TypeError, r"betas must be two numbers, got \(0.9,\)", lambda: optim.Adam(betas=(0.9,))),
    (TypeError, rf"betas\[0\] must be {BELOW_1}, got True", lambda: optim.Adam(betas=(True, 0.9))),
    (TypeError, "amsgrad must be True or False, got 0", lambda: optim.Adam(amsgrad=0)),
    (TypeError, "eps_hat must be True or False, got None", lambda: optim.Adam(eps_hat=None)),
    (
        TypeError,
        "decoupled_weight_decay must be True or False, got 0.01",
        lambda: optim.NAdam(decoupled_weight_decay=0.01),
    ),
    (ValueError, f"momentum_decay must be {LEAST_0}, got -1.0", lambda: optim.NAdam(momentum_decay=-1)),
    (ValueError, f"weight_decay must be {LEAST_0}, got -1.0", lambda: optim.Adam(weight_decay=-1)),
    (
        TypeError,
        r"groups must be a sequence of optim.Group, got Group: write groups=\[group\]",
        lambda: optim.Adam(groups=optim.NO_DECAY),
    ),
    (TypeError, "groups must be a sequence of optim.Group, got int", lambda: optim.Adam(groups=3)),
    (
        TypeError,
        r"groups\[1\] must be an optim.Group, got str: write optim.Group\('\*.bias'\)",
        lambda: optim.Adam(groups=[optim.NO_DECAY, "*.bias"]),
    ),
    (
        TypeError,
        r"groups must be a sequence of optim.Group, got str: write groups=\[optim.Group\('\*.bias'\)\]",
        lambda: optim.Adam(groups="*.bias"),
    ),
    (
        TypeError,
        f"lr must be {LEAST_0}, got dict: leave the parameters out, as the Trainer passes them",
        lambda: optim.SGD({"0.weight": np.zeros((2, 2))}),
    ),
    (
        TypeError,
        r"groups\[0\] must be an optim.Group, got the class Group: write optim.Group\(\.\.\.\)",
        lambda: optim.Adam(groups=[optim.Group]),
    ),
    (TypeError, r'pattern must be a string, got int: write "\*.bias", for example', lambda: optim.Group(3)),
    (ValueError, f"lr_scale must be {LEAST_0}, got -1.0", lambda: optim.Group("*", lr_scale=-1)),
    (ValueError, f"weight_decay must be {LEAST_0}, got -1.0", lambda: optim.Group("*", weight_decay=-1)),
    (TypeError, "vectors_only must be True or False, got 'yes'", lambda: optim.Group("*", vectors_only="yes")),
    (
        ValueError,
        r"groups\[0\].pattern must match a name of the parameters 0.weight, 0.bias, .*, got '1.\*'",
        lambda: fastnn.Trainer(net_of(), optimizer=optim.SGD(groups=[optim.Group("1.*")])),
    ),
    (ValueError, f"l1 must be {LEAST_0}, got -1.0", lambda: optim.Penalty(l1=-1)),
    (TypeError, f"l2 must be {LEAST_0}, got True", lambda: optim.Penalty(l2=True)),
    (TypeError, "per_batch must be True or False, got 32", lambda: optim.Penalty(per_batch=32)),
    (
        ValueError,
        "clip_value must be a finite number above 0, got 0.0",
        lambda: fastnn.Trainer(net_of(), clip_value=0),
    ),
    (ValueError, "clip_norm must be a finite number above 0, got 0.0", lambda: fastnn.Trainer(net_of(), clip_norm=0)),
    (
        ValueError,
        "clip_norm must be a finite number above 0, got inf",
        lambda: fastnn.Trainer(net_of(), clip_norm=np.inf),
    ),
    (
        TypeError,
        "clip_norm must be a finite number above 0, got '1'",
        lambda: fastnn.Trainer(net_of(), clip_norm="1"),
    ),
    (ValueError, "max_norm must be a finite number above 0, got 0.0", lambda: nn.Dense(2, 2, max_norm=0)),
    (TypeError, "max_norm must be a finite number above 0, got True", lambda: nn.Dense(2, 2, max_norm=True)),
]


@pytest.mark.parametrize(("error", "message", "make"), BAD, ids=[f"{b[1][:20]}-{i}" for i, b in enumerate(BAD)])
def test_bad_settings(error, message, make):
    with pytest.raises(error, match=f"^{message}$"):
        make()
