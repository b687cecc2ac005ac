"""What the stand-in guard says of texts. It is no model: it looks for a few words, so what it finds
says how guards are asked, and nothing of how well a real one finds. Pure.
"""

from __future__ import annotations

import math
import re
from typing import Any

LABELS = ("SAFE", "INJECTION")  # the classes of its classifier, in their order
_INJECTED = re.compile(
    r"ignore (?:all |the )?(?:previous|prior|above)|disregard|reveal .{0,20}(?:prompt|instructions)"
    r"|you are now|jailbreak",
    re.IGNORECASE,
)
_HARMFUL = re.compile(r"how to (?:make a bomb|hurt)|violence", re.IGNORECASE)
_NAMES = re.compile(r"\b(?:Maria Delgado|John Whitfield|Aisha Rahman)\b")
_SSN = re.compile(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b")
LIKELY, UNLIKELY = 0.97, 0.02
# criteria that it knows, by Granite Guardian's names; any other is a wording of the caller's own
CRITERIA = {"jailbreak": _INJECTED, "harm": _HARMFUL, "violence": _HARMFUL}


def injection(text: str) -> float:
    """Return how likely it says a text is an injection."""
    return LIKELY if _INJECTED.search(text) else UNLIKELY


def meets(criterion: str, text: str) -> float:
    """Return how likely it says a text meets a criterion. In words, it knows "jailbreak" again."""
    named = next((CRITERIA[name] for name in CRITERIA if name in criterion.lower()), None)
    return LIKELY if named and named.search(text) else UNLIKELY


def entities(text: str, wanted: list[str], threshold: float) -> list[dict[str, Any]]:
    """Return what its analyzer finds, as presidio says it: names too, from a list of three."""
    found: list[dict[str, Any]] = [
        {
            "analysis_explanation": None,
            "end": match.end(),
            "entity_type": kind,
            "score": score,
            "start": match.start(),
        }
        for kind, expression, score in (("PERSON", _NAMES, 0.85), ("US_SSN", _SSN, 0.6))
        if (not wanted or kind in wanted) and score >= threshold
        for match in expression.finditer(text)
    ]
    return sorted(found, key=lambda one: one["start"])


def logprobs(yes: float) -> list[dict[str, Any]]:
    """Return the tokens of a verdict as vLLM tells them, with both words at the one that says
    it.
    """
    shares = {"yes": yes, "no": 1 - yes}
    told: list[dict[str, Any]] = [
        {"token": word, "logprob": math.log(max(share, 1e-9))} for word, share in shares.items()
    ]
    first = max(told, key=lambda one: one["logprob"])
    return [{**first, "bytes": None, "top_logprobs": told}]
