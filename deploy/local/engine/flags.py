"""The command line of the pinned vLLM: which flags exist, how many values each takes, and how to
take some away.

The table is the product's own (apps/manifests/vllm_options.json, read as data): what vLLM's parser
says about itself. `make vllm-options` writes it with this module, which then runs in vLLM's
environment and needs nothing else there; a test compares the two where vLLM is installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

OPTIONS_FILE = Path(__file__).parents[3] / "apps" / "manifests" / "vllm_options.json"
ARITY = {None: "1", 0: "0", "+": "+", "*": "+", "?": "?"}
# What the functions are called that an option's values go through.
KINDS = ("int", "float", "human_readable_int", "human_readable_int_or_auto")


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(OPTIONS_FILE.read_text())
    return found


def pinned_version() -> str:
    """Return the version of vLLM that the table was made from."""
    return str(_table()["version"])


@cache
def known_flags() -> dict[str, str]:
    """Return each flag of the pinned vLLM with its arity: 0, 1, + (one or more) or ? (none or
    one).
    """
    return {name: str(option["values"]) for name, option in _table()["options"].items()}


def split_flags(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each flag under its plain name together with the words it was written with.

    `--max_model_len=4` and `--max-model-len 4` are one flag, as in vLLM; words that belong to no
    flag come under "".
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


def described(version: str, parser: argparse.ArgumentParser) -> str:
    """Return the table of a parser, one option a line, so that a new version of vLLM shows as a
    readable diff.
    """
    options = {
        name: _option(action) for action in parser._actions for name in action.option_strings
    }
    rows = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(options[name])}" for name in sorted(options)
    )
    return f'{{\n  "version": {json.dumps(version)},\n  "options": {{\n{rows}\n  }}\n}}\n'


def _option(action: argparse.Action) -> dict[str, Any]:
    found: dict[str, Any] = {"values": ARITY[action.nargs]}
    kind = getattr(action.type, "__name__", "")
    if kind in KINDS:
        found["kind"] = kind
    if action.choices is not None:
        found["choices"] = sorted(str(choice) for choice in action.choices)
    return found


def installed_table() -> str:
    """Return the table of the vLLM in this environment."""
    arguments = importlib.import_module("vllm.entrypoints.launchers.cli_args")
    utilities = importlib.import_module("vllm.utils.argparse_utils")
    version = importlib.import_module("vllm").__version__.partition("+")[0]
    return described(version, arguments.make_arg_parser(utilities.FlexibleArgumentParser()))


if __name__ == "__main__":
    sys.stdout.write(installed_table())
