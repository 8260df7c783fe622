"""Check that the words for the view fit the place from which the manifest says the image was taken."""

from __future__ import annotations

import regex

from lrs2m_builder.checks.base import Answer, Check, cued, late, listed
from lrs2m_builder.checks.date import VIEW_NOUN

_SAT = r"s[ae]t+[ae]l+[iae]t+e?"  # people misspell it
_SATELLITE = late(
    regex.compile,
    rf"""
      \b{_SAT}(?:['’]s|[\s-](?:based|borne|captured|derived|acquired|taken))?[\s-]+(?:[\w-]+\s+){{0,2}}?{VIEW_NOUN}\b
    | \b(?:from|by|via|using|on\s+board|aboard|with)\s+(?:an?\s+|the\s+|this\s+)?
          (?:(?:[\w-]*orbit\w*|[\w-]*observ\w+|high-\w+|passing|imaging|remote[\s-]sensing|commercial|overhead|optical
          |earth|distant
            |resolution|circling|modern|weather|multispectral)\s+){{0,3}}{_SAT}s?\b(?!\s+(?:dish|antenna|town|cit
            |station|building|campus|communit|village|tv))
    | \b(?:perspective|views?|viewpoint|vantage(?:\s+point)?|eyes?|lens|camera)\s+of\s+(?:an?
          |the)\s+(?:[\w-]+\s+)?{_SAT}\b
    | \b{_SAT}[\s-](?:based|borne|captured|derived|acquired)\b | \b{_SAT}['’]s[\s-]
    | \b{_SAT}s?\s+(?:has\s+|have\s+)?(?:captur|record|observ|photograph|imag(?:ed|es)|acquir|passing\s+over|looks?
          |shows?|sees?)
    | \b{_SAT}s?\s+(?:that|which)\s+(?:\w+\s+){{0,2}}?(?:took|takes?|captur|record|photograph|acquir|imag|made|pass)
    | \b(?:altitude|height|flight|camera|sensors?|path|orbit|pass)\s+of\s+(?:an?|the|this)\s+(?:[\w-]+\s+)?{_SAT}\b
    | \b(?:from|in)\s+(?:outer\s+|low\s+earth\s+|earth\s+)?(?:space|orbit)\b(?=\s*[,.;:!)]|\s*$|\s+(?:shows?|showing
          |of|this|the|a)\b)
    | \b(?:space[\s-]?borne|orbital|space[\s-]based)\s+(?:[\w-]+\s+)?{VIEW_NOUN}\b
    | \b(?:landsat|sentinel-?\s?[12]|worldview-?\s?\d|quickbird|ikonos|geoeye|gaofen)\b
    """,
    regex.IGNORECASE | regex.VERBOSE,
)
_DRONE_NAME = r"(?:drones?|uavs?|uas|unmanned\s+aerial\s+(?:vehicles?|systems?)|quadcopters?|multicopters?|quadrotors?)"
_DRONE = late(
    regex.compile,
    rf"""
      \b{_DRONE_NAME}(?:['’]s?)?(?:[\s-](?:based|borne|captured|derived|acquired|taken|shot|mounted|level|eye))?
          (?:['’]s)?[\s-]+(?:[\w-]+\s+){{0,2}}?{VIEW_NOUN}\b
    | \b(?:from|by|via|through|with|using)\s+(?:an?\s+|the\s+|this\s+)?(?:[\w-]+\s+){{0,2}}?{_DRONE_NAME}\b
          (?!\s+(?:pads?|landing|hangars?|operators?|pilots?|base|field))
    | \b(?:perspective|views?|viewpoint|vantage(?:\s+point)?|eyes?|lens|camera)\s+of\s+(?:an?
          |the)\s+(?:[\w-]+\s+)?{_DRONE_NAME}\b
    | \b{_DRONE_NAME}\s+(?:that|which)\s+(?:\w+\s+){{0,2}}?(?:took|takes?|captur|record|photograph|acquir|film
          |made|fl(?:ew|ies))
    | \b(?:altitude|height|flight|camera|sensors?|path|pass)\s+of\s+(?:an?|the|this)\s+(?:[\w-]+\s+)?{_DRONE_NAME}\b
    | \b{_DRONE_NAME}(?:['’]s)?[\s-]eye | \b{_DRONE_NAME}[\s-](?:based|captured|acquired|shot|mounted)\b
    | \b{_DRONE_NAME}\s+(?:has\s+)?(?:captur|photograph|record(?:s|ed))
    """,
    regex.IGNORECASE | regex.VERBOSE,
)
_GROUND = late(
    regex.compile,
    rf"""
      \bstreet[\s-]?view\b | \beye[\s-]?level\b | \bpedestrian['’]?s?[\s-](?:eye|level|perspective|view|viewpoint)\b
    | \b(?:ground|street|human|road)[\s-]level[\s-]+(?:[\w-]+\s+){{0,2}}?{VIEW_NOUN}\b
    | \b(?:taken|shot|viewed|captured|photographed|photo|picture|image|(?:^|[.!?]\s|this\s)(?:an?\s)?view)\s+(?:at
          |from)\s+(?:the\s+|a\s+)?
          (?:ground|street|road|sidewalk|pavement)(?:[\s-]level)?\b | (?:\bseen|^
          |[.!?,]\s)\s*\bfrom\s+(?:the\s+)?(?:ground|street)[\s-]level\b(?!\s+(?:to|up)\b)
    | (?:^|[.!?;]\s|\bas\s+)\s*(?:seen\s+)?(?:at|from)\s+(?:the\s+)?(?:ground|street|road|sidewalk|pedestrian)(?:['’]s)?
          [\s-]level\b(?!\s+(?:to|up)\b)
    | \b(?:seen|viewed|looked\s+at|visible|observed|photographed|shot|taken|captured|pictured)\s+(?:out\s+
          |up\s+)?from\s+
          (?:below|(?:the\s+|an?\s+)(?:[\w-]+\s+)?(?:ground|street|sidewalk|pavement|kerb|curb|roadside|footpath|window
          |balcony|doorway|hilltop|car|boat|deck|driver['’]s\s+seat|shore|beach|lane|yard))\b(?!\s+(?:to|up)\b)
    | \b(?:looking|gazing|tilted|angled)\s+up(?:wards?)?\s+(?:at|toward|towards|to|from)\b
    | \b(?:worm['’]?s?[\s-]eye|frog['’]?s?[\s-]eye|low[\s-]angle|hand[\s-]?held|frontal|waist[\s-]level|human[\s-]eye)
          [\s-]+(?:[\w-]+\s+)?{VIEW_NOUN}\b
    | \b(?:ground|street)[\s-](?:based\s+)?(?:view|photo(?:graph)?|perspective|shot|image)s?\b
    | \b(?:first[\s-]person|dash[\s-]?cam|front|side|sideways)[\s-]+(?:view|perspective|footage|image)\s+of\b
    | \b(?:first[\s-]person|dash[\s-]?cam|front)\s+(?:view|perspective|footage|image)\b
    """,
    regex.IGNORECASE | regex.VERBOSE,
)
_AIRBORNE = late(
    regex.compile,
    r"\b(?:taken|shot|captured|photographed|recorded|seen|acquired|image[ds]?|photo\w*|picture|view)\s+(?:from"
    r"|by|aboard)\s+"
    r"(?:an?\s+|the\s+)?(?:[\w-]+\s+){0,2}?(?:air(?:plane|craft)|plane|helicopter|balloon|airship|cockpit)\b",
    regex.IGNORECASE,
)
_OBLIQUE = late(
    regex.compile,
    rf"\b(?:oblique|slanted|tilted|angled|three-quarter)[\s-]+(?:[\w-]+\s+){{0,2}}?{VIEW_NOUN}\b"
    rf"|\b{VIEW_NOUN}\s+(?:is|was)\s+(?:taken\s+)?(?:oblique|slanted|tilted)\b",
    regex.IGNORECASE,
)
# "Aerial" is everyday English for any view from above: it fits a satellite's.
_WRONG_VIEWS = {
    "satellite": (_DRONE, _AIRBORNE, _GROUND, _OBLIQUE),
    "aerial": (_SATELLITE, _DRONE, _GROUND),
    "drone": (_SATELLITE, _GROUND),
    "overhead": (_GROUND,),
}


