"""Augmentation in `fit`: what the first layer sees, on both backends; what it refuses; users' functions."""

import numpy as np
import pytest

import fastnn
from fastnn import data, kernels, nn, optim
from fastnn.engine.augment import FIRST_STREAM
from fastnn.training._augment import as_augment

SHAPE = (2, 3)
N, K = 60, 6
SEED = 5

# Augmentations, and the public kernel that makes the same of rows.
KERNELS = {
    "noise": (data.GaussianNoise(0.3), lambda x, **key: kernels.add_noise(x, 0.3, **key)),
    "dropout": (data.FeatureDropout(0.3), lambda x, **key: kernels.drop_features(x, 0.3, **key)),
    "swap": (data.SwapNoise(0.4), lambda x, **key: kernels.swap_entries(x, 0.4, **key)),
    "mixup": (data.Mixup(0.8), lambda x, **key: kernels.mix_rows(x, *kernels.mixup_pairs(len(x), 0.8, **key))),
    "shift": (data.RandomShift(SHAPE, 1, 7.0), lambda x, **key: kernels.shift_images(x, SHAPE, 1, fill=7.0, **key)),
    "shift of channels": (
        data.RandomShift((2, 1, 3), (1, 0), "edge", True),
        lambda x, **key: kernels.shift_images(x, (2, 1, 3), (1, 0), fill="edge", channels_last=True, **key),
    ),
    "flip": (
        data.RandomFlip(SHAPE, 0.6, "vertical"),
        lambda x, **key: kernels.flip_images(x, SHAPE, 0.6, axis="vertical", **key),
    ),
}  # fmt: skip
LISTS = [[name] for name in KERNELS] + [["noise", "shift"], ["swap", "mixup", "flip"], list(KERNELS), ["noise"] * 2]


def problem(rows=N):
    rng = np.random.default_rng(3)
    return rng.normal(2.0, 3.0, size=(rows, K)), rng.integers(0, 3, rows), rng.uniform(0.5, 2.0, rows)


def net_of(dtype="float64", scaler=True):
    net = nn.Sequential(nn.Dense(K, 8), nn.Tanh(), nn.Dropout(0.2), nn.Dense(8, 3), dtype=dtype, seed=SEED)
    if scaler:
        net.scaler = data.Scaler.fit(problem()[0])
    return net


def trainer_of(dtype="float64", loss="cross_entropy", **settings):
    return fastnn.Trainer(net_of(dtype, **settings), loss, optim.Adam(lr=1e-2))


def fitted(augment, rows=N, epochs=3, batch_size=16, trainer=None, **settings):
    """Return a trainer after a fit."""
    (X, y, _), trainer = problem(rows), trainer or trainer_of()
    trainer.fit(X, y, epochs=epochs, batch_size=batch_size, augment=augment, verbose=0, **settings)
    return trainer


def last_batch(trainer, name="batch:x", rows=N):
    """Return a buffer of the last step of a fit."""
    return trainer._fit_executor_caches[False][1].array(name, rows).copy()


def keys(count, step):
    return [{"seed": SEED, "stream": FIRST_STREAM - i, "step": step} for i in range(count)]


def scaled_rows(dtype):
    """Return the rows that the first layer sees without augmentation."""
    return last_batch(fitted(None, N, 1, N, trainer_of(dtype), shuffle=False))


def one_hot(y):
    return np.eye(3)[y]


def values(trainer):
    return trainer.net.params.data.copy()


# ---- what it computes ----


@pytest.mark.parametrize("names", LISTS, ids="+".join)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_first_layer_sees_what_the_kernels_make_of_the_scaled_rows(impl, dtype, names, steps):
    trainer = fitted([KERNELS[name][0] for name in names], N, steps, N, trainer_of(dtype), shuffle=False)
    want = scaled_rows(dtype)
    for name, key in zip(names, keys(len(names), steps - 1), strict=True):
        before = want
        want = KERNELS[name][1](want, **key)
        assert not np.array_equal(want, before), name
    np.testing.assert_array_equal(last_batch(trainer), want)


