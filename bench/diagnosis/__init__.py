"""Trainings with a known fault, and healthy ones: what `fastnn.diagnose` says of them is measured."""
