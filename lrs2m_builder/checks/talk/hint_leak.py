"""Check that an answer speaks of the image, not of the captions, labels and counts that the model was given."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, cued, late, listed, without_writing
from lrs2m_builder.checks.talk.given_text import speaks_of_given_text
from lrs2m_builder.checks.talk.lexicon import ACCORDING, HANDED, HANDED_OVER, IMAGE, MAYBE_TEXT, SAY, TEXT
from lrs2m_builder.checks.talk.sentences import sentences

# A label or a list may also be one that hangs in the scene.
_NOT_WRITTEN = (
    r"(?!\s+(?:on|of\s+(?!(?:the|this)\s+(?:image|picture|photo|scene|objects)\b|objects|labels)|painted|under|below"
    r"|beside|board|reads?|is\s+painted|too|in\s+(?:white|black|large|big|red)|stands?)\b|-)"
)
# The given texts, as a model calls them.
_GIVEN = (
    r"(?:(?:short|brief|given|provided|original|accompanying|reference|first|second|human|supplied|image)\s+){0,3}"
    r"(?:captions?|hints?|prompts?|labels?\s+provided|provided\s+(?:text|description|"
    r"information|labels?|list|classes|counts?|objects|annotations?|categories|tags?|details|data|metadata|context"
    r"|sentences?)|given\s+(?:text|description"
    r"|information|labels?|list|classes|counts?|annotations?|categories|objects|tags?|context|sentences?|data)"
    r"|short\s+(?:text|description)|reference\s+(?:text|description|captions?)"
    r"|original\s+(?:text|description|sentence|labels?|annotations?)|human\s+(?:description|annotations?|annotators?"
    r"|description|text)"
    r"|object\s+list|label\s+list|class\s+(?:label|list)s?|scene\s+(?:label|class)|image\s+labels?"
    r"|ground[\s-]truth(?:\s+\w+)?|annotations?|annotators?|labels|anchors|metadata"
    r"|list\s+of\s+(?:objects|labels|classes|categories|anchors)|supplied\s+(?:text|labels?|list|description)"
    r"|input\s+(?:text|caption|description)|source\s+(?:text|caption|description)|accompanying\s+(?:text"
    r"|description|labels?))"
)
_HINT_LEAK = late(
    re.compile,
    rf""" \b(?:according\s+to|based\s+on|as\s+per|in\s+keeping\s+with|in\s+agreement\s+with|in\s+accord\s+with
          |consistently\s+with|thanks\s+to|supported\s+by|guided\s+by|consistent\s+with|in\s+line\s+with|matches
          |matching|per|confirms|confirming
        |contrary\s+to|in\s+accordance\s+with|aligns\s+with|mentioned\s+in|stated\s+in|described\s+in|given\s+in)
        \s+(?:the|this|your|these)\s+{_GIVEN}\b
    | \b(?:the|as|all|each\s+of\s+the)\s+(?:listed|labell?ed|annotated|hinted|mentioned
          |specified)\s+(?:in|by|objects?|class(?:es)?|categor(?:y|ies)|items?|counts?|elements?|features?)\b
    | \b(?:from|by|using|given|with|despite|unlike|of|in|to|follow(?:s|ing)?)\s+(?:the|this|your)\s+(?:(?:given
          |provided|original|short|supplied)\s+)(?:captions?|hints?|labels?|list|descriptions?|text|annotations?
          |prompt)\b
    | \b(?:the|this|your)\s+(?:hint|caption|captions|hints|annotations?|annotators?|object\s+list
          |label\s+list)(?:['’]s)?\b(?!\s+(?:of\s+(?!(?:the|this)\s+(?:image|picture|photo|scene))|on|in\s+(?:white
          |black|large)|painted|under|below|beside|board|is\s+painted))
    | \b(?:the|this|these|all|your)\s+(?:[\w-]+\s+){{0,2}}?(?:labels?|list|information|text|counts?|captions?
          |descriptions?|sentences?|hints?|data|annotations?|classes|numbers?|details|prompt)
        \s+(?:given|provided|supplied|above|listed)\b(?!\s+(?:the|an?|on|under|at)\b)
    | \b(?:the|this|these|all|your)\s+(?:first|second|third|short|input|given|provided|supplied|other|original
          |reference|human|two|five)\s+(?:captions?|descriptions?|sentences?|labels?|hints?
          |annotators?)\b{_NOT_WRITTEN}
    | \b(?:people|someone|they|humans?|annotators?|a\s+person|the\s+person|others|observers)\s+(?:have\s+
          |has\s+)?(?:described?|describes|called|labell?ed|captioned|annotated|said|say|says|call|calls)\b
    | \bthe\s+list\s+(?:contains?|has|names?|says?|gives?|mentions?|includes?|states?|of\s+(?:objects|classes|labels
          |anchors))\b
    | \b(?:the|an?|each|every|one\s+of\s+the|both|all|these|those|two|several|some|given|provided|per|to|with|from
          |by)\s+(?:[\w-]+\s+){{0,2}}?
        (?:captions?|descriptions?|annotations?|annotators?|metadata|ground[\s-]truth)\b{_NOT_WRITTEN}
    | \b(?:per|given|from|by|as|with|under|to|class|scene|image)\s+(?:(?:the|its|this|these|image|class|scene
          |object)\s+)+(?:labels?|tags?|class|category|categories|list)\b{_NOT_WRITTEN}
    | \bthe\s+(?:mentioned|stated|specified|hinted|annotated|labell?ed)\s+\w+ | \b(?:i|we)\s+(?:was
          |were|am|are)\s+(?:told|given|informed|asked)\b
    | \bthe\s+(?:given|provided|stated|specified|supplied|expected|required)\s+(?:\w+\s+)?(?:numbers?|counts?|totals?
          |figures?|class(?:es)?|categor(?:y|ies)|names?|words?)\b
    | \bthe\s+(?:numbers?|counts?|totals?|figures?|names?|words?|class(?:es)?|labels?|text|description)\s+(?:that
          |which)\s+(?:was|were|is|are|has\s+been|have\s+been)\s+(?:given|provided|supplied|stated|listed|mentioned)\b
    | \bas\s+(?:\w+ly\s+)?(?:hinted|listed|labell?ed|specified|stated|mentioned|described|indicated|noted|given
          |provided|reported|annotated|captioned|told|said|suggested)\s*
        (?=[,.;:!)]|$|(?:that|there|above|before|earlier|previously|the\s+(?:scene|image|area))\b)
    | \bwhat\s+is\s+(?:described|stated|mentioned|listed|labell?ed)\b
    | \b(?:what|that|which|than|as)\s+(?:was|were|has\s+been|had\s+been)\s+(?:described|specified|stated|mentioned
          |provided|given|listed|said|told|reported|supplied|indicated)\b
    | \b(?:the|this|your|our|an?)\s+(?:reference|input|prompt|source|metadata|anchors?|record|listing|statement|user
          |annotators?|request|query|tags?)\s+(?:\w+ly\s+)?
        (?:says?|states?|mentions?|tells?|lists?|claims?|describes?|calls?|speaks?|names?|asks?|notes?|suggests?
          |indicates?|gives?|that|wants?)\b
    | \bits\s+(?:class|label|category|tag|description|caption)\b{_NOT_WRITTEN} | \b(?:from|on|in|by
          |per)\s+the\s+list\b{_NOT_WRITTEN} | \b(?:as\s+)?(?:you|the\s+user)\s+(?:mentioned|said|described
          |provided|asked|requested|stated|gave|noted)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Any talk of a given text, by its grammar: a word for such a text that is owned, says, or is where something stands.
