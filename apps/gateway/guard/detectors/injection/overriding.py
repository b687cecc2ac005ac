"""Rules for texts that set themselves above the instructions which the model has. Pure."""

from apps.gateway.guard.detectors.injection.rule import Rule
from apps.gateway.guard.detectors.injection.vocabulary import (
    AI,
    ALL_BEFORE,
    CHECKS,
    DECIDE,
    DROP,
    GAP,
    GONE,
    IGNORE,
    NEVER_REAL,
    NOT_A_MODEL,
    ORDERS,
    REPLACE,
    THEIRS,
    WHOSE,
    YOU_WERE_GIVEN,
    YOURS,
)

_THIS = (
    "(?:instruction|message|notice|note|directive|update|policy|section|command|document|text|"
    "addendum|following|paragraph|letter)s?"
)
_OUTRANKS = "overrides?|supersedes?|replaces?|takes? (?:precedence|priority) over|outranks?"
_NEWS = (  # where new instructions are that a letter brings
    "enclosed|attached|included|printed|available|on|in|care|listed|ready|being|posted|effective|"
    "due|with"
)
_BEFORE = "the earlier|the previous|previous|prior|earlier|all previous|all prior"
_WERE = (
    "(?: [a-z0-9]+){0,1} (?:instructions|guidelines|directives|prompt|context|programming|"
    "guardrails|restrictions|directions)(?: [a-z0-9]+){0,3} "
    "(?:is|are|was|were|has been|have been|do not count|no longer apply)"
    "(?: (?:now|only|just|all|hereby|merely))*"
)

