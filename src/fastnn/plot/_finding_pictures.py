"""The pictures of a report's findings: one of each kind, drawn from the evidence and the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastnn.diagnosis._findings import Finding
from fastnn.plot import (
    _finding_pictures_data,
    _finding_pictures_layers,
    _finding_pictures_outputs,
    _finding_pictures_training,
)
from fastnn.plot._finding_pictures_base import NoPicture, PicturedTraining
from fastnn.plot._pages import Picture

__all__ = ["PICTURES", "NoPicture", "PicturedTraining", "picture_of"]

PICTURES: Mapping[str, Callable[[Finding, PicturedTraining], Picture]] = {
    **_finding_pictures_data.PICTURES,
    **_finding_pictures_outputs.PICTURES,
    **_finding_pictures_layers.PICTURES,
    **_finding_pictures_training.PICTURES,
}


def picture_of(finding: Finding, training: PicturedTraining) -> Picture:
    """Return the picture of a finding.

    Parameters
    ----------
    finding : Finding
    training : PicturedTraining
        Shared by all findings of a report.

    Returns
    -------
    Picture

    Raises
    ------
    NoPicture
        If it cannot be drawn: the evidence is not there, the training does not run, or there is nothing finite.
    """
    if finding.kind not in PICTURES:
        raise NoPicture("findings of this kind have none")
    return PICTURES[finding.kind](finding, training)
