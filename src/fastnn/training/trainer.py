"""The trainer: epochs of native steps, and what happens between them."""

from __future__ import annotations

import contextlib
import math
import numbers
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from fastnn import _config, kernels
from fastnn import _validation as v
from fastnn._settings import FixedAttributes
from fastnn._typing import Array
from fastnn.engine import Counter, Executor, Feed, Update, aligned_zeros, make_executor, read_only
from fastnn.nn import BatchNorm, Dense, Loss, Sequential
from fastnn.nn.losses import as_loss
from fastnn.optim import Adam, FullBatch, LambdaLR, Optimizer, Penalty, Schedule
from fastnn.training.callbacks import Callback, ProgressBar, has_tqdm, observes_steps, on_terminal
from fastnn.training.diverged import TrainingDiverged, first_nonfinite
from fastnn.training.examples import Examples, check_examples
from fastnn.training.full_batch import Objective, check_full_batch
from fastnn.training.history import History
from fastnn.training.state import check_state, slots_by_name

__all__ = ["Metric", "Trainer"]

Metric = Callable[[Array, Array], float]  # takes targets and the net's output, all rows at once

SLICE_SECONDS = 0.05  # native time between two looks at signals and callbacks
SLICE_STEPS = 4096  # most steps whose scalars are computed together
BLOCK_STEPS = 64  # least ones: those of a few alone take as long
ORDER_STREAM = 0  # of the random numbers; layers have the others
EVALUATE_ELEMENTS = 1 << 18  # outputs that an evaluation holds at a time


