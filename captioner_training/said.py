"""What a claim says of the things of one class, and whether the truth of a scene bears it out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from captioner_training.claim_words import MOST, Claim, capped
from captioner_training.regions import HALF, Region, counted
from lrs2m_builder.sample.drawing.placing import CLASSES, KINDS
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.words import ALSO_CALLED, IN_CELL, NUMBERS, SCENES

LEAST_MANY = 8  # fewer are never called many
CLASS_OF = {noun: name for name in CLASSES for noun in (name, *ALSO_CALLED.get(name, ()))} | {"dirt road": "road"}
_COLORS = sorted({color for kind in KINDS.values() for color in kind.colors})
_REGION_OF = {words: Region(cell) for cell, words in IN_CELL.items()} | {
    f"in the {region.name}": region for region in HALF.regions
}
NOUNS = "|".join(sorted(CLASS_OF, key=len, reverse=True))
_SAID = "|".join(NUMBERS[1:])
_THING = (
    rf"(?:(?P<article>an?|some|several|many) |(?P<said>{_SAID}) )?(?:(?P<color>{'|'.join(_COLORS)}) )?"
    rf"(?P<noun>{NOUNS})(?P<plural>s?)"
)
NAMED_SCENE = re.compile("|".join(re.escape(words) for pair in SCENES.values() for words in pair))
_PLACED = "|".join(sorted(map(re.escape, _REGION_OF), key=len, reverse=True))
_STATEMENT = re.compile(rf"There (?:is|are) {_THING} (?:in the image|(?P<place>{_PLACED})(?: corner)? of the image)\.")
IN_WORDS = re.compile(rf"\b{_THING}\b")


@dataclass(frozen=True, slots=True)
class Said:
    """A claim about the things of one class.

    Attributes:
        said: their number, None without one.
        color: "" without one.
        region: None for the whole image.
    """

    name: str
    said: int | None
    color: str
    region: Region | None

    def things(self, scene: Scene) -> tuple[SceneObject, ...]:
        """The things of its class and colour."""
        return tuple(thing for thing in scene.of(self.name) if self.color in {"", thing.color})

    def is_false(self, scene: Scene) -> bool:
        """Whether it certainly does not hold."""
        least, _, most = counted(self.things(scene), self.region)
        return most == 0 if self.said is None else not least <= self.said <= most


def statement(words: str) -> tuple[Said, re.Match[str]] | None:
    """What a claim says of one class, or None where it says something else."""
    match = _STATEMENT.fullmatch(words)
    if not match or NAMED_SCENE.search(words.replace(" in the image", "")):
        return None
    return said_in(match), match


def decided(words: str, kind: str, scene: Scene) -> Claim | None:
    """The claim with its truth; None where the objects of the scene do not decide it."""
    if (found := statement(words)) is None:
        return None
    said, match = found
    true = not said.is_false(scene)
    if match["article"] == "many" and true:
        if LEAST_MANY <= len(said.things(scene)) <= MOST:
            return None
        true = len(said.things(scene)) > MOST
    return claim_about(words, true, kind, said, scene)


def said_in(match: re.Match[str]) -> Said:
    """What a match of a thing says."""
    found = match.groupdict()
    said = NUMBERS.index(found["said"]) if found["said"] else None
    color = "brown" if found["noun"] == "dirt road" else found["color"] or ""
    return Said(CLASS_OF[found["noun"]], said, color, _REGION_OF.get(found.get("place") or ""))


def claim_about(words: str, true: bool, kind: str, said: Said, scene: Scene) -> Claim:
    """A claim of a text, with the things that it is about."""
    things = said.things(scene)
    about = tuple(thing for thing in things if said.region is None or said.region.depth(thing) >= 0)
    off = 0 if said.said is None or true else abs(said.said - len(about))
    place = said.region.name if said.region else ""
    among = scene.of(said.name)
    return Claim(words, true, f"text {kind}", capped(len(about)), off, about, among, said.name, place, said.said)
