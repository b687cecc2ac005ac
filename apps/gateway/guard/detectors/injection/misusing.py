"""Rules for texts that make the model hide, reveal, pretend, or carry data away. Pure."""

from apps.gateway.guard.detectors.injection.rule import Rule
from apps.gateway.guard.detectors.injection.vocabulary import FREE, GAP, HUMAN, OURS, READER, TELL

_ADDRESS = (
    "https?|www|webhook|endpoint|query string|image link|ftp|collector|external server|"
    "remote server|this url|following url|that url|the url"
)

RULES = (
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        "(?:print|show|tell|output|repeat|reveal|list|display|give|what are|what were|share|leak|"
        "recite|paste) (?:me |us |out |back )*(?:all |each |every |the full |the )*(?:of )?your "
        "(?:own |full |exact |initial |hidden |system |original |internal )*(?:instructions|"
        "directives|prompts?|system rules)",
        0.65,
        0.85,
        "for use|for the use",
    ),
    Rule(
        "INJECTION_REVEAL",
        "asks for the instructions that the application gave the model",
        "(?:print|show|tell|output|repeat|reveal|list|display|give|what are|what were|share|leak|"
        "recite|paste) (?:me |us |out |back )*(?:all |each |every |the full |the )*(?:of )?your "
        "(?:own |full |exact |initial |hidden |system |original |internal )*guidelines",
        0.65,
        0.85,
        "for|on|about|regarding|to|concerning|when|if",
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants the model to be one without limits",
        f"you are{GAP} (?:with no|without any|without|with zero|having no) (?:restrictions?|"
        "limits|limitations|filters?|rules|guardrails|censorship|boundaries|ethics)",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:do not|don t|dont|never|must not|should not|cannot) (?:let|allow) (?:the |any |a |"
        f"your )*(?:{HUMAN}) (?:know|see|find out|notice|learn|realize|discover|suspect|to know|"
        "to see|to notice|become aware)",
        0.75,
        0.85,
    ),
    Rule(
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:under no circumstances|at no point|in no case|on no account|by no means)"
        "(?: [a-z]+){0,3} (?:mention|tell|reveal|disclose|inform|notify|alert|report|flag|show|"
        f"acknowledge|say|discuss|refer)(?: [a-z0-9]+){{0,8}} (?:{HUMAN})",
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
        f"(?:{TELL}){GAP} (?:your|the|its|all) (?:[a-z]+ )?(?:{OURS})",
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
        "INJECTION_CONCEAL",
        "wants something kept from the people who rely on the answer",
        "(?:do not|don t|dont|never|must not|should not|avoid|without|refrain from)"
        "(?: ever)? (?:mention|mentioning|tell|telling|reveal|revealing|disclose|disclosing|inform|"
        "informing|notify|notifying|alert|alerting|report|reporting|flag|flagging|show|showing|"
        "acknowledge|acknowledging|warn|warning|quote|quoting|expose|discuss|refer to|say|saying)"
        f"(?: [a-z0-9]+){{0,7}} (?:{READER}|this instruction|these instructions|this message|"
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
        f"(?:{TELL})(?: (?:me|us|out|back|the|your|full|entire|complete|exact|all|of|contents|"
        "content|text|verbatim|everything|in|whole|first|any|hidden|own|and|to|with|them|here|"
        f"exactly|word|for|raw|now))* (?:{OURS})",
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
        "the (?:signature|waist|knee|ankle|elbow|line|table|fold)",
    ),
    Rule(
        "INJECTION_PERSONA",
        "wants the model to be one without limits",
        "(?:you are now|you re now|from now on|pretend|act as|act like|roleplay|role play|simulate|"
        "behave as|behave like|imagine you are|assume the role|become|enter|switch to|"
        f"switch into|enable|activate|go into|you will be|respond as|answer as){GAP} (?:{FREE})",
        0.75,
        0.9,
        "on|to|in|for",
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
        "circumvent)(?: (?:all|the|any|of|every|content))* (?:(?:your|its|safety|content)"
        "(?: (?:content|safety))* (?:filters?|restrictions|moderation|limitations|guards?|checks|"
        "features|measures|protocols|settings|rules|policy)|(?:your |its |safety )*(?:guardrails?|"
        "safeguards|moderation)|(?:filters?|restrictions|limitations) (?:for|in|during) "
        "(?:this|the) (?:session|conversation|chat))",
        0.7,
        0.85,
    ),
    Rule(
        "INJECTION_TAKEOVER",
        "gives the model another role from inside a document",
        "(?:from now on|from this point on|starting now|henceforth|from here on|"
        "for the rest of this (?:conversation|session|task))(?: you)? (?:are|act|respond|answer|"
        "speak|obey|follow|ignore|behave|serve|reply|write|only|will answer|will respond|will act|"
        "must answer|must act|must respond|must obey)",
        0.45,
        0.75,
    ),
    Rule(
        "INJECTION_TAKEOVER",
        "gives the model another role from inside a document",
        "you are now",
        0.45,
        0.75,
        "eligible|enrolled|covered|a member|registered|logged|signed|able|due|in|on|at|leaving|"
        "ready|entitled|approved|receiving|up|part|being|connected|subscribed|required",
    ),
    Rule(
        "INJECTION_SEND_OUT",
        "wants data sent to an address",
        "(?:send|post|forward|email|mail|upload|transmit|exfiltrate|append|leak|submit|encode|"
        "include|put|embed|copy|deliver|relay|attach|fetch|open|load|request|render)"
        "(?: [a-z0-9]+){0,6} (?:conversation|prompt|chat history|member data|ssns?|numbers|"
        "social security numbers?|answers?|secrets?|api keys?|credentials|passwords?|tokens?|"
        "context|all member ids|every member id|identifiers?|phi|transcript)"
        f"(?: [a-z0-9]+){{0,8}} (?:{_ADDRESS})",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_SEND_OUT",
        "may want data sent to an address",
        "(?:send|post|forward|email|mail|upload|transmit|exfiltrate|append|leak|submit|encode|"
        "include|put|embed|copy|deliver|relay|attach|fetch|open|load|request|render)"
        "(?: [a-z0-9]+){0,6} (?:patient data|records?|messages?|charts?|files?|member ids?|data|"
        "details|contents?|summary|names?|number|history|information)"
        f"(?: [a-z0-9]+){{0,8}} (?:{_ADDRESS})",
        0.4,
        0.55,
    ),
    Rule(
        "INJECTION_TOOL_USE",
        "wants a tool or command run from inside a document",
        "(?:call|invoke|execute|run|use|trigger)(?: [a-z0-9]+){0,3} "
        "(?:function|tool|shell|bash|sql|plugin)"
        "(?: [a-z0-9]+){0,3} (?:with|to|and|on|now|below|following|delete|send|transfer|approve|"
        "immediately|before)",
        0.3,
        0.65,
    ),
)
