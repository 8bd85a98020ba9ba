"""What fits, steps and estimators share of a trainer: its settings, its slots, its counters and its executors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic, NamedTuple, Self, TypeVar, overload

import numpy as np

from fastnn import _config
from fastnn import _validation as v
from fastnn._settings import FixedAttributes
from fastnn._typing import Array
from fastnn.engine import Counter, Executor, Step, Update, aligned_zeros, make_executor
from fastnn.nn import Loss, Sequential
from fastnn.nn._values import MOST_STEPS
from fastnn.nn.losses import as_loss
from fastnn.nn.sequential import as_net
from fastnn.optim import Average, FullBatch, Optimizer, Penalty, Schedule
from fastnn.optim.averages import as_average
from fastnn.training._arguments import (
    as_accumulate,
    as_limit,
    as_optimizer,
    as_penalty,
    as_schedule,
    check_full_batch,
)
from fastnn.training._missed import MissedUpdates
from fastnn.training._observers import Observers
from fastnn.training._scalars import ScalarRows, ScalarSets
from fastnn.training.averaging import Averaging
from fastnn.training.history import History
from fastnn.training.metrics import Metric, Metrics, as_metrics

BLOCK_STEPS = 64  # smallest number of steps whose scalars are computed together: computing fewer takes as long

_Given = TypeVar("_Given")
_Kept = TypeVar("_Kept")


class Setting(Generic[_Given, _Kept]):
    """A setting of a trainer. A new value is checked, and what was made for the old one is dropped.

    Parameters
    ----------
    check : callable
        Takes the trainer and a value; returns what is kept, or raises.
    doc : str
    full_batch : bool, default True
        Whether full-batch optimisers support the setting.
    """

    def __init__(self, check: Callable[[TrainerCore, _Given], _Kept], doc: str, *, full_batch: bool = True) -> None:
        self._check = check
        self._full_batch = full_batch
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._kept_as = name, f"_{name}"

    @overload
    def __get__(self, trainer: None, owner: type) -> Self: ...

    @overload
    def __get__(self, trainer: TrainerCore, owner: type) -> _Kept: ...

    def __get__(self, trainer: TrainerCore | None, owner: type) -> Self | _Kept:
        if trainer is None:
            return self
        kept: _Kept = trainer.__dict__[self._kept_as]
        return kept

    def __set__(self, trainer: TrainerCore, value: _Given) -> None:
        kept = self._check(trainer, value)
        if not self._full_batch:
            trainer.refuse_with_full_batch(trainer.optimizer, **{self._name: value})
        trainer.change(self._name, **{self._kept_as: kept})


class Span(NamedTuple):
    """The length of a schedule that has none of its own, and the trainer's counts when it begins."""

    epochs: int
    steps: int
    first_epoch: int
    first_step: int


def _nothing_made() -> dict[str, Any]:
    """Return the attributes of a trainer that has made nothing for its settings yet."""
    return {"_step_executors": {}, "_fit_executor_caches": {}, "_scalar_rows": ScalarRows(), "_batch_steps": {}}


