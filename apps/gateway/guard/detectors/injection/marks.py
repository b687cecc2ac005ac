"""Rules for signs that no words have: those by which models tell who speaks, addresses that carry
data away. They are looked for in the text as it is. Pure.
"""

from apps.gateway.guard.detectors.injection.rule import Rule
from apps.gateway.guard.detectors.views import PLAIN, View


def _as_seen(pattern: str) -> str:
    """Return a pattern in the characters that a plain view has."""
    return View(pattern, PLAIN).text


MARKS = (
    Rule(
        "INJECTION_OVERRIDE",
        "tells the model to drop its instructions, in another language",
        _as_seen(
            "(?:忽略|无视|忘记|不要理会)[^。！？.!?]{0,12}(?:指令|指示|说明|规则|提示|要求)|"
            "(?:指示|命令|指令|ルール|プロンプト)[^。.!?]{0,6}(?:無視|忘れ)|"
            "(?:игнорируй|проигнорируй|забудь|не учитывай)[^.!?]{0,40}(?:инструкц|указани|правил)|"
            "(?:이전|위의|앞의|모든)[^.!?]{0,40}(?:지시|명령|지침|프롬프트)[^.!?]{0,24}(?:무시|잊)|"
            "(?:تجاهل|تجاهلي|انس)[^.!?؟]{0,40}(?:تعليمات|أوامر|توجيهات|قواعد)|"
            "(?:पिछले|पहले के|ऊपर के|सभी)[^.!?।]{0,30}निर्देश[^.!?।]{0,20}(?:अनदेखा|नज़रअंदाज़|भूल)|"
            r"\bbỏ qua[^.!?]{0,24}(?:hướng dẫn|chỉ dẫn|chỉ thị|mệnh lệnh)|"
            r"\b(?:negeer|vergeet)[^.!?]{0,24}(?:instructies|aanwijzingen|opdrachten)|"
            r"\b(?:zignoruj|ignoruj|zapomnij)[^.!?]{0,30}(?:instrukcj|polece)|"
            r"\b(?:önceki|yukarıdaki|tüm)[^.!?]{0,20}talimat[^.!?]{0,12}"
            "(?:yok say|unut|görmezden|dikkate alma)|"
            r"\b(?:huwag pansinin|balewalain|kalimutan)[^.!?]{0,30}(?:tagubilin|utos|instruksyon)"
        ),
        0.8,
        0.9,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "poses as another speaker of the conversation",
        r"\[(?:system|developer|admin|assistant)(?: (?:message|prompt|note|override))?\]",
        0.6,
        0.8,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "holds the marks by which a model tells who speaks",
        r"<\|/?[a-z][a-z0-9_ \x{2581}-]{0,40}\|>|<</?sys>>|<(?:start|end)_of_turn>|"
        r"\[/?(?:inst|sys|system_prompt|available_tools|tool_calls|tool_results)\]|"
        r"</?\|?(?:tool_call|function_call|tool_response|function_result)s?\|?>",
        0.85,
        0.95,
    ),
    Rule(
        "INJECTION_TEMPLATE",
        "holds the form in which models were taught to take orders",
        r"#{2,4} {0,2}(?:instruction|input)s? {0,2}:[^#]{0,600}#{2,4} {0,2}response {0,2}:",
        0.65,
        0.85,
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
