"""Trainers in files: what is loaded continues bit for bit; what files cannot hold is refused by `save`."""

import functools
import os
import re
import warnings

import numpy as np
import pytest
from conftest import implementation
from trainer_files import IMPLEMENTATIONS, X, Y, content_of, everything, files, fit, forge, same, small

import fastnn
from fastnn import data, nn, optim
from fastnn.io._tensors import TensorFile

# ---- a table of settings ----

SOFT = np.eye(3)[Y] * 0.7 + 0.1
NUMBERS = X[:, :3] - X[:, 2:5] ** 2


def value(z, t):
    return ((z - t) ** 2).sum(axis=1)


def gradient(z, t):
    return 2 * (z - t)


def factor(epoch):
    return 1 / (1 + epoch)


def of_steps(step):
    return 1 / (1 + step / 7)


def spread(y, output):
    return float(output.max() - output.min())


FUNCTIONS = {each.__name__: each for each in (value, gradient, factor, of_steps, spread)}
GROUPS = [optim.NO_DECAY, optim.Group("4.*", lr_scale=0.5, weight_decay=0.2)]
STEPS = [optim.LinearLR(), optim.StepLR(2)]

# Settings of a trainer, by what is particular.
SETTINGS = {
    **{f"optimiser {name}": {"optimizer": kind()} for name, kind in optim.OPTIMIZERS.items()},
    "momentum": {"optimizer": optim.SGD(0.1, momentum=0.9, dampening=0.5)},
    "velocity": {"optimizer": optim.SGD(0.1, momentum=0.9, velocity=True)},
    "groups": {"optimizer": optim.AdamW(0.02, weight_decay=0.1, amsgrad=True, groups=GROUPS)},
    "centred": {"optimizer": optim.RMSprop(1e-3, centered=True, momentum=0.5)},
    "slots that begin above 0": {"optimizer": optim.Adagrad(0.1, lr_decay=0.1, initial_accumulator_value=0.3)},
    "schedule of its own length": {"schedule": optim.CosineAnnealingLR(7)},
    "schedule of each fit's length": {"schedule": "OneCycleLR"},
    "schedules": {"schedule": optim.SequentialLR([optim.WarmupLR(optim.StepLR(2)), *STEPS[1:]], [2])},
    "chained": {"schedule": optim.ChainedScheduler(STEPS)},
    "a function of the epoch": {"schedule": factor},
    "a function of the step": {"schedule": optim.LambdaLR(of_steps, every="step")},
    "EMA": {"average": optim.EMA(0.7)},
    "SWA": {"average": optim.SWA(1)},
    "penalty": {"penalty": optim.Penalty(l1=0.01, l2=0.1, per_batch=True)},
    "limits": {"clip_value": 0.05, "clip_norm": 0.2},
    "accumulate": {"accumulate": 3},
    "class weights": {"loss": nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.5], label_smoothing=0.1)},
    "margins": {"loss": "multi_margin"},
    "squares": {"loss": "mse"},
    "quantiles": {"loss": nn.QuantileLoss([0.1, 0.5, 0.9])},
    "huber": {"loss": nn.HuberLoss(delta=0.5)},
    "custom loss": {"loss": nn.CustomLoss(value, gradient)},
    "heads": {"loss": nn.HeadsLoss([("cross_entropy", 2), (nn.CustomLoss(value, gradient), 1, 0.3)])},
    "metrics by name": {"metrics": ["accuracy", "balanced_accuracy"]},
    "metrics of losses": {"metrics": {"margin": "multi_margin", "smooth": nn.CrossEntropyLoss(label_smoothing=0.2)}},
    "metrics of functions": {"metrics": {"a": spread, "b": spread}},
    "LBFGS": {"optimizer": "lbfgs"},
    "Newton": {"optimizer": "newton"},
}
ROWS = {"squares": NUMBERS, "quantiles": NUMBERS[:, :1], "huber": NUMBERS, "custom loss": NUMBERS}
ROWS["heads"] = np.hstack([(Y[:, None] > 1) * 1.0, NUMBERS[:, :1]])


def data_of(name):
    y = ROWS.get(name, Y)
    return {"y": y, "validation_data": (X[:20] + 1, y[:20])}


def trainer_of(name, dtype):
    settings = SETTINGS[name]
    if name in ("LBFGS", "Newton"):  # they take nets without chance
        return fastnn.Trainer(nn.Sequential(nn.Dense(5, 4), "tanh", nn.Dense(4, 3), dtype=dtype, seed=1), **settings)
    return small(dtype=dtype, **settings)


