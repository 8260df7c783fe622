"""Claims in the words in which `lrs2m verify` reads them from texts, and what would make them false.

A true claim is read from a text of the scene. A false one is a true one in which a number, a colour, a class or a place
is another, or one that is read from a sentence about a ground, a class or a scene that is not there. What the truth of
the scene does not decide is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from captioner_training.claim_words import MOST, Claim, noun_of, one_of
from captioner_training.regions import CELL, HALF
from captioner_training.said import CLASS_OF, IN_WORDS, NAMED_SCENE, NOUNS, Said, claim_about, said_in, statement
from captioner_training.texts import plain_groups, plain_long, plain_short
from lrs2m_builder.sample.drawing.placing import CLASSES, KINDS
from lrs2m_builder.sample.drawing.scene import Scene
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.sample.words import (
    ALSO_CALLED,
    COVERS,
    IN_CELL,
    NUMBERS,
    OF_CLASS,
    OF_COVER,
    SCENES,
    article,
    sentence,
)
from lrs2m_builder.verify.claims import claims_of

_SIDES = ("to the left of", "to the right of", "above", "below")
_RELATION = re.compile(
    rf"(?P<start>There (?:is|are) (?:an? )?|The )(?P<first>{NOUNS})(?P<plural>s?)(?P<verb> is| are|)"
    rf" (?P<side>{'|'.join(_SIDES)}|next to|on|along) the (?P<second>{NOUNS})(?P<plural2>s?)\."
)
_WEIGHTS = {"object": 1.0, "count": 1.0, "place": 1.6, "relation": 1.2}
# Of a scene with one of these a ground cannot be denied by its labels alone.
_HINDERS = {
    "grass": {"soccer field", "baseball diamond", "ground track field", "roundabout", "helipad"},
    "water": {"pond", "river", "swimming pool", "ship", "pier", "bridge"},
    "field": {"soccer field", "ground track field", "baseball diamond"},
    "forest": {"tree"},
    "tree": {"tree"},
    "plant": {"tree"},
    "sand": {"baseball diamond"},
    "roof": {"building", "house", "storage tank", "greenhouse"},
    "line": {*CLASSES},
    "shadow": {*CLASSES},
    "ground": {*CLASSES},
    "light": {*CLASSES},
    "road": {"road"},
}


class TextClaims:
    """Makes claims of texts."""

    def __init__(self) -> None:
        self._elsewhere = {
            source: tuple(claim.words for text in texts for claim in claims_of(sentence(text)))
            for source, texts in _general_texts()
        }

    def true_and_false(
        self, scene: Scene, absent: Sequence[str], wanted: int, random: np.random.Generator
    ) -> Iterator[Claim]:
        """Claims of one text of the scene, about as many false as true.

        Args:
            absent: classes that are not there and go with those that are.
            wanted: of each.
        """
        own = claims_of(_text(scene, random))
        weights = np.array([_WEIGHTS.get(claim.kind, 0.5) for claim in own])
        order = np.argsort(random.exponential(size=len(own)) / weights).tolist()
        for number in order[:wanted]:
            yield self._true(own[number].words, own[number].kind, scene)
        tries = (
            self._false(own[number].words, own[number].kind, scene, one_of(absent, random), random)
            for number in (*random.permutation(order), *random.permutation(order))
        )
        yield from islice((claim for claim in tries if claim is not None), wanted)

    def _true(self, words: str, kind: str, scene: Scene) -> Claim:
        found = statement(words)
        if found is None:
            return Claim(words, True, f"text {kind}")
        return claim_about(words, True, kind, found[0], scene)

    def _false(self, words: str, kind: str, scene: Scene, absent: str, random: np.random.Generator) -> Claim | None:
        found = statement(words)
        if found is None:
            relation = _RELATION.fullmatch(words)
            if relation and random.random() < 0.7:
                return _other_relation(relation, scene, random)
            if random.random() < 0.35:
                return self._of_elsewhere(scene, random)
            changed = _changed_words(words, scene, absent, random)
            return Claim(changed, False, f"text {kind}") if changed else None
        if kind == "object" and random.random() < 0.15:
            return self._of_elsewhere(scene, random)
        said, match = found
        ways = ["name", *["number"] * 3 * (said.said is not None), *["place"] * 4 * (said.region is not None)]
        ways += ["color"] * 2 * bool(said.color and said.name != "road")
        way = one_of(ways, random)
        other = _other(said, way, scene, absent, random)
        if other is None or not other.is_false(scene):
            return None
        return claim_about(_worded(words, match, other, said, random), False, kind, other, scene)

    def _of_elsewhere(self, scene: Scene, random: np.random.Generator) -> Claim | None:
        """What would be said of a ground, a class or a kind of scene that is not there."""
        here = _sources_of(scene)
        words = one_of(self._elsewhere[one_of([key for key in self._elsewhere if key not in here], random)], random)
        is_true = any(words in self._elsewhere[key] for key in here if key in self._elsewhere)
        is_hindered = any(word in words.lower() and hinders & {*scene.counts} for word, hinders in _HINDERS.items())
        if is_true or is_hindered or ("field" in words and ("cover", "farmland") in here):
            return None
        return Claim(words, False, "text object")


def _general_texts() -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """What is said of each ground, class and kind of scene."""
    for cover, text in OF_COVER.items():
        yield ("cover", cover), (text, f"there is {cover} on the ground")
    for name, text in OF_CLASS.items():
        noun = ALSO_CALLED.get(name, (name,))[0]
        yield ("class", name), (text.format(n=noun, be="is"), text.format(n=f"{noun}s", be="are"))
    for name, (what, _) in SCENES.items():
        yield ("scene", name), (f"the image shows {what}",)


def _sources_of(scene: Scene) -> set[tuple[str, str]]:
    """The grounds, the classes, and the kinds of scene that have a word in common with its own."""
    own = _words_of(scene.name)
    return {
        *(("cover", COVERS[name]) for name in scene.land_cover),
        *(("class", name) for name in scene.counts),
        *(("scene", name) for name in SCENES if own & _words_of(name)),
    }


def _words_of(scene_name: str) -> set[str]:
    return {*" ".join(SCENES[scene_name]).split()} - {"a", "an", "at", "the", "in", "on", "with", "by", "of"}


def _text(scene: Scene, random: np.random.Generator) -> str:
    way = random.random()
    if way < 0.45:
        return plain_long(scene)
    texts = write_texts(scene)
    if way < 0.9:
        return texts.long
    if way < 0.95:
        return one_of((texts.short, plain_short(plain_groups(scene), scene.name)), random)
    return one_of(texts.captions, random)


def _other(said: Said, way: str, scene: Scene, absent: str, random: np.random.Generator) -> Said | None:
    """The claim with one part changed."""
    if way == "number":
        number = (said.said or 0) + int(random.integers(1, 4)) * int(random.choice((-1, 1)))
        return replace(said, said=number) if 1 <= number <= MOST else None
    if way == "color":
        return replace(said, color=one_of(sorted({*KINDS[said.name].colors} - {said.color}) or [said.color], random))
    if way == "place":
        regions = (HALF if said.region and said.region.is_half else CELL).regions
        return replace(said, region=one_of([region for region in regions if region != said.region], random))
    tells = said.color and absent in KINDS and KINDS[absent].tells_color
    return replace(said, name=absent, color=one_of(KINDS[absent].colors, random) if tells else "")


def _worded(words: str, match: re.Match[str], other: Said, said: Said, random: np.random.Generator) -> str:
    """The words of a claim of which one part was changed."""
    one = other.said == 1 or (other.said is None and not match["plural"])
    noun = match["noun"] if other.name == said.name else noun_of(other.name, random)
    named = f"{other.color} {noun}" if other.color and noun != "dirt road" else noun
    if other.said is not None:
        what = f"{NUMBERS[other.said]} {named}{'' if one else 's'}"
    elif one:
        what = article(named)
    else:
        what = f"{match['article'] or ''} {named}s".strip()
    rest = words[match.end("plural") :].strip()
    if other.region != said.region and match["place"] and other.region:
        where = f"in the {other.region.name}" if other.region.is_half else IN_CELL[other.region.name]
        rest = f"{where} of the image."
    return f"There {'is' if one else 'are'} {what} {rest}"


def _other_relation(match: re.Match[str], scene: Scene, random: np.random.Generator) -> Claim | None:
    """The opposite side, or the two classes exchanged."""
    first, second, side = CLASS_OF[match["first"]], CLASS_OF[match["second"]], match["side"]
    if side not in _SIDES:
        return None
    if random.random() < 0.6:
        side = _SIDES[_SIDES.index(side) ^ 1]
        start = f"{match['start']}{match['first']}{match['plural']}{match['verb']}"
        words = f"{start} {side} the {match['second']}{match['plural2']}."
    else:
        first, second = second, first
        one = not match["plural2"]
        noun, other = f"{match['second']}{match['plural2']}", f"{match['first']}{match['plural']}"
        verb = "is" if one else "are"
        start = f"There {verb} {article(noun) if one else noun}" if match["start"] != "The " else f"The {noun} {verb}"
        words = f"{start} {side} the {other}."
    return Claim(words, False, "text relation", None, 0, scene.of(first), scene.of(second), first)


def _changed_words(words: str, scene: Scene, absent: str, random: np.random.Generator) -> str | None:
    """A sentence or relation with another class, number or colour in one of its phrases."""
    covered = [match.span() for match in NAMED_SCENE.finditer(words.lower())]
    phrases = [
        match
        for match in IN_WORDS.finditer(words[0].lower() + words[1:])
        if not any(start <= match.start("noun") < end for start, end in covered)
    ]
    if not phrases:
        return None
    match = one_of(phrases, random)
    said = said_in(match)
    ways = ["name"] + ["number"] * 2 * (said.said is not None) + ["color"] * bool(said.color and said.name != "road")
    other = _other(said, one_of(ways, random), scene, absent, random)
    if other is None or not other.is_false(scene) or absent in words:
        return None
    plural = match["plural"] if other.said in {said.said, None} else "" if other.said == 1 else "s"
    noun = match["noun"] if other.name == said.name else noun_of(other.name, random)
    named = f"{other.color} {noun}" if other.color and noun != "dirt road" else noun
    before = NUMBERS[other.said] if other.said is not None else match["article"] or ""
    if before in {"a", "an"}:
        before, named = "", article(named)
    changed = f"{words[: match.start()]}{before} {named}{plural}{words[match.end() :]}".replace("  ", " ").strip()
    return changed[0].upper() + changed[1:]
