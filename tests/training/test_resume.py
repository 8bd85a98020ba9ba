"""`Trainer.resume`: a fit that was interrupted anywhere ends as the one that was not; other data are refused."""

import contextlib
import os
import re
import threading

import numpy as np
import pytest
from conftest import LEVELS, implementation
from trainer_files import (
    CONFIGURATIONS,
    IMPLEMENTATIONS,
    VALIDATION,
    Crash,
    CrashAfter,
    X,
    Y,
    crash_in_write,
    crashed,
    everything,
    files,
    fit,
    kills,
    resume,
    same,
    small,
)

import fastnn
from fastnn import data, nn, optim
from fastnn.training._fit import BatchFit

# ---- every configuration, at many places ----


def run(name, folder, within, monkeypatch, crash=None, before=False):
    """Fit a configuration of the tool in a folder, or resume it; return its values and how many files it wrote."""
    folder.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        count = crash_in_write(patch, crash, before=before)
        try:
            return kills.train(name, folder, within), count[0]
        except Crash:
            return None, count[0]


@pytest.mark.sampled(5)
@IMPLEMENTATIONS
@pytest.mark.parametrize("within", [pytest.param(False, marks=pytest.mark.slow), True], ids=["epochs", "steps"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_fit_that_crashed_ends_as_one_that_did_not(backend, name, within, tmp_path, monkeypatch):
    """Crashes before and after files are written; the second time the resumed fit crashes, too."""
    monkeypatch.setattr(kills, "EPOCHS", 5)
    panels = name == "weights in panels"
    if panels and backend == "reference":
        pytest.skip("the reference backend keeps no weights in panels")
    with implementation(backend):
        wanted, files_written = run(name, tmp_path / "whole", within, monkeypatch)
        middle = files_written // 2
        for place in [middle] if backend == "reference" or (panels and within) else [middle, files_written - 1]:
            folder = tmp_path / str(place)
            values, written = run(name, folder, within, monkeypatch, place)
            # Where no callback looks at each step, it depends on the time how many files there are.
            assert (values is None and written == place) or (panels and within)
            run(name, folder, within, monkeypatch, 2, before=True)  # may end at once
            found, _ = run(name, folder, within, monkeypatch)
            assert kills.differences(found, wanted) == ""
            assert kills.best_of(name, folder) == kills.best_of(name, tmp_path / "whole")


@pytest.mark.parametrize("within", [False, True])
def test_each_place(impl, within, tmp_path, monkeypatch):
    """A crash after each file in turn."""
    settings = {"minutes": 1e-9} if within else {"every": 1}

    def run_to(folder, place=None):
        with monkeypatch.context() as patch:
            count = crash_in_write(patch, place)
            trainer = small(accumulate=2, schedule="CosineAnnealingLR", average=optim.EMA(0.5))
            checkpoint = fastnn.Checkpoint(folder, **settings)
            with contextlib.suppress(Crash):
                fit(trainer, callbacks=[kills.Slow(), checkpoint], epochs=3)
        return trainer, count[0]

    wanted, written = run_to(tmp_path / "whole")
    assert written == (1 + 3 * 3 if within else 4)  # two updates of two batches, the rest of an epoch and the epoch
    for place in range(1, written + 1):
        run_to(tmp_path / str(place), place)
        same(resume(tmp_path / str(place), [kills.Slow()]), wanted)


class RaiseAt(fastnn.Callback):
    """Raises in an event of an epoch; without an error it does nothing."""

    observes = "step"

    def __init__(self, event="", error=None, epoch=2, batch=3):
        self.event, self.error, self.place = event, error, (epoch, batch)

    def _at(self, event, trainer, batch=None):
        epoch, wanted = self.place
        if self.error is not None and event == self.event and trainer.epoch == epoch and batch in (None, wanted):
            raise self.error

    def on_epoch_begin(self, trainer):
        self._at("on_epoch_begin", trainer)

    def on_progress(self, trainer, logs):
        self._at("on_progress", trainer, logs["batch"])

    def on_batch_end(self, trainer, logs):
        self._at("on_batch_end", trainer, logs["batch"])

    def on_epoch_end(self, trainer, logs):
        self._at("on_epoch_end", trainer)

    def on_checkpoint(self, trainer):
        self._at("on_checkpoint", trainer)
        return {}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt(), MemoryError(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("event", ["on_epoch_begin", "on_progress", "on_batch_end", "on_epoch_end", "on_checkpoint"])
def test_errors_of_callbacks(event, error, tmp_path):
    wanted = small()
    fit(wanted)
    for minutes in (None, 1e-9):
        folder = tmp_path / str(minutes)
        checkpoint = fastnn.Checkpoint(folder, minutes=minutes)
        with pytest.raises(type(error)):
            fit(small(), callbacks=[RaiseAt(event, error), checkpoint])
        same(resume(folder, [RaiseAt()]), wanted)


def test_the_best_epoch_of_a_fit_that_an_error_ended(tmp_path):
    """`EarlyStopping` restores the best epoch after a crash, too; the checkpoint has what was trained."""
    stopping = [fastnn.EarlyStopping("loss", mode="max") for _ in range(2)]  # the first epoch is the best one
    wanted, trainer = small(), small()
    fit(wanted, callbacks=stopping[:1], epochs=6)
    with pytest.raises(Crash):
        fit(trainer, tmp_path, [stopping[1], CrashAfter(5)], epochs=6)
    resumed = resume(tmp_path, [CrashAfter()])
    same(resumed, wanted)
    assert stopping[0].best_epoch == 0
    assert resumed.epoch == 6


# ---- the data ----

OTHER = X.copy()
OTHER[7, 2] += 1e-3
DATA = {
    "a value of X": ({"x": OTHER}, r"^X must be that of .* shape \(90, 5\) and dtype float32, got other values"),
    "rows of X in another order": ({"x": X[::-1]}, "^X must be .* got other values"),
    "the dtype of X": ({"x": X.astype(float)}, r"^X must be .* dtype float32, got an array of .* dtype float64"),
    "the rows": ({"x": X[:-1], "y": Y[:-1]}, r"^X must be .* shape \(90, 5\) .* got an array of shape \(89, 5\)"),
    "the columns": ({"x": X[:, :4]}, r"^X must have shape \(n, 5\)"),
    "y": ({"y": np.roll(Y, 1)}, "^y must be .* got other values"),
    "rows of y": ({"y": np.eye(3)[Y]}, r"^y must be .* shape \(90,\) and dtype int64, got an array of shape \(90, 3\)"),
    "no validation data": (
        {"validation": None},
        r"^validation_data\[0\] must be .* shape \(20, 5\) .* got None: pass validation_data",
    ),
    "other validation data": (
        {"validation": (VALIDATION[0], VALIDATION[1][::-1])},
        r"^validation_data\[1\] must be .* other",
    ),
    "validation weights": (
        {"validation": (*VALIDATION, np.ones(20))},
        r"^validation_data\[2\] must be .* None, got an",
    ),
    "weights": ({"sample_weight": np.ones(90)}, r"^sample_weight must be .* None, got an array of shape \(90,\)"),
    "NaN": ({"x": np.where(X > 1, np.nan, X)}, "^X must be finite|^X must"),
}


@pytest.mark.parametrize(("given", "message"), DATA.values(), ids=DATA)
def test_other_data_is_refused(given, message, tmp_path):
    """Before anything is trained or written; and the fit can still be resumed."""
    crashed(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=message):
        resume(tmp_path, [CrashAfter()], **given)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert resume(tmp_path, [CrashAfter()]).epoch == 4


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (None, r"^sample_weight must be .* shape \(90,\) and dtype float64, got None: pass sample_weight"),
        (np.linspace(0, 1, 90)[::-1], "^sample_weight must be .* got other values"),
    ],
)
def test_weights_of_the_fit_are_needed(weight, message, tmp_path):
    own = np.linspace(0, 1, 90)
    crashed(tmp_path, sample_weight=own, validation_data=None)
    with pytest.raises(ValueError, match=message):
        resume(tmp_path, [CrashAfter()], validation=None, sample_weight=weight)
    with pytest.raises(ValueError, match=r"^validation_data\[0\] must be .* None, got an array"):
        resume(tmp_path, [CrashAfter()], sample_weight=own)
    assert resume(tmp_path, [CrashAfter()], validation=None, sample_weight=own).epoch == 4


def test_data_that_are_read_in_place_and_as_lists(tmp_path):
    """What counts are the values: a memory map, a list and a view are the same data."""
    np.save(tmp_path / "x.npy", X)
    wanted = small()
    fit(wanted)
    wide = np.zeros((90, 10), np.float32)
    wide[:, ::2] = X
    forms = {"map": np.load(tmp_path / "x.npy", mmap_mode="r"), "view": wide[:, ::2], "Fortran": np.asfortranarray(X)}
    for name, x in forms.items():
        crashed(tmp_path / name)
        same(resume(tmp_path / name, [CrashAfter()], x=x, y=Y.tolist()), wanted)


# ---- callbacks ----


class Mine(fastnn.Callback):
    pass


class MyStopping(fastnn.EarlyStopping):
    pass


def test_callbacks_of_the_user_are_needed(tmp_path):
    crashed(tmp_path, callbacks=[Mine(), fastnn.CSVLog(tmp_path / "log.csv"), MyStopping()])
    log = fastnn.CSVLog(tmp_path / "log.csv")
    for given, missing in (
        ([], "Mine"),
        ([Mine()], r"fastnn\.CSVLog"),
        ([Mine(), log], "MyStopping"),
        ([Mine(), log, MyStopping()], "CrashAfter"),
        ([Mine(), log, fastnn.EarlyStopping(), CrashAfter()], "MyStopping"),
    ):
        with pytest.raises(
            ValueError, match=f": callbacks must contain the .*{missing} of the fit, got none: pass it again"
        ):
            resume(tmp_path, given)
    wanted = small()
    fit(wanted, callbacks=[MyStopping()])
    same(resume(tmp_path, [CrashAfter(), MyStopping(), Mine(), log]), wanted)  # in any order


SETTINGS = {
    "patience": (
        [fastnn.EarlyStopping(patience=5)],
        r"fastnn\.EarlyStopping\(.*patience=7.*\), got fastnn\.EarlyStopping\(.*patience=5",
    ),
    "monitor": ([fastnn.EarlyStopping("loss", patience=7)], "monitor='val_loss'.*, got .*monitor='loss'"),
    "factor": ([fastnn.ReduceLROnPlateau("loss", factor=0.1)], "factor=0.5"),
    "seconds": (
        [fastnn.TimeLimit(999)],
        r"fastnn\.TimeLimit\(seconds=1000\.0\), got fastnn\.TimeLimit\(seconds=999\.0\)",
    ),
    "append": ([fastnn.CSVLog("x.csv", append=True)], "append=False.*append=True"),
    "the best figure": ([fastnn.Checkpoint("x", monitor="loss")], "monitor='val_loss'"),
    "its mode": ([fastnn.Checkpoint("x", mode="max")], "mode='auto'"),
}


def builtin():
    return [
        fastnn.EarlyStopping(patience=7), fastnn.ReduceLROnPlateau("loss", factor=0.5), fastnn.TimeLimit(1000),
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), SETTINGS.values(), ids=SETTINGS)
def test_callbacks_with_other_settings_are_refused(given, message, tmp_path):
    log = fastnn.CSVLog(tmp_path / "log.csv")
    crashed(tmp_path / "files", callbacks=[*builtin(), log])
    others = [CrashAfter()] if isinstance(given[0], fastnn.CSVLog) else [CrashAfter(), log]
    with pytest.raises(ValueError, match=f": callbacks must have the settings of the fit, .*{message}"):
        resume(tmp_path / "files", [*others, *given])
    assert (tmp_path / "log.csv").read_text().count("\n") == 4
    assert files(tmp_path) == ["files", "log.csv"]


