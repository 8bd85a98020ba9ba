"""Checkpoints that somebody has forged, with valid checksums: refused in words; nothing of them is run or opened."""

import copy
import json

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
    files,
    fit,
    forge,
    kills,
    resume,
    same,
    small,
)
from training_process import run

import fastnn
from fastnn import optim


def entries(part):
    """Return the entries of a saved dict."""
    assert part["kind"] == "dict"
    return part["entries"]


def of_fit(**values):
    """Return a change of the part of the fit."""
    return lambda content, tensors: content["fit"].update(values)


def of_arguments(**values):
    return lambda content, tensors: content["fit"]["arguments"].update(values)


def of_within(**values):
    return lambda content, tensors: content["fit"]["within"].update(values)


def of_span(index, value):
    return lambda content, tensors: content["fit"]["span"].__setitem__(index, value)


def of_start(**values):
    return lambda content, tensors: entries(content["fit"]["within"]["start"]).update(values)


def of_data(name, value):
    return lambda content, tensors: entries(content["fit"]["data"]).update({name: value})


def of_callback(kind, key, value):
    def change(content, tensors):
        found = next(each for each in content["fit"]["callbacks"] if each["class"] == f"fastnn.{kind}")
        if key == "class":
            found["class"] = value
        else:
            part, _, name = key.partition(".")
            entries(found[part])[name] = value

    return change


def drop(*path):
    """Return a change that removes a key."""

    def change(content, tensors):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def tensor(name, change):
    return lambda content, tensors: tensors.update({name: change(tensors[name])})


FINGERPRINT = {"kind": "dict", "entries": {"shape": [1], "dtype": "float32", "sha256": "0"}}
EMPTY = {"kind": "dict", "entries": {}}
RECORD = {"kind": "nn.ReLU"}
START = "fastnn.fit.within.start"