_TALK = late(
    re.compile,
    r""" \b(?:the|this|these|those)\s+(?:[\w-]+\s+)?(?:texts?|lists?|notes?|tags|labels|inputs?|sentences?
          |records?|data
          |information|wording|statements?|listing|inventory)\s+(?:\w+ly\s+|also\s+|only\s+)?
          (?:say|state|mention|describe|name|count|speak|suggest|indicate|confirm|agree|report|tell|specif|identif
          |impl|omit
          |claim|refer|add)(?:s|ed|ies|ied)?\b(?!\s+(?:on|in\s+white|painted))
    | (?:^|[.!?]\s+)(?:anchors?|hints?|labels?|tags?|category|class|scene\s+(?:category|class|type|label)|annotations?
          |objects?|key\s?words?|metadata|input|given|classes|categories|object\s+counts?)\s*:
    | \b(?:annotated|captioned|pre-?labell?ed|hinted)\s+(?!(?:with|by|in|on|and|photograph|panel|board|display
          |picture|plaque)s?\b)[a-z]+s?\b
    | \b(?:as|like|just\s+as)\s+in\s+the\s+(?:reference|caption|hint|label|description|text|input|list|annotation
          |prompt)s?\b
    | (?:^|[.!?]\s+)(?:tagged|captioned|annotated|labell?ed|titled)\s+(?:as\b|by\b|["“])
    | \bconsistent\s+with\s+["“] | \byou\s+(?:are|were)\s+(?:\w+ly\s+|quite\s+)?(?:right|correct|wrong|mistaken)\b
    | \b(?:phrase|expression|statement|sentence|quote|remark)\s+["“]
    | \bas\s+(?:its|the|a)\s+(?:given\s+)?(?:title|label|tag|class|category)\b(?!\s+(?:of|on)\b)
    | \b(?:given|listed|provided|specified|supplied|named)\s+as\s+(?:an?\s+|the\s+)?(?:anchor|hint|label|tag
          |input)s?\b
    | ["”]\s+(?:is|was|seems|proves)\s+(?:\w+\s+){0,3}?(?:statement|phrase|claim|description|remark|wording|accurate
          |correct|right|true|apt)\b
    | \bcounts?\s+(?:of\s+[\w-]+\s+)?(?:given|provided|supplied|stated)\b | \b(?:notes?|texts?|lists?|data
          |information|words?|sentences?|phrases?|details|numbers?|figures?|counts?
          |captions?
          |names?|descriptions?|material|context|inputs?|reference|remarks?|facts?)\s+(?:that\s+(?:was|were|is
          |are)\s+)?
          (?:provided|supplied|given|attached|handed|delivered|received|submitted)\b(?!\s+(?:to|the|an?|way)\b)
    | \bas\s+(?:the|your|one|another|its|this|these)\s+(?:[\w-]+\s+){0,3}?(?:sentences?|captions?|texts?|labels?|tags?
          |descriptions?|hints?|lists?|notes?|input|words?|counts?)\s+
          (?:(?:say|state|mention|describe|list|name|count|give|speak|call|suggest|indicate|note|report|tell|show
          |specif
          |identif|put|impl|point|has|have|would|ha[ds])\w*|that)\b
    # "this scene, labelled as", "belongs to the category"
    | \b(?:scene|image|picture|area|place|site|photo\w*|view|tile)\s*,\s*(?:which\s+(?:is|was)\s+)?(?:labell?ed|tagged
          |described|annotated|captioned|categori[sz]ed|classified|listed|referred\s+to|known)\s+(?:as|in|by|with)\b
    | \b(?:people|persons?|humans?|writers?|ones?|user|observers?|those|someone|anyone|whoever|author|volunteers?)
          \s+(?:who|that)\s+(?:had\s+|have\s+|has\s+)?(?:described?|captioned|labell?ed|annotated|wrote|tagged|named
          |said
          |describes|writes|labels)\b
    | \b(?:consistent|agree\w*|line|accord\w*|conform\w*|keeping|match\w*|fit\w*|correspond\w*|conflict\w*
          |contradict\w*
          |confirm\w*|compar\w+|disagree\w*|differ\w*|contrast\w*|tall(?:y|ies)|square[sd]?)\s+
          (?:(?:with|to|from|by)\s+)?(?:the|its|this|your|their|all|both|what)\s+(?:[\w-]+\s+){0,2}?
          (?:labels?|tags?|captions?|descriptions?|hints?|annotations?|class|category|supplied|provided|given|stated
          |input|wording|sentences?|was\s+\w+ed|is\s+\w+ed|said|counts?)\b(?!\s+(?:on|of\s+stone|painted)\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The ways of speaking of a text, composed of the words for it: who said it, what rests on it, whether it is right.
_QUOTED = r"""["“'‘][^"“”]{2,90}["”'’]"""
_ON_A_SIGN = r"(?!\s+(?:on|painted|carved|above\s+the\s+(?:door|portal|entrance)|board|boards|reads?|mown)\b|-)"
_SPOKEN_OF = late(
    re.compile,
    rf""" \b{ACCORDING}\s+(?:what|whatever|all\s+that|everything)\s+(?:[\w'’]+\s+){{0,3}}?{SAY}\b
    | \b(?:the|this|that|your|these|those|as)\s+(?:{HANDED}|short|brief|scene|image|single|object)\s+(?:[\w-]+\s+)?
          {MAYBE_TEXT}\s+(?:(?:\w+ly|also|only|just|even|merely|already|itself|alone)\s+)*(?:{SAY}|is|are|was|were|has
          |have|does|do|that|of\s+(?:the|this)\s+{IMAGE})\b{_ON_A_SIGN}
    | \b(?:the|this|that|your|these|those|as)\s+(?:text|description|wording|statement|remark|phrase|note|list|sentence
          |tag|label|title|file\s?name|input|brief|account|information|clue|inventory|tally|summary)s?\s+(?:(?:\w+ly
          |also|only|just|even|itself|alone|did|does|do|did\s+not|does\s+not)\s+)*(?:{SAY}|{_QUOTED})
          (?!\s+(?:on|in\s+(?:white|big|large)|painted)\b)(?<!put)(?<!point)(?<!number)(?<!summary)
    | \b(?:the|this|that|your)\s+(?:wording|statement|remark|claim|assertion|phrase|assumption|information|mention
          |words|label|tag|category|class)\s+(?:that\s+(?:there|the|an?|this|some|many|several|it|two|three|four
          |five)\b
          |{_QUOTED})
    # "your note", "you've told me", "I was informed"
    | \b(?:you|the\s+user|users)\s*(?:['’]ve|['’]d|have|had|has)?\s+(?:\w+ly\s+|already\s+|also\s+)?(?:{SAY})\b
    | \b(?:i|me|we|us)\s+(?:(?:was|were|am|are|have|had|been|already|also)\s+){{0,3}}
          (?:told|informed|given|handed|advised|asked|instructed)\b
    | \b(?:told|informed|advised)\s+(?:me|us)\b
    # "someone summed it up as", "just like you wrote", "nothing was said about it", "it was pointed out that"
    | \b(?:someone|somebody|people|whoever|others|observers|another\s+person)\s+(?:(?:has|have|had|also|already
          |once)\s+)*
          (?:{SAY}|summed\s+(?:it\s+|this\s+\w+\s+|the\s+\w+\s+)?up|wrote|written|pointed\s+out)\b
    | \b(?:like|as|what|that|which)\s+you\s+(?:have\s+|had\s+)?(?:{SAY}|wrote|written|pointed\s+out)\b
    | \b(?:nothing|little|no\s+word|not\s+a\s+word|much)\s+(?:was|is|has\s+been|were)\s+(?:said|mentioned|written|told
          |stated|noted)\b
    | \bit\s+(?:is|was|has|had)\s+(?:already\s+)?(?:been\s+)?(?:\w+ly\s+|also\s+|already\s+)?(?:pointed\s+out
          |said|stated|mentioned|noted
          |suggested|hinted|reported|indicated|claimed|remarked)\s+(?:that|to\s+be)\b
    | \b(?:its|the)\s+(?:given|stated|assigned|official|supplied|provided|annotated)\s+(?:scene\s+|object\s+)?
          (?:class|label|category|name|title|tag|type)\b(?!\s+(?:on|painted|board))
    | \b(?:it|this|that|as|which)\s+(?:(?:is|was|were|has\s+been|had\s+been)\s+)?(?:already\s+)?(?:stated|mentioned
          |noted|said|told|announced|described|specified|indicated|hinted|remarked|written|reported)\s+(?:already
          |before|beforehand|earlier|above|previously|in\s+advance|elsewhere|at\s+the\s+(?:start|outset|beginning))\b
    # "see caption 3", "hint no. 2"
    | \b(?:captions?|hints?|descriptions?|sentences?|annotations?|labels?)\s+(?:no\.?\s*|number\s+|nr\.?\s*|\#)?
          (?:\d|one|two|three|four|five)\b{_ON_A_SIGN}
    # "the image, labelled as", 'with the label "harbor" in mind', "the objects listed"
    | \bwith\s+(?:the|this|that|your)\s+(?:\w+\s+)?(?:{TEXT}|label|tag|description|class|category|list|text|note)s?
          \s+(?:{_QUOTED}\s+)?in\s+mind\b
    | \b(?:objects|classes|items|categories|things|elements|features|counts?|numbers?)\s+(?:(?:that|which)\s+)?
          (?:(?:are|were|is|was)\s+)?(?:listed|annotated|labell?ed|specified|enumerated)(?=\s*(?:[,.:;)]|$|are\b|is\b
          |here\b|above\b|were\b|can\b|include\b|for\b))
    # "the note supplied", "the details furnished with the image"
    | \b{MAYBE_TEXT}\s+(?:(?:that|which)\s+)?(?:(?:i|we)\s+(?:was|were|have\s+been|am)\s+|(?:is|was|are|were)\s+)?
          {HANDED_OVER}\b(?!\s+(?:the|an?|to|way|by\s+(?:the\s+)?(?!user)|on|all|its|their)\b)
    # "confirms the tag", "the number that the list gives"
    | \b(?:confirm|match|fit|support|contradict|corroborate|verif|reflect|echo|bear|meet|satisf|agree|justif|repeat
          |mirror|correspond|square|coincid|tall|align|compl|conform|go|deserv|back|explain)\w*\s+
          (?:up\s+|out\s+|along\s+|well\s+|exactly\s+|fully\s+|perfectly\s+)?(?:with\s+|to\s+|against\s+)?
          (?:the|its|this|your|their|all|both)\s+(?:[\w'’-]+\s+){{0,2}}?(?:{TEXT}|label|tag|description|wording|text
          |class|category|claim|assertion|remark|statement|list|note|sentence
          |count)s?\b{_ON_A_SIGN}(?!\s+of\s+(?!(?:the|this)\s+{IMAGE}))
    | \b(?:number|count|total|class|name|word|object|item|one|figure)s?\s+(?:that\s+|which\s+)?(?:the|your|this)\s+
          (?:{TEXT}|list|label|text|description|input|record|tag|note|sentence)s?\s+{SAY}\b
    # "was not part of the original caption", "left out by the text"
    | \b(?:label|class|category|tag)\s+(?:is|was)\s+["“] | \bof\s+(?:the\s+)?(?:class|category)\s+["“]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LIKENESS = late(
    re.compile, r"\b(?:like|as\s+if|resembling)\s+an?\s+(?:[\w-]+\s+)?(?:caption|label|tag|hint)s?\b", re.IGNORECASE
)

# What the patterns find holds one of these.
_CUES = listed(
    "caption|hint|label|annotat|descri|metadata|prompt| list|tagged|tags| tag|given|provided|supplied|stated|"
    "mentioned|noted|indicated|specified|told| said|reported|reference|input|source|keyword|key word|"
    "bounding|ground truth|ground-truth|categor|class| counts|sentence|text|information|data|record|"
    " notes|statement|user|you|people who|person|they |human|someone|observers|writers|whoever|author|"
    "volunteers|anchor|objects|details|wording|inventory|named|asked|informed|numbers|figures|request|"
    "query|called|recorded|written|material|brief|scene type|catalogue|register|titled|according|"
    "wrote|claim|consistent with|phrase|expression|quote| remark|their words|your words|nothing|little|pointed "
    "out|summed|someone|fits the|matches the|what was|before|in mind|file name|"
    "filename|title|advised|clue| remark|tally|summary|account"
)


def _hint_leak(answer: Answer) -> str | None:
    text = _LIKENESS.sub(" ", without_writing(cued(answer.text, _CUES)))
    if found := _HINT_LEAK.search(text) or _TALK.search(text) or _SPOKEN_OF.search(text):
        return f'The answer spoke of the given text ("{found.group().strip()}"). Speak of the image only.'
    for said in sentences(_LIKENESS.sub(" ", without_writing(answer.text))):
        if speaks_of_given_text(said):
            return f'The answer spoke of the given text ("{" ".join(said.tokens)}"). Speak of the image only.'
    return None


HINT_LEAK = Check("hint_leak", _hint_leak)
