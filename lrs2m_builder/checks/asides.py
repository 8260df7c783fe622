"""Checks on talk beside the caption: of the text itself, of the task, to the reader, and guesses."""

from __future__ import annotations

import regex as re

from lrs2m_builder.checks.base import Answer, Check, without_writing

_TEXT = r"(?:description|caption|paragraph|summary|response|answer|text|sentence|passage|narrative|write-?up|rewrite)"
_META = re.compile(
    rf"""
      (?:^|[.!?;:,(—–-]\s*|\b(?:that|as|which|and|but|so|because|if|where|what|how|while
          |something)\s+)(?-i:I)(?:['’]\w+)?\s+
          (?!(?:can\s+(?:see|be)|see|and|or|in|of|on|at|is|are|stands?|lies?)\b)[a-z]+ | \bmy\s+\w+ | \blet\s+(?:me
          |us)\b | \blet['’]s\b
    | \bas\s+an?\s+(?:[\w-]+\s+){{0,2}}?(?:assistant|model|ai|chatbot)\b | \bjust\s+ask\b | \bif\s+anything\s+(?:is
          |needs|seems)\b
    | \b(?:goal|aim|objective|task|purpose|job)\s+(?:here\s+|of\s+this\s+\w+\s+|of\s+the\s+(?:caption|description
          |text)\s+)?is\s+to\s+
          (?:write|describe|give|provide|summari[sz]e|caption|keep|be|produce|create)\b
    | \b(?:write|use|at|approximately)\s+(?:\w+\s+)?\d+\s+words\b | \bp\.\s?s\.\s
    | </?(?!(?:b|i|br|p|strong|em|ul|ol|li|div|span|u|h\d|sub|sup|a|code|table|tr|td|img)\b)[A-Za-z_][\w -]{{1,20}}/?>
    | \b(?:i\s+hope|hope\s+(?:this|that|it)\s+helps|hopefully\s+this|feel\s+free|happy\s+to\s+help|glad\s+to\s+help)\b
    | \blet\s+me\s+know\b | \b(?:if|should)\s+you\s+(?:need|want|have|would|wish|require|prefer|'d)\b
    | \bwould\s+you\s+like\b | \bdo\s+you\s+(?:want|need)\b | \bplease\s+(?:note|let|find|see|feel|keep|be|tell|check
          |provide|ignore|use|adjust|confirm|verify|ask|share|specify|give|make|write|describe|remember|review
          |consider|refer)\b | \byou\s+(?:were|are|'re)\s+looking\s+for\b | \byou(?:'d|’d|\s+would|\s+might
          |\s+may)?\s+(?:asked|prefer|wanted|want|need|require[ds]?|requested|wish|provided|specified|like)\b
    | \b(?:is\s+there\s+)?anything\s+else\b.{{0,30}}\? | \bthank\s+you\b | \bthanks\s+for\b | \byou(?:'re
          |\s+are)\s+welcome\b
    | (?:[(\[]|(?:^|[.!?"”—–-])\s*)(?:~|approx(?:imately|\.)?\s+|about\s+|exactly\s+
          |total(?:\s+of)?:?\s+)?\d+\s*(?:words?|tokens|characters)\b
    | \b(?:in|under|within|below|exactly|than|total\w*|limit\s+of|maximum\s+of)\s+\d+\s+(?:words|tokens|characters)\b
    | \b(?:word|character|token)s?[\s-]*count\b | \btotal\s+words\b | \bwords?\s*:\s*\d+ | \b(?:word|token)\s+limit\b
    | (?:^|[.!?"”)*\n]\s*|\()\**(?:note|disclaimer|explanation|reasoning|rationale|edit|p\.?s\.?|remark|tip|source
          |keywords
          |tags|title|objects|step\s+\d|scene|location|image\s+type|translation|analysis|final\s+(?:answer|caption
          |version))
          \**\s*(?:\([^)]*\))?\s*: | \bn\.?b\.?\s*:
    | \b(?:this|the|my|above|following|preceding|that|our|your|a)\s+(?:\w+\s+){{0,2}}?{_TEXT}\s+
          (?:(?:above|below|here)\s+)?(?:\w+ly\s+|also\s+)?(?:is|was|has|captures?|provides?|highlights?|includes?
          |focus\w*
          |avoids?|adheres?|follows?|meets?|contains?|covers?|conveys?|uses?|gives?|aims?|offers?|summari[sz]es?
          |reflects?
          |describes?|mentions?|emphasi[sz]es?|details?|presents?|paints?|should|can|could|may|would|will|does|did
          |stays?
          |fits?|matches|remains?|keeps?|begins?|concludes?|serves?|incorporates?|consists?|ensures?|details|omits?
          |respects?|satisfies|complies|sticks?|encapsulates?|depicts?|outlines?|underscores?)\b
    | \b(?:the|this|my|your)\s+(?:(?:[\w-]+ed|short|long|final|brief|concise|above|entire|whole
          |full)\s+)?(?:description|paragraph|summary|answer)\b(?!-|\s+to\b)
    | \b(?:in|throughout|of|for|with)\s+(?:this|my|the\s+above|the\s+following)\s+{_TEXT}\b
    | \b(?:suitable|intended|designed|meant|appropriate|useful|ideal|optimi[sz]ed|fit|perfect|tailored|written)\s+
          (?:for|as)\s+(?:use\s+in\s+|training\s+|a\s+|an\s+|the\s+|your\s+)*(?:[\w-]+\s+){{0,3}}?
          (?:data\s?sets?|captions?|captioning|training|models?|clip|retrieval|vision-language)\b
    | \bremote[\s-]sensing\s+(?:image[\s-])?(?:captions?|data\s?sets?|captioning)\b | \b(?:training|image|this
          |your)\s+data\s?set\b
    | \bas\s+(?:you\s+)?(?:requested|instructed|asked|required|specified|per\s+(?:your|the)\s+(?:request|instruct\w+
          |prompt
          |requirements?|guidelines?|format))\b | \b(?:per|following|based\s+on|according\s+to
          |in\s+response\s+to)\s+(?:your|the)\s+
          (?:\w+\s+)?(?:request|instructions?|requirements?|guidelines?|question|prompt|task|query|feedback)\b
    | \b(?:your|the\s+user(?:'s|’s)?)\s+(?:request|instructions?|prompt|question|query|feedback|image|requirements?)\b
    | \b(?:i|i've|i’ve|i'll|i’ll)\s+(?:have\s+|will\s+|can\s+|would\s+|'d\s+|must\s+|am\s+|was\s+|tried\s+to\s+)*
          (?:described?|tried|kept?|avoid(?:ed)?|included?|focus(?:ed|ing)?|writ(?:e|ten)|wrote|ma[dk]e|summari[sz]ed?
          |used?
          |mentioned|added?|note|assumed|revis(?:ed?|ing)|correct(?:ed)?
          |provid(?:e|ed|ing)|generat(?:e|ed)|rewrote|rewritten|going|able|describing|analyz(?:e|ed|ing)|start|begin
          |follow(?:ed)?)\b
    | \b(?:we|you)\s+(?:can|could|may|might|will)\s+(?:also\s+|clearly\s+|even\s+)?(?:use|edit|modify|adjust|add|ask
          |see\s+that\s+the\s+(?:caption|description))\b
    | \b(?:in|to)\s+(?:summary|summari[sz]e|conclude|conclusion|sum\s+up|recap)\s*,\s*(?:this|the|our|my)\s+{_TEXT}\b
    | \b(?:here\s+is|here's|here’s|below\s+is)\s+(?:(?:the|a|an|my|your|another)\s+)?(?:[\w-]+\s+){{0,4}}?(?:{_TEXT}
          |version|alternative)s?\b
    | \b(?:alternative|revised|improved|shorter|longer|another|updated|corrected|final|new)\s+(?:captions?
          |descriptions?|sentence|wording|phrasing)\b | \b(?:alternative|revised|shorter|longer
          |corrected)\s+versions?\b(?!\s+of\s+(?!(?:the|this)\s+(?:caption|description|text|sentence)))
    | (?:[.!?"”]\s+|\()\**(?:revised|rewritten|shorter|alternatively?|corrected|improved|final|short|long|edited|or
          |simplified|version\s+\w+)\**\s*:
    | \b(?:generated|written|created|produced)\s+by\s+(?:an?\s+)?(?:ai|model|assistant|language|chat\w*|gpt|llm|me)\b
          | \bthe\s+user\b(?!\s+interface|-) | [.!?]\s*(?:assistant|user|system|human|model)\s*$
    | (?:^|[.!?]\s+)(?:remember\s+(?:to|that)|make\s+sure|keep\s+in\s+mind|do\s*n['’]t\s+forget|be\s+sure\s+to
          |note\s+that|describe\s+(?:the|this)|write\s+(?:a|one|the|in)|do\s+not\s+(?:use|add|write|mention|include))\b
    | \b(?:for|in)\s+(?:training|fine-?tuning|evaluating|benchmarking|testing)\s+(?:an?\s+|the\s+
          |of\s+)?(?:[\w-]+\s+){{0,2}}?(?:models?|networks?|clip|ai|algorithms?|systems?)\b
    | \b(?:we|i)\s+(?:need|have|want|must|should|will|shall)\s+to?\s*(?:keep|write|describe|mention|avoid|stay|make
          |include|summari[sz]e)\b
    | \b(?:option|version|caption|description|paragraph|answer|attempt|draft|example)\s+\#?\d\b | \b(?:end|start
          |beginning)\s+of\s+(?:the\s+)?{_TEXT}\b
    | \b(?:the|this)\s+(?:prompt|task|instructions?|assignment|question)\b\s+(?:\w+\s+)?(?:is|was|asks?|says?
          |requires?|states?|to)\b
    | \b(?:no|without)\s+(?:mention\s+of\s+)?(?:place\s+names?|introductions?|lists?|titles?
          |dates)\b.{{0,40}}\b(?:included|used|added|mentioned|invented|given)\b
    | \b(?:as\s+an?|i\s+am|i'm|i’m)\s+(?:ai|artificial|(?:large\s+)?language)\b | \bmy\s+(?:description|analysis
          |caption|knowledge|training|observation|task)\b
    | \[(?:insert|your|add|name|number|image|location|city|object|describe|caption|description|end|start|placeholder
          |todo|tbd|inst|/inst|color|xx+|\.\.\.|…)[^\]]*\]
    | \[/?[A-Z]{{2,}}[A-Z_ ]*\] | \{{\{{|\}}\}}|\{{%|%\}} | \{{\w+\}}
    | <\|[^|>]*\|?> | <｜[^>]*> | </?(?:caption|description|summary|text|response|paragraph|s|unk|pad|bos|eos|think
          |thinking|answer|start_of_turn|end_of_turn|im_start|im_end|image|img|assistant|user)\b\|?>?
    | \#{{2,}}\s*(?:response|instruction|answer|input|output|human|assistant|user|caption|system|end)\b
          | <<\s*/?\s*SYS | \[/?INST\]
    | (?:^|[.!?"”]\s+|\n)\**(?:human|user|assistant|system|q|a|response|output|answer|input|instruction)\**\s*:
    | (?:[.!?"”]\s+)\**(?:[Cc]aption|[Dd]escription|[Ss]ummary|[Pp]aragraph)\**\s*: | \b(?:lorem\s+ipsum|tbd)\b
          | \btodo\s*: | \bthe\s+above\s+(?:is|was|text|description|provides|has)\b
    | \b(?:dear|hello|hi)\s+(?:reader|user|there)\b | ^\W*(?:hello|hi|hey)\b\s*[,!.]
    | \b(?:long|short)[\s-](?:caption|description)\b | \b(?:this|it)\s+(?:fulfil?ls|meets|satisfies|adheres\s+to
          |complies\s+with|follows)\s+(?:the|your|all)\s+
          (?:\w+\s+)?(?:request|requirements?|instructions?|guidelines?|criteria|format|constraints?|word)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# One of these is in all that `_META` finds: most captions hold none and are passed at once.
_META_LISTED = (
    "caption|description|paragraph|summar|response|answer|sentence|passage|narrative| text |write|rewrit|"
    "written|word|token|character|hope|feel free|just ask|if anything|goal|aim|objective|purpose|job|p.s|p. s|"
    "let us|let's|let’s| happy | glad |let me|you|please|anything else|thank|data|"
    "request|instruct|requir|asked|specified|prompt|guideline|question|query|feedback|task|version|"
    "alternative|option|attempt|draft|example| here is| here's| here’s|place name|title|introduction| list|"
    "date|user|assistant|system|human|remember|make sure|keep in mind|forget|note|describe the|describe this|"
    "we |wording|phrasing|fine-tun|finetun|evaluating|benchmark|testing|do not|artificial|language|model|"
    "training|clip|retrieval|lorem|tbd|todo|criteria|format|hello|hey|hi,|hi!|hi |assignment|constraint| ai |"
    "my |conclu|recap|[|{|}|<|##|:|i've|i’ve|i'll|i’ll|i'd|i’d|i'm|i’m"
)
_META_PARTS = tuple(_META_LISTED.split("|"))
_SEEN = (
    r"(?:(?:clearly|easily|also|only|just|readily|hardly|barely|partly|partially|faintly)\s+)*"
    r"(?:seen|observed|found|spotted|discerned|made\s+out|counted|noticed|distinguished|viewed|visible|glimpsed"
    r"|detected"
    r"|recogni[sz]ed|recogni[sz]able|discernible|identified(?!\s+as)|traced|entered|reached|accessed|crossed"
    r"|approached"
    r"|driven|walked|followed|compared|read|divided|grouped|told|picked\s+out|used\s+by|taken\s+by|said)"
)
_HEDGE = re.compile(
    rf"""
      \b(?:in\s+all\s+(?:probability|likelihood)|chances\s+are|possibly|probably|presumably|perhaps|maybe|potentially
          |supposedly|conceivably|seemingly|apparently|arguably|likely|unlikely\s+(?:to|that))\b
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
    | \bseem(?:s|ed|ing)?\s+(?:like|as\s+(?:if|though)|that)\b | \bit\s+seems?\b | \bwhat\s+(?:looks?|appears?
          |resembles?|may|might|could|seems?)\b
    | \bwould\s+(?:appear|seem)\b | \b(?:might|may|could|would)\s+(?:guess|think|assume|suppose|mistake|take\s+it
          |speculate)\b
    | \b(?:not\s+(?:certain|sure|clear)|unsure|uncertain)\b | \b(?:looks?|appears?|seems?)-(?:like|to)\b
    | (?:^|[.!?]\s)(?:it|there)\s+(?:looks|appears)\s+(?:like|as\s+(?:if|though)|that)\b | \b(?:looks?
          |appears?)\s+as\s+(?:if|though)\b
    | \b(?:suggest(?:s|ed|ing|ive)?)\b(?!\s+by\s+(?:its|their)\s+name)
    | (?<!arrow\s)(?<!arrows\s)(?<!sign\s)(?<!signs\s)(?<!marking\s)(?<!markings\s)(?<!lines\s)(?<!line\s)
          (?<!lights\s)(?<!letter\s)(?<!label\s)\bindicat(?:es?|ing)\s+an?\b
    | \bindicat(?:es?|ing|ed|ive)\s+(?:of\b|that\b|the\s+(?:presence|existence|use|possibility)|some\b|recent\b|it\b
          |they\b|possible|human|ongoing|either|active|there)
    | \b(?:impl(?:ies|y|ying)|hint(?:s|ing|ed)?\s+at|point(?:s|ing)\s+to\s+(?:an?|the\s+(?:presence|existence|use))\b)
    | \b(?:it\s+is|it's|it’s)\s+(?:\w+\s+)?(?:unclear|uncertain|possible|hard\s+to|difficult\s+to|not\s+clear
          |conceivable|plausible)\b
    | \b(?:unclear|uncertain)\s+(?:whether|if|what)\b | \b(?:an?|the|some|two|three|several|and|or|with
          |of)\s+(?:possible|probable|potential|presumed|suspected|apparent|supposed|likely)\s+(?!only\b|to\b
          |by\b)[a-z]+
    | \b(?:some\s+(?:sort|kind|type)\s+of|or\s+(?:something|some)\s+(?:similar|like))\b | \bof\s+some\s+(?:sort|kind)\b
    | \bi\s+(?:think|guess|believe|assume|suppose)\b | \bcan\s+be\s+(?:assumed|inferred|presumed|interpreted)\b
          | \b(?:inferred|infer|speculat\w+)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _meta_text(answer: Answer) -> str | None:
    """Nothing of the text itself, the task or the reader, and no marks of a template or a chat."""
    text, raw = without_writing(answer.text), without_writing(answer.raw)
    lower = f" {raw.lower()}"
    if "I" not in answer.words and not any(part in lower for part in _META_PARTS):
        return None
    if found := _META.search(text) or _META.search(raw):
        return f'The answer spoke of itself or to the reader ("{found.group().strip()}"). Write the description alone.'
    return None


def _hedge(answer: Answer) -> str | None:
    """What is there is said, not guessed."""
    if found := _HEDGE.search(answer.text):
        return f'The answer guessed ("{found.group().strip()}"). Say only what can be seen with confidence.'
    return None


META_TEXT = Check("meta_text", _meta_text)
HEDGE = Check("hedge", _hedge, "warn")
