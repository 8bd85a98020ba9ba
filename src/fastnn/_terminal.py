"""Text on standard output, whatever characters that has."""

import sys


class CommandError(Exception):
    """A command of ``python -m fastnn`` cannot run; its message is all that the user sees."""


def write(text: str) -> None:
    """Print lines; characters that the terminal does not have are written out.

    Raises
    ------
    CommandError
        If standard output has been closed by whoever started the program, or cannot be written.
    BrokenPipeError
        If whoever reads it has stopped reading: the program then ends, silently.
    """
    check()
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = None  # so that Python does not flush it at its end
        raise
    except OSError as error:
        sys.stdout = None
        raise CommandError(f"standard output cannot be written: {error.strerror}") from error


def check() -> None:
    """Raise CommandError if standard output is closed: before minutes of work."""
    if sys.stdout is None:
        raise CommandError("standard output is closed")
