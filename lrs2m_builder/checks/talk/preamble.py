"""Check that an answer begins with the description itself, not with speech before it."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, late, without_writing
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.talk.lexicon import inflections
from lrs2m_builder.checks.talk.sentences import LETTERS, ME, TASK, YOU, Sentence, sentences
from lrs2m_builder.text import wrapping

_PREAMBLE = late(
    re.compile,
    r"""
    ^[^\w<]*(?:\d+\s*[.)]\s*)?[^\w<]*(?:
        (?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|definitely|gladly|yes|no\s+problem|okay|ok|alright
          |all\s+right|got\s+it|understood|noted
          |with\s+pleasure|my\s+pleasure|great\s+question|good\s+question|thanks?(?:\s+you)?|hello|hi(?:\s+there)?
          |hey)\s*(?:[,.!:;–—]|-\s)
      | (?:sure|certainly|absolutely|okay|ok|alright),?\s+(?:here|i|let|this\s+is|so|the\s+following)\b
      | great\s*(?:[.!:;–—]|,\s*(?:here|i|let|this\s+is)\b)
      | (?:here(?:'s|’s|\s+is|\s+are)|below\s+is|the\s+following\s+is|this\s+is)\s+(?:the|a|an|my|your)\s+
            (?:[\w-]+[\s,-]+){0,7}?(?:descriptions?|captions?|paragraphs?|summary|answer|response|rewrite|text
          |sentence
            |version|output|result)\b(?!\s+(?:court|house|road|palace|camp))
      | (?:here(?:'s|’s|\s+is|\s+are)|below\s+(?:is|are)|the\s+following\s+(?:is
          |are))\s+(?:(?:\w+[\s-]+){0,3}?(?:descriptions?|captions?|summary)\b|what\b|how\b)
      | [^.!?:]{0,40}\bthank(?:s(?!\s+to)|\s+you)\b(?!-) | (?:my|an?|one|the)\s+(?:[\w-]+\s+){0,2}(?:caption
          |description|summary)\s+(?:(?:for
          |of)\s+(?:[\w-]+\s+){1,4}?)?(?:is|would\s+be|could\s+be|might\s+be|reads|follows)\b(?!\s+(?:painted|too))
      | (?:[\w-]+\s+){0,4}(?:captions?|descriptions?|summary|paragraph|answer|response)(?:\s+[\w-]+){0,4}\s*:
      | [^.!?:]{0,80}\bI\s+(?:came|wrote|made|have|found|describe|suggest|propose|got|can\s+offer)\b[^.!?:]{0,40}:
      | (?:[\w-]+\s+){0,4}(?:caption|description|summary|answer|response|output|version)\s*[-–—]+\s
      | here\s+(?:you\s+go|we\s+go|we\s+are|you\s+are|it\s+is|goes)\s*[:.,!]
      | here(?:'s|’s|\s+is|\s+are)\s+[^.!?:]{0,60}\b(?:my|your|you|i|attempt|take|what|how|image|picture|photo|scene
          |text|sentence)\b[^.!?:]{0,60}:
      | please\b(?!-) | i\s+(?:would|(?:can\s+)?see\s+(?:an?|the)\s+(?:image|picture|photo|scene))\b | in\s+(?:one
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
# Speech before a text by its grammar: an interjection, a lead with a colon that speaks of persons or of texts.
_LEAD = late(
    re.compile,
    r"""
    ^[^\w<(]*(?:
        # an exclamation, an interjection
        (?!what\b|how\b)[^.!?:"]{1,60}!(?=\s+\S) |
        (?:very\s+well|perfect|no\s+worries|right(?!:\s*(?:an?|the|some|many|two|three|dense|open)\b)|right\s+away
          |well(?!:\s*an?\b)|so|alright|all\s+right|excellent|fine|wonderful|nice
          |sounds\s+good|good|fair\s+enough|roger(?:\s+that)?|indeed|cool|awesome|(?:glad|happy|pleased|delighted
          |eager)\s+to
          \s+[^.!?]{1,25}|my\s+(?:pleasure|apologies)|not\s+a\s+problem|with\s+pleasure|good\s+(?:day|morning|evening)
          |greetings|welcome|thanks?(?:\s+(?:you|a\s+lot|for\s+[^.!?]{1,40}))?|much\s+appreciated|yep|yup|yeah|ah|oh
          |hmm+
          |consider\s+it\s+done|on\s+it|done|will\s+do|as\s+you\s+wish|acknowledged|copy\s+that|interesting|beautiful
          |lovely|amazing|wow|one\s+moment|just\s+a\s+moment|all\s+set|ready|sure\s+enough|by\s+all\s+means|naturally
          |for\s+sure|you\s+got\s+it|you['’]re\s+welcome|hope\s+this\s+\w+)
          \s*(?:[.!—–]|[,;:](?=\s*(?:here|i\b|let|this|the|there|so|we|a\b|an\b|it)))
      # "My take on it:", "One paragraph, as you wished:", "In English:"
      | (?=[^.!?:]{0,110}:)[^.!?:]*?\b(?:my|me|i|you|your|captions?|descriptions?|summary|paragraphs?|answer|version
          |responses?|sentences?|words?|english|put\s+it|nutshell|described?|describing|captioned|summari[sz]\w+
          |rewrit\w+
          |rephras\w+|as\s+follows|request\w*|prompt|instructions?|wish|attempt|draft|task|text|here\s+it\s+(?:is
          |comes
          |goes)|in\s+(?:short|brief|one\s+
          go|full|detail|prose|summary)|below(?!\s*:\s*(?-i:[a-z]))|translation|output|result|reply
          |tl\s*;?\s*dr
          |long\s+form|short\s+form)\b[^.!?:]*:(?!\d)
      | (?:ok|okay|sure|yes|certainly)\b[^.!?:,]{0,12},
      | notes?\s*: | [^.!?:]{0,60}\bas\s+follows\s*[.:;]
      | \([^()]*\b(?:version|caption|description|summary|draft|answer|sentence|words|text)\b[^()]*\)
      | (?:how\s+about|what\s+about|here\s+it|begin|start|go|go\s+
          ahead|(?:below|above)(?!\s*:\s*(?-i:[a-z]))|ready|done|listen|read|see|behold
          |ta-?da)
          (?:\s+(?:this|that|with\s+this|one))?\s*:
      | (?:an?|the|one|another)\s+(?:\w+ly\s+)?(?:[\w-]+\s+){0,2}?(?:one|try|go|attempt|option|alternative|version
          |take)
          \s*(?:\([^)]*\))?\s*:
      | (?:the|this|your|that)\s+(?:image|picture|photo\w*|scene|file|attachment)\s+(?:that\s+|which\s+)?(?:you|i|we
          |was|has)\s+
          (?:just\s+|have\s+|kindly\s+|been\s+)*(?:sent|gave|given|provided|uploaded|attached|shared|posted|supplied
          |show|showed
          |received|got|see|have|want|asked|submitted)\b
      # a question first; talk of a text to a person: "I see you want a caption."
      | (?:so|what|how|do|did|can|could|would|shall|is|are|where|which|who|why|ready|need|want|may|should|have|ever)\b
          [^.!?:"]{0,90}\?(?=\s+\S)
      | (?=[^.!?:"]{0,100}\b(?:you|your|me|my|i(?!-)|us)\b)[^.!?:"]{0,100}\b(?:captions?|descriptions?|summary
          |request|prompt
          |instructions?|assignment|paragraph|answer)\b(?!-)
      | sure\s+(?:can|will|enough|thing|does|do|is)\b | here\s+(?:you|we)\s+(?:have|see|go|are)\s+(?:it|one|your
          |the\s+caption)\b
      # "In the following, I describe", "With this in view, let me"
      | (?:in|with|for|before|without|first|now|next|as|by|to|from|at|on|since|if)\b[^.!?:;]{0,60},\s*
          (?:i(?:['’]\w+)?|let\s+me|let['’]?s|let\s+us|we|here\s+is|here['’]s|allow\s+me)\s+(?!(?:\w+ed\b|see|find
          |can\s+see
          |observe|notice|have\s+a)\b)[a-z]
      | given\s+your\b | [^.!?:"]{0,50}\b(?:image|picture|photo\w*|scene|file)\s+(?:that\s+|which\s+)?(?:you
          |i)\s+(?:have\s+|just\s+
          |\w+ve\s+)?(?:sent|gave|given|provided|uploaded|attached|shared|posted|supplied|submitted|received)\b
      # "What follows is a ...", "You asked for ...", "After looking at the picture, I ..."
      | (?:what|the\s+text\s+that|the\s+paragraph\s+that)\s+follows\b | below\s*,?\s+(?:you|i|we)\b
      | below\s+(?:is|are)\s+(?:[\w-]+\s+){0,6}?(?:descriptions?|captions?|summary|paragraphs?|text|account|version)\b
      | you\s+(?:asked|wanted|requested|wished|sent|gave|provided|uploaded|shared|have|said|would|might)\b
      | (?:after|upon|on|having|by|from|when|while)\s+(?:\w+ly\s+)?(?:look|study|studi|examin|review|inspect|analy[sz]
          |view
          |consider|read|check|observ|a\s+(?:close|careful|quick|first|thorough))\w*[^.!?]{0,80}?
          \b(?:i|we|my|it\s+can\s+be\s+(?:said|described|seen)|one\s+(?:can|could|might)\s+(?:say|describe))\b
      | (?:for|as\s+for|regarding|concerning)\s+(?:the|this|your|my)\s+(?:caption|description|image|picture|request
          |task
          |summary|photo\w*)\s*[,:]
      | (?:as|per|following|based\s+on|according\s+to|in\s+(?:line|accordance|response|reply|answer)(?:\s+(?:with
          |to))?)
          \s+(?:per\s+|you\s+)?(?:your|the)?\s*(?:(?:new|last|given|user['’]s)\s+)?(?:wish\w*|request\w*|instruct\w*
          |ask\w*|requirements?|guidelines?|prompt|task|order(?:s|ed)?|question|specifications?|agreed|promised
          |desired)\b
      | \[?\s*(?:output|answer|captions?|descriptions?|responses?|result|summary|final|title|long|short|reply|draft
          |start
          |begin|assistant|text|image\s+description|scene\s+description|long\s+caption|short\s+caption)\s*
          (?:\]|[-–—]\s|[-–—](?=(?-i:[A-Z])))
      | (?:descriptions?|captions?|summary|paragraph|overview)\s+of\s+(?:the|this|an?)\s+[^.!?:]{0,60}[:.—–]
      | (?:a|an|the|this|my|your|one)\s+(?:[\w-]+\s+){0,3}?(?:captions?|descriptions?|summary|paragraph|answer
          |rewrite)
          \s+(?:of\s+[^.:]{1,40}\s+|for\s+[^.:]{1,40}\s+|below\s+)?(?:reads?|follows?|goes|is\s+(?:as\s+follows|this
          |given|provided|below)|would\s+(?:be|read|go)|could\s+(?:be|read|go)|might\s+(?:be|read|go)|comes|runs)\b
      | (?:i|we)(?:['’](?:ve|ll|d|m|re))?\s+(?:(?:have|will|would|can|could|shall|am|are|was|just|now|also|tried
          |first)\s+)*
          (?:describ|caption|summari[sz]|writ|wrote|rewr|giv|gave|provid|try|tried|creat|prepar|com[ep]|draft
          |analy[sz]
          |examin|stud|look|made|make|put|keep|kept|produc|generat|start|begin|offer|propos|suggest|say|read|review
          |happy
          |glad|take|took|work|go)\w*
      | allow\s+me\b | time\s+to\b | let\s+(?:us|me)\b | let['’]s\b | here\s+(?:comes|goes|follows)\b
      | (?:in|with)\s+(?:my|your)\s+(?:own\s+)?(?:words|view|opinion|reading|request)\b
      | (?:an?\s+)?(?:attempt|try|stab|go)\s+at\b | (?:step|option|version|caption|answer)\s+(?:\d|one|a|i)\b
      | the\s+(?:user|prompt|task|request|question|instruction)\s+(?:wants?|asks?|is|was|says?|requires?|needs?)\b
      | (?:to|in\s+order\s+to)\s+(?:answer|fulfil\w*|comply|respond|caption|describe|summari[sz]e|meet)\b
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)


MAX_LEAD = 600  # characters in which speech before a text ends
_MARKS_BEFORE = re.compile(r"^[^\w<(]+(?=\S)|^\W{8,}")
_GREETS = word_set(
    "hello hi thanks thank sure certainly okay ok yes absolutely perfect gladly pleasure understood noted alright "
    "voilà voila ans output json sentence paragraph text wording attempt version task prompt glad happy please "
    "apologies sorry"
)
_VIEWS = inflections("see look find notice")
_SHOWS = inflections("show depict capture contain include feature present")
_TO = word_set("to in by as from for with after given using")
_TEXTS = word_set(
    "caption captions description descriptions request task prompt text sentences paragraph answer question"
)
_HERE = word_set("here here's below voilà")
_PICTURES = word_set("image picture photo photograph")


def _announces(said: Sentence, only: bool) -> bool:
    """Whether a first sentence names nothing of the scene, and greets, or speaks of somebody or of the task."""
    if not only and not said.seen and said.tokens[0] in _HERE:
        return True
    lead = said.lead()
    if lead is not None and lead.tokens and said.seen:
        shows = lead.has(_SHOWS) and lead.tokens[0] != "what"
        return not lead.seen and not shows and (lead.has(_GREETS) or lead.has(TASK) or lead.has({"what"}, _PICTURES))
    if said.tokens[0] in _TO and "," in said.tokens:
        tokens = said.tokens[: said.tokens.index(",")]
        return not said.names_before(len(tokens)) and not _TEXTS.isdisjoint(tokens)
    if only and ":" not in said.tokens:
        return False
    speaker = said.has(ME | YOU) and (not said.has(_VIEWS) or said.has(_PICTURES))
    return not said.seen and (speaker or said.has(_GREETS) or said.has(TASK)) and not said.has(LETTERS)


def _preamble(answer: Answer) -> str | None:
    if marks := wrapping(answer.raw):
        return f"The answer stood between marks ({marks}). Write the text alone."
    text = _MARKS_BEFORE.sub("", without_writing(answer.text[:MAX_LEAD]))
    if found := _PREAMBLE.search(text) or _LEAD.search(text):
        return f'The answer began with "{found.group().strip()}". Begin with the description itself.'
    said = sentences(text)
    if said and (len(said) > 1 or {":", ","} & said[0].words) and _announces(said[0], len(said) == 1):
        return f'The answer began with "{" ".join(said[0].tokens)}". Begin with the description itself.'
    return None


PREAMBLE = Check("preamble", _preamble)