FORGED = {
    # the position
    "ended is negative": (of_fit(ended=-1), "fit.ended must be an integer"),
    "ended beyond the epochs": (of_fit(ended=99), "fit.ended must be an integer from 0 to 4"),
    "ended within the last epoch": (of_fit(ended=4), "fit.ended must be below 4 within an epoch, got 4"),
    "ended is a list": (of_fit(ended=[1]), "fit.ended must be an integer"),
    "done is 0": (
        of_within(done=0),
        "fit.within.done must be an integer of at least 1|fit.within.done must be an integer",
    ),
    "done is the epoch": (
        of_within(done=5),
        "fit.within.done must be a whole number of updates, fewer than the 5 batches of an epoch",
    ),
    "done is beyond the epoch": (of_within(done=10**18), "fit.within.done must be a whole number of updates"),
    "done is huge": (of_within(done=10**40), "fit.within.done must be an integer"),
    "done is within an update": (of_within(done=3), "fit.within.done must be a whole number of updates, .*, got 3"),
    "done is True": (of_within(done=True), "fit.within.done must be an integer"),
    "accumulate is 0": (of_within(accumulate=0), "accumulate must be an integer"),
    "accumulate is huge": (of_within(accumulate=10**40), "accumulate must be an integer"),
    "another accumulate": (of_within(accumulate=3), "fit.within.done must be a whole number of updates"),
    "a loss that is a text": (of_within(loss="1"), "fit.within.loss must be a number"),
    "a weight that is a list": (of_within(weight=[1]), "fit.within.weight must be a number"),
    "a rate that is True": (of_within(rate=True), "fit.within.rate must be a number"),
    "no seconds": (drop("fit", "within", "seconds"), "fit.within must have the keys done, "),
    "within is a list": (of_fit(within=[]), "fit.within must be an object"),
    "stop_requested is 1": (of_fit(stop_requested=1), "fit.stop_requested must be"),
    # the span
    "a span of two": (of_fit(span=[1, 2]), "fit.span must have 4 entries, got 2"),
    "a span that is an object": (of_fit(span={}), "fit.span must be a list"),
    "no epochs in the span": (of_span(0, 0), "fit.span must be an integer"),
    "negative steps in the span": (of_span(1, -5), "fit.span must be an integer"),
    "a negative first epoch": (of_span(2, -5), "fit.span must be an integer"),
    "a fraction in the span": (of_span(3, 0.5), "fit.span must be an integer"),
    "a huge number in the span": (of_span(3, 10**30), "fit.span must be an integer"),
    # the start of the epoch
    "a start of another net": (
        tensor(f"{START}.params.0.weight", np.transpose),
        r"fit.within.start\['params'\]\['0.weight'\] must have shape \(9, 5\)",
    ),
    "a start without a parameter": (
        lambda c, t: (
            entries(entries(c["fit"]["within"]["start"])["params"]).pop("0.weight"),
            t.pop(f"{START}.params.0.weight"),
        ),
        r"fit.within.start\['params'\] must have the keys 0.weight, .*, got no '0.weight'",
    ),
    "a negative variance": (
        tensor(f"{START}.state.1.running_var", np.negative),
        r"fit.within.start\['state'\]\['1.running_var'\] must contain no number be",
    ),
    "a start without parameters": (
        of_start(params=EMPTY),
        r"fit.within.start\['params'\] must have the keys 0.weight, ",
    ),
    "a start that is a record": (of_within(start=RECORD), "fit.within.start must be an object"),
    "a start without counts": (
        of_start(training_steps=None),
        r"fit.within.start\['training_steps'\] must be an integer",
    ),
    "a huge count": (of_start(training_steps=10**25), r"fit.within.start\['training_steps'\] must be an integer"),
    "an average of a trainer without": (
        of_start(average=EMPTY),
        r"fit.within.start\['average'\] must be None, as this trainer",
    ),
    # the arguments
    "no epochs": (of_arguments(epochs=0), "epochs must be an integer"),
    "epochs that are a text": (of_arguments(epochs="4"), "epochs must be an integer"),
    "a negative batch": (of_arguments(batch_size=-1), "batch_size must be an integer"),
    "shuffle": (of_arguments(shuffle="yes"), "shuffle must be"),
    "metrics of an unknown name": (of_arguments(metrics=["os.system"]), "metrics"),
    "a record as augmentation": (of_arguments(augment=[RECORD]), "augment"),
    "an augmentation out of range": (
        of_arguments(augment={"kind": "data.Mixup", "alpha": -1.0}),
        ": alpha must be",
    ),
    "a function as augmentation": (
        of_arguments(augment={"kind": "function", "name": "system"}),
        "fit.arguments.augment must name a function that is passed, got 'sy",
    ),
    "a function with the path of a module": (
        of_arguments(augment={"kind": "function", "name": "os:system"}),
        "must name a function that is passed, got 'os:system'",
    ),
    "an argument more": (of_arguments(path="/tmp/x"), "fit.arguments must have the keys epochs, .* and no others"),
    "other data of the fit": (
        of_data("X", FINGERPRINT),
        r"^X must be that of the fit that is resumed, .* shape \(1,\)",
    ),
    "data of another name": (of_data("path", FINGERPRINT), "^path must be that of the fit that is resumed"),
    "a fingerprint that is a text": (of_data("X", "abc"), r"fit.data\['X'\] must be a mapping, got str"),
    "a fingerprint without a shape": (of_data("X", EMPTY), r"fit.data\['X'\] must have the keys shape, dtype, sha256"),
    "a fingerprint with a number as its shape": (
        of_data("X", {"kind": "dict", "entries": {"shape": 3, "dtype": "f", "sha256": ""}}),
        r"\['shape'\] must be a list",
    ),
    "fingerprints that are a list": (of_fit(data=[]), "fit.data must be a dict"),
    # callbacks
    "a class of the system": (
        of_callback("TimeLimit", "class", "os.system"),
        "callbacks must contain the os.system of the fit, got none",
    ),
    "a class that is none of ours": (
        of_callback("TimeLimit", "class", "fastnn.Trainer"),
        "callbacks must contain the fastnn.Trainer of the fit, got none",
    ),
    "a class that writes files": (
        of_callback("TimeLimit", "class", "fastnn.CSVLog"),
        "callbacks must contain the fastnn.CSVLog of the fit, got none",
    ),
    "a class that is a number": (of_callback("TimeLimit", "class", 3), "fit.callbacks.2.class must be a string"),
    "a setting out of range": (of_callback("TimeLimit", "settings.seconds", -1), "seconds must be"),
    "a setting of another kind": (
        of_callback("EarlyStopping", "settings.patience", "x"),
        "patience must be an integer",
    ),
    "a setting more": (
        of_callback("TimeLimit", "settings.path", "/tmp/x"),
        "the settings of TimeLimit must have the keys seconds and no others",
    ),
    "a path of the Checkpoint": (
        of_callback("Checkpoint", "settings.path", "/tmp/x"),
        "the settings of Checkpoint must have the keys every, .* 'path'",
    ),
    "a checkpoint of every 0 epochs": (of_callback("Checkpoint", "settings.every", 0), "every must be an integer"),
    "two Checkpoints": (
        lambda c, t: c["fit"]["callbacks"].append(copy.deepcopy(c["fit"]["callbacks"][-1])),
        "callbacks must have one Checkpoint",
    ),
    "callbacks that are an object": (of_fit(callbacks={}), "fit.callbacks must be a list"),
    "a callback that is a text": (of_fit(callbacks=["x"]), "fit.callbacks.0 must be an object"),
    "a callback without a state": (
        drop("fit", "callbacks", 0, "state"),
        "fit.callbacks.0 must have the keys class, settings",
    ),
    "settings that are a list": (
        lambda c, t: c["fit"]["callbacks"][2].update(settings=[]),
        "fit.callbacks.2 must have dicts",
    ),
    "a state without a key": (
        lambda c, t: entries(c["fit"]["callbacks"][1]["state"]).pop("best"),
        "the state of ReduceLROnPlateau must have the keys",
    ),
    "a state with another key": (
        of_callback("TimeLimit", "state.path", "x"),
        "the state of TimeLimit must have the keys seconds_left and no others",
    ),
    "time that is a text": (of_callback("TimeLimit", "state.seconds_left", "x"), "seconds_left must be a number"),
    "a best figure that is a list": (of_callback("Checkpoint", "state.best", []), "best must be a number"),
    "a best epoch before the first": (
        of_callback("EarlyStopping", "state.best_epoch", -2),
        "best_epoch must be an integer",
    ),
    "epochs waited": (of_callback("EarlyStopping", "state.epochs_waited", 1.5), "epochs_waited must be an integer"),
    "best values of another net": (
        tensor("fastnn.fit.callbacks.0.state.values.params.0.weight", np.transpose),
        r"values\['params'\]\['0.weight'\] must have",
    ),
    "best values that are none": (
        of_callback("EarlyStopping", "state.values", RECORD),
        "values must be a mapping|no other t",
    ),
    "a negative cooldown": (
        of_callback("ReduceLROnPlateau", "state.cooldown_left", -1),
        "cooldown_left must be an integer",
    ),
    # all of it
    "no fit": (drop("fit"), "the content must have the keys net, "),
    "a fit that is a text": (lambda c, t: c.update(fit="x"), "fit must be an object"),
    "a tensor more": (lambda c, t: t.update({"fastnn.fit.x": np.ones(1)}), "must have no other tensors"),
    "a tensor of another name": (
        of_within(loss={"kind": "tensor", "name": "0.weight"}),
        r"name must begin with 'fastnn\.', got '0.weight'",
    ),
    "an unknown kind": (of_within(loss={"kind": "builtins.open", "file": "x"}), "kind must be one of fastnn's"),
}