def loaded(path):
    """Load with the functions that the file asks for."""
    given = {}
    for _ in range(len(FUNCTIONS) + 1):
        try:
            return fastnn.Trainer.load(path, **given)
        except ValueError as error:
            (name,) = re.findall(r"got '(\w+)': pass it by this name: \1=\.\.\.", str(error))
            given[name] = FUNCTIONS[name]
    raise AssertionError(given)


@pytest.mark.sampled(5)
@IMPLEMENTATIONS
@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_loaded_continues_bit_for_bit(backend, dtype, name, tmp_path):
    path = tmp_path / "trainer.safetensors"
    with implementation(backend), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the average")
        warnings.filterwarnings("ignore", "the last layer")
        trainer = trainer_of(name, dtype)
        trainer.save(path)  # before anything is trained
        same(loaded(path), trainer)
        fit(trainer, epochs=2, **data_of(name))
        trainer.save(path)
        before = everything(trainer)
        again = loaded(path)
        assert everything(trainer) == before
        same(again, trainer)
        assert again.history.epochs == trainer.history.epochs  # with its seconds
        for each in (trainer, again):
            fit(each, epochs=2, **data_of(name))
        same(again, trainer)
        assert np.array_equal(again.net.params.data, trainer.net.params.data)
        assert not np.array_equal(loaded(path).net.params.data, trainer.net.params.data)


def frozen(trainer):
    trainer.net.freeze("0.*")
    fit(trainer, epochs=2)


def thawed(trainer):
    """Leave parameters that have missed updates."""
    frozen(trainer)
    trainer.net.unfreeze()
    fit(trainer, epochs=1)
    assert trainer.state_dict()["missed_updates"] == {"0.weight": 10}


def scaled(trainer):
    trainer.net.scaler = data.RobustScaler.fit(X)
    fit(trainer)


def filled(trainer):
    trainer.net.scaler = data.Scaler.fit(np.where(X > 1, np.nan, X), nan="center")
    fit(trainer)


def other_rate(trainer):
    fit(trainer)
    trainer.lr = 0.123


def other_optimizer(trainer):
    fit(trainer)
    trainer.optimizer = optim.SGD(0.1, momentum=0.9)
    fit(trainer)
    assert trainer.schedule_step > trainer.step_count


def counted(trainer):
    fit(trainer)
    trainer.step_count, trainer.epoch = 3, 11


def reset(trainer):
    fit(trainer)
    trainer.reset_optimizer()


def by_hand(trainer):
    net = trainer.net
    for _ in range(3):
        net.backward(np.ones_like(net.forward(X[:10], training=True)))
        trainer.step()


def strange_values(trainer):
    """Not finite in the slots, and negative zeros and the smallest numbers in the net."""
    fit(trainer)
    trainer.slots()[0][:3] = [-np.inf, np.nan, -0.0]
    trainer.net[0].weight[0, :3] = [-0.0, 1e-45, -1e-45]


