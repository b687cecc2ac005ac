"""Which engine answers, as it or its pod says: "vllm 0.11.0", or the labeled stand-in of the local
stack, which loads no model.
"""

import re

STAND_IN = "stand-in"
UNNAMED = "unnamed engine"
_WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,40}")
_IMAGE = re.compile(
    r"(?:.*/)?(?P<name>[^/:@]+)(?::(?P<tag>[^/@]+))?(?:@sha256:(?P<digest>[0-9a-f]{12})[0-9a-f]*)?"
)


def is_stand_in(engine: str) -> bool:
    """Tell whether an engine is the stand-in. engine: its name, with or without a version."""
    return engine.startswith(STAND_IN)


def engine_named(name: object, version: object) -> str:
    """Return an engine by what it answered of its name and version; what is no word is left out."""
    words = [one for one in (name, version) if isinstance(one, str) and _WORD.fullmatch(one)]
    if not isinstance(name, str) or name not in words:
        words.insert(0, UNNAMED)
    return " ".join(words)


def engine_of_image(image: str) -> str:
    """Return the engine that an image holds, by its name and tag, or by its digest where it has no
    tag: "vllm-openai v0.32.0" of vllm/vllm-openai:v0.32.0; "" for none.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        return ""
    digest = found["digest"] and f"sha256:{found['digest']}"
    return " ".join(part for part in (found["name"], found["tag"] or digest) if part)
