"""Fusion: neighbouring ops that one op can do. The results stay bit-identical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from fastnn.engine.ops import EPILOGUE, Op, derivative_needs_input, make_op, output_holds_mask


def fuse_forward(ops: Iterable[Op], kept: Collection[str], training: bool) -> list[Op]:
    """Merge each op of a forward list with the op before it, if that op's result has no other reader.

    The buffers in `kept`, such as the net's output, are always written.
    """
    fused: list[Op] = []
    ops = list(ops)
    readings = Counter(op.buffers[role] for op in ops for role in op.spec.reads if role in op.buffers)
    for op in ops:
        x = op.buffers.get("x")
        if x is not None and fused and fused[-1].buffers["y"] == x and x not in kept and readings[x] == 1:
            merged = _fuse_pair(fused[-1], op, training)
            if merged is not None:
                fused[-1] = merged
                continue
        fused.append(op)
    return fused


def _fuse_pair(first: Op, second: Op, training: bool) -> Op | None:
    """Return one op that does the work of both, or None if there is no such op."""
    if first.spec.epilogue != "applies" or first.attrs["p"] > 0.0:
        return None
    no_activation = first.attrs["activation"] == "identity"
    y = second.buffers["y"]
    if not training and second.kind in first.spec.absorbs and no_activation:
        kind = first.spec.absorbs[second.kind]
        return make_op(kind, {**second.buffers, **first.buffers, "y": y}, **second.attrs)
    if second.kind != "activation":
        return None
    if second.attrs["activation"] != "identity":
        if not no_activation:
            return None
        attrs = {key: second.attrs[key] for key in EPILOGUE}
        needs_h = training and first.spec.result == "y" and derivative_needs_input(second)
    else:
        attrs = {key: second.attrs[key] for key in ("p", "stream")}
        needs_h = not no_activation and not derivative_needs_input(first) and not output_holds_mask(first)
    h = {"h": first.buffers["y"]} if needs_h else {}
    return replace(first, buffers={**first.buffers, **h, "y": y}, attrs={**first.attrs, **attrs})


def fuse_backward(ops: Iterable[Op]) -> list[Op]:
    """Merge each epilogue_backward with the dense_grad_input that has made its gradient.

    No op between the two may use that gradient.
    """
    fused: list[Op] = []
    for op in ops:
        maker = _maker(fused, op.buffers["d"]) if op.kind == "epilogue_backward" else None
        if maker is None:
            fused.append(op)
        else:
            fused[maker] = replace(fused[maker], buffers={**fused[maker].buffers, "h": op.buffers["h"]}, attrs=op.attrs)
    return fused


def _maker(ops: list[Op], d: str) -> int | None:
    """Return the index of the op that may still undo an epilogue of the gradient that it has written, or None."""
    last = next((i for i in reversed(range(len(ops))) if d in ops[i].buffers.values()), None)
    if last is None or ops[last].spec.epilogue != "undoes":
        return None
    return last if ops[last].buffers.get("dx") == d and "h" not in ops[last].buffers else None
