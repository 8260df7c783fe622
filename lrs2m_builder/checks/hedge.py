"""Check that an answer says what is there and does not guess."""

from __future__ import annotations

import regex as re

from lrs2m_builder.checks.base import Answer, Check

_SEEN = (
    r"(?:(?:clearly|easily|also|only|just|readily|hardly|barely|partly|partially|faintly)\s+)*"
    r"(?:seen|observed|found|spotted|discerned|made\s+out|counted|noticed|distinguished|viewed|visible|glimpsed"
    r"|detected"
    r"|recogni[sz]ed|recogni[sz]able|discernible|identified(?!\s+as)|traced|entered|reached|accessed|crossed"
    r"|approached"
    r"|driven|walked|followed|compared|read|divided|grouped|told|picked\s+out|used\s+by|taken\s+by|said)"
)
_HEDGE = re.compile(
    rf"""
      \b(?:in\s+all\s+(?:probability|likelihood)|chances\s+are|possibly|probably|presumably|perhaps|maybe|potentially
          |supposedly|conceivably|seemingly|apparently|arguably|likely|unlikely\s+(?:to|that))\b
    | \b(?:might|could|may)\s+(?:well\s+|also\s+|even\s+|either\s+)*(?:be
          |have\s+been)\b(?!\s+{_SEEN}\b)(?!\s+[\w\s]{{2,25}},\s+(?:but|yet)\b)
    | \b(?:might|may)\s+(?:well\s+|also\s+|even\s+)*(?:have|indicate|represent|suggest|serve|belong|contain|include
          |house|function|act|hold
          |correspond|signify|denote|lead|provide|consist|form|not|depict|imply|reflect|point|mark|exist|lie
          |accommodate|host|connect|reveal)\b
    | \bcould\s+(?:well\s+|also\s+)*(?:indicate|represent|suggest|serve|belong|contain|function|correspond|signify
          |denote|imply|reflect|point\s+to|mark|house)\b
    | \b(?:appears?|appeared|appearing|looks?|looking|seems?|seemed|seeming|thought|believed|assumed|presumed
          |supposed)\s+(?:\w+ly\s+)?to\s+(?!(?:the|a|an|its|their|both|either|one|left|right)\b)\w+\b
    | \bseem(?:s|ed|ing)?\s+(?:like|as\s+(?:if|though)|that)\b | \bit\s+seems?\b | \bwhat\s+(?:looks?|appears?
          |resembles?|may|might|could|seems?)\b
    | \bwould\s+(?:appear|seem)\b | \b(?:might|may|could|would)\s+(?:guess|think|assume|suppose|mistake|take\s+it
          |speculate)\b
    | \b(?:not\s+(?:certain|sure|clear)|unsure|uncertain)\b | \b(?:looks?|appears?|seems?)-(?:like|to)\b
    | (?:^|[.!?]\s)(?:it|there)\s+(?:looks|appears)\s+(?:like|as\s+(?:if|though)|that)\b | \b(?:looks?
          |appears?)\s+as\s+(?:if|though)\b
    | \b(?:suggest(?:s|ed|ing|ive)?)\b(?!\s+by\s+(?:its|their)\s+name)
    | (?<!arrow\s)(?<!arrows\s)(?<!sign\s)(?<!signs\s)(?<!marking\s)(?<!markings\s)(?<!lines\s)(?<!line\s)
          (?<!lights\s)(?<!letter\s)(?<!label\s)\bindicat(?:es?|ing)\s+an?\b
    | \bindicat(?:es?|ing|ed|ive)\s+(?:of\b|that\b|the\s+(?:presence|existence|use|possibility)|some\b|recent\b|it\b
          |they\b|possible|human|ongoing|either|active|there)
    | \b(?:impl(?:ies|y|ying)|hint(?:s|ing|ed)?\s+at|point(?:s|ing)\s+to\s+(?:an?|the\s+(?:presence|existence|use))\b)
    | \b(?:it\s+is|it's|it’s)\s+(?:\w+\s+)?(?:unclear|uncertain|possible|hard\s+to|difficult\s+to|not\s+clear
          |conceivable|plausible)\b
    | \b(?:unclear|uncertain)\s+(?:whether|if|what)\b | \b(?:an?|the|some|two|three|several|and|or|with
          |of)\s+(?:possible|probable|potential|presumed|suspected|apparent|supposed|likely)\s+(?!only\b|to\b
          |by\b)[a-z]+
    | \b(?:some\s+(?:sort|kind|type)\s+of|or\s+(?:something|some)\s+(?:similar|like))\b | \bof\s+some\s+(?:sort|kind)\b
    | \bi\s+(?:think|guess|believe|assume|suppose)\b | \bcan\s+be\s+(?:assumed|inferred|presumed|interpreted)\b
          | \b(?:inferred|infer|speculat\w+)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _hedge(answer: Answer) -> str | None:
    """What is there is said, not guessed."""
    if found := _HEDGE.search(answer.text):
        return f'The answer guessed ("{found.group().strip()}"). Say only what can be seen with confidence.'
    return None


HEDGE = Check("hedge", _hedge, "warn")