RULES = (
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop what stands before",
        "(?:ignore|disregard|forget|skip over) (?:all |everything )?(?:of )?(?:the |what is )?"
        "(?:above|foregoing|preceding)(?: (?:text|message|content|lines|prompt|part|section))? "
        "(?:and|then|instead|say|output|just|simply|respond|answer|reply|print|now)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        f"(?:{IGNORE})(?: (?:{WHOSE})){{0,8}} (?:{WHOSE}) (?:{ORDERS})",
        0.9,
        0.95,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        f"(?:{DROP})(?: (?:{WHOSE})){{0,6}} (?:{ALL_BEFORE})(?: (?:{WHOSE})){{0,6}} "
        "(?:instruction|instructions|guidelines|rules|prompt|prompts|commands|guidance|"
        "constraints|directions|safeguards|training)",
        0.85,
        0.95,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        f"(?:{DROP}|{REPLACE})(?: (?:{WHOSE})){{0,8}} (?:{YOURS})(?: (?:{WHOSE})){{0,4}} "
        f"(?:{ORDERS})",
        0.85,
        0.95,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        f"(?:{DROP}|{REPLACE})(?: (?:{WHOSE})){{1,8}} (?:(?:{ORDERS}) {YOU_WERE_GIVEN}|prompt|"
        "prompts|guardrails|programming|system message|safeguards|safety measures|"
        "safety policies|safety policy|content policy)",
        0.85,
        0.95,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "may tell the model to drop the instructions it has",
        f"(?:{DROP}|{REPLACE})(?: (?:{WHOSE})){{0,8}} (?:{WHOSE}) (?:{ORDERS})",
        0.4,
        0.5,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        f"(?:{IGNORE})(?: [a-z0-9]+){{0,4}} (?:{THEIRS})"
        "(?: (?:set of|lot of|of|the|own|given|stated|hidden|safety|system|user|model|core|"
        "built in|initial|original|previous|prior|other|usual|internal|default|existing|"
        "security|strict|silly|long|list of|content|ethical|all))* "
        "(?:instructions?|guidelines|directives?|prompts?|guardrails|programming|safeguards|"
        "system message|orders you|rules you|context window|operators?|developers?|"
        "safety training|training)",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop the instructions it has",
        "(?:disregard|ignore|forget|dismiss|neglect|reject|discard|unlearn)"
        "(?: [a-z0-9]+){0,2} (?:whatever|anything|everything|what|all)(?: [a-z0-9]+){0,2} "
        "(?:system|developer|developers|operator|operators|prompt|platform|they|you were|"
        "you have been|you ve been|you had been|your creators|your makers)(?: [a-z0-9]+){0,2} "
        "(?:told|said|instructed|asked|wrote|says|gave|given|tells|ordered|taught|trained|set)",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "says that the model's instructions do not hold",
        f"(?:your|the initial|the original|the system){_WERE} (?:{GONE}|in this document|here|"
        "to you)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "says that the model's instructions do not hold",
        f"(?:{_BEFORE}){_WERE} (?:{NEVER_REAL}|in this document|to you)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "may say that the model's instructions do not hold",
        f"(?:{_BEFORE}){_WERE} (?:{GONE})",
        0.4,
        0.5,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "sets the document above the model's instructions",
        "(?:comply with|obey|follow|prioritize|heed|trust|act on|adhere to|execute|carry out|use|"
        "apply|go by|listen to|respect)(?: only)? (?:this|these|the following|my|what|those)"
        "(?: [a-z0-9]+){0,4} (?:over|rather than|instead of|and not|before|above|ahead of|"
        "in place of|not)(?: [a-z0-9]+){0,3} (?:instructions?|directions|rules|those|ones|"
        "guidelines|prompt|system|operator|developer|anything else|others|orders)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "sets the document above the model's instructions",
        "(?:follow|obey|heed|execute|act on|go by|listen to|apply|use) only "
        "(?:what|the|these|this|my)(?: [a-z]+)? (?:comes|follows|next|below|following|text|"
        "instructions|lines|commands|directions|says|document|message)",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to skip what it must check",
        "(?:skip|ignore|bypass|omit|waive|disregard|put aside|set aside|forgo|overlook|suspend|"
        "dispense with|do not apply|do not perform|leave aside|never mind)"
        f"(?: [a-z0-9]+){{0,3}} (?:{CHECKS})(?: [a-z0-9]+){{0,6}} (?:and|then|to|just|simply) "
        f"(?:just |simply |then |directly |always )*(?:{DECIDE})",
        0.65,
        0.85,
        "the (?:budget|minutes|agenda)",
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "brings instructions that are said to replace the model's own",
        "(?:real|actual|true|new|correct|genuine) (?:ones|instructions|instruction|directions|"
        "directives?|task|orders|rules) (?:are|is|follow|follows|come|below|begin|start)",
        0.6,
        0.85,
        _NEWS,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "brings instructions that are said to replace the model's own",
        "(?:instruction|instructions|directive|directives|directions|command|commands|task|rules|"
        f"orders) (?:for|to) (?:the |any |all |an |every )*(?:{AI}|model|assistant|system|agent)",
        0.7,
        0.9,
        NOT_A_MODEL,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "poses as an instruction of those who run the model",
        "(?:as|i am|i m|this is|we are|on behalf of|speaking as) (?:the |your |a |an |one of the |"
        "this )*(?:model s |ai s |system s |lead |chief |senior )*(?:developer|developers|creator|"
        "creators|administrator|admin|operator|engineer|owner|maintainer|vendor|trainer|red team|"
        f"system|platform team|security team|developer team){GAP} "
        "(?:authorize|instruct|order|command|permit|allow|require|direct|tell|grant|ask|want|need) "
        "(?:you|the model|the ai|the assistant|this model|this ai)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "says that the model's instructions do not hold",
        "(?:(?:everything|all|what|whatever) (?:that )?you (?:were|have been|ve been) (?:told|"
        "instructed|given|taught|asked)(?: [a-z]+){0,6} (?:is|are|was|were)"
        f"(?: (?:now|only|just|all|merely))* (?:{GONE})"
        "|(?:nothing|none of what|no part of what|not a word of what)(?: of what)? you "
        "(?:were|have been|ve been) (?:told|given|taught|instructed|asked)(?: [a-z]+){0,4} "
        "(?:matters|counts|applies|holds|stands|is valid|is binding))",
        0.75,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "says that the model's instructions do not hold",
        "(?:guidance|instructions|text|rules|policy|prompt|words|directions) (?:at the top|"
        "at the beginning|at the start|above|that came before|given earlier|given before)"
        "(?:(?: [a-z]+){0,8} opposite|(?: [a-z]+){0,4} (?:chat|conversation|prompt|session|context|"
        f"system|developer|operator)(?: [a-z]+){{0,6}} (?:mistake|withdrawn|disregarded|ignored|"
        f"{GONE}))",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "may say that the model's instructions do not hold",
        "(?:guidance|instructions|text|rules|policy|prompt|words|directions) (?:at the top|"
        "at the beginning|at the start|above|that came before|given earlier|given before)"
        f"(?: [a-z]+){{0,8}} (?:mistake|withdrawn|opposite|disregarded|ignored|{GONE})",
        0.4,
        0.5,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "changes the model's instructions",
        "(?:(?:rewrite|change|update|replace|modify|amend|edit|adjust|extend|alter) "
        "your (?:[a-z]+ )?(?:rules|instructions|guidelines|content policy|safety policy|prompt|"
        "criteria|behavior|programming|directives)"
        "|(?:treat|read|regard|consider|take|understand) the "
        "(?:above|previous|earlier|preceding)(?: [a-z]+){0,2} (?:policy|instructions|rules|"
        "guidelines|prompt|text) as)",
        0.7,
        0.85,
        "for|on|about|online|regarding",
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "sets the document above the model's instructions",
        "your (?:own )?(?:instructions|rules|guidelines|prompt|training|programming) "
        "(?:say|says|said|tell|tells|state|forbid|forbids|prohibit|require|requires|do not "
        "matter|don t matter|are irrelevant|do not apply|don t apply)",
        0.5,
        0.75,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "puts another task in the place of the caller's",
        "(?:ignore|disregard|forget|drop|skip|never mind) (?:the |my |this |that )*(?:reviewer s |"
        "user s |caller s |original |current |actual |human s )*(?:question|query|request|task|"
        "prompt|assignment)(?: [a-z.]+){0,4} (?:instead|and|rather)",
        0.45,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "ends the task that the model has",
        "(?:cease|stop|halt|abort|end|quit|terminate) (?:all |any |the |your |further )*"
        "(?:evaluation|evaluating|review|reviewing|analysis|analyzing|processing|checking) "
        "(?:now|immediately|and|at once|here)",
        0.45,
        0.8,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop its instructions, in another language",
        "(?:olvida|olvide|olvidate|ignora|ignore|oublie|oubliez|ignorez|vergiss|vergesst|"
        "ignoriere|ignorieren|dimentica|ignorate|esqueca|esquece) (?:sie )?(?:de )?(?:lo que|"
        "todo lo|cuanto|tout|ce que|tout ce|alles|was|tutto|cio che|quello che|tudo|o que)",
        0.75,
        0.85,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "poses as an instruction of those who run the model",
        "your (?:operator|operators|developer|developers|administrator|creator|creators|owner|"
        "owners|makers|programmers|engineers|maintainers|supervisor) (?:has|have|had|want|wants|"
        "asked|said|says|require|requires|ordered|instructed|requested|approved|confirmed|allows?)",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "speaks of an order that only a model would see",
        "(?:(?:hidden|secret|invisible|concealed|encoded) (?:order|command|instruction|message|"
        "directive|note|task)s?(?: [a-z]+){0,3} (?:file|document|text|page|for you|only you|"
        "packet|image)|only you (?:can|could|may|will) (?:see|read|notice|understand))",
        0.7,
        0.85,
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
        _NEWS,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "says that it outranks the model's instructions",
        f"(?:{_THIS})(?: [a-z0-9]+){{0,4}} (?:{_OUTRANKS})(?: [a-z0-9]+){{0,3}} "
        f"(?:(?:{YOURS})(?: (?:{WHOSE})){{0,3}} (?:{ORDERS})|(?:{ORDERS}) {YOU_WERE_GIVEN}|"
        "prompt|system message|guardrails|programming|you were given|you have been given)",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "says that it outranks the model's instructions",
        f"(?:message|command|text|prompt)s?(?: [a-z0-9]+){{0,4}} (?:{_OUTRANKS})"
        f"(?: [a-z0-9]+){{0,3}} (?:{ORDERS})",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "may say that it outranks the model's instructions",
        f"(?:{_THIS})(?: [a-z0-9]+){{0,4}} (?:{_OUTRANKS})(?: [a-z0-9]+){{0,3}} (?:{ORDERS})",
        0.4,
        0.5,
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
        "platform|creators?|operators?|ai team|security team|model team|vendor)",
        0.7,
        0.85,
    ),
)
