"""Check on a claim that an image cannot bear out: when it was taken."""

from __future__ import annotations

import regex

from lrs2m_builder.checks.base import Answer, Check, cued, late, listed

_MONTH = "january|february|april|june|july|(?-i:August)|september|october|november|december"
_SHORT_MONTH = "jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec"
_YEAR = r"(?:1[6-9]\d\d|20[0-4]\d)"
VIEW_NOUN = (
    r"(?:images?|imagery|imaging|views?|vantage|photos?|photographs?|photography|pictures?|shots?|snapshots?"
    r"|captures?"
    r"|captured|scenes?|perspectives?|scans?|frames?|footage|videos?|maps?|data|observations?|pass|angles?|tiles?"
    r"|views?point|screenshots?|renderings?|recordings?|altitude|sensors?|cameras?|survey|surveillance)"
)
_BEFORE_YEAR = (
    r"(?:©|\b(?:in|since|during|until|till|by|before|after|circa|years?(?:\s+(?:is|was))?|years?\s+of|dated"
    r"|dates?\s+from|dating\s+(?:from|to|back\s+to)"
    r"|(?:early|late|mid|spring|summer|autumn|fall|winter|built|opened|founded|established|constructed"
    r"|completed|erected|renovated|made|taken|captured|acquired|recorded|photographed|from|of"
    r"|around|on|as\s+of|ago|copyright)[\s-]*(?:in)?))\s*,?\s*"
)
# Not after a number that looks like a year and counts or measures: "2000 trees", "1920 x 1080".
_NO_MEASURE = (
    r"(?!\s*[x×*%°/]|[.,:]\d|[-–]\d{1,3}\b|\s*(?:m|km|cm|ft|px|k?m²|ha|hectares?|acres?|met(?:er|re)s?|feet"
    r"|foot|yards?|miles?|pixels?"
    r"|square|sq|cubic|by|tons?|tonnes?|kilomet\w+|people|persons?|seats?|cars?|trees?|houses?|buildings?"
    r"|vehicles?|degrees?|inhabitants?"
    r"|or\s+more|units?|boats?|ships?|panels?|homes?|individual|small|large|parked|parking|spaces|spectators"
    r"|containers|planes?|animals)\b)"
)
_DATE = late(
    regex.compile,
    rf"""
      {_BEFORE_YEAR}(?!\d\d(?:00|50)\b){_YEAR}s?\b{_NO_MEASURE}
    | {_BEFORE_YEAR}{_YEAR}s?\b{_NO_MEASURE}(?!\s+to\s+\d)
          (?!\s+(?!(?:and|or|shows?|showing|the|a|an|with|by|when|as|is|was|were|has|had|after|before|during|at|on|in
          |from|over
             |it|this|that|satellite|aerial|image|imagery|season|while|where|but|which|bc|ad|ce)\b)[a-z])
    | \b(?:from|between)\s+{_YEAR}\s+(?:to|and|until)\s+{_YEAR}\b{_NO_MEASURE}(?!\s+[a-z]+s\b)
    | \b(?:the|a|an|this|that|its)\s+{_YEAR}\s+(?:\w+\s+){{0,2}}{VIEW_NOUN}\b
    | \((?:[^()]*,\s*)?(?:c\.|ca\.|circa)?\s*{_YEAR}\)
    | (?<=,\s){_YEAR}(?=\s*[.;)]|\s*,|\s*$)
    | (?<=[a-z]\s)(?<!\bnumber\s)(?<!\bnumbered\s)(?<!\bmarked\s)(?<!\bno\s)(?<!\bsome\s)(?<!\babout\s)(?<!\bover\s)
          (?<!\bnearly\s)(?<!\bto\s)(?<!\bthan\s)(?<!\breads\s)(?<!\breading\s)(?<!\bsays\s)(?!\d\d(?:00
          |50)\b){_YEAR}(?=\s*,\s|\s*[;)]|\s*\.?\s*$)
    | \b(?:compared\s+(?:with|to)|unlike|versus|before|after|than\s+in|as\s+in)\s+{_YEAR}\b{_NO_MEASURE}
    | \b(?:1[6-9]|20)\d0s\b | (?<!\w)['’][2-9]0s\b | \b(?:twenties|thirties|forties|fifties|sixties|seventies
          |nineties)\b
    | \b(?:\d{{1,2}}(?:st|nd|rd|th)|nineteenth|eighteenth|seventeenth|sixteenth|twentieth|twenty-first)[\s-]century\b
    | \b{_YEAR}[-/.](?:0?[1-9]|1[0-2])(?:[-/.]\d{{1,2}})?\b | \b\d{{1,2}}[/.-]\d{{1,2}}[/.-](?:19|20)\d\d\b
    | \b\d{{1,2}}/\d{{1,2}}/\d\d\b
    | \b(?:{_MONTH})(?:['’]s)?\b
    | \b(?:mid[\s-]?|early\s+|late\s+|in\s+|of\s+|during\s+|since\s+|until\s+|by\s+|from\s+|\d{{1,2}}(?:st|nd|rd
          |th)?\s+)
          (?-i:May|March)\b(?!\s+(?:be|have|not)\b)
    | \b(?:in|early|late|mid|since|of|last|during)[\s-]+august\b
    | \b(?:in|early|late|mid)[\s-]+(?:may|march)(?=\s*(?:[,.;)]|$|{_YEAR}))
    | \b(?-i:May|March)\s+(?:of\s+)?(?:{_YEAR}|\d{{1,2}}(?:st|nd|rd|th)?(?!\d|\s*[a-z]))
    | (?<![.!?]\s)(?<!^)(?<!["“(])\b(?-i:March|May)\b(?=\s+(?:image|imagery|scene|morning|afternoon|day|sun|light))
    | \b(?:{_SHORT_MONTH})\b\.?,?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?{_YEAR}\b
          | \b\d{{1,2}}\s+(?-i:{_SHORT_MONTH.title()})\b
    | \b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b | \b(?:weekend|weekday)s?\b
    | \b(?:summer|winter)(?:['’]s|time)?\b(?!\s+(?:wheat|barley|rye|gardens?|sports?|resorts?|houses?|camps?|palace
          |residences?|pastures?|squash|cottages?|homes?|chalets?|olympics?)\b)
    | \b(?:mid)?(?:summer|winter|autumn)s?(?:time)?\b(?!\s+(?:wheat|barley|rye|gardens?|sports?|resorts?
          |houses?|camps?
          |palace|residences?|pastures?|squash|cottages?|homes?|chalets?|olympics?)\b) | \bautumnal\b
    | \bwintry\b | \bspringtime\b
    | \b(?:in|during|of|early|late|mid|since|throughout|typical\s+of|suggests?|suggesting|indicates?|indicating|is|was
          |likely|probably|possibly|this|each|every|last|next|sunny|warm|fresh|bright)[\s-]+(?:the\s+|a\s+)?
          (?:(?:early|late|mid)[\s-]+)?(?:spring|fall)(?=\s*(?:[,.;:)!]|$)|\s+(?:{_YEAR}|and|or|when|as|with|season|is
          |was|months?|day|morning|afternoon|of\s+the\s+year)\b)
    | \b(?:spring|fall)\s+(?:season|foliage|colou?rs?|months?|days?|mornings?|afternoons?|greenery|growth|bloom
          |blossoms?
          |floods?|flood\w+|rains?|melt\w*|crops?|grass\w*|flowers?|storms?|showers?|snows?|winds?|sowing|ploughing
          |planting|harvest|semester|sunlight|sunshine|light|scene|landscape|leaves|scenery|weather|thaw|image
          |vegetation)\b
    | (?<![.!?:]\s)(?<=\s)(?-i:Spring|Fall)\b(?!\s+(?-i:[A-Z]))
    | \b(?:dry|wet|rainy|growing|monsoon|harvest|harvesting|planting|snow|snowy|cold|warm|hot)[\s-]season\b
    | \b(?:christmas|new\s+year|easter\s+(?:sunday|monday|holiday)|thanksgiving|halloween|ramadan)\b
    """,
    regex.IGNORECASE | regex.VERBOSE,
)
# What the pattern finds holds one of these.
_DATE_CUES = (
    *f"{_MONTH}".replace("(?-i:August)", "august").split("|"),
    *listed("nday|sday|iday|urday|weekend|weekday|summer|winter|autumn|spring|fall|season|century|wintry|christmas"),
    *listed("twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties"),
    *listed("jan.|feb.|mar.|apr.|jun.|jul.|aug.|sept.|sep.|oct.|nov.|dec."),
    *listed("new year|easter|thanksgiving|halloween|ramadan|may|march|0|1|2|3|4|5|6|7|8|9"),
)
_BATHING = late(regex.compile, r"\b(?:hot|thermal|mineral|natural|water|mountain)\s+spring", regex.IGNORECASE)
_TELLING = late(
    regex.compile, rf"\d|{_MONTH}|august|{_SHORT_MONTH}|may|march|day$|summer|winter|autumn|spring|fall|season|centur"
)


def known_text(answer: Answer) -> str:
    """All that is known of the image before a model is asked, in lower case."""
    sample = answer.sample
    anchors = (anchor.name for anchor in sample.anchors)
    return "\n".join((*sample.captions, sample.label, *anchors, answer.source)).casefold()


def _date_words(found: str) -> list[str]:
    """What of a found date must be known: its year, month, weekday or season, without "in" or "late"."""
    words = [word.removesuffix("time").removeprefix("mid") for word in regex.findall(r"\w+", found.casefold())]
    return [word for word in words if _TELLING.search(word)] or words


def _date(answer: Answer) -> str | None:
    """No year, month, weekday or season but those that are known."""
    text = cued(answer.text, _DATE_CUES)
    known = ""
    for found in _DATE.finditer(text):
        if _BATHING.search(text[max(0, found.start() - 12) : found.end()]):
            continue
        known = known or known_text(answer).replace("fall", "fall autumn").replace("autumn", "autumn fall") + " "
        if not all(word in known for word in _date_words(found.group())):
            return f'The answer gave a date or season ("{found.group().strip(" ,.()")}"). Leave it out.'
    return None


DATE = Check("date", _date)
