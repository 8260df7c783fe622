"""What the site changes in the pages: a link to a file of the repository outside docs/ becomes that file's path."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The hook of mkdocs: Markdown of a page to the Markdown that is rendered."""
    return OUTSIDE.sub(r"\1 (`\2`)", markdown)
