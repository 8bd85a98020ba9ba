"""`Checkpoint`: which files it writes and keeps, what it refuses before anything has changed, and what ends a write."""

import dataclasses
import errno
import hashlib
import math
import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from trainer_files import (
    VALIDATION,
    Crash,
    CrashAfter,
    X,
    Y,
    content_of,
    crash_in_write,
    crashed,
    everything,
    files,
    fit,
    histories,
    kills,
    resume,
    same,
    small,
)
from training_process import run

import fastnn
from fastnn import nn, optim
from fastnn.training import _checkpoint_content, _position, checkpoints, logs


def checkpoint_names(*numbers):
    return [f"checkpoint-{number:06d}.safetensors" for number in numbers]


def figures(path):
    return histories(fastnn.Trainer.load(path))


# ---- which files there are ----

KEPT = {
    "by default": ({}, 5, (5, 6)),
    "one": ({"keep": 1}, 5, (6,)),
    "three": ({"keep": 3}, 5, (4, 5, 6)),
    "more than there are": ({"keep": 99}, 3, (1, 2, 3, 4)),
    "every second": ({"every": 2, "keep": 9}, 5, (1, 2, 3, 4)),  # the begin, epochs 2 and 4, and the end
    "every second, even": ({"every": 2, "keep": 9}, 4, (1, 2, 3)),
    "the begin and the end": ({"every": 100, "keep": 9}, 5, (1, 2)),
    "a long time": ({"minutes": 1000, "keep": 9}, 5, (1, 2)),
    "a long time and every second": ({"minutes": 1000, "every": 2, "keep": 9}, 5, (1, 2, 3, 4)),
    "a short time": ({"minutes": 1e-9, "keep": 99}, 2, tuple(range(1, 1 + 1 + 2 * 5))),  # four steps and the epoch
}


@pytest.mark.parametrize(("settings", "epochs", "numbers"), KEPT.values(), ids=KEPT)
def test_which_files_are_kept(settings, epochs, numbers, tmp_path):
    trainer = small()
    callbacks = [kills.Slow(), fastnn.Checkpoint(tmp_path, **settings)]
    fit(trainer, callbacks=callbacks, epochs=epochs)
    assert files(tmp_path) == ["best.safetensors", *checkpoint_names(*numbers)]
    same(fastnn.Trainer.load(tmp_path / files(tmp_path)[-1]), trainer)


def test_what_each_file_has(tmp_path):
    """The epochs of the files, those within an epoch, and bits that do not depend on checkpoints."""
    trainer, wanted = small(), small()
    fit(trainer, callbacks=[kills.Slow(), fastnn.Checkpoint(tmp_path, minutes=1e-9, keep=99)], epochs=2)
    fit(wanted, epochs=2)
    same(trainer, wanted)
    found = []
    for path in sorted(tmp_path.glob("checkpoint-*")):
        part = content_of(path)["fit"]
        found.append((part["ended"], part["within"] and part["within"]["done"]))
    assert found == [(0, None), *((0, n) for n in range(1, 5)), (1, None), *((1, n) for n in range(1, 5)), (2, None)]


@pytest.mark.parametrize("name", ["checkpoint-000002.safetensors", "best.safetensors"])
def test_a_checkpoint_is_the_trainer_of_its_epoch(impl, name, tmp_path):
    wanted = small(average=optim.EMA(0.1))
    crashed(tmp_path, epoch=2, trainer=small(average=optim.EMA(0.1)))
    fit(wanted, epochs=1)
    loaded = fastnn.Trainer.load(tmp_path / name)
    same(loaded, wanted)
    for each in (loaded, wanted):
        fit(each)
    same(loaded, wanted)


BEST = {
    "lowest": ({}, "val_loss", min),
    "a metric": ({"monitor": "val_accuracy"}, "val_accuracy", max),
    "a loss of the training": ({"monitor": "loss"}, "loss", min),
    "highest": ({"monitor": "val_loss", "mode": "max"}, "val_loss", max),
    "of every epoch": ({"every": 3}, "val_loss", min),
    "a figure of a callback": ({"monitor": "made", "mode": "min"}, "made", min),
}


class Made(fastnn.Callback):
    """Adds a figure, which is no number in the first epochs."""

    values = (np.nan, np.nan, 3.0, 1.0, 2.0, np.nan, 1.0, 1.5)

    def on_epoch_end(self, trainer, logs):
        logs["made"] = self.values[trainer.epoch - 1]