@pytest.mark.parametrize("layers", [["0*"], ("0*", "input"), None, []])
def test_settings_that_are_lists(layers, tmp_path):
    """A callback may keep a list as a tuple; a file has lists."""
    reference = small()
    fit(reference, callbacks=[fastnn.Watch(every=3, layers=layers)])
    crashed(tmp_path, callbacks=[fastnn.Watch(every=3, layers=layers)])
    given = fastnn.Watch(every=3, layers=layers)
    same(resume(tmp_path, [CrashAfter(), given]), reference)
    assert given.records
    wanted, got = (
        f"fastnn.Watch(every=3, layers={each}, verbose=False)"
        for each in (None if layers is None else list(layers), ["1"])
    )
    with pytest.raises(ValueError, match=re.escape(f"settings of the fit, {wanted}, got {got}: leave it out")):
        resume(tmp_path, [CrashAfter(), fastnn.Watch(every=3, layers=["1"])])


# Which of three are passed again.
SEVERAL = {
    "none": [], "the first": [0], "the second": [1], "the third": [2], "all": [0, 1, 2], "in another order": [2, 0, 1],
}  # fmt: skip


def several():
    return [fastnn.EarlyStopping("loss", patience=9, mode="max"), fastnn.EarlyStopping(), fastnn.EarlyStopping("loss")]


