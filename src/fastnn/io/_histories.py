"""Histories in files (stub until the other one comes)."""

from __future__ import annotations

from typing import Any

from fastnn.io._files import Content, Saved


def pack_history(epochs: list[dict[str, Any]], content: Content, where: str) -> Any:
    return content.value(epochs, where)


def unpack_history(saved: Saved, plain: Any, where: str) -> list[dict[str, Any]]:
    return saved.value(plain, where)
