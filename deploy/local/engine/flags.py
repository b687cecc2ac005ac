"""The command line of the pinned vLLM: which flags exist, how many values each takes, and how to take some away.

The list beside this file holds names and arities as vLLM's own parser gives them (`python -m
deploy.local.engine.flags`, in the serving environment, prints it); a test compares the two where vLLM is installed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

VLLM_VERSION = "0.32.0"
ARITY = {None: "1", 0: "0", "+": "+", "*": "+", "?": "?"}


@cache
def known_flags() -> dict[str, str]:
    """Return each flag of the pinned vLLM with its arity: 0, 1, + (one or more) or ? (none or one)."""
    text = (Path(__file__).parent / f"vllm-{VLLM_VERSION}.flags").read_text()
    return dict(line.split() for line in text.splitlines())


def split_flags(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each flag under its plain name together with the words it was written with.

    `--max_model_len=4` and `--max-model-len 4` are one flag, as in vLLM; words that belong to no flag come under "".
    """
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if not word.startswith("--"):
            yield "", [word]
            position += 1
            continue
        name = plain_name(word)
        end = position + 1
        if "=" not in word:
            end += _values(known_flags().get(name, "?"), arguments[end:])
        yield name, list(arguments[position:end])
        position = end


def plain_name(word: str) -> str:
    """Return a flag's name without its value, its underscores and its dotted part."""
    return "--" + word[2:].partition("=")[0].partition(".")[0].replace("_", "-")


def unknown_flags(arguments: Sequence[str]) -> list[str]:
    """Return the words that vLLM would not take."""
    known = known_flags()
    return [word for name, words in split_flags(arguments) if name not in known for word in words]


def without_flags(arguments: Sequence[str], names: Collection[str]) -> list[str]:
    """Return the arguments without some flags and their values."""
    return [word for name, words in split_flags(arguments) if name not in names for word in words]


def flag_value(arguments: Sequence[str], name: str) -> str | None:
    """Return the last value given to a flag, or None where it is absent."""
    value = None
    for found, words in split_flags(arguments):
        if found == name:
            value = words[0].partition("=")[2] if "=" in words[0] else " ".join(words[1:])
    return value


def _values(arity: str, following: Sequence[str]) -> int:
    values = 0
    while values < len(following) and not following[values].startswith("--"):
        values += 1
    return {"0": 0, "1": min(1, len(following)), "?": min(1, values), "+": values}[arity]


def installed_flags() -> list[str]:
    """Return the lines of the list as the vLLM of this environment gives them."""
    arguments = importlib.import_module("vllm.entrypoints.launchers.cli_args")
    utilities = importlib.import_module("vllm.utils.argparse_utils")
    parser: argparse.ArgumentParser = arguments.make_arg_parser(utilities.FlexibleArgumentParser())
    lines = {f"{name} {ARITY[action.nargs]}" for action in parser._actions for name in action.option_strings}
    return sorted(lines)


if __name__ == "__main__":
    sys.stdout.write("\n".join(installed_flags()) + "\n")