@pytest.mark.parametrize("passed", SEVERAL.values(), ids=SEVERAL)
def test_several_callbacks_of_one_class(passed, tmp_path):
    """Each is found by its settings; those that are not passed again are made."""
    wanted, reference = several(), small()
    fit(reference, callbacks=wanted)
    crashed(tmp_path, callbacks=several())
    given = {index: several()[index] for index in passed}
    same(resume(tmp_path, [CrashAfter(), *given.values()]), reference)
    for index, each in given.items():
        assert (each.best, each.best_epoch) == (wanted[index].best, wanted[index].best_epoch)


def test_two_equal_callbacks(tmp_path):
    """Also if both are one object. Once those of the fit are found, others of their class are further ones."""
    both, further, wanted = fastnn.EarlyStopping("loss"), fastnn.EarlyStopping("loss", patience=3), small()
    fit(wanted, callbacks=[fastnn.EarlyStopping("loss")])
    for number, given in enumerate(([], [both], [both, both], [both, both, further])):
        folder = tmp_path / str(number)
        crashed(folder, callbacks=[both, both])
        same(resume(folder, [CrashAfter(), *given]), wanted)
    assert further.best_epoch == 2 + np.argmin(wanted.history["loss"][2:])
    with pytest.raises(
        ValueError, match=r"callbacks must have the settings of the fit, .*patience=10.*patience=3.*\): leave it out"
    ):
        resume(tmp_path / "0", [CrashAfter(), both, further])


