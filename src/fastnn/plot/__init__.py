"""Pictures of nets and trainings, by matplotlib, which the extra ``plot`` installs."""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
