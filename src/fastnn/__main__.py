"""The command line, ``python -m fastnn``: alone it shows the build and the settings; there are commands besides."""

import argparse
from collections.abc import Sequence

from fastnn import demo
from fastnn._show_config import show_config
from fastnn._terminal import CommandError
from fastnn._version import __version__
from fastnn.io import _show
from fastnn.lab import _command as lab


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the command line.

    Returns
    -------
    int
        0 for success, 1 if an experiment of the lab has not shown what it claims. Other statuses end the process: 1 if
        a command cannot run, 2 for wrong arguments or environment variables, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fastnn", description="Without a command: show the build and the current settings."
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo.add_arguments(commands.add_parser("demo", help="train a net and compare", description=demo.__doc__))
    text = "show what is in a model file"
    _show.add_arguments(commands.add_parser("show", help=text, description=f"{text.capitalize()}."))
    text = "run experiments about nets: tables, pictures and verdicts"
    lab.add_arguments(commands.add_parser("lab", help=text, description=lab.__doc__))
    arguments = parser.parse_args(argv)
    try:
        show_config(mode="dicts")  # reads the environment variables, so that errors in them are shown without traceback
    except (ImportError, TypeError, ValueError) as error:
        parser.exit(2, f"fastnn: {error}\n")
    if arguments.command is None:
        show_config()
        return 0
    try:
        return {"demo": demo.run, "show": _show.run, "lab": lab.run}[arguments.command](arguments) or 0
    except CommandError as error:
        parser.exit(1, f"fastnn {arguments.command}: {error}\n")
    except BrokenPipeError:
        parser.exit(1)
    except KeyboardInterrupt:
        parser.exit(130, f"\nfastnn {arguments.command}: stopped\n")


if __name__ == "__main__":
    raise SystemExit(main())
