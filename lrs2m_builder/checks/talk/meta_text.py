"""Check that an answer holds no talk of itself, of the task or to the reader, and no marks of a template or chat."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, cued, late, listed, without_writing
from lrs2m_builder.checks.talk.lexicon import IMAGE, TOLD, WORDED, WRITTEN_TEXT
from lrs2m_builder.checks.talk.self_talk import self_talk

_TEXT = r"(?:description|caption|paragraph|summary|response|answer|text|sentence|passage|narrative|write-?up|rewrite)"
_META = late(
    re.compile,
    rf"""
      (?:^|[.!?;:,(—–-]\s*|\b(?:that|as|which|and|but|so|because|if|where|what|how|while
          |something)\s+)(?-i:I)(?:['’]\w+)?\s+
          (?!(?:can\s+(?:see|be)|see|and|or|in|of|on|at|is|are|stands?|lies?)\b)[a-z]+ | \bmy\s+\w+ | \blet['’]s\b
    | \b(?:goal|aim|objective|intention|task|purpose|job)\s+(?:here\s+|of\s+this\s+\w+\s+|of\s+the\s+(?:caption
          |description
          |text)\s+)?(?:is|was)\s+to\s+
          (?:write|describe|give|provide|summari[sz]e|caption|cover|convey|capture|keep|be|produce|create)\b
    | </?(?!(?:b|i|br|p|strong|em|ul|ol|li|div|span|u|h\d|sub|sup|a|code|table|tr|td|img)\b)[A-Za-z_][\w -]{{1,20}}/?>
    | \b(?:i\s+hope|hope\s+(?:this|that|it)\s+helps|hopefully\s+this|feel\s+free|happy\s+to\s+help|glad\s+to\s+help)\b
    | \bwould\s+you\s+like\b | \byou(?:'d|’d|\s+would|\s+might
          |\s+may)?\s+(?:asked|prefer|wanted|want|need|require[ds]?|requested|wish|provided|specified|like)\b
    | (?:^|[.!?"”)*\n]\s*|\()\**(?:note|disclaimer|explanation|reasoning|rationale|edit|p\.?s\.?|remark|tip|source
          |keywords
          |tags|title|objects|step\s+\d|scene|location|image\s+type|translation|analysis|final\s+(?:answer|caption
          |version))
          \**\s*(?:\([^)]*\))?\s*: | \b(?:this|the|my|above|following|preceding|that|our|your
          |a)\s+(?:\w+\s+){{0,2}}?{_TEXT}\s+
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
    | \bas\s+(?:you\s+)?(?:requested|instructed|asked|required(?!\s+by\s+(?:its|their)\b)
          |specified|per\s+(?:your|the)\s+(?:request|instruct\w+
          |prompt
          |requirements?|guidelines?|format))\b | \b(?:i|i've|i’ve|i'll|i’ll)\s+(?:have\s+|will\s+|can\s+
          |would\s+|'d\s+|must\s+|am\s+|was\s+|tried\s+to\s+)*
          (?:described?|tried|kept?|avoid(?:ed)?|included?|focus(?:ed|ing)?|writ(?:e|ten)|wrote|ma[dk]e|summari[sz]ed?
          |used?
          |mentioned|added?|note|assumed|revis(?:ed?|ing)|correct(?:ed)?
          |provid(?:e|ed|ing)|generat(?:e|ed)|rewrote|rewritten|going|able|describing|analyz(?:e|ed|ing)|start|begin
          |follow(?:ed)?)\b
    | \b(?:in|to)\s+(?:summary|summari[sz]e|conclude|conclusion|sum\s+up|recap)\s*,\s*(?:this|the|our|my)\s+{_TEXT}\b
    | \b(?:here\s+is|here's|here’s|below\s+is)\s+(?:(?:the|a|an|my|your|another)\s+)?(?:[\w-]+\s+){{0,4}}?(?:{_TEXT}
          |version|alternative)s?\b
    | \b(?:alternative|revised|shorter|longer
          |corrected)\s+versions?\b(?!\s+of\s+(?!(?:the|this)\s+(?:caption|description|text|sentence)))
    | \b(?:generated|written|created|produced)\s+by\s+(?:an?\s+)?(?:ai|model|assistant|language|chat\w*|gpt|llm|me)\b
          | \bthe\s+user\b(?!\s+(?:interface|areas?|sites?|zones?)\b|-)
          | (?:^|[.!?(]\s*)(?:remember\s+(?:to|that)|make\s+sure
          |keep\s+in\s+mind|do\s*n['’]t\s+forget|be\s+sure\s+to
          |note\s+that|please\s+note\b|describe\s+(?:the|this)|write\s+(?:a|one|the|in)|do\s+not\s+(?:use|add|write|mention
          |include))\b
    | \b(?:option|version|caption|description|paragraph|answer|attempt|draft|example)\s+\#?\d\b(?!\s+of\s+an?\b)
          | \b(?:the
          |this)\s+(?:prompt|task|instructions?|assignment|question)\b\s+(?:\w+\s+)?(?:is|was|asks?|says?
          |requires?|states?|to)\b
    | \bmy\s+(?:description|analysis
          |caption|knowledge|training|observation|task)\b
    | \[(?:insert|your|add|name|number|image|location|city|object|describe|caption|description|end|start|placeholder
          |todo|tbd|inst|/inst|color|xx+|\.\.\.|…)[^\]]*\]
    | \[/?[A-Z]{{2,}}[A-Z_ ]*\] | \{{\{{|\}}\}}| \{{\w+\}}
    | <\|[^|>]*\|?> | </?(?:caption|description|summary|text|response|paragraph|s|unk|pad|bos|eos|think
          |thinking|answer|start_of_turn|end_of_turn|im_start|im_end|image|img|assistant|user)\b\|?>?
    | \#{{2,}}\s*(?:response|instruction|answer|input|output|human|assistant|user|caption|system|end)\b
          | \[/?INST\]
    | (?:^|[.!?"”]\s+|\n)\**(?:human|user|assistant|system|q|a|response|output|answer|input|instruction)\**\s*:
    | \btodo\s*: | \bthe\s+above\s+(?:is|was|text|description|provides|has)\b
    | \b(?:long|short)[\s-](?:caption|description)\b """,
    re.IGNORECASE | re.VERBOSE,
)
# What the patterns find holds one of these.
_CUES = listed(
    " means|refers|stands for|is used|way to|way of|takeaway|output|returned|draft|reply|alternatively|"
    "optionally|train model|train a|one could|"
    "one may|one might|models|"
    "caption|description|paragraph|summar|response|answer|sentence|passage|narrative| text |the text|write|"
    "rewrit|written|word|token|hope|feel free|just ask|if anything|goal|aim|objective|purpose|job|p.s|p. s|"
    "let us|let's|let’s|happy|glad |let me|you|please|anything else|thank|data|request|instruct|requir|asked|"
    "specified|prompt|guideline|question|query|feedback|task|version|alternative|option|attempt|draft|example|"
    "here's|here’s|place name|title|introduction| list|dates|user|assistant|system|human|remember|make sure|"
    "keep in mind|forget|note|describe the|describe this|we |phrasing|tuning|tuned|evaluating|benchmark|testing|"
    "do not|artificial|language|model|training|clip|retrieval|lorem|tbd|todo|criteria|format|hello|hi,|hi!|hi |"
    "assignment|constraint| ai |my |conclu|recap|[|{|}|<|##|:|i've|i’ve|i'll|i’ll|i'd|i’d|i'm|i’m| i | #|#|(|"
    "translat|hallucin|gpt|llm|vlm|rule|limit|nothing |no |none |left out|omitted|avoided|excluded|paraphras|"
    "rephras|reword|phras|proof|kept |put |said |more detail|further|additional|extra|confidence|length =|"
    "tell me|whichever|reader|heading|headline|nutshell|hashtag|embedding|vision|invented|made up|based|"
    "can be summ|summed|is best|shall i|should i|may i|n.b|nb:|edit|short:|long:|or:|q:|a:|disclaimer|"
    "captured in words|evaluator|generated|produced|created|as agreed|as desired|as required|as instructed|"
    " here is|the above|all above|above is|above was|above sum|text above| hey|end of cap|end of desc|"
    "described|portray|depict|account|overview|brevity|condensed|shortened|revised|worded|this line|in this|"
    "this line|single line|short line|brevity|interest|sake of|not mentioned|not listed|not named|```|end.|done|"
    "finished|enjoy|cheers|variant|draft|covered|"
    "listed|recap|synopsis|breakdown|all in all|exercise|end of the cap|end of the desc|end of text|end of out|"
    "end of para|start of|beginning of|characters"
)
# Talk of the answer by its grammar: its length and making, offers and orders to the reader.
_TALK = late(
    re.compile,
    r"""
      \b(?:one|two|three|four|five|ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|fewer|few|many)
          (?:[\s-](?:one|two|three|four|five|six|seven|eight|nine|hundred))?\s+(?:words|tokens|characters|sentences
          |paragraphs)\b(?!['’]|\s+(?:is|are|painted|on|cut|carved|in\s+(?:white|black|red|large|big)))
    | (?:^|[.!?]["”)]*\s+|\()\**(?:confidence|length|style|tone|language|format|rating|score|quality|categor(?:y|ies)
          |type
          |theme|mood|subject|key\s?words?|hash\s?tags?|words|topic|audience|purpose|reasons?|basis|viewpoint|caveats?
          |resolution|comments?|remarks?|result|check|constraints?|details|summary|overall\s+score|context|label|hint
          |warning|reminder|p\.?s|update|correction|anchors?|counts?)\**\s*[:=]
    | \b(?:was|were|is|are|have\s+been|has\s+been|been|being)\s+(?:\w+ly\s+|not\s+){0,2}(?:left\s+out|omitted|avoided
          |excluded|paraphrased|summari[sz]ed|rephrased|reworded|rewritten|kept\s+(?:\w+\s+)?(?:short|brief|simple
          |neutral
          |general|concise|plain|vague|factual)|phrased|worded|proof-?read)\b
    | \b(?:the|this|my|your|our)\s+(?:task|assignment|prompt|instructions?)\b(?!\s+(?:force|boards?|signs?|centers?
          |centres?))
    | \b(?:image|picture|photo\w*|scene|view)\s+(?:is|can\s+be|may\s+be|could\s+be)\s+(?:best\s+|thus\s+)?(?:summ(?:ed
          |ari[sz]ed)
          |captioned|put|worded|phrased|rendered\s+in\s+words)\b
    | (?<!like\sa\s)(?<!as\sa\s)\b(?:sentences?|paragraphs?|nutshell|wordings?|hash\s?tags?)\b(?!-|\s+(?:carved
          |painted|mown
          |on|of\s+(?:trees|houses|stones)|above\s+(?:its|the)|written\s+(?:on|in)|over\s+the))
    | (?:^|\s)\#[a-z]\w{2,}
    | \b(?:title|heading|headline|caption)\s+(?:\w+\s+)?(?:would|could|might|may|should)\b
    | \b(?:translat(?:ed|ion)\s+(?:from|by|into)|hallucinat\w+|proof-?read\w*|fine-?tun\w+|chatgpt|gpt-?\d|llm|vlm
          |clip\s+
          (?:model|training|encoder|score|text)|data\s?sets?|benchmarks?|embeddings?|image[\s-]text
          |vision[\s-]language)\b
    | \b(?:rules?|requirements?|constraints?|limits?|guidelines?|instructions?|conditions|criteria|wish\w*|format)\s+
          (?:\w+\s+){0,3}?(?:followed|met|respected|observed\s*[.!]|satisfied|fulfilled|obeyed|complied|adhered
          |you\s+\w+)\b
    | \((?:this|i|sorry|please|note|translated|based|as\s+(?:per|requested)|generated|written|revised|draft
          |no\s+\w+\s+given
          |see\s+(?:above|below|hint|image|caption)|edited|sic|continued|end|optional|approx\w*|about|exactly
          |total\w*)\b
          [^()]*\b(?:is|short|sorry|words?|caption|text|description|hint|from|by|image|version|long|guess|list)\b
    | \b(?:hope|hoping)\s+(?:this|that|it|you|the)\b | \b(?:one|we|you|i)\s+(?:could|can|might
          |may)\s+(?:also\s+|just\s+as\s+well\s+)?(?:write|say|phrase|call\s+it
          |put\s+it)\b
    | (?:^|[.!?]\s+)(?:alternatively|optionally)\s*, | \btrain(?:s|ing)?\s+(?:an?\s+|the\s+)?(?:[\w-]+\s+)?(?:models?
          |networks?)\b
    | \bkey\s+(?:takeaway|message)s?\b | \bthis\s+information\b(?!\s+(?:board|center|centre|sign))
          | \bmore\s+(?:can|could|might|may)\s+be\s+(?:said|added|written|told)\b
    | \balternatives?\s+(?:would|could|might|may|is|reads?)\b
    | (?<!with\s)\b(?:the|this|my|your)\s+(?:captions?|wording)\b(?!-|\s+(?:of|on|in|board|painted
          |is\s+(?:painted|carved)))
    | \b(?:no|without|avoid\w*)\s+(?:any\s+)?(?:speculati\w+|assumptions?|guess\w*|interpretation|inferences?)\b
    | \b(?:the|all|everything|what\s+is\s+said)\s+above\s+(?:\w+ly\s+)?(?:sums?|gives?|provides?|describes?|covers?
          |captures?|should|can|could|may|might|will|would|meets?|fulfil\w*|follows?|summari[sz]es?|reflects?
          |shows?|was
          |is\s+(?:a|an|the|my|what|all|based))\b
    | \b(?:the|this|my|that|above)\s+(?:description|caption|paragraph|summary|text|answer|response|wording|passage
          |write-?up|account|rewrite)\s+(?:above\s+)?(?:[\w-]+\s+)?
          (?:avoids?|sticks?|stays?|keeps?|remains?|follows?|respects?|covers?|mentions?|names?|omits?|leaves?
          |contains?
          |includes?|focuses|adheres?|meets?|complies|fits?|satisf\w+|reads?|summari[sz]es|lists?|refrains?|ends?
          |closes?
          |begins?|opens?|has|holds|gives|tries|attempts|aims|was|is|should|uses|limits|does|draws|relies|presents
          |accurately|concisely)\b(?!\s+(?:painted|carved))
    | \b(?:write|describe|generate|produce|rewrite|provide|create|summari[sz]e|mention|avoid|use|return|give)\s+
          (?:a|an|the|one|only|this|in)\s+(?:[\w-]+\s+){0,3}(?:caption|description|sentence|paragraph|summary|words?
          |image|text|answer|response|hints?)\b
    | \bwe\s+(?:(?:have|will|would|can|should|must|shall|also|did|do|are|were|now|thus|not|only|just|therefore)\s+)*
          (?:hop|describ|summari[sz]|writ|wrote|avoid|keep|kept|focus|mention|includ|provid|tr(?:y|ied)\b|us(?:e|ed
          |ing)\b
          |assum|trust|omit|left\s+out|leav|offer|suggest|recommend|conclud|stick|chose|add(?:ed)?\b|apologi|caption
          |paraphras|rephras|rewr|follow(?:ed)?\s+the\s+(?:instr|guide|prompt|format)|shorten|invent|refer
          |need\s+to\b)\w*
    | \b(?:reader|readers|annotator|captioner|evaluator)s?\s+(?:can|may|might|should|will|is|are|who|wants?|needs?)\b
    | \bas\s+(?:an?\s+)?(?:requested|instructed|agreed|desired
          |you\s+wish\w*)\b
    | </?\w+>\s*$ | \bbased\s+(?:solely\s+|only\s+|purely\s+|entirely\s+)?on\s+(?:what\s+(?:is|was|can|could|i
          |we)\b|the\s+(?:visible
          |available|given|provided)\b|visual\s+(?:evidence|cues|information))
    | ["”]\s+(?:here\s+)?(?:means|refers\s+to|stands\s+for|is\s+used\s+(?:here|for))\b
    # counts of words, marks of a template, what is said twice
    | \b\d+\s+(?:words|tokens|characters)\b(?!\s+(?:is|are|painted|on|cut|carved|in\s+(?:white|black|red|large|big)))
    | \b(?:word|character|token)s?[\s-]*(?:count|limit)\b | \btotal\s+words\b | \bn\.?b\.?\s*: | \bp\.\s?s\.\s
    | \{% | %\} | <｜[^>]*> | <<\s*/?\s*SYS | \b(?:lorem\s+ipsum|tbd)\b | \bmark(?:up|down)\b | \b(?:plain
          |raw)\s+(?:text|prose)\b
    | \bin\s+other\s+words\s*, | \b(?:put|said)\s+(?:differently|another\s+way|simply)\b | \bto\s+put\s+it\b
    | \b(?:in|for|this|your|training|image)\s+(?:[\w-]+\s+)?data\s?sets?\b | \b(?:captioning|clip
          |retrieval)\s+(?:models?|training|tasks?)\b
    | \b(?:here\s+is|here's|here’s|below\s+is)\s+(?:[\w-]+\s+){0,4}?(?:version|alternative)\b | \btell\s+me\b
    | \bbased\s+(?:solely\s+|only\s+|purely\s+|entirely\s+)?on\s+(?:what\s+(?:is|was|can|could|i|we)\b
          |the\s+(?:visible|available)\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)


# The answer's own kind of text, what was done to it, and what it does, composed of the words for them.
_SELF = late(
    re.compile,
    rf"""
      \b(?:this|the\s+(?:above|following|preceding|present|foregoing)|my|the\s+(?:resulting|finished|final
          |requested))\s+
          (?:[\w-]+\s+)?{WRITTEN_TEXT}s?\s+(?:(?:\w+ly|also|only|just|thus|therefore|now|both)\s+)*
          (?:[a-z]+s|was|were|has|have|will|should|can|could|may|might|must|{TOLD})\b
    | \b(?:{IMAGE}|everything|all\s+(?:the\s+)?(?:main\s+)?objects|objects|elements|features)\s+(?:(?:has
          |have)\s+(?:now\s+
          |thus\s+)?been|(?:is|are|was|were)(?:\s+being)?)\s+(?:\w+ly\s+|first\s+|here\s+|now\s+)*(?:{TOLD})\b
          (?!\s+as\s+(?:an?|the)\b)
    | (?:^|[.!?;(—–-]\s*)(?:re|well[\s-])?(?:{WORDED})\s+(?:\w+ly\s+)?(?:for|to|in|by|from|with|as|according
          |without|so
          |here|above|below)\b(?=[^.!?]{{0,60}}(?:[.!?)]|$))(?!\s+(?:the\s+)?(?:stone|concrete|white|sand|large|big
          |snow))
    | (?:^|[.!?"”]\s+)\**(?:[\w-]+\s+){{0,2}}(?:version|variant|form|variation|rendition|edition|draft|option|rewrite)
          \**\s*(?:\w|\([^)]*\))?\s*[:=–—]
    | \b(?:an?|this|the|my)\s+(?:[\w-]+\s+){{0,2}}?(?:description|caption|portrayal|depiction|account|summary|overview
          |rendering|rendition|write-?up|recap|synopsis|breakdown|characteri[sz]ation)\s+of\s+(?:the|this|an?|what)\s+
          (?:[\w-]+\s+)?(?:{IMAGE}|is\s+(?:seen|visible|shown)|i\s+see)\b
    | \b(?:in|with|by|through|throughout|from)\s+(?:this|my|the\s+(?:above|present|following))\s+(?:[\w-]+\s+)?
          {WRITTEN_TEXT}\b
    # "the houses are not described", "no further objects mentioned", "should more be required"
    | \b(?:not|never|no\s+(?:further|other|more)\s+[\w-]+|nothing\s+(?:else|more|further)|only\s+the\s+main\s+\w+)\s+
          (?:\w+\s+)?(?:been\s+|be\s+|is\s+|are\s+|was\s+|were\s+)?(?:{TOLD}|detailed|specified|stated|elaborated)\b
          (?!\s+as\b)
    | (?:^|[.!?]\s+)(?:should|if|where|in\s+case)\b[^.!?]{{0,50}}\b(?:required|needed|wanted|desired|wished
          |requested|preferred
          |of\s+help|helpful|necessary)\b[^.!?]*,[^.!?]*\b(?:say|ask|add|tell|let|just|simply|can|could|please|will
          |be)\b
    | \b(?:in\s+the\s+interests?|for\s+the\s+sake)\s+of\s+(?:brevity|clarity|simplicity|concision|conciseness
          |completeness
          |space|length|readability|neutrality|accuracy)\b
    | \b(?:to|let['’]s|in)\s+(?:recap|summari[sz]e|sum\s+up|condense|paraphrase|reiterate|restate)\s+(?:the|this|it
          |all|what)\b
    | [.!?]["”)]*\s+[\W_]*(?:the\s+)?(?:end|fin|done|finished|complete|stop|over|thanks|thank\s+you|cheers
          |enjoy)[\W_]*$
    | \[\s*(?:note|nb|remark|comment|sic|edit|source|caption|answer)\b | ```
    | \b(?:exercise|lesson|study|attempt)\s+(?:in|at)\s+(?:brevity|concision|description|describing|captioning|clarity
          |style|precision)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SELF_CUES = listed(
    "descri|caption|paragraph|summ|response|answer|text|sentence|passage|narrative|write|rewrit|written|account|"
    "output|"
    "repl|wording|worded|draft|composi|overview|portray|depict|statement|rendi|liner|synopsis|recap|words|mentioned|"
    "listed|named|phrased|version|variant| form|variation|edition|option|covered|outlined|detailed|discussed|"
    "addressed|"
    "transcribed|verbali|condensed|shortened|expanded|edited|revised|translated|generated|formulated|composed|"
    "corrected|"
    "not mentioned|not listed|not described|not detailed|not specified|nothing|no further|no other|no more|"
    "should |if |in case|brevity|interest|sake|recap|reiterat|restat|"
    "condens|paraphras|ly:|ly,|. end|the end| fin|done|finished|enjoy|cheers|[note|[ note|[remark|```|this line|"
    "line is|"
    "proofread|polished|formatted|checked|breakdown|characteri|brevity|concision|clarity|precision|taken from"
)
# Words that stand in the scene: "the text on the banner", "the last sentence of a mural".
_IN_THE_SCENE = late(
    re.compile,
    r"""\b(?:the|a|an|some|any|short|long|last|first|large|white|black|red)\s+(?:words?|texts?|sentences?|lines?
          |captions?
    |paragraphs?|messages?|writing)\s+(?:on|of|across|along|over|above|beneath|painted|carved|mown)\s+
    (?:the|an?|its|their|one|each|some)\s+(?:[\w-]+\s+)?(?:banner|mural|billboard|wall|sign|board|roof|facade|façade
    |poster|monument|plaque|hoarding|door|gate|hull|side|stern|field|lawn|slope|hill|ground|asphalt|stone|tank
          |truck|tomb
    |gable|entrance|portal|memorial|tower|bow|deck|runway|pitch|grass)s?\b""",
    re.IGNORECASE | re.VERBOSE,
)


def _meta_text(answer: Answer) -> str | None:
    """Nothing of the text itself, the task or the reader, and no marks of a template or a chat."""
    text = without_writing(cued(answer.text, _CUES))
    if any(cue in text for cue in (" on ", " of ", " across ", " along ", " over ")):
        text = _IN_THE_SCENE.sub(" ", text)
    raw = text if answer.raw == answer.text else without_writing(answer.raw)
    found = (text and (_META.search(text) or _TALK.search(text) or _SELF.search(cued(text, _SELF_CUES)))) or (
        raw is not text and _META.search(raw)
    )
    if found:
        return f'The answer spoke of itself or to the reader ("{found.group().strip()}"). Write the description alone.'
    if said := self_talk(without_writing(answer.text)):
        return f'The answer spoke of itself or to the reader ("{said}"). Write the description alone.'
    return None


META_TEXT = Check("meta_text", _meta_text)
