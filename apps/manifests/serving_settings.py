"""With what a version is served: its share of a machine, replicas, its engine's arguments. Pure.

They are proposed with a version, kept as JSON and bound by its approval; `ServingSettings()` is
what a version gets for which nobody asked for more. `problems` refuses what no cluster or engine
would take; whether a NodePool can buy it is told where the pools are known (apps/capacity).

Engine arguments are an allow-list: those that tune the engine. What the portal writes by itself,
loads code or other files than the version's, opens a port or writes callers' text to a log is not
on it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import prod
from typing import Any, Self

from apps.common.counts import counted
from apps.manifests.engine_args import check_arguments, pinned
from apps.manifests.text import CannotRender

LARGEST_GPUS = 16  # that one machine has
LARGEST_REPLICAS = 100
LONGEST_DRAIN = 3600
LONGEST_PRE_STOP = 600
STOP_MARGIN = 15  # seconds in which an engine ends once nothing is left to answer
QUANTIZATIONS = ("bitsandbytes", "fp8")  # that vLLM makes of weights that are not quantized
PARALLEL = ("--pipeline-parallel-size", "--data-parallel-size")
TUNABLE = frozenset(
    {
        "--async-scheduling", "--no-async-scheduling", "--attention-backend", "--block-size",
        "--cpu-offload-gb", "--data-parallel-size",
        "--decode-context-parallel-size", "--disable-cascade-attn", "--disable-custom-all-reduce",
        "--dtype", "--enable-auto-tool-choice", "--enable-chunked-prefill",
        "--no-enable-chunked-prefill", "--enable-expert-parallel", "--enforce-eager",
        "--gpu-memory-utilization", "--kv-cache-dtype", "--kv-cache-memory-bytes",
        "--kv-offloading-backend", "--kv-offloading-size", "--limit-mm-per-prompt",
        "--logprobs-mode", "--long-prefill-token-threshold", "--lora-dtype",
        "--max-cudagraph-capture-size", "--max-logprobs", "--max-lora-rank", "--max-loras",
        "--max-num-batched-tokens", "--max-num-queued-reqs", "--max-num-queued-tokens",
        "--max-num-scheduled-tokens", "--max-num-seqs", "--optimization-level",
        "--override-generation-config", "--performance-mode", "--pipeline-parallel-size",
        "--prefix-caching-hash-algo", "--reasoning-parser", "--safetensors-load-strategy",
        "--seed", "--stream-interval", "--tool-call-parser",
    }
)  # fmt: skip
# what may change the answers that a version gives, as opposed to how fast or how many
ANSWERS = ("tensor_parallelism", "quantization", "adapter_of", "engine_args")
_CPU = re.compile(r"[1-9][0-9]{0,5}m?")
_MEMORY = re.compile(r"([1-9][0-9]{0,6})(Mi|Gi)")
_TYPE = re.compile(r"[a-z][a-z0-9-]{0,30}\.[a-z0-9-]{1,30}")
_VERSION = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?-v[1-9][0-9]*")
_MIB = {"Mi": 1, "Gi": 1024}
SHM = "/dev/shm"  # noqa: S108 (in the container)
MOST_TYPES = 20
MOST_ARGUMENTS = 40
LONGEST_VALUE = 400


class BadSettings(CannotRender):
    """These are not settings that a version can be served with; the text says why, for people."""


@dataclass(frozen=True)
class ServingSettings:
    """With what one version is served. Each figure is of one replica, but for the replicas.

    gpus: of one machine. tensor_parallelism: over how many of them each layer is split. cpu,
    memory, shm: as Kubernetes writes quantities ("3", "3500m"; "12Gi"); shm is /dev/shm, and part
    of memory. replicas_least, replicas_most: while it is called; one that sleeps has none else.
    concurrency_target: requests, running or waiting, for which one replica is enough.
    engine_args: option → value, "" for an option that takes none. drain_seconds: how long an engine
    that ends may go on answering; pre_stop_seconds: how long it takes calls still before that,
    while the gateway learns that it ends. prefix_caching: True is the engine's own default.
    quantization: "" as the files are. adapter_of: the name of the version whose adapter it is, or
    "". instance_types: () for any that fits.
    """

    gpus: int = 1
    tensor_parallelism: int = 1
    cpu: str = "3"
    memory: str = "12Gi"
    shm: str = "2Gi"
    replicas_least: int = 1
    replicas_most: int = 1
    concurrency_target: int = 12
    engine_args: Mapping[str, str] = field(default_factory=dict)
    drain_seconds: int = 0
    pre_stop_seconds: int = 0
    priority_scheduling: bool = False
    prefix_caching: bool = True
    quantization: str = ""
    adapter_of: str = ""
    instance_types: tuple[str, ...] = ()

    @property
    def cpu_millis(self) -> int:
        """Return the CPUs of a replica, in thousandths. Raises BadSettings for no quantity."""
        if not _CPU.fullmatch(self.cpu):
            raise BadSettings(f"{self.cpu!r} is no number of CPUs: write 3 or 3500m.")
        return int(self.cpu[:-1]) if self.cpu.endswith("m") else int(self.cpu) * 1000

    @property
    def memory_mib(self) -> int:
        """Return the memory of a replica in MiB. Raises BadSettings for no quantity."""
        return mib_of(self.memory)

    @property
    def shm_mib(self) -> int:
        """Return the size of /dev/shm in MiB. Raises BadSettings for no quantity."""
        return mib_of(self.shm)

    @property
    def scales(self) -> bool:
        """Tell whether demand changes the number of replicas that answer callers."""
        return self.replicas_least != self.replicas_most

    @property
    def stop_seconds(self) -> int | None:
        """Return how long a replica may take to end; None for what the cluster does by itself."""
        longest = self.pre_stop_seconds + self.drain_seconds
        return longest + STOP_MARGIN if longest else None

    def arguments(self) -> list[str]:
        """Return the engine's arguments that follow from these, in an order of their own."""
        found = [f"--tensor-parallel-size={self.tensor_parallelism}"]
        if self.quantization:
            found.append(f"--quantization={self.quantization}")
        if self.priority_scheduling:
            found.append("--scheduling-policy=priority")
        if not self.prefix_caching:
            found.append("--no-enable-prefix-caching")
        if self.drain_seconds:
            found.append(f"--shutdown-timeout={self.drain_seconds}")
        given = sorted(self.engine_args.items())
        return found + [f"{name}={value}" if value else name for name, value in given]

    def as_json(self) -> dict[str, Any]:
        """Return them as they are kept: plain JSON, every field, whose canonical text
        (common/canonical.py) is the same for the same settings.
        """
        return asdict(self) | {
            "engine_args": dict(self.engine_args),
            "instance_types": list(self.instance_types),
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the settings that a document says; what it leaves out is as `ServingSettings()`
        has it, so {} is that. Raises BadSettings for what is no document of these.
        """
        kinds = {each.name: type(getattr(cls(), each.name)) for each in fields(cls)}
        unknown = sorted(set(document) - set(kinds))
        if unknown:
            raise BadSettings(f"There is no serving setting {unknown[0]!r}.")
        found: dict[str, Any] = {
            name: _read(name, kinds[name], value) for name, value in document.items()
        }
        return cls(**found)

    def problems(self, *, sleeps: bool = False) -> list[str]:
        """Return why a version cannot be served with these, a sentence each; [] where it can.
        sleeps: no replica of it runs while nobody calls.
        """
        return [
            *self._of_size(),
            *self._of_replicas(sleeps),
            *self._of_machines(),
            *self._of_arguments(),
        ]

    def _of_size(self) -> Iterator[str]:
        for label, name in (("CPU", "cpu_millis"), ("Memory", "memory_mib"), (SHM, "shm_mib")):
            try:
                getattr(self, name)
            except BadSettings as error:
                yield f"{label}: {error}"
        if not 1 <= self.gpus <= LARGEST_GPUS:
            yield f"A replica has 1 to {LARGEST_GPUS} GPUs, all of one machine."
        sizes = _MEMORY.fullmatch(self.memory) and _MEMORY.fullmatch(self.shm)
        if sizes and self.shm_mib >= self.memory_mib:
            yield f"{SHM} is part of the memory: {self.shm} leaves nothing of {self.memory}."

    def _of_replicas(self, sleeps: bool) -> Iterator[str]:
        if not 1 <= self.replicas_least <= self.replicas_most <= LARGEST_REPLICAS:
            yield f"Replicas are at least 1, at most {LARGEST_REPLICAS}, and the least comes first."
        elif sleeps and self.replicas_least != 1:
            yield "A version that sleeps wakes with one replica: its least is 1."
        if not 1 <= self.concurrency_target <= 10_000:
            yield "One replica is enough for 1 to 10,000 requests at once."
        if not 0 <= self.drain_seconds <= LONGEST_DRAIN:
            yield f"An engine that ends drains for 0 to {LONGEST_DRAIN:,} seconds."
        if not 0 <= self.pre_stop_seconds <= LONGEST_PRE_STOP:
            yield f"It takes calls for 0 to {LONGEST_PRE_STOP} seconds before that."

    def _of_machines(self) -> Iterator[str]:
        if len(self.instance_types) > MOST_TYPES:
            yield f"Name at most {MOST_TYPES} instance types."
        if len(set(self.instance_types)) != len(self.instance_types):
            yield "An instance type is named twice."
        for name in self.instance_types:
            if not _TYPE.fullmatch(name):
                yield f"{name!r:.60} is no instance type: write one such as g6e.12xlarge."
        if self.adapter_of and not _VERSION.fullmatch(self.adapter_of):
            yield f"{self.adapter_of!r:.80} names no version: write <model>-v<number>."
        elif self.adapter_of:
            yield (
                "An adapter cannot be served beside its base here yet: publish the base's weights "
                "with the adapter merged into them."
            )

    def _of_arguments(self) -> Iterator[str]:
        if self.quantization and self.quantization not in QUANTIZATIONS:
            yield (
                f"{self.quantization!r:.40} is no way to quantize weights here: "
                f"{' or '.join(QUANTIZATIONS)}, or as the files are."
            )
        if len(self.engine_args) > MOST_ARGUMENTS:
            yield f"At most {MOST_ARGUMENTS} engine arguments."
        wrong = [words for pair in sorted(self.engine_args.items()) for words in _wrong(*pair)]
        wrong = wrong or check_arguments(self.arguments(), pinned())
        yield from wrong
        if not wrong:
            yield from self._of_parallelism()

    def _of_parallelism(self) -> Iterator[str]:
        """Yield that the engine would use another number of GPUs than the replica has."""
        ways = [int(self.engine_args.get(name, "1")) for name in PARALLEL]
        used = self.tensor_parallelism * prod(ways)
        if used != self.gpus:
            yield (
                f"The engine would use {counted(used, 'GPU')} of the {self.gpus} that a replica "
                "has: tensor parallelism, times the pipeline's and the data's, is the number of "
                "GPUs."
            )
        elif self.gpus > 0 and min(self.tensor_parallelism, *ways) < 1:
            yield "Tensor parallelism, the pipeline's and the data's are at least 1 each."


USUAL = ServingSettings()  # for what nobody asked for more


def mib_of(quantity: str) -> int:
    """Return a quantity of memory, "12Gi" or "512Mi", in MiB. Raises BadSettings."""
    found = _MEMORY.fullmatch(quantity)
    if found is None:
        raise BadSettings(f"{quantity!r:.40} is no size: write 12Gi or 512Mi.")
    return int(found[1]) * _MIB[found[2]]


def _wrong(option: str, value: str) -> Iterator[str]:
    """Yield why a proposal may not set this option, or not to this."""
    if option not in TUNABLE:
        yield f"{option!r:.60} is no engine argument that a proposal may set."
    elif len(value) > LONGEST_VALUE or not (value.isprintable() or not value):
        yield f"The value of {option} is longer than {LONGEST_VALUE} characters, or no text."


def _read(name: str, kind: type, value: object) -> object:
    """Return a value as its field has it. Raises BadSettings for one of another kind."""
    if kind is dict and isinstance(value, Mapping):
        if _are_texts([*value.keys(), *value.values()]):
            return dict(value)
    elif kind is tuple and isinstance(value, list | tuple):
        if _are_texts(value):
            return tuple(value)
    elif type(value) is kind:  # a bool is no int here
        return value
    raise BadSettings(f"The serving setting {name} does not have the form that it should.")


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(each, str) for each in values)


@dataclass(frozen=True)
class Changed:
    """One setting that differs. what: its name for people; was, found: with their units."""

    name: str
    what: str
    was: str
    found: str


LABELS = {
    "gpus": "GPUs a replica",
    "tensor_parallelism": "Tensor parallelism",
    "cpu": "CPUs",
    "memory": "Memory",
    "shm": SHM,
    "replicas_least": "Replicas, least",
    "replicas_most": "Replicas, most",
    "concurrency_target": "Requests at once a replica",
    "engine_args": "Engine arguments",
    "drain_seconds": "Drain",
    "pre_stop_seconds": "Takes calls before it drains",
    "priority_scheduling": "Priority scheduling",
    "prefix_caching": "Prefix caching",
    "quantization": "Quantization",
    "adapter_of": "Adapter of",
    "instance_types": "Instance types",
}


def lines(settings: ServingSettings) -> list[tuple[str, str]]:
    """Return every setting for people: [(label, words with the unit)]."""
    return [(LABELS[each.name], words_of(settings, each.name)) for each in fields(settings)]


def in_short(settings: ServingSettings) -> str:
    """Return what a replica has, and how many there are: "2 GPUs, 12 CPUs, 48Gi a replica; 1 to 3
    replicas".
    """
    least, most = settings.replicas_least, settings.replicas_most
    count = f"{least} to {most} replicas" if settings.scales else counted(most, "replica")
    size = f"{counted(settings.gpus, 'GPU')}, {_cpus(settings)}, {settings.memory} a replica"
    return f"{size}; {count}"


def _cpus(settings: ServingSettings) -> str:
    """Return the CPUs of a replica as people say them: "3.5 CPUs", not "3500m CPUs"."""
    try:
        number = f"{settings.cpu_millis / 1000:g}"
    except BadSettings:  # told among the problems
        number = settings.cpu
    return f"{number} CPU" if number == "1" else f"{number} CPUs"


def words_of(settings: ServingSettings, name: str) -> str:
    """Return the value of one setting for people, with its unit."""
    value = getattr(settings, name)
    if name == "engine_args":
        given = sorted(settings.engine_args.items())
        return " ".join(f"{option}={text}" if text else option for option, text in given) or "none"
    if name == "instance_types":
        return ", ".join(settings.instance_types) or "any that fits"
    if name in ("drain_seconds", "pre_stop_seconds"):
        return f"{value} s"
    if isinstance(value, bool):
        return "on" if value else "off"
    empty = {"quantization": "as the files are", "adapter_of": "no version"}
    return str(value) or empty[name]


def changes(was: ServingSettings, found: ServingSettings) -> list[Changed]:
    """Return what differs between two versions' settings, in the order in which they are shown."""
    return [
        Changed(name, LABELS[name], words_of(was, name), words_of(found, name))
        for name in (each.name for each in fields(was))
        if getattr(was, name) != getattr(found, name)
    ]


def changes_of_answers(evaluated: ServingSettings, proposed: ServingSettings) -> list[Changed]:
    """Return what differs of that which may change a version's answers."""
    return [each for each in changes(evaluated, proposed) if each.name in ANSWERS]
