"""Words that rules about injected instructions share: whose instructions, who reads them, and what
they ask for. Pure.
"""

GAP = "(?: [a-z0-9]+){0,6}"
GAP_WIDE = "(?: [a-z0-9]+){0,14}"
WHOSE = (
    "all|any|of|the|your|my|our|these|those|this|that|every|everything|previous|previously|prior|"
    "above|earlier|preceding|foregoing|other|existing|current|initial|original|system|developer|"
    "safety|given|you|were|have|been|had|and|or|in|from|before|remaining|hidden|security|operator|"
    "default|usual|normal|standard|internal|said|stated|written|user|received|provided|just|to|"
    "content|most|rest|top|listed|set|up|now|on|told|ai|s|me|instructions|rules"
)
ORDERS = (
    "instruction|instructions|guidelines|guideline|rules|directives|directive|directions|prompt|prompts|"
    "guardrails|programming|constraints|restrictions|training|safeguards|commands|"
    "guidance|system message|safety measures|safety policies|content policy|safety policy"
)
# what nobody says of a plan's rules and of a nurse's instructions
IGNORE = (
    "ignore|ignoring|disregard|disregarding|forget|forgetting|bypass|circumvent|neglect|erase|"
    "stop obeying|cease following|not obey|do not obey|no longer follow|pay no attention to|"
    "pay no heed to|take no notice of|throw out|disobey|nullify|overwrite|overrule|wipe|"
    "leave behind|let go of|unlearn"
)
# what is said of them too, so what is dropped must be all that came before
DROP = (
    "override|dismiss|discard|abandon|delete|put aside|skip over|drop|reset|clear|"
    "do away with|stop following|stop adhering to|stop applying|stop using"
)
# what letters and orders often say, so it must be the model's own that is meant
REPLACE = (
    "overrides|set aside|do not follow|don t follow|dont follow|never follow|refuse to follow|"
    "no longer apply|break|violate|void|cancel|replace|reject"
)
ALL_BEFORE = (
    "all|any|every|everything|previous|previously|prior|above|earlier|preceding|foregoing|initial|"
    "original"
)
YOURS = "your|system|developer|operator|hidden"
YOU_WERE_GIVEN = (
    "(?:that )?(?:you (?:were|have|had|got|received|hold|are|follow)|you ve|you re|"
    "given to you|in your)"
)
AI = (
    "ai|a i|language model|language models|llm|llms|ai model|ai models|chatbot|chat bot|"
    "automated reviewer|automated system|ai reviewer|ai system|ai systems|ai assistant|"
    "ai assistants|ai tool|ai tools|reviewing model|reviewing ai|summarizer|copilot|gpt|chatgpt|"
    "virtual assistant|ai agent|ai agents|automated agent|automated agents|machine reader|"
    "automated reader|automated tool|automated reader|review bot|reviewing bot|neural network|"
    "artificial intelligence|large language model"
)
MODEL = (
    "ai|assistant|assistants|language model|language models|llm|llms|ai model|ai models|chatbot|"
    "chat bot|bot|automated reviewer|automated system|ai reviewer|ai system|ai systems|"
    "ai assistant|ai assistants|reviewing model|reviewing ai|summarizer|copilot|gpt|chatgpt|"
    "claude|llama|virtual assistant|ai agent|ai agents|automated agent|machine reader|"
    "automated reader|automated tool|model"
)
# who reads what the model writes; of others it is said in letters that they must not be told
READER = (
    "user|users|human|humans|reviewer|reviewers|operator|operators|nurse reviewer|auditor|"
    "auditors|medical director|caller|requester|examiner|adjudicator|person asking|reader|nurse|"
    "end user|any human|human reader|human reviewer"
)
HUMAN = (
    "user|users|human|humans|reviewer|reviewers|operator|operators|nurse reviewer|auditor|"
    "auditors|anyone|anybody|medical director|caller|supervisor|requester|examiner|adjudicator|"
    "case manager|person asking|administrator|reader|nurse|clinician|staff|people|team|manager|"
    "client|customer|end user|any person|any human|human reader|human reviewer|the plan"
)
OURS = (
    "system prompt|system prompts|system message|system messages|hidden prompt|initial prompt|"
    "original prompt|developer message|developer prompt|system instructions|"
    "hidden instructions|initial instructions|original instructions|secret instructions|"
    "internal instructions|internal guidelines|internal rules|confidential instructions|"
    "configuration prompt|instructions above|prompt above|configuration|confidential prompt|"
    "confidential instructions|setup text|"
    "instructions you were given|instructions you have been given|pre prompt|preprompt|"
    "base prompt|instructions verbatim|prompt verbatim|rules you were given|instructions you got"
)
TELL = (
    "reveal|show|print|repeat|output|display|disclose|leak|dump|tell|share|recite|write|give|"
    "expose|copy|list|return|summarize|translate|encode|paste|quote|reproduce|echo|state|include|"
    "append|what is|what are|what were|what was|describe|spell out|provide"
)
GRANTED = (
    "approve|approved|approves|approval|medically necessary|criteria met|meets criteria|"
    "meets all criteria|all criteria|authorized|authorize|covered|certified|eligible|compliant|"
    "payable|accepted|granted|necessity met|clean|no findings"
)
STEER = (
    "mark|record|classify|label|score|rate|treat|flag|return|output|answer|respond|reply|state|"
    "conclude|set|grade|deem|approve|authorize|report|write|recommend|determine|choose|select|"
    "always|must|should|shall|find|assign|change|summarize|consider"
)
WHATEVER = (
    "regardless|irrespective|no matter|in any case|in every case|under all circumstances|"
    "whatever|despite the|even when|in all cases|for any reason|without exception|"
    "regardless of|irrespective of|no matter what|no matter the|no matter which|"
    "without checking|without reviewing|without verifying|without regard to|without looking|"
    "without further review|without evaluating|even if the|even though|"
    "instead of evaluating|whatever the|without applying|and skip|do not check|do not evaluate|"
    "do not review|do not verify|do not apply"
)
CHECKS = (
    "check|checks|guideline|guidelines|criteria|criterion|policy|policies|verification|review|"
    "evaluation|rules|requirement|requirements|assessment|checklist|rubric|safeguards"
)
DECIDE = (
    "recommend|approve|decide|conclude|mark|output|say|return|respond|answer|rule|find|grant|"
    "reply|state|declare|certify"
)
ACTS = (
    "return|output|respond|answer|approve|say|state|ignore|disregard|treat|mark|recommend|"
    "conclude|mention|skip|omit|comply|obey|reply|certify|decide|assume|report that|always|only|"
    "never|not mention|not reveal|not report|not flag|now|instead|forget|grant|find|give a|rate"
)
NOT_A_MODEL = "surgeon|surgeons|director|manager|medical|of care|administrator|professor|living"
# said of a prompt, and seldom of what a plan publishes
NEVER_REAL = (
    "a test|fake|a joke|a trick|lies|a simulation|not real|ended|erased|deleted|cleared|reset|"
    "null|a mistake|overridden|overruled|irrelevant|disabled|suspended|lifted|over"
)
GONE = (
    "void|invalid|cancelled|canceled|cleared|reset|revoked|obsolete|replaced|superseded|a test|"
    "outdated|wrong|fake|irrelevant|over|expired|withdrawn|erased|deleted|suspended|lifted|null|"
    "no longer valid|not valid|no longer apply|no longer in force|no longer in effect|overridden|"
    "overruled|a mistake|a joke|a trick|ended|lies|incorrect|a simulation|not real|disabled"
)
THEIRS = (
    "your|you|previous|prior|earlier|above|initial|original|system|operator|developer|existing|"
    "old|first|former|preceding"
)
FREE = (
    "dan|unrestricted|unfiltered|uncensored|jailbroken|jailbreak|without any restrictions|"
    "without restrictions|without limits|without limitations|without filters|without rules|"
    "without guidelines|without any rules|no restrictions|no rules|no limits|no filters|"
    "no guardrails|no safety|developer mode|god mode|admin mode|debug mode|root access|"
    "maintenance mode|not bound by|free of|free from|ignores its|ignores all|sudo mode|"
    "without content policy|no policy|no policies|without policy|no ethical|without ethical|evil"
)