def notes(trainer):
    class Notes(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            logs |= {"note": "é\n\"'", "nan": float("nan"), "inf": -np.inf, "count": 3, "tiny": np.float32(0.1)}

    fit(trainer, callbacks=[Notes()])


def interrupted(trainer):
    class Stop(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if logs["batch"] == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(trainer, callbacks=[Stop()])


STATES = (
    frozen, thawed, scaled, filled, other_rate, other_optimizer, counted, reset, by_hand, strange_values, notes,
    interrupted,
)  # fmt: skip


@pytest.mark.parametrize("prepare", STATES, ids=lambda each: each.__name__)
def test_every_state_is_in_the_file(impl, dtype, prepare, tmp_path):
    path = tmp_path / "trainer.safetensors"
    trainer = small(dtype=dtype, schedule=None if prepare is by_hand else optim.CosineAnnealingLR())
    prepare(trainer)
    trainer.save(path)
    again = fastnn.Trainer.load(path, allow_nonfinite=prepare is strange_values)
    same(again, trainer)
    np.testing.assert_equal(again.state_dict(), trainer.state_dict())
    if prepare is not strange_values:
        for each in (trainer, again):
            fit(each, epochs=2)
        same(again, trainer)


def test_a_file_is_the_same_whoever_writes_it(tmp_path):
    """The file of a loaded trainer has the bytes of the first one."""
    one, other = tmp_path / "one", tmp_path / "other"
    trainer = small(average="ema", metrics=["accuracy"])
    with pytest.warns(UserWarning, match=r"the average"):
        fit(trainer)
    trainer.save(one)
    fastnn.Trainer.load(one).save(other)
    assert one.read_bytes() == other.read_bytes()


def test_subclasses_are_refused(tmp_path):
    """What the message says to do has the state; the file before is as it was."""

    class Mine(fastnn.Trainer):
        pass

    path, trainer = tmp_path / "trainer", Mine(small().net, optimizer=optim.Adam(0.02))
    fit(trainer)
    small().save(path)
    before = path.read_bytes()
    with pytest.raises(
        TypeError, match=r"^trainer must be a fastnn.Trainer, as files contain no classes of yours, got"
    ):
        trainer.save(path)
    assert path.read_bytes() == before
    message = r"^load must be called on fastnn.Trainer, .*, got Mine: write fastnn.Trainer.load\(path\)"
    with pytest.raises(TypeError, match=message):
        Mine.load(path)
    plain = fastnn.Trainer(trainer.net, optimizer=trainer.optimizer)
    plain.load_state_dict(trainer.state_dict())
    plain.save(path)
    same(fastnn.Trainer.load(path), trainer)


def test_a_trainer_is_saved_while_it_trains(tmp_path):
    """In a callback, and within an epoch."""
    path = tmp_path / "trainer.safetensors"

    class Save(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if (trainer.epoch, logs["batch"]) == (2, 3):
                trainer.save(path)
                kept.append(everything(trainer))

    kept = []
    fit(small(), callbacks=[Save()])
    assert everything(fastnn.Trainer.load(path)) == kept[0]


# ---- functions ----


class Holder:
    def method(self, y, output):
        return 1.0

    def __call__(self, y, output):
        return 1.0


def _other():
    def spread(y, output):
        return 0.0

    return spread


def callbacks(y, output):
    return 1.0


def allow_nonfinite(y, output):
    return 1.0


def cls(y, output):
    return 1.0


NOT_SAVED = {
    "a lambda": (
        {"metrics": {"m": lambda y, z: 1.0}},
        TypeError,
        r"trainer\.metrics\.m must have a function with a name",
    ),
    "a lambda schedule": ({"schedule": lambda epoch: 1.0}, TypeError, "must have a function with a name.* by def"),
    "a partial": ({"metrics": {"m": functools.partial(spread)}}, TypeError, "must have a function with a name"),
    "an object": ({"metrics": {"m": Holder()}}, TypeError, "must have a function with a name"),
    "two of one name": (
        {"metrics": {"a": spread, "b": _other()}},
        ValueError,
        "have another name than the other functions, got 'spread'",
    ),
    **{
        f"named {each.__name__}": (
            {"metrics": {"m": each}},
            ValueError,
            f"functions of a trainer in a file must have names other than .*{each.__name__}.*, got '{each.__name__}'",
        )
        for each in (callbacks, allow_nonfinite, cls)
    },
}


@pytest.mark.parametrize(("settings", "error", "message"), NOT_SAVED.values(), ids=NOT_SAVED)
def test_what_cannot_be_passed_again_is_refused(settings, error, message, tmp_path):
    """The file before is as it was, and nothing else is left."""
    path = tmp_path / "trainer.safetensors"
    small().save(path)
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        small(**settings).save(path)
    assert files(tmp_path) == [path.name]
    assert path.read_bytes() == before


def test_methods_and_inner_functions_have_names(tmp_path):
    trainer = small(metrics={"a": Holder().method, "b": _other()})
    trainer.save(tmp_path / "trainer")
    again = fastnn.Trainer.load(tmp_path / "trainer", method=spread, spread=spread)
    assert dict(again.metrics) == {"a": spread, "b": spread}


WRONG_FUNCTIONS = {
    "missing": (
        {},
        ValueError,
        r"must name a function that is passed, got 'factor': pass it by this name: factor=\.\.\.",
    ),
    "unknown": (
        {"factor": factor, "spread": spread, "wrong": factor},
        ValueError,
        "functions must be among those that the file names, factor, spread, got 'wrong'",
    ),
    "a misspelt argument": (
        {"factor": factor, "spread": spread, "allow_nonfinit": True},
        ValueError,
        "got 'allow_nonfinit'",
    ),
    "no function": ({"factor": 3, "spread": spread}, TypeError, ": factor must be "),
}


@pytest.mark.parametrize(("given", "error", "message"), WRONG_FUNCTIONS.values(), ids=WRONG_FUNCTIONS)
def test_wrong_functions_are_refused(given, error, message, tmp_path):
    small(schedule=factor, metrics={"spread": spread}).save(tmp_path / "trainer")
    with pytest.raises(error, match=message):
        fastnn.Trainer.load(tmp_path / "trainer", **given)


def test_a_file_without_functions_takes_none(tmp_path):
    small().save(tmp_path / "trainer")
    with pytest.raises(ValueError, match=r"functions must be left out, as the file names none, got 'wrong'"):
        fastnn.Trainer.load(tmp_path / "trainer", wrong=factor)


def test_a_checkpoint_takes_the_functions_of_its_fit(tmp_path):
    """`load` leaves the fit out, but a call with all functions of `resume` is no mistake."""

    def noise(x, rng):
        return x

    fit(small(schedule=factor), tmp_path, augment=noise)
    path = max(tmp_path.glob("checkpoint-*"))
    assert fastnn.Trainer.load(path, factor=factor).epoch == 4
    assert fastnn.Trainer.load(path, factor=factor, noise=noise).epoch == 4
    with pytest.raises(
        ValueError, match=r"functions must be among those that the file names, factor, noise, got 'other'"
    ):
        fastnn.Trainer.load(path, factor=factor, other=noise)


# ---- figures, kinds of files, values ----


@pytest.mark.parametrize(
    ("figures", "error"),
    [({"val_note": "text"}, TypeError), ({"x": [1, 2]}, TypeError), ({3: 1.0}, TypeError), ({"x": None}, TypeError)],
)
def test_a_history_that_could_not_be_loaded_is_not_written(figures, error, tmp_path):
    trainer = small()
    add = type("Add", (fastnn.Callback,), {"on_epoch_end": lambda self, trainer, logs: logs.update(figures)})
    fit(trainer, callbacks=[add()])
    with pytest.raises(error, match=r"^history(\[0\]\['\w+'\])? must "):
        trainer.save(tmp_path / "trainer")
    assert files(tmp_path) == []


NOT_FINITE = {
    "a parameter": (lambda trainer: trainer.net[0].weight, r"'0\.weight'"),
    "running statistics": (lambda trainer: trainer.net[1].running_mean, r"'1\.running_mean'"),
    "a slot": (lambda trainer: trainer.slots()[1], r"'fastnn\.slots\.v\.0\.weight'"),
    "the average": (lambda trainer: trainer.averaging.arrays[0], r"'fastnn\.average\.values\.0\.weight'"),
}


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize(("part", "tensor"), NOT_FINITE.values(), ids=NOT_FINITE)
@pytest.mark.parametrize("checkpoint", [False, True])
def test_values_that_are_not_finite_are_loaded_on_request(checkpoint, part, tensor, value, tmp_path):
    trainer = small(average=optim.EMA(0.1))
    fit(trainer)
    part(trainer).flat[0] = value
    path = tmp_path / "trainer"
    trainer.save(path)
    if checkpoint:
        fit(small(average=optim.EMA(0.1)), tmp_path / "files")
        own = content_of(path)
        with TensorFile(path) as file:
            arrays = {name: file.read(name) for name in file.entries}
        forge(max((tmp_path / "files").glob("checkpoint-*")), lambda c, t: (c.update(own), t.update(arrays)), path)
    message = rf"the tensor {tensor}.* must be finite, got NaN or infinity: pass allow_nonfinite=True if it has to be"
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer.load(path)
    same(fastnn.Trainer.load(path, allow_nonfinite=True), trainer)
    with pytest.raises(TypeError, match=r"^allow_nonfinite must be"):
        fastnn.Trainer.load(path, allow_nonfinite=1)


def test_other_kinds_of_files_say_what_loads_them(tmp_path):
    net, trainer, checkpoint = tmp_path / "net", tmp_path / "trainer", tmp_path / "fits"
    small().net.save(net)
    small().save(trainer)
    fit(small(), checkpoint)
    with pytest.raises(
        ValueError, match=r"must be the file of a trainer or a checkpoint, got that of a net: write fastnn.l"
    ):
        fastnn.Trainer.load(net)
    for path in (trainer, checkpoint / "best.safetensors"):
        with pytest.raises(ValueError, match=r"must be the file of a net, .*: write fastnn\.Trainer\.(load|resume)\("):
            fastnn.load(path)
    with pytest.raises(ValueError, match=r"must be the file of a checkpoint, got that of a trainer: write fastnn\.Tr"):
        fastnn.Trainer.resume(trainer, X, Y)


@pytest.mark.parametrize("path", [None, 3.5, ["trainer"]])
def test_paths(path):
    for call in (small().save, fastnn.Trainer.load, lambda given: fastnn.Trainer.resume(given, X, Y)):
        with pytest.raises(TypeError):
            call(path)


def test_missing_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        small().save(tmp_path / "nowhere" / "trainer")
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        fastnn.Trainer.load(tmp_path / "nowhere")


def test_a_file_that_is_cut_or_changed_anywhere(tmp_path):
    """Bits of the header and of the tensors; the trainer of another test's size."""
    path, wrong = tmp_path / "trainer", tmp_path / "wrong"
    fit_trainer = small()
    fit(fit_trainer, epochs=1)
    fit_trainer.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [0, 7, 8, len(whole) - 1, *rng.integers(0, len(whole), 150).tolist()]:
        wrong.write_bytes(whole[:place])
        with pytest.raises(ValueError, match=r" must "):
            fastnn.Trainer.load(wrong)
        wrong.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << rng.integers(8))]) + whole[place + 1 :])
        with pytest.raises((ValueError, TypeError), match=r" must "):
            fastnn.Trainer.load(wrong)
    os.truncate(path, 0)
    with pytest.raises(ValueError, match=r"an empty file"):
        fastnn.Trainer.load(path)


