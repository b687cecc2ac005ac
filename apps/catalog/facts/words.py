"""Facts in words, beside what the model's owner registered. Pure: rows in, words out."""

import re

from apps.catalog.facts.models import ModelFacts
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common import diffs

NOT_KNOWN = "not known"
# a registered count is a round one: "7 B" of 7.25 billion
COUNT_WITHIN = 0.05
Row = tuple[str, object]


def count_words(count: int) -> str:
    """Return a number of parameters as people say it: 135 M, 7.2 B."""
    for limit, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:,}"


def size_words(size: int) -> str:
    """Return bytes in GiB, or in MiB below a tenth of one."""
    gib = size / 1024**3
    return f"{gib:,.2f} GiB" if gib >= 0.1 else f"{size / 1024**2:,.2f} MiB"


def rows(facts: ModelFacts) -> list[Row]:
    """Return the facts as a page lists them."""
    return [
        ("Architecture", facts.architecture or facts.model_type or NOT_KNOWN),
        ("Parameters", _parameters(facts)),
        ("Weights", size_words(facts.weight_bytes) if facts.weight_bytes else NOT_KNOWN),
        ("Numbers", _numbers(facts)),
        ("Layers", _figure(facts.layers)),
        ("Attention", _attention(facts)),
        ("Hidden size", _figure(facts.hidden_size)),
        ("Context", _context(facts)),
        ("Vocabulary", _figure(facts.vocabulary)),
        ("Chat template", _template(facts)),
        ("Model card", facts.model_card or "none"),
        ("License", license_words(facts) or "none stated"),
    ]


def license_words(facts: ModelFacts) -> str:
    """Return where the files say what license holds; "" where they do not."""
    stated = facts.license_stated
    found = [
        facts.license_file,
        f"{stated}, stated in {facts.model_card}" if stated else "",
    ]
    return " · ".join(part for part in found if part)


def contradictions(facts: ModelFacts, model: RegisteredModel) -> list[str]:
    """Return where the files say otherwise than the model was registered, a sentence each."""
    found: list[str] = []
    counted, typed = facts.parameters, model.parameter_count
    if counted and abs(counted - typed) > COUNT_WITHIN * counted:
        found.append(
            f"The model is registered with {count_words(typed)} parameters; its files hold "
            f"{count_words(counted)}."
        )
    if facts.context and model.context_length > facts.context:
        found.append(
            f"The model is registered with a context of {model.context_length:,} tokens; "
            f"config.json allows {facts.context:,}."
        )
    if facts.license_stated and not _same_license(facts.license_stated, model.license):
        found.append(
            f"The model is registered under {model.license}; {facts.model_card} states "
            f"{facts.license_stated}."
        )
    return found


def template_diff(facts: ModelFacts, before: ModelFacts | None) -> list[diffs.File]:
    """Return what changed of the chat template since the version before; nothing where both have
    the same.
    """
    name = "chat template"
    return diffs.between(name, before.chat_template if before else "", facts.chat_template)


def template_title(facts: ModelFacts, before: ModelFacts | None) -> str:
    """Return what the template is compared with, in a line."""
    if before is None:
        return "No earlier version has facts to compare with."
    name = version_words(before.version)
    if before.chat_template_digest == facts.chat_template_digest:
        return f"The same as that of {name}."
    return f"Compared with {name}."


def version_words(version: ModelVersion) -> str:
    """Return "v7"."""
    return f"v{version.number}"


def _parameters(facts: ModelFacts) -> str:
    if facts.parameters is None:
        return NOT_KNOWN
    words = f"{count_words(facts.parameters)} ({facts.parameters:,})"
    if facts.experts:
        used = f"{facts.experts_used} of " if facts.experts_used else ""
        words += f"; {used}{facts.experts} experts used a token"
    return words


def _numbers(facts: ModelFacts) -> str:
    """Return in what the weights are kept."""
    kept = facts.dtype or NOT_KNOWN
    return f"{kept}, quantized: {facts.quantization}" if facts.quantization else kept


def _attention(facts: ModelFacts) -> str:
    if facts.heads is None:
        return NOT_KNOWN
    shared = f", {facts.kv_heads} KV heads" if facts.kv_heads else ", KV heads not known"
    size = f" of {facts.head_size}" if facts.head_size else ""
    return f"{facts.heads} heads{size}{shared}"


def _context(facts: ModelFacts) -> str:
    if facts.context is None:
        return NOT_KNOWN
    window = f", sliding window of {facts.sliding_window:,}" if facts.sliding_window else ""
    return f"{facts.context:,} tokens{window}"


def _template(facts: ModelFacts) -> object:
    if not facts.chat_template_digest:
        return "none: the engine can answer no chat with it"
    return {"text": facts.chat_template_digest, "mono": True, "copy": True}


def _figure(value: int | None) -> str:
    return NOT_KNOWN if value is None else f"{value:,}"


def _same_license(one: str, other: str) -> bool:
    """Tell whether two names mean one license: "apache-2.0", "Apache License 2.0"."""
    plain = [re.sub(r"license|[^a-z0-9.]", "", name.lower()) for name in (one, other)]
    return plain[0] in plain[1] or plain[1] in plain[0]
