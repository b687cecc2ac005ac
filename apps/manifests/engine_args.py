"""Checks vLLM's arguments before they are committed, against the options of the pinned vLLM's own
parser. Pure.

vllm_options.json is what that parser says about itself (`make vllm-options` writes it in vLLM's
environment, `make test-vllm` compares them): each option with how many values it takes (0, 1, + one
or more, ? none or one) and, where its parser says so, their kind and the values allowed. vLLM
itself would only refuse them after a node was bought and the weights were loaded.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from apps.manifests.text import CannotRender

OPTIONS_FILE = Path(__file__).with_name("vllm_options.json")
_KINDS = {
    "int": (re.compile(r"-?\d+"), "a whole number"),
    "human_readable_int": (
        re.compile(r"-?\d+|\d+(\.\d+)?[kmgtKMGT]"),
        "a whole number, 8192 or 8k",
    ),
    "human_readable_int_or_auto": (
        re.compile(r"auto|-?\d+|\d+(\.\d+)?[kmgtKMGT]"),
        "a whole number or auto",
    ),
    "float": (re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"), "a number"),
}


class BadArguments(CannotRender):
    """The engine would refuse its arguments. The text names each problem."""


@dataclass(frozen=True)
class Option:
    """One option of the parser. values: 0, 1, + or ?. kind: "" where the parser does not say.
    choices: () for any.
    """

    values: str
    kind: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parser:
    """The options of one version of vLLM."""

    version: str
    options: Mapping[str, Option] = field(default_factory=dict)


@cache
def pinned() -> Parser:
    """Return the parser of the pinned vLLM."""
    table = json.loads(OPTIONS_FILE.read_text())
    options = {
        name: Option(each["values"], each.get("kind", ""), tuple(each.get("choices", ())))
        for name, each in table["options"].items()
    }
    return Parser(table["version"], options)


def checked(arguments: Sequence[str]) -> list[str]:
    """Return the arguments when the pinned vLLM takes them; raise BadArguments otherwise."""
    problems = check_arguments(arguments, pinned())
    if problems:
        raise BadArguments(
            f"vLLM {pinned().version} would refuse its arguments: {' '.join(problems)}"
        )
    return list(arguments)


def check_arguments(arguments: Sequence[str], parser: Parser) -> list[str]:
    """Return what the parser would refuse, a sentence each; [] for nothing.

    As in vLLM, `--max_model_len 4` and `--max-model-len=4` are one option, and
    `--hf-overrides.key=1` belongs to `--hf-overrides`. A short form of an option's name is refused:
    it may mean another one in the next version.
    """
    return [
        problem for word, values in _split(arguments) for problem in _problems(word, values, parser)
    ]


def _split(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each option's word with the values that follow it; values before any option come under
    "".
    """
    word, values = "", list[str]()
    for argument in arguments:
        if _is_option(argument):
            if word or values:
                yield word, values
            word, equals, value = argument.partition("=")
            values = [value] if equals else []
        else:
            values.append(argument)
    if word or values:
        yield word, values


def _is_option(argument: str) -> bool:
    return argument.startswith("-") and not re.match(r"-[\d.]", argument)


def _problems(word: str, values: list[str], parser: Parser) -> Iterator[str]:
    if not word:
        yield f"{' '.join(values)!r} belongs to no option."
        return
    name = "--" + word[2:].partition(".")[0].replace("_", "-") if word.startswith("--") else word
    option = parser.options.get(name)
    if option is None:
        yield f"there is no option {name}."
        return
    yield from _wrong_number(name, option, values)
    if "." not in word:  # a dotted key has a type of its own, which no table knows
        for value in values:
            yield from _wrong_value(name, option, value)


def _wrong_number(name: str, option: Option, values: list[str]) -> Iterator[str]:
    if option.values in ("1", "+") and (not values or values == [""]):
        yield f"{name} needs a value."
    elif option.values == "0" and values:
        yield f"{name} takes no value, and was given {values[0]!r}."
    elif option.values in ("1", "?") and len(values) > 1:
        yield f"{name} takes one value; {values[1]!r} belongs to no option."


def _wrong_value(name: str, option: Option, value: str) -> Iterator[str]:
    if option.choices and value and value not in option.choices:
        yield f"{name} is one of {', '.join(option.choices)}, not {value!r}."
    elif option.kind in _KINDS and value and not _KINDS[option.kind][0].fullmatch(value):
        yield f"{name} takes {_KINDS[option.kind][1]}, not {value!r}."
