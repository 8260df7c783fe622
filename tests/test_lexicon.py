"""The words and patterns of the checks are whole: names are texts, parts are used, patterns compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import regex
import yaml

from lrs2m_builder.checks.reading import lexicon

FOLDER = Path(lexicon.__file__).parent.parent / "lexicon"
FILES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SHARED = lexicon._content("parts")["parts"]


@pytest.mark.parametrize("file", FILES)
def test_every_name_of_a_file_is_a_text_and_not_what_yaml_reads_no_and_on_as(file: str) -> None:
    content = lexicon._content(file)
    assert content.keys() <= {"parts", "patterns", "words", "lists"}
    assert all(isinstance(name, str) for section in content.values() for name in section)
    assert all(isinstance(phrase, str) for phrases in content.get("lists", {}).values() for phrase in phrases)


@pytest.mark.parametrize("file", FILES)
def test_every_part_is_used_and_every_pattern_begins_with_its_flags_and_compiles(file: str) -> None:
    content = lexicon._content(file)
    used = set(re.findall(r"\{([a-z_]+)\}", yaml.safe_dump([content.get("patterns", {}), content.get("parts", {})])))
    assert file == "parts" or content.get("parts", {}).keys() <= used <= content.get("parts", {}).keys() | SHARED.keys()
    for name, pattern in content.get("patterns", {}).items():
        assert re.match(r"\(\?[a-zV1]*x\)\n", pattern), name
        assert regex.compile(lexicon._source(file, name)).groups >= 0
