"""Metadata requests of an estimator in files: what `set_fit_request` and its like have set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sklearn.utils.metadata_routing import UNUSED, WARN

from fastnn import _validation as v


def _methods(kind: type[Any]) -> Iterator[str]:
    """Yield the names of the methods that have requests."""
    for name in dir(kind):
        if found := re.fullmatch(r"set_(\w+)_request", name):
            yield found[1]


def pack_requests(estimator: Any) -> dict[str, dict[str, Any]]:
    """Return the requests that differ from those of a new estimator, by method and by the name of the metadata."""
    kind, changed = type(estimator), {}
    mine, new = estimator.get_metadata_routing(), kind().get_metadata_routing()
    for method in _methods(kind):
        requests = getattr(mine, method).requests
        pairs = ((name, requests.get(name, UNUSED), known) for name, known in getattr(new, method).requests.items())
        if different := {name: request for name, request, known in pairs if request != known}:
            changed[method] = different
    return changed


def set_requests(estimator: Any, part: Any) -> None:
    """Set the requests that `pack_requests` has returned, checked; others are those of a new estimator."""
    given = v.instance("requests", part, dict, "be an object")
    routing, methods = estimator.get_metadata_routing(), tuple(_methods(type(estimator)))
    for method, requests in given.items():
        of_method = getattr(routing, v.choice("the name of a method in requests", method, methods))
        for name, request in v.instance(f"requests.{method}", requests, dict, "be an object").items():
            v.choice(f"a name in requests.{method}", name, of_method.requests)
            is_text = isinstance(request, str) and (request.isidentifier() or request in (UNUSED, WARN))
            if not is_text and not isinstance(request, bool | None):
                must = f"be True, False, None, a name, {UNUSED!r} or {WARN!r}"
                v.refuse(ValueError, f"requests.{method}.{name}", must, v.shown(request))
            of_method.add_request(param=name, alias=request)
    if given:
        estimator._metadata_request = routing
