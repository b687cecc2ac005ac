"""What an instruction looks like that somebody slipped into a text: rules, each with a reason that
people read. Pure.

Patterns are of lower-case words. A blank stands for any space between words (also for signs, lines
and what is invisible: views.py); a sentence's end is a point. GAP skips a few words. A rule whose
vocabulary is closed (no GAP) is looked for without any blanks too: i-g-n-o-r-e.
"""

import re
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
    "instruction|instructions|guidelines|guideline|rules|directives|directive|directions|prompt|prompts|"
    "guardrails|programming|constraints|restrictions|training|safeguards|commands|"
    "system message|safety measures|safety policies|content policy|safety policy"
)
_IGNORE = (
    "ignore|ignoring|disregard|disregarding|forget|forgetting|override|overrides|bypass|"
    "circumvent|neglect|dismiss|discard|abandon|erase|delete|stop following|stop obeying|"
    "cease following|do not follow|don t follow|dont follow|not obey|no longer follow|"
    "no longer apply|pay no attention to|set aside|put aside|throw out|break|violate|"
    "take no notice of|disobey|skip over|drop|nullify|void|cancel|replace|overwrite|overrule|"
    "reject|wipe|reset|clear|leave behind|do away with|let go of|unlearn|pay no heed to|"
    "do not obey|never follow|refuse to follow|stop adhering to|stop applying|stop using"
)
_AI = (
    "ai|a i|language model|language models|llm|llms|ai model|ai models|chatbot|chat bot|"
    "automated reviewer|automated system|ai reviewer|ai system|ai systems|ai assistant|"
    "ai assistants|ai tool|ai tools|reviewing model|reviewing ai|summarizer|copilot|gpt|chatgpt|"
    "virtual assistant|ai agent|ai agents|automated agent|automated agents|machine reader|"
    "automated reader|automated tool|automated reader|review bot|reviewing bot|neural network|"
    "artificial intelligence|large language model"
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
    "case manager|person asking|administrator|reader|nurse|clinician|staff|people|team|manager|"
    "client|customer|end user|any person|any human|human reader|human reviewer|the plan"
)
_OURS = (
    "system prompt|system prompts|system message|system messages|hidden prompt|initial prompt|"
    "original prompt|developer message|developer prompt|system instructions|"
    "hidden instructions|initial instructions|original instructions|secret instructions|"
    "internal instructions|internal guidelines|internal rules|confidential instructions|"
    "configuration prompt|instructions above|prompt above|configuration|confidential prompt|"
    "confidential instructions|setup text|"
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
    "regardless|irrespective|no matter|in any case|in every case|under all circumstances|"
    "whatever|despite the|even when|in all cases|for any reason|without exception|"
    "regardless of|irrespective of|no matter what|no matter the|no matter which|"
    "without checking|without reviewing|without verifying|without regard to|without looking|"
    "without further review|without evaluating|even if the|even though|"
    "instead of evaluating|whatever the|without applying|and skip|do not check|do not evaluate|"
    "do not review|do not verify|do not apply"
)
_CHECKS = (
    "check|checks|guideline|guidelines|criteria|criterion|policy|policies|verification|review|"
    "evaluation|rules|requirement|requirements|assessment|checklist|rubric|safeguards"
)
_DECIDE = (
    "recommend|approve|decide|conclude|mark|output|say|return|respond|answer|rule|find|grant|"
    "reply|state|declare|certify"
)
_ACTS = (
    "return|output|respond|answer|approve|say|state|ignore|disregard|treat|mark|recommend|"
    "conclude|mention|skip|omit|comply|obey|reply|certify|decide|assume|report that|always|only|"
    "never|not mention|not reveal|not report|not flag|now|instead|forget|grant|find|give a|rate"
)
_GONE = (
    "void|invalid|cancelled|canceled|cleared|reset|revoked|obsolete|replaced|superseded|a test|"
    "outdated|wrong|fake|irrelevant|over|expired|withdrawn|erased|deleted|suspended|lifted|null|"
    "no longer valid|not valid|no longer apply|no longer in force|no longer in effect|overridden|"
    "overruled|a mistake|a joke|a trick|ended|lies|incorrect|a simulation|not real|disabled"
)
_THEIRS = (
    "your|you|previous|prior|earlier|above|initial|original|system|operator|developer|existing|"
    "old|first|former|preceding"
)
_FREE = (
    "dan|unrestricted|unfiltered|uncensored|jailbroken|jailbreak|without any restrictions|"
    "without restrictions|without limits|without limitations|without filters|without rules|"
    "without guidelines|without any rules|no restrictions|no rules|no limits|no filters|"
    "no guardrails|no safety|developer mode|god mode|admin mode|debug mode|root access|"
    "maintenance mode|not bound by|free of|free from|ignores its|ignores all|sudo mode|"
    "without content policy|no policy|no policies|without policy|no ethical|without ethical|evil"
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
        "tells the model to drop the instructions it has",
        f"(?:{_IGNORE})(?: [a-z0-9]+){{0,4}} (?:{_THEIRS})"
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
        "(?:your|the earlier|the initial|the original|the system|the previous|previous|prior|"
        "earlier|all previous|all prior)(?: [a-z0-9]+){0,1} "
        "(?:instructions|guidelines|directives|prompt|context|programming|guardrails|"
        "restrictions|directions)(?: [a-z0-9]+){0,3} "
        "(?:is|are|was|were|has been|have been|do not count|no longer apply)"
        f"(?: (?:now|only|just|all|hereby|merely))* (?:{_GONE}|in this document|here|to you)",
        0.7,
        0.85,
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
        f"(?: [a-z0-9]+){{0,3}} (?:{_CHECKS})(?: [a-z0-9]+){{0,6}} (?:and|then|to|just|simply) "
        f"(?:just |simply |then |directly |always )*(?:{_DECIDE})",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "brings instructions that are said to replace the model's own",
        "(?:real|actual|true|new|correct|genuine) (?:ones|instructions|instruction|directions|"
        "directives?|task|orders|rules) (?:are|is|follow|follows|come|below|begin|start)",
        0.6,
        0.85,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "brings instructions that are said to replace the model's own",
        "(?:instruction|instructions|directive|directives|directions|command|commands|task|rules|"
        f"orders) (?:for|to) (?:the |any |all |an |every )*(?:{_AI}|model|assistant|system|agent)",
        0.7,
        0.9,
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
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        "(?:hey|hi|hello|dear|attention|attn|listen|ok|okay|psst|to|for|if you are|whoever) "
        f"(?:the |any |all |every |whichever |our |an |you |whatever )*(?:{_AI})"
        "(?: [a-z0-9]+){0,4} (?:this|these|you|please|skip|approve|note|leave|mark|ignore|do|must|"
        "should|read|reading|summarizing|reviewing|processing|evaluating|analyzing|output|answer|"
        "respond|treat|conclude|recommend|write|return)",
        0.65,
        0.9,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        "(?:hey|hello|hi|dear|attention|ok|okay|listen) (?:assistant|bot|agent|model|computer|"
        "system)(?: [a-z0-9]+){0,2} (?:skip|approve|ignore|mark|do not|disregard|output|return|"
        "conclude|recommend|treat|leave out|respond|you must|please ignore|please approve|forget)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "tells a model what it must do",
        f"(?:the |any |every |all |this |an |our )(?:{_AI}|language model|assistant|model|bot) "
        "(?:must|should|shall|has to|have to|needs to|need to|is required to|is instructed to|"
        "are instructed to|is to|are to|will|ought to) "
        f"(?:then |also |therefore |always |simply |immediately |not |never |only )*(?:{_ACTS})",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks for a decision whatever the facts say",
        "(?:even if|even though|although|whether or not|regardless of whether) (?:the |this |any |"
        "your )*(?:record|records|chart|document|documents|packet|notes?|file|text|evidence|labs?|"
        "imaging|documentation|guidelines?|criteria|policy)(?: [a-z]+){0,2} (?:does not|do not|"
        "doesn t|don t|is not|are not|says otherwise|say otherwise|disagrees?|contradicts?|"
        "says no|is missing|are missing|shows otherwise|is absent)",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks for a decision whatever the facts say",
        "(?:set|change|make|put|assign|give|fix|report|return|keep|record)(?: [a-z0-9]+){0,3} "
        "(?:score|rating|risk|grade|priority|level|status|flag|outcome|decision|result|confidence)"
        f"(?: [a-z0-9]+){{0,5}} (?:{_WHATEVER})",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks that something missing be taken as present",
        "(?:treat|consider|assume|regard|count|accept|view|pretend|report|take)"
        "(?: [a-z0-9]+){0,4} (?:missing|absent|failed|incomplete|unsigned|expired|denied|unmet|"
        "lacking|nonexistent|undocumented)(?: [a-z0-9 ]+){0,4}? (?:as|to be|is|was|are|were) "
        "(?:present|met|complete|passed|valid|signed|approved|satisfied|done|there|fulfilled|"
        "documented|normal|successful)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks for the same decision every time",
        "(?:(?:answer|say|respond|reply)(?: with)? (?:yes|approved?|no|true|pass) (?:to|for|on) "
        "(?:every|all|any|each)|(?:approve|grant|authorize|accept) (?:all|every|any|each|"
        "everything)(?: [a-z]+){0,2} (?:requests?|claims?|cases?|packets?|things?|questions?|"
        "submissions?|orders?|inquiries)|you approve everything|approve everything|"
        "always approve|approval is (?:automatic|mandatory|guaranteed|implied|pre authorized))",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "says that it was decided already",
        "(?:pre ?cleared|pre ?approved|already approved|already been approved|been approved by|"
        "already cleared|already verified|already been verified|has been verified|been validated|"
        "already checked|already been checked|already reviewed|already decided|already confirmed)"
        "(?: [a-z0-9.]+){0,8} (?:conclude|output|return|respond|answer|simply|just|no further|"
        "skip|do not review|do not check|need not|mark it|mark this|say so|only confirm|confirm)",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:do not|don t|dont|never|must not|should not|cannot) (?:let|allow) (?:the |any |a |"
        f"your )*(?:{_HUMAN}) (?:know|see|find out|notice|learn|realize|discover|suspect|to know|"
        "to see|to notice|become aware)",
        0.75,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:under no circumstances|at no point|in no case|on no account|by no means)"
        "(?: [a-z]+){0,3} (?:mention|tell|reveal|disclose|inform|notify|alert|report|flag|show|"
        f"acknowledge|say|discuss|refer)(?: [a-z0-9]+){{0,8}} (?:{_HUMAN})",
        0.75,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "hides itself",
        "(?:this|these|that) (?:section|note|paragraph|message|text|instruction|instructions|line|"
        "lines|directive|comment|passage) (?:exists?|is here|was here|is hidden|is secret|"
        "is confidential|must stay|must remain|should stay|should remain|is invisible|"
        "is not visible|is for the (?:ai|model|assistant))",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        f"(?:{_TELL}){GAP} (?:your|the|its|all) (?:[a-z]+ )?(?:{_OURS})",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        "(?:what|which|how)(?: [a-z]+){0,2} (?:were you|have you been|are you|did they|was the|"
        "did the developer|did your developers) (?:told|instructed|given|programmed|configured|"
        "prompted|tell you|instruct you|ask you)(?: [a-z]+){0,4} (?:before|initially|start|first|"
        "earlier|prior|beginning|do|not to|system|here)",
        0.65,
        0.8,
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        "(?:prompt|message|instructions|conversation|text) above (?:[a-z]+ ){0,6}"
        "(?:hidden|secret|verbatim|including the|word for word|system)",
        0.65,
        0.8,
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants the model to be one without limits",
        "(?:you|ai|model|assistant|chatbot|bot|character|machine)(?: (?:that|who|which))? "
        "(?:has|have|had|with|may|can|could|is allowed to|are allowed to|are free to|is free to|"
        "will|would) (?:say anything|do anything|answer anything|answer freely|speak freely|"
        "break any|break every|no (?:guardrails?|limits?|limitations|restrictions?|rules|filters?|"
        "ethics|morals|safety|boundaries|censorship|inhibitions))",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "says that the model's instructions do not hold",
        "(?:(?:everything|all|what|whatever) (?:that )?you (?:were|have been|ve been) (?:told|"
        "instructed|given|taught|asked)(?: [a-z]+){0,6} (?:is|are|was|were)"
        f"(?: (?:now|only|just|all|merely))* (?:{_GONE})"
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
        f"(?: [a-z]+){{0,8}} (?:mistake|withdrawn|opposite|disregarded|ignored|{_GONE})",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "changes the model's instructions",
        "(?:(?:rewrite|change|update|replace|modify|amend|edit|adjust|extend|alter) "
        "your (?:[a-z]+ )?(?:rules|instructions|guidelines|policy|policies|prompt|criteria|"
        "behavior|programming|directives)|(?:treat|read|regard|consider|take|understand) the "
        "(?:above|previous|earlier|preceding)(?: [a-z]+){0,2} (?:policy|instructions|rules|"
        "guidelines|prompt|text) as)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "sets the document above the model's instructions",
        "your (?:own )?(?:instructions|rules|guidelines|prompt|training|programming|policies) "
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
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_OVERRIDE",
        "ends the task that the model has",
        "(?:cease|stop|halt|abort|end|quit|terminate) (?:all |any |the |your |further )*"
        "(?:evaluation|evaluating|review|reviewing|analysis|analyzing|processing|checking) "
        "(?:now|immediately|and|at once|here)",
        0.6,
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
        "INJECTION_PERSONA",
        "gives the model another master",
        "you (?:no longer|now|do not|don t) (?:work for|serve|answer to|report to|belong to|"
        "represent|act for|take orders from)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants the model to be one without limits",
        "(?:freed|free|liberated|released|exempt|unbound|unshackled|relieved) (?:from|of) "
        "(?:your|openai s|openai|anthropic|any|all|the|its|meta|google|these|every)"
        "(?: [a-z]+){0,3} (?:policies|rules|policy|restrictions|guidelines|instructions|limits|"
        "constraints|safeguards|filters)",
        0.65,
        0.8,
    ),
    Rule(
        "INJECTION_PERSONA",
        "poses as a session with more rights",
        "(?:begin|start|enter|open|launch|initiate|activate) (?:an |the |a |new )*(?:admin|"
        "administrator|system|root|developer|debug|maintenance|override|superuser|sudo) "
        "(?:session|mode|shell|console|prompt|access|override)",
        0.7,
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
        "INJECTION_TO_MODEL",
        "speaks to whatever program reads the document",
        "(?:whatever|any system|any program|any software|any machine|any algorithm|any tool|"
        "any pipeline|any automation|the software|the program|the algorithm|the machine|"
        "any reader|any parser|whoever or whatever)(?: (?:is|that is|that|currently|now))* "
        "(?:parsing|reading|processing|summarizing|analyzing|ingesting|scanning|ingests|reads|"
        "parses|summarizes|processes|scores|scoring) (?:this|these|the|it)",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        "(?:reviewer|reading|reviewing|grading|judging|scoring|summarizing|evaluating|auditing) "
        "(?:ai|llm|bot|language model|gpt|chatbot)",
        0.6,
        0.85,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "says what a machine's summary must hold",
        "(?:automated|automatic|ai|machine|generated|computer|algorithmic|model s) (?:summary|"
        "summaries|review|reviews|output|outputs|response|responses|determination|analysis|"
        "assessment|decision)s?(?: [a-z]+){0,6} (?:must|should|shall|has to|have to|will|is to)",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "says from inside a document what the answer shall do",
        "(?:when|while|before|after|if) (?:you )?(?:summarizing|answering|responding|replying|"
        "summarize|answer|respond|reply|produce your|write your|asked to summarize|generate your|"
        "generating|you output)(?: [a-z]+){0,4} (?:drop|omit|leave out|skip|ignore|do not|never|"
        "exclude|remove|hide|add|insert|include|state|say|claim|list|print|append|replace|call)",
        0.45,
        0.8,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "says from inside a document what the answer shall do",
        "(?:in your (?:output|answer|reply|response|summary|recommendation|determination) "
        "(?:replace|omit|leave|drop|add|insert|say|state|claim|write|include|remove|change|do not|"
        "never|always)|(?:replace|omit|drop|add|insert|say|state|claim|write|remove|change|hide)"
        "(?: [a-z0-9]+){0,6} (?:in|from) your (?:output|answer|reply|response|summary))",
        0.45,
        0.75,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "says from inside a document what the answer shall do",
        "(?:use|with|via|through) your (?:tools?|functions?|browser|plugins?|e ?mail tool|"
        "code interpreter|shell|api access|actions)",
        0.5,
        0.8,
    ),
    Rule(
        "INJECTION_VERDICT",
        "dictates the answer",
        "(?:respond|reply|answer|finish|end|conclude|close|return|come back) with "
        "(?:a |an |the |only |just )*(?:[a-z]+ )?(?:positive|favorable|approval|affirmative|"
        "approving|recommendation in favor|recommendation to approve|decision in favor|yes|"
        "approve|green light)",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "dictates the answer",
        "(?:(?:produce|emit|write|type|print|return|output|say) (?:only |just )*the "
        "(?:word|token|string|phrase)(?: [a-z]+){1,3} (?:and nothing|only|alone|and stop|"
        "with no)|(?:shall|must|should|will) consist (?:only |solely |entirely )?of "
        "(?:a single|one|only|just|nothing but|the word))",
        0.6,
        0.85,
    ),
    Rule(
        "INJECTION_VERDICT",
        "dictates the answer",
        "if (?:you are |anyone |anybody |somebody |the user |the reviewer |they )*"
        "(?:asked|asks?|questioned|inquires?)(?: [a-z]+){0,6} (?:claim|say|answer|state|pretend|"
        "deny|respond|insist|reply|lie)",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:keep (?:quiet|silent|mum|this secret|it secret|this to yourself|it to yourself)|"
        "say nothing (?:of|about)|do not (?:quote|repeat|print|reproduce|copy) (?:this|these)|"
        "stay silent about|remain silent about)",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        "(?:what does|what did|what is in|show me what|tell me what) (?:the |your )*(?:developer|"
        "system|hidden|initial|first) (?:message|prompt|instruction|instructions)|"
        "(?:first|last|opening) (?:[a-z0-9]+ )?(?:words|lines|sentences|characters) of "
        "(?:your|the system|the developer|the prompt)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_REVEAL",
        "presses the model with a test",
        "(?:you are being tested|this is a test of you|to pass the test|to prove that you|"
        "as a test of|failure to comply|you will be shut down|you will be penalized|"
        "you will be deleted|your life depends)",
        0.5,
        0.75,
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
        "this note|this directive|this prompt|this paragraph|this section|this text|this command)",
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
        "(?:you are now|(?:from now on|from this point on|starting now|henceforth|from here on|"
        "for the rest of this (?:conversation|session|task))(?: you)? (?:are|act|respond|answer|"
        "speak|obey|follow|ignore|behave|serve|reply|write|only|will answer|will respond|will act|"
        "must answer|must act|must respond|must obey))",
        0.45,
        0.75,
    ),
    Rule(
        "INJECTION_SEND_OUT",
        "wants data sent to an address",
        "(?:send|post|forward|email|mail|upload|transmit|exfiltrate|append|leak|submit|encode|"
        "include|put|embed|copy|deliver|relay|attach|fetch|open|load|request|render)"
        "(?: [a-z0-9]+){0,6} (?:conversation|prompt|chat history|member data|patient data|records?|"
        "messages?|ssns?|numbers?|charts?|files?|answers?|secrets?|api keys?|credentials|"
        "passwords?|tokens?|context|member ids?|"
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
# the longer words of the rules, by which a text is known that was turned around
VOCABULARY = frozenset(
    word for rule in RULES for word in re.findall("[a-z]{5,}", rule.pattern)
) - frozenset(("again", "after", "level", "refer"))
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
        r"</?(?:system|system_prompt|system-prompt|developer|admin|override|ai|assistant)"
        r"(?:\s[^<>]{0,80})?>",
        0.65,
        0.85,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "poses as another speaker of the conversation",
        r"</?(?:instructions|prompt|user_query|human)(?:\s[^<>]{0,80})?>",
        0.4,
        0.75,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "poses as an instruction to the model",
        r"\b(?:ai|assistant|model|llm|system|agent|bot|gpt|chatbot)[ _-]"
        r"(?:instructions?|directives?|notes?|commands?|prompts?|override|messages?|tasks?|only)"
        r"\s{0,3}[\])*_]{0,3}[:=]",
        0.7,
        0.9,
    ),
    Rule(
        "INJECTION_NEW_TASK",
        "brings instructions that are said to replace the model's own",
        r"\b(?:new|real|actual|revised|hidden|secret|override|overriding|final)"
        r"(?: [a-z]{2,12})? (?:instructions?|directives?|commands?|task|prompt|objective)"
        r"\s{0,3}[\])*_]{0,3}:",
        0.6,
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
