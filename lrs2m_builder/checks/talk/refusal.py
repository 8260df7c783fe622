"""Check that an answer describes the image: it neither declines to nor asks for the image."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, cued, late, listed, without_writing
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.talk.lexicon import inflections
from lrs2m_builder.checks.talk.sentences import BOT, IMAGE, ME, NOT, TASK, YOU, Sentence, sentences

_APOSTROPHE = r"(?:'|’)?"
_REFUSAL = late(
    re.compile,
    rf"""
      \bi(?:{_APOSTROPHE}(?:m|ve|d|ll))?\s+(?:(?!see\b|would\b)\w+\s+){{0,2}}?(?:not|\w+n{_APOSTROPHE}t|unable
          |never)\s+(?!(?:mention|include|add|use|name|list|see|count|wish)\w*\b)
    | \bi\s+(?:do|have|did|was|could)n{_APOSTROPHE}t\s+(?!(?:mention|include|add|use|name|list|see|count)\w*\b)
          | ^\W*(?:the\s+)?(?:image|picture|photo|description|caption|summary
          |content)\s+(?:is\s+)?(?:not\s+(?:available
          |provided|found)|unavailable|missing)\b
    | ^\W*(?:sorry|apologies|my\s+apologies
          |(?:unfortunately|regrettably|regretfully)(?!\s+\w+(?:ed|n)\b))\b | [.!?]\s+(?:sorry|apologies)\b
    | \b(?:i|we)\s+(?:(?:can\s?not|can{_APOSTROPHE}t|could\s?not|could\s?n{_APOSTROPHE}t)(?!\s+(?:see|find|count
          |make\s+out|recogni[sz]e)\b)|am\s+unable|are\s+unable
        |am\s+not\s+able|are\s+not\s+able|do\s+not\s+have|do\s?n{_APOSTROPHE}t\s+have
        |(?:do\s+not|do\s?n{_APOSTROPHE}t)\s+see\s+an(?:y)?\s+image|will\s+not\s+be\s+able
          |wo\s?n{_APOSTROPHE}t\s+be\s+able)\b
    | \bi\s+(?:can\s?not|can{_APOSTROPHE}t)\s+(?:see|find)\b
    | \bas\s+an?\s+(?:[\w-]+\s+){{0,3}}?(?:model|assistant|ai|chatbot)\b | \bfor\s+me\s+to\s+\w+ | \bi\s+(?:have|see
          |find)\s+(?:no|nothing)\b
    | \bno\s+(?:actual\s+)?(?:image|picture|photo\w*|file|attachment)\s+(?:(?:was|is|has\s+been|seems\s+to\s+be
          |appears\s+to\s+be)\s+)?(?:included|attached|shared|sent|found|received|here|visible|present|available)\b
    | \bwithout\s+(?:access\s+to\s+(?:\w+\s+){{0,2}}(?:image|picture|photo\w*|file|content|data|text|caption)
          |seeing\s+(?:it|the)|being\s+able|viewing|the\s+ability|having\s+(?:access|seen)|(?:an?|the
          |any)\s+(?:actual\s+)?(?:image|picture|photo\w*))\b
    | \bmy\s+(?:capabilit|abilit|limitation|programming|knowledge|training)\w*
    | \bi{_APOSTROPHE}m\s+(?:unable|not\s+able|not\s+allowed|just\s+an?\s+ai)\b
    | \b(?:as|i\s+am|i{_APOSTROPHE}m)\s+an?\s+(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model)\b
    | \b(?:please|kindly|could\s+you|can\s+you)\s+(?:please\s+)?(?:provide|upload|share|attach|send|supply|give\s+me
          |try|check|clarify|resend|specify)\b
    | \bthere\s+(?:is|was)\s+no\s+(?:image|picture|photo)\w*\b(?!\s+of)
    | \b(?:i|we)\s+(?:was|were)\s+(?:unable|not\s+able)\b | \b(?:i|we)\s+(?:(?:do|did)\s+not|(?:do
          |did)n{_APOSTROPHE}t)\s+(?:see|receive|get|feel\s+comfortable)\b
    | \b(?:i|we)(?:\s+am|{_APOSTROPHE}m|\s+are|{_APOSTROPHE}re)\s+not\s+(?:comfortable|permitted|allowed|authori[sz]ed
          |sure|certain)\b
    | \b(?:i|we)\s+(?:will\s+not|wo\s?n{_APOSTROPHE}t|would\s+rather\s+not|{_APOSTROPHE}d\s+rather\s+not|lack\s+the)\b
    | (?<!of\s)(?<!in\s)\b(?:the|this|your|an?)\s+(?:image|picture|photo|file)(?:\s+(?:you|that)\s+\w+(?:\s+to)?)?\s+
        (?:is|was|appears\s+to\s+be|seems\s+to\s+be|appears|seems)\s+(?:missing|blank(?!\s+(?!and\b|or\b|so\b|for\b
          |on\b|here\b)\w)|corrupt(?:ed)?
          |not\s+(?:available|visible|provided|attached|included|accessible
        |loading|displayed|there)|unavailable|inaccessible|broken|unreadable)\b
    | \b(?:re-?upload|try\s+(?:uploading|sending|again)|upload\s+(?:the|an?|another|it|your))\b
    | \b(?:beyond|outside)\s+my\s+(?:capabilit|abilit|scope)
    | \b(?:image|picture|photo)\s+
        (?:could\s+not|cannot|can{_APOSTROPHE}t|did\s+not|did\s?n{_APOSTROPHE}t|failed\s+to)\s+(?:be\s+)?
        (?:loaded|load|displayed|opened|viewed|processed)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# What keeps a model from answering, by its grammar: the image that did not come, the caption that cannot be made.