def test_the_given_objects_are_used(tmp_path):
    wanted = builtin()
    fit(small(), callbacks=wanted, epochs=9)
    crashed(tmp_path / "files", callbacks=builtin(), epochs=9)
    given, other = builtin(), fastnn.Checkpoint(tmp_path / "other", every=2, keep=5)
    resumed = resume(tmp_path / "files", [other, CrashAfter(), *given])
    assert (given[0].best, given[0].best_epoch) == (wanted[0].best, wanted[0].best_epoch)
    assert vars(given[1]) == vars(wanted[1])
    assert other.best == min(resumed.history["val_loss"])
    assert files(tmp_path / "other")[-1] == "checkpoint-000004.safetensors"  # of epochs 4, 6, 8 and 9


def test_further_callbacks_run_after_those_of_the_fit(tmp_path):
    order = []

    class First(fastnn.Callback):
        def on_resume(self, trainer, state):
            order.append(("First", "on_resume"))

        def on_epoch_end(self, trainer, logs):
            order.append(("First", trainer.epoch))

    class Further(First):
        def on_fit_begin(self, trainer):
            order.append(("Further", "on_fit_begin"))

        def on_epoch_end(self, trainer, logs):
            order.append(("Further", trainer.epoch))

    crashed(tmp_path, callbacks=[First()])
    order.clear()
    resume(tmp_path, [Further(), First(), CrashAfter()])
    assert order == [
        ("First", "on_resume"), ("Further", "on_fit_begin"), ("First", 3), ("Further", 3), ("First", 4), ("Further", 4),
    ]  # fmt: skip


def test_two_callbacks_of_one_class_keep_their_order(tmp_path):
    class Adds(fastnn.Callback):
        def __init__(self, name):
            self.name, self.epochs = name, 0

        def on_epoch_end(self, trainer, logs):
            self.epochs += 1 if self.name == "a" else 10
            logs[self.name] = self.epochs

        def on_checkpoint(self, trainer):
            return {"epochs": self.epochs}

        def on_resume(self, trainer, state):
            self.epochs = state["epochs"]

    crashed(tmp_path, callbacks=[Adds("a"), Adds("b")])
    resumed = resume(tmp_path, [CrashAfter(), Adds("a"), Adds("b")])
    assert resumed.history["a"] == [1, 2, 3, 4]
    assert resumed.history["b"] == [10, 20, 30, 40]


def test_states_come_back_as_they_were(tmp_path):
    """Every kind of value, within each other; lists stand for tuples."""
    state = {
        "none": None, "bool": True, "int": 2**80, "float": 0.1, "nan": float("nan"), "inf": -np.inf, "text": "é\0\n",
        "array": np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::-1], "empty": np.zeros((0, 3)),
        "bools": np.array([True]),
        "strings": np.array(["a", "b"]), "scalar": np.float32(0.1), "list": [1, [2.5, "x"], {"a": [np.ones(2)]}],
        "tuple": (1, 2), "record": optim.Adam(0.5), "nested": {"a": {"b": {}}, "kind": "tensor"}, "": {"": 1},
        "a.b": np.ones(1), "a": {"b": np.zeros(1)},
    }  # fmt: skip

    class Keeps(fastnn.Callback):
        def on_checkpoint(self, trainer):
            return state

        def on_resume(self, trainer, state):
            found.append(state)

    found = []
    crashed(tmp_path, callbacks=[Keeps()])
    resume(tmp_path, [CrashAfter(), Keeps()])
    wanted = state | {"tuple": [1, 2], "scalar": float(np.float32(0.1))}
    np.testing.assert_equal(found[0], wanted)
    for key in ("array", "empty", "bools"):
        assert (found[0][key].dtype, found[0][key].shape) == (state[key].dtype, state[key].shape)


