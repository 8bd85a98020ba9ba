"""JSON of files of unknown origin: the memory that its values take is known before any of them is made."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from fastnn import _validation as v

MOST_JSON = 16 * 2**20  # bytes of a text
MOST_DEPTH = 64  # of lists and objects within each other
MOST_OBJECTS = 20_000  # tensors of a header, layers of a net
MOST_MEMORY = 20 * 2**20  # bytes that the values of a text take, besides the characters of its strings
MOST_DIGITS = 100  # characters of a number; Python takes quadratic time for integers of many digits

# What a value takes at most, in bytes: while a text is parsed, or as a setting of a layer that is made of it.
_COSTS = {b"[": 96, b"{": 256, b",": 112, b":": 128}
_COST_OF_STRING = 64
_WIDE = 4  # bytes of each character of a string in which one is beyond Latin letters
_BLOCK = 2**18


def parsed_json(name: str, text: bytes | bytearray | str) -> Any:
    """Return the values of a text of JSON, which messages call `name`.

    Raises
    ------
    ValueError
        If it is no JSON, has a key twice, a number that is not finite or too long, half of a surrogate pair, or is
        beyond the limits of this module.
    """
    import json

    has_escapes = _check_size(name, _encoded(name, text) if isinstance(text, str) else text)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            v.refuse(ValueError, name, "have each key once", "one of them twice")
        return made

    def refuse_constant(text: str) -> NoReturn:
        v.refuse(ValueError, name, "have finite numbers", text)

    def whole(digits: str) -> int:
        return int(digits) if len(digits) <= MOST_DIGITS else refuse_digits(digits)

    def real(digits: str) -> float:
        number = float(digits) if len(digits) <= MOST_DIGITS else refuse_digits(digits)
        return number if math.isfinite(number) else refuse_constant(digits)

    def refuse_digits(digits: str) -> NoReturn:
        v.refuse(ValueError, name, f"have numbers of at most {MOST_DIGITS} characters", f"one of {len(digits)}")

    must = "be JSON in UTF-8"
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        del text  # it may be large
        values = json.loads(
            decoded, object_pairs_hook=once, parse_constant=refuse_constant, parse_int=whole, parse_float=real
        )
    except json.JSONDecodeError as error:
        v.refuse(ValueError, name, must, f"an error at character {error.pos}, {error.msg!r}")
    except UnicodeDecodeError as error:
        v.refuse(ValueError, name, must, f"an error at byte {error.start}, {error.reason!r}")
    if has_escapes:
        _check_leaves(name, values)
    return values


def json_text(name: str, value: Any) -> str:
    """Return values as a text of JSON that `parsed_json` takes; all its characters are ASCII."""
    import json

    _check_leaves(name, value)
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    _check_size(name, text.encode())
    return text


def _check_leaves(name: str, value: Any) -> None:
    """Refuse strings that UTF-8 cannot encode, keys included, and integers that are too long."""
    rest = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            if not each.isascii():
                _encoded(name, each)
        elif isinstance(each, int):
            if abs(each) >= 10**MOST_DIGITS:
                got = f"one of {each.bit_length()} bits"
                v.refuse(ValueError, name, f"have integers of at most {MOST_DIGITS} digits", got)
        elif isinstance(each, dict):
            rest.extend(each)
            rest.extend(each.values())
        elif isinstance(each, list | tuple):
            rest.extend(each)


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        v.refuse(ValueError, name, "have text that UTF-8 can encode", f"{text[error.start : error.start + 1]!r} in it")


class _Size:
    """What has been found in a text so far."""

    def __init__(self) -> None:
        self.memory = self.objects = self.depth = 0
        self.within = False  # a string
        self.wide = self.escapes = False

    def add(self, block: bytes) -> int:
        """Count what is in a block that ends with no half of an escape, and return how deep it goes."""
        bare = block.replace(b"\\\\", b"").replace(b'\\"', b"")  # every quote is now one end of a string
        self.escapes = self.escapes or b"\\u" in bare
        self.wide = self.wide or self.escapes or not bare.isascii()
        codes = np.frombuffer(bare, np.uint8)
        quotes = codes == ord('"')
        within = np.logical_xor.accumulate(quotes) ^ self.within if codes.size else quotes
        self.within = bool(within[-1]) if codes.size else self.within
        codes = codes[~within]
        for sign, cost in _COSTS.items():
            self.memory += cost * int(np.count_nonzero(codes == ord(sign)))
        self.objects += int(np.count_nonzero(codes == ord("{")))
        self.memory += _COST_OF_STRING * int(np.count_nonzero(quotes)) // 2
        opens, closes = ((codes == ord(each[0])) | (codes == ord(each[1])) for each in ("[{", "]}"))
        depths = np.cumsum((opens.astype(np.int8) - closes)[opens | closes], dtype=np.int64) + self.depth
        if not depths.size:
            return self.depth
        self.depth = int(depths[-1])
        return int(depths.max())


def _check_size(name: str, text: bytes | bytearray) -> bool:
    """Refuse a text that is too long, too deep or has too many values; return whether it has escapes of characters."""
    if len(text) > MOST_JSON:
        v.refuse(ValueError, name, f"have at most {MOST_JSON} bytes", len(text))
    size, start, view = _Size(), 0, memoryview(text)
    while start < len(text):
        block = bytes(view[start : start + _BLOCK])
        if (len(block) - len(block.rstrip(b"\\"))) % 2:  # with the character that its last backslash escapes
            block = bytes(view[start : start + _BLOCK + 1])
        start += len(block)
        deepest = size.add(block)
        if deepest > MOST_DEPTH:
            v.refuse(ValueError, name, f"be at most {MOST_DEPTH} lists and objects deep", deepest)
        if size.objects > MOST_OBJECTS:
            v.refuse(ValueError, name, f"have at most {MOST_OBJECTS} objects", "more")
        if size.memory > MOST_MEMORY:
            must, got = f"have values that take at most {MOST_MEMORY // 2**20} MiB of memory", "more values"
            v.refuse(ValueError, name, must, got)
        if size.wide and len(text) > MOST_JSON // _WIDE:
            must = f"have at most {MOST_JSON // _WIDE} bytes if it has characters that are not ASCII"
            v.refuse(ValueError, name, must, len(text))
    return size.escapes