@pytest.mark.parametrize("names", LISTS, ids="+".join)
def test_a_step_is_that_of_the_changed_rows(impl, names):
    """With mixup also of the mixed targets and weights."""
    X, y, weight = problem()
    t = one_hot(y)
    trainer, twin = trainer_of(scaler=False), trainer_of(scaler=False)
    settings = {"epochs": 1, "batch_size": N, "shuffle": False, "verbose": 0}
    history = trainer.fit(X, t, sample_weight=weight, augment=[KERNELS[each][0] for each in names], **settings)
    for name, key in zip(names, keys(len(names), 0), strict=True):
        X = KERNELS[name][1](X, **key)
        if name == "mixup":
            pairs = kernels.mixup_pairs(N, 0.8, **key)
            t, weight = kernels.mix_rows(t, *pairs), kernels.mix_rows(weight, *pairs)
    assert twin.fit(X, t, sample_weight=weight, **settings)["loss"] == history["loss"]
    np.testing.assert_array_equal(values(trainer), values(twin))


def change(x, rng):
    return x + rng.normal(size=x.shape) * 0.1


@pytest.mark.parametrize("augment", [[KERNELS[name][0] for name in KERNELS], [change, "mixup"], change])
def test_both_backends_train_the_same(native, augment):
    nets = [fitted(augment).net]
    with fastnn.backend("reference"):
        nets.append(fitted(augment).net)
    for name, want in nets[1].parameters().items():
        np.testing.assert_allclose(nets[0].parameters()[name], want, rtol=0, atol=1e-10 * abs(want).max(), err_msg=name)


