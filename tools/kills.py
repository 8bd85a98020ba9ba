"""Do checkpoints survive ``kill -9``? Kill fits at random times, resume them, and compare with fits that ran through.

    python tools/kills.py --kills 300 --seed 1         # checkpoints after epochs and within epochs, in turn
    python tools/kills.py --kills 300 --minutes-mode   # only within epochs

Each trial trains one of the `CONFIGURATIONS` in a process of its own, which is killed at a time that is uniform over
the length of the fit, also while a file is being written. `Trainer.resume` goes on in a new process, which may be
killed again. After each kill every file in the folder must load. At the end weights, running statistics, slots,
counters, averages, history, the CSV file and the states of callbacks must have the bytes of a fit that was never
killed; the history and the CSV file without their seconds. The exit status is 1 if anything differs.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import data, nn, optim
from fastnn.io._content import ContentReader
from fastnn.io._tensors import TensorFile
from fastnn.training import _steps

TIMEOUT = 120  # seconds that a process may take
MOST_KILLS = 3  # of one fit
AGAIN = 0.4  # how likely a resumed fit is killed again
REPORT = 25  # kills between two lines
FILES = ("checkpoint-*.safetensors", "best.safetensors")
BEGINS = "begins"  # the line that a child writes when everything is imported

# ---- what is trained ----

RNG = np.random.default_rng(0)
ROWS, COLUMNS, CLASSES = 224, 12, 3
ALL = RNG.normal(size=(ROWS + 48, COLUMNS)).astype(np.float32)
LABELS = (ALL[:, :CLASSES] + 0.5 * RNG.normal(size=(ROWS + 48, CLASSES))).argmax(axis=1)
X, Y, VALIDATION = ALL[:ROWS], LABELS[:ROWS], (ALL[ROWS:], LABELS[ROWS:])
NUMBERS = X[:, :2] - X[:, 2:4] ** 2  # targets of a regression
IDS = np.hstack([RNG.integers(0, 40, (ROWS, 2)), X[:, :4]]).astype(np.float32)  # two columns that embeddings read
EPOCHS, BATCH = 12, 32


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one configuration trains.

    Attributes
    ----------
    trainer : Trainer
    x, y, validation, sample_weight
        The data.
    settings : dict
        Further arguments of `fit`.
    callbacks : list of Callback
        In the order of the fit; a `Checkpoint` follows them.
    log : bool
        Whether the fit has a `CSVLog`, too.
    functions : mapping of str to callable
        What `Trainer.resume` needs.
    """

    trainer: fastnn.Trainer
    x: Any = field(default_factory=lambda: X)
    y: Any = field(default_factory=lambda: Y)
    validation: Any = VALIDATION
    sample_weight: Any = None
    settings: dict[str, Any] = field(default_factory=dict)
    callbacks: list[fastnn.Callback] = field(default_factory=list)
    log: bool = False
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def net_of(*, outputs: int = CLASSES, dtype: str = "float32") -> nn.Sequential:
    """Return a net of which every part has a state: running statistics, dropout's count of steps, a scaler."""
    layers = nn.Dense(COLUMNS, 48, bias=False), nn.BatchNorm(48), nn.ReLU(), nn.Dropout(0.2), nn.Dense(48, outputs)
    net = nn.Sequential(*layers, dtype=dtype, seed=7)
    net.scaler = data.Scaler.fit(X)
    return net


def noise(x: Any, rng: np.random.Generator) -> Any:
    """Augment a batch."""
    return x + 0.05 * rng.normal(size=x.shape)


def squares(z: Any, t: Any) -> Any:
    """Return the loss of each row, for a `CustomLoss`."""
    return ((z - t) ** 2).sum(axis=1)


def slopes(z: Any, t: Any) -> Any:
    """Return the gradient of `squares`."""
    return 2 * (z - t)


def falling(epoch: int) -> float:
    """Return a factor of the learning rate."""
    return 1 / (1 + 0.3 * epoch)


def worst(y: Any, output: Any) -> float:
    """Return a metric."""
    return float(np.abs(output).max() + y[0])


class Thaw(fastnn.Callback):
    """Thaws the first layers in the fourth epoch."""

    def on_epoch_begin(self, trainer: Any) -> None:
        if trainer.epoch == 3:
            trainer.net.unfreeze("0.*", "1.*")


