"""Checks on figures that no image bears out: coordinates, boxes and the size of a pixel."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, beginning, late
from lrs2m_builder.checks.date import known_text

_NUMBER = r"[-−+]?\d+(?:\.\d+)?"
_PRECISE = r"[-−+]?\d{1,3}\.\d{2,}"
_NTH = r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|\d{1,2}(?:st|nd|rd|th))"
_EDGE = r"(?:edges?|borders?|corners?|margins?|left|right|top|bottom|image|picture|photo|frame|width|height)"
_COORDINATES = late(
    re.compile,
    rf"""
    # "34.05 N", "34°03'12\" N", "12 degrees south", "N 34.05"
      \b\d{{1,3}}(?:\.\d+\s*(?:°|º|degrees?)?|\s*(?:°|º
          |degrees?))\s*(?:\d{{1,2}}\s*['′’]\s*)?(?:\d{{1,2}}(?:\.\d+)?\s*["″”]\s*)?
          (?:(?-i:[NSEW])\b|(?:north|south|east|west|latitude|longitude)\b(?!\s+of\b))
    | \b(?-i:[NSEW])\s*\d{{1,3}}(?:\.\d{{2,}}|\s*[°º])
    | \b(?:latitudes?|longitudes?)\b[^.!?]{{0,20}}?\d | \b(?:lat|lon|lng|long)\s*[.:=]\s*[-−]?\d
    | \b(?:latitude\s+and\s+longitude|lat\s*/\s*lon\w*)\b
    | \b(?:geographic(?:al)?|gps|geo|pixel|image|grid|map|bounding[\s-]box|exact|approximate|utm
          |normali[sz]ed)[\s-]coordinates?\b
    | \bcoordinates?\b(?=[^.!?]{{0,40}}\d) | \b(?:at|with|by)\s+(?:the\s+)?(?:[\w-]+\s+)?coordinates\b
    | \b(?:utm\s+(?:zone|grid)|epsg|wgs[\s-]?84|mgrs|geohash|plus\s+code)\b
    # two numbers with two places behind the point and more: "34.0522, -118.2437"
    | (?<![\w.]){_PRECISE}\s*,\s*{_PRECISE}(?!\w|\.\d)
    # boxes and points: "[135, 114, 1016, 672]", "(221,423),(569,886)", "<loc12>", "x1 = 20"
    | [\[<{{]\s*{_NUMBER}(?:\s*[,;]\s*|\s+){_NUMBER}(?:(?:\s*[,;]\s*|\s+){_NUMBER}){{0,8}}\s*[\]>}}]
    | \(\s*{_NUMBER}(?:,\s+|\s*;\s*|\s+,\s*){_NUMBER}(?:\s*[,;]\s*{_NUMBER}){{0,8}}\s*\)
    | \(\s*{_NUMBER},{_NUMBER}(?:,{_NUMBER}){{1,8}}\s*\)
    | (?:\(\s*\d+\s*,\s*\d+\s*\)\s*,?\s*){{2}} | \(\s*(?:0?\.\d+|\d+),(?!\d{{3}}\s*\))\d+(?:\.\d+)?\s*\)
    | \b(?:bounding|anchor|detection)[\s-]box(?:es)?\b | \bbbox(?:es)?\b | \b[xy](?:_?(?:min|max)|[12])?\s*[=:]\s*\d
    | \b[xy][\s-](?:axis|values?|positions?|coordinates?)\b | \b(?:eastings?|northings?)\b
    | \b\d+(?:st|nd|rd|th)\s+(?:parallel|meridian)\b | \bzone\s+\d{{1,2}}\s?(?-i:[A-Z])\b
    | \b(?:position|point|location|spot|cent(?:er|re)d)\s+(?:at\s+|of\s+|is\s+)?{_NUMBER}\s*[,/x×]\s*{_NUMBER}(?!\w)
    # pixels as a measure of place: "40 pixels from the left edge", "pixel row 12", "at pixel 120", "pixels 10 to 90"
    | \b{_NUMBER}\s*(?:pixels?|px)\s+(?:(?:in|away|inward|down|up)\s+)?(?:from|to\s+
          the|above|below|left|right|down|off
          |inside|into|away|along|east|west|north|south)\b
    | \b(?:pixels?|px)\s+(?:(?:rows?|columns?|lines?|positions?|locations?|ind(?:ex|ices)|numbers?)\b|\(?\s*\d)
    | \b(?:rows?|columns?|lines?|positions?|ind(?:ex|ices))\s+\d+[^.!?]{{0,30}}?\bpixels?\b
    | \b\d+(?:\.\d+)?\s*(?:%|per\s?cent)\s+(?:(?:of\s+the\s+way|in|down|up|across|away)\s+
          )*(?:from|down|across|along|into)
          \s+(?:the\s+)?(?:\w+\s+)?{_EDGE}\b
    # a grid that is laid over the image: "grid cell B4", "row 3, column 2", "the third row, second column"
    | \b(?:grid|map|tile|image)[\s-](?:cells?|squares?|references?|sectors?|box(?:es)?|fields?)\s+(?:\w+\s+
          )?(?-i:[A-Z]\b|[A-Z]?-?\d)
    | \b(?:cells?|squares?|sectors?|quadrants?|box)\s+(?-i:[A-Z])-?\d{{1,2}}\b
    | \b(?:rows?\s+(?:\d+|{_NTH})|{_NTH}\s+rows?)\W+(?:(?:and|in|of|at|the)\s+){{0,3}}(?:columns?\s+
          \d+|{_NTH}\s+columns?)\b
    | \b(?:columns?\s+(?:\d+|{_NTH})|{_NTH}\s+columns?)\W+(?:(?:and|in|of|at|the)\s+){{0,3}}(?:rows?\s+
          \d+|{_NTH}\s+rows?)\b
    | \b(?:from|between)\s+(?:row|column)\s+\d+\s+(?:to|and)\s+(?:row\s+|column\s+)?\d+
    | \bgrid\s+(?:that\s+is\s+)?(?:over)?(?:laid|placed|imposed|superimposed|drawn|put)\s+
          (?:over|on|onto|across|upon)\s+(?:the|this)\s+
          (?:image|picture|photo\w*|scene|view|frame)\b
    | </?\|?(?:box|ref|quad|loc|point|det|region)(?:_?(?:start|end)|[\s\d:-][^<>]{{0,40}})?\|?>
    """,
    re.IGNORECASE | re.VERBOSE,
)
_UNIT = r"(?:m|meters?|metres?|cm|centimeters?|centimetres?|mm|km|kilomet(?:er|re)s?|feet|foot|ft|inch(?:es)?)"
_AMOUNT = r"(?:\d+(?:\.\d+)?|\.\d+|one|two|three|four|five|ten|half\s+a|sub)"
_RESOLUTION = late(
    re.compile,
    rf"""
      \b(?:ground\s+)?sampl(?:e|ing)\s+distances?\b | \b(?-i:GSD)\b
    | (?<!\w){_AMOUNT}[\s-]*{_UNIT}\s*(?:/|per|a|each)\s*(?:pixels?|px)\b
    | \b(?:each|one|every|a|per)\s+pixels?\s+(?:is|covers?|measures?|represents?|equals?|corresponds?|shows?|spans?)\b
    | (?<!\w){_AMOUNT}[\s-]*{_UNIT}[\s-]+(?:(?:spatial|ground|pixel|image|nominal)[\s-]+)?(?:resolution|pixels?)\b
    | \b(?:resolution|pixel\s+size|scale)\s+(?:\w+\s+){{0,3}}?(?:of|is|at|was|around|about|approximately|:)?\s*
          (?:\w+\s+)?{_AMOUNT}[\s-]*(?:{_UNIT}|pixels?|px)\b
    | \b(?:sub-?met(?:er|re)|submet(?:er|re))[\s-]+(?:spatial\s+)?resolution\b
    | \b\d{{2,5}}\s*(?:[x×*]|by)\s*\d{{2,5}}[\s-]*(?:pixels?|px|tiles?|images?|crops?|patch(?:es)?|chips?)\b
          | \bscale\s+(?:of\s+|is\s+)?1\s*:\s*\d{{2,}}
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _is_known(found: str, known: str) -> bool:
    """Whether the figures of a finding are those that hints, labels or the source give."""
    figures = re.findall(r"\d+(?:\.\d+)?", found)
    return all(figure in known for figure in figures) if figures else found.casefold() in known


def _first_unknown(pattern: re.Pattern[str], answer: Answer) -> str:
    known = known_text(answer)
    found = (match.group().strip(" ,.") for match in pattern.finditer(beginning(answer.text)))
    return next((words for words in found if not _is_known(words, known)), "")


def _coordinates(answer: Answer) -> str | None:
    """No latitudes and longitudes, no boxes, points or distances in pixels, no cell of a grid over the image."""
    if words := _first_unknown(_COORDINATES, answer):
        return f'The answer gave coordinates ("{words[:60]}"). Say in words where things are.'
    return None


def _resolution(answer: Answer) -> str | None:
    """No size of a pixel or of the image in pixels that nothing given names."""
    if words := _first_unknown(_RESOLUTION, answer):
        return f'The answer gave a resolution ("{words[:60]}") that nothing given names. Leave it out.'
    return None


COORDINATES = Check("coordinates", _coordinates)
RESOLUTION = Check("resolution", _resolution)
