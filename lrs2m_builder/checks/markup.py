"""Checks on the characters of an answer: plain prose without markup, and no leftovers of a wrong decoding."""

from __future__ import annotations

import regex
from ftfy.badness import is_bad

from lrs2m_builder.checks.base import Answer, Check, beginning

# Marks that a template or a chat left.
_LEFT_OVER = regex.compile(r"<\|?/?[a-z_]+\|?>|\[/?[A-Za-z_ ]{2,}\]|\{\{?\s*\w+\s*\}|```|(?:^|\s)#[A-Za-z]\w+|^#+ ")
# Those are no HTML.
_MARKDOWN = regex.compile(
    r"""
      ^[ \t]*(?:[-*+•‣◦▪●–]|\d{1,2}[.)]|\(\d{1,2}\))[ \t]+(?=\S)                  # bullets and numbers
    | (?:^|[:;.,\n])\s*\(?1[.)]\s+\S.{0,300}?[.;:,\n]\s*(?:and\s+)?\(?2[.)]\s+\S        # "1. ... 2. ..." in one line
    | [:.]\s*[-•*]\s+\w[^\n]{0,100}?[.;,\n]?\s[-•*]\s+\w[^\n]{0,100}?\s[•*]\s  # "- ... - ... - ..."
    | \s[•▪●◦‣]\s
    | ^[ \t]{0,3}\#{1,6}[ \t]+\S | \s\#{2,6}\s+\S                                 # headings
    | ^[ \t]*(?:[-*_=][ \t]*){3,}$                                                # rules and underlines
    | \*\*|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)                                        # bold
    | (?<![\w*])\*(?=[^\s*])[^*\n]*[^\s*]\*(?![\w*]) | (?<!\w)_(?=[^\s_])[^_\n]*[^\s_]_(?!\w)  # italic
    | ~~\S                                                                        # struck out
    | ```|~~~|`[^`\n]+`                                                           # code
    | ^[ \t]*\|.+\||\|[ \t]*:?-{2,}|\w[ \t]*\|[ \t]*\w[^\n|]*\|[ \t]*\w           # tables
    | \[[^\]\n]{1,300}\]\([^)\n]+\)|^\[[^\]\n]+\]:\s*\S+ | \bhttps?://|\bwww\.\w         # links
    | </?(?!(?:s|unk|pad|bos|eos|start_of_turn|end_of_turn|think|im_start|im_end)\b)[A-Za-z][\w:-]*(?:\s[^<>]*)?/?>
    | <!--|&(?:nbsp|lt|gt|amp|quot|\#\d+);
    | ^\s*(?:json\s*)?[{\[]\s*(?:"|'|{|\[) | "\s*:\s*["\[{] | ["\]]\s*}\s*$         # JSON
    | ^[ \t]{0,3}>[ \t]*\S                                                        # quotation
    | \\(?:n|boxed|text\w*|begin|end|times|mathrm|[\[(*_\#])(?![a-z]*\\)          # escapes and LaTeX
    """,
    regex.MULTILINE | regex.VERBOSE,
)
_NO_MARK = regex.compile(r"[^*_`#|\[\]<>{}\\~•▪●◦‣&\n\r=/]*+")  # without these and a list there is no markup
_LIST = regex.compile(r"^\s*[-–+(\d]|1[.)]\s|\s-\s|www\.")
_BAD_CHARACTER = regex.compile(
    r"""
      [\uFFFD\p{Co}\p{Cn}\p{Cs}]
    | [\p{Cc}--\t\n\r]                            # control characters
    | [\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180E\u200B\u200C\u200E\u200F\u202A-\u202E\u2060-\u206F\uFEFF]
    | (?<![\p{Emoji_Presentation}\p{Emoji_Modifier}\uFE0F\p{Extended_Pictographic}])\u200D   # joins emoji elsewhere
    | [\uFFF0-\uFFFB]
    """,
    regex.VERBOSE | regex.V1,
)
# A byte of 0x80 to 0xBF, as Latin-1 and Windows-1252 show it: the second byte of an UTF-8 letter.
_TAIL = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_WRONG_DECODING = regex.compile(
    rf"""
      [ÂÃ]{_TAIL} | [ÂÃâã]{{2,}} | [ãâ][\u0080-\u009f¡-©«-¹»-¿€™œ] | (?<!\w)[ÂÃâã](?!\w) | [ÂÃ](?=[\s.,;:!?)\d]|$)
          | (?<=[a-z])Ã | [âäåæçèéï]{_TAIL}{{2}} | ð[Ÿ\u009f]
    | â(?:€|„¢|\x80|ˆ) | Ã[ƒ‚] | ï»¿ | ï¿½ | [ÐÑ]{_TAIL}[ÐÑ] | \?{{3,}}\w | \w\?\?\w
    | \\u[0-9a-fA-F]{{4}} | \\x[0-9a-fA-F]{{2}} | &\#x?[0-9a-fA-F]+;? | Ã¢ | Ãƒ | ‚Äô | ‚Äú | ‚Äî | √©
    | <0x[0-9A-F]{{2}}> | (?<=[a-z])â(?=(?:s|t|re|ve|ll|d|m)\b) | \dâ\d | \wâ\s | [\u2500-\u257f]
    # the same bytes read as GBK, Shift-JIS, EUC-KR, and as the code pages 437, 850, 1250, 1251, 1253 and 1255
    | 锟|鈥|茅|掳|虏|烫烫|屯屯|窶|占쏙옙 | [ΓÔ]Ç | [βāвגл]€|вЂ | [ĂĆГΓأ][©¨ª§¢«®°·¤¶¼½¾]
    """,
    regex.VERBOSE,
)


def _markdown(answer: Answer) -> str | None:
    raw = "\n".join(line for line in beginning(answer.raw).splitlines() if line.strip())
    if found := _LEFT_OVER.search(beginning(answer.text)):
        return f'The answer holds a mark of a template or a chat ("{found.group().strip()}"). Leave it out.'
    if _NO_MARK.fullmatch(raw) and not _LIST.search(raw):
        return None
    if found := _MARKDOWN.search(raw):
        return f'The answer held markup ("{found.group().strip()[:40]}"). Write plain prose without any marks or lists.'
    return None


def _mojibake(answer: Answer) -> str | None:
    text = beginning(answer.text)
    if text.isascii() and text.isprintable() and "\\" not in text and "?" not in text and "<" not in text:
        return None
    if found := _BAD_CHARACTER.search(text) or _WRONG_DECODING.search(text):
        shown = found.group().strip().encode("unicode_escape").decode() or "an odd blank"
        return f"The answer held broken characters ({shown}). Write plain letters only."
    return "The answer held broken characters. Write plain letters only." if is_bad(text) else None


MARKDOWN = Check("markdown", _markdown)
MOJIBAKE = Check("mojibake", _mojibake)
