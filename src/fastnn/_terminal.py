"""Text on standard output, whatever characters that has."""

import sys


class CommandError(Exception):
    """A command of ``python -m fastnn`` cannot run; its message is all that the user sees."""


def write(text: str) -> None:
    """Print lines; characters that the terminal does not have are written out.

    Raises
    ------
    CommandError
        If standard output has been closed by whoever started the program.
    """
    if sys.stdout is None:
        raise CommandError("standard output is closed")
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
