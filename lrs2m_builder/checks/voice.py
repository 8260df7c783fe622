"""Checks on whose voice is heard: the answer is a caption, not a refusal, a chat reply or talk about the hint."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, without_writing

_APOSTROPHE = r"(?:'|’)?"
_REFUSAL = re.compile(
    rf"""
      \bi(?:{_APOSTROPHE}(?:m|ve|d|ll))?\s+(?:(?!see\b|would\b)\w+\s+){{0,2}}?(?:not|\w+n{_APOSTROPHE}t|unable
          |never)\s+(?!(?:mention|include|add|use|name|list|see|count|wish)\w*\b)
    | \bi\s+(?:do|have|did|was|could)n{_APOSTROPHE}t\s+(?!(?:mention|include|add|use|name|list|see|count)\w*\b)
          | \bnot\s+something\s+(?:that\s+)?i\b
    | \bi(?:{_APOSTROPHE}m|\s+am)\s+(?:just\s+|only\s+|merely\s+)?an?\s+(?:[\w-]+\s+){{0,2}}?(?:model|ai|assistant
          |chatbot)\b
    | ^\W*(?:the\s+)?(?:image|picture|photo|description|caption|summary|content)\s+(?:is\s+)?(?:not\s+(?:available
          |provided|found)|unavailable|missing)\b
    | \b(?:i|we)(?:\s+am|{_APOSTROPHE}m|\s+are|{_APOSTROPHE}re)?\s+(?:very\s+|so\s+|truly\s+)?sorry\b
    | ^\W*(?:sorry|apologies|my\s+apologies|unfortunately|regrettably|regretfully)\b | [.!?]\s+(?:sorry|apologies)\b
    | \b(?:i|we)\s+(?:apologi[sz]e|regret)\b
    | \b(?:i|we)\s+(?:(?:can\s?not|can{_APOSTROPHE}t|could\s?not|could\s?n{_APOSTROPHE}t)(?!\s+(?:see|find|count
          |make\s+out|recogni[sz]e)\b)|am\s+unable|are\s+unable
        |am\s+not\s+able|are\s+not\s+able|do\s+not\s+have|do\s?n{_APOSTROPHE}t\s+have
        |(?:do\s+not|do\s?n{_APOSTROPHE}t)\s+see\s+an(?:y)?\s+image|will\s+not\s+be\s+able
          |wo\s?n{_APOSTROPHE}t\s+be\s+able)\b
    | \bi\s+(?:can\s?not|can{_APOSTROPHE}t)\s+(?:see|find)\b
    | \bwe\s+(?:can\s?not|can{_APOSTROPHE}t)\s+(?:see|find)\s+(?:(?:the|any|an?|this|your|actual)\s+)+(?:image|picture
          |photo\w*|attachment|file|content)s?\b
    | \byou\s+(?:forgot|did\s+not|did\s*n{_APOSTROPHE}t|have\s+not|haven{_APOSTROPHE}t|need\s+to|must|should|could|can
          |would|may|might)\b[^.!?]{{0,40}}\b
        (?:attach|upload|send|share|provide|includ|re-?send|suppl)\w*
    | \bas\s+an?\s+(?:[\w-]+\s+){{0,3}}?(?:model|assistant|ai|chatbot)\b | \bfor\s+me\s+to\s+\w+ | \bi\s+(?:have|see
          |find)\s+(?:no|nothing)\b
    | \bno\s+(?:description|caption|summary|answer|paragraph)\s+(?:is|can|could|was|will|has)\b
    | \bno\s+(?:actual\s+)?(?:image|picture|photo\w*|file|attachment)\s+(?:(?:was|is|has\s+been|seems\s+to\s+be
          |appears\s+to\s+be)\s+)?(?:included|attached|shared|sent|found|received|here|visible|present|available)\b
    | \b(?:not|n{_APOSTROPHE}t)\s+(?:seem|appear)\s+to\s+(?:be|have)\s+(?:an?|any)\s+(?:image|picture|photo\w*
          |attachment)\b
    | \b(?:image|picture|photo\w*|content|scene|text|caption)\s+(?:itself\s+)?(?:(?:can\s?not|can{_APOSTROPHE}t
          |could\s+not|cannot)\s+be|(?:is|was|seems|appears)\s+(?:\w+\s+)?(?:too|not
          |im)\s?[\w\s,]{{0,30}}?\s+to(?:\s+be)?)
        \s+(?:\w+ly\s+)?(?:describe|caption|summari[sz]e|analy[sz]e|process|load|open|access|interpret|display|identif
          |provide|determin)\w*
    | \b(?:provided|given|attached|uploaded|supplied)\s+(?:image|picture|photo\w*|file)\s+(?:is|was|appears|seems|does
          |did|could|can)\s*(?:to\s+be\s+|not\s+|n{_APOSTROPHE}t\s+)*(?:blank|empty|black|missing|broken|corrupt\w*
          |load|open|show|display\w*|visible)\b
    | \bnothing\s+(?:can|could)\s+be\s+(?:described|said|determined|summari[sz]ed|identified)\b
    | \bwithout\s+(?:access\s+to\s+(?:\w+\s+){{0,2}}(?:image|picture|photo\w*|file|content|data|text|caption)
          |seeing\s+(?:it|the)|being\s+able|viewing|the\s+ability|having\s+(?:access|seen)|(?:an?|the
          |any)\s+(?:actual\s+)?(?:image|picture|photo\w*))\b
    | \bmy\s+(?:capabilit|abilit|limitation|programming|knowledge|training)\w*
    | \b(?:images|pictures|photos)\s+(?:can\s?not|can{_APOSTROPHE}t)\s+be\s+(?:analy|process|view|access|open|read)\w*
    | \bi{_APOSTROPHE}m\s+(?:unable|not\s+able|not\s+allowed|just\s+an?\s+ai)\b
    | \b(?:as|i\s+am|i{_APOSTROPHE}m)\s+an?\s+(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model)\b
    | \b(?:no|without\s+an?)\s+image\s+(?:(?:was|is|has\s+been)\s+)?(?:provided|attached|given|shared|uploaded)\b
    | \b(?:please|kindly|could\s+you|can\s+you)\s+(?:please\s+)?(?:provide|upload|share|attach|send|supply|give\s+me
          |try|check|clarify|resend|specify)\b
    | \bthere\s+(?:is|was)\s+no\s+(?:image|picture|photo)\w*\b(?!\s+of)
    | \b(?:i|we)\s+(?:must|have\s+to|need\s+to|would\s+have\s+to)\s+(?:decline|refuse|see)\b | \b(?:i|we)\s+(?:decline
          |refuse)\b
    | \b(?:i|we)(?:\s+would|{_APOSTROPHE}d)?\s+need\s+(?:to\s+see\s+)?(?:the|an?|more|access|additional|further)\b
    | \b(?:i|we)\s+(?:was|were)\s+(?:unable|not\s+able)\b | \bi\s+only\s+(?:see|have|receive)\b
    | \b(?:i|we)\s+(?:(?:do|did)\s+not|(?:do|did)n{_APOSTROPHE}t)\s+(?:see|receive|get|feel\s+comfortable)\b
    | \b(?:i|we)(?:\s+am|{_APOSTROPHE}m|\s+are|{_APOSTROPHE}re)\s+not\s+(?:comfortable|permitted|allowed|authori[sz]ed
          |sure|certain)\b
    | \b(?:i|we)\s+(?:will\s+not|wo\s?n{_APOSTROPHE}t|would\s+rather\s+not|{_APOSTROPHE}d\s+rather\s+not|lack\s+the)\b
    | \b(?:unable|impossible|not\s+possible|not\s+able|can\s?not|can{_APOSTROPHE}t|difficult|hard
          |insufficient(?:\s+\w+)?|inadequate)
        \s+(?:be\s+)?(?:to\s+)?(?:accurately\s+|reliably\s+|confidently\s+|really\s+)?
        (?:determined?|identify|identified|describe[d]?|tell|provided?|generated?|answer(?:ed)?|assess(?:ed)?|say
          |summari[sz]ed?|make)\b
        [^.!?]{{0,60}}?\b(?:provided|given|supplied|attached|without|based\s+on|from\s+(?:the|this|an?)\s+(?:image
          |text|input|prompt|description)
        |with\s+the\s+information|due\s+to\s+(?:the\s+)?(?:\w+\s+)?(?:quality|resolution|lack)
        |(?:the|this)\s+(?:image|picture|photo\w*)(?:{_APOSTROPHE}s)?\s*(?:[.!?]|$|content|scene))
    | (?:^|[.!?]\s+)(?:unable|cannot|can{_APOSTROPHE}t|not\s+able|impossible)\s+(?:to\s+)?
        (?:determine|identify|describe|tell|provide|generate|answer|comply|assist|help|fulfil\w*|process|access|view
          |see|summari[sz]e|create|write|produce)\b
    | \b(?:can\s?not|can{_APOSTROPHE}t|unable\s+to|not\s+able\s+to|wo\s?n{_APOSTROPHE}t)\s+(?:assist|comply
          |fulfil\w*)\b
    | \b(?:no|not\s+enough|insufficient|lack\s+of)\s+(?:visual\s+)?(?:image|information|context|details?|content
          |data)\s+
        (?:(?:is|was|are|were|has\s+been|have\s+been)\s+)?(?:available|provided|given|to\s+(?:describe|determine|write
          |provide|summari[sz]e|answer))\b
    | \bthis\s+(?:request|question|task|prompt|content)\s+(?:can\s?not|cannot|violates|is\s+(?:against|not)
          |goes\s+against)\b
    | \b(?:against|violat\w+)\s+(?:my|the|our)\s+(?:\w+\s+)?(?:guidelines?|polic(?:y|ies)|rules)\b
    | \b(?:the|this|your|an?)\s+(?:image|picture|photo|file)(?:\s+(?:you|that)\s+\w+(?:\s+to)?)?\s+
        (?:is|was|appears\s+to\s+be|seems\s+to\s+be|appears|seems)\s+(?:missing|blank|corrupt(?:ed)?
          |not\s+(?:available|visible|provided|attached|included|accessible
        |loading|displayed|there)|unavailable|inaccessible|broken|unreadable)\b
    | \b(?:is|was|are)\s+not\s+(?:provided|attached|included|available|accessible)\s+(?:here|with|in|to)\s+(?:the|this
          |your|me|us)\b
    | \b(?:re-?upload|try\s+(?:uploading|sending|again)|upload\s+(?:the|an?|another|it|your))\b
    | \b(?:beyond|outside)\s+my\s+(?:capabilit|abilit|scope)
    | \b(?:image|picture|photo)\s+
        (?:could\s+not|cannot|can{_APOSTROPHE}t|did\s+not|did\s?n{_APOSTROPHE}t|failed\s+to)\s+(?:be\s+)?
        (?:loaded|load|displayed|opened|viewed|processed)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PREAMBLE = re.compile(
    r"""
    ^[^\w<]*(?:
        (?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|definitely|gladly|yes|no\s+problem|okay|ok|alright
          |all\s+right|got\s+it|understood|noted
          |with\s+pleasure|my\s+pleasure|great\s+question|good\s+question|thanks?(?:\s+you)?|hello|hi(?:\s+there)?
          |hey)\s*(?:[,.!:;–—]|-\s)
      | (?:sure|certainly|absolutely|okay|ok|alright),?\s+(?:here|i|let|this\s+is|so|the\s+following)\b
      | great\s*(?:[.!:;–—]|,\s*(?:here|i|let|this\s+is)\b)
      | (?:here(?:'s|’s|\s+is|\s+are)|below\s+is|the\s+following\s+is|this\s+is)\s+(?:the|a|an|my|your)\s+
            (?:[\w-]+[\s,-]+){0,7}?(?:descriptions?|captions?|paragraphs?|summary|answer|response|rewrite|text|sentence
            |version|output|result)\b(?!\s+(?:court|house|road|palace|camp))
      | (?:here(?:'s|’s|\s+is|\s+are)|below\s+(?:is|are)|the\s+following\s+(?:is
          |are))\s+(?:(?:\w+[\s-]+){0,3}?(?:descriptions?|captions?|summary)\b|what\b|how\b)
      | thank(?:s|\s+you)\s+for\b | (?:my|an?|one|the)\s+(?:[\w-]+\s+){0,2}(?:caption|description|summary)\s+(?:(?:for
          |of)\s+(?:[\w-]+\s+){1,4}?)?(?:is|would\s+be|could\s+be|might\s+be|reads|follows)\b(?!\s+(?:painted|too))
      | (?:[\w-]+\s+){0,4}(?:captions?|descriptions?|summary|paragraph|answer|response)(?:\s+[\w-]+){0,4}\s*:
      | [^.!?:]{0,80}\bI\s+(?:came|wrote|made|have|found|describe|suggest|propose|got|can\s+offer)\b[^.!?:]{0,40}:
      | (?:[\w-]+\s+){0,4}(?:caption|description|summary)\s*[-–—]+\s
      | here\s+(?:you\s+go|we\s+go|we\s+are|you\s+are|it\s+is|goes)\s*[:.,!]
      | here(?:'s|’s|\s+is|\s+are)\s+[^.!?:]{0,60}\b(?:my|your|you|i|attempt|take|what|how|image|picture|photo|scene
          |text|sentence)\b[^.!?:]{0,60}:
      | please\b | i\s+(?:would|(?:can\s+)?see\s+(?:an?|the)\s+(?:image|picture|photo|scene))\b | in\s+(?:one
          |a\s+single|a\s+few|\d+|twenty|short|brief|other)(?:\s+(?:sentences?|words?))?\s*[:,]
      | here(?:'s|’s|\s+is|\s+are)\s+(?:(?:the|some|a\s+few|my|your)\s+)?(?:[\w-]+\s+){0,2}?(?:details|points|facts
          |features|results?|observations|rewrite|answers?|suggestions?|options?)\b[^.]{0,40}:
      | (?:the|this|your)\s+(?:\w+\s+){0,2}?(?:image|picture|photo\w*|scene)\s+(?:can|may|could|might|would
          |is)\s+(?:best\s+)?(?:be\s+)?(?:described|summari[sz]ed|captioned|rewritten)\b[^.:]{0,30}(?::|as\s+follows)
      | (?:rewritten|revised|improved|expanded|final|short|long|shortened|condensed|edited|corrected|summari[sz]ed
          |rephrased)\s*\**\s*:
      | <(?:caption|description|answer|summary|response|output|text|result)>
      | (?:(?:the|a|an|my)\s+)?(?:(?:long|short|detailed|revised|improved|expanded|image|final|new|rewritten|generated
          |one-sentence|concise|brief|summari[sz]ed
            |aerial|satellite|remote|sensing|scene|updated|corrected|suggested|proposed|alternative|model
            |my)[\s-]+){0,4}
            (?:captions?|descriptions?|answer|summary|output|response|paragraph|title|result|text|sentence|rewrite
            |version|draft|attempt|analysis|overview|reply)
            (?:\s*\([^)]{0,30}\)|\s+\#?\d+)?(?:\s+(?:is|reads|could\s+be|would\s+be|for\s+[^:.]{0,40}|of\s+the\s+\w+
            |in\s+[^:.]{0,30}|as\s+follows|is\s+as\s+follows|below))?
            \s*["”*_]{0,3}\s*[:：]
      | (?:as\s+(?:you\s+)?(?:requested|instructed|asked)|per\s+your|in\s+response\s+to|upon\s+(?:review|request
          |inspection)|following\s+your|based\s+on\s+your)\b
      | (?:i'd|i’d|i\s+would|i\s+am|i'm|i’m)\s+(?:be\s+|more\s+than\s+)*(?:happy|glad|pleased|delighted|going)\b
          | happy\s+to\b | let(?:\s+us|\s+me|['’]s)\b
      | to\s+(?:describe|summari[sz]e|answer|caption)\s+(?:the|this|your)\b | (?:i\s+have|i've|i’ve)\s+\w+ed\b
      | (?:i'll|i’ll|i\s+will|let\s+me|allow\s+me\s+to|i\s+can|i\s+shall)\s+(?:now\s+|try\s+to\s+)?(?:describe|provide
          |write|give|summari[sz]e|caption|help|create|do|rewrite|generate|start|begin|take|analy[sz]e|look)\b
      | (?:user|assistant|system|human|model|ai|a|q|bot)\s*:
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
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
    r"|ground[\s-]truth(?:\s+\w+)?|annotations?|annotators?|labels|metadata"
    r"|list\s+of\s+(?:objects|labels|classes|categories|anchors)|supplied\s+(?:text|labels?|list|description)"
    r"|input\s+(?:text|caption|description)|source\s+(?:text|caption|description)|accompanying\s+(?:text"
    r"|description|labels?))"
)
_HINT_LEAK = re.compile(
    rf"""
      \b(?:the|this|that|your|these|a)\s+{_GIVEN}\s+(?:\w+ly\s+)?
        (?:says?|said|states?|stated|mentions?|mentioned|describes?|described|suggests?|suggested|indicates?|indicated
        |notes?|noted|implies|implied|reads?|tells?|claims?|refers?|calls?|tells?|speaks?|provides?|provided|given
          |asks?|requests?
        |is|are|was|were|does|do|did|lists?|listed|identif(?:y|ies)|confirms?|specif(?:y|ies|ied)|gives?|shows?
          |counts?|names?|includes?|contains?|has|have)\b
    | \b(?:as|like)\s+(?:\w+ly\s+)?(?:mentioned|stated|described|noted|indicated|suggested|said|given|hinted|listed
          |specified|labell?ed|provided|named|per)
        \s+(?:in|by)\s+(?:the|this|your)\s+{_GIVEN}
    | \b(?:according\s+to|based\s+on|as\s+per|in\s+keeping\s+with|in\s+agreement\s+with|in\s+accord\s+with
          |consistently\s+with|thanks\s+to|supported\s+by|guided\s+by|consistent\s+with|in\s+line\s+with|matches
          |matching|per|confirms|confirming
        |contrary\s+to|in\s+accordance\s+with|aligns\s+with|mentioned\s+in|stated\s+in|described\s+in|given\s+in)
        \s+(?:the|this|your|these)\s+{_GIVEN}\b
    | \bas\s+(?:mentioned|stated|described|noted|indicated|hinted|listed|specified)\s+(?:above|before|earlier
          |previously|in\s+the\s+list)\b
    | \b(?:the|this)\s+label\s+(?:\w+ly\s+)?(?:says|states|mentions|indicates|suggests|describes|calls|gives
          |identifies|confirms|is\s+given)\b
    | \b(?:the|as|all|each\s+of\s+the)\s+(?:listed|labell?ed|annotated|hinted|mentioned|aforementioned
          |specified)\s+(?:in|by|objects?|class(?:es)?|categor(?:y|ies)|items?|counts?|elements?|features?)\b
    | \b(?:listed|labell?ed|annotated|described|mentioned|stated|specified|noted|indicated|named|given|referenced
          |provided|captioned|hinted\s+at|suggested)\s+(?:as\s+such\s+)?(?:in|by|with|from|on)\s+
        (?:the|this|your|these)\s+{_GIVEN}\b
    | \b(?:agree(?:s|ing)?|fits?|fitting|correspond(?:s|ing)?|conform(?:s|ing)?|conflicts?|differs?|inconsistent
          |accords?|tall(?:y|ies)|coincides?)\s+(?:with|to|from)\s+(?:the|this|your|these)\s+{_GIVEN}\b
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
    | \b(?:labell?ed|annotated|listed|tagged|classified)\s+(?:as\s+)?[\w"'“”‘’ -]{{0,30}}?\s*\b(?:in
          |by)\s+the\s+(?:data\w*|label\w*|annotat\w+|metadata|list|source|hint)
    | \bthe\s+list\s+(?:contains?|has|names?|says?|gives?|mentions?|includes?|states?|of\s+(?:objects|classes|labels
          |anchors))\b
    | \b(?:the|an?|each|every|one\s+of\s+the|both|all|these|those|two|several|some|given|provided|per|to|with|from
          |by)\s+(?:[\w-]+\s+){{0,2}}?
        (?:captions?|descriptions?|annotations?|annotators?|metadata|ground[\s-]truth)\b{_NOT_WRITTEN}
    | \b(?:per|given|from|by|as|with|under|to|class|scene|image)\s+(?:(?:the|its|this|these|image|class|scene
          |object)\s+)+(?:labels?|tags?|class|category|categories|list)\b{_NOT_WRITTEN}
    | \b(?:class|scene|object|image|category)\s+(?:labels?|tags?)\b{_NOT_WRITTEN} | \bthe\s+(?:labels?|tags?)\s+(?:is
          |are)\s+(?:right|correct|accurate|wrong|true)\b
    | \b(?:image|scene|area|picture|photo\w*|it|this|place|site)\s+(?:is|was|has\s+been|had\s+been|being)\s+(?:also\s+
          |officially\s+)?(?:tagged|labell?ed|captioned|annotated|categori[sz]ed|described|referred\s+to)\b(?!\s+with)
    | \bthe\s+(?:afore|above-?)?(?:mentioned|stated|specified|hinted|annotated|labell?ed)\s+\w+ | \b(?:i|we)\s+(?:was
          |were|am|are)\s+(?:told|given|informed|asked)\b
    | \bthe\s+(?:given|provided|stated|specified|supplied|expected|required)\s+(?:\w+\s+)?(?:numbers?|counts?|totals?
          |figures?|class(?:es)?|categor(?:y|ies)|names?|words?)\b
    | \bthe\s+(?:numbers?|counts?|totals?|figures?|names?|words?|class(?:es)?|labels?|text|description)\s+(?:that
          |which)\s+(?:was|were|is|are|has\s+been|have\s+been)\s+(?:given|provided|supplied|stated|listed|mentioned)\b
    | \bas\s+(?:\w+ly\s+)?(?:hinted|listed|labell?ed|specified|stated|mentioned|described|indicated|noted|given
          |provided|reported|annotated|captioned|told|said|suggested)\s*
        (?=[,.;:!)]|$|(?:that|there|above|before|earlier|previously|the\s+(?:scene|image|area))\b)
    | \b(?:what|that|which|than|as)\s+(?:was|were|has\s+been|had\s+been)\s+(?:described|specified|stated|mentioned
          |provided|given|listed|said|told|reported|supplied|indicated)\b
    | \b(?:both|two|all|these|each|those|this|that|first|second|other)\s+(?:of\s+the\s+)?hints?\b(?!\s+(?:of|at)\b)
    | \b(?:the|this|your|our|an?)\s+(?:reference|input|prompt|source|metadata|anchors?|record|listing|statement|user
          |annotators?|request|query|tags?)\s+(?:\w+ly\s+)?
        (?:says?|states?|mentions?|tells?|lists?|claims?|describes?|calls?|speaks?|names?|asks?|notes?|suggests?
          |indicates?|gives?|that|wants?)\b
    | \bits\s+(?:class|label|category|tag|description|caption)\b{_NOT_WRITTEN} | \b(?:matches|fits)\s+(?:the
          |its)\s+(?:scene\s+)?(?:class|type|category|name)\b
    | \bthe\s+ones?\s+(?:provided|given|supplied|listed|mentioned|stated|described)\b | \b(?:from|on|in|by
          |per)\s+the\s+list\b{_NOT_WRITTEN} | \b(?:the|a)\s+hint\b(?!\s+(?:of|at)\b)
    | \binformation\s+(?:given|provided|supplied)\b | \bthe\s+(?:sentence|text|description|caption)s?\s+above\b
    | \b(?:as\s+)?(?:you|the\s+user)\s+(?:mentioned|said|described|provided|asked|requested|stated|gave|noted)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _refusal(answer: Answer) -> str | None:
    if found := _REFUSAL.search(without_writing(answer.text)):
        return f'The answer refused ("{found.group().strip()}"). Describe what can be seen, nothing else.'
    return None


def _preamble(answer: Answer) -> str | None:
    if found := _PREAMBLE.search(answer.text):
        return f'The answer began with "{found.group().strip()}". Begin with the description itself.'
    return None


def _hint_leak(answer: Answer) -> str | None:
    if found := _HINT_LEAK.search(without_writing(answer.text)):
        return f'The answer spoke of the given text ("{found.group().strip()}"). Speak of the image only.'
    return None


REFUSAL = Check("refusal", _refusal)
PREAMBLE = Check("preamble", _preamble)
HINT_LEAK = Check("hint_leak", _hint_leak)
