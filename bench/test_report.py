"""README's table is what the kept measurements give."""

import json

from report import BEGIN, KEPT, ROOT, between_marks, block


def test_readme_has_the_table_of_the_kept_results():
    readme = (ROOT / "README.md").read_text()
    written = between_marks(readme)[1].strip() if BEGIN in readme else ""
    assert written == (block(json.loads(KEPT.read_text())).strip() if KEPT.exists() else "")
