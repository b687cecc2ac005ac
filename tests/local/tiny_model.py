"""A model folder of a few kilobytes that an engine can read: byte-level tokenizer, chat template,
one tensor.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"


def make_tiny_model(
    folder: Path, *, generation: dict[str, object] | None = None, context_length: int = 2048
) -> Path:
    """Write the folder: every byte is one token."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={text: number for number, text in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    write = {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "max_position_embeddings": context_length,
        },
        "generation_config.json": generation or {},
        "tokenizer_config.json": {
            "chat_template": TEMPLATE,
            "bos_token": "<s>",
            "eos_token": "</s>",
        },
    }
    for name, content in write.items():
        (folder / name).write_text(json.dumps(content))
    save_file({"one": np.zeros((2, 2), np.float16)}, folder / "model.safetensors")
    return folder
