"""What a model's facts mean for its size: bytes of weights and of KV cache, and how it can be
split. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from apps.catalog.facts.reading import TEXTS, Facts, Sources, read
from apps.common.canonical import canonical, digest_of

if TYPE_CHECKING:  # Django's models are not loaded where the library works
    from apps.catalog.facts.models import ModelFacts

# Families whose layers are another one's, so that its measurements hold but for what is named.
ALIKE = {"MistralForCausalLM": ("LlamaForCausalLM", "computed as a Llama of its shape")}
BYTES_PER_KV = {"bfloat16": 2, "fp8": 1}
# multi-head latent attention: one compressed vector a token instead of keys and values
LATENT = "kv_lora_rank"
# layers that look back no further than a window, or keep a state of one size instead
WINDOWED = ("sliding_window", "layer_types", "attention_chunk_size", "layers_block_type")


@dataclass(frozen=True)
class Shape:
    """What sizing needs to know of a model. None: not known. weight_bytes: of all its files; kv_*:
    of attention. config: what the library reads. digest: names the configuration.
    """

    architecture: str
    parameters: int | None
    weight_bytes: int | None
    layers: int | None
    heads: int | None
    kv_heads: int | None
    head_size: int | None
    context: int | None
    config: Mapping[str, Any]

    @classmethod
    def of(cls, facts: "Facts | ModelFacts") -> Self:
        """Return what facts say of it."""
        return cls(
            architecture=facts.architecture,
            parameters=facts.parameters,
            weight_bytes=facts.weight_bytes,
            layers=facts.layers,
            heads=facts.heads,
            kv_heads=facts.kv_heads,
            head_size=facts.head_size,
            context=facts.context,
            config=facts.config,
        )

    @property
    def digest(self) -> str:
        """Return what names the configuration: figures of speed depend on nothing else."""
        return digest_of(dict(self.config))

    @property
    def is_latent(self) -> bool:
        """Tell whether its KV cache is compressed, whose measurements are another engine's."""
        return any(place.get(LATENT) for place in self._places)

    @property
    def _places(self) -> list[Mapping[str, Any]]:
        """Return the configuration, and those in it that describe a text model."""
        inner = [self.config.get(name) for name in TEXTS]
        return [self.config, *(each for each in inner if isinstance(each, dict))]

    @property
    def is_windowed(self) -> bool:
        """Tell whether some layers keep less than the whole of a request, or that is not known."""
        return any(place.get(name) for place in self._places for name in WINDOWED)

    @property
    def has_experts(self) -> bool:
        """Tell whether it is a mixture of experts."""
        names = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts")
        return any(isinstance(self.config.get(name), int) and self.config[name] for name in names)

    @property
    def kv_kind(self) -> str:
        """Return in what numbers the engine keeps keys and values: those of the weights' 16 bits,
        but where the files say fp8. Quantized weights alone change nothing of it.
        """
        said = self.config.get("quantization_config")
        section = said if isinstance(said, dict) else {}
        scheme = section.get("kv_cache_scheme")
        names = [section.get("kv_cache_quant_algo"), section.get("kv_cache_dtype")]
        is_small = any(isinstance(name, str) and "fp8" in name.lower() for name in names)
        if isinstance(scheme, dict) and scheme.get("num_bits") == 8:
            is_small = True
        return "fp8" if is_small else "bfloat16"

    def kv_bytes(self, ways: int) -> int | None:
        """Return the bytes of one token's keys and values on one of `ways` GPUs; None where it is
        not known. Fewer KV heads than GPUs are kept more than once.
        """
        if self.is_latent or not (self.layers and self.kv_heads and self.head_size):
            return None
        heads = max(1, self.kv_heads // ways)
        return 2 * self.layers * heads * self.head_size * BYTES_PER_KV[self.kv_kind]

    def split_problem(self, ways: int) -> str:
        """Return why its layers cannot be split over `ways` GPUs; "" where they can."""
        if ways == 1:
            return ""
        if not self.heads:
            return "how many heads it has is not known, so it cannot be split"
        if self.heads % ways:
            return f"its {self.heads} heads cannot be shared by {ways} GPUs"
        if self.kv_heads and self.kv_heads % ways and ways % self.kv_heads:
            return f"its {self.kv_heads} KV heads cannot be shared by {ways} GPUs"
        return ""


def of_config(config: Mapping[str, Any]) -> Shape:
    """Return what a configuration alone says: nothing of the weights."""
    content = canonical(dict(config))
    return Shape.of(read(Sources(["config.json"], {"config.json": content})))
