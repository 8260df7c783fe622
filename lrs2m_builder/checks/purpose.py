"""Check that a text says what is there, and neither what it is good for nor what to feel about it."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, late, split_sentences, without_writing
from lrs2m_builder.checks.date import known_text

_USES = (
    r"(?:(?:urban|city|town|regional|spatial|land(?:[\s-]?use)?|infrastructure|environmental|agricultural"
    r"|transport\w*|traffic|coastal"
    r"|disaster|emergency|military|geospatial|geographic\w*|ecological|resource|water|forest|property"
    r"|cadastral|strategic)[\s-]+"
    r"(?:planning|planners|management|monitoring|analysis|analyses|analysts?|stud(?:y|ies)|assessments?"
    r"|research(?:ers)?|response"
    r"|mapping|surveys?|surveillance|development\s+planning|reconnaissance|intelligence|education)"
    r"|(?:planners|cartograph\w+|mapmaking|researchers|geographers|urbanists|policy[\s-]?makers"
    r"|decision[\s-]?mak\w+|surveyors)"
    r"|(?:mapping|research|planning|analytical|educational|navigation(?:al)?|surveillance|monitoring)\s+purposes?"
    r"|(?:research|further\s+(?:study|analysis|research)|image\s+analysis|change\s+detection"
    r"|remote\s+sensing\s+(?:analysis|applications?)))"
)
_WORTH = (
    r"(?:valuable|useful|important|invaluable|excellent|essential|rich|key|crucial|vital|great|perfect|ideal"
    r"|helpful|significant|good)"
)
_THING = (
    r"(?:resources?|references?|tools?|sources?|insights?|information|data|assets?|aids?|basis|foundation"
    r"|records?|documents?|documentation)"
)
_ABSTRACT = (
    r"(?:interplay|harmon\w+|balance|relationships?|coexist\w+|co-existence|importance|significance|ingenuity"
    r"|complexit(?:y|ies)|impacts?"
    r"|roles?|resilience|beauty|progress|modernity|heritage|lifestyles?|efficien\w+|commitment|planning"
    r"|creativity|achievements?"
    r"|prosperity|wealth|essence|charm|grandeur|majesty|serenity|tranquil\w+"
    r"|interconnect\w+|activity\s+of\s+man|way\s+of\s+life|human\s+(?:activity|influence|impact|presence"
    r"|effort|intervention))"
)
_SHOWS = (
    r"(?:highlight|showcas|illustrat|underscor|emphasi[sz]|demonstrat|reflect|exemplif|embod|symboli[sz]"
    r"|represent|reveal|celebrat|captur"
    r"|convey|express|display|exhibit|signif|echo)\w*"
)
_MOOD = (
    r"(?:peaceful|serene|tranquil|picturesque|idyllic|vibrant|bustling|beautiful|stunning|breathtaking"
    r"|impressive|thriving|inviting"
    r"|harmoni\w+|well[\s-](?:planned|organi[sz]ed|maintained|balanced|designed|developed|kept|managed"
    r"|functioning)|charming|lovely"
    r"|efficient\w*|orderly|functional|lively|calm|quiet|majestic|remarkable|fascinating|balanced?|important"
    r"|significant|vital|essential"
    r"|ideal|perfect|pleasant|welcoming|dynamic|cohesive|comprehensive|prosperous)"
)
_PURPOSE = late(
    re.compile,
    rf"""
      \b{_WORTH}\s+(?:\w+\s+)?{_THING}\s+(?:for|to|in|on|about|into|of)\b
    | \b(?:serv|function|act|stand|work)\w*\s+as\s+(?:an?|the)\s+(?:[\w-]+\s+){{0,3}}?(?:resource|reminder
          |testament|example|reference
          |testimony|tribute|witness|showcase|snapshot|illustration|reflection|demonstration|monument\s+to
          |lifeline|hallmark)\b
    | \b(?:a|powerful|clear|visual)\s+(?:testament|tribute|testimony|reminder)\s+(?:to|of|that)\b
          | \btestif\w+\s+to\b | \bspeaks?\s+(?:to|of|volumes)\b
    | \b(?:can|could|may|might|will|would)\s+(?:also\s+)?be\s+(?:used|utili[sz]ed|employed|helpful|useful
          |valuable|beneficial|of\s+use)
          \s+(?:for|to|by|in|as)\s+(?:\w+\s+){{0,3}}?(?:{_USES}|analy[sz]\w+|assess\w*|monitor\w*|identify\w*
          |study\w*|understand\w*|track\w*|evaluat\w+|plan\w*)
    | \b(?:useful|helpful|valuable|suitable|ideal|perfect|essential|beneficial|crucial|important|vital|suited
          |used|relevant|interesting)
          \s+(?:for|to|in)\s+(?:\w+\s+){{0,3}}?{_USES} | \b(?:for|in|by|to|aid\w*|assist\w*|inform\w*
          |support\w*)\s+(?:the\s+)?(?:purposes?\s+of\s+)?{_USES}\b
    | \b(?:for|serving)\s+(?:the\s+)?purposes?\s+of\b
    # moods
    | \b(?:sense|feeling|aura|air|atmosphere|mood|ambian?ce|ambience|spirit|vibe
          |feel)\s+of\s+(?!the\s+(?:\w+\s+)?(?:place|scene)\b)
          (?:\w+\s+(?:and\s+)?)?(?:order\w*|tranquil\w*|seren\w*|calm\w*|peace\w*|depth|scale|movement
          |harmon\w*|balance|space|spaciousness|openness
          |isolation|solitude|community|unity|symmetry|rhythm|vastness|grandeur|activity|vibran\w*|life|energy
          |quiet\w*|structure|organi[sz]ation
          |privacy|continuity|tension|history|mystery|wonder|awe|freedom|remoteness|desolation|stillness
          |neatness|efficiency|purpose
          |beauty|nature|warmth|cohesion|connection|luxury|tidiness|abandonment|emptiness|enclosure|seclusion)\b
    | \b(?:convey|evok|exud|radiat)\w*\s+(?:an?|the|both|its|feelings?|images?)\b
    | \b(?:creat|giv|lend|add|provid|offer|bring|contribut|foster|produc|present)\w*\s+(?:to\s+)?(?:(?:the|this
          |it)\s+(?:\w+\s+)?)?(?:an?|the)\s+(?:[\w-]+\s+(?:and\s+|,\s*)?){{0,3}}?
          (?:sense|feeling|aura|atmosphere|mood|ambian?ce|ambience|vibe|charm|glimpse|insights?|snapshot|appeal
          |aesthetic|allure|experience)\b
    | \b(?:offer|provid|giv|allow)\w*\s+(?:[\w-]+\s+){{0,4}}?(?:insights?|glimpses?|understanding)\b
    | \ba\s+(?:[\w-]+\s+){{0,2}}?(?:glimpse|window|snapshot)\s+(?:into|of\s+(?:life|daily|modern|urban|rural
          |human|nature))\b
    | \b{_SHOWS}\s+(?:(?:the|an?|its|their|both|how|man['’]?s?
          |human\w*)\s+)(?:[\w-]+\s+(?:and\s+)?){{0,3}}?{_ABSTRACT}\b
    | \b(?:harmonious|perfect|delicate|striking|beautiful|seamless)\s+(?:blend|balance|coexistence|harmony
          |integration|interplay|mix|union|synergy|fusion)\b
    | \b(?:in\s+(?:perfect\s+)?harmony\s+with|coexist\w*\s+(?:peacefully|harmoniously|in\s+harmony))\b
    | \bplay\w*\s+(?:an?|its|their)\s+(?:[\w-]+\s+){{0,2}}?(?:role|part)\s+in\b
    | \bmak(?:es?|ing)\s+(?:it|this|them|the\s+\w+)\s+(?:an?\s+|the\s+)?(?:\w+ly\s+)?(?:ideal|perfect|popular
          |attractive|important|great|excellent|vital
          |suitable|essential|desirable|appealing|pleasant|favou?rite|hub|prime|key|crucial|convenient|significant)\b
    | \b(?:ideal|perfect|popular|great|excellent|favou?rite|wonderful|prime)\s+(?:place|spot|destination
          |location|setting|choice|getaway|retreat|venue)\s+(?:for|to|of|among)\b
    | \b(?:vital|crucial|essential|integral|significant|important)\s+(?:part|component|role|hub|link|center
          |centre|element|aspect|place)\s+(?:of|for|in|between)\b
    | \b(?:human|modern|engineering|architectural)\s+(?:ingenuity|progress|achievement|endeavou?r|prowess|marvel)\b
    | \ba\s+(?:true\s+)?(?:marvel|feast|delight|masterpiece|haven|paradise)\s+(?:of|for|to)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CLOSING = late(
    re.compile,
    rf"""^[\s"]*(?:overall|in\s+(?:summary|conclusion|short|essence)|altogether|all\s+in\s+all|to\s+(?:sum\s+
          up|conclude|summari[sz]e)|ultimately|taken\s+together)
    \s*,[^.!?]*\b{_MOOD}\b""",
    re.IGNORECASE | re.VERBOSE,
)


# The same by structure: the image as what is useful, tells or gives, people who would use it, and words for moods.
_IMAGE = (
    r"(?:images?|imagery|pictures?|photo\w*|views?|scenes?|data|shots?|scans?|tiles?|perspectives?|compositions?"
    r"|arrangements?|layouts?|vistas?|panoramas?|it|this|these|that|which|they)"
)
_FIT = (
    r"(?:useful|helpful|valuable|invaluable|suited|suitable|ideal|perfect|relevant|instructive|indispensable|informative"
    r"|beneficial|of\s+(?:\w+\s+)?(?:use|help|interest|value|importance))"
)
_PEOPLE = (
    r"(?:researchers?|scientists?|planners?|analysts?|authorities|officials?|policy[\s-]?makers?|geographers?"
    r"|ecologists?|hydrologists?|geologists?|conservationists?|developers?|students?|experts?|decision[\s-]?makers?"
    r"|agencies|historians?|archaeologists?|cartographers?|urbanists?|governments?|engineers|viewers?|onlookers?"
    r"|beholders?)"
)
_STUDIED = (
    r"(?:health|growth|erosion|flood\w*|risks?|damages?|changes?|expansion|deforestation|land[\s-]?use|land[\s-]?cover"
    r"|urbani[sz]ation|yields?|sprawl|droughts?|pollution|biodiversity|trends?|impacts?|resources|wildlife|climate"
    r"|disasters?|ecosystems?|habitats?|densit(?:y|ies)|patterns?|infrastructure|activit(?:y|ies)|conditions|progress)"
)
_FELT = (
    r"(?:peaceful|serene|tranquil|idyllic|picturesque|charming|inviting|lively|vibrant|bustling|cozy|cosy|relaxing"
    r"|enchanting|dreamlike|dreamy|magical|romantic|breathtaking|stunning|captivating|mesmeri[sz]ing|fascinating"
    r"|beautiful|lovely|majestic|harmonious|welcoming|awe-inspiring|timeless|evocative|calming|soothing)"
)
_STRUCTURE = late(
    re.compile,
    rf"""
      \b{_IMAGE}\s+(?:(?:like|such\s+as)\s+\w+\s+)?(?:is|are|(?:can|could|may|might|would|will)\s+(?:also\s+
          )?(?:be|prove)
          |proves?|makes?)\s+(?:\w+ly\s+|well\s+|also\s+|very\s+|most\s+|thus\s+|itself\s+){{0,2}}{_FIT}\s+
          (?:for|to|in|when|as)\b
    | \b{_IMAGE}\s+(?:can|could|may|might|would|will)\s+(?:\w+ly\s+|also\s+|thus\s+
          )?(?:help|aid|assist|support|serve|inform
          |guide|benefit|contribute|enable|allow|assess|prove|be\s+
          (?:used|utili[sz]ed|employed|applied|analy[sz]ed))\b
    | \b(?:useful|helpful|invaluable|informative|instructive|indispensable)\s+(?:for|to|in|when)\b
    | \b{_PEOPLE}\s+(?:(?:and|or)\s+\w+\s+)?(?:can|could|may|might|would|will|are\s+
          able|use|rely|benefit|study|monitor)\b
    | \b(?:help\w*|aid\w*|assist\w*|allow\w*|enabl\w*|offer\w*|giv\w+|provid\w*|let\w*|support\w*|inform\w*|guid\w+
          |captivat\w*|delight\w*|invit\w*|draw\w*|reward\w*|remind\w*|impress\w*|of\s+\w+\s+to)\s+
          (?:the\s+|local\s+|city\s+|urban\s+){{0,2}}{_PEOPLE}\b
    | \b(?:monitor|assess|track|analy[sz]|detect|stud[yi]|evaluat|estimat|understand|predict|forecast|quantify
          |document)\w*\s+(?:of\s+)?(?:[\w-]+\s+){{0,3}}?{_STUDIED}\b
    | \bmapping\s+(?:of\s+)?(?:[\w-]+\s+){{0,2}}?{_STUDIED}\b
    | \b(?:training|benchmark)\s+(?:data|images?|samples?|sets?|material)\b | \b(?:object|change|feature)\s+
          (?:detection
          |recognition)\b | \b(?:machine\s+learning|computer\s+vision)\b
    # what it tells, shows of people, and does to the one who looks
    | \b(?:tells?|telling|told)\s+(?:(?:an?|the|its|their|us)\s+)?(?:[\w-]+\s+
          )?(?:story|stories|tales?|of|about|us|how)\b
    | \b(?:an?|the|its)\s+(?:[\w-]+\s+)?(?:story|tale|narrative|chronicle)\s+(?:of|about)\b
    | \b(?:show|reveal|illustrat|of|demonstrat|captur|reflect|highlight|see)\w*\s+how\s+
          (?:people|humans?|man|mankind|we|nature
          |communit\w+|cities|the\s+(?:\w+\s+)?(?:district|city|town|land|landscape|region|community|place|people))\b
    | \b(?:delight|pleas|sooth|draw|captivat|catch|charm|rest|guid)\w*\s+the\s+
          (?:eyes?|senses?|gaze|imagination|soul|mind)\b
    | \b(?:invit|encourag|inspir|evok|stir|spark|awaken)\w*\s+(?:the\s+|a\s+)?(?:[\w-]+\s+
          )?(?:contemplation|reflection
          |exploration|relaxation|leisure|wonder|curiosity|admiration|imagination|thoughts?|memories|visitors|viewers
          |feelings?|emotions?|nostalgia|adventure|discovery|awe)\b
    | \bremind\w*\s+(?:us|one|you|the\s+\w+|people|viewers?)\s+(?:of|that|how)\b | \bone\s+can(?:not)?\s+
          (?:almost\s+)?(?:feel
          |imagine|sense|hear|help\s+but)\b
    | \b(?:giv|offer|provid|creat|leav|convey|mak|lend|impart|instil)\w*\s+(?:\w+\s+)?(?:an?|the|some)\s+
          (?:[\w-]+\s+){{0,3}}?
          (?:impression|sense|feeling|understanding|insights?|charm|character\s+of|quality\s+of|illusion)\b
    | \b(?:captivating|rare|fascinating|unique|vivid|intimate|compelling|valuable|clear)\s+
          (?:glimpse|window|portrait|testament
          |picture\s+of|reminder|snapshot|insights?)\b
    | \bglimpses?\s+(?:of|into)\s+(?:[\w-]+\s+
          ){{0,2}}?(?:life|living|world|culture|history|past|future|nature|reality)\b
    | \b(?:testament|tribute|ode|homage|testimony)\s+to\b | \b(?:symbol|emblem|embodiment|epitome|celebration|essence
          |hallmark|portrait)\s+of\s+(?!an?\b)\w+
    | \bexamples?\s+of\s+(?:[\w-]+\s+){{0,3}}?(?:planning|design|architecture|harmony|engineering|balance|urban\w*
          |development|agriculture|how|efficien\w+|infrastructure|sustainab\w+|coexistence|adaptation|landscap\w+)\b
    | \b(?:harmony|bond|connection|relationship|interplay|coexistence|dialogue|balance|interaction|tension|union)
          \s+(?:between|of|with|among)\s+(?:the\s+
          )?(?:people|man|mankind|humans?|humanity|nature|natural|city|industry|urban
          |past|tradition|modern\w*|order|development|civili[sz]ation|life)\b
    # moods and judgements
    | \b(?:mood|ambian?ce|ambience|vibe|allure|serenity|tranquill?ity|grandeur|majesty|splendou?r|nostalgia|coziness
          |dreamlike|awe-inspiring|civic\s+pride|way\s+of\s+life|livelihoods?|ingenuity|human\s+spirit)\b
    | \b{_FELT},?\s+(?:(?:and|almost|yet|\w+)\s+
          ){{0,2}}?(?:atmosphere|settings?|feel|charm|retreat|haven|escape|beauty|air
          |glimpse|tapestry|experience|harmony|quality|scene|image|spectacle|composition)\b
    | \b(?:visual|natural|quiet|perfect|timeless|rugged|rustic|raw|serene|stark|understated)\s+
          (?:harmony|beauty|elegance|appeal
          |interest|delight|charm|poetry)\b
    | \b(?:importance|significance|resilience|prosperity|sustainability|vitality|dynamism)\s+of\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _purpose(answer: Answer) -> str | None:
    """No use of the image, no lesson from it and no mood."""
    text = without_writing(answer.text)
    found = _PURPOSE.search(text) or _STRUCTURE.search(text)
    found = found or next(filter(None, map(_CLOSING.match, split_sentences(text)[1:])), None)
    if found is None or found.group().strip().casefold() in known_text(answer):
        return None
    return f'The answer judged or gave a purpose ("{found.group().strip()[:80]}"). Say only what is there.'


PURPOSE = Check("purpose", _purpose, level="warn")