_FAILS = late(
    re.compile,
    r"""
      # "the picture did not come through", "images are not something this model can view"
      \b(?:images?|pictures?|photos?|photographs?|attachments?|files?|uploads?|links?|picture\s+data|caption
          |description)
          \s+(?:itself\s+|file\s+|data\s+|you\s+\w+\s+|that\s+\w+\s+|seems\s+to\s+|appears\s+to\s+){0,2}
          (?:has|have|had|was|were|is|are|could|can|did|does|would|will|may|must|\w+n['’]t|cannot|never|failed)\s*
          (?:not\s+|never\s+|n['’]t\s+|failed\s+|to\s+|be\s+|been\s+|yet\s+|able\s+|actually\s+|currently\s+
          |properly\s+
          |successfully\s+|correctly\s+){1,5}
          (?:attach|load|open|come\s+through|came\s+through|arriv|reach|decod|display|receiv|provid|suppl|upload
          |access
          |viewed|viewable|available|process|render|sent|shared|readable|retriev|transmitt|transfer|found|analy[sz]ed
          |describ|caption|given|produced|generated|written|something|present|possible|parsed|interpret)\w*
    | \b(?:beyond|outside(?:\s+of)?)\s+(?:what|the\s+scope\s+of\s+what|my|the\s+capabilit\w+)\s+(?:(?:i|we
          |this)\s+)?\w+
    | \bnothing\s+(?:was|has\s+been|is|got)\s+(?:\w+ly\s+)?(?:loaded|attached|uploaded|provided|received|sent|shared
          |supplied|shown\s+to\s+me|delivered)\b
    | \b(?:your|the|this)\s+(?:message|request|prompt|question|post|e-?mail|input|conversation|chat|upload|link
          |attachment)\s+
          (?:did|does|do|was|is|has|came|contains?|seems|appears|holds?|included|lacks?)\b[^.!?]{0,25}?
          \b(?:not|n['’]t|no|without|empty|blank|missing|broken|only|dead|lacks?)\b
    | \b(?:no|without|lacking|lack\s+of)\s+(?:\w+\s+)?(?:access|ability|way)\s+(?:to|of)\s+(?:\w+ing\s+)?(?:the|this
          |your|any)
          \s+(?:actual\s+)?(?:image|picture|photo\w*|file|attachment|data)\b
    | \b(?:forgive|pardon|excuse)\s+(?:me|us|my|the\s+(?:delay|confusion|inconvenience))\b | \bmy\s+(?:side|end
          |screen)\b
    | \btoo\s+\w+\s+(?:for|to)\s+(?:\w+\s+){0,4}?(?:descri\w+|caption\w*|summar\w+|analys\w+|interpretation
          |identification)\b
    # "no caption available", "there is nothing to describe", "not enough to go on"
    | (?:^|[.!?,;]\s+|\bthere\s+(?:is|was|were|are)\s+|\bgot\s+|\breceived\s+|\bwith\s+)no\s+(?:\w+\s+)?(?:image
          |picture
          |photo\w*|file|attachment|caption|description|summary|answer|input|visual\s+\w+)s?\s*
          (?:[.!,;]|$|(?:is\s+|was\s+|were\s+|has\s+been\s+|have\s+been\s+|can\s+be\s+|could\s+be\s+)?(?:available
          |attached
          |provided|given|uploaded|possible|supplied|with\s+(?:the|your|this)|in\s+(?:the|your|this)\s+(?:message
          |request
          |prompt|chat|conversation|input)|to\s+(?:describe|caption|work|look|go|see|summari[sz]e|analy[sz]e|speak)
          |here
          |for|reached|arrived|came|generated|produced|received|found|visible\s*[.!]))
    | \bnothing\s+(?:\w+\s+)?(?:to|that\s+(?:can|could)\s+be)\s+(?:describe|caption|summari[sz]e|report|say|go\s+on
          |work\s+with|analy[sz]e)d?\b
    | \b(?:not\s+enough|too\s+little|insufficient|hardly\s+enough|lack\w*(?:\s+of)?(?:\s+the)?)\s+(?:[\w-]+\s+){0,3}?
          (?:to|for)\s+(?:\w+ly\s+)?(?:go\s+on|an?\s+(?:\w+\s+)?(?:caption|description|summary|answer)|describ\w+
          |caption\w*
          |work\s+with|write\s+\w+|say\s+(?:what|anything)|answer|give|provide|produce|generate|analy[sz]e)\b
    # a denial and the caption that is not made of it, in one sentence
    | \b(?:caption|description|summary|answer|request|task|question|response|paragraph)s?\s+(?:of\s+\w+\s+\w+\s+)?
          (?:cannot|can['’]t|could\s+not|can\s+not|has\s+to|have\s+to|had\s+to|must|will|would|is|was|may\s+not)\s+
          (?:not\s+)?(?:be\s+|have\s+to\s+be\s+)?(?:\w+ly\s+)?(?:declined|refused|denied|rejected|given|written
          |produced
          |made|provided|generated|fulfilled|completed|answered|processed|impossible|not\s+possible|unavailable
          |withheld|invented|pure\s+\w+|a\s+guess|guesswork|offered|attempted|honou?red|granted)\b
    | \b(?:this|that|such\s+an?|your|the)\s+(?:request|task|question|prompt)\b[^.!?]{0,30}\b(?:declin|refus|denied
          |reject
          |against|violat|not|cannot|can['’]t|n['’]t|outside|beyond)\w*
    | \b(?:text[\s-](?:only|based)|language|ai)\s+(?:model|assistant|system|tool)\b | \bi['’]d\s+rather\b
    | (?:^|[.!?]\s+)(?:sorry|apologies)\b | \b(?:sorry|apologi[sz]es?
          |apologies)\s+(?:about
          |for\s+(?:the|this|any|that)|but|,)
    | ^\W*(?:n\s?/\s?a|none|null|nil|unknown|undefined|nan|not\s+applicable|not\s+available|error|tbd|no\s+(?:comment
          |answer|output|data|content|result|response|text)|empty|blank)\W*$ | \b(?:blank|empty|black|white
          |corrupt\w*|broken)\s+(?:canvas|image|picture|photo|file|frame
          |screen)\b[^.!?]{0,40}?
          \b(?:so|thus|therefore|hence|cannot|can['’]t|not|nothing)\b
    | \b(?:please|kindly|could\s+you|can\s+you|would\s+you|try)\s+(?:\w+ly\s+|try\s+|and\s+|to\s+)*(?:attach|upload
          |send
          |sending|share|re-?send|re-?upload|supply|provide|paste|submit|include|sending|give\s+me|post)\w*
    | \bonly\s+(?:the\s+|a\s+|an\s+|some\s+)(?:[\w-]+\s+){0,2}(?:text|labels?|hints?|captions?|prompt|name|words)\b
          [^.!?]{0,25}\b(?:reached|arrived|received|given|provided|available|sent|came|attached|here)\b
    # a person, a lack and the task in one sentence: "captioning this is out of my reach", "it stays invisible to me"
    | \b(?:images?|pictures?|photo\w*|files?|caption\w*|describ\w+|content|this|it)\b[^.!?]{0,40}\b(?:not|no|n['’]t
          |out\s+of
          |beyond|outside|invisible|inaccessible|hidden|unknown|closed|unreadable|impossible|exceeds?|above)\s+
          (?:\w+\s+){0,2}?(?:(?:to|for|from|by)\s+me|my)\b
    | \b(?:the|this|a)\s+(?:model|assistant|system|ai)\s+(?:\w+ly\s+|has\s+)?(?:declin|refus|fail|abstain)\w*
    | \bnot\s+(?:be\s+)?(?:possible|feasible)\b[^.!?]*\bfrom\s+(?:this|the)\s+(?:image|picture|photo\w*)\b
    | \b(?:resolution|quality|clarity)\b[^.!?]*\bnot\s+(?:be\s+)?(?:possible|feasible)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

# What the patterns find holds one of these.
_CUES = listed(
    "not|n't|n’t|no |no-|nothing|never|none|null|nil|unable|sorry|apolog|regret|unfortunate| i |i'|i’|we |for me|"
    "me,|my |you|please|kindly|assistant|chatbot|without|impossible|difficult|insufficient|inadequate|lack|"
    "enough|missing|unavailable|inaccessible|unreadable|blank|empty|corrupt|broken|declin|refus|denied|reject|"
    "hesitat|polic|guideline|violat|against|failed|error|n/a|upload|attach|request|outside|unknown|undefined|tbd|"
    "imposs|language model|text-based|text-only|forgive|pardon|excuse|where is|where are|would be|only the|"
    "but only|which image|what image|once the|once a|need|clarify|this model|a model|hard to|black| ai | ai,|"
    " ai-| ai.| try |beyond my|beyond what|beyond the|too blurr|too dark|too small|too low|too poor|too unclear|"
    "too noisy|is too | me.| me | my | mind |abstain"
)


# What somebody who declines does, and what is wrong with an image, a request.
_DECLINES = inflections("decline refuse refrain abstain apologise apologize hesitate withhold regret wait await") | (
    word_set("sorry apologies guesswork")
)
_LIMITS = word_set("only beyond outside trained designed built limited restricted lack lacks unable decline declines")
_BROKEN = word_set(
    "problem error issue trouble corrupt corrupted unsupported supported invalid expired unreadable broken decoded "
    "loaded opened rendered glitch failed retrieved fetched displayed transmitted damaged inaccessible "
    "withheld rejected disabled denied blocked refused wait waiting await awaiting"
)
_FORBIDDEN = word_set(
    "policy policies guideline guidelines restricted sensitive prohibited confidential restrictions safety privacy "
    "security ethical forbidden disallowed inappropriate harmful unethical illegal"
)
_SENT = inflections("send upload attach share paste resend provide submit post supply re-upload")
_CANNOT = word_set("can't cannot unable won't impossible couldn't sorry apologies cant")
_SHOWS = inflections("show contain depict capture feature reveal")
_IMPROPER = word_set("unethical inappropriate irresponsible")
_EXCEEDS = word_set("exceeds exceed")
_HIDES = word_set("illegible unknown invisible unreadable inaccessible unfamiliar")
_MUST = word_set("first must should have need you'll")
_DETAILS = word_set("resolution quality clarity sharpness detail details context data")
_INSUFFICIENT = word_set("insufficient inadequate impossible infeasible")
_NEEDS = inflections("need require")
_WISHES = word_set("wish if")
_KNOWS = inflections("say tell know judge answer decide speculate identify disclose reveal work")
_GONE = word_set("unavailable missing nowhere instead absent dead reasons later elsewhere undefined")
_HIDDEN = word_set("sight smoke fog mist haze cloud clouds shadow shadows snow edge corner")
_FACTS = word_set("visual information context said told stated inferred established ascertained concluded")
_ABLE = word_set("can do help way possible able")
_QUESTION = word_set("do have can could would is are which what where")
_ASKS = word_set("which what know clarify specify whether")
_ARRIVES = word_set(
    "included input valid result results return returned received arrived attached provided supplied uploaded data"
)
_POOR = word_set(
    "blurry blurred dark small pixelated unclear low poor noisy grainy coarse vague ambiguous incomplete empty "
    "overexposed bright hazy faint fuzzy cloudy"
)
_OOPS = word_set("oops wrong uh-oh whoops")
_SPEAKER = ME | BOT
_THEY = word_set("they it this these that none nothing which")
# A sentence that holds a word of each kind declines, whatever else it says: a speaker and what is not done.
_DECLINING = (
    (_SPEAKER, _DECLINES | _EXCEEDS | {"none"}),
    (_SPEAKER, NOT, TASK),
    (_SPEAKER, NOT, _SENT, IMAGE),
    (_SPEAKER, {"only", "merely"}, TASK),
    (_SPEAKER, _NEEDS, IMAGE | TASK),
    (_SPEAKER, _WISHES, {"could", "can"}),
    (_SPEAKER, _HIDES, {"me"}),
    (BOT, NOT | _LIMITS),
    (ME, IMAGE, {"if", "once", "when", "until", "without"}),
    (YOU, TASK, _ASKS),
    (YOU, NOT, _SENT),
    (NOT, {"enough"}, _FACTS | {"detail", "details", "data"}),
    (NOT, _FORBIDDEN, TASK | {"given", "details", "information"}),
    (_INSUFFICIENT, _DETAILS, TASK | _KNOWS),
    (_IMPROPER, TASK | _KNOWS),
)
# And one that names nothing of the scene: the image that did not come, the request that is not met.
_DECLINING_UNSEEN = (
    (_OOPS,),
    (_SPEAKER, _KNOWS),
    (YOU, _SENT),
    (YOU, TASK, _MUST | _POOR),
    ({"please", "kindly"}, IMAGE | TASK),
    (IMAGE, NOT, _ARRIVES | _POOR),
    (IMAGE, _POOR, {"too"}),
    (IMAGE, TASK, _NEEDS),
    (IMAGE, {"description", "caption", "summary"}, _POOR),
    (IMAGE | TASK, _BROKEN),
    (NOT, _FACTS),
    (_INSUFFICIENT, _FACTS | {"data", "details"}),
    (_FORBIDDEN, TASK | _KNOWS | {"content", "material"}),
)
_TALK = ME | YOU | BOT | NOT | _POOR | _NEEDS | _OOPS | _GONE | _BROKEN | _FORBIDDEN | _INSUFFICIENT


def _declines(said: Sentence) -> bool:
    """Whether a sentence declines: a speaker who does not, a task not done, an image that did not come."""
    if said.words.isdisjoint(_TALK):
        return False
    if any(said.has(*kinds) for kinds in _DECLINING):
        return True
    return not said.seen and (any(said.has(*kinds) for kinds in _DECLINING_UNSEEN) or _declines_unseen(said))


def _declines_unseen(said: Sentence) -> bool:
    """Whether a sentence that names nothing of the scene declines by its first word, its length or what it lacks."""
    first, short = said.tokens[0], len(said.tokens) < 5
    if first in _CANNOT or (first in _THEY and said.has(NOT, _ARRIVES)) or (short and said.has(NOT, _ABLE)):
        return True
    if first in _QUESTION and said.has(IMAGE) and (len(said.tokens) < 4 or said.has(YOU)):
        return True
    if said.has(_GONE, IMAGE | TASK | ME | YOU) and not said.has(_HIDDEN):
        return True
    return said.has(NOT, TASK) and not said.has(_SHOWS)


def _refusal(answer: Answer) -> str | None:
    text = without_writing(cued(answer.text, _CUES))
    if found := _REFUSAL.search(text) or _FAILS.search(text):
        return f'The answer refused ("{found.group().strip()}"). Describe what can be seen, nothing else.'
    for said in sentences(without_writing(answer.text)):
        if _declines(said):
            return f'The answer refused ("{" ".join(said.tokens)}"). Describe what can be seen, nothing else.'
    return None


REFUSAL = Check("refusal", _refusal)
