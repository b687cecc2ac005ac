"""Serving settings that follow from a way to serve a load: where a proposal's form begins. Pure."""

from math import ceil

from apps.catalog.sizing.fits import Answer, Fit, Load
from apps.manifests.serving_settings import ServingSettings

GIB = 1024**3
# what a machine leaves to its pods: the kubelet and the node's agents keep some CPUs, and they and
# the hypervisor more of the memory (apps/capacity/fit.py takes off how much)
CPU_SHARE, MEMORY_SHARE = 0.9, 0.83
LEAST_CPUS, MOST_CPUS = 3, 16  # for one GPU; more make no engine faster
BESIDE_WEIGHTS = 8  # GiB of host memory for the engine's processes
SHM_ALONE, SHM_SHARED = "2Gi", "8Gi"  # GPUs that share a layer speak through it


def suggest(answer: Answer, load: Load) -> ServingSettings | None:
    """Return the settings of the cheapest way to serve a load; None where none is known, or it
    needs more than a proposal may ask for.
    """
    if not answer.fits:
        return None
    made = settings_of(answer.fits[0], load)
    return None if made.problems() else made


def settings_of(fit: Fit, load: Load) -> ServingSettings:
    """Return the settings that serve a load in this way."""
    at_once = fit.pace.in_flight if fit.pace else (load.callers or 1) / fit.replicas
    return ServingSettings(
        gpus=fit.ways,
        tensor_parallelism=fit.ways,
        cpu=str(_cpus(fit)),
        memory=f"{_memory(fit)}Gi",
        shm=SHM_SHARED if fit.ways > 1 else SHM_ALONE,
        replicas_least=fit.replicas,
        replicas_most=fit.replicas,
        concurrency_target=max(1, ceil(at_once)),
        instance_types=(fit.machine.name,),
    )


def _cpus(fit: Fit) -> int:
    """Return the CPUs of a replica: its share of the machine's, within bounds."""
    share = int(fit.machine.vcpus * CPU_SHARE * fit.ways / fit.machine.gpus)
    return max(1, min(share, max(LEAST_CPUS, MOST_CPUS * fit.ways)))


def _memory(fit: Fit) -> int:
    """Return the GiB of a replica: its weights pass through the host's memory once."""
    share = int(fit.machine.memory_gib * MEMORY_SHARE * fit.ways / fit.machine.gpus)
    weights = ceil(fit.room.weight_bytes * fit.ways / GIB)
    return max(4, min(share, weights + BESIDE_WEIGHTS + (8 if fit.ways > 1 else 2)))
