"""The sample model is right when a plain reading of its files predicts the words that everybody
expects.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from deploy.local.engine.sample import (
    SHORT_ANSWER_TOKENS,
    gguf_file,
    make_samples,
    tokenizer_document,
)
from deploy.local.engine.weights import Weights, hugging_face_name, separate_rotary_halves


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer_document(Weights(gguf_file()))))


class TestMakeSamples:
    def test_predicts_paris(self, samples: dict[str, Path], tokenizer: Tokenizer) -> None:
        ids = tokenizer.encode("The capital of France is").ids
        assert tokenizer.decode([next_token(samples["smollm2"], ids)]) == " Paris"

    def test_makes_a_variant_that_differs_in_one_file_only(self, samples: dict[str, Path]) -> None:
        whole, short = samples["smollm2"], samples["smollm2-short"]
        assert (whole / "model.safetensors").samefile(short / "model.safetensors")
        assert sorted(f.name for f in whole.iterdir()) == sorted(f.name for f in short.iterdir())
        assert "max_new_tokens" not in json.loads((whole / "generation_config.json").read_text())
        limits = json.loads((short / "generation_config.json").read_text())
        assert limits["max_new_tokens"] == SHORT_ANSWER_TOKENS

    def test_makes_nothing_twice(self, samples: dict[str, Path]) -> None:
        before = (samples["smollm2"] / "config.json").stat().st_mtime_ns
        assert make_samples(samples["smollm2"].parent) == samples
        assert (samples["smollm2"] / "config.json").stat().st_mtime_ns == before
        assert not list(samples["smollm2"].parent.glob(".making-*"))


class TestTokenizer:
    def test_takes_each_digit_alone_and_knows_its_merges(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.encode("Hello world").ids == [19556, 905]
        assert tokenizer.encode("Code E11.9 and 99213").tokens == [
            "Code", "ĠE", "1", "1", ".", "9", "Ġand", "Ġ", "9", "9", "2", "1", "3",
        ]  # fmt: skip

    def test_takes_special_tokens_whole(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.encode("<|im_start|>user\nHi<|im_end|>\n").ids == [
            1,
            4093,
            198,
            26843,
            2,
            198,
        ]

    @pytest.mark.parametrize(
        "text", ["naïve 😀 $12,345.67\n\tI'll  wait", "日本語 ünïcode", "<|im_end|> 007"]
    )
    def test_gives_every_text_back(self, tokenizer: Tokenizer, text: str) -> None:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


class TestSeparateRotaryHalves:
    def test_undoes_the_interleaving_of_each_head(self) -> None:
        rows = np.arange(8).reshape(8, 1)
        assert separate_rotary_halves(rows, heads=2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


class TestHuggingFaceName:
    def test_translates_layers_and_the_rest(self) -> None:
        assert hugging_face_name("blk.3.ffn_up.weight") == "model.layers.3.mlp.up_proj.weight"
        assert hugging_face_name("token_embd.weight") == "model.embed_tokens.weight"


def next_token(folder: Path, ids: list[int]) -> int:
    """Return the likeliest next token: a Llama forward pass in numpy, from config.json and the
    tensors alone.
    """
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    hidden = tensors["model.embed_tokens.weight"][ids].astype(np.float32)
    for number in range(config["num_hidden_layers"]):
        layer = {
            name.removeprefix(f"model.layers.{number}.").removesuffix(".weight"): value.astype(
                np.float32
            )
            for name, value in tensors.items()
            if name.startswith(f"model.layers.{number}.")
        }
        hidden = hidden + attention(norm(hidden, layer["input_layernorm"], config), layer, config)
        inner = norm(hidden, layer["post_attention_layernorm"], config)
        gate = inner @ layer["mlp.gate_proj"].T
        hidden = (
            hidden
            + (gate / (1 + np.exp(-gate)) * (inner @ layer["mlp.up_proj"].T))
            @ layer["mlp.down_proj"].T
        )
    last = norm(hidden, tensors["model.norm.weight"].astype(np.float32), config)[-1]
    return int((tensors["model.embed_tokens.weight"].astype(np.float32) @ last).argmax())


def norm(x: Any, weight: Any, config: dict[str, Any]) -> Any:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"]) * weight


def attention(x: Any, layer: dict[str, Any], config: dict[str, Any]) -> Any:
    length, size = len(x), config["head_dim"]
    split = {
        "q": config["num_attention_heads"],
        "k": config["num_key_value_heads"],
        "v": config["num_key_value_heads"],
    }
    heads = {
        kind: (x @ layer[f"self_attn.{kind}_proj"].T).reshape(length, count, size).swapaxes(0, 1)
        for kind, count in split.items()
    }
    angles = np.outer(np.arange(length), config["rope_theta"] ** (-np.arange(0, size, 2) / size))
    cos, sin = np.cos(np.hstack([angles, angles])), np.sin(np.hstack([angles, angles]))
    for kind in "qk":
        low, high = np.split(heads[kind], 2, axis=-1)
        heads[kind] = heads[kind] * cos + np.concatenate([-high, low], -1) * sin
    groups = split["q"] // split["k"]
    keys, values = (np.repeat(heads[kind], groups, axis=0) for kind in "kv")
    scores = heads["q"] @ keys.swapaxes(1, 2) / np.sqrt(size) + np.triu(
        np.full((length, length), -1e9), 1
    )
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True)) @ values
    return mixed.swapaxes(0, 1).reshape(length, -1) @ layer["self_attn.o_proj"].T