_VIEW_CUES = listed(
    "satel|satal|sattel|sattal|setel|setal|settel|space|orbit|landsat|sentinel|worldview|quickbird|ikonos|"
    "geoeye|gaofen|"
    "drone|uav|uas|unmanned|copter|rotor|street|eye|pedestrian|ground|human|road|sidewalk|pavement|first|dash"
    "|front view|"
    "below|window|balcony|doorway|hilltop|boat|deck|driver|shore|beach|lane|yard|kerb|curb|looking up|gazing up|worm|"
    "frog|low-angle|low angle|hand-held|handheld|hand held|frontal|waist|oblique|slanted|tilted|angled|three-quarter|"
    "front perspective|front footage|front image|side view|side perspective|airplane|aircraft|plane|"
    "helicopter|balloon"
)


def _viewpoint(answer: Answer) -> str | None:
    """The words for the view fit the manifest's viewpoint."""
    text = cued(answer.text, _VIEW_CUES)
    for pattern in _WRONG_VIEWS[answer.viewpoint] if text else ():
        if found := pattern.search(text):
            view = "an overhead" if answer.viewpoint == "overhead" else f"a {answer.viewpoint}".replace("a a", "an a")
            return (
                f'The answer spoke of a "{found.group().strip()}"; it is {view} image. Name the view so or not at all.'
            )
    return None


VIEWPOINT = Check("viewpoint", _viewpoint, level="warn")
