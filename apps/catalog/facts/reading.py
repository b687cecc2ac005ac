"""What a version's own files say of it: shape, parameters, context, chat template. Pure: bytes in,
facts out.

Nothing here is what somebody typed. A figure that no file states, or that a file states wrongly, is
None: not known, and never 0. What was wrong is said in `problems`. Nothing that a hostile file says
raises: its text is read with a limit, its numbers with bounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.catalog.facts import documents, quantizations, tensors
from apps.catalog.facts.documents import number, text
from apps.catalog.facts.tensors import Weights
from apps.common.canonical import digest_of, digest_of_bytes

READER = 1  # counts up when this module learns to read more: then every version is read again
MAX_CHAT_TEMPLATE = 256 * 1024  # bytes
CARDS = ("readme.md", "model_card.md", "model-card.md")
LICENSES = ("license", "license.txt", "license.md")
TEXTS = ("text_config", "llm_config", "language_config")  # where a multimodal model says its text's
# names that families give to the same figure, the usual one first
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_head")
KV_HEADS = ("num_key_value_heads",)
HIDDEN = ("hidden_size", "n_embd", "d_model")
CONTEXT = ("max_position_embeddings", "n_positions", "max_sequence_length")
EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts")
EXPERTS_USED = ("num_experts_per_tok", "top_k_experts")


@dataclass(frozen=True)
class Sources:
    """Beginnings of a version's files as they are stored. documents: file name → bytes of small
    files. headers: file name of weights → its safetensors header. names: of every file.
    """

    names: Sequence[str]
    documents: Mapping[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What the files say. Sizes: hidden_size and head_size in numbers; weight_bytes in bytes;
    context, sliding_window in tokens. None, or "" of words: not known. config: config.json as it
    is, without what names its classes. quantization: "" where the files name none.
    """

    architecture: str = ""
    model_type: str = ""
    parameters: int | None = None
    weight_bytes: int | None = None
    dtype: str = ""
    dtypes: Mapping[str, int] = field(default_factory=dict)
    quantization: str = ""
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None
    hidden_size: int | None = None
    context: int | None = None
    sliding_window: int | None = None
    vocabulary: int | None = None
    experts: int | None = None
    experts_used: int | None = None
    chat_template: str = ""
    chat_template_digest: str = ""
    model_card: str = ""
    license_file: str = ""
    license_stated: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """Return what names these facts: equal facts have one digest, "sha256:<hex>"."""
        return digest_of(asdict(self))


def read(sources: Sources) -> Facts:
    """Return what the files say."""
    problems: list[str] = []
    config = documents.json_object("config.json", sources.documents.get("config.json"), problems)
    inner = _text_config(config)
    weights = tensors.count(sources.headers, quantizations.bits(config), problems)
    template = _chat_template(sources, problems)
    return Facts(
        architecture=_architecture(config),
        model_type=text(config.get("model_type")),
        **_shape(inner, problems),
        **_weights(weights),
        quantization=quantizations.words(config, sources.documents),
        chat_template=template,
        chat_template_digest=digest_of_bytes(template.encode()) if template else "",
        model_card=first_named(sources.names, CARDS),
        license_file=first_named(sources.names, LICENSES),
        license_stated=_license_of_card(sources),
        config=_shortened(config),
        problems=tuple(problems),
    )


def _weights(found: Weights) -> dict[str, Any]:
    return {
        "parameters": found.parameters,
        "weight_bytes": found.weight_bytes,
        "dtype": found.dtype,
        "dtypes": found.dtypes,
    }


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part that describes the text model: of a multimodal one, what is nested."""
    for name in TEXTS:
        if isinstance(config.get(name), dict):
            return {**config, **config[name]}
    return config


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    return text(named[0]) if isinstance(named, list) and named else ""


def _shape(config: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    hidden, heads = number(config, HIDDEN, problems), number(config, HEADS, problems)
    size = number(config, ("head_dim", "attention_head_dim"), problems)
    if size is None and hidden and heads and hidden % heads == 0:
        size = hidden // heads  # every engine's own rule
    kv_heads = number(config, KV_HEADS, problems)
    if kv_heads and heads and heads % kv_heads:
        problems.append(f"config.json: {heads} heads cannot share {kv_heads} KV heads.")
        kv_heads = None
    return {
        "layers": number(config, LAYERS, problems),
        "heads": heads,
        "kv_heads": kv_heads,
        "head_size": size,
        "hidden_size": hidden,
        "context": number(config, CONTEXT, problems),
        "sliding_window": _sliding_window(config, problems),
        "vocabulary": number(config, ("vocab_size",), problems),
        "experts": number(config, EXPERTS, problems, least=2),
        "experts_used": number(config, EXPERTS_USED, problems),
    }


def _sliding_window(config: Mapping[str, Any], problems: list[str]) -> int | None:
    if config.get("use_sliding_window") is False:
        return None
    return number(config, ("sliding_window",), problems)


def _shortened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without its long lists of labels, which say nothing of its size."""
    return {key: value for key, value in config.items() if key not in ("id2label", "label2id")}


def first_named(names: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the first file of these names, whatever its case; "" where there is none."""
    by_name = {name.lower(): name for name in names}
    return next((by_name[name] for name in wanted if name in by_name), "")


# -- Chat template, license ------------------------------------------------------------------------


def _chat_template(sources: Sources, problems: list[str]) -> str:
    """Return the template that the engine would use; "" where no file has one."""
    alone = sources.documents.get("chat_template.jinja")
    if alone is not None:
        return documents.plain_text("chat_template.jinja", alone, MAX_CHAT_TEMPLATE, problems)
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = documents.json_object(name, sources.documents.get(name), problems)
        if template := _template_in(found.get("chat_template")):
            return documents.plain_text(name, template.encode(), MAX_CHAT_TEMPLATE, problems)
    return ""


def _template_in(value: Any) -> str:
    """Return the template itself, or of several the one that is called default."""
    if isinstance(value, str):
        return value
    named = {
        str(each.get("name")): each.get("template")
        for each in (value if isinstance(value, list) else [])
        if isinstance(each, dict)
    }
    return str(named.get("default") or "")


def _license_of_card(sources: Sources) -> str:
    """Return the license that the model card's head states; "" where it states none."""
    card = sources.documents.get(first_named(sources.names, CARDS), b"")
    lines = card.decode(errors="replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:80]:
        if line.strip() == "---":
            break
        key, colon, value = line.partition(":")
        if key == "license" and colon:
            return text(value.strip().strip("'\""))
    return ""