class Recorder(fastnn.Callback):
    """A callback with a state of its own that changes in every step, and adds a figure to the history."""

    observes = "step"

    def __init__(self) -> None:
        self.total, self.steps, self.losses = 0.0, 0, np.zeros(5)

    def on_batch_end(self, trainer: Any, logs: Mapping[str, float]) -> None:
        self.steps += 1
        self.total += logs["batch_loss"]
        self.losses[self.steps % 5] = logs["batch_loss"]
        if self.steps % 9 == 0:
            trainer.lr *= 0.95

    def on_epoch_end(self, trainer: Any, logs: Any) -> None:
        logs["recorded"] = self.total

    def on_checkpoint(self, trainer: Any) -> dict[str, Any]:
        return {"total": self.total, "steps": self.steps, "of": {"losses": self.losses.copy()}}

    def on_resume(self, trainer: Any, state: Mapping[str, Any]) -> None:
        self.total, self.steps, self.losses = state["total"], state["steps"], state["of"]["losses"]


class Slow(fastnn.Callback):
    """Comes up after every step, so that checkpoints within epochs are written between any two steps."""

    observes = "step"


def adam() -> Fit:
    return Fit(trainer=fastnn.Trainer(net_of(), optimizer=optim.Adam(0.01), metrics=["balanced_accuracy"]))


def momentum() -> Fit:
    optimizer = optim.SGD(0.1, momentum=0.9, nesterov=True)
    return Fit(trainer=fastnn.Trainer(net_of(), optimizer=optimizer, schedule="OneCycleLR", accumulate=3))


def averaged() -> Fit:
    trainer = fastnn.Trainer(net_of(), optimizer=optim.Adam(0.03), average=optim.EMA(0.7))
    stopping = fastnn.EarlyStopping(patience=3, restore_best=True)
    plateau = fastnn.ReduceLROnPlateau("loss", factor=0.7, patience=2, threshold=0.2, cooldown=1)
    return Fit(trainer=trainer, callbacks=[stopping, plateau], log=True)


def stochastic_average() -> Fit:
    trainer = fastnn.Trainer(net_of(), optimizer=optim.SGD(0.2), average=optim.SWA(start=3))
    return Fit(trainer=trainer, callbacks=[fastnn.EarlyStopping("val_accuracy", patience=5)])


def augmented() -> Fit:
    soft = np.full((ROWS, CLASSES), 0.1)
    soft[np.arange(ROWS), Y] = 0.8
    trainer = fastnn.Trainer(net_of(), optimizer=optim.Adam(0.01))
    validation = VALIDATION[0], np.eye(CLASSES)[VALIDATION[1]]
    settings = {"augment": [noise, data.Mixup(0.4), "feature_dropout"]}
    return Fit(trainer=trainer, y=soft, validation=validation, settings=settings, functions={"noise": noise})


def embeddings() -> Fit:
    tables = [nn.Columns([i], nn.Embedding(40, 6, sparse=True)) for i in range(2)]
    inputs = nn.Parallel(*tables, nn.Columns(range(2, 6)))
    net = nn.Sequential(inputs, nn.Dense(16, 24), "tanh", nn.Dense(24, CLASSES), seed=7)
    return Fit(trainer=fastnn.Trainer(net, optimizer=optim.Adam(0.02)), x=IDS, validation=(IDS[:50], Y[:50]))


def heads() -> Fit:
    loss = nn.HeadsLoss((("cross_entropy", CLASSES, 1.0), ("mse", 2, 0.3)))
    y = np.hstack([Y[:, None], NUMBERS])
    trainer = fastnn.Trainer(net_of(outputs=CLASSES + 2), loss, optim.Adam(0.01))
    return Fit(trainer=trainer, y=y, validation=(X[:40], y[:40]))


def functions() -> Fit:
    loss = nn.CustomLoss(squares, slopes)
    trainer = fastnn.Trainer(net_of(outputs=2), loss, optim.NAdam(0.01), schedule=falling, metrics=["r2"])
    named = {each.__name__: each for each in (squares, slopes, falling)}
    return Fit(trainer=trainer, y=NUMBERS, validation=(X[:40], NUMBERS[:40]), functions=named)


def thawed() -> Fit:
    net = net_of()
    net.freeze("0.*", "1.*")
    return Fit(trainer=fastnn.Trainer(net, optimizer=optim.AdamW(0.02)), callbacks=[Thaw()])


