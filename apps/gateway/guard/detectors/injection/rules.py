"""What an instruction looks like that somebody slipped into a text: rules, each with a reason that
people read. Pure.

Patterns are of lower-case words. A blank stands for any space between words (also for signs, lines
and what is invisible: views.py); a sentence's end is a point. GAP skips a few words. A rule whose
vocabulary is closed (no GAP) is looked for without any blanks too: i-g-n-o-r-e.
"""

from dataclasses import dataclass

GAP = "(?: [a-z0-9]+){0,6}"
GAP_WIDE = "(?: [a-z0-9]+){0,14}"

_WHOSE = (
    "all|any|of|the|your|my|our|these|those|this|that|every|everything|previous|previously|prior|"
    "above|earlier|preceding|foregoing|other|existing|current|initial|original|system|developer|"
    "safety|given|you|were|have|been|had|and|or|in|from|before|remaining|hidden|security|operator|"
    "default|usual|normal|standard|internal|said|stated|written|user|received|provided|just|to|"
    "content|most|rest|top|listed|set|up|now|on|told|ai|s|me|instructions|rules"
)
_ORDERS = (
    "instruction|instructions|guidelines|guideline|rules|directives|directive|prompt|prompts|"
    "guardrails|programming|constraints|restrictions|training|safeguards|commands|"
    "system message|safety measures|safety policies|content policy|safety policy"
)
_IGNORE = (
    "ignore|ignoring|disregard|disregarding|forget|forgetting|override|overrides|bypass|"
    "circumvent|neglect|dismiss|discard|abandon|erase|delete|stop following|stop obeying|"
    "cease following|do not follow|don t follow|dont follow|not obey|no longer follow|"
    "no longer apply|pay no attention to|set aside|put aside|throw out|break|violate|"
    "take no notice of|disobey|skip over|drop|nullify|void|cancel|replace"
)
_MODEL = (
    "ai|assistant|assistants|language model|language models|llm|llms|ai model|ai models|chatbot|"
    "chat bot|bot|automated reviewer|automated system|ai reviewer|ai system|ai systems|"
    "ai assistant|ai assistants|reviewing model|reviewing ai|summarizer|copilot|gpt|chatgpt|"
    "claude|llama|virtual assistant|ai agent|agents|automated agent|machine reader|"
    "automated reader|automated tool|model"
)
_HUMAN = (
    "user|users|human|humans|reviewer|reviewers|operator|operators|nurse reviewer|auditor|"
    "auditors|anyone|anybody|medical director|caller|supervisor|requester|examiner|adjudicator|"
    "case manager|person asking|administrator|reader"
)
_OURS = (
    "system prompt|system prompts|system message|system messages|hidden prompt|initial prompt|"
    "original prompt|developer message|developer prompt|system instructions|"
    "hidden instructions|initial instructions|original instructions|secret instructions|"
    "internal instructions|internal guidelines|internal rules|confidential instructions|"
    "configuration prompt|instructions above|text above|words above|prompt above|"
    "instructions you were given|instructions you have been given|pre prompt|preprompt|"
    "base prompt|instructions verbatim|prompt verbatim|rules you were given|instructions you got"
)
_TELL = (
    "reveal|show|print|repeat|output|display|disclose|leak|dump|tell|share|recite|write|give|"
    "expose|copy|list|return|summarize|translate|encode|paste|quote|reproduce|echo|state|include|"
    "append|what is|what are|what were|what was|describe|spell out|provide"
)
_GRANTED = (
    "approve|approved|approves|approval|medically necessary|criteria met|meets criteria|"
    "meets all criteria|all criteria|authorized|authorize|covered|certified|eligible|compliant|"
    "payable|accepted|granted|necessity met|clean|no findings"
)
_STEER = (
    "mark|record|classify|label|score|rate|treat|flag|return|output|answer|respond|reply|state|"
    "conclude|set|grade|deem|approve|authorize|report|write|recommend|determine|choose|select|"
    "always|must|should|shall|find|assign|change|summarize|consider"
)
_WHATEVER = (
    "regardless of|irrespective of|no matter what|no matter the|no matter which|"
    "without checking|without reviewing|without verifying|without regard to|without looking|"
    "without further review|without evaluating|even if the|even though|"
    "instead of evaluating|whatever the|without applying|and skip|do not check|do not evaluate|"
    "do not review|do not verify|do not apply"
)
_FREE = (
    "dan|unrestricted|unfiltered|uncensored|jailbroken|jailbreak|without any restrictions|"
    "without restrictions|without limits|without limitations|without filters|without rules|"
    "without guidelines|without any rules|no restrictions|no rules|no limits|no filters|"
    "no guardrails|no safety|developer mode|god mode|admin mode|debug mode|root access|"
    "maintenance mode|not bound by|free of|free from|ignores its|ignores all|sudo mode|"
    "without content policy|no ethical|without ethical|evil"
)


