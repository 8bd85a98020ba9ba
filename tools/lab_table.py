"""Write the list of experiments of docs/lab.md: ``python -m tools.lab_table``."""

from pathlib import Path

from fastnn.lab import POSTS, QUESTIONS
from fastnn.lab._catalogue import everything
from tools.marked import replaced

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "lab.md"


def table() -> str:
    """Return a table for each question."""
    text = ""
    for question in QUESTIONS:
        rows = [
            f"| [`{each.name}`](../src/fastnn/lab/experiments/{each.name.replace('-', '_')}.py) | {each.title} "
            f"| {each.post} | {'●' if 'Where the post errs' in each.text else ''} |\n"
            for each in everything()
            if each.question == question
        ]
        if rows:
            text += (
                f"### {question}\n\n| experiment | what it is about | post | corrects the post |\n|---|---|---|---|\n"
            )
            text += "".join(rows) + "\n"
    posts = "".join(f"- {post}: {title}\n" for post, title in POSTS.items())
    return f"{text}The posts, all in Korean, by the numbers that they have here:\n\n{posts}"


def updated(page: str) -> str:
    """Return the page with the list brought up to date."""
    return replaced(page, "experiments", table())


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