def double() -> Fit:
    optimizer = optim.RMSprop(0.003, centered=True, momentum=0.5)
    return Fit(trainer=fastnn.Trainer(net_of(dtype="float64"), optimizer=optimizer), x=X.astype(float))


def weighted() -> Fit:
    loss = nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.5], label_smoothing=0.1)
    trainer = fastnn.Trainer(net_of(), loss, optim.Adagrad(0.05), metrics={"worst": worst})
    settings = {"train_metrics": True, "shuffle": False}
    weight = np.linspace(0, 2, ROWS)
    return Fit(trainer=trainer, sample_weight=weight, settings=settings, functions={"worst": worst})


def clipped() -> Fit:
    groups = [optim.NO_DECAY, optim.Group("4.*", lr_scale=0.5)]
    optimizer = optim.AdamW(0.02, weight_decay=0.1, amsgrad=True, groups=groups)
    penalty = optim.Penalty(l1=1e-3, l2=1e-2)
    return Fit(trainer=fastnn.Trainer(net_of(), optimizer=optimizer, clip_norm=0.5, clip_value=0.1, penalty=penalty))


def recorded() -> Fit:
    callbacks = [Recorder(), fastnn.TimeLimit(1000.0)]
    return Fit(trainer=fastnn.Trainer(net_of(), optimizer=optim.Adam(0.01)), callbacks=callbacks, log=True)


def wide() -> Fit:
    """Weights lie in panels within an epoch: the net is wide enough, an epoch long enough, and nobody looks."""
    _steps.SLICE_SECONDS = 0.005  # so that checkpoints are written within short epochs, too
    layers = nn.Dense(COLUMNS, 600), nn.ReLU(), nn.Dense(600, 400), nn.ReLU(), nn.Dense(400, CLASSES)
    net = nn.Sequential(*layers, seed=7)
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(0.001, momentum=0.9), average=optim.EMA(0.9))
    return Fit(trainer=trainer, settings={"batch_size": 1, "epochs": 4})


CONFIGURATIONS: Mapping[str, Callable[[], Fit]] = {
    "Adam, batch norm, dropout, scaler": adam,
    "momentum, one cycle, accumulation": momentum,
    "EMA, early stopping, plateau, CSV": averaged,
    "SWA": stochastic_average,
    "augmentation, soft targets": augmented,
    "embeddings, sparse updates": embeddings,
    "heads": heads,
    "custom loss, schedule, metric": functions,
    "thawed in an epoch": thawed,
    "float64": double,
    "weights of rows and classes": weighted,
    "clipped, penalty, groups": clipped,
    "a callback with a state": recorded,
    "weights in panels": wide,
}

# ---- a child: one fit, or the rest of one ----


def settings_of(within: bool) -> dict[str, Any]:
    """Return the settings of the `Checkpoint`: one in every epoch, or one after every step that it is asked for."""
    return {"minutes": 1e-9, "keep": 3} if within else {"every": 1}