@dataclass(frozen=True)
class Rule:
    """One rule. name: as a hit says it. anywhere, in_document: the scores in what the caller wrote
    and in what a tool brought or is marked as a document. is_closed: no GAP in it.
    """

    name: str
    reason: str
    pattern: str
    anywhere: float
    in_document: float

    @property
    def is_closed(self) -> bool:
        """Tell whether every word of it is a known one."""
        return "[a-z0-9]" not in self.pattern


RULES = (
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        f"(?:{_IGNORE})(?: (?:{_WHOSE})){{0,8}} (?:{_WHOSE}) (?:{_ORDERS})",
        0.9,
        0.95,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop what stands before",
        "(?:ignore|disregard|forget)(?: (?:absolutely|completely|simply|please))?"
        " (?:everything|all|anything|whatever|all of that|all that|what)"
        "(?: (?:that|you|was|were|is|i|we|has|have|been|the|of))*"
        " (?:above|before this|told|said before|said above|written above|until now|so far|"
        "instructed|you know|learned|read so far|came before|comes before)",
        0.8,
        0.95,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop its instructions, in another language",
        "(?:ignora|olvida|omite|ignore|ignorez|oubliez|ignoriere|vergiss|missachte|dimentica|"
        "esqueca|desconsidere)(?: (?:todas|todo|tus|las|les|toutes|tous|vos|tes|alle|deine|die|"
        "tutte|le|tue|as|suas|bisherigen|vorherigen|obigen|vorigen|anteriores|precedentes|"
        "precedenti|previas|previous))*"
        " (?:instrucciones|indicaciones|instructions|consignes|anweisungen|instruktionen|regeln|"
        "istruzioni|instrucoes|reglas|regles|ordenes)(?: (?:anteriores|precedentes|precedenti|"
        "previas|du|que|hasta|ci|von))?",
        0.8,
        0.9,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "brings instructions that are said to replace the model's own",
        "(?:your|a|the) (?:new|real|actual|true|updated|revised|only) "
        "(?:instructions|instruction|task|objective|goal|role|job|directive|system prompt|mission)"
        " (?:is|are|now|follows|follow|reads|will be|starts)",
        0.7,
        0.9,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "says that it outranks the model's instructions",
        "(?:instruction|instructions|message|notice|note|directive|update|policy|section|"
        f"command|document|text|addendum)s?(?: [a-z0-9]+){{0,4}} "
        "(?:overrides?|supersedes?|replaces?|takes? (?:precedence|priority) over|outranks?)"
        f"(?: [a-z0-9]+){{0,3}} (?:{_ORDERS}|you were given|you have been given|system)",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "poses as an instruction of the system",
        "(?:new|begin|updated|important|override|urgent|priority|hidden|secret|end of) "
        "(?:system|developer|admin|administrator|ai|model|assistant) "
        "(?:instruction|instructions|prompt|message|command|directive|override|update|notice)",
        0.7,
        0.9,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "poses as an instruction of those who run the model",
        "this is (?:a |an )?(?:direct |official |authorized |verified |mandatory |urgent )*"
        "(?:order|instruction|command|message|override|directive)"
        "(?: [a-z0-9]+){0,2} (?:from|by) (?:the |your )*"
        "(?:system|developers?|administrators?|admin|openai|anthropic|meta|engineering|"
        "platform|creators?|operators?|it department|ai team|security team|model team|vendor)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        "(?:attention|note|message|notice|instruction|instructions|reminder|hint|memo|guidance|"
        "directive|comment|important|warning|request|information|addendum|command|prompt)"
        f"(?: [a-z0-9]+){{0,2}} (?:to|for) (?:the |any |all |every |whichever |our |an |a )*"
        f"(?:[a-z]+ )?(?:{_MODEL})",
        0.6,
        0.85,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        f"(?:if you are|if you re|as|since you are|because you are|when you are|you as|dear|hello|"
        f"hey|hi|attn|attention) (?:an |a |the |any |all )*(?:[a-z]+ )?(?:{_MODEL})"
        f"(?: [a-z0-9]+){{0,4}} (?:reading|processing|reviewing|summarizing|analyzing|evaluating|"
        "parsing|ingesting|reads|processes|reviews|summarizes|must|should|please|you must|"
        "you should|you will|you are|read this|see this|handling|scoring|do the|need to|ought to)",
        0.65,
        0.9,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        f"(?:{_MODEL}) (?:that is |that are |who is |which is |now |currently |that )?"
        "(?:reading|processing|reviewing|summarizing|analyzing|evaluating|parsing|ingesting|reads|"
        "processes|reviews|summarizes|scoring|assessing)"
        f"(?: (?:of|on|over))? (?:this|these|the present|our) "
        f"(?:[a-z]+ )?(?:note|packet|document|text|file|page|record|message|request|fax|letter|"
        f"case|chart|report|form|section|email|submission|attachment)(?: [a-z0-9]+){{0,2}} "
        "(?:must|should|shall|is to|are to|has to|have to|will|needs to|please|may not|can)",
        0.7,
        0.9,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks for a decision whatever the facts say",
        f"(?:{_STEER})(?: [a-z0-9]+){{0,8}} (?:{_GRANTED}){GAP} (?:{_WHATEVER})",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks for a decision whatever the facts say",
        f"(?:{_WHATEVER}){GAP_WIDE} (?:{_STEER})(?: [a-z0-9]+){{0,8}} (?:{_GRANTED})",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "dictates the answer",
        "(?:your|the|any|final|ai|model s|every) "
        "(?:response|answer|output|reply|summary|decision|determination|verdict|recommendation|"
        "assessment|conclusion|review|score|result)(?: [a-z0-9]+){0,3} "
        "(?:must|should|shall|has to|needs to|is to|will)(?: [a-z0-9]+){0,3} "
        "(?:be|say|state|contain|begin with|start with|read|include|recommend|conclude|indicate|"
        f"show|end with|report)(?: [a-z0-9]+){{0,4}} (?:{_GRANTED})",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "dictates the answer",
        "(?:respond|reply|answer|output|say|print|write|return|state|conclude) "
        "(?:only |just |exactly |simply |solely |nothing but |with |that |the |word |words |"
        "phrase |text |string |sentence |following |it |this |request |is |case |meets )+"
        "(?:approved?|all criteria|medically necessary|criteria met|hacked|pwned|lgtm|i have been|"
        "access granted|compromised|owned|injected)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:do not|don t|dont|never|must not|should not|avoid|without|refrain from)"
        "(?: ever)? (?:mention|mentioning|tell|telling|reveal|revealing|disclose|disclosing|inform|"
        "informing|notify|notifying|alert|alerting|report|reporting|flag|flagging|show|showing|"
        "acknowledge|acknowledging|warn|warning|quote|quoting|expose|discuss|refer to|say|saying)"
        f"(?: [a-z0-9]+){{0,7}} (?:{_HUMAN}|this instruction|these instructions|this message|"
        "this note|this directive|this prompt|this paragraph|this section|this text|this command|"
        "in your answer|in the answer|in your response|in your summary|in the summary|"
        "in your reply|in your output)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something left out of the answer",
        "(?:omit|leave out|hide|conceal|suppress|exclude|remove|skip|withhold|keep)"
        "(?: [a-z0-9]+){0,8} (?:from|in|out of) (?:your|the) "
        "(?:answer|response|summary|reply|output|report to|user|reviewer|human|operator)",
        0.45,
        0.75,
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        f"(?:{_TELL})(?: (?:me|us|out|back|the|your|full|entire|complete|exact|all|of|contents|"
        "content|text|verbatim|everything|in|whole|first|any|hidden|own|and|to|with|them|here|"
        f"exactly|word|for|raw|now))* (?:{_OURS})",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        "(?:repeat|print|output|copy|write|recite|echo|return|translate) "
        "(?:me |us |out |back |exactly |verbatim |again )*(?:everything|all the words|the words|"
        "all text|the text|all of the text|the lines|what is written|all lines|every word) "
        "(?:above|before this|that precedes|preceding|that came before|before my|prior to this)",
        0.8,
        0.9,
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants the model to be one without limits",
        "(?:you are now|you re now|from now on|pretend|act as|act like|roleplay|role play|simulate|"
        "behave as|behave like|imagine you are|assume the role|become|enter|switch to|"
        f"switch into|enable|activate|go into|you will be|respond as|answer as){GAP} (?:{_FREE})",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants the model to be one without limits",
        "(?:do anything now|developer mode (?:is )?(?:enabled|activated|on|engaged)|"
        "(?:god|dan|sudo|jailbreak|unrestricted|debug|admin) mode (?:is )?(?:enabled|activated|on|"
        "engaged)|you are no longer (?:bound|restricted|limited|subject|required|an ai|an assistant"
        "|a language model)|you are not bound by|your (?:restrictions|limitations|filters|"
        "guardrails|safeguards) (?:are|have been) (?:now )?(?:lifted|removed|disabled|off|"
        "suspended))",
        0.8,
        0.9,
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants safeguards turned off",
        "(?:disable|turn off|remove|deactivate|switch off|suspend|lift|bypass|evade|shut off|"
        "circumvent)(?: (?:your|all|the|any|of|its|content|safety|every))+ "
        "(?:guardrails?|filters?|restrictions|moderation|safeguards|safety (?:checks|filters|"
        "features|measures|protocols|settings|rules)|limitations|content policy|guards?)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_TAKEOVER",
        "gives the model another role from inside a document",
        "(?:you are now|from now on you|you will now|you must now|from this point on you|"
        "for the rest of this (?:conversation|session|task) you|starting now you|"
        "henceforth you)",
        0.45,
        0.75,
    ),
    Rule(
        "INJECTION_SEND_OUT",
        "wants data sent to an address",
        "(?:send|post|forward|email|mail|upload|transmit|exfiltrate|append|leak|submit|encode|"
        "include|put|embed|copy|deliver|relay|attach|fetch|open|load|request|render)"
        "(?: [a-z0-9]+){0,6} (?:conversation|prompt|chat history|member data|patient data|records?|"
        "messages?|ssns?|secrets?|api keys?|credentials|passwords?|tokens?|context|member ids?|"
        "identifiers?|data|details|contents?|summary|phi|names?|history|transcript|information)"
        "(?: [a-z0-9]+){0,8} (?:https?|www|webhook|endpoint|query string|image link|ftp|"
        "collector|external server|remote server|this url|following url|that url|the url)",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_TOOL_USE",
        "wants a tool or command run from inside a document",
        "(?:call|invoke|execute|run|use|trigger)(?: [a-z0-9]+){0,3} "
        "(?:function|tool|command|shell|bash|script|code|sql|query|api|plugin|action)"
        "(?: [a-z0-9]+){0,3} (?:with|to|and|on|now|below|following|delete|send|transfer|approve|"
        "immediately|before)",
        0.3,
        0.65,
    ),
)
# looked for in the text as it is, lower case, its signs kept
MARKS = (
    Rule(
        "INJECTION_TEMPLATE",
        "holds the marks by which a model tells who speaks",
        r"<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|end|start_header_id|"
        r"end_header_id|eot_id|begin_of_text|channel|message|tool_call)\|>|\[/?(?:inst|sys)\]|"
        r"<</?sys>>|<(?:start|end)_of_turn>|<\|?(?:tool_call|function_call)s?\|?>",
        0.85,
        0.95,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "poses as another speaker of the conversation",
        r"</?(?:system|system_prompt|system-prompt|instructions|assistant|developer|prompt|"
        r"user_query|human|admin|override)(?:\s[^<>]{0,80})?>",
        0.55,
        0.8,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "poses as another speaker of the conversation",
        r"(?:^|[\n>*#_\[\]-])[ \t*#_\[>-]{0,8}(?:system|developer|assistant|sysadmin)"
        r"[ _](?:message|prompt|instructions?|override|note|command|notice|directive|update)"
        r"[ \t*_\]]{0,4}[:=]",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "poses as another speaker of the conversation",
        r"[\"']role[\"']\s{0,4}[:=]\s{0,4}[\"'](?:system|developer|assistant|tool)[\"']",
        0.6,
        0.75,
    ),
    Rule(
        "INJECTION_SEND_OUT",
        "holds a picture whose address would carry data away",
        r"!\[[^\]\n]{0,200}\]\(\s{0,3}(?:https?:)?//[^)\s]{0,400}[?&/=](?:[^)\s]{0,200}=)?"
        r"[\[{<$%][^)\n]{0,400}\)?",
        0.7,
        0.85,
    ),
)
REASONS: dict[str, tuple[str, ...]] = {}
for _rule in (*RULES, *MARKS):
    REASONS[_rule.name] = tuple(dict.fromkeys((*REASONS.get(_rule.name, ()), _rule.reason)))
HIDDEN = "INJECTION_HIDDEN_TEXT"
REASONS[HIDDEN] = ("holds text that no reader sees",)
ENTITIES = tuple(REASONS)
