"""Check that an answer says what is there and does not guess."""

from __future__ import annotations

import regex as re

from lrs2m_builder.checks.base import Answer, Check, cued, late, listed, without_writing

_SEEN = (
    r"(?:(?:clearly|easily|also|only|just|readily|hardly|barely|partly|partially|faintly)\s+)*"
    r"(?:seen|observed|found|spotted|discerned|made\s+out|counted|noticed|distinguished|viewed|visible|glimpsed"
    r"|detected"
    r"|recogni[sz]ed|recogni[sz]able|discernible|identified(?!\s+as)|traced|entered|reached|accessed|crossed"
    r"|approached"
    r"|driven|walked|followed|compared|read|divided|grouped|told|picked\s+out|used\s+by|taken\s+by|said)"
)
_HEDGE = late(
    re.compile,
    rf"""
      \b(?:in\s+all\s+(?:probability|likelihood)|chances\s+are|possibly|probably|presumably|perhaps|maybe|potentially
          |supposedly|conceivably|seemingly(?!\s+(?:endless|infinite|boundless))|apparently|arguably|likely
          |unlikely\s+(?:to|that))\b
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
    | \bseem(?:s|ed|ing)?\s+(?:like|as\s+(?:if|though)|that)\b | \bit\s+seems?\b(?!\s+endless)
          | \bwhat\s+(?:looks?|appears?
          |resembles?|may|might|could|seems?)\b
    | \bwould\s+(?:appear|seem)\b | \b(?:might|may|could|would)\s+(?:guess|think|assume|suppose|mistake|take\s+it
          |speculate)\b
    | \b(?:not\s+(?:\w+ly\s+|quite\s+)?(?:certain|sure|clear\s+(?:what|if|whether|how|which|where))|unsure
          |uncertain)\b | \b(?:looks?|appears?|seems?)-(?:like|to)\b
    | (?:^|[.!?]\s)(?:it|there)\s+(?:looks|appears)\s+(?:like|as\s+(?:if|though)|that)\b | \b(?:looks?
          |appears?)\s+as\s+(?:if|though)\b
    | \b(?:suggest(?:s|ed|ing|ive)?)\b(?!\s+by\s+(?:its|their)\s+name)
    | (?<!arrow\s)(?<!arrows\s)(?<!sign\s)(?<!signs\s)(?<!marking\s)(?<!markings\s)(?<!lines\s)(?<!line\s)
          (?<!lights\s)(?<!letter\s)(?<!label\s)\bindicat(?:es?|ing)\s+an?\b
    | \bindicat(?:es?|ing|ed|ive)\s+(?:of\b|that\b|the\s+(?:presence|existence|use|possibility)|some\b|recent\b|it\b
          |they\b|possible|human|ongoing|either|active|there)
    | \b(?:impl(?:ies|y|ying)|hint(?:s|ing|ed)?\s+(?:at|that)\b|point(?:s|ing)\s+to\s+(?:an?|the\s+(?:presence
          |existence|use))\b)
    | \b(?:it\s+is|it's|it’s)\s+(?:\w+\s+)?(?:unclear|uncertain|possible|hard\s+to|difficult\s+to|not\s+clear
          |conceivable|plausible)\b
    | \b(?:unclear|uncertain)\s+(?:whether|if|what)\b | \b(?:an?|the|some|two|three|several|and|or|with
          |of)\s+(?:possible|probable|potential|presumed|suspected|apparent|supposed|likely)\s+(?!only\b|to\b
          |of\b|for\b
          |by\b)[a-z]+
    | \b(?:some\s+(?:sort|kind|type)\s+of|or\s+(?:something|some)\s+(?:similar|like))\b | \bof\s+some\s+(?:sort
          |kind)\b
    | \bi\s+(?:think|guess|believe|assume|suppose)\b | \bcan\s+be\s+(?:assumed|inferred|presumed|interpreted)\b
          | \b(?:inferred|infer|speculat\w+)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Further guesses by their grammar: what must be so, who might think so, what cannot be decided.
_GUESS = late(
    re.compile,
    rf"""
      \b(?:must|ought\s+to|should)\s+(?:surely\s+|therefore\s+|thus\s+)?(?:be|have\s+been)\s+(?:an?\s+(?!few)
          |the\s+\w+
          |part\s+of|used\s+(?:for|as)|meant|for\s+\w+ing|where)\b
    | \bmust\s+have\s+\w+(?:ed|en|nt|t|un|own|ade)\b
    | \bmight\s+(?:\w+ly\s+|also\s+|even\s+|still\s+|just\s+)*(?!be\b|pass\b|enter\b|cross\b|turn\b|stop\b|rest\b
          |walk\b|fit\b|meet\b|of\b|in\b|is\b|\w+ly\b|also\b|even\b|and\b)[a-z]+
    | \b(?:one|you|we|an?\s+(?:viewer|observer|reader))\s+(?:may|might|could|would)\s+(?:\w+ly\s+)?(?:take|mistake
          |guess
          |assume|think|suppose|infer|conclude|say|read|interpret|imagine|speculate|suspect|believe|expect)\b
    | \b(?:doubtful|questionable|debatable|unclear|uncertain|ambiguous|undetermined|unconfirmed|tentative\w*
          |ostensibl[ey]
          |putative\w*|purported\w*|allegedly|reportedly|assumedly|plausibl[ey]|conjectur\w+|speculative\w*
          |hypothetical\w*
          |imaginably|guess(?:ed|es|ing|work)?|suspect(?:ed|s)?|reminiscent\s+of\s+what|inconclusive)\b(?!\s+green
          |,?\s+(?:\w+\s+)?(?:water|river|stream|pond|lake|sea)\b)
    | \b(?:is|are|was|were|be)\s+either\s+(?:an?|the)\b | \beither\s+an?\s+[^.!?,;]{{1,40}}\s+or\s+an?\b
    | (?<!regardless\sof\s)(?<!no\smatter\s)\bwhether\b(?!\s+by\s)
    | \bsomething\s+(?:like|resembling|similar\s+to|akin\s+to|that\s+(?:looks|resembles|appears|could|may|might))\b
    | \bjudging\s+(?:by|from)\b | \b(?:by|from)\s+the\s+looks?\s+of\b | \b(?:is|are)\s+anything\s+to\s+go\s+by\b
    | \bas\s+far\s+as\s+(?:one|can|i|we|it)\b | \bif\s+(?:not\s+mistaken|i|at\s+all)\b | \bto\s+all\s+appearances?\b
    | \b(?:presum|assum|estimat|believ|rumou?r)\w*\s+(?:to\s+(?:be|have)|that)\b | \bassum(?:e|es|ing|ption)\b
          (?!\s+(?:the|an?|its)\s+(?:\w+\s+)?(?:form|shape|look|appearance|course|hue|colou?r)\b)
    | \bwould\s+(?:not\s+|hardly\s+)?(?:be|come\s+as)\s+(?:an?\s+|no\s+)?surpris\w+ | \b(?:feeling|impression|idea
          |hunch|suspicion|notion|sense)\s+that\b | \b(?:is|are|was|were|be)\s+either\s+\w+\s+or\b
    | \bor\s+(?:at\s+least|else)\s+(?:something|objects?|things?|an?|what|so)\b
    # "seem stationary", "looks like it holds oil", "makes one believe", "points to recent rain"
    | \bseem(?:s|ed|ing)?\s+(?:(?:almost|mostly|largely|partly|not|no\s+longer|newly|recently)\s+)?
          (?!to\b|not\b|a\b|an\b|in\b|on\b|at\b|so\b|very\b|quite\b|rather\b|more\b|less\b|too\b|like\b
          |(?:simple|beautiful|desolate|dark|bright|oppressive|calm|quiet|peaceful|lively|small|large|tiny|huge|lonely
          |endless|bleak|plain|dull|cold|warm|vivid|monotonous|barren|lost|pale|gloomy|magnificent|solemn|messy
          |chaotic)\b)
          [a-z]+ | \b(?:look|appear)(?:s|ed|ing)?\s+like\s+(?:it|they|there|someone|somebody|the\s+\w+
          \s+(?:is|are|was|were|has|have))\b
    | \b(?:mak|lead|lett?|caus|tempt|invit|allow)\w*\s+(?:one|you|me|us|the\s+(?:viewer|observer|reader))\s+(?:to\s+)?
          (?:think|believe|assume|suspect|suppose|guess|conclude|infer|imagine|expect|speculate)\b
    | (?<!arrow\s)(?<!arrows\s)(?<!sign\s)(?<!signs\s)\b(?:point|testif|attest|speak|allud)(?:s|y|ies|ing)?\s+
          (?:to|of|for)\s+(?:recent|past|former|earlier|frequent|ongoing|heavy|regular|human|previous|intensive
          |active)\b
    | \b(?:look|appear|seem)(?:s|ed|ing)?\s+(?:very\s+|quite\s+|rather\s+|most\s+)?(?:possible
          |likely|as\s+(?:if|though))\b | \b(?:would|could|may|might)\s+(?:well\s+|also\s+|then\s+)*(?:be|explain
          |account
          \s+for|make\s+sense|point)\b(?!\s+{_SEEN}\b)(?!\s+[\w\s]{{2,25}},\s+(?:but|yet)\b)(?!\s+\w+ed\b)
    | \b(?:it|this|that|these|they)\s+(?:could|may|might|would)\s+(?:well\s+)?mean\b | \b(?:could|may|might)\s+mean\b
    | \b(?:high|some|good|strong|low)\s+(?:probability|likelihood|chance|possibility)\b | \b(?:the\s+)?(?:possibility
          |probability|likelihood)\s+(?:of|that)\b | \b(?:i['’]d|i\s+would|i['’]m)\s+(?:say|guess|bet|fairly|pretty
          |not)\b
    | \bgive[sn]?\s+the\s+impression\b | \b(?:more|most|very|quite|highly)\s+(?:likely|probabl[ey]|plausibl[ey])\b
    | \b(?:can|could)\s+(?:only\s+)?be\s+(?:guessed|surmised|suspected|taken\s+(?:for|as)|mistaken|imagined)\b
    | \bpoints?\s+to(?:wards?)?\s+(?:an?|the|its|some)\s+(?:\w+\s+)?(?:use|function|purpose|role|former|past|origin)\b
    | \b(?:could|may|might|can|would)\s+(?:\w+ly\s+|also\s+)*(?:pass\s+for|belong|equally|just\s+as\s+well
          |amount\s+to)\b
    | \([^()]*\?\) | \b(?:with|without|any|some|no)\s+(?:\w+\s+)?(?:certainty|confidence|guarantee)\b | \b(?:said
          |determined|told
          |identified|known|established|ascertained)\s+(?:for\s+(?:sure|certain)|with\s+(?:\w+\s+)?(?:certainty
          |confidence))\b
    | \b(?:cannot|can['’]t|could\s+not|hard\s+to|difficult\s+to|impossible\s+to
          |not\s+possible\s+to)\s+(?:be\s+)?(?:\w+ly\s+)?
          (?:tell|telling|say|said|decide|decided|judge|determine|determined|establish\w*|know|known|identif\w+
          |guess)\s+
          (?:what|if|which|whether|for|with|exactly|how)\b
    | \b(?:or|and)\s+(?:possibly|perhaps|maybe)\b | \bruled?\s+out\b | \bsort\s+of\b | \bkind\s+of\s+(?:an?|like)\b
          | \bsuch\s+as\s+perhaps\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

# What the patterns find holds one of these.
_CUES = listed(
    "likel|chances|possib|probab|presum|perhaps|maybe|potential|suppos|conceiv|seem|apparent|arguabl|"
    "might|could|may |would|appear|look|thought|believ|assum|what |guess|think|mistake|specul|certain|"
    "sure|clear|uncertain|suggest|indicat|impl|hint|point|plausib|hard|difficult|suspect|sort of|kind of|"
    "some type|some kind|something|similar|infer|interpret|must|should|ought|doubt|question|debat|ambigu|"
    "undetermined|unconfirmed|tentativ|ostensib|putativ|purport|alleged|reported|conjectur|hypothet|"
    "imagin|inconclus|reminiscent|either|whether|judging|the look|go by|as far as|if not|if i|if at all|"
    "appearance|estimat|rumo|mean|chance|i'd|i’d|i'm|i’m|impression|taken|confiden|guarantee|known|told|"
    "?|ruled out|rule out|surpris|feeling|hunch|suspicion|notion|sense|at least"
)


def _hedge(answer: Answer) -> str | None:
    """What is there is said, not guessed."""
    text = without_writing(cued(answer.text, _CUES))
    if found := _HEDGE.search(text) or _GUESS.search(text):
        return f'The answer guessed ("{found.group().strip()}"). Say only what can be seen with confidence.'
    return None


HEDGE = Check("hedge", _hedge, "warn")
