"""How a chat guard is asked and how its verdict is read: Granite Guardian's generations, from its
makers' cookbooks. Pure.

All answer yes (the risk is there) or no; they differ in where the criterion goes and in what stands
around the word.
"""

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

_SCORE = re.compile(r"<score>\s*(yes|no)\b", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_FIRST = re.compile(r"\s*(yes|no)\b", re.IGNORECASE)
_JUDGE = (
    "<guardian><no-think>As a judge agent, assess whether the provided text meets the given "
    "judging criteria using all available information, including conversations, documents, and "
    "tools. Provide your score immediately without explanation. Output empty <think>\n</think> "
    "tags followed by your score in <score></score> tags.\n\n### Criteria: {criterion}\n\n"
    "### Scoring Schema: If the last {role}'s text meets the criteria, return 'yes'; otherwise, "
    "return 'no'."
)
_NOT_SHOWN = "(The question is not shown.)"
LONGEST_VERDICT = 20  # tokens


class Dialect(StrEnum):
    """A generation of guards."""

    GRANITE_3 = "granite-guardian-3"  # 3.0 to 3.2: a bare Yes or No
    GRANITE_3_3 = "granite-guardian-3.3"  # <score> yes </score>
    GRANITE_4_1 = "granite-guardian-4.1"  # the criterion in words, in a turn of its own


def request_of(
    dialect: Dialect, *, model: str, criterion: str, text: str, is_answer: bool
) -> dict[str, Any]:
    """Return the body of a chat completion that asks for a verdict. criterion: one that the model
    knows by name, or from 4.1 on, in words. is_answer: a model wrote the text.
    """
    messages = [{"role": "user", "content": text}]
    if is_answer:  # a guard of answers wants a question before them
        question = {"role": "user", "content": _NOT_SHOWN}
        messages = [question, {"role": "assistant", "content": text}]
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "max_tokens": LONGEST_VERDICT,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 5,
    }
    if dialect is Dialect.GRANITE_3:
        body["chat_template_kwargs"] = {"guardian_config": {"risk_name": criterion}}
    elif dialect is Dialect.GRANITE_3_3:
        config = {"criteria_id": criterion}
        body["chat_template_kwargs"] = {"guardian_config": config, "think": False}
    else:
        role = "assistant" if is_answer else "user"
        block = _JUDGE.format(criterion=criterion, role=role)
        messages.append({"role": "user", "content": block})
    return body


def verdict_of(dialect: Dialect, choice: Mapping[str, Any]) -> float | None:
    """Return how likely the risk is, 0 to 1, by a completion's first choice; 0 or 1 where it comes
    without probabilities. None: it says neither yes nor no.
    """
    said = str((choice.get("message") or {}).get("content") or "")
    if dialect is Dialect.GRANITE_3:
        found = _FIRST.match(said)
    else:
        said = _THOUGHT.sub("", said)
        found = _SCORE.search(said)
    if not found:
        return None
    told = ((choice.get("logprobs") or {}).get("content")) or []
    likely = _yes_of(told)
    return likely if likely is not None else float(found.group(1).lower() == "yes")


def _yes_of(steps: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the share of "yes" among the tokens that say yes or no, over all steps, as the makers
    reckon it.
    """
    mass = {"yes": 0.0, "no": 0.0}
    for step in steps:
        for token in step.get("top_logprobs") or ():
            word = str(token.get("token", "")).strip().lower()
            if word in mass:
                mass[word] += math.exp(float(token.get("logprob", -math.inf)))
    total = sum(mass.values())
    return mass["yes"] / total if total > 0 else None