@pytest.mark.parametrize(("settings", "figure", "better"), BEST.values(), ids=BEST)
def test_the_best_epoch(settings, figure, better, tmp_path):
    """The first of equal ones; also where its epoch is none of `every`."""
    callback = fastnn.Checkpoint(tmp_path, **settings)
    trainer = small(optimizer=optim.Adam(0.1))
    fit(trainer, callbacks=[Made(), callback], epochs=8)
    values = [each for each in trainer.history[figure] if not np.isnan(each)]
    best = better(values)
    assert callback.best == best
    epoch = trainer.history[figure].index(best) + 1
    found = fastnn.Trainer.load(tmp_path / "best.safetensors")
    np.testing.assert_equal(histories(found), histories(trainer)[:epoch])
    again = small(optimizer=optim.Adam(0.1))
    fit(again, callbacks=[Made()], epochs=epoch)
    assert np.array_equal(found.net.params.data, again.net.params.data)


def test_without_validation_data_there_is_no_best_one(tmp_path):
    fit(small(), tmp_path, validation_data=None)
    assert files(tmp_path) == checkpoint_names(4, 5)
    with pytest.raises(ValueError, match=r"^monitor must be one of loss, lr, seconds, got 'val_accuracy'"):
        fit(small(), callbacks=[fastnn.Checkpoint(tmp_path / "x", monitor="val_accuracy")], validation_data=None)


def test_a_best_one_that_is_no_link(tmp_path, monkeypatch):
    """Some file systems have no links."""

    def no_links(*paths):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", no_links)
    wanted = small()
    fit(wanted)
    crashed(tmp_path)
    assert files(tmp_path) == ["best.safetensors", *checkpoint_names(2, 3)]
    same(resume(tmp_path, [CrashAfter()]), wanted)


def test_two_fits_of_one_trainer(tmp_path):
    """The numbers go on, and so does the best figure: an epoch of the second fit must be better."""
    trainer = small(optimizer=optim.SGD(0.3))
    fit(trainer, tmp_path)
    first = figures(tmp_path / "best.safetensors")
    trainer.optimizer = optim.SGD(1e-6)
    fit(trainer, tmp_path, epochs=2, validation_data=(VALIDATION[0], np.roll(VALIDATION[1], 1)))  # a worse figure
    assert files(tmp_path) == ["best.safetensors", *checkpoint_names(7, 8)]
    assert figures(tmp_path / "best.safetensors") == first
    checkpoint = fastnn.Checkpoint(tmp_path)
    trainer.optimizer = optim.SGD(0.3)
    fit(trainer, callbacks=[checkpoint], epochs=2)
    assert checkpoint.best == min(trainer.history["val_loss"])
    assert len(figures(tmp_path / "best.safetensors")) == 1 + int(np.argmin(trainer.history["val_loss"]))


def test_permissions_and_links_stay(tmp_path):
    umask = os.umask(0)
    os.umask(umask)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fit(small(), tmp_path / "link")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "real").iterdir()}
    assert modes == {0o666 & ~umask}
    assert (tmp_path / "link").is_symlink()


def test_weights_in_panels_are_written_in_order(native, tmp_path, monkeypatch):
    """Within an epoch, while nobody looks at them; what a callback keeps is in order, too."""
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)
    x, y = np.tile(X[:, :4], (2, 1)), np.tile(Y, 2)

    class Keeps(fastnn.Callback):
        def on_checkpoint(self, trainer):
            return {"weight": trainer.net[0].weight.copy()}

        def on_resume(self, trainer, state):
            assert np.array_equal(state["weight"], twin.net[0].weight)

    def trainer():
        net = nn.Sequential(nn.Dense(4, 610), nn.ReLU(), nn.Dense(610, 530), nn.ReLU(), nn.Dense(530, 3), seed=1)
        return fastnn.Trainer(net, optimizer=optim.SGD(0.001, momentum=0.9))

    def begin(each, *callbacks):
        each.fit(x, y, epochs=1, batch_size=2, callbacks=callbacks, verbose=0)
        return each

    wanted, in_panels = begin(trainer()), []
    write = checkpoints.save_checkpoint

    def noted(fit_, snapshot, path):
        write(fit_, snapshot, path)
        written.append(path)

    def position(self):
        in_panels.append(self.net.lock.order_restorer is not None)
        return where(self)

    where, written = checkpoints.BatchFit.position, []
    monkeypatch.setattr(checkpoints.BatchFit, "position", position)
    monkeypatch.setattr(checkpoints, "save_checkpoint", noted)
    crash_in_write(monkeypatch, 20)
    with pytest.raises(Crash):
        begin(trainer(), Keeps(), fastnn.Checkpoint(tmp_path, minutes=1e-9))
    assert sum(in_panels) > 10
    done = content_of(written[-1])["fit"]["within"]["done"]
    twin = begin_until(trainer(), done, x, y)
    same_values(fastnn.Trainer.load(written[-1]), twin)
    same(fastnn.Trainer.resume(tmp_path, x, y, callbacks=[Keeps()], verbose=0), wanted)


