"""Activations that are registered for one test."""

from fastnn import nn


def register(monkeypatch, **functions):
    """Register activations by name; they are forgotten when the test is over, and others are unknown until then."""
    known = nn.activations.MAKERS.items()
    makers = {name: make for name, make in known if not isinstance(make, nn.activations._Registered)}
    monkeypatch.setattr(nn.activations, "MAKERS", makers)
    monkeypatch.setattr(nn.activations.NAMES, "known", makers)
    for name, make in functions.items():
        nn.register_activation(name, make)
