"""Reads a model folder as an engine does: tokenizer, chat template, limits; the weights are
checked, not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer


class BadModel(Exception):
    """The folder cannot be served; the message names the file and says why."""


@dataclass(frozen=True)
class Model:
    """A folder that can be served."""

    tokenizer: Tokenizer
    chat_template: str
    context_length: int
    server_max_tokens: int | None  # generation_config.json: no answer of this server is longer
    bos_token: str
    eos_token: str

    def render(self, messages: Sequence[dict[str, Any]]) -> str:
        """Return the prompt of a conversation. Raises ValueError where the template refuses it."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        try:
            template = environment.from_string(self.chat_template)
            return template.render(
                messages=messages,
                add_generation_prompt=True,
                bos_token=self.bos_token,
                eos_token=self.eos_token,
            )
        except TemplateError as error:
            raise ValueError(f"the chat template refused the messages: {error}") from error

    def encode(self, text: str) -> list[int]:
        """Return the text's token ids."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, control tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


def load_model(folder: Path, max_model_len: int | None = None) -> Model:
    """Read a model folder. Raises BadModel where a real engine could not serve it either."""
    config = _json(folder / "config.json")
    generation = (
        _json(folder / "generation_config.json")
        if (folder / "generation_config.json").exists()
        else {}
    )
    settings = _json(folder / "tokenizer_config.json")
    _check_weights(folder)
    native = int(config.get("max_position_embeddings", 2048))
    limit = generation.get("max_new_tokens")
    return Model(
        tokenizer=_tokenizer(folder / "tokenizer.json"),
        chat_template=str(settings.get("chat_template", "")),
        context_length=min(native, max_model_len or native),
        server_max_tokens=int(limit) if limit else None,
        bos_token=_token(settings.get("bos_token")),
        eos_token=_token(settings.get("eos_token")),
    )


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise BadModel(f"{path.name}: {error}") from error


def _check_weights(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadModel("no .safetensors file in the model folder")
    for file in files:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            try:
                header = json.loads(stream.read(min(length, 100_000_000)))
                end = max(
                    (
                        tensor["data_offsets"][1]
                        for key, tensor in header.items()
                        if key != "__metadata__"
                    ),
                    default=0,
                )
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BadModel(f"{file.name}: the header is not safetensors") from error
        if file.stat().st_size != 8 + length + end:
            raise BadModel(f"{file.name}: the file is not as long as its header says")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadModel(f"{path.name} is missing") from error
    except ValueError as error:
        raise BadModel(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadModel(f"{path.name} is not a JSON object")
    return content


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


def _refuse(message: str) -> None:
    raise TemplateError(message)
