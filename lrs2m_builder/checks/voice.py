"""Checks on whose voice is heard: the answer is a caption, not a refusal, a chat reply or talk about the hint."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check

_APOSTROPHE = r"(?:'|’)?"
_REFUSAL = re.compile(
    rf"""
      \b(?:i|we)(?:\s+am|{_APOSTROPHE}m|\s+are|{_APOSTROPHE}re)?\s+(?:very\s+|so\s+|truly\s+)?sorry\b
    | ^\W*(?:sorry|apologies|my\s+apologies|unfortunately)\b
    | \b(?:i|we)\s+(?:apologi[sz]e|regret)\b
    | \b(?:i|we)\s+(?:can\s?not|can{_APOSTROPHE}t|could\s?not|could\s?n{_APOSTROPHE}t|am\s+unable|are\s+unable
        |am\s+not\s+able|are\s+not\s+able|do\s+not\s+have|do\s?n{_APOSTROPHE}t\s+have
        |(?:do\s+not|do\s?n{_APOSTROPHE}t)\s+see\s+an(?:y)?\s+image|will\s+not\s+be\s+able|wo\s?n{_APOSTROPHE}t\s+be\s+able)\b
    | \bi{_APOSTROPHE}m\s+(?:unable|not\s+able|not\s+allowed|just\s+an?\s+ai)\b
    | \b(?:as|i\s+am|i{_APOSTROPHE}m)\s+an?\s+(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model)\b
    | \b(?:no|without\s+an?)\s+image\s+(?:(?:was|is|has\s+been)\s+)?(?:provided|attached|given|shared|uploaded)\b
    | \b(?:please|kindly|could\s+you|can\s+you)\s+(?:please\s+)?(?:provide|upload|share|attach|send)\b
    | \b(?:image|picture|photo)\s+
        (?:could\s+not|cannot|can{_APOSTROPHE}t|did\s+not|did\s?n{_APOSTROPHE}t|failed\s+to)\s+(?:be\s+)?
        (?:loaded|load|displayed|opened|viewed|processed)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PREAMBLE = re.compile(
    r"""
    ^\W*(?:
        (?:sure|certainly|of\s+course|absolutely|okay|ok|alright|got\s+it|understood)\s*[,.!:;–—]
      | great\s*(?:[.!:;–—]|,\s*(?:here|i|let|this\s+is)\b)
      | (?:here(?:'s|’s|\s+is|\s+are)|below\s+is|the\s+following\s+is|this\s+is)\s+(?:the|a|an|my|your)\s+
            (?:\w+[\s-]+){0,4}?(?:description|caption|paragraph|summary|answer|response)\b
      | (?:(?:long|short|detailed|revised|improved|expanded|image|final|new)\s+){0,3}
            (?:caption|description|answer|summary|output|response|paragraph|rewritten\s+caption)\s*\*{0,2}\s*[:：]
      | (?:i'll|i’ll|i\s+will|let\s+me|allow\s+me\s+to)\s+(?:describe|provide|write|give|summari[sz]e)\b
      | (?:user|assistant|system)\s*:
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The given texts, as a model calls them.
_GIVEN = (
    r"(?:(?:short|brief|given|provided|original|accompanying|reference|first|second|human|supplied|image)\s+){0,3}"
    r"(?:captions?|hints?|prompts?|labels?\s+provided|provided\s+(?:text|description|"
    r"information|labels?)|given\s+(?:text|description|information|labels?)|short\s+(?:text|description))"
)
_HINT_LEAK = re.compile(
    rf"""
      \b(?:the|this|that|your|these|a)\s+{_GIVEN}\s+(?:\w+ly\s+)?
        (?:says?|said|states?|stated|mentions?|mentioned|describes?|described|suggests?|suggested|indicates?|indicated
        |notes?|noted|implies|implied|reads?|tells?|claims?|refers?|calls?|provides?|provided|given|asks?|requests?
        |is|are|was|were|does|do|did)\b
    | \b(?:as|like)\s+(?:\w+ly\s+)?(?:mentioned|stated|described|noted|indicated|suggested|said|given|hinted)
        \s+(?:in|by)\s+(?:the|this|your)\s+{_GIVEN}
    | \b(?:according\s+to|based\s+on|consistent\s+with|in\s+line\s+with|matches|matching|per|confirms|confirming
        |contrary\s+to|in\s+accordance\s+with|aligns\s+with|mentioned\s+in|stated\s+in|described\s+in|given\s+in)
        \s+(?:the|this|your|these)\s+{_GIVEN}\b
    | \bas\s+(?:mentioned|stated|described|noted|indicated|hinted)\s+(?:above|before|earlier|previously)\b
    | \b(?:as\s+)?(?:you|the\s+user)\s+(?:mentioned|said|described|provided|asked|requested|stated|gave|noted)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _refusal(answer: Answer) -> str | None:
    if found := _REFUSAL.search(answer.text):
        return f'The answer refused ("{found.group().strip()}"). Describe what can be seen, nothing else.'
    return None


def _preamble(answer: Answer) -> str | None:
    if found := _PREAMBLE.search(answer.text):
        return f'The answer began with "{found.group().strip()}". Begin with the description itself.'
    return None


def _hint_leak(answer: Answer) -> str | None:
    if found := _HINT_LEAK.search(answer.text):
        return f'The answer spoke of the given text ("{found.group().strip()}"). Speak of the image only.'
    return None


REFUSAL = Check("refusal", _refusal)
PREAMBLE = Check("preamble", _preamble)
HINT_LEAK = Check("hint_leak", _hint_leak)
