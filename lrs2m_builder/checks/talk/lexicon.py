"""The words with which people speak of texts, as pieces of patterns: every form of a verb, every noun of a kind.

A pattern composed of these pieces finds a way of speaking, not a phrase: "the supplied note claims", "your caption was
right about". All pieces are groups that capture nothing, for patterns that ignore case and, if they are verbose, too.
"""

from __future__ import annotations

_DOUBLED = frozenset(["submit", "refer", "tag", "omit", "transmit", "compel", "label", "model", "drop", "trim"])
_IRREGULAR = {
    "say": "says|said|saying",
    "tell": "tells|told|telling",
    "speak": "speaks|spoke|spoken|speaking",
    "give": "gives|gave|given|giving",
    "write": "writes|wrote|written|writing",
    "read": "reads|reading",
    "put": "puts|putting",
    "send": "sends|sent|sending",
    "let": "lets|letting",
    "make": "makes|made|making",
    "show": "shows|showed|shown|showing",
    "know": "knows|knew|known|knowing",
    "hold": "holds|held|holding",
    "think": "thinks|thought|thinking",
    "see": "sees|saw|seen|seeing",
    "find": "finds|found|finding",
    "get": "gets|got|gotten|getting",
    "take": "takes|took|taken|taking",
    "bring": "brings|brought|bringing",
    "hand": "hands|handed|handing",
    "pass": "passes|passed|passing",
    "keep": "keeps|kept|keeping",
    "set": "sets|setting",
    "leave": "leaves|left|leaving",
    "rewrite": "rewrites|rewrote|rewritten|rewriting",
    "have": "has|had|having",
}


def forms(lemmas: str) -> str:
    """A group of all forms of the verbs listed: "say note" -> say, says, said, saying, note, notes, noted, noting."""
    return group("|".join(_forms(lemma) for lemma in lemmas.split()))


def inflections(lemmas: str) -> frozenset[str]:
    """All forms of the verbs listed, as a set of words."""
    return frozenset(form for lemma in lemmas.split() for form in _spelt(lemma))


def _spelt(lemma: str) -> set[str]:
    if lemma in _IRREGULAR:
        return {lemma, *_IRREGULAR[lemma].split("|")}
    if lemma.endswith("e"):
        return {lemma, f"{lemma}s", f"{lemma}d", f"{lemma[:-1]}ing"}
    if lemma.endswith("y") and lemma[-2] not in "aeou":
        return {lemma, f"{lemma[:-1]}ies", f"{lemma[:-1]}ied", f"{lemma}ing"}
    stem = lemma + lemma[-1] if lemma in _DOUBLED else lemma
    plural = "es" if lemma.endswith(("s", "sh", "ch", "x", "z")) else "s"
    return {lemma, f"{lemma}{plural}", f"{stem}ed", f"{stem}ing", f"{lemma}ed", f"{lemma}ing"}


def group(alternatives: str) -> str:
    """A group that captures nothing, of alternatives with bars between them; a blank stands for any space."""
    return "(?:" + alternatives.replace(" ", r"\s+") + ")"


def _forms(lemma: str) -> str:
    if lemma in _IRREGULAR:
        return f"{lemma}|{_IRREGULAR[lemma]}"
    if lemma.endswith("e"):
        return f"{lemma}[sd]?|{lemma[:-1]}ing"
    if lemma.endswith("y") and lemma[-2] not in "aeou":
        return f"{lemma}|{lemma[:-1]}ie[sd]|{lemma}ing"
    last = f"{lemma[-1]}?" if lemma in _DOUBLED else ""
    plural = "es" if lemma.endswith(("s", "sh", "ch", "x", "z")) else "s"
    return f"{lemma}(?:{plural}|{last}(?:ed|ing))?"


