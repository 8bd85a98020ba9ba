"""Pages of which a part, between two comments, is written by a command."""


def replaced(page: str, name: str, text: str) -> str:
    """Return a page with other text between ``<!-- name: begin -->`` and ``<!-- name: end -->``."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + text + end + after