def test_results_do_not_depend_on_threads(native, dtype):
    augment = [record for record, _ in KERNELS.values()] + [change]
    results = []
    for threads in (1, 2):
        with fastnn.num_threads(threads):
            trainer = fitted(augment, 3000, 2, 1500, trainer_of(dtype))
        results.append((values(trainer), last_batch(trainer, rows=1500)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("augment", ["noise", [change, data.Mixup(), data.SwapNoise(0.3)]])
def test_two_fits_are_one(impl, augment):
    trainer = fitted(augment, epochs=4)
    twin = fitted(augment, epochs=2)
    fitted(augment, epochs=2, trainer=twin)
    np.testing.assert_array_equal(values(trainer), values(twin))
    assert trainer.history["loss"] == twin.history["loss"]


def test_evaluations_are_without(impl):
    X, y, _ = problem()
    trainer = fitted([data.FeatureDropout(1.0), "mixup"], validation_data=(X, y), train_metrics=True)
    figures = trainer.evaluate(X, y)
    assert trainer.history["val_loss"][-1] == figures["loss"] != trainer.history["loss"][-1]
    assert trainer.history["accuracy"][-1] == figures["accuracy"] == trainer.history["val_accuracy"][-1]


def test_nothing_changes_without(impl):
    want = values(fitted(None))
    for augment in ([], (), [data.GaussianNoise(0.0)], [data.FeatureDropout(0.0)], [data.SwapNoise(0.0)]):
        np.testing.assert_array_equal(values(fitted(augment)), want)
    assert not np.array_equal(values(fitted("noise")), want)


def test_each_place_in_the_list_has_a_stream_of_its_own(impl):
    trainer = fitted(["noise", "noise"], epochs=1, batch_size=N, shuffle=False)
    noise = [kernels.add_noise(np.zeros((N, K)), 0.1, **key) for key in keys(2, 0)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2
    np.testing.assert_array_equal(last_batch(trainer), scaled_rows("float64") + noise[0] + noise[1])


def test_executors_are_kept_for_the_same_list(impl):
    trainer = fitted([data.GaussianNoise(0.2), change])
    first = trainer._fit_executor_caches[False][1]
    fitted((data.GaussianNoise(0.2), change), trainer=trainer)
    assert trainer._fit_executor_caches[False][1] is first
    for other in ([data.GaussianNoise(0.3), change], [change], None):
        fitted(other, trainer=trainer)
        assert trainer._fit_executor_caches[False][1] is not first


def test_programs():
    net = net_of()
    program = net.training_program(
        loss="cross_entropy",
        target="labels",
        optimizer="adam",
        augment=as_augment(net, ["noise", "mixup", change]).steps,
    )
    ops = [(op.kind, op.buffers.get("x"), op.buffers.get("y")) for op in program.sections["input"]]
    assert ops == [
        ("gather", "batch:augmented", None), ("scale_input", "batch:augmented", None), ("gather_labels", None, None),
        ("one_hot", None, None), ("gather_weight", None, None), ("add_noise", "batch:augmented", "batch:x"),
        ("mixup", "batch:x", "batch:augmented"), ("custom_augmentation", "batch:augmented", "batch:x"),
    ]  # fmt: skip
    assert program.target == "labels" and program.calls_python
    assert program.sections["loss"][0].attrs["loss"] == "cross_entropy"
    assert "batch:augmented" not in net.training_program(loss="cross_entropy", target="labels").batch


@pytest.mark.parametrize("batch_size", [1, 7, N - 1])
def test_batches_of_any_size(impl, batch_size):
    """One of one row has no other row to swap or mix with; a batch norm merges the last one into that before."""
    X, y, weight = problem()
    augment = [record for record, _ in KERNELS.values()] + [change]
    norm = [nn.BatchNorm(8)] if batch_size > 1 else []
    for x in (X, X.astype(np.float32)[:, ::-1], abs(X).astype(np.uint8)):
        results = []
        for backend in ("reference", fastnn.get_backend()):
            net = nn.Sequential(nn.Dense(K, 8, bias=False), *norm, nn.Tanh(), nn.Dense(8, 3), dtype="float64", seed=0)
            with fastnn.backend(backend):
                trainer = fastnn.Trainer(net)
                trainer.fit(x, y, sample_weight=weight, epochs=1, batch_size=batch_size, augment=augment, verbose=0)
            results.append(values(trainer))
        np.testing.assert_allclose(*results, rtol=0, atol=1e-9)


# ---- embeddings ----


def categories(dtype="float64", rows=N, **options):
    """Return a net whose columns 1 and 3 are ids, and rows of them."""
    rng = np.random.default_rng(4)
    X = np.column_stack([rng.normal(size=(rows, 2)), rng.integers(0, 5, (rows, 2))])[:, [0, 2, 1, 3]].astype(dtype)
    tables = [nn.Columns([1], nn.Embedding(5, 2, **options)), nn.Columns([3], nn.Embedding(5, 2, **options))]
    inputs = nn.Parallel(nn.Columns([0, 2]), *tables, nn.Columns([1], nn.Embedding(5, 1, **options)))
    net = nn.Sequential(inputs, nn.Dense(7, 3), dtype=dtype, seed=SEED)
    return net, X, rng.integers(0, 3, rows)


@pytest.mark.parametrize("augment", [
    data.GaussianNoise(0.3), data.FeatureDropout(0.5), data.Mixup(1.0), data.RandomFlip((2, 2), 1.0), change,
])  # fmt: skip
def test_columns_of_embeddings_stay(impl, dtype, augment):
    net, X, y = categories(dtype)
    trainer = fastnn.Trainer(net)
    trainer.fit(X, y, epochs=1, batch_size=N, shuffle=False, augment=augment, verbose=0)
    batch = last_batch(trainer)
    np.testing.assert_array_equal(batch[:, [1, 3]], X[:, [1, 3]])
    assert (batch != X).any(axis=0).tolist() == [True, False, True, False]
    for name, column in (("ids:0", 1), ("ids:1", 3), ("ids:2", 1)):
        np.testing.assert_array_equal(last_batch(trainer, name)[:N], X[:, column])


@pytest.mark.parametrize("options", [{}, {"unknown": "own"}, {"sparse": True}])
def test_swap_noise_swaps_ids(impl, dtype, options):
    net, X, y = categories(dtype, **options)
    trainer = fastnn.Trainer(net)
    trainer.fit(X, y, epochs=1, batch_size=N, shuffle=False, augment=["noise", data.SwapNoise(0.5)], verbose=0)
    key = keys(2, 0)[1]
    want = kernels.swap_entries(X, 0.5, **key)
    np.testing.assert_array_equal(last_batch(trainer)[:, [1, 3]], want[:, [1, 3]])
    for name, column in (("ids:0", 1), ("ids:1", 3), ("ids:2", 1)):
        np.testing.assert_array_equal(last_batch(trainer, name)[:N], want[:, column])
    assert (want != X).any(axis=0).all()


def test_unknown_ids_are_swapped(impl):
    net, X, y = categories(unknown="own")
    X[::3, 1] = 77
    trainer = fastnn.Trainer(net)
    trainer.fit(X, y, epochs=1, batch_size=N, shuffle=False, augment=data.SwapNoise(0.5), verbose=0)
    want = kernels.swap_entries(np.minimum(X, 5), 0.5, **keys(1, 0)[0])
    np.testing.assert_array_equal(last_batch(trainer, "ids:0")[:N], want[:, 1])


def test_ids_are_checked(impl):
    net, X, y = categories()
    X[7, 3] = 5
    with pytest.raises(ValueError, match="X must contain whole numbers from 0 to 4 in column 3"):
        fastnn.Trainer(net).fit(X, y, augment="swap_noise", verbose=0)


# ---- mixup's targets ----

WEIGHTED = nn.CrossEntropyLoss(weight=[1.0, 3.0, 0.5], label_smoothing=0.1)


@pytest.mark.parametrize("loss", ["cross_entropy", WEIGHTED], ids=["plain", "class weights"])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_are_rows_of_0_and_1(impl, dtype, loss, weighted):
    X, y, weight = problem()
    results = []
    for target in (y, one_hot(y)):
        trainer = trainer_of(dtype, loss)
        trainer.fit(X, target, epochs=3, batch_size=16, augment=["noise", data.Mixup(0.5)],
                    sample_weight=weight if weighted else None, verbose=0)  # fmt: skip
        results.append((values(trainer), trainer.history["loss"]))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_targets_are_mixed_as_rows_are(impl, dtype):
    y = problem()[1]
    trainer = fitted(["noise", data.Mixup(0.8)], N, 1, N, trainer_of(dtype), shuffle=False)
    want = kernels.mix_rows(one_hot(y).astype(dtype), *kernels.mixup_pairs(N, 0.8, **keys(2, 0)[1]))
    np.testing.assert_array_equal(last_batch(trainer, "batch:target"), want)


@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_cross_entropy", "huber", "poisson"])
def test_losses_of_numbers_take_mixup(impl, loss):
    X, y, _ = problem()
    trainer = trainer_of(loss=loss)
    trainer.net.output_scaler = data.Scaler(0.5, 2.0) if loss in ("mean_squared_error", "huber") else None
    trainer.fit(X, one_hot(y), epochs=2, batch_size=16, augment="mixup", verbose=0)
    assert np.isfinite(trainer.history["loss"]).all()


def test_heads_of_rows_take_mixup(impl):
    X, y, _ = problem()
    loss = nn.HeadsLoss([("mean_squared_error", 2), ("binary_cross_entropy", 1, 0.5)])
    trainer = trainer_of(loss=loss)
    trainer.fit(X, one_hot(y), epochs=2, batch_size=16, augment="mixup", verbose=0)
    assert np.isfinite(trainer.history["loss"]).all()


def test_negative_weights_are_mixed(impl):
    X, y, weight = problem()
    weight = weight - 1.2
    loss = nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))
    results = []
    for backend in ("reference", fastnn.get_backend()):
        with fastnn.backend(backend):
            trainer = trainer_of(loss=loss)
            trainer.fit(X, one_hot(y), sample_weight=weight, epochs=1, batch_size=16, augment="mixup", verbose=0)
        results.append(trainer.history["loss"][0])
    assert results[0] == pytest.approx(results[1], rel=1e-12)


def test_labels_that_change_end_the_fit(impl):
    X, y, _ = problem()
    y = y.astype(np.int64)

    class Spoil(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            y[:] = 10**6

    seen = []
    for augment in ("mixup", [lambda x, rng: seen.append(len(x)) or x]):
        y %= 3
        trainer = trainer_of()
        with pytest.raises(
            ValueError, match=r"y must contain integers from 0 to 2, got 1000000 in row \d+ \(it has changed"
        ):
            trainer.fit(X, y, epochs=2, batch_size=16, augment=augment, callbacks=[Spoil()], verbose=0)
        assert trainer.step_count == 1
    assert seen == [16]  # the function does not see the batch that is refused


# ---- users' functions ----


def test_functions_get_the_batch_and_a_generator(impl, dtype):
    seen = []

    def look(x, rng):
        assert (x.shape, x.dtype, x.flags.writeable, x.flags.c_contiguous) == ((N, K), dtype, False, True)
        seen.append((x.copy(), rng.random(3)))
        return (2 * x).astype(np.float64).tolist()

    trainer = fitted(["noise", look], N, 3, N, trainer_of(dtype), shuffle=False)
    scaled = scaled_rows(dtype)
    assert len(seen) == 3
    for step, (x, drawn) in enumerate(seen):
        key = keys(2, step)
        np.testing.assert_array_equal(x, kernels.add_noise(scaled, 0.1, **key[0]))
        np.testing.assert_array_equal(drawn, np.random.default_rng(list(key[1].values())).random(3))
    np.testing.assert_array_equal(last_batch(trainer), 2 * seen[-1][0])


class Object:
    def __call__(self, x, rng, scale=1.0):
        return scale * x

    def method(self, x, rng):
        return x


@pytest.mark.parametrize("function", [Object(), Object().method, lambda *both: both[0], lambda x, rng=None: x])
def test_anything_that_takes_two_arguments(impl, function):
    np.testing.assert_array_equal(values(fitted([function])), values(fitted(None)))


@pytest.mark.parametrize(("result", "message"), [
    (lambda x, rng: x[:, :1], r"the result of augment\[0\] must have shape \(16, 6\), got shape \(16, 1\)"),
    (lambda x, rng: x * 1j, r"the result of augment\[0\] must be an array of real numbers, got dtype complex128"),
    (lambda x, rng: None, r"the result of augment\[0\] must be an array of real numbers, got None"),
    (lambda x, rng: np.where(x > 0, np.nan, x), r"the result of augment\[0\] must contain finite numbers, got NaN"),
    (lambda x, rng: abs(x) / 0, r"the result of augment\[0\] must contain finite numbers, got infinity in float64"),
])  # fmt: skip
def test_results_are_checked(impl, result, message):
    trainer = trainer_of()
    before = values(trainer)
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        fitted([result], trainer=trainer)
    np.testing.assert_array_equal(values(trainer), before)
    fitted(None, trainer=trainer)


def test_results_too_large_for_the_dtype(impl):
    with pytest.raises(ValueError, match=r"must contain finite numbers, got infinity in float32$"):
        fitted(lambda x, rng: 1e39 * x.astype(float), trainer=trainer_of("float32"))


@pytest.mark.parametrize("error", [OSError("enough"), KeyboardInterrupt(), SystemExit(3)])
def test_a_function_that_raises_leaves_the_last_whole_step(impl, error):
    X, y, _ = problem()
    calls = []

    def fail(x, rng):
        calls.append(1)
        if len(calls) == 4:
            raise error
        return x

    def net():
        net = nn.Sequential(nn.Dense(K, 8, bias=False), nn.BatchNorm(8), nn.Tanh(), nn.Dense(8, 3), seed=0)
        return fastnn.Trainer(net)

    trainer, whole = net(), net()
    settings = {"batch_size": 10, "shuffle": False, "verbose": 0, "epochs": 1}
    with pytest.raises(type(error)) as caught:
        trainer.fit(X, y, augment=["noise", fail, "swap_noise"], **settings)
    assert caught.value is error
    whole.fit(X[:30], y[:30], augment=["noise", lambda x, rng: x, "swap_noise"], **settings)
    assert trainer.net.training_steps == trainer.step_count == 3 and trainer.epoch == 0
    np.testing.assert_array_equal(values(trainer), values(whole))
    np.testing.assert_array_equal(trainer.net.state.data, whole.net.state.data)
    trainer.fit(X, y, augment=["noise", fail], **settings)
    assert trainer.step_count == 9 and trainer.epoch == 1


def test_a_function_may_not_train_its_net(impl):
    trainer = trainer_of()
    X, y, _ = problem()
    with pytest.raises(RuntimeError):
        trainer.fit(X, y, augment=[lambda x, rng: trainer.net.forward(x, training=True) and x], verbose=0)
    assert trainer.net.lock.holders == set()


def test_no_warnings_of_arithmetic(impl):
    same = values(fitted(None))
    np.testing.assert_array_equal(values(fitted([lambda x, rng: np.where(np.isnan(np.log(-abs(x)) / 0), x, x)])), same)


# ---- what is refused ----

CLASSES = nn.CustomLoss(lambda z, t: z[:, 0], lambda z, t: z, target="labels")
HEADS = nn.HeadsLoss([("cross_entropy", 2), ("mean_squared_error", 1)])
MIX = "augment must have no Mixup with"
SOFT = "which takes no soft targets, got one: leave it out, or train with"


def bad(error, message, augment, loss="cross_entropy", y=None, optimizer="adam"):
    return error, message, augment, loss, y, optimizer


ONE = "augment must be an augmentation of fastnn.data, the name of one, or a function of x and rng, got"
FIRST = r"augment\[0\]" + ONE.removeprefix("augment")
BAD = {
    "a class": bad(TypeError, rf"{ONE} the class Mixup: write fastnn\.data\.Mixup\(\)", data.Mixup),
    "a class in a list": bad(TypeError, rf"{FIRST} the class SwapNoise: write fastnn\.data\.SwapN", [data.SwapNoise]),
    "a class with a shape": bad(TypeError, rf"{FIRST} the class RandomFlip: write .*\(\.\.\.\)", [data.RandomFlip]),
    "another class": bad(TypeError, f"{ONE} the class dict", dict),
    "a layer": bad(TypeError, f"{FIRST} Dropout: write augment=", [nn.Dropout(0.1)]),
    "a number": bad(TypeError, f"{ONE} float", 0.1),
    "True": bad(TypeError, f"{ONE} bool", True),
    "None in a list": bad(TypeError, f"{FIRST} None", [None]),
    "a list in a list": bad(TypeError, f"{FIRST} list", [["noise"]]),
    "a dict": bad(TypeError, f"{ONE} dict", {"noise": 0.1}),
    "no name": bad(ValueError, r"augment\[0\] must be one of gaussian_noise, .*, got 'nois'", ["nois"]),
    "one argument": bad(TypeError, r"augment\[0\] must take two .*, got <lambda>\(x\): write def", [lambda x: x]),
    "three": bad(TypeError, r"augment must take two .*, got <lambda>\(x, y, rng\)", lambda x, y, rng: x),
    "shape": bad(
        ValueError, r"augment\[1\]: shape must have 6 pixels .* got \(3, 3\)", ["noise", data.RandomShift((3, 3))]
    ),
    "shape of a flip": bad(ValueError, r"augment: shape must have 6 pixels .*\(1, 7\)", data.RandomFlip((1, 7))),
    "two mixups": bad(
        ValueError, "augment must have at most one Mixup, got 2: leave one", ["mixup", "noise", data.Mixup(1.0)]
    ),
    "multi margin": bad(ValueError, f"{MIX} MultiMarginLoss, {SOFT}", "mixup", "multi_margin"),
    "log loss": bad(ValueError, f"{MIX} LogLoss, {SOFT}", "mixup", "log_loss"),
    "log loss of rows": bad(ValueError, f"{MIX} LogLoss, {SOFT}", "mixup", "log_loss", "rows"),
    "hinge": bad(ValueError, f"{MIX} HingeLoss, {SOFT}", ["mixup"], "hinge", "signs"),
    "squared": bad(ValueError, f"augment must .* SquaredHingeLoss, {SOFT}", ["mixup"], "squared_hinge", "signs"),
    "custom": bad(ValueError, f"{MIX} CustomLoss, {SOFT}", ["mixup"], CLASSES),
    "heads": bad(ValueError, f"{MIX} HeadsLoss, {SOFT}", ["mixup"], HEADS, "heads"),
    "LBFGS": bad(
        ValueError, r"augment must be None with LBFGS, got \['noise'\]: write optim.Adam\(\) to use augment", ["noise"],
        optimizer="LBFGS",
    ),
}  # fmt: skip


def target_of(kind):
    _, y, _ = problem()
    rows = one_hot(y)
    return {None: y, "rows": rows, "signs": 2 * rows - 1, "heads": np.column_stack([y % 2, rows[:, 0]])}[kind]


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_change_nothing(impl, name):
    error, message, augment, loss, y, optimizer = BAD[name]
    net = nn.Sequential(nn.Dense(K, 3), seed=0)
    trainer = fastnn.Trainer(net, loss, optimizer)
    before = values(trainer)
    with pytest.raises(error, match=f"^{message}"):
        trainer.fit(problem()[0], target_of(y), augment=augment, epochs=1, verbose=0)
    assert trainer.step_count == trainer.epoch == net.training_steps == 0 and not trainer.history.epochs
    np.testing.assert_array_equal(values(trainer), before)
    trainer.fit(problem()[0], target_of(y), augment=None, epochs=1, verbose=0)


def test_numbers_beyond_the_nets_dtype():
    for augment in (data.GaussianNoise(1e39), data.RandomShift(SHAPE, 1, fill=-1e39)):
        with pytest.raises(ValueError, match=r"^augment: (std|fill) must be"):
            fitted(augment, trainer=trainer_of("float32"))
        as_augment(net_of("float64"), augment)


@pytest.mark.parametrize("when", ["on_epoch_begin", "on_batch_end"])
def test_a_loss_without_soft_targets_that_a_callback_sets(impl, when):
    def change_loss(self, trainer, *_):
        trainer.loss = "multi_margin"

    callback, trainer = type("Change", (fastnn.Callback,), {when: change_loss})(), trainer_of()
    with pytest.raises(ValueError, match=f"^augment must have no Mixup with MultiMarginLoss, {SOFT}"):
        fitted("mixup", trainer=trainer, callbacks=[callback])
    fitted("noise", trainer=trainer)
    trainer.loss = WEIGHTED
    fitted("mixup", trainer=trainer)


@pytest.mark.parametrize("augment", ["mixup", ["noise", data.Mixup(0.7)]])
def test_a_loss_that_a_callback_sets_gets_mixed_targets(impl, augment):
    class Change(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            trainer.loss = WEIGHTED

    X, y, _ = problem()
    trainers = [trainer_of(), trainer_of(loss=WEIGHTED)]
    for trainer, target, callbacks in zip(trainers, (y, one_hot(y)), ([Change()], []), strict=True):
        trainer.fit(X, target, epochs=1, batch_size=16, augment=augment, callbacks=callbacks, verbose=0)
    np.testing.assert_array_equal(values(trainers[0]), values(trainers[1]))


# ---- other calls that take it ----


def test_the_range_test_takes_augment(impl):
    X, y, _ = problem()
    results = [fastnn.lr_range_test(trainer_of(), X, y, steps=8, augment=a).losses for a in (None, "noise", "noise")]
    assert not np.array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[1], results[2])


def test_ensembles_take_augment(impl):
    X, y, _ = problem()

    def build(seed):
        return fastnn.Trainer(nn.Sequential(nn.Dense(K, 3), seed=seed))

    settings = {"members": 2, "seed": 3, "epochs": 2, "verbose": 0}
    ensemble = fastnn.Ensemble.fit(build, X, y, augment=["noise", "mixup"], **settings)
    for index, net in enumerate(ensemble):
        trainer = build(3 + index)
        trainer.fit(X, y, epochs=2, augment=["noise", "mixup"], verbose=0)
        np.testing.assert_array_equal(net.params.data, values(trainer))
