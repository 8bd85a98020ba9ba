"""Fixtures of the scikit-learn door's tests."""

import pytest

pytest.importorskip("sklearn")
