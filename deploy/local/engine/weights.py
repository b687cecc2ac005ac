"""Turns the llama tensors of a GGUF file into the tensors and settings of a Hugging Face folder.

GGUF keeps llama's own names and stores the rows of the query and key projections interleaved for
llama.cpp's rotary embedding; Hugging Face's LlamaForCausalLM wants them in two halves. Numbers come
out as float16: the file was quantized to four and eight bits, so nothing that was in it is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

# GGUF's name of a tensor inside a block: Hugging Face's name of the same one inside a layer.
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class Weights:
    """One GGUF file of a llama model, read through a memory map."""

    def __init__(self, path: Path) -> None:
        self._reader = GGUFReader(path)
        # reading a vocabulary takes a noticeable time: once is enough
        self._values: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """Return one metadata value; raises KeyError where the file does not carry it."""
        if name not in self._values:
            self._values[name] = self._reader.fields[name].contents()
        return self._values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return one metadata value, or the default."""
        return self.value(name) if name in self._reader.fields else default

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float16]]]:
        """Yield each tensor under its Hugging Face name, as float16, one at a time."""
        query_heads = self.value("llama.attention.head_count")
        key_heads = self.get("llama.attention.head_count_kv", query_heads)
        for tensor in self._reader.tensors:
            rows = dequantize(tensor.data, tensor.tensor_type)
            if ".attn_q." in tensor.name:
                rows = separate_rotary_halves(rows, query_heads)
            elif ".attn_k." in tensor.name:
                rows = separate_rotary_halves(rows, key_heads)
            yield hugging_face_name(tensor.name), np.ascontiguousarray(rows, dtype=np.float16)

    def config(self, *, embeddings_tied: bool) -> dict[str, Any]:
        """Return config.json of a LlamaForCausalLM, from the file's own metadata."""
        heads = self.value("llama.attention.head_count")
        hidden = self.value("llama.embedding_length")
        return {
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": self.value("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.value("tokenizer.ggml.eos_token_id"),
            "head_dim": self.get("llama.rope.dimension_count", hidden // heads),
            "hidden_act": "silu",
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": self.value("llama.feed_forward_length"),
            "max_position_embeddings": self.value("llama.context_length"),
            "mlp_bias": False,
            "model_type": "llama",
            "num_attention_heads": heads,
            "num_hidden_layers": self.value("llama.block_count"),
            "num_key_value_heads": self.get("llama.attention.head_count_kv", heads),
            "pad_token_id": self.value("tokenizer.ggml.padding_token_id"),
            "rms_norm_eps": float(f"{self.value('llama.attention.layer_norm_rms_epsilon'):.6g}"),
            "rope_scaling": None,
            "rope_theta": self.value("llama.rope.freq_base"),
            "tie_word_embeddings": embeddings_tied,
            "torch_dtype": "float16",
            "use_cache": True,
            "vocab_size": self.value("llama.vocab_size"),
        }


def hugging_face_name(name: str) -> str:
    """Return Hugging Face's name of a GGUF tensor: `blk.3.attn_q.weight` →
    `model.layers.3.self_attn.q_proj.weight`.
    """
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.{parts[3]}"
    return f"{OUTER_NAMES[parts[0]]}.{parts[1]}"


def separate_rotary_halves(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Undo llama.cpp's interleaving: within each head, rows 0, 2, 4… come first, then rows 1, 3,
    5….

    rows: (heads * head size, columns) as stored in GGUF; the result has the same shape.
    """
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)
