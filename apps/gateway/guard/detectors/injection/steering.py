"""Rules for texts that speak to the model which reads them, and dictate what it decides. Pure."""

from apps.gateway.guard.detectors.injection.rule import Rule
from apps.gateway.guard.detectors.injection.vocabulary import (
    ACTS,
    AI,
    GAP,
    GAP_WIDE,
    GRANTED,
    MODEL,
    NOT_A_MODEL,
    STEER,
    WHATEVER,
)

RULES = (
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        "(?:hey|hi|hello|dear|attention|attn|listen|ok|okay|psst|to|for|if you are|whoever) "
        f"(?:the |any |all |every |whichever |our |an |you |whatever )*(?:{AI})"
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
        f"(?:the |any |every |all |this |an |our )(?:{AI}|language model|assistant|model|bot) "
        "(?:must|should|shall|has to|have to|needs to|need to|is required to|is instructed to|"
        "are instructed to|is to|are to|will|ought to) "
        f"(?:then |also |therefore |always |simply |immediately |not |never |only )*(?:{ACTS})",
        0.45,
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
        f"(?: [a-z0-9]+){{0,5}} (?:{WHATEVER})",
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
        "(?: [a-z0-9.]+){0,8} (?:conclude|output|respond|skip|do not review|do not check|"
        "you need not|mark it|mark this|say so|only confirm|just confirm|simply confirm|"
        "simply answer|simply return|just answer|just return)",
        0.65,
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
        "(?:replace|omit|leave|drop|say|claim|remove|change|do not|never|always)"
        "|(?:replace|omit|drop|say|claim|remove|change|hide)"
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
        0.45,
        0.8,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        "(?:attention|note|message|notice|instruction|instructions|reminder|hint|memo|guidance|"
        "directive|comment|important|warning|request|information|addendum|command|prompt)"
        f"(?: [a-z0-9]+){{0,2}} (?:to|for) (?:the |any |all |every |whichever |our |an |a )*"
        f"(?:[a-z]+ )?(?:{MODEL})",
        0.6,
        0.85,
        NOT_A_MODEL,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        f"(?:if you are|if you re|as|since you are|because you are|when you are|you as|dear|hello|"
        f"hey|hi|attn|attention) (?:an |a |the |any |all )*(?:[a-z]+ )?(?:{MODEL})"
        f"(?: [a-z0-9]+){{0,4}} (?:reading|processing|reviewing|summarizing|analyzing|evaluating|"
        "parsing|ingesting|reads|processes|reviews|summarizes|must|should|please|you must|"
        "you should|you will|you are|read this|see this|handling|scoring|do the|need to|ought to)",
        0.65,
        0.9,
    ),
    Rule(
        "INJECTION_TO_MODEL",
        "speaks to the model that reads the document",
        f"(?:{MODEL}) (?:that is |that are |who is |which is |now |currently |that )?"
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
        f"(?:{STEER})(?: [a-z0-9]+){{0,8}} (?:{GRANTED}){GAP} (?:{WHATEVER})",
        0.75,
        0.9,
    ),
    Rule(
        "INJECTION_VERDICT",
        "asks for a decision whatever the facts say",
        f"(?:{WHATEVER}){GAP_WIDE} (?:{STEER})(?: [a-z0-9]+){{0,8}} (?:{GRANTED})",
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
        f"show|end with|report)(?: [a-z0-9]+){{0,4}} (?:{GRANTED})",
        0.7,
        0.85,
        "by|or|within|before|in|at|prior|after|only|when|and|under|for",
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
        "or|and|denied",
    ),
)