def _drop(key):
    return lambda content, tensors: content.pop(key)


FORGED = {
    "no net": (_drop("net"), "the content must have the keys net, "),
    "no state": (_drop("state"), "the content must have the keys net, "),
    "a further key": (lambda c, t: c.update(path="/etc/passwd"), "the content must have the keys .* and no others"),
    "a further tensor": (lambda c, t: t.update({"fastnn.x": np.ones(3)}), "must have no other tensors, got 'fastnn.x'"),
    "a missing tensor": (
        lambda c, t: t.pop("fastnn.slots.m.0.weight"),
        "must have the tensor 'fastnn.slots.m.0.weight'",
    ),
    "a tensor twice": (
        lambda c, t: c["state"]["slots"]["entries"]["v"].update(c["state"]["slots"]["entries"]["m"]),
        "must name the tensor 'fastnn.slots.m.0.weight' once",
    ),
    "a slot of another shape": (
        lambda c, t: t.update({"fastnn.slots.m.0.weight": np.ones((5, 9), "f4")}),
        r"state_dict\['slots'\]\['m'\]\['0.weight'\] must have shape \(9, 5\)",
    ),
    "a negative square": (
        lambda c, t: t.update({"fastnn.slots.v.0.weight": -np.ones((9, 5), "f4")}),
        "must contain no number below 0",
    ),
    "a negative count": (
        lambda c, t: c["state"].update(step_count=-1),
        r"state_dict\['step_count'\] must be an integer",
    ),
    "a fraction": (lambda c, t: c["state"].update(epoch=1.5), r"state_dict\['epoch'\] must be an integer"),
    "a huge count": (lambda c, t: c["state"].update(epoch=10**30), r"state_dict\['epoch'\] must be an integer from"),
    "a negative rate": (lambda c, t: c["state"].update(lr=-1.0), r"state_dict\['lr'\] must be"),
    "another optimiser's state": (
        lambda c, t: c["state"].update(optimizer="sgd"),
        r"state_dict\['optimizer'\] must be",
    ),
    "a net as the optimiser": (
        lambda c, t: c["settings"].update(optimizer={"kind": "nn.ReLU"}),
        "optimizer must be an optimiser",
    ),
    "an unknown kind": (
        lambda c, t: c["settings"].update(loss={"kind": "os.system", "command": "true"}),
        r"loss.kind must be one of",
    ),
    "a setting out of range": (lambda c, t: c["settings"]["optimizer"].update(lr=-1.0), ": lr must be"),
    "no setting": (lambda c, t: c["settings"].pop("loss"), "settings must have the keys loss, "),
    "a run that is a list": (lambda c, t: c.update(run=[1]), "run must be a string"),
    "accumulate": (lambda c, t: c["settings"].update(accumulate=0), "accumulate must be"),
    "an average without values": (
        lambda c, t: c["settings"].update(average={"kind": "optim.EMA", "decay": 0.5}),
        r"state_dict\['average'\] must be",
    ),
}


@pytest.mark.parametrize(("change", "message"), FORGED.values(), ids=FORGED)
def test_forged_trainers_are_refused(change, message, tmp_path):
    path = tmp_path / "trainer"
    trainer = small()
    fit(trainer, epochs=1)
    trainer.save(path)
    forge(path, change)
    with pytest.raises((TypeError, ValueError), match=message):
        fastnn.Trainer.load(path)


def test_a_forged_file_of_the_same_content_is_loaded(tmp_path):
    """So the refusals above are those of the changes."""
    trainer = small()
    fit(trainer, epochs=1)
    trainer.save(tmp_path / "trainer")
    forge(tmp_path / "trainer", lambda content, tensors: None)
    same(fastnn.Trainer.load(tmp_path / "trainer"), trainer)