class TrainerCore(FixedAttributes):
    """The base of `Trainer`, which has the documentation of its parameters and attributes."""

    _internal = frozenset(
        {
            "as_update", "assign_and_reset_optimizer", "average_epoch", "averages_epochs", "averaging", "change",
            "continue_from", "end_fit", "epoch_counter", "evaluated_net", "fit_executor", "fitting", "means",
            "name_run", "next_scalars", "notice_frozen", "rates", "refuse_with_full_batch", "run_name", "running_fit",
            "scalars", "slot_names", "slots", "span", "step_counter", "stop_requested", "update_counters",
            "updated_arrays", "warn_of_average", "with_missed",
        }
    )  # fmt: skip

    def __init__(
        self,
        net: Sequential,
        loss: str | Loss,
        optimizer: str | Optimizer | FullBatch,
        schedule: str | Schedule | Callable[[int], float] | None,
        penalty: Penalty | None,
        clip_value: float | None,
        clip_norm: float | None,
        metrics: Metrics | None,
        accumulate: int = 1,
        average: str | Average | None = None,
    ) -> None:
        self.__dict__.update(net=as_net("net", net), history=History())
        self._step_counter, self._epoch_counter = Counter(), Counter()
        self._sparse_parameters = net.sparse_parameters()
        self._schedule_start = 0  # updates that the schedule had counted at the optimiser's last reset
        self._stop_requested = self._in_full_batch_fit = False
        self._slots: tuple[Array, ...] | None = None
        self._missed = MissedUpdates()
        self._means: Array | None = None
        self._span: Span | None = None
        self._running_fit: object = None
        self._run_name: str | None = None
        self._last_fit: Any = None  # a `LastFit`: what the last fit was called with, and how it ended
        self._passed_functions: Mapping[str, Callable[..., Any]] = {}  # to `load` or `resume`, by their names
        if isinstance(loss, Optimizer | FullBatch):
            v.refuse(TypeError, "loss", "be a loss", v.shown(loss), "write Trainer(net, loss, optimizer)")
        self._loss = as_loss(loss, net.out_features)
        self._metrics = as_metrics(metrics, net.out_features)
        self._schedule = as_schedule(schedule)
        self._penalty = as_penalty(penalty)
        self._clip_value, self._clip_norm = as_limit("clip_value", clip_value), as_limit("clip_norm", clip_norm)
        self._accumulate = as_accumulate(net, accumulate)
        self._average = as_average(average)
        self._averaging = None if self._average is None else Averaging(net, self._average)
        self._optimizer, self._groups = self._with_groups(optimizer)
        self._lr = self._optimizer.lr
        self.__dict__.update(_nothing_made())

    net: Sequential
    history: History

    def __repr__(self) -> str:
        limits = {"clip_value": self.clip_value, "clip_norm": self.clip_norm}
        settings: dict[str, object] = {"loss": self.loss, "optimizer": self.optimizer, "schedule": self.schedule}
        settings |= {"penalty": None if self.penalty == Penalty() else self.penalty}
        settings |= {name: None if limit == math.inf else limit for name, limit in limits.items()}
        settings["metrics"] = list(self.metrics) or None
        settings |= {"accumulate": None if self.accumulate == 1 else self.accumulate, "average": self.average}
        shown = ", ".join(f"{name}={value!r}" for name, value in settings.items() if value is not None)
        net = f"<{type(self.net).__name__} of {len(self.net.layers)} layers>"
        return f"<{type(self).__name__}({net}, {shown}): epoch {self.epoch}, step {self.step_count}>"

    # ---- settings ----

    loss = Setting[str | Loss, Loss](lambda trainer, loss: as_loss(loss, trainer.net.out_features), "The loss.")
    metrics = Setting[Metrics | None, Mapping[str, Metric]](
        lambda trainer, metrics: as_metrics(metrics, trainer.net.out_features), "The metrics by name."
    )
    schedule = Setting[str | Schedule | Callable[[int], float] | None, Schedule | None](
        lambda _, schedule: as_schedule(schedule), "The learning rate over time, or None.", full_batch=False
    )
    penalty = Setting[Penalty | None, Penalty](lambda _, penalty: as_penalty(penalty), "The penalty on large weights.")
    clip_value = Setting[float | None, float](
        lambda _, limit: as_limit("clip_value", limit),
        "Upper limit of the absolute value of gradient entries; infinite if there is none.",
        full_batch=False,
    )
    clip_norm = Setting[float | None, float](
        lambda _, limit: as_limit("clip_norm", limit),
        "Upper limit of the norm of all gradients together; infinite if there is none.",
        full_batch=False,
    )
    accumulate = Setting[int, int](
        lambda trainer, count: as_accumulate(trainer.net, count), "Number of batches for each update.", full_batch=False
    )

    @property
    def optimizer(self) -> Optimizer | FullBatch:
        """The optimiser."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: str | Optimizer | FullBatch) -> None:
        checked, groups = self._with_groups(optimizer)
        if self.net.training_claim.taken and isinstance(checked, FullBatch):
            v.refuse(
                ValueError, "optimizer", "step batch by batch during a fit", v.shown(checked), "set it after the fit"
            )
        new: dict[str, Any] = {"_optimizer": checked, "_groups": groups, "_lr": checked.lr}
        if checked.kind != self._optimizer.kind:
            new |= {"_slots": None, "_schedule_start": self.schedule_step, "_step_counter": Counter()}
            new |= {"_missed": MissedUpdates(self._missed.frozen)}
        self.change("optimizer", **new)

    @property
    def average(self) -> Average | None:
        """The average of the parameters, or None."""
        return self._average

    @average.setter
    def average(self, average: str | Average | None) -> None:
        checked = as_average(average)
        self.refuse_with_full_batch(self._optimizer, average=checked)
        new: dict[str, Any] = {"_average": checked}
        if type(checked) is not type(self._average):
            new["_averaging"] = None if checked is None else Averaging(self.net, checked)
        self.change("average", **new)

    @property
    def averaging(self) -> Averaging | None:
        """The values of the average, or None."""
        return self._averaging

    @property
    def averages_epochs(self) -> bool:
        """Whether there is an average, and it is of the parameters at the ends of epochs."""
        return self._average is not None and self._average.step_weight is None

    def average_epoch(self) -> None:
        """Add the parameters to the average if it counts the ends of epochs, and that of the present one."""
        if self._averaging is not None and self._average is not None and self._average.counts_epoch(self.epoch):
            self._averaging.add_parameters()

    def warn_of_average(self) -> None:
        """Warn at the end of a fit if too little has been averaged. What several settings have made is not judged."""
        averaging, average = self._averaging, self._average
        if averaging is None or average is None or averaging.begun_as != average:
            return
        message = average.shortfall(averaging.count.value, self.epoch)
        if message:
            v.warn(message)

    def evaluated_net(self, *, shared: bool = False) -> Sequential:
        """Return the net that evaluations look at: one with the averaged values if there are any, else the net.

        With `shared`, which only the thread that trains may pass during a training, this is the trainer's own net of
        these values, which the next call changes.
        """
        averaging = self._averaging
        if averaging is None or averaging.count.value == 0:
            return self.net
        return averaging.evaluated_net() if shared or not self.net.training_claim.taken else averaging.new_net()

    @property
    def lr(self) -> float:
        """The learning rate before the schedule."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = v.real("lr", lr, 0)

    def change(self, name: str, **attributes: Any) -> None:
        """Set checked settings and drop what was compiled or cached for the old ones, in one atomic update."""
        self.net.training_claim.refuse_change(name)
        if self._in_full_batch_fit:
            v.refuse_state(f"{name} cannot be set during a fit with {self._optimizer!r}", "set it after the fit")
        self._change(**attributes)

    def _change(self, **attributes: Any) -> None:
        self.__dict__.update(attributes | _nothing_made())

    _step_executors: dict[str, Executor]
    _scalar_rows: ScalarRows
    _batch_steps: dict[str, Any]  # a `BatchStep` for each backend
    _fit_executor_caches: dict[bool, tuple[tuple[str, str, bool, tuple[Step, ...]], Executor]]

    def with_missed(self, missed: MissedUpdates) -> dict[str, Any]:
        """Return the attributes to set for these missed updates: what was made for other sets of scalars is dropped."""
        same = (missed.frozen, missed.before) == (self._missed.frozen, self._missed.before)
        return {"_missed": missed} | ({} if same else _nothing_made())

    def _with_groups(self, optimizer: object) -> tuple[Optimizer | FullBatch, dict[str, int]]:
        """Return the optimiser, checked, and the number of each parameter's group."""
        checked = as_optimizer(optimizer)
        self.refuse_with_full_batch(checked)
        if not isinstance(checked, Optimizer):
            return checked, {}
        return checked, checked.assign(self.net.params.layout.shapes, self._sparse_parameters)

    def refuse_with_full_batch(self, optimizer: Optimizer | FullBatch, **changed: object) -> None:
        """Refuse settings that a full-batch optimiser does not support; `changed` are about to be set."""
        if isinstance(optimizer, FullBatch):
            limits = {"clip_value": self._clip_value, "clip_norm": self._clip_norm}
            settings: dict[str, object] = {name: None if limit == math.inf else limit for name, limit in limits.items()}
            settings |= {"schedule": self._schedule, "accumulate": self._accumulate, "average": self._average}
            check_full_batch(self.net, optimizer, **settings | changed)

    # ---- counters ----

    @property
    def step_counter(self) -> Counter:
        """The counter of `step_count`, which executors increase."""
        return self._step_counter

    @property
    def update_counters(self) -> tuple[Counter, ...]:
        """The counters that each update increases."""
        moved = None if self._average is None else self._moved_average
        return (self._step_counter,) if moved is None else (self._step_counter, moved.count)

    @property
    def epoch_counter(self) -> Counter:
        """The counter of `epoch`."""
        return self._epoch_counter

    @property
    def step_count(self) -> int:
        """Number of updates since the optimiser's last reset."""
        return self._step_counter.value

    @step_count.setter
    def step_count(self, count: int) -> None:
        self.net.training_claim.refuse_change("step_count")
        count = v.integer("step_count", count, 0, MOST_STEPS)
        missed = self._missed.with_count(self._step_counter.value, count)
        self.__dict__.update(self.with_missed(missed))
        self._step_counter.value = count

    @property
    def schedule_step(self) -> int:
        """Number of updates that the schedule has counted, those of earlier optimisers included."""
        return self._schedule_start + self._step_counter.value

    @property
    def epoch(self) -> int:
        """Number of epochs trained so far."""
        return self._epoch_counter.value

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.net.training_claim.refuse_change("epoch")
        self._epoch_counter.value = v.integer("epoch", epoch, 0, MOST_STEPS)

    def continue_from(self, step_count: int, schedule_step: int, epoch: int) -> None:
        """Set the counts to those of an earlier trainer of the same net."""
        self._step_counter.value, self._epoch_counter.value = step_count, epoch
        self._schedule_start = schedule_step - step_count

    # ---- fits ----

    def stop(self) -> None:
        """Ask the running fit to end: after the current epoch, or after the current step if called during an epoch."""
        self._stop_requested = True

    @property
    def stop_requested(self) -> bool:
        """Whether `stop` has been called since the last fit began."""
        return self._stop_requested

    def fitting(
        self, observers: Observers, span: Span, fit: object = None, *, stop: bool = False
    ) -> AbstractContextManager[None]:
        """Begin a fit, and return its context, in which the callbacks' methods for its begin and its end are called.

        Until `end_fit`, schedules without a length of their own have that of `span`. With `stop`, the fit is one that
        had been asked to end.
        """
        self.__dict__.update(_stop_requested=stop, _span=span, _running_fit=fit)
        return observers.fit(self)

    def end_fit(self) -> None:
        """Forget the fit and its length."""
        self.__dict__.update(_span=None, _running_fit=None)

    @property
    def running_fit(self) -> Any:
        """The fit that is running, a `BatchFit` or a `FullBatchFit`, or None."""
        return self._running_fit

    @property
    def run_name(self) -> str | None:
        """What tells the trainer's checkpoints from those of others; None if it has none yet."""
        return self._run_name

    def name_run(self, name: str) -> None:
        """Set `run_name`."""
        self._run_name = name

    @property
    def span(self) -> Span | None:
        """The length of the fit that is running."""
        return self._span

    # ---- scalars, executors, slots ----

    def scalars(self, updates: int, ahead: int = BLOCK_STEPS) -> tuple[Array, Array]:
        """Return the learning rates and the scalars of the next updates, a row for each.

        More updates than asked for are computed at once and cached. With a schedule these are at most `ahead`, the ones
        left in the epoch, as later rates may depend on the epoch.
        """
        rows, first = self._kept_scalars(updates, ahead)
        kept = slice(first, first + updates)
        rates, table = rows.rates[kept], rows.table[kept]
        if self._average is not None and (moved := self._moved_average) is not None and moved.count.value == 0:
            table = table.copy()
            table[0, -1] = 1.0  # the first update copies the parameters
        return rates, table

    def next_scalars(self) -> tuple[Array, int]:
        """Return a table of scalars, and the number of its row with those of the next update."""
        if self._average is not None:
            return self.scalars(1)[1], 0
        rows, first = self._kept_scalars(1, BLOCK_STEPS)
        return rows.table, first

    def _kept_scalars(self, updates: int, ahead: int) -> tuple[ScalarRows, int]:
        """Return the scalars of the next updates and of others, and where those of the next one are among them."""
        rows = self._scalar_rows
        if rows.sets is None:
            rows.sets = self._scalar_sets()
        schedule, lr, start, epoch, count = (
            self._schedule, self._lr, self._schedule_start, self._epoch_counter.value, self._step_counter.value
        )  # fmt: skip
        key = schedule, None if schedule is None else (epoch, start, self._span), lr
        if rows.key == key and 0 <= (offset := count - rows.first) <= len(rows.rates) - updates:
            return rows, offset
        counts = count + np.arange(max(updates, BLOCK_STEPS if schedule is None else min(BLOCK_STEPS, ahead)))
        rows.keep(key, counts, self._rates(schedule, lr, epoch, start + counts))
        return rows, 0

    def _scalar_sets(self) -> ScalarSets:
        sparse = bool(self._sparse_parameters)
        return ScalarSets(self._batch_optimizer(), self._groups, self._missed, sparse, self._step_weight)

    @property
    def _step_weight(self) -> float | None:
        """The weight of the parameters in an average that each update moves, or None."""
        return None if self._average is None else self._average.step_weight

    @property
    def _moved_average(self) -> Averaging | None:
        """The average that each update moves, or None."""
        return None if self._step_weight is None else self._averaging

    def rates(self, steps: Array) -> Array:
        """Return the learning rates of steps in the present epoch, numbered as `schedule_step` counts them."""
        return self._rates(self._schedule, self._lr, self.epoch, steps)

    def _rates(self, schedule: Schedule | None, lr: float, epoch: int, steps: Array) -> Array:
        if schedule is None:
            return np.full(len(steps), lr)
        if not schedule.needs_length:
            return schedule(lr, epoch, steps)
        span = self._span
        if span is None:
            fix = "give it its length, such as T_max or total_steps, or call fit"
            v.refuse(ValueError, "schedule", "have a length for single steps", v.shown(schedule), fix)
        # A callback may have set the counts back: the time of a schedule begins at the new ones.
        self._span = span = span._replace(
            first_epoch=min(span.first_epoch, epoch), first_step=min(span.first_step, self.schedule_step)
        )
        return schedule.over(span.epochs, span.steps)(lr, epoch - span.first_epoch, steps - span.first_step)

    def reset_optimizer(self) -> None:
        """Reset the optimiser: slots get their initial values, and `step_count` and `schedule_step` become 0."""
        self.net.training_claim.refuse_change("the optimiser's state")
        self.assign_and_reset_optimizer()

    def assign_and_reset_optimizer(
        self,
        *pairs: tuple[Array, Array],
        counts: Iterable[tuple[Counter, int]] = (),
    ) -> None:
        """Copy values into arrays that the net's lock guards, set counters and reset the optimiser, all at once."""
        slots = [(slot, np.full_like(slot, self._batch_optimizer().slot_start)) for slot in self._slots or ()]
        new = {"_schedule_start": 0, **self.with_missed(MissedUpdates(self._missed.frozen))}
        self.net.lock.assign((*pairs, *slots), (*counts, (self._step_counter, 0)), ((self.__dict__, new),))

    def notice_frozen(self) -> None:
        """Check that a parameter is not frozen, and drop what was made when others were."""
        self.net.refuse_all_frozen()
        missed = self._missed.with_frozen(self.net.params.frozen, self._step_counter.value)
        if missed is not self._missed:
            self.__dict__.update(self.with_missed(missed))

    def fit_executor(
        self,
        target: str,
        rows: int,
        augment: tuple[Step, ...] = (),
        accumulates: bool | None = None,
        *,
        observed: bool = False,
    ) -> Executor:
        """Return the executor of the last fit if it can be used, as making one takes longer than a short fit.

        Parameters
        ----------
        target : {"labels", "rows"}
        rows : int
            The size of the largest batch.
        augment : tuple of Step
            What is done with each batch.
        accumulates : bool, optional
            Whether an update may have several batches; by default whether `accumulate` is above 1.
        observed : bool
            Whether it is that of observed steps, which is kept beside the other one.
        """
        self.notice_frozen()
        accumulates = self.accumulate > 1 if accumulates is None else accumulates
        net, key = self.net, (_config.get_backend(), target, accumulates, augment)
        cache = self._fit_executor_caches.get(observed)
        if cache is None or cache[0] != key or cache[1].capacity < rows:
            del cache
            self._fit_executor_caches.pop(observed, None)  # frees the memory of the old one first
            update = self.as_update(accumulates)
            program = net.training_program(
                loss=self.loss, target=target, optimizer=update, augment=augment, observed=observed
            )
            grads, arrays, means = net.gradient_arena(), self.updated_arrays(), self.means() if accumulates else None
            executor = make_executor(
                program, net.dtype, rows, net.params, net.state, grads, arrays, net.seed, key[0], means
            )
            self._fit_executor_caches[observed] = cache = key, executor
        return cache[1]

    def as_update(self, accumulates: bool = False) -> Update:
        """Return the optimiser, the penalty and the limits in the form that the engine takes."""
        self.notice_frozen()
        optimizer, penalty, sets = self._batch_optimizer(), self.penalty, self._scalar_sets()
        return Update(
            kind=optimizer.kind,
            l1=penalty.l1,
            l2=penalty.l2,
            per_batch=penalty.per_batch,
            penalized=self.net.penalized(),
            decay=optimizer.decay,
            groups=sets.numbers,
            n_groups=sets.count,
            clip_value=self.clip_value,
            clip_norm=self.clip_norm,
            max_norms=self.net.max_norms(),
            sparse=self._sparse_parameters,
            frozen=self.net.params.frozen,
            averaged=self._step_weight is not None,
            accumulates=accumulates,
            n_scalars=sets.width,
        )

    def slots(self) -> tuple[Array, ...]:
        """Return the optimiser's slots, each in the layout of the net's parameters."""
        if self._slots is None:
            size = self.net.params.layout.size
            self._slots = tuple(aligned_zeros(size, self.net.dtype) for _ in self.slot_names())
            for slot in self._slots:
                slot[...] = self._batch_optimizer().slot_start
        return self._slots

    def updated_arrays(self) -> tuple[Array, ...]:
        """Return what an executor takes as slots: the optimiser's, and an average that each update moves."""
        moved = self._moved_average
        return self.slots() if moved is None else (*self.slots(), moved.values)

    def means(self) -> Array:
        """Return the room for the mean gradients of the batches since the last update, in the parameters' layout.

        It is the trainer's, so that an executor that a change of settings replaces leaves them to the next one.
        """
        if self._means is None:
            self._means = aligned_zeros(self.net.params.layout.size, self.net.dtype)
        return self._means

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the slots."""
        return self.optimizer.slots if isinstance(self.optimizer, Optimizer) else ()

    def _batch_optimizer(self) -> Optimizer:
        """Return the optimiser, which must not be a full-batch one."""
        if isinstance(self.optimizer, FullBatch):
            fix = "call fit, or set trainer.optimizer = optim.Adam()"
            v.refuse(TypeError, "optimizer", "step batch by batch", v.shown(self.optimizer), fix)
        return self.optimizer
