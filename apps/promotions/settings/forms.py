"""What a person types for the serving settings. Parsing only; the rules are
manifests/serving_settings.py's.

A field that is left empty is as usual. Sizes are whole GiB here; a program may say MiB.
"""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django import forms

from apps.manifests.serving_settings import (
    LARGEST_GPUS,
    LARGEST_REPLICAS,
    LONGEST_DRAIN,
    LONGEST_PRE_STOP,
    QUANTIZATIONS,
    SHM,
    USUAL,
    ServingSettings,
)

MOST_CPUS, MOST_GIB = 1024, 8192
ON, OFF = "on", "off"
_ARGUMENT = re.compile(r"([^=\s]+)\s*=?\s*(.*)")


def _number(label: str, least: int, most: int, help_text: str = "") -> forms.IntegerField:
    return forms.IntegerField(
        label=label, min_value=least, max_value=most, required=False, help_text=help_text
    )


class SettingsForm(forms.Form):
    """With what a version is served."""

    gpus = _number("GPUs a replica", 1, LARGEST_GPUS, "All of one machine.")
    tensor_parallelism = _number(
        "Tensor parallelism",
        1,
        LARGEST_GPUS,
        "Over how many GPUs each layer is split: usually all of them.",
    )
    cpu = forms.DecimalField(
        label="CPUs", min_value=1, max_value=MOST_CPUS, decimal_places=3, required=False
    )
    memory = _number("Memory", 1, MOST_GIB)
    shm = _number("Shared memory", 1, MOST_GIB, f"{SHM}, which is part of the memory.")
    replicas_least = _number("Replicas, least", 1, LARGEST_REPLICAS)
    replicas_most = _number(
        "Replicas, most",
        1,
        LARGEST_REPLICAS,
        "More than the least: as many run as the requests in the engines need.",
    )
    concurrency_target = _number(
        "Requests at once a replica",
        1,
        10_000,
        "Running or waiting. With more than that another replica starts, up to the most.",
    )
    drain_seconds = _number(
        "Drain",
        0,
        LONGEST_DRAIN,
        "How long a replica that ends may finish its answers. With 0 they break off.",
    )
    pre_stop_seconds = _number(
        "Before it drains",
        0,
        LONGEST_PRE_STOP,
        "How long it still takes calls, while the gateway learns that it ends.",
    )
    quantization = forms.ChoiceField(
        label="Quantization",
        choices=[("", "As the files are"), *((name, name) for name in QUANTIZATIONS)],
        required=False,
    )
    prefix_caching = forms.ChoiceField(
        label="Prefix caching",
        choices=[(ON, "On, as the engine has it"), (OFF, "Off")],
        required=False,
    )
    priority_scheduling = forms.BooleanField(
        label="Priority scheduling",
        help_text="The engine takes waiting calls by their priority, then by their arrival.",
        required=False,
    )
    instance_types = forms.CharField(
        label="Instance types",
        help_text="Such as g6e.12xlarge, with commas. None: any that fits.",
        max_length=1000,
        required=False,
    )
    engine_args = forms.CharField(
        label="Engine arguments",
        help_text="One a line, such as --max-num-seqs=256. They are checked against vLLM's own.",
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}),
        max_length=20_000,
        required=False,
    )

    def settings(self) -> ServingSettings:
        """Return what was typed. Call it after is_valid()."""
        values = self.cleaned_data
        numbers = (
            "gpus", "tensor_parallelism", "replicas_least", "replicas_most", "concurrency_target",
            "drain_seconds", "pre_stop_seconds",
        )  # fmt: skip
        found: dict[str, Any] = {name: values[name] for name in numbers if values[name] is not None}
        found |= {name: f"{values[name]}Gi" for name in ("memory", "shm") if values[name]}
        if values["cpu"]:
            found["cpu"] = _cpu(values["cpu"])
        return replace(
            USUAL,
            **found,
            quantization=values["quantization"],
            prefix_caching=values["prefix_caching"] != OFF,
            priority_scheduling=values["priority_scheduling"],
            instance_types=tuple(values["instance_types"].replace(",", " ").split()),
            engine_args=_arguments(values["engine_args"]),
        )

    @staticmethod
    def showing(settings: ServingSettings) -> dict[str, object]:
        """Return what the form shows for settings."""
        found = settings.as_json()
        return found | {
            "cpu": Decimal(settings.cpu_millis) / 1000,
            "memory": -(-settings.memory_mib // 1024),
            "shm": -(-settings.shm_mib // 1024),
            "prefix_caching": ON if settings.prefix_caching else OFF,
            "instance_types": ", ".join(settings.instance_types),
            "engine_args": "\n".join(
                f"{option}={value}" if value else option
                for option, value in sorted(settings.engine_args.items())
            ),
        }


def _cpu(cpus: Decimal) -> str:
    """Return a number of CPUs as Kubernetes writes it."""
    return str(int(cpus)) if cpus == int(cpus) else f"{int(cpus * 1000)}m"


def _arguments(text: str) -> dict[str, str]:
    """Return option → value of arguments one a line; a value may follow after `=` or a space."""
    found = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        # at the first of the two: a value may hold the other
        parts = _ARGUMENT.fullmatch(line)
        option, value = parts.groups() if parts else (line, "")
        found[option] = value
    return found
