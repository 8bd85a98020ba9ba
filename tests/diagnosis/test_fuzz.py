"""A short form of tools/fuzz_diagnose.py."""

import pytest
from random_trainings import random_report


@pytest.mark.parametrize(
    "first", [pytest.param(each, marks=pytest.mark.slow if each else ()) for each in range(0, 600, 60)]
)
def test_random_trainings_get_reports(first):
    reports = [each for seed in range(first, first + 60) if (each := random_report(seed)) is not None]
    assert len(reports) > 30, "most are no refusals"
    for each in reports:
        assert str(each)
        assert {finding.severity for finding in each.findings} <= {"note", "warning", "error"}