# What a text does: it says something, gives it, is silent about it.
SAY = forms(
    "say state mention describe suggest indicate note imply tell claim refer call speak talk name list count "
    "identify "
    "confirm specify report give provide contain include omit assert declare announce maintain insist promise stress "
    "emphasise emphasize declare classify categorise categorize label tag cite quote allude hint warn inform remark "
    "explain point put ask request want require demand tally record register enumerate observe summarise summarize"
)
# How a text came to the model: also before the noun, "the supplied note", and behind it, "the note supplied".
_HANDED = (
    "given|provided|supplied|furnished|submitted|attached|handed over|passed on|passed along|sent|shared|stated"
    "|accompanying|enclosed|offered|transmitted|delivered|received|entered|above|aforementioned|preceding|prior|"
    "earlier"
    "|previous|initial|original|input|source|reference|target|underlying|human|human-written|manual|expert|existing"
    "|published|user|user's|annotator's|corresponding|associated|paired|official|first|second|third|fourth|fifth|last"
    "|longest|shortest|one-line|single-sentence"
)
HANDED = group(_HANDED)
HANDED_OVER = group(
    "given|provided|supplied|furnished|submitted|attached|handed over|passed on|passed along|sent|shared|enclosed"
    "|received|entered|at hand|made available|above"
)
# Words for a text that nothing in a scene is called, and those that only a word beside them makes one.
TEXT = group(
    r"captions?|hints?(?! (?:of|at)\b)|annotations?|meta-?data|ground[\s-]truths?|key\s?words?|tag\s?lists?|"
    r"label\s?sets?"
    r"|prompts?|object (?:lists?|counts?)|scene (?:class|labels?|categor(?:y|ies)|types?)|class (?:names?|labels?)"
    r"|annotators?|captioners?|labell?ers?|bounding box(?:es)?"
)
MAYBE_TEXT = group(
    r"texts?|descriptions?|sentences?|labels?|tags?|notes?|information|info|data|details|lists?|statements?|wordings?"
    r"|phras(?:es?|ing)|entr(?:y|ies)|records?|inputs?|summar(?:y|ies)|remarks?|comments?|context|brief|classes"
    r"|passages?(?! (?:between|for|of|through|to|under)\b)"
    r"|class|categor(?:y|ies)|counts?|numbers?|figures?|accounts?|sources?|references?|facts?|clues?|words?|titles?"
    r"|file\s?names?|inventory|tall(?:y|ies)|specifications?|anchors?|materials?|message|query|question|instructions?"
)
# The picture that is spoken of.
IMAGE = group("image|picture|photo|photograph|photography|scene|view|tile|snapshot|shot|frame|imagery")
# That something rests on a text, agrees with it or does not.
ACCORDING = group(
    "according to|based (?:up)?on|going by|judging (?:by|from)|as per|per|in (?:full |good |close |clear )?"
    "(?:agreement|accordance|accord|line|keeping|harmony|conformity|contrast|conflict|contradiction|opposition"
    "|response) (?:with|to)|consistent(?:ly)? with|in (?:view|light|spite) of|considering|contrary to|despite"
    "|true to|faithful to|thanks to|unlike|notwithstanding|following|on the (?:basis|strength|evidence) of"
    "|as opposed to|compared (?:with|to)|in addition to|apart from|beyond|besides|with the help of|guided by"
    "|relying on|informed by|taking (?:up )?|drawing on|as suggested by|by way of|with reference to"
)
# The answer itself, what is done in it with the scene, and what is done to it.
WRITTEN_TEXT = group(
    "descriptions?|captions?|paragraphs?|summar(?:y|ies)|responses?|answers?|texts?|sentences?|passages?|narratives?"
    "|write-?ups?|rewrites?|accounts?|outputs?|repl(?:y|ies)|wordings?|drafts?|compositions?|overviews?|portrayals?"
    "|statements?|rendition|one-liner|synopsis|recap|lines? of text|sketch in words|words"
)
TOLD = group(
    "described|summed up|summari[sz]ed|captioned|mentioned|listed|named|covered in|put into words|paraphrased|"
    "rephrased"
    "|reworded|outlined above|accounted for|taken from|detailed above|discussed|addressed|transcribed|verbali[sz]ed"
)
WORDED = group(
    "written|rewritten|rephrased|reworded|paraphrased|condensed|shortened|expanded|edited|revised|translated|"
    "summari[sz]ed"
    "|generated|phrased|worded|formulated|composed|described|captioned|drafted|corrected|proofread|polished|formatted"
    "|answered|checked"
)
