"""Pictures of nets and trainings, by matplotlib, which the extra ``plot`` installs."""

from fastnn.plot.trainings import gradient_flow, histograms, history, learning_rate, trajectories

__all__ = [
    "gradient_flow",
    "histograms",
    "history",
    "learning_rate",
    "trajectories",
]


def __dir__() -> list[str]:
    return __all__
