"""The command line: ``python -m fastnn`` shows build and settings, ``python -m fastnn demo`` trains a net."""

import argparse
from collections.abc import Sequence

from fastnn import demo
from fastnn._show_config import show_config
from fastnn._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the command line.

    Returns
    -------
    int
        0 for success. Other statuses end the process: 1 if a command cannot run, 2 for wrong arguments or environment
        variables, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fastnn", description="Without a command: show the build and the current settings."
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo.add_arguments(commands.add_parser("demo", help="train a net and compare", description=demo.__doc__))
    arguments = parser.parse_args(argv)
    try:
        show_config(mode="dicts")  # reads the environment variables, so that errors in them are shown without traceback
    except (ImportError, TypeError, ValueError) as error:
        parser.exit(2, f"fastnn: {error}\n")
    if arguments.command is None:
        show_config()
        return 0
    try:
        demo.run(arguments)
    except demo.CannotRunError as error:
        parser.exit(1, f"fastnn demo: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "\nfastnn demo: stopped\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
