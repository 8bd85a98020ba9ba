"""Experiments: what study posts claim about neural nets, with tables, pictures and verdicts."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fastnn import _terminal
from fastnn import _validation as v
from fastnn._terminal import CommandError
from fastnn.lab._catalogue import POSTS, QUESTIONS, everything, experiment
from fastnn.lab._experiment import Experiment, Result
from fastnn.lab._pages import INDEX, write_index, write_page
from fastnn.plot import _style


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the lab's commands to a parser."""
    actions = parser.add_subparsers(dest="action", metavar="action")
    actions.add_parser("list", help="list the experiments by question", description="List the experiments.")
    for action, text in (("run", "run some experiments"), ("all", "run all of them")):
        each = actions.add_parser(action, help=text, description=f"{text.capitalize()}.")
        if action == "run":
            text = "as `lab list` shows it, or the path of a file with an experiment"
            each.add_argument("names", nargs="+", metavar="NAME", help=text)
        text = "folder for the pages (and an index of all); made if it is not there. Default: no pages"
        each.add_argument("--out", type=Path, metavar="DIR", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Run a command of the lab; return 1 if an experiment has not shown what it claims, else 0.

    Raises
    ------
    CommandError
        If an experiment is unknown, scikit-learn is not installed, or the folder cannot be written.
    """
    if arguments.action in (None, "list"):
        _terminal.write(listed(everything()))
        return 0
    try:
        chosen = everything() if arguments.action == "all" else [experiment(name) for name in arguments.names]
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    _terminal.check()
    if arguments.out is not None:
        check_folder(arguments.out, [f"{each.name}.html" for each in chosen] + [INDEX])
    try:
        results = run_all(chosen, arguments.out, whole=arguments.action == "run")
        if arguments.action == "all" and arguments.out is not None:
            write_index(arguments.out, results)
            _terminal.write(f"\nSee {arguments.out / INDEX}")
    except BrokenPipeError:
        raise
    except (ImportError, OSError) as error:
        raise CommandError(str(error)) from error
    return int(not all(each.holds for each in results))


def listed(experiments: Sequence[Experiment]) -> str:
    """Return a list of experiments by question."""
    width = max(len(each.name) for each in experiments)
    lines = []
    for question in QUESTIONS:
        of_question = [each for each in experiments if each.question == question]
        if of_question:
            lines += [
                question,
                *(f"  {each.name:<{width}}  {each.title} (post {each.post})" for each in of_question),
                "",
            ]
    return "\n".join([*lines, *(f"post {post}: {title}" for post, title in POSTS.items())])


def run_all(chosen: Sequence[Experiment], folder: Path | None, *, whole: bool) -> list[Result]:
    """Run experiments one after the other, print what they find, and write their pages into a folder."""
    if folder is not None and not _style.has_matplotlib():
        _terminal.write(f"The pages have no pictures, which need matplotlib: {v.install('plot')}\n")
    results = []
    width = max(len(each.name) for each in chosen)
    for each in chosen:
        result = each.run()
        results.append(result)
        verdict = "shown" if result.holds else "NOT SHOWN"
        _terminal.write(f"{result}\n" if whole else f"{each.name:<{width}}  {verdict}  {result.seconds:5.1f} s")
        if folder is not None:
            write_page(result, folder / f"{each.name}.html")
    if not whole:
        _terminal.write(f"\n{_total(results)}")
    return results


def check_folder(folder: Path, names: Sequence[str]) -> None:
    """Make the folder if it is not there, and see that files of these names can be written, before minutes of work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        got = f"{folder} ({error.strerror or error})"
        v.refuse(CommandError, "--out", "be a folder that can be written", got, "name another one")
    for path in (folder / name for name in names):
        if path.exists() and not path.is_file():
            v.refuse(CommandError, str(path), "be a file, or nothing", "a folder or a device", "name another --out")


def _total(results: Sequence[Result]) -> str:
    """Return how many experiments have shown what they claim, and the seconds of all."""
    shown = sum(each.holds for each in results)
    return f"{shown} of {len(results)} experiments show what they claim; {sum(each.seconds for each in results):.0f} s"
