"""Configurations of several families, written by hand, and headers of weights that fit them. No
weights are anywhere.
"""

import json
from math import prod

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256,
    "max_position_embeddings": 131072, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    "rms_norm_eps": 1e-05,
}  # fmt: skip
LLAMA_70B = LLAMA_8B | {
    "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
    "num_attention_heads": 64,
}  # fmt: skip
QWEN_7B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 3584,
    "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
    "sliding_window": 131072, "use_sliding_window": False, "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}  # fmt: skip
MISTRAL_7B = {
    "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768,
    "sliding_window": 4096, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip
MIXTRAL_8X7B = {
    "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768,
    "num_local_experts": 8, "num_experts_per_tok": 2, "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}  # fmt: skip
LLAMA_8B_FP8 = LLAMA_8B | {
    "quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic"}
}
UNKNOWN = LLAMA_8B | {"architectures": ["NobodyKnowsThisForCausalLM"], "model_type": "nobody"}


def header(config: dict, *, dtype: str = "BF16", layers: str = "", tied: bool = False) -> bytes:
    """Return the safetensors header of a dense model of this configuration. layers: the dtype of
    its layers where that is another one, with a scale beside each weight.
    """
    hidden, ffn, vocab = (
        config[name] for name in ("hidden_size", "intermediate_size", "vocab_size")
    )
    size = config.get("head_dim") or hidden // config["num_attention_heads"]
    kv = config["num_key_value_heads"] * size
    shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    if not tied:
        shapes["lm_head.weight"] = [vocab, hidden]
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        shapes |= {
            f"{layer}.self_attn.q_proj.weight": [config["num_attention_heads"] * size, hidden],
            f"{layer}.self_attn.k_proj.weight": [kv, hidden],
            f"{layer}.self_attn.v_proj.weight": [kv, hidden],
            f"{layer}.self_attn.o_proj.weight": [hidden, hidden],
            f"{layer}.mlp.gate_proj.weight": [ffn, hidden],
            f"{layer}.mlp.up_proj.weight": [ffn, hidden],
            f"{layer}.mlp.down_proj.weight": [hidden, ffn],
            f"{layer}.input_layernorm.weight": [hidden],
            f"{layer}.post_attention_layernorm.weight": [hidden],
        }
    return tensors(shapes, dtype, layers)


def tensors(shapes: dict[str, list[int]], dtype: str, layers: str = "") -> bytes:
    """Return a header with tensors of these shapes, one after the other."""
    widths = {"BF16": 2, "F16": 2, "F32": 4, "F8_E4M3": 1, "I32": 4, "U8": 1}
    found, at = {}, 0
    for name, shape in shapes.items():
        is_linear = layers and "_proj" in name
        kind = layers if is_linear else dtype
        size = prod(shape) * widths[kind]
        found[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
        if is_linear:
            found[f"{name}_scale"] = {"dtype": "F32", "shape": [], "data_offsets": [at, at + 4]}
            at += 4
    return json.dumps(found).encode()