# ---- functions ----


def noise(x, rng):
    return x + rng.normal(size=x.shape)


def slower(epoch):
    return 0.9**epoch


def test_functions_are_passed_by_their_names(tmp_path):
    wanted = small(schedule=slower)
    fit(wanted, augment=[noise, "mixup"], y=np.eye(3)[Y], validation_data=None)
    crashed(tmp_path, trainer=small(schedule=slower), augment=[noise, "mixup"], y=np.eye(3)[Y], validation_data=None)

    def again(**functions):
        return resume(tmp_path, [CrashAfter()], y=np.eye(3)[Y], validation=None, **functions)

    for given, message in (
        ({}, r"must name a function that is passed, got 'slower'"),
        ({"slower": slower}, r"must name a function that is passed, got 'noise'"),
        (
            {"slower": slower, "noise": noise, "epochs": 9},
            "functions must be among those that the file names, noise, slower, got 'epochs'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            again(**given)
    same(again(slower=slower, noise=noise), wanted)


# ---- damaged files ----


def damage(path):
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 4
    path.unlink()  # the best one may be a link to it
    path.write_bytes(whole)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def pickled(path):
    path.write_bytes(b"\x80\x04N.")


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [damage, cut, empty, pickled, folder])
def test_the_checkpoint_before_a_damaged_one_is_taken(change, tmp_path):
    wanted = small()
    fit(wanted, epochs=6)
    crashed(tmp_path, epoch=5, epochs=6)
    assert files(tmp_path)[1:] == ["checkpoint-000004.safetensors", "checkpoint-000005.safetensors"]
    change(tmp_path / "checkpoint-000005.safetensors")
    with pytest.warns(
        UserWarning, match=r"000005.* must .*; the checkpoint before it is tried, checkpoint-000004\.saf"
    ):
        resumed = resume(tmp_path, [CrashAfter()])
    same(resumed, wanted)
    assert files(tmp_path)[-1] == "checkpoint-000008.safetensors"  # epochs 4, 5 and 6: the damaged name stays taken


def test_damaged_files_alone_are_an_error(tmp_path):
    crashed(tmp_path, epoch=5, epochs=6)
    for path in tmp_path.glob("checkpoint-*"):
        damage(path)
    before = files(tmp_path)
    with (
        pytest.warns(UserWarning, match=r"000005.*the checkpoint before it is tried, checkpoint-000004"),
        pytest.raises(ValueError, match=r"checkpoint-000005.* must have the SHA-256 that it was written with"),
    ):
        resume(tmp_path, [CrashAfter()])
    assert files(tmp_path) == before
    assert resume(tmp_path / "best.safetensors", [CrashAfter()]).epoch == 6  # which can be named


def test_a_damaged_file_that_is_named_is_an_error(tmp_path):
    crashed(tmp_path)
    damage(tmp_path / "checkpoint-000003.safetensors")
    with pytest.raises(ValueError, match=r"SHA-256"):
        resume(tmp_path / "checkpoint-000003.safetensors", [CrashAfter()])


@pytest.mark.parametrize("name", ["checkpoint-000002.safetensors", "best.safetensors"])
def test_any_checkpoint_can_be_named(name, tmp_path):
    """The folder goes on with further numbers."""
    wanted = small()
    fit(wanted)
    crashed(tmp_path)
    same(resume(tmp_path / name, [CrashAfter()]), wanted)
    assert max(files(tmp_path)) > "checkpoint-000004"
    same(resume(tmp_path, [CrashAfter()]), wanted)


def test_folders_without_checkpoints(tmp_path):
    (tmp_path / "checkpoint-1.safetensors").write_bytes(b"")  # no name of a checkpoint
    with pytest.raises(
        ValueError, match=r"^path must be a checkpoint, or a folder with some, got the folder .* without"
    ):
        resume(tmp_path)
    with pytest.raises(FileNotFoundError):
        resume(tmp_path / "nowhere")


# ---- the end of a fit ----


def test_a_fit_that_had_ended(tmp_path):
    trainer = small(average=optim.EMA(0.2))
    stopping = [fastnn.EarlyStopping("loss", mode="max", patience=9)]
    fit(trainer, tmp_path, stopping)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    resumed = resume(tmp_path)
    same(resumed, trainer)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for each in (trainer, resumed):
        fit(each)
    same(resumed, trainer)


def test_a_fit_that_a_callback_had_stopped(tmp_path):
    class Stop(fastnn.Callback):
        observes = "step"

        def on_batch_end(self, trainer, logs):
            if (trainer.epoch, logs["batch"]) == (1, 3):
                trainer.stop()

    trainer = small()
    fit(trainer, tmp_path, [Stop()])
    assert (trainer.epoch, trainer.step_count) == (2, 8)
    with pytest.warns(UserWarning, match=r"^the fit was stopped after 2 of 4 epochs, .*: for more epochs write"):
        resumed = resume(tmp_path, [Stop()])
    same(resumed, trainer)


def test_a_later_fit_of_the_trainer(tmp_path):
    """Checkpoints of the second fit say what is left of that one."""
    wanted, trainer = small(schedule="OneCycleLR"), small(schedule="OneCycleLR")
    for each, folder in ((wanted, tmp_path / "whole"), (trainer, tmp_path / "files")):
        fit(each, folder, epochs=3)
    fit(wanted, tmp_path / "whole", epochs=5, shuffle=False)
    with pytest.raises(Crash):
        fit(trainer, tmp_path / "files", [CrashAfter(6)], epochs=5, shuffle=False)
    resumed = resume(tmp_path / "files", [CrashAfter()])
    same(resumed, wanted)
    assert resumed.epoch == 8


def test_the_trainer_goes_on_with_its_folder(tmp_path):
    crashed(tmp_path)
    resumed = resume(tmp_path, [CrashAfter()])
    fit(resumed, tmp_path)
    assert resumed.epoch == 8
    again = fastnn.Trainer.load(max(tmp_path.glob("checkpoint-*")))
    fit(again, tmp_path)
    assert again.epoch == 12


# ---- divergence ----


class Explode(fastnn.Callback):
    """Makes the loss of a step infinite."""

    observes = "step"

    def __init__(self):
        self.trainer = None

    def on_batch_end(self, trainer, logs):
        self.trainer = trainer
        if (trainer.epoch, logs["batch"]) == (2, 4):
            trainer.net[4].bias[:] = np.inf


@pytest.mark.parametrize("average", [None, optim.EMA(0.5), optim.SWA(1)], ids=repr)
def test_a_fit_that_diverges_rolls_back_as_the_uninterrupted_one(impl, average, tmp_path, monkeypatch):
    def diverging(begin):
        explode = Explode()
        with pytest.raises(fastnn.TrainingDiverged) as caught:
            begin([explode, fastnn.Checkpoint(tmp_path, minutes=1e-9)])
        return explode.trainer, str(caught.value)

    wanted, message = diverging(lambda callbacks: fit(small(average=average), callbacks=callbacks[:1]))
    crash_in_write(monkeypatch, 1 + 5 + 5 + 3)  # after three steps of the third epoch
    with pytest.raises(Crash):
        fit(small(average=average), callbacks=[Explode(), fastnn.Checkpoint(tmp_path, minutes=1e-9)])
    found, again = diverging(lambda callbacks: resume(tmp_path, callbacks))
    assert again == message
    same(found, wanted)
    assert found.epoch == 2
    assert np.isfinite(found.net.params.data).all()


# ---- settings that callbacks change within a fit ----


class Change(fastnn.Callback):
    """Changes a setting before a step."""

    observes = "step"

    def __init__(self, change, epoch=1, batch=2):
        self.change, self.place = change, (epoch, batch)

    def on_batch_end(self, trainer, logs):
        if (trainer.epoch, logs["batch"]) == self.place:
            self.change(trainer)


def sets(**values):
    return lambda trainer: [setattr(trainer, name, value) for name, value in values.items()]


CHANGES = {
    "lr": sets(lr=0.3),
    "loss": sets(loss=nn.CrossEntropyLoss(label_smoothing=0.3)),
    "loss of other targets": sets(loss=nn.QuantileLoss([0.1, 0.5, 0.9])),  # of numbers, no classes
    "optimizer": sets(optimizer=optim.SGD(0.05, momentum=0.9)),
    "optimizer of the same kind": sets(optimizer=optim.Adam(0.001, betas=(0.5, 0.9))),
    "schedule": sets(schedule=optim.CosineAnnealingLR()),
    "average": sets(average=optim.EMA(0.2)),
    "penalty and limits": sets(penalty=optim.Penalty(l2=0.1), clip_norm=0.1, clip_value=0.01),
    "accumulate": sets(accumulate=3),
    "metrics": sets(metrics=["balanced_accuracy"]),
    "frozen": lambda trainer: trainer.net.freeze("0.*", "1.*"),
    "scaler": lambda trainer: setattr(trainer.net, "scaler", data.Scaler.fit(3 * X)),
    "weights": lambda trainer: trainer.net[4].bias.fill(0.25),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_callbacks_change_within_a_fit(change, batch, tmp_path, monkeypatch):
    """Crashes at every place after the change, which comes between two steps or after an epoch's last one."""
    metrics = None if change is CHANGES["loss of other targets"] else {"half": nn.CrossEntropyLoss(label_smoothing=0.5)}

    def trainer():
        return small(accumulate=2, metrics=metrics)

    def begin(each, *callbacks):
        fit(each, callbacks=[Change(change, batch=batch), *callbacks], epochs=3)
        return each

    wanted = begin(trainer())
    same(begin(trainer(), fastnn.Checkpoint(tmp_path / "whole", minutes=1e-9)), wanted)
    for place in (5, 6, 7, 8, 9):
        folder = tmp_path / str(place)
        with monkeypatch.context() as patch:
            crash_in_write(patch, place)
            with pytest.raises(Crash):
                begin(trainer(), fastnn.Checkpoint(folder, minutes=1e-9))
        same(resume(folder, [Change(change, batch=batch)]), wanted)


def test_another_average_is_forgotten_by_a_roll_back(tmp_path, monkeypatch):
    """The values of the old average at the start of the epoch are not those of the new one."""

    class Both(Explode):
        def on_batch_end(self, trainer, logs):
            super().on_batch_end(trainer, logs)
            if (trainer.epoch, logs["batch"]) == (2, 1):
                trainer.average = optim.SWA(1)

    wanted = Both()
    with pytest.raises(fastnn.TrainingDiverged):
        fit(small(average=optim.EMA(0.5)), callbacks=[wanted])
    crash_in_write(monkeypatch, 1 + 5 + 5 + 2)
    with pytest.raises(Crash):
        fit(small(average=optim.EMA(0.5)), callbacks=[Both(), fastnn.Checkpoint(tmp_path, minutes=1e-9)])
    found = Both()
    with pytest.raises(fastnn.TrainingDiverged):
        resume(tmp_path, [found])
    same(found.trainer, wanted.trainer)
    assert found.trainer.state_dict()["average"]["count"] == 0


# ---- processes, threads, backends ----


@pytest.mark.parametrize(("one", "other"), [(LEVELS[-1], "reference"), ("reference", LEVELS[-1])])
def test_another_backend_goes_on(one, other, tmp_path):
    """The bits are those of two fits, each with its backend."""
    wanted = small(dtype="float64")
    for backend, epochs in ((one, 2), (other, 2)):
        with implementation(backend):
            fit(wanted, epochs=epochs)
    with implementation(one):
        crashed(tmp_path, trainer=small(dtype="float64"))
    with implementation(other):
        same(resume(tmp_path, [CrashAfter()]), wanted)


def test_any_number_of_threads(native, tmp_path):
    wide = {"x": np.tile(X, (20, 1)), "y": np.tile(Y, 20), "batch_size": 600}
    wanted = small()
    with fastnn.num_threads(1):
        fit(wanted, **wide)
    with fastnn.num_threads(2):
        crashed(tmp_path, **wide)
    with fastnn.num_threads(3):
        same(resume(tmp_path, [CrashAfter()], x=wide["x"], y=wide["y"]), wanted)


def test_in_a_thread(tmp_path):
    wanted, found = small(), []
    fit(wanted)

    def both():
        crashed(tmp_path)
        found.append(resume(tmp_path, [CrashAfter()]))

    thread = threading.Thread(target=both)
    thread.start()
    thread.join()
    same(found[0], wanted)


def test_subclasses_of_the_trainer_are_refused(tmp_path):
    """By the call, whatever the file is."""

    class Own(fastnn.Trainer):
        pass

    crashed(tmp_path)
    message = r"^resume must be called on fastnn.Trainer, .*, got Own: write fastnn.Trainer.resume\(path, X, y\)"
    with pytest.raises(TypeError, match=message):
        Own.resume(tmp_path, X, Y, VALIDATION, [CrashAfter()])
    assert resume(tmp_path, [CrashAfter()]).epoch == 4


def test_a_resume_within_a_callback(tmp_path):
    """Of another training than the one that runs."""
    crashed(tmp_path)
    wanted = small()
    fit(wanted)

    class Resumes(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == 2:
                found.append(resume(tmp_path, [CrashAfter()]))

    found, outer = [], small()
    fit(outer, callbacks=[Resumes()])
    same(found[0], wanted)
    same(outer, wanted)


def test_the_progress_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastnn.training._progress.has_tqdm", lambda: False)
    crashed(tmp_path)
    fastnn.Trainer.resume(tmp_path, X, Y, VALIDATION, [CrashAfter()], verbose=1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("epoch 4/4: loss=")


def test_arguments(tmp_path):
    crashed(tmp_path)
    for error, message, call in (
        (TypeError, "^callbacks must be", lambda: resume(tmp_path, CrashAfter())),
        (TypeError, r"^callbacks\[0\] must be", lambda: resume(tmp_path, [3])),
        (
            TypeError,
            "^verbose must be",
            lambda: fastnn.Trainer.resume(tmp_path, X, Y, VALIDATION, [CrashAfter()], verbose="x"),
        ),
        (TypeError, "^validation_data must be", lambda: resume(tmp_path, [CrashAfter()], validation=X)),
    ):
        with pytest.raises(error, match=message):
            call()


def test_a_crash_within_a_slice_of_many_steps(tmp_path, monkeypatch):
    """Where no callback looks, a checkpoint is of the end of a native call: whole updates alone."""
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)
    rows = {"x": np.tile(X, (5, 1)), "y": np.tile(Y, 5), "batch_size": 10}
    places = []
    position = BatchFit.position

    def noted(self):
        found = position(self)
        places.append((self.done, found is not None and found.within is not None))
        return found

    wanted = small(accumulate=4)
    fit(wanted, **rows)
    monkeypatch.setattr(BatchFit, "position", noted)
    crash_in_write(monkeypatch, 9)
    with pytest.raises(Crash):
        fit(small(accumulate=4), callbacks=[fastnn.Checkpoint(tmp_path, minutes=1e-9)], **rows)
    assert {done % 4 for done, written in places if written} == {0}
    same(resume(tmp_path, x=rows["x"], y=rows["y"]), wanted)
    assert everything(wanted)["trainer.epoch"] == "4"


def test_the_order_of_an_epoch_whose_number_a_callback_sets(tmp_path):
    class SetEpoch(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if (trainer.epoch, logs["batch"]) == (0, 2):
                trainer.epoch = 5

    class CrashInBatch(fastnn.Callback):
        def __init__(self, batch):
            self.batch = batch

        def on_batch_end(self, trainer, logs):
            if (trainer.epoch, logs["batch"]) == (5, self.batch):
                raise Crash

    wanted, trainer = small(), small()
    fit(wanted, callbacks=[SetEpoch()], epochs=2)
    kept = fastnn.Checkpoint(tmp_path, minutes=1e-9)
    with pytest.raises(Crash):
        fit(trainer, callbacks=[SetEpoch(), CrashInBatch(4), kept], epochs=2)
    same(resume(tmp_path, [SetEpoch(), CrashInBatch(-1)]), wanted)


def test_functions_keep_the_names_under_which_they_are_passed(tmp_path):
    def top(y, output):
        return float(output.max())

    def other(y, output):
        return float(output.max())

    crashed(tmp_path / "files", trainer=small(metrics={"top": top}))
    resumed = resume(tmp_path / "files", [CrashAfter()], top=other)
    resumed.save(tmp_path / "trainer")
    again = fastnn.Trainer.load(tmp_path / "trainer", top=lambda y, output: 0.5)
    again.save(tmp_path / "trainer")
    assert fastnn.Trainer.load(tmp_path / "trainer", top=top).metrics["top"] is top


def test_functions_that_are_not_needed_yet(tmp_path):
    """A callback may set one later; whatever is no function is refused."""
    crashed(tmp_path)
    with pytest.raises(ValueError, match=r"functions must be left out, as the file names none, got 'epochs'"):
        resume(tmp_path, [CrashAfter()], epochs=9)
    resume(tmp_path, [CrashAfter()], later=lambda epoch: 0.5)


def test_a_newest_file_that_cannot_be_opened(tmp_path):
    crashed(tmp_path)
    (tmp_path / "checkpoint-000009.safetensors").symlink_to(tmp_path / "gone")
    with pytest.warns(UserWarning, match="the checkpoint before it is tried"):
        resume(tmp_path, [CrashAfter()])


def test_counts_and_bools_of_callbacks_in_a_history(tmp_path):
    class Counts(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            logs["flag"], logs["count"] = True, trainer.epoch

    wanted = small()
    fit(wanted, callbacks=[Counts()])
    crashed(tmp_path, callbacks=[Counts()])
    found = resume(tmp_path, [Counts(), CrashAfter()]).history
    assert [(type(each["flag"]), type(each["count"])) for each in found.epochs] == [(bool, int)] * len(found.epochs)
    assert found["count"] == wanted.history["count"]