@pytest.fixture(scope="module")
def within(tmp_path_factory):
    """A folder with a checkpoint of a place within an epoch, between two updates of two batches."""
    folder = tmp_path_factory.mktemp("within")
    with pytest.MonkeyPatch.context() as patch:
        crash_in_write(patch, 6)
        with pytest.raises(Crash):
            fit(small(accumulate=2), callbacks=[*builtin(), fastnn.Checkpoint(folder, minutes=1e-9, keep=1)])
    part = content_of(next(folder.glob("checkpoint-*")))["fit"]
    assert (part["ended"], part["within"]["done"]) == (1, 4)
    return folder


def builtin():
    return [
        fastnn.EarlyStopping("loss"), fastnn.ReduceLROnPlateau("loss"), fastnn.TimeLimit(1000.0), kills.Slow(),
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FORGED.values(), ids=FORGED)
def test_forged_checkpoints_are_refused(change, message, within, tmp_path):
    """By a message of ours, before anything is trained; the folder stays as it is."""
    target = tmp_path / "checkpoint-000001.safetensors"
    forge(next(within.glob("checkpoint-*")), change, target)
    before = target.read_bytes()
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        resume(target, [kills.Slow()])
    assert " must " in str(caught.value)
    assert files(tmp_path) == [target.name]
    assert target.read_bytes() == before