def begin_until(trainer, done, x, y):
    class Stop(fastnn.Callback):
        observes = "step"

        def on_batch_end(self, trainer, logs):
            if logs["batch"] == done:
                trainer.stop()

    trainer.fit(x, y, epochs=1, batch_size=2, callbacks=[Stop()], verbose=0)
    return trainer


def same_values(one, other):
    assert np.array_equal(one.net.params.data, other.net.params.data)
    slots = [each.state_dict()["slots"] for each in (one, other)]
    np.testing.assert_equal(*slots)


LISTS = {
    "arguments": (_checkpoint_content.ARGUMENTS, _position.FitArguments),
    "within": (_checkpoint_content.WITHIN, _position.WithinEpoch),
    "start": (_checkpoint_content.START, _position.StartOfEpoch),
}


@pytest.mark.parametrize(("names", "kind"), LISTS.values(), ids=LISTS)
def test_files_have_every_field(names, kind):
    """The lists are the format's own; a field that none of them has would be lost."""
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(kind))


# ---- what is refused before anything is trained or changed ----


class Touched(fastnn.Callback):
    """Notes whether a fit has begun."""

    begun = False

    def on_fit_begin(self, trainer):
        self.begun = True


def tree(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(error, message, folder, callback, trainer=None, **settings):
    """Fit, which must be refused: trainer, folder and the file of a log stay as they are, and no callback has begun."""
    trainer, touched = trainer or small(), Touched()
    log = folder / "log.csv"
    log.write_text("the log of another fit")
    before, state = tree(folder), everything(trainer)
    with pytest.raises(error, match=message):
        fit(trainer, callbacks=[fastnn.CSVLog(log), touched, callback], **settings)
    assert tree(folder) == before
    assert everything(trainer) == state
    assert not touched.begun
    assert trainer.running_fit is None


def test_another_trainer_is_refused(tmp_path):
    """As when a script is run again; the files of one that is being written stay, too."""
    folder = tmp_path / "files"
    crashed(folder)
    (folder / ".checkpoint-000004.safetensors.0123456789ab.tmp").write_bytes(b"being written")
    message = "files must have no checkpoints of another training, got checkpoint-000003.safetensors: go on with it by"
    for trainer in (small(), small().copy(), fastnn.Trainer(small().net)):
        refused(ValueError, message, tmp_path, fastnn.Checkpoint(folder), trainer)
    ours = small()
    fit(ours, tmp_path / "other")
    refused(ValueError, message, tmp_path, fastnn.Checkpoint(folder), ours)
    refused(ValueError, message, tmp_path, fastnn.Checkpoint(folder), ours.copy())
    assert resume(folder, [CrashAfter()]).epoch == 4


def test_resume_into_the_folder_of_another_training(tmp_path):
    """Nothing has changed then, also in the folder of the fit; a new folder is no mistake."""
    ours, theirs, log = tmp_path / "ours", tmp_path / "theirs", tmp_path / "log.csv"
    crashed(ours, callbacks=[fastnn.CSVLog(log)])
    crashed(theirs, epoch=4)
    before = tree(tmp_path)
    message = "theirs must have no checkpoints of another training, got checkpoint-000004.safetensors: "
    with pytest.raises(ValueError, match=message):
        resume(ours, [fastnn.CSVLog(log), CrashAfter(), fastnn.Checkpoint(theirs)])
    for path in theirs.glob("checkpoint-*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"theirs must have no checkpoints of another training, got best.safetensors"):
        resume(ours, [fastnn.CSVLog(log), CrashAfter(), fastnn.Checkpoint(theirs)])
    assert tree(tmp_path).items() <= before.items()
    assert len(before) - len(tree(tmp_path)) == 2
    resumed = resume(ours, [fastnn.CSVLog(log), CrashAfter(), fastnn.Checkpoint(tmp_path / "new")])
    assert files(tmp_path / "new") == ["best.safetensors", *checkpoint_names(1, 2)]
    same(resume(tmp_path / "new", [fastnn.CSVLog(log), CrashAfter()]), resumed)
    assert tree(ours).items() <= before.items()


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(NotADirectoryError, "file", tmp_path, fastnn.Checkpoint(tmp_path / "file"))
    refused(FileNotFoundError, "nowhere", tmp_path, fastnn.Checkpoint(tmp_path / "nowhere" / "files"))
    refused(NotADirectoryError, "file", tmp_path, fastnn.Checkpoint(tmp_path / "file" / "files"))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions of POSIX")
def test_a_folder_that_is_read_only():
    """As another user than root, whom no permission stops."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), os.geteuid() == 0
        folder.chmod(0o555)
        trainer = small()
        if root:
            os.seteuid(65534)
        try:
            for path in (folder, folder / "new"):
                with pytest.raises(PermissionError, match=name):
                    fit(trainer, path)
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert files(folder) == []
        assert trainer.step_count == 0


@pytest.mark.parametrize("optimizer", [optim.LBFGS(), optim.Newton()], ids=repr)
def test_full_batch_optimisers_are_refused(optimizer, tmp_path):
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(5, 3), seed=0), optimizer=optimizer)
    message = rf"^Checkpoint must be used with an optimiser that steps batch by batch, got {type(optimizer).__name__}\("
    refused(ValueError, message, tmp_path, fastnn.Checkpoint(tmp_path / "files"), trainer)
    assert files(tmp_path) == ["log.csv"]


def test_two_checkpoints_in_one_fit_are_refused(tmp_path):
    both = [fastnn.Checkpoint(tmp_path / each) for each in "ab"]
    with pytest.raises(
        ValueError, match=r"^callbacks must have one Checkpoint at most, got several: write one with every"
    ):
        fit(small(), callbacks=both)
    assert files(tmp_path) == []


def test_subclasses_of_the_trainer_are_refused(tmp_path):
    class Own(fastnn.Trainer):
        pass

    trainer = Own(small().net)
    message = (
        "^trainer must be a fastnn.Trainer, as files contain no classes of yours, got .*Own: make one with the same"
    )
    refused(TypeError, message, tmp_path, fastnn.Checkpoint(tmp_path / "files"), trainer)
    assert files(tmp_path) == ["log.csv"]


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_estimators_refuse_it(kind, tmp_path):
    pytest.importorskip("sklearn")
    import fastnn.sklearn

    model = getattr(fastnn.sklearn, kind)(max_iter=3, callbacks=[fastnn.Checkpoint(tmp_path / "files")])
    with pytest.raises(
        ValueError,
        match=r"^Checkpoint must be among the callbacks of Trainer.fit, got a fit of an estimator: leave it out, and",
    ):
        model.fit(X, Y)
    assert files(tmp_path) == []


def test_ensembles(tmp_path):
    """The members would share the folder."""
    with pytest.raises((ValueError, TypeError), match=r"checkpoints of another training|callbacks"):
        fastnn.Ensemble.fit(
            lambda seed: small(seed), X, Y, members=2, epochs=2, callbacks=[fastnn.Checkpoint(tmp_path)], verbose=0
        )
    assert fastnn.Trainer.load(tmp_path / "checkpoint-000003.safetensors").epoch == 2  # that of the first member


UNSAVED = {
    "a lambda as the schedule": (
        {"schedule": lambda epoch: 1.0},
        {},
        "trainer.schedule.factor must have a function with",
    ),
    "a lambda as a metric": (
        {"metrics": {"m": lambda y, z: 1.0}},
        {},
        "trainer.metrics.m must have a function with a name",
    ),
    "a lambda as augmentation": (
        {},
        {"augment": [lambda x, rng: x]},
        "fit.arguments.augment.0 must have a function with a name",
    ),
    "a lambda as the fit's metric": (
        {},
        {"metrics": {"m": lambda y, z: 1.0}},
        "fit.arguments.metrics.m must have a function with",
    ),
}


@pytest.mark.parametrize(("settings", "arguments", "message"), UNSAVED.values(), ids=UNSAVED)
def test_what_a_file_cannot_hold_is_refused_before_training(settings, arguments, message, tmp_path):
    trainer = small(**settings)
    with pytest.raises(TypeError, match=f"^{message}.*by def"):
        fit(trainer, tmp_path / "files", **arguments)
    assert trainer.step_count == 0
    assert not (tmp_path / "files").exists()


def validation_data(x, rng):
    return x


def test_functions_with_the_names_of_arguments(tmp_path):
    trainer = small()
    with pytest.raises(
        ValueError, match=r"^functions of a trainer in a file must have names other than .* got 'validation_"
    ):
        fit(trainer, tmp_path, augment=validation_data)
    assert trainer.step_count == 0


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


STATES = {
    "none": (None, TypeError, r"^Keeps\.on_checkpoint must return a dict, got None"),
    "a list": ([1], TypeError, r"^Keeps\.on_checkpoint must return a dict, got list"),
    "keys that are numbers": ({1: 2}, TypeError, r"^a key of Keeps.on_checkpoint\(\) must be a string, got int"),
    "keys within": (
        {"a": [{None: 2}]},
        TypeError,
        r"^a key of Keeps.on_checkpoint\(\)\['a'\]\[0\] must be a string, got None",
    ),
    "a set": (
        {"a": {1}},
        TypeError,
        r"^Keeps.on_checkpoint\(\)\['a'\] must be a plain value, a record of fastnn or a function",
    ),
    "an object": ({"a": object()}, TypeError, r"^Keeps.on_checkpoint\(\)\['a'\] must be a plain value"),
    "complex numbers": ({"a": np.ones(2, complex)}, TypeError, "must be of one of the dtypes"),
    "objects": (
        {"a": np.array([None, 1])},
        TypeError,
        r"the entries of Keeps.on_checkpoint\(\)\['a'\] must be strings",
    ),
    "two functions of one name": (
        {"a": validation_data, "b": [lambda x: x, validation_data]},
        TypeError,
        r"^Keeps.on_checkpoint\(\)\['b'\]\[0\] must have a function with a name",
    ),
    "a long key": ({"k" * 2000: np.ones(1)}, ValueError, "the tensor .* must have a name of at most 1000 characters"),
    "too deep": (nested(70), ValueError, "must be at most 64 lists and dicts deep"),
}


@pytest.mark.parametrize(("state", "error", "message"), STATES.values(), ids=STATES)
def test_states_that_a_file_cannot_hold_are_refused(state, error, message, tmp_path):
    class Keeps(fastnn.Callback):
        def on_checkpoint(self, trainer):
            return state

    trainer = small()
    with pytest.raises(error, match=message):
        fit(trainer, tmp_path, [Keeps()])
    assert trainer.step_count == 0
    assert files(tmp_path) == []


ARGUMENTS = [
    (TypeError, "^path must be a path: .*, got None", {"path": None}),
    (TypeError, "^path must be a path: .*, got bytes", {"path": b"x"}),
    (ValueError, "^path must be the path of a file, got ''", {"path": ""}),
    (ValueError, r"^path must .*, got 'a\\x00b'", {"path": "a\0b"}),
    (ValueError, r"^path must .*, got '\\ud800'", {"path": Path("\ud800")}),
    (ValueError, "^every must be an integer", {"every": 0}),
    (TypeError, "^every must be an integer", {"every": 1.5}),
    (ValueError, "^minutes must be", {"minutes": 0}),
    (ValueError, "^minutes must be", {"minutes": np.nan}),
    (ValueError, "^keep must be an integer", {"keep": 0}),
    (TypeError, "^monitor must be a key of the history", {"monitor": 3}),
    (ValueError, "^mode must be", {"mode": "best"}),
    (ValueError, "^mode must be 'min' or 'max' for monitor='mine'", {"monitor": "mine"}),
]


@pytest.mark.parametrize(("error", "message", "given"), ARGUMENTS)
def test_settings(error, message, given, tmp_path):
    with pytest.raises(error, match=message):
        fastnn.Checkpoint(**{"path": tmp_path} | given)


def test_how_it_is_shown(tmp_path):
    assert repr(fastnn.Checkpoint("runs/1")) == "Checkpoint('runs/1')"
    assert repr(fastnn.Checkpoint("x", minutes=5, mode="max")) == "Checkpoint('x', minutes=5.0, mode='max')"
    assert repr(fastnn.Checkpoint("x", every=3)) == "Checkpoint('x', every=3)"


# ---- what ends a write ----


@pytest.mark.parametrize(
    "error", [MemoryError(), KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), Crash()], ids=repr
)
@pytest.mark.parametrize("place", ["fsync", "replace", "open"])
def test_an_error_while_a_file_is_written(place, error, tmp_path, monkeypatch):
    """At each write in turn: the files before are whole, no temporary is left, and the fit goes on from there."""
    wanted = small()
    fit(wanted, epochs=2)
    original = getattr(os, place)
    for number in range(1, 60):
        folder, count = tmp_path / str(number), [0]

        def failing(*arguments, count=count, number=number, folder=folder, **settings):
            if str(folder) in str(arguments[0]) or place == "fsync":
                count[0] += 1
                if count[0] == number:
                    raise error
            return original(*arguments, **settings)

        with monkeypatch.context() as patch:
            patch.setattr(os, place, failing)
            try:
                fit(small(), folder, epochs=2)
                ended = True
            except type(error):
                ended = False
        if ended and count[0] < number:
            break
        left = files(folder)
        assert not [name for name in left if name.endswith(".tmp")]
        for name in left:
            fastnn.Trainer.load(folder / name)
        if any(name.startswith("checkpoint") for name in left):
            same(resume(folder), wanted)
        else:
            assert number <= 3  # at the first file
    assert number > 3


def test_a_full_disk():
    """A limit of the size of files stands for it: an error that names the file, whole files, and a fit that goes on."""
    out = run(
        """
        import tempfile
        from pathlib import Path
        X, y = X[:4000], y[:4000]

        class Grows(fastnn.Callback):
            size = 0
            def on_checkpoint(self, trainer):
                return {"room": np.zeros(self.size)}
            def on_resume(self, trainer, state):
                pass
            def on_epoch_end(self, trainer, logs):
                self.size = 10**6 if trainer.epoch == 3 else 0

        def fit(trainer, *callbacks):
            trainer.fit(X, y, epochs=5, batch_size=100, callbacks=callbacks, verbose=0)
            return trainer

        wanted = fit(fastnn.Trainer(net_of()), Grows())
        with tempfile.TemporaryDirectory() as folder:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))
            try:
                fit(fastnn.Trainer(net_of()), Grows(), fastnn.Checkpoint(folder))
            except OSError as error:
                print(type(error).__name__, error.errno)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(*sorted(each.name for each in Path(folder).iterdir()))
            for each in Path(folder).iterdir():
                fastnn.Trainer.load(each)
            resumed = fastnn.Trainer.resume(folder, X, y, callbacks=[Grows()], verbose=0)
        assert np.array_equal(resumed.net.params.data, wanted.net.params.data)
        assert resumed.history["loss"] == wanted.history["loss"]
        """,
        "native",
    )
    assert out == ["OSError", str(errno.EFBIG), *checkpoint_names(2, 3)]


def test_ctrl_c_while_files_are_written():
    """At any time: the files are whole, no temporary is left, and the fit that is resumed is that without Ctrl-C."""
    run(
        """
        import tempfile
        from pathlib import Path
        X, y = X[:600], y[:600]

        class Slow(fastnn.Callback):
            observes = "step"

        def fit(trainer, *callbacks):
            trainer.fit(X, y, epochs=4, batch_size=100, callbacks=[Slow(), *callbacks], verbose=0)
            return trainer

        def handler(number, frame):
            while frame is not None:
                if frame.f_code.co_name == "_write" and armed:
                    armed.clear()
                    raise KeyboardInterrupt
                frame = frame.f_back

        wanted = fit(fastnn.Trainer(net_of()))
        signal.signal(signal.SIGALRM, handler)
        random = np.random.default_rng(0)
        interrupts, armed = 0, []
        for attempt in range(16):
            with tempfile.TemporaryDirectory() as folder:
                first = float(random.uniform(0.005, 0.12))
                armed.append(1)
                signal.setitimer(signal.ITIMER_REAL, first, 0.0003)
                try:
                    trainer = fit(fastnn.Trainer(net_of()), fastnn.Checkpoint(folder, minutes=1e-9))
                except KeyboardInterrupt:
                    interrupts += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
                armed.clear()
                left = sorted(each.name for each in Path(folder).iterdir())
                for name in left:
                    if not name.endswith(".tmp"):  # one interrupt in a thousand comes before the file is known
                        fastnn.Trainer.load(Path(folder, name))
                if any(name.startswith("checkpoint") for name in left):
                    trainer = fastnn.Trainer.resume(folder, X, y, callbacks=[Slow()], verbose=0)
                    assert not list(Path(folder).glob("*.tmp"))
                    assert np.array_equal(trainer.net.params.data, wanted.net.params.data), attempt
                    assert trainer.history["loss"] == wanted.history["loss"]
        assert interrupts > 5, interrupts
        """,
        "native",
    )


@pytest.mark.parametrize("resumed", [False, True])
def test_temporaries_of_a_killed_process_are_removed(resumed, tmp_path):
    """Those of checkpoints alone: other files in the folder are not ours."""
    mine = [".checkpoint-000002.safete.0123456789ab.tmp", ".best.safetensors.aaaaaaaaaaaa.tmp"]
    others = [".model.safetensors.0123456789ab.tmp", "checkpoint.tmp", "notes.txt", ".checkpoint-1.safetensors.a.tmp"]
    trainer = small()
    if resumed:
        crashed(tmp_path, epoch=2)
    for name in (*mine, *others):
        (tmp_path / name).write_bytes(b"x")
    if resumed:
        resume(tmp_path, [CrashAfter()])
    else:
        fit(trainer, tmp_path)
    left = files(tmp_path)
    assert set(others) <= set(left)
    assert not set(mine) & set(left)


OTHER_FILES = {
    "a part of it": (lambda whole: whole[:40], "40 bytes"),
    "an empty file": (lambda whole: b"", "0 bytes"),
    "no file": (None, "no file"),
    "a file that is no log": (lambda whole: b"dear diary, " * 100, "others"),
    "a row changed": (lambda whole: whole.replace(b"\n1,", b"\n7,"), "others"),
}


@pytest.mark.parametrize(("change", "got"), OTHER_FILES.values(), ids=OTHER_FILES)
@pytest.mark.parametrize("append", [False, True])
def test_a_log_that_was_lost(append, change, got, tmp_path):
    """A clear error, and nothing is written over what is there."""
    log = tmp_path / "log.csv"
    if append:
        fit(small(), callbacks=[fastnn.CSVLog(log)])
    crashed(tmp_path / "files", callbacks=[fastnn.CSVLog(log, append)])
    whole, there = log.read_bytes(), tree(tmp_path / "files")
    log.unlink()
    if change is not None:
        log.write_bytes(change(whole))
    before = tree(tmp_path)
    message = rf"log.csv must have the first \d+ bytes of the log of the fit that is resumed, got {got}: put the file"
    with pytest.raises(ValueError, match=message):
        resume(tmp_path / "files", [fastnn.CSVLog(log, append), CrashAfter()])
    assert tree(tmp_path) == before
    assert tree(tmp_path / "files") == there
    log.write_bytes(whole)
    resumed = resume(tmp_path / "files", [fastnn.CSVLog(log, append), CrashAfter()])
    losses = [float(row.split(",")[1]) for row in log.read_text().splitlines()[1:]]
    assert losses[4 if append else 0 :] == resumed.history["loss"]


def test_a_log_of_a_fit_that_ended_in_its_first_epoch(tmp_path):
    """It had no rows in the checkpoint: a log that is gone begins anew, and a file that is no log stays as it is."""
    log = tmp_path / "log.csv"
    crashed(tmp_path / "files", epoch=1, callbacks=[fastnn.CSVLog(log)])
    assert log.read_text().count("\n") == 2  # the first epoch has not been kept
    files_before = tree(tmp_path / "files")

    def again():
        for path in (tmp_path / "files").iterdir():
            path.unlink()
        for path, content in files_before.items():
            Path(path).write_bytes(content)
        return resume(tmp_path / "files", [fastnn.CSVLog(log), CrashAfter()])

    for prepare in (lambda: None, log.unlink, lambda: log.write_bytes(b"")):
        prepare()
        again()
        assert [row.split(",")[0] for row in log.read_text().splitlines()] == ["epoch", "1", "2", "3", "4"]
    log.write_text("dear diary\n")
    with pytest.raises(ValueError, match=r"log.csv must have the header epoch,.* to be appended to, got 'dear diary'"):
        again()
    assert log.read_text() == "dear diary\n"


def test_a_log_is_not_read_again_for_a_checkpoint(tmp_path, monkeypatch):
    """Its SHA-256 follows what is written; only the end of the file before is read, once."""
    log, read = tmp_path / "log.csv", []
    fit(small(), callbacks=[fastnn.CSVLog(log)])
    original = logs._HashedFile.read_on
    monkeypatch.setattr(logs._HashedFile, "read_on", lambda self, *end: read.append(end) or original(self, *end))
    fit(small(), tmp_path / "files", [fastnn.CSVLog(log, append=True)])
    assert read == [()]
    state = content_of(max((tmp_path / "files").glob("checkpoint-*")))["fit"]["callbacks"][0]["state"]["entries"]
    assert state["bytes"] == log.stat().st_size
    assert state["sha256"] == hashlib.sha256(log.read_bytes()).hexdigest()


def test_fits_in_two_threads(tmp_path):
    wanted, trainers = small(), [small(), small()]
    fit(wanted)
    threads = [
        threading.Thread(target=fit, args=(trainer, tmp_path / str(index))) for index, trainer in enumerate(trainers)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for index, trainer in enumerate(trainers):
        same(trainer, wanted)
        same(resume(tmp_path / str(index)), wanted)


def test_a_fit_within_a_fit(tmp_path):
    """A callback that trains another net, with checkpoints of its own."""

    class Trains(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == 2:
                fit(inner, tmp_path / "inner", epochs=2)

    inner, outer, wanted = small(seed=5), small(), small()
    fit(outer, tmp_path / "outer", [Trains()])
    fit(wanted)
    same(outer, wanted)
    same(resume(tmp_path / "inner"), inner)


def test_the_best_one_is_written_with_the_next_checkpoint(tmp_path, monkeypatch):
    """So that `every` and `minutes` limit how often files are written; after an exception, at the end."""
    written = []
    original = checkpoints.save_checkpoint
    monkeypatch.setattr(
        checkpoints, "save_checkpoint", lambda *given: (written.append(given[2].name), original(*given))
    )

    class Count(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            logs["n"] = trainer.epoch  # each epoch is better

    kept = fastnn.Checkpoint(tmp_path / "a", every=3, monitor="n", mode="max")
    fit(small(), callbacks=[kept, Count()], epochs=7)
    assert written == ["checkpoint-000001.safetensors", *["best.safetensors"] * 3]  # the others are links
    assert figures(tmp_path / "a" / "best.safetensors") == figures(tmp_path / "a" / "checkpoint-000004.safetensors")
    kept = fastnn.Checkpoint(tmp_path / "b", every=9, monitor="n", mode="max")
    with pytest.raises(Crash):
        fit(small(), callbacks=[kept, Count(), CrashAfter(3)])
    assert len(figures(tmp_path / "b" / "best.safetensors")) == 2


def test_the_best_figure_of_an_earlier_fit_is_found_behind_other_callbacks(tmp_path):
    trainer, first = small(), fastnn.Checkpoint(tmp_path)
    fit(trainer, callbacks=[fastnn.TimeLimit(1e6), fastnn.EarlyStopping("loss"), first])
    second = fastnn.Checkpoint(tmp_path)
    trainer.optimizer = optim.SGD(1e-9)
    fit(trainer, callbacks=[second], validation_data=(VALIDATION[0], np.roll(VALIDATION[1], 1)), epochs=1)
    assert second.best == first.best == min(trainer.history["val_loss"][:-1])
    third = fastnn.Checkpoint(tmp_path, monitor="loss")
    fit(trainer, callbacks=[third], epochs=1)
    assert third.best == trainer.history["loss"][-1]


def test_whether_there_are_checkpoints(tmp_path):
    assert not fastnn.Checkpoint.exists(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    assert not fastnn.Checkpoint.exists(tmp_path / "folder")
    with pytest.raises(ValueError, match=r"without any: begin with trainer.fit\(X, y, callbacks="):
        resume(tmp_path / "folder")
    fit(small(), tmp_path / "folder")
    assert fastnn.Checkpoint.exists(str(tmp_path / "folder"))
    with pytest.raises(TypeError, match=r"^path must be a path"):
        fastnn.Checkpoint.exists(3)


def test_long_lists_of_numbers_in_states(tmp_path):
    """They are tensors: as JSON they would soon be more than a reader takes."""
    kept = {}

    class Losses(fastnn.Callback):
        def on_checkpoint(self, trainer):
            return {
                "floats": [0.5, math.nan] * 10**5,
                "ints": list(range(-99, 99)),
                "mixed": [1, 2.0] * 50,
                "short": [1],
            }

        def on_resume(self, trainer, state):
            kept.update(state)

    crashed(tmp_path, callbacks=[Losses()])
    resume(tmp_path, [CrashAfter(), Losses()])
    wanted = Losses().on_checkpoint(None)
    assert np.array_equal(kept.pop("floats"), wanted.pop("floats"), equal_nan=True) and kept == wanted
    assert [type(each) for each in kept["mixed"][:2]] == [int, float] and type(kept["ints"][0]) is int


@pytest.mark.parametrize("loop", [[], {}], ids=["list", "dict"])
def test_a_state_within_itself(loop, tmp_path):
    loop.append(loop) if isinstance(loop, list) else loop.update(a=loop)

    class Loop(fastnn.Callback):
        def on_checkpoint(self, trainer):
            return {"loop": loop}

    with pytest.raises(
        ValueError, match=r"^Loop.on_checkpoint\(\) must be at most 64 lists and dicts deep, got more, or"
    ):
        fit(small(), tmp_path, [Loop()])


def test_a_net_of_a_users_class_is_refused(tmp_path):
    class Mine(nn.Sequential):
        pass

    trainer = fastnn.Trainer(Mine(nn.Dense(6, 3), seed=0))
    with pytest.raises(TypeError, match=r"^trainer.net must be an nn.Sequential, as files contain no classes of yours"):
        trainer.save(tmp_path / "trainer")
    with pytest.raises(TypeError, match=r"^trainer.net must be an nn.Sequential"):
        trainer.fit(np.zeros((4, 6)), [0, 1, 2, 0], callbacks=[fastnn.Checkpoint(tmp_path / "files")], verbose=0)
    assert not list(tmp_path.iterdir())


def test_the_best_one_is_written_before_a_checkpoint_within_the_next_epoch(tmp_path, monkeypatch):
    """As that one says what the best figure is, a resumed fit would not write it any more."""
    due, found = {"yes": False}, []

    class Late(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            due["yes"] = (trainer.epoch, logs["batch"]) == (1, 3)
            if (trainer.epoch, logs["batch"]) == (1, 4):
                found.extend(figures(tmp_path / name) for name in ("best.safetensors", "checkpoint-000002.safetensors"))
                trainer.stop()

    monkeypatch.setattr(fastnn.Checkpoint, "_is_time", lambda self: due["yes"])
    fit(small(), callbacks=[Late(), fastnn.Checkpoint(tmp_path, minutes=9, keep=1)])
    assert len(found) == 2 and found[0] == found[1]
