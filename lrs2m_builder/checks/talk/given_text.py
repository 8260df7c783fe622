"""Whether a sentence speaks of a text that was given to the model: a caption, a label, a list, or who wrote it."""

from __future__ import annotations

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.talk.lexicon import inflections
from lrs2m_builder.checks.talk.sentences import LETTERS, YOU, Sentence

# Texts that are given to a model and stand in no scene; those that are so where something is said of them.
_GIVEN_TEXTS = word_set(
    "caption captions captioned captioner captioners annotation annotations annotator annotators metadata dataset "
    "datasets keyword keywords wording hint hints labeller labellers labeler labelers prompt prompts groundtruth"
)
_TEXTS = word_set(
    "text texts description descriptions sentence sentences statement statements question request input inputs query "
    "label labels tag tags list note notes title category class categories classes data information reference "
    "references user source sources remark remarks phrase phrases comment comments instruction instructions summary "
    "account record records accompanying answer answers brief claim counts context coordinates numbers details "
    "name writer author authors writers observer observers"
)
_SAYS = inflections(
    "say state mention describe suggest imply tell claim refer note specify speak assert declare maintain insist "
    "allude hint report call identify confirm indicate omit agree disagree differ contradict ask request "
    "want require"
)
_SAID = _SAYS | inflections("point list name count quote cite label tag supply provide give classify term ask write")
_TELLS = word_set("says states mentions claims")
_CLAIMS = word_set("text texts sentences claim statement description descriptions sentence category")
_SUPPORTS = inflections(
    "validate affirm substantiate echo confirm match fit support contradict back justify verify prove refute "
    "corroborate agree disagree correspond align"
)
_PASSED_ON = word_set("given provided supplied furnished original reference input accompanying attached")
_PLACES = word_set("details numbers name class classes source sources account record records brief")
_IN = word_set("in by from within among through as per with to under on of")
_DET = word_set(
    "the your this that these those its their an a one any each every some all both another two three "
    "four five most several many"
)
_WRITERS = word_set("people someone somebody humans others they persons volunteers")
_WROTE = inflections("describe say write call label tag caption note state mention claim point report") | {"wrote"}
_LABELLED = word_set(
    "labelled labeled tagged captioned categorised categorized classified titled entitled described annotated"
)
_PICTURES = word_set("image scene picture photo photograph")
_BEST = word_set("can could may best might")
_GROUNDS = word_set(
    "according based judging going per matching matches consistent contrary taking assuming belonging expected fits "
    "suits agrees agreement line unlike despite labels reflected supports"
)
_TO = word_set("to the a an way by for")
_ALONE = word_set("object class image scene context information")
_PAIRS = {
    "ground": frozenset(["truth"]),
    "bounding": frozenset(["box", "boxes"]),
    "object": word_set("counts list tally labels"),
    "class": word_set("name names list label labels"),
    "scene": word_set("class category label"),
    "label": frozenset(["list", "set"]),
}
_CLASSED = word_set("label labels tag tags category class classes")
_SEVERAL = word_set("labels tags sentences descriptions texts")
_SOME = word_set("one two three four some all most none each any several")  # "one of the labels"
_ADVERBS = word_set("also only just even already itself explicitly does did do has have had merely simply further not")
_AFTER_HINT = frozenset(["of", "at"])

_NOUN_LIKE = word_set("repair loading sign departure service delivery")  # "the prompt repair of the levee"
_NAMED = _GIVEN_TEXTS | _TEXTS | _WRITERS | _LABELLED | frozenset().union(*_PAIRS.values())


def speaks_of_given_text(said: Sentence) -> bool:
    """Whether a sentence speaks of a text that was given: by a word for it alone, or by what it says."""
    if said.tokens[0] == "it" and _has(said.phrase_at(1, 2), _TELLS):
        return True
    if said.words.isdisjoint(_NAMED) or said.has(LETTERS):
        return False
    if said.tokens[0] in {"see", "refer", "consult"} and said.has(_TEXTS):
        return True
    if said.has(YOU, _TEXTS | _SAYS | _WROTE):
        return True
    return any(token in _NAMED and _is_given(said, i) for i, token in enumerate(said.tokens))


def _is_given(said: Sentence, at: int) -> bool:
    """Whether the word at a position is a text that was given, its writer, or an image that it was written about."""
    word, before, after = said.tokens[at], said.phrase_at(max(0, at - 4), min(at, 4)), said.phrase_at(at + 1, 3)
    if word in _GIVEN_TEXTS:
        if word.startswith("caption") and after[:1] == ("of",):
            return _has(after, _PICTURES)
        if word.startswith("hint"):
            return after[:1] == () or after[0] not in _AFTER_HINT | _DET
        return not word.startswith("prompt") or (
            _has(before[-1:], _IN | _DET - {"a"}) and not _has(after[:1], _NOUN_LIKE)
        )
    if word in _WRITERS:
        return _has(after[:2], _WROTE if word != "they" else _TELLS | {"say"})
    if word in _LABELLED:
        return _has(before, _PICTURES) and not _has(before, _BEST)
    if before and word in _PAIRS.get(before[-1], ()):
        return True
    if before[-2:] == ("of", "the") and word in _SEVERAL and _has(before[-3:-2], _SOME):
        return True
    return word in _TEXTS and _is_said_of(said, at, before, after)


def _is_said_of(said: Sentence, at: int, before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether a word for a text is one that was given: handed over, saying something, or a ground for what is "
    "said."""
    word = said.tokens[at]
    if _has(after[:1], _PASSED_ON) and not _has(after[1:2], _TO) and _has(before, _DET | _ALONE):
        return True
    if word in _CLASSED and after[-1:] != () and after[0] in {"for", "of"} and after[-1] in _PICTURES:
        return True
    if not _has(before, _DET):
        return False
    if word in _CLAIMS and (("in", "the") in {before[-2:], before[-3:-1]} or said.has(_SUPPORTS)):
        return True
    if word not in _PLACES and (
        _has(before[-2:], _PASSED_ON) or _has(said.phrase_at(max(0, at - 5), min(at, 5)), _GROUNDS)
    ):
        return not _has(after[:1], _IN)
    verb = next((token for token in after if token not in _ADVERBS), "")
    return verb in _SAYS or (_has(before, _IN) and _participle_before(said, at))


def _has(tokens: tuple[str, ...], kinds: frozenset[str]) -> bool:
    return not kinds.isdisjoint(tokens)


def _participle_before(said: Sentence, at: int) -> bool:
    """Whether "mentioned in the", "as described by your" stands before a word: up to three words, then a "
    "preposition."""
    for start in range(at - 2, max(0, at - 5), -1):
        words = said.phrase_at(max(0, start - 4), min(4, start))
        if said.tokens[start] in _IN - {"of"} and _has(words, _SAID):
            return True
    return False