def test_a_forged_file_of_the_same_content_is_resumed(within, tmp_path):
    """So the refusals above are those of the changes."""
    target = tmp_path / "checkpoint-000001.safetensors"
    forge(next(within.glob("checkpoint-*")), lambda content, tensors: None, target)
    wanted = small(accumulate=2)
    fit(wanted)
    same(resume(target, [kills.Slow()]), wanted)


STRANGE = (None, True, -1, 0, 10**30, 1e308, "x", "", [], [1], {}, {"kind": "float", "value": "nan"}, RECORD, EMPTY)


def places(value, path=()):
    """Yield the paths to all values in a part of the content."""
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(each, (*path, key))


@pytest.mark.slow
def test_strange_values_anywhere_never_crash(within, tmp_path):
    """A value of each kind in each place of the content: an error in our words, or a fit that ends."""
    original = next(within.glob("checkpoint-*"))
    content = content_of(original)
    found = [("fit", *path) for path in places(content["fit"]) if path]
    found += [path for path in places({key: content[key] for key in ("settings", "state", "run")}) if path]
    rng = np.random.default_rng(0)
    target, refused, strangest = tmp_path / "checkpoint-000001.safetensors", 0, []
    assert len(found) > 250
    for path in 2 * found:
        strange = STRANGE[int(rng.integers(len(STRANGE)))]

        def change(content, tensors, path=path, strange=strange):
            for key in path[:-1]:
                content = content[key]
            content[path[-1]] = strange

        forge(original, change, target)
        try:
            resume(target, [kills.Slow(), Soon()])
        except (TypeError, ValueError) as error:
            refused += 1
            strangest += [] if " must " in str(error) else [(path, strange, error)]
        except fastnn.TrainingDiverged:
            pass
        for each in tmp_path.glob("*"):
            if each != target:
                each.unlink()
    assert strangest == []
    assert refused > len(found)


class Soon(fastnn.Callback):
    """Ends a fit of a billion epochs."""

    def on_epoch_end(self, trainer, logs):
        if trainer.epoch > 6:
            trainer.stop()


def test_what_a_file_says_chooses_no_file(tmp_path):
    """No path is in a file, whatever callbacks the fit had; a folder that was moved is resumed where it is."""
    log = fastnn.CSVLog(tmp_path / "secret" / "log.csv")
    (tmp_path / "secret").mkdir()
    crashed(tmp_path / "secret" / "files", callbacks=[log, fastnn.EarlyStopping()])
    for path in (tmp_path / "secret" / "files").iterdir():
        assert b"secret" not in path.read_bytes()
        assert str(tmp_path) not in json.dumps(content_of(path))
    (tmp_path / "secret").rename(tmp_path / "moved")
    resume(tmp_path / "moved" / "files", [fastnn.CSVLog(tmp_path / "moved" / "log.csv"), CrashAfter()])
    assert files(tmp_path) == ["moved"]
    assert (tmp_path / "moved" / "log.csv").read_text().count("\n") == 5


