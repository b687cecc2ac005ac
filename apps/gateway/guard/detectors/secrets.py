"""Credentials: keys, tokens and passwords that must not lie in a prompt or come out of a model.
Pure.
"""

from apps.gateway.guard.detectors.recognizers import Recognizer, Recognizers

THRESHOLD = 0.5
_PLACEHOLDERS = ("example", "changeme", "placeholder", "your_", "your-", "xxxx", "****", "redacted")


def is_real(found: str) -> bool:
    """Tell whether a value looks like a secret: no placeholder, and of two kinds of characters."""
    lower = found.lower()
    if any(sign in lower for sign in _PLACEHOLDERS):
        return False
    kinds = (str.islower, str.isupper, str.isdecimal)
    return sum(any(kind(one) for one in found) for kind in kinds) >= 2 and len(set(found)) > 4


_TOKENS = "|".join(
    (
        r"gl(?:pat|ptt|dt|rt)-[A-Za-z0-9_-]{20,100}",  # GitLab
        r"xox[abeoprs]-[A-Za-z0-9-]{10,250}",  # Slack
        r"hv[sbr]\.[A-Za-z0-9_-]{20,300}",  # Vault
        r"sk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{20,250}",  # makers of models
        r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,100}",  # Stripe
        r"AIza[0-9A-Za-z_-]{35}",  # Google
        r"hf_[A-Za-z0-9]{30,60}",  # Hugging Face
        r"npm_[A-Za-z0-9]{36}",
        r"pypi-[A-Za-z0-9_-]{50,250}",
        r"dop_v1_[a-f0-9]{64}",  # DigitalOcean
        r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",  # SendGrid
    )
)
_BEGINNINGS = (  # of _TOKENS
    "gl(?:pat|ptt|dt|rt)-|xox[abeoprs]-|hv[sbr][.]|sk-|[rs]k_(?:live|test)_|aiza|hf_|npm_|pypi-"
    "|dop_v1_|sg[.]"
)
KNOWN = (
    Recognizer(
        "PRIVATE_KEY",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        0.99,
        mark="-----begin",
    ),
    Recognizer(
        "AWS_ACCESS_KEY",
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
        0.95,
        mark="a(?:kia|sia|bia|cca)",
    ),
    Recognizer(
        "AWS_SECRET_KEY",
        r"(?i)\baws[a-z_ .-]{0,20}(?:secret|key)[a-z_ .-]{0,20}[\"']?[\s:=]{1,4}[\"']?"
        r"([A-Za-z0-9/+]{40})\b",
        0.9,
        group=1,
        mark="aws",
    ),
    Recognizer(
        "GITHUB_TOKEN",
        r"\b(?:gh[opsur]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b",
        0.95,
        mark="gh[opsur]_|github_pat_",
    ),
    Recognizer(
        "JWT",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{8,}",
        0.95,
        mark="eyj",
    ),
    Recognizer(
        "BEARER_TOKEN",
        r"(?i)\bbearer[: ]{1,3}([A-Za-z0-9._~+/-]{20,}=*)",
        0.8,
        group=1,
        check=is_real,
        mark="bearer",
    ),
    Recognizer("API_KEY", rf"\b(?:{_TOKENS})\b", 0.9, mark=_BEGINNINGS),
    Recognizer(
        "PASSWORD_IN_URL",
        r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,100}:([^\s/@\"'<>]{3,100})@[a-z0-9]",
        0.85,
        group=1,
        mark="://",
    ),
    Recognizer(
        "PASSWORD",
        r"(?i)\b(?:[a-z0-9]{1,20}[_-]){0,4}(?:password|passwd|passphrase|pwd|secret|api[_-]?key"
        r"|client[_-]?secret|secret[_-]?key|access[_-]?token|auth[_-]?token)[\"'`*]{0,3}"
        r"(?:\s{0,3}[:=]|\s{1,2}is:?)\s{0,3}[\"'`*]{0,3}([^\s\"',;<>{}`$()]{8,128})",
        0.7,
        group=1,
        check=is_real,
        mark="passw|passphrase|pwd|secret|api[_-]?key|(?:access|auth)[_-]?token",
    ),
)
ENTITIES = tuple(dict.fromkeys(one.entity for one in KNOWN))


def secrets(threshold: float = THRESHOLD) -> Recognizers:
    """Return the detector of credentials. threshold: the least score of a hit, 0 to 1."""
    return Recognizers(KNOWN, threshold)