class Trainer(FixedAttributes):
    """Trains a net.

    Loss, optimiser, schedule, penalty, limits and rate may be set at any time, in a callback too, and act from the next
    step. A new optimiser brings its rate; where its kind is another, its arrays and its count of steps begin anew,
    while the schedule goes on counting.

    Parameters
    ----------
    net : Sequential
    loss : str or Loss, default "cross_entropy"
        One of `fastnn.nn`'s losses, or the name of one with its default settings: "cross_entropy",
        "binary_cross_entropy", "log_loss", "mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "poisson",
        "quantile", "hinge", "squared_hinge" or "multi_margin". All take the net's output as it is: the first three as
        logits.
    optimizer : Optimizer or FullBatch, default ``Adam(lr=1e-3)``
        What steps batch by batch, or one of `LBFGS` and `Newton`, which see all rows at once: an iteration of theirs is
        an epoch.
    schedule : Schedule or callable, optional
        What the learning rate does over time: one of `fastnn.optim`'s schedules, or a function of the epoch (from 0)
        whose result multiplies it.
    penalty : Penalty, optional
        Of large weights, in the gradient and in the loss reported by `fit`.
    clip_value, clip_norm : float, optional
        Above 0. No entry of a gradient is larger than the first, and the norm of all gradients together no larger than
        the second: they are multiplied by ``min(1, clip_norm / (norm + 1e-6))``, as PyTorch does. First the penalty is
        added, then values are clipped, then the norm; the optimiser's own weight decay comes after. Clipping by norm
        needs all gradients before the first update, which costs the fusion of the two.

    Attributes
    ----------
    history : History
        Of all fits.
    epoch : int
        Epochs trained so far.
    step_count : int
        Updates so far since the optimiser was new.
    schedule_step : int
        Updates that the schedule has counted.
    loss, optimizer, schedule, penalty, clip_value, clip_norm
        As above; they may be set.
    lr : float
        The learning rate before the schedule; it may be set.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind, or the loss not known.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> net = nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 2), seed=0)
    >>> trainer = fastnn.Trainer(net, loss="cross_entropy", optimizer=optim.Adam(lr=1e-2))
    >>> history = trainer.fit(X, y, epochs=20, batch_size=20, verbose=0)
    >>> history["loss"][-1] < 0.2
    True
    >>> trainer.evaluate(X, y)["accuracy"] > 0.95
    True
    """

    def __init__(
        self,
        net: Sequential,
        loss: str | Loss = "cross_entropy",
        optimizer: Optimizer | FullBatch = Adam(lr=1e-3),  # noqa: B008 - it is frozen
        schedule: Schedule | Callable[[int], float] | None = None,
        penalty: Penalty | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        if not isinstance(net, Sequential):
            v.refuse(TypeError, "net", "be a Sequential", type(net).__name__)
        self.__dict__.update(net=net, history=History())
        self._step_counter, self._epoch_counter = Counter(), Counter()
        self._schedule_start = 0  # what the schedule had counted when the optimiser was new
        self._stop = self._minimizing = False
        self._slots: tuple[Array, ...] | None = None
        self._loss = as_loss(loss, net.out_features)
        self._schedule = _check_schedule(schedule)
        self._penalty = _check_penalty(penalty)
        self._clip_value, self._clip_norm = _check_limit("clip_value", clip_value), _check_limit("clip_norm", clip_norm)
        self._optimizer, self._groups = self._check_optimizer(optimizer)
        self._lr = self._optimizer.lr
        self._forget_executors()

    net: Sequential
    history: History

    _settable = frozenset(
        {"clip_norm", "clip_value", "epoch", "loss", "lr", "optimizer", "penalty", "schedule", "step_count"}
    )
    _read_only = frozenset({"history", "net", "schedule_step"})
    _fixes: ClassVar[Mapping[str, str]] = {
        "net": "make a new Trainer for another net",
        "learning_rate": "write trainer.lr",
        "optim": "write trainer.optimizer",
        "scheduler": "write trainer.schedule",
        "criterion": "write trainer.loss",
        "trainable": 'give the optimiser a group with rate 0: optim.Adam(groups=[optim.Group("0.*", lr_scale=0.0)])',
    }

    # ---- settings ----

    @property
    def loss(self) -> Loss:
        """What is minimised."""
        return self._loss

    @loss.setter
    def loss(self, loss: str | Loss) -> None:
        self._set("loss", _loss=as_loss(loss, self.net.out_features))

    @property
    def optimizer(self) -> Optimizer | FullBatch:
        """How the parameters follow."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | FullBatch) -> None:
        checked, groups = self._check_optimizer(optimizer)
        if self.net.training_claim.taken and isinstance(checked, FullBatch):
            v.refuse(ValueError, "optimizer", "be one that steps batch by batch, during a fit", v.shown(checked))
        new: dict[str, Any] = {"_optimizer": checked, "_groups": groups, "_lr": checked.lr}
        if checked.kind != self._optimizer.kind:
            start = self._schedule_start + self._step_counter.value
            new |= {"_slots": None, "_schedule_start": start, "_step_counter": Counter()}
        self._set("optimizer", **new)

    @property
    def schedule(self) -> Schedule | None:
        """What the learning rate does over time."""
        return self._schedule

    @schedule.setter
    def schedule(self, schedule: Schedule | Callable[[int], float] | None) -> None:
        self._check_together(self._optimizer, schedule=schedule)
        self._set("schedule", _schedule=_check_schedule(schedule))

    @property
    def penalty(self) -> Penalty:
        """Of large weights."""
        return self._penalty

    @penalty.setter
    def penalty(self, penalty: Penalty | None) -> None:
        self._set("penalty", _penalty=_check_penalty(penalty))

    @property
    def clip_value(self) -> float:
        """What no entry of a gradient is above; infinite where there is no limit."""
        return self._clip_value

    @clip_value.setter
    def clip_value(self, limit: float | None) -> None:
        self._check_together(self._optimizer, clip_value=limit)
        self._set("clip_value", _clip_value=_check_limit("clip_value", limit))

    @property
    def clip_norm(self) -> float:
        """What the norm of all gradients is not above; infinite where there is no limit."""
        return self._clip_norm

    @clip_norm.setter
    def clip_norm(self, limit: float | None) -> None:
        self._check_together(self._optimizer, clip_norm=limit)
        self._set("clip_norm", _clip_norm=_check_limit("clip_norm", limit))

    @property
    def lr(self) -> float:
        """The learning rate before the schedule."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = v.real("lr", lr, 0)

    @property
    def step_count(self) -> int:
        """Updates so far since the optimiser was new."""
        return self._step_counter.value

    @step_count.setter
    def step_count(self, count: int) -> None:
        self.net.training_claim.refuse_change("step_count")
        self._step_counter.value = v.integer("step_count", count, 0)

    @property
    def schedule_step(self) -> int:
        """What the schedule has counted: updates so far, those of earlier optimisers included."""
        return self._schedule_start + self._step_counter.value

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        return self._epoch_counter.value

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.net.training_claim.refuse_change("epoch")
        self._epoch_counter.value = v.integer("epoch", epoch, 0)

    def _set(self, name: str, **attributes: Any) -> None:
        """Change settings that were checked, and drop what was compiled for others, at one moment."""
        self.net.training_claim.refuse_change(name)
        if self._minimizing:
            v.refuse_state(f"{name} cannot be set during a fit with {self._optimizer!r}", "set it after the fit")
        self.__dict__.update(attributes, _step_executors={}, _fit_executor_cache=None, _scalar_cache=None)

    def _forget_executors(self) -> None:
        self._step_executors: dict[str, Executor] = {}
        self._scalar_cache: tuple[tuple[object, ...], int, Array, Array] | None = None
        self._fit_executor_cache: tuple[tuple[str, str], Executor] | None = None

    def _check_optimizer(self, optimizer: object) -> tuple[Optimizer | FullBatch, dict[str, int]]:
        if not isinstance(optimizer, Optimizer | FullBatch):
            v.refuse(TypeError, "optimizer", "be one of fastnn.optim", type(optimizer).__name__)
        self._check_together(optimizer)
        return optimizer, optimizer.assign(self.net.params.layout.shapes) if isinstance(optimizer, Optimizer) else {}

    def _check_together(self, optimizer: Optimizer | FullBatch, **changed: object) -> None:
        """Refuse what does not go with an optimiser that sees all rows at once."""
        if isinstance(optimizer, FullBatch):
            limits = {"clip_value": self._clip_value, "clip_norm": self._clip_norm}
            settings = {name: None if limit == math.inf else limit for name, limit in limits.items()}
            check_full_batch(self.net, optimizer, **{"schedule": self._schedule, **settings, **changed})

    # ---- training ----

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        epochs: int = 10,
        batch_size: int = 128,
        validation_data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        shuffle: bool = True,
        callbacks: Iterable[Callback] = (),
        verbose: int | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> History:
        """Train for some more epochs.

        A later call goes on where this one ended: two fits of five epochs are one of ten, bit for bit. Ctrl-C ends it
        after the step under way; the next fit then begins that epoch anew.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            Finite. float32, float64 and uint8 arrays (memory maps too) are read in place, others converted once.
        y : array_like
            For cross entropy class labels from 0 to K - 1, shape (n,), or rows of probabilities with sum 1, shape
            (n, K); for the other losses numbers (n, K), or (n,) where K is 1, from 0 to 1 for binary cross entropy.
        epochs : int, default 10
        batch_size : int, default 128
            The last batch may be smaller. With batch norms, a lone last row joins the batch before.
        validation_data : (X, y), optional
            What the net is judged by after every epoch.
        sample_weight : array_like, shape (n,), optional
            The loss of a batch is the weighted mean over its rows.
        shuffle : bool, default True
            Whether each epoch has an order of the rows of its own, which follows from the net's seed and the epoch.
        callbacks : iterable of Callback, optional
        verbose : int, optional
            0 shows nothing, 1 a progress bar for each epoch, or a line where tqdm is not installed. By default it is 1
            on a terminal when tqdm is installed.
        metrics : mapping of str to callable, optional
            Figures of one's own, of the validation data after every epoch: the history and the callbacks have them as
            ``val_<name>``. See `evaluate`.

        Returns
        -------
        History
            Of all fits of this trainer.

        Raises
        ------
        TypeError, ValueError
            If an argument is of a wrong kind, shape or range; nothing has changed then.
        TrainingDiverged
            If a loss is NaN or infinite. The net is then as at the end of the last epoch before, the optimiser as new.
        Exception
            What a callback or a function of a custom layer raises. The net is as after the last whole step; the next
            fit begins the epoch anew.
        RuntimeError
            If the net is being trained already: in another thread, or by what a callback or a signal's handler
            interrupts.
        """
        net = self.net
        examples = check_examples(net, self.loss, X, y, sample_weight, finite=True)
        epochs = v.integer("epochs", epochs, 1)
        batch_size = min(v.integer("batch_size", batch_size, 1), len(examples.x))
        validation = self._check_validation(validation_data)
        figures = _check_metrics(metrics)
        if figures and validation is None:
            v.refuse(ValueError, "metrics", "be validation_data to compute them from", "none")
        callbacks = _check_callbacks(callbacks)
        if verbose is None:
            verbose = int(has_tqdm() and on_terminal())
        if v.integer("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0):
            callbacks.append(ProgressBar(epochs))
        batch_statistics = any(isinstance(layer, BatchNorm) for layer in net.layers)
        if batch_statistics:
            v.at_least("X", examples.x, 0, 2, "rows, for batch statistics")
            if batch_size == 1:
                v.refuse(ValueError, "batch_size", "be at least 2 rows, for batch statistics", batch_size)

        order = np.arange(len(examples.x), dtype=np.int64)
        scaling = net.scaler or (None, None)
        feed = Feed(examples.x, order, batch_size, examples.y, examples.weight, batch_statistics, *scaling)
        net.training_claim.refuse_nested_fit()
        with net.training_claim:
            self._stop = False
            if isinstance(self.optimizer, FullBatch):
                _FullFit(self, self.optimizer, examples, callbacks, validation, figures).run(epochs)
            else:
                self._fit_executor(examples.target, feed.largest)  # its memory may be refused

                def recheck_data() -> tuple[Examples, Examples | None]:
                    return (
                        check_examples(net, self.loss, X, y, sample_weight, finite=True),
                        self._check_validation(validation_data),
                    )

                _Fit(self, examples, feed, callbacks, validation, figures, bool(shuffle), recheck_data).run(epochs)
        return self.history

    def step(self) -> None:
        """Update the parameters with the gradients of the net's last `backward`, for hand-written loops.

        Raises
        ------
        RuntimeError
            If there was no `backward`, or the net is being trained in another thread.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import kernels, nn, optim
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.zeros()))
        >>> trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.5))
        >>> z = net.forward([[1.0, 2.0]], training=True)
        >>> net.backward(np.ones_like(z))
        >>> trainer.step()
        >>> net.layers[0].weight
        array([[-0.5],
               [-1. ]], dtype=float32)
        """
        net, backend = self.net, _config.get_backend()
        with net.training_claim:
            if not net._has_gradients:
                v.refuse_state("call net.backward(dz) before step")
            executor = self._step_executors.get(backend)
            if executor is None:
                program = net.training_program(optimizer=self._update())
                executor = self._step_executors[backend] = make_executor(
                    program,
                    net.dtype,
                    1,
                    net.params,
                    net.state,
                    net.gradient_arena(),
                    self._get_slots(),
                    net.seed,
                    backend,
                )
            scalars = self.scalars(1)[1][0]
            weight = float(net.last_rows()) if self._penalty.per_batch else 0.0
            executor.run("update", 0, 0, scalars, _config.get_num_threads(), weight, net.lock, (self._step_counter,))

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps need besides the net's values, all of it copied.

        With the net's own `state_dict` it is all of a training: after both are loaded into objects made in the same
        way, fits go on as if they had never been apart, bit for bit.

        Returns
        -------
        dict
            ``optimizer`` (the kind of its update), ``step_count``, ``schedule_step`` (what the schedule has counted),
            ``epoch``, ``lr``, ``training_steps`` (the net's), ``history`` (a list of dicts) and ``slots``: by slot
            ("m", "v", ...) and parameter ("0.weight", ...) the arrays of the optimiser, in the orientation of the net's
            `state_dict`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> X, y = np.eye(4), np.arange(4)
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=1))
        >>> saved = trainer.fit(X, y, epochs=3, verbose=0) and (trainer.net.state_dict(), trainer.state_dict())
        >>> again = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=1))
        >>> again.net.load_state_dict(saved[0])
        >>> again.load_state_dict(saved[1])
        >>> again.fit(X, y, epochs=2, verbose=0)["loss"] == trainer.fit(X, y, epochs=2, verbose=0)["loss"]
        True
        """
        return self._state(*self._snapshot()[2:])

    def _snapshot(self) -> tuple[Array, Array, tuple[Array, ...], tuple[int, int, int], list[dict[str, float]]]:
        """Copies of parameters, running statistics and slots, counts and history, of one moment between two steps."""
        net = self.net
        arrays, counts, (history,) = net.lock.snapshot(
            (net.params.data, net.state.data, *self._get_slots()),
            (self._step_counter, self._epoch_counter, net._forward_counter),
            (self.history.epochs,),
        )
        return arrays[0], arrays[1], arrays[2:], cast(tuple[int, int, int], counts), history

    def _state(
        self, slots: tuple[Array, ...], counts: tuple[int, int, int], history: list[dict[str, float]]
    ) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.kind,
            "step_count": counts[0],
            "schedule_step": self._schedule_start + counts[0],
            "epoch": counts[1],
            "lr": self._lr,
            "training_steps": counts[2],
            "history": [dict(epoch) for epoch in history],
            "slots": slots_by_name(self._slot_names(), slots, self.net.params.layout),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict` of a trainer with such a net and such an optimiser.

        Parameters
        ----------
        state_dict : mapping
            With exactly the keys and shapes of `state_dict`; slots are converted to the net's dtype.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or unknown, a value of a wrong kind, shape or range, or the state another kind of
            optimiser's; trainer and net are as before then.
        RuntimeError
            In a signal's handler that interrupts a training of the net.
        """
        layout = self.net.params.layout
        state = check_state(state_dict, self.optimizer.kind, self._slot_names(), layout)
        pairs = []
        for key, slot in zip(self._slot_names(), self._get_slots(), strict=True):
            flat = np.zeros_like(slot)
            with np.errstate(all="ignore"):
                for name in layout:
                    layout.view(flat, name)[...] = state["slots"][key][name]
            pairs.append((slot, flat))
        self.net.training_claim.refuse_change("the trainer's state", elsewhere=False)
        self.net.lock.assign(
            tuple(pairs),
            (
                (self._step_counter, state["step_count"]),
                (self._epoch_counter, state["epoch"]),
                (self.net._forward_counter, state["training_steps"]),
            ),
            (
                (
                    self.__dict__,
                    {
                        "_lr": state["lr"],
                        "_schedule_start": state["schedule_step"] - state["step_count"],
                        "_scalar_cache": None,
                    },
                ),
                (self.history.__dict__, {"epochs": state["history"]}),
            ),
        )

    def stop(self) -> None:
        """Ask the fit under way to end after this epoch, or after this step if a callback asks during an epoch."""
        self._stop = True

    def copy(self) -> Trainer:
        """Return a trainer of its own with a copy of the net, of the optimiser's state and of the history.

        Both then train alike, bit for bit, and neither knows of the other.

        Returns
        -------
        Trainer
        """
        params, state, slots, counts, history = self._snapshot()
        twin = type(self).__new__(type(self))
        twin.__dict__.update(
            self.__dict__,
            net=self.net.with_values(params, state, counts[2], self.net.dtype),
            history=History([dict(epoch) for epoch in history]),
        )
        twin._step_counter, twin._epoch_counter, twin._stop, twin._minimizing = (
            Counter(counts[0]),
            Counter(counts[1]),
            False,
            False,
        )
        twin._slots = None
        twin._forget_executors()
        for own, slot in zip(twin._get_slots(), slots, strict=True):
            own[...] = slot
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        params, state, slots, counts, history = self._snapshot()
        limits = (None if limit == math.inf else limit for limit in (self._clip_value, self._clip_norm))
        settings = self._loss, self._optimizer, self._schedule, self._penalty, *limits
        own = {name: each for name, each in self.__dict__.items() if name[0] != "_" and name not in self._read_only}
        # The net is pickled beside it, later than this: where steps go on meanwhile, its values come from here.
        values = (params, state) if self.net.training_claim.taken else None
        return _restore, (type(self), self.net, settings, self._state(slots, counts, history), values, own)

    def evaluate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> dict[str, float]:
        """Judge the net in evaluation mode.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, but that X may hold NaN.
        metrics : mapping of str to callable, optional
            Figures of one's own: each function takes the targets, class labels (n,) or rows (n, out_features), and the
            net's output (n, out_features) as it is (logits, where the loss takes those), and returns a number. It is
            told nothing of the weights.

        Returns
        -------
        dict of str to float
            ``loss``, and for class labels ``accuracy``: the (weighted) share of rows with their largest output there;
            then the metrics by their names.

        Raises
        ------
        TypeError, ValueError
            If an argument is of a wrong kind, shape or range, or what a metric returns no number.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)))
        >>> trainer = fastnn.Trainer(net, loss="mean_squared_error")
        >>> def worst(y, output):
        ...     return abs(y - output).max()
        >>> trainer.evaluate(np.eye(2), [0.0, 1.0], metrics={"worst": worst})
        {'loss': 0.25, 'worst': 0.5}
        """
        examples = check_examples(self.net, self.loss, X, y, sample_weight, finite=False)
        return self._evaluate(examples, _check_metrics(metrics))

    # ---- parts ----

    def scalars(self, steps: int, ahead: int = BLOCK_STEPS) -> tuple[Array, Array]:
        """Return the learning rates of the next steps, and what their updates compute with.

        Those of some more steps are made with them and kept: up to `ahead`, which is how many the epoch has, unless the
        rates do not depend on it.
        """
        schedule, lr, start, epoch, count = (
            self._schedule, self._lr, self._schedule_start, self._epoch_counter.value, self._step_counter.value
        )  # fmt: skip
        key = self._optimizer, schedule, None if schedule is None else (epoch, start), lr
        if self._scalar_cache is not None and self._scalar_cache[0] == key:
            _, first, rates, table = self._scalar_cache
            at = count - first
            if 0 <= at <= len(table) - steps:
                return rates[at : at + steps], table[at : at + steps]
        block = max(steps, BLOCK_STEPS if schedule is None else min(BLOCK_STEPS, ahead))
        counts = count + np.arange(block)
        rates = np.full(block, lr) if schedule is None else schedule(lr, epoch, start + counts)
        table = self._batch_optimizer().table(counts + 1, rates)
        self._scalar_cache = key, count, rates, table
        return rates[:steps], table[:steps]

    def reset_optimizer(self) -> None:
        """Make the optimiser as new: slots as at first, and no update counted."""
        self.net.training_claim.refuse_change("the optimiser's state")
        self._start_anew()

    def _start_anew(self, *values: tuple[Array, Array], steps: int | None = None) -> None:
        """Make the optimiser as new, and give the net these values and this count, at one moment."""
        slots = [(slot, np.full_like(slot, self._batch_optimizer().slot_start)) for slot in self._slots or ()]
        counts = ((self._step_counter, 0), *([] if steps is None else [(self.net._forward_counter, steps)]))
        self.net.lock.assign((*values, *slots), counts, ((self.__dict__, {"_schedule_start": 0}),))

    def _fit_executor(self, target: str, rows: int) -> Executor:
        """The executor of the last fit if it will do, as fits of a few steps take less time than making one."""
        net, key = self.net, (_config.get_backend(), target)
        if (
            self._fit_executor_cache is None
            or self._fit_executor_cache[0] != key
            or self._fit_executor_cache[1].capacity < rows
        ):
            self._fit_executor_cache = None  # its memory goes first
            program = net.training_program(loss=self.loss, target=target, optimizer=self._update())
            executor = make_executor(
                program,
                net.dtype,
                rows,
                net.params,
                net.state,
                net.gradient_arena(),
                self._get_slots(),
                net.seed,
                key[0],
            )
            self._fit_executor_cache = key, executor
        return self._fit_executor_cache[1]

    def _update(self) -> Update:
        """What the engine is told of the optimiser and what goes with it."""
        dense = {f"{i}.weight": each for i, each in enumerate(self.net.layers) if isinstance(each, Dense)}
        optimizer, penalty = self._batch_optimizer(), self.penalty
        return Update(
            kind=optimizer.kind,
            l1=penalty.l1,
            l2=penalty.l2,
            per_batch=penalty.per_batch,
            penalized=frozenset(dense),
            decay=optimizer.decay,
            groups=self._groups,
            n_groups=1 + len(optimizer.groups),
            clip_value=self.clip_value,
            clip_norm=self.clip_norm,
            max_norms={name: layer.max_norm for name, layer in dense.items() if layer.max_norm is not None},
            n_scalars=optimizer.table(np.ones(1, np.int64), np.zeros(1)).shape[-1],
        )

    def _get_slots(self) -> tuple[Array, ...]:
        if self._slots is None:
            size = self.net.params.layout.size
            self._slots = tuple(aligned_zeros(size, self.net.dtype) for _ in self._slot_names())
            for slot in self._slots:
                slot[...] = self._batch_optimizer().slot_start
        return self._slots

    def _slot_names(self) -> tuple[str, ...]:
        return self.optimizer.slots if isinstance(self.optimizer, Optimizer) else ()

    def _batch_optimizer(self) -> Optimizer:
        """The optimiser, which has to be one that steps batch by batch."""
        if isinstance(self.optimizer, FullBatch):
            v.refuse(TypeError, "optimizer", "step batch by batch", v.shown(self.optimizer), "use fit, or optim.Adam()")
        return self.optimizer

    def _check_validation(self, data: Any) -> Examples | None:
        if data is None:
            return None
        if not isinstance(data, Sequence) or len(data) != 2:
            v.refuse(TypeError, "validation_data", "be a pair (X, y)", type(data).__name__)
        names = ("validation_data[0]", "validation_data[1]", "sample_weight")
        return check_examples(self.net, self.loss, data[0], data[1], None, finite=True, names=names)

    def _evaluate(self, examples: Examples, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """Chunk by chunk, so that memory is bounded where no metric wants all outputs."""
        step = max(1, EVALUATE_ELEMENTS // self.net.out_features)
        loss = total = right = rows_total = 0.0
        outputs = np.empty((len(examples.x), self.net.out_features), self.net.dtype) if metrics else None
        for start in range(0, len(examples.x), step):
            rows = slice(start, start + step)
            z, y = self.net.predict(examples.x[rows], None if outputs is None else outputs[rows]), examples.y[rows]
            sample_weight = None if examples.sample_weight is None else examples.sample_weight[rows]
            weight = sample_weight if examples.weight is None else examples.weight[rows]
            share = float(len(z) if weight is None else weight.sum())
            if share > 0:
                loss += share * self.loss(z, y if y.ndim == 1 else y.astype(z.dtype), sample_weight)
                total += share
            if examples.target == "labels":
                hits = z.argmax(axis=1) == y
                right += float(np.count_nonzero(hits) if sample_weight is None else sample_weight[hits].sum())
                rows_total += float(len(z) if sample_weight is None else sample_weight.sum())
        logs = {"loss": loss / total} | ({"accuracy": right / rows_total} if examples.target == "labels" else {})
        for name, metric in metrics.items():
            figure: object = metric(read_only(examples.y), cast(Array, outputs))
            if not isinstance(figure, numbers.Real):
                v.refuse(TypeError, f"metrics[{name!r}]", "be a function that returns a number", v.shown(figure))
            logs[name] = float(figure)
        return logs


class _Fit:
    """One call of `Trainer.fit`, its arguments checked."""

    def __init__(
        self,
        trainer: Trainer,
        examples: Examples,
        feed: Feed,
        callbacks: list[Callback],
        validation: Examples | None,
        metrics: Mapping[str, Metric],
        shuffle: bool,
        recheck_data: Callable[[], tuple[Examples, Examples | None]],
    ) -> None:
        self.trainer = trainer
        self.net = trainer.net
        self.loss = trainer.loss
        self.target = examples.target
        self.feed = feed
        self.callbacks = callbacks
        self.validation = validation
        self.metrics = metrics
        self.shuffle = shuffle
        self.recheck_data = recheck_data
        self.batch_callbacks = [each for each in callbacks if type(each).on_batch_end is not Callback.on_batch_end]
        self.observed = observes_steps(callbacks)
        # As at the end of the last epoch whose losses were finite.
        self.good_params, self.good_state = np.empty_like(self.net.params.data), np.empty_like(self.net.state.data)
        self.good_steps = 0

    def run(self, epochs: int) -> None:
        trainer = self.trainer
        with contextlib.ExitStack() as ends:  # each runs, also where one before it raises
            for callback in reversed(self.callbacks):
                ends.callback(call_callbacks, [callback], "on_fit_end", trainer)
            call_callbacks(self.callbacks, "on_fit_begin", trainer)
            for _ in range(epochs):
                if trainer._stop:
                    break
                self.epoch()

    def epoch(self) -> None:
        trainer, net = self.trainer, self.net
        call_callbacks(self.callbacks, "on_epoch_begin", trainer)
        if trainer._stop:
            return
        self.good_params[...], self.good_state[...] = net.params.data, net.state.data
        self.good_steps = net.training_steps
        if self.shuffle:
            order = self.feed.order
            kernels.permutation(len(order), seed=net.seed, stream=ORDER_STREAM, step=trainer.epoch, out=order)
        logs = self.train()
        self.current_executor()
        if self.validation is not None:
            judged = trainer._evaluate(self.validation, self.metrics)
            logs |= {f"val_{key}": value for key, value in judged.items()}
        trainer._epoch_counter.append_and_count(trainer.history.epochs, logs)
        call_callbacks(self.callbacks, "on_epoch_end", trainer, logs)

    def train(self) -> dict[str, float]:
        """All steps of an epoch, in slices; the epoch's figures."""
        try:
            return self.steps()
        finally:
            self.net.lock.restore_order()

    def current_executor(self) -> Executor:
        """Return what runs the next step as trainer and net have been set by now."""
        trainer = self.trainer
        if trainer.loss is not self.loss:
            examples, self.validation = self.recheck_data()
            self.loss, self.target = trainer.loss, examples.target
            self.feed = replace(self.feed, y=examples.y, weight=examples.weight)
        center, scale = self.net._scaling or (None, None)
        if self.feed.center is not center:
            self.feed = replace(self.feed, center=center, scale=scale)
        self.executor = trainer._fit_executor(self.target, self.feed.largest)
        return self.executor

    def steps(self) -> dict[str, float]:
        trainer, net = self.trainer, self.net
        batches, batch, loss, weight, seconds = self.feed.n_batches, 0, 0.0, 0.0, 0.0
        rate, stopped = trainer.lr, trainer._stop
        while batch < batches and not stopped:
            executor = self.current_executor()
            steps = 1 if self.batch_callbacks else min(SLICE_STEPS, batches - batch)
            rates, scalars = trainer.scalars(steps, batches - batch)
            threads = _config.get_num_threads()
            start = time.perf_counter()
            result = executor.run_steps(
                self.feed,
                batch,
                batch + steps,
                scalars,
                net.training_steps % 2**32,
                SLICE_SECONDS,
                threads,
                loss,
                weight,
                ahead=0 if self.observed else batches - batch,
                lock=net.lock,
                counters=(net._forward_counter, trainer._step_counter),
            )
            if result.error is not None:
                raise result.error
            if not (result.finite and (batch + result.done < batches or self.values_are_finite())):
                self.roll_back(batch, result.done, result.finite, result.last_loss, rates)
            seconds += time.perf_counter() - start
            batch += result.done
            rate = float(rates[max(0, result.done - 1)])
            loss, weight = result.loss, result.weight
            if self.callbacks:
                logs = {"batch": batch, "batches": batches, "loss": loss / weight if weight else 0.0}
                call_callbacks(self.callbacks, "on_progress", trainer, logs)
                call_callbacks(self.batch_callbacks, "on_batch_end", trainer, logs | {"batch_loss": result.last_loss})
            stopped = trainer._stop
            if stopped and batch < batches and not self.values_are_finite():  # the last step was not looked at
                self.roll_back(batch - result.done, result.done, True, result.last_loss, rates)
        return {"loss": loss / weight if weight else 0.0, "lr": rate, "seconds": seconds}

    def values_are_finite(self) -> bool:
        return v.all_finite(self.net.params.data) and v.all_finite(self.net.state.data)

    def roll_back(self, batch: int, done: int, finite_loss: bool, loss: float, rates: Array) -> None:
        """Say what is not finite, and bring back the last good values."""
        trainer, net, epoch = self.trainer, self.net, self.trainer.epoch + 1
        failing = done - finite_loss
        rows = self.feed.rows(batch + failing)
        layer = first_nonfinite(net, self.executor, rows.stop - rows.start)
        step, rate = trainer.step_count + 1 - finite_loss, float(rates[failing])
        good = (net.params.data, self.good_params), (net.state.data, self.good_state)
        trainer._start_anew(*good, steps=self.good_steps)
        raise TrainingDiverged(epoch, step, loss, rate, layer)


class _FullFit:
    """The same with an optimiser that sees all rows at once: an epoch is an iteration of its."""

    def __init__(
        self,
        trainer: Trainer,
        optimizer: FullBatch,
        examples: Examples,
        callbacks: list[Callback],
        validation: Examples | None,
        metrics: Mapping[str, Metric],
    ) -> None:
        self.trainer = trainer
        self.optimizer = optimizer
        self.callbacks = callbacks
        self.validation = validation
        self.metrics = metrics
        dtype = np.dtype(np.float64) if optimizer.wide else trainer.net.dtype
        self.objective = Objective(trainer.net, trainer.loss, trainer.penalty, examples, dtype)
        self.left = 0
        self.loss = math.nan
        self.began = 0.0

    def run(self, epochs: int) -> None:
        trainer, self.left = self.trainer, epochs
        with contextlib.ExitStack() as ends:
            ends.callback(trainer.__dict__.update, _minimizing=False)
            trainer._minimizing = True
            for callback in reversed(self.callbacks):
                ends.callback(call_callbacks, [callback], "on_fit_end", trainer)
            call_callbacks(self.callbacks, "on_fit_begin", trainer)
            start = self.objective.read(trainer.net)
            self.loss = self.objective.loss_at(start)
            if not math.isfinite(self.loss):
                layer = self.objective.first_nonfinite()
                raise TrainingDiverged(trainer.epoch + 1, trainer.step_count + 1, self.loss, trainer.lr, layer)
            if not self.stops():
                self.optimizer.minimize(self.objective, start, epochs, self.accept)

    def stops(self) -> bool:
        """Begin an epoch, or say that there shall be no more."""
        if not self.trainer._stop and self.left > 0:
            call_callbacks(self.callbacks, "on_epoch_begin", self.trainer)
        self.began = time.perf_counter()
        return self.trainer._stop or self.left == 0

    def accept(self, x: Array) -> bool:
        """End an epoch at this point."""
        trainer, net = self.trainer, self.trainer.net
        values = self.objective.spread(x, net.dtype)
        net.lock.assign(((net.params.data, values),), ((trainer._step_counter, trainer.step_count + 1),))
        logs = {"loss": self.loss, "lr": trainer.lr, "seconds": time.perf_counter() - self.began}
        self.loss = self.objective.loss_at(x)
        self.objective.forget()
        progress = {"batch": 1, "batches": 1, "loss": logs["loss"]}
        call_callbacks(self.callbacks, "on_progress", trainer, progress)
        call_callbacks(self.callbacks, "on_batch_end", trainer, progress | {"batch_loss": logs["loss"]})
        if self.validation is not None:
            judged = trainer._evaluate(self.validation, self.metrics)
            logs |= {f"val_{key}": value for key, value in judged.items()}
        self.left -= 1
        trainer._epoch_counter.append_and_count(trainer.history.epochs, logs)
        call_callbacks(self.callbacks, "on_epoch_end", trainer, logs)
        return self.stops()


def call_callbacks(callbacks: Sequence[Callback], event: str, trainer: Trainer, *logs: Mapping[str, float]) -> None:
    """Call a method of callbacks, which may train the net and set its values meanwhile."""
    if callbacks:
        with trainer.net.training_claim.in_callbacks():
            for callback in callbacks:
                getattr(callback, event)(trainer, *logs)


def _restore(
    kind: type[Trainer],
    net: Sequential,
    settings: tuple[Any, ...],
    state: Mapping[str, Any],
    values: tuple[Array, Array] | None,
    own: Mapping[str, Any],
) -> Trainer:
    """Make a trainer from a pickle, which may be damaged: all of it is looked at."""
    trainer = kind.__new__(kind)
    Trainer.__init__(trainer, net, *settings)
    trainer.load_state_dict(state)
    if values is not None:
        arenas = net.params, net.state
        for name, arena, flat in zip(("params", "state"), arenas, values, strict=True):
            if type(flat) is not np.ndarray or flat.dtype != net.dtype or flat.shape != arena.data.shape:
                v.refuse(ValueError, name, f"be {net.dtype} of shape {arena.data.shape}", v.shown(flat))
        net.lock.assign(tuple((arena.data, flat) for arena, flat in zip(arenas, values, strict=True)))
    for name, each in own.items():
        setattr(trainer, name, each)
    return trainer


def _check_schedule(schedule: Schedule | Callable[[int], float] | None) -> Schedule | None:
    if schedule is not None and not callable(schedule):
        v.refuse(TypeError, "schedule", "be a schedule or a function of the epoch", type(schedule).__name__)
    return schedule if schedule is None or isinstance(schedule, Schedule) else LambdaLR(schedule)


def _check_penalty(penalty: Penalty | None) -> Penalty:
    if penalty is not None and not isinstance(penalty, Penalty):
        v.refuse(TypeError, "penalty", "be a Penalty", type(penalty).__name__)
    return Penalty() if penalty is None else penalty


def _check_limit(name: str, limit: float | None) -> float:
    return math.inf if limit is None else v.real(name, limit, 0, excluded=True)


def _check_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        v.refuse(TypeError, "callbacks", "be a sequence of callbacks", type(callbacks).__name__)
    checked = list(callbacks)
    for index, each in enumerate(checked):
        if not isinstance(each, Callback):
            v.refuse(TypeError, f"callbacks[{index}]", "be a Callback", type(each).__name__)
    return checked


def _check_metrics(metrics: Mapping[str, Metric] | None) -> dict[str, Metric]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        v.refuse(TypeError, "metrics", "be a mapping of names to functions", type(metrics).__name__)
    for name, metric in metrics.items():
        if not isinstance(name, str):
            v.refuse(TypeError, "metrics", "have names that are strings", v.shown(name))
        if name in ("loss", "accuracy"):
            v.refuse(ValueError, "metrics", "be names other than loss and accuracy, which are there", v.shown(name))
        if not callable(metric):
            v.refuse(TypeError, f"metrics[{name!r}]", "be a function of targets and output", type(metric).__name__)
    return dict(metrics)