def test_memory_of_loading():
    """At most three times the file and 32 MiB, for a checkpoint within an epoch of a net with an average."""
    out = run(
        """
        import tempfile
        from pathlib import Path

        class Crash(BaseException):
            pass

        class Once(fastnn.Callback):
            observes = "step"
            def on_batch_end(self, trainer, logs):
                if armed and logs["batch"] == 2:
                    raise Crash

        armed = [1]
        X, y = np.random.default_rng(0).random((64, 1500), np.float32), np.arange(64) % 4
        def fit(folder):
            net = nn.Sequential(nn.Dense(1500, 2000), nn.BatchNorm(2000), nn.ReLU(), nn.Dense(2000, 4), seed=0)
            trainer = fastnn.Trainer(net, optimizer="adam", average="ema")
            try:
                callbacks = [Once(), fastnn.Checkpoint(folder, minutes=1e-9)]
                trainer.fit(X, y, epochs=1, batch_size=16, callbacks=callbacks, verbose=0)
            except Crash:
                pass

        with tempfile.TemporaryDirectory() as folder:
            child = os.fork()
            if child == 0:
                fit(folder)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            path = max(Path(folder).glob("checkpoint-*"))
            import hashlib, json
            with fastnn.num_threads(1):
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                trainer = fastnn.Trainer.load(path)
                after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(path.stat().st_size, (after - before) * 1024)
        """,
        "native",
    )
    size, more = map(int, out)
    assert size > 50e6
    assert more < 3 * size + 32 * 2**20


def test_memory_of_resuming():
    """What `resume` reads, before the fit begins."""
    out = run(
        """
        import tempfile
        from pathlib import Path
        from fastnn.training import checkpoints

        class Stop(BaseException):
            pass

        X, y = np.random.default_rng(0).random((64, 1500), np.float32), np.arange(64) % 4
        with tempfile.TemporaryDirectory() as folder:
            child = os.fork()
            if child == 0:
                net = nn.Sequential(nn.Dense(1500, 2000), nn.ReLU(), nn.Dense(2000, 4), seed=0)
                stopping = fastnn.EarlyStopping("loss")
                fastnn.Trainer(net, optimizer="adam").fit(
                    X, y, epochs=2, callbacks=[stopping, fastnn.Checkpoint(folder)], verbose=0
                )
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            def run_fit(*arguments):
                raise Stop
            checkpoints.run_fit = run_fit
            path = max(Path(folder).glob("checkpoint-*"))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                fastnn.Trainer.resume(path, X, y)
            except Stop:
                after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(path.stat().st_size, (after - before) * 1024)
        """,
        "native",
    )
    size, more = map(int, out)
    assert size > 45e6
    assert more < 3 * size + 32 * 2**20


def test_an_average_at_the_start_of_the_epoch(tmp_path, monkeypatch):
    """It must be that of the trainer."""
    crash_in_write(monkeypatch, 3)
    with pytest.raises(Crash):
        fit(small(average=optim.EMA(0.5)), callbacks=[kills.Slow(), fastnn.Checkpoint(tmp_path, minutes=1e-9)])
    path = max(tmp_path.glob("checkpoint-*"))
    forge(path, lambda c, t: entries(entries(c["fit"]["within"]["start"])["average"]).update(kind="swa"))
    with pytest.raises(
        ValueError, match=r": fit.within.start\['average'\]\['kind'\] must be 'ema', as in this trainer, got 'swa'"
    ):
        fastnn.Trainer.resume(path, X, Y, VALIDATION, [kills.Slow()])