def train(name: str, folder: Path, within: bool, checkpoints: bool = True) -> dict[str, str]:
    """Fit in a folder that is empty, or resume the fit there; return `values_of` the end."""
    fit = CONFIGURATIONS[name]()
    trainer, callbacks = fit.trainer, [*fit.callbacks, *([fastnn.CSVLog(folder / "log.csv")] if fit.log else [])]
    if within and fit.trainer.net.params.data.size < 10**5:  # nobody may look at weights in panels
        callbacks.append(Slow())
    print(BEGINS, flush=True)
    if any(folder.glob(f"files/{FILES[0]}")):
        named: Any = fit.functions
        with warnings.catch_warnings():  # warnings are errors here
            # the process may have been killed when early stopping had ended the fit already
            warnings.filterwarnings("ignore", "the fit was stopped after")
            trainer = fastnn.Trainer.resume(
                folder / "files", fit.x, fit.y, fit.validation, callbacks, sample_weight=fit.sample_weight, **named
            )
    else:
        last = [fastnn.Checkpoint(folder / "files", **settings_of(within))] if checkpoints else []
        settings = {"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0, **fit.settings}
        trainer.fit(
            fit.x,
            fit.y,
            validation_data=fit.validation,
            sample_weight=fit.sample_weight,
            callbacks=[*callbacks, *last],
            **settings,
        )
    return dict(values_of(trainer, callbacks, folder))


def both(name: str, folder: Path, within: bool) -> tuple[dict[str, str], dict[str, str], float]:
    """Fit without checkpoints, then with them; return the values of both, and how long the second one took."""
    (folder / "plain").mkdir()
    plain = train(name, folder / "plain", within, checkpoints=False)
    begin = time.perf_counter()
    return plain, train(name, folder, within), time.perf_counter() - begin


def values_of(trainer: fastnn.Trainer, callbacks: Sequence[fastnn.Callback], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield names and exact texts of everything that a fit leaves, besides its seconds."""
    state = trainer.state_dict()
    state["history"] = without_seconds(state["history"])
    yield from leaves("trainer", state)
    yield from leaves("net", trainer.net.state_dict())
    yield from leaves("net", {"steps": trainer.net.training_steps, "frozen": list(trainer.net.frozen)})
    if trainer.average is not None:
        yield from leaves("averaged", trainer.averaged.state_dict())
    yield "settings", repr(trainer)
    for index, each in enumerate(callbacks):
        kept = {key: value for key, value in vars(each).items() if key not in ("path", "_end", "_file")}
        yield from leaves(f"callbacks.{index}", kept)
    for path in folder.glob("*.csv"):
        yield path.name, "\n".join(csv_without_seconds(path.read_text().splitlines()))


def leaves(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the names and the exact texts of what dicts and lists contain."""
    if isinstance(value, Mapping):
        yield where, ",".join(map(str, value))
        for key, each in value.items():
            yield from leaves(f"{where}.{key}", each)
    elif isinstance(value, list | tuple):
        yield where, str(len(value))
        for index, each in enumerate(value):
            yield from leaves(f"{where}.{index}", each)
    elif isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        yield where, f"{value.dtype} {value.shape} {digest}"
    else:
        yield where, float(value).hex() if isinstance(value, float) else repr(value)


def without_seconds(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in epochs]


def csv_without_seconds(lines: Sequence[str]) -> Iterator[str]:
    place = lines[0].split(",").index("seconds")
    for line in lines:
        cells = line.split(",")
        yield ",".join(cells[:place] + cells[place + 1 :])


# ---- the parent ----


@dataclass
class Summary:
    """What has been counted, and what went wrong."""

    kills: int = 0
    while_writing: int = 0  # a temporary was left
    within_epochs: int = 0  # the newest checkpoint is of a place within an epoch
    before_the_first: int = 0  # there was no checkpoint yet
    files: int = 0  # that were loaded after kills
    resumes: int = 0
    fits: int = 0  # that ended, after one kill or more
    mismatches: list[str] = field(default_factory=list)
    not_loaded: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.mismatches or self.not_loaded)

    def line(self) -> str:
        counts = [
            f"{item.name.replace('_', ' ')} {value if isinstance(value, int) else len(value)}"
            for item in dataclasses.fields(self)
            for value in [getattr(self, item.name)]
        ]
        return ", ".join(counts)

    def table(self) -> str:
        rows = [(item.name.replace("_", " "), getattr(self, item.name)) for item in dataclasses.fields(self)]
        lines = [f"{name:18}{value if isinstance(value, int) else len(value):6}" for name, value in rows]
        return "\n".join([*lines, *self.mismatches, *self.not_loaded])


@dataclass(frozen=True)
class Reference:
    """A fit that was never killed: its values, its best checkpoint, and how long it took."""

    values: Mapping[str, str]
    best: Mapping[str, str]
    seconds: float


def start(name: str, folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Start a child, and return when its fit begins."""
    command = [sys.executable, "-W", "error", __file__, "--child", name, "--folder", str(folder), *options]
    environment = os.environ | {"FASTNN_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def ended(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for a child; return its status, its last line and its errors."""
    try:
        out, errors = child.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        out, errors = child.communicate()
        errors += f"\nit took more than {TIMEOUT} s"
    return child.returncode, out.rpartition(f"{BEGINS}\n")[2], errors


def reference(name: str, within: bool) -> Reference:
    """Train without a kill, once without checkpoints and once with them: both must give the same."""
    with tempfile.TemporaryDirectory() as folder:
        status, out, errors = ended(start(name, Path(folder), "--reference", *(["--within"] if within else [])))
        if status:
            raise SystemExit(f"{name}: {errors}")
        plain, values, seconds = json.loads(out)
        if different := differences(plain, values):
            raise SystemExit(f"{name}: checkpoints change {different}")
        return Reference(values, best_of(name, Path(folder)), seconds)


def best_of(name: str, folder: Path) -> dict[str, str]:
    """Return what the best checkpoint has of net and history."""
    trainer = loaded(name, folder / "files" / FILES[1])
    state = {"net": trainer.net.state_dict(), "history": without_seconds(trainer.state_dict()["history"])}
    return dict(leaves("best", state))


def loaded(name: str, path: Path) -> fastnn.Trainer:
    named: Any = CONFIGURATIONS[name]().functions
    return fastnn.Trainer.load(path, **named)


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the first few names of what differs, "" if nothing does."""
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return ", ".join(keys[:8])


def inspect(name: str, folder: Path, summary: Summary, killed: str) -> None:
    """Load every file in the folder of a fit that was killed."""
    paths = [path for pattern in FILES for path in folder.glob(f"files/{pattern}")]
    summary.while_writing += any(folder.glob("files/.*.tmp"))
    for path in paths:
        summary.files += 1
        try:
            loaded(name, path)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this tool looks for
            summary.not_loaded.append(f"{killed}: {path.name}: {error!r}")
    newest = max((path for path in paths if path.name != FILES[1]), default=None)
    if newest is None:
        summary.before_the_first += 1
        return
    try:
        with TensorFile(newest) as file:
            summary.within_epochs += ContentReader(file, {}).content["fit"]["within"] is not None
    except (ValueError, KeyError) as error:
        summary.not_loaded.append(f"{killed}: {newest.name}: {error!r}")


def trial(name: str, within: bool, wanted: Reference, rng: np.random.Generator, summary: Summary, most: int) -> None:
    """Kill a fit at least once, resume it until it ends, and compare."""
    options = ["--within"] if within else []
    title = f"{name}{', within epochs' if within else ''}"
    kills = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder, resumed = Path(temporary), False
        while True:
            child = start(name, folder, *options)
            summary.resumes += resumed
            if kills < most and (kills == 0 or rng.random() < AGAIN):
                time.sleep(rng.uniform(0, wanted.seconds * (1 if kills == 0 else 0.6)))
                child.kill()
            status, out, errors = ended(child)
            if status != -signal.SIGKILL:
                break
            kills += 1
            summary.kills += 1
            inspect(name, folder, summary, f"{title}, kill {summary.kills}")
            resumed = any(folder.glob(f"files/{FILES[0]}"))
        if not kills:
            return
        summary.fits += 1
        where = f"{title}, after kill {summary.kills}"
        if status:
            summary.mismatches.append(f"{where}: {errors}")
            return
        if different := differences(wanted.values, json.loads(out)):
            summary.mismatches.append(f"{where}: {different}")
        try:
            if different := differences(wanted.best, best_of(name, folder)):
                summary.mismatches.append(f"{where}: {different}")
        except Exception as error:  # noqa: BLE001 - as above
            summary.not_loaded.append(f"{where}: {FILES[1]}: {error!r}")


def run(kills: int, seed: int, *, minutes_mode: bool = False, names: Sequence[str] = tuple(CONFIGURATIONS)) -> Summary:
    """Kill so many times, over the configurations in turn, and return what was found."""
    rng, summary, references = np.random.default_rng(seed), Summary(), dict[tuple[str, bool], Reference]()
    turn, reported = 0, 0
    while summary.kills < kills:
        name, within = names[turn % len(names)], minutes_mode or (turn + turn // len(names)) % 2 == 1
        turn += 1
        if (name, within) not in references:
            references[name, within] = reference(name, within)
        trial(name, within, references[name, within], rng, summary, min(MOST_KILLS, kills - summary.kills))
        if summary.kills // REPORT > reported:
            reported = summary.kills // REPORT
            print(summary.line(), flush=True)
    return summary


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes-mode", action="store_true", help="only checkpoints within epochs")
    parser.add_argument("--child", choices=CONFIGURATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        fits = both if given.reference else train
        print(json.dumps(fits(given.child, given.folder, given.within)), flush=True)
        return 0
    begin = time.perf_counter()
    summary = run(given.kills, given.seed, minutes_mode=given.minutes_mode)
    print(summary.table())
    print(f"{time.perf_counter() - begin:.0f} s")
    return int(summary.failed)


if __name__ == "__main__":
    sys.exit(main())
