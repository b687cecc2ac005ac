"""Which calls which rules look at: by the gateway's addresses, and by model. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.catalog.models import DataClass
from apps.gateway.gate.fields import WRITING
from apps.gateway.guard.rules import Phase, Rule, RuleSet
from apps.metering.access_log import OPERATIONS
from apps.metering.models import Operation

NOT_LOOKED_AT = (
    "Names and street addresses: telling those takes a language model that does not ship. A rule "
    "of type Presidio asks an analyzer of your own.",
    "Pictures, sounds and files in a prompt: no rule reads what is in them.",
    "Tokens in the place of text: such a call is refused.",
    "Injected instructions in languages other than English, but for the plainest in Spanish, "
    "French, German, Italian, Portuguese, Russian, Chinese and Japanese; and those in words that "
    "no rule knows. A rule of type Classifier or ChatGuard asks a guard model that you serve.",
    "An instruction that one call prepares and another one completes.",
)
NO_ANSWER_TEXT = "numbers only: nothing to read"


@dataclass(frozen=True)
class Endpoint:
    """One way to call. prompt, answer: the rules that look, in their order; no_answer: why none
    looks at the answer, "" where rules do.
    """

    path: str
    way: str
    prompt: tuple[Rule, ...]
    answer: tuple[Rule, ...]
    no_answer: str = ""


def endpoints(rules: RuleSet) -> list[Endpoint]:
    """Return each way to call with the rules that look at it."""
    prompt, answer = _of(rules, Phase.REQUEST), _of(rules, Phase.ANSWER)
    found = []
    for path, operation in OPERATIONS.items():
        if operation in WRITING:
            found += [
                Endpoint(path, "whole answer", prompt, answer),
                Endpoint(path, "streamed", prompt, answer),
            ]
        elif operation == Operation.EMBEDDING:
            found.append(Endpoint(path, "whole answer", prompt, (), NO_ANSWER_TEXT))
        else:
            found.append(Endpoint(path, "whole answer", prompt, answer))
    return found


def _of(rules: RuleSet, phase: Phase) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules.rules if rule.phase == phase)


@dataclass(frozen=True)
class Covered:
    """A model's calls: the rules that look at every one of them, and those for some teams or for
    grants of a lower data class alone.
    """

    model: str
    data_class: str
    every: tuple[Rule, ...]
    some: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """Return the model's data class for people."""
        return str(DataClass(self.data_class).label)


def models(rules: RuleSet, classes: Mapping[str, str]) -> list[Covered]:
    """Return what looks at each model's calls. classes: model → its data class."""
    return [
        Covered(name, data_class, *_split(rules.rules, name, data_class))
        for name, data_class in classes.items()
    ]


def _split(
    rules: Iterable[Rule], model: str, data_class: str
) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Return the rules for every call of a model, and those for some of them."""
    order = [str(one) for one in DataClass.values]
    possible = set(order[: order.index(data_class) + 1])  # a grant's may be lower
    every: list[Rule] = []
    some: list[Rule] = []
    for rule in rules:
        named = set(rule.scope.data_classes) or possible
        if rule.scope.models and model not in rule.scope.models or not named & possible:
            continue
        is_every = not rule.scope.teams and possible <= named
        (every if is_every else some).append(rule)
    return tuple(every), tuple(some)
