"""Whether what serves is what was approved (I1): the files that the loader read, the engine's image
and arguments, a replica's share of its machine, the weights of the route. Pure: readings in, one
check for each out.

What cannot be seen is not the same: it is unknown, and says why. A difference that was seen once is
kept until that very thing was seen to be right again: a replica that went away proves nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from apps.integrations.kubernetes.types import PodStatus, RouteStatus, ServingStatus

Json = dict[str, Any]
DIGEST = "@sha256:"
DRIFT, UNMEASURED = "DRIFT", "UNMEASURED"  # reasons of a rollout


class Verdict(StrEnum):
    """What one check came to."""

    SAME = "SAME"
    DIFFERENT = "DIFFERENT"
    UNKNOWN = "UNKNOWN"


class What(StrEnum):
    """What is held against the approval. The words are what people read."""

    SERVICE = "InferenceService"
    NAMED = "Manifest that it names"
    WEIGHTS = "Weights as its loader read them"
    IMAGE = "Image of the engine"
    PULLED = "Digest of the image that runs"
    ARGUMENTS = "Arguments of the engine"
    SIZE = "CPUs, memory and GPUs of a replica"
    ROUTE = "Weights of the route"


OF_THE_CONTAINER = (What.IMAGE, What.PULLED, What.ARGUMENTS, What.SIZE)


@dataclass(frozen=True)
class Check:
    """One thing that serves, as approved and as found. found says why where it is unknown."""

    what: str
    approved: str
    found: str
    verdict: Verdict

    def as_json(self) -> Json:
        """Return the check as a rollout keeps it."""
        return {
            "what": str(self.what),
            "approved": self.approved,
            "found": self.found,
            "verdict": str(self.verdict),
        }


@dataclass(frozen=True)
class Approved:
    """What was approved. container: image, arguments and limits, {} where they were not kept; those
    kept first have no limits. weights: of the route, None while a rollout moves them.
    """

    name: str
    digest: str
    container: Mapping[str, Any]
    weights: Mapping[str, int] | None = None


def container_of(changes: Mapping[str, bytes | None], name: str) -> Json:
    """Return image, arguments and limits of a version's replicas, from the files that its first
    step writes, as KServe puts them together: the runtime's, then the version's own. {} where the
    runtime is not among them: versions that were approved long ago shared one.
    """
    objects = [item for text in changes.values() if text for item in yaml.safe_load_all(text)]
    service = _object(objects, "InferenceService", name)
    model = service["spec"]["predictor"]["model"] if service else {}
    runtime = _object(objects, "ServingRuntime", model.get("runtime", ""))
    if runtime is None:
        return {}
    (engine,) = runtime["spec"]["containers"]
    words = [*engine.get("command", ()), *engine.get("args", ()), *model.get("args", ())]
    named = [str(word).replace("{{.Name}}", name) for word in words]
    limits = dict(model.get("resources", {}).get("limits", {}))
    return {"image": engine["image"], "arguments": named, "limits": limits}


def _object(objects: Iterable[Json], kind: str, name: str) -> Json | None:
    wanted = (item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name))
    return next(wanted, None)


# -- The checks ------------------------------------------------------------------------------------


def checks(
    approved: Approved, serving: ServingStatus, route: RouteStatus | None = None
) -> list[Check]:
    """Return what serves, held against what was approved: nothing of replicas where none runs, nor
    of the route where it is not given.
    """
    if not serving.exists:
        return [Check(What.SERVICE, approved.name, "the cluster has none", Verdict.DIFFERENT)]
    pods = [pod for pod in serving.pods if not pod.deleting]
    found = [Check(What.SERVICE, approved.name, approved.name, Verdict.SAME)]
    found.append(_named(approved, serving, pods))
    begun = [pod for pod in pods if pod.loaded is not None or pod.at("Ready") is not None]
    if serving.ready and not begun:
        begun = pods
    if begun:
        found.append(_weights(approved, begun))
    if pods:
        found += [_image(approved, pods), _arguments(approved, pods), *_size(approved, pods)]
    running = [pod for pod in pods if pod.engine_container.started_at is not None]
    if running and approved.container:
        found.append(_pulled(str(approved.container["image"]), running))
    if route is not None and approved.weights is not None:
        found.append(_route(approved.weights, route))
    return found


def _named(approved: Approved, serving: ServingStatus, pods: Sequence[PodStatus]) -> Check:
    named = [serving.manifest_digest, *(pod.manifest_digest for pod in pods)]
    # a pod that KServe made before it carried the annotation names none: its weights are measured
    return _same(What.NAMED, approved.digest, [one for one in named[1:] if one] + named[:1])


def _weights(approved: Approved, pods: Sequence[PodStatus]) -> Check:
    measured = [pod.loaded.digest for pod in pods if pod.loaded is not None]
    check = _same(What.WEIGHTS, approved.digest, measured)
    silent = [pod.name for pod in pods if pod.loaded is None]
    if check.verdict == Verdict.DIFFERENT or not silent:
        return check
    words = f"The loader of {silent[0]} left no word of what it read."
    return Check(What.WEIGHTS, approved.digest, words, Verdict.UNKNOWN)


def _image(approved: Approved, pods: Sequence[PodStatus]) -> Check:
    if not approved.container:
        return _not_kept(What.IMAGE)
    return _same(What.IMAGE, str(approved.container["image"]), [pod.image for pod in pods])


def _pulled(image: str, pods: Sequence[PodStatus]) -> Check:
    """Return the check of what the nodes pulled. image: as approved, by digest or by tag."""
    _, pinned, digest = image.partition(DIGEST)
    known = sorted({pod.image_digest for pod in pods if pod.image_digest})
    if not pinned:
        runs = f", which runs {' and '.join(known)} now" if known else ""
        return Check(What.PULLED, image, f"It was approved by its tag{runs}.", Verdict.UNKNOWN)
    check = _same(What.PULLED, f"sha256:{digest}", known)
    if check.verdict == Verdict.DIFFERENT or all(pod.image_digest for pod in pods):
        return check
    words = "The node does not tell which image it pulled."
    return Check(What.PULLED, check.approved, words, Verdict.UNKNOWN)


def _arguments(approved: Approved, pods: Sequence[PodStatus]) -> Check:
    if not approved.container:
        return _not_kept(What.ARGUMENTS)
    wanted = [str(word) for word in approved.container["arguments"]]
    other = next((pod.arguments for pod in pods if list(pod.arguments) != wanted), None)
    if other is None:
        words = " ".join(wanted)
        return Check(What.ARGUMENTS, words, words, Verdict.SAME)
    lost, added = _without(wanted, other), _without(other, wanted)
    if not lost and not added:  # the same words in another order
        lost, added = wanted, list(other)
    return Check(What.ARGUMENTS, _words(lost), _words(added), Verdict.DIFFERENT)


def _size(approved: Approved, pods: Sequence[PodStatus]) -> Iterator[Check]:
    """Yield the check of what a replica has of its machine, where that was kept. 3 and "3000m" are
    the same.
    """
    wanted = approved.container.get("limits")
    if wanted:
        found = [_limits_in_words(pod.limits, wanted) for pod in pods]
        yield _same(What.SIZE, _limits_in_words(wanted, wanted), found)


def _limits_in_words(limits: Mapping[str, str], of: Iterable[str]) -> str:
    """Return some limits in words: "cpu 3, memory 12Gi, nvidia.com/gpu 1"."""
    return ", ".join(f"{name} {_quantity(limits.get(name, 'none'))}" for name in sorted(of))


def _quantity(text: str) -> str:
    """Return a quantity as the API server writes it, where people wrote it otherwise."""
    if text.endswith("m") and text[:-1].isdecimal() and int(text[:-1]) % 1000 == 0:
        return str(int(text[:-1]) // 1000)
    for unit, larger in (("Mi", "Gi"), ("Gi", "Ti")):
        if text.endswith(unit) and text[:-2].isdecimal() and int(text[:-2]) % 1024 == 0:
            text = f"{int(text[:-2]) // 1024}{larger}"
    return text


def _route(weights: Mapping[str, int], route: RouteStatus) -> Check:
    wanted, found = _shares(weights), _shares(route.weights) if route.exists else "no route"
    same = Verdict.SAME if wanted == found else Verdict.DIFFERENT
    return Check(What.ROUTE, wanted, found, same)


def _same(what: What, approved: str, found: Sequence[str]) -> Check:
    """Return the check of a value that all replicas must have: the first other one, where there is
    one.
    """
    other = next((one for one in found if one != approved), None)
    if other is None:
        return Check(what, approved, approved, Verdict.SAME)
    return Check(what, approved, other or "none", Verdict.DIFFERENT)


def _not_kept(what: What) -> Check:
    words = "It was rolled out before the portal kept this."
    return Check(what, "not kept", words, Verdict.UNKNOWN)


def _without(words: Iterable[str], others: Iterable[str]) -> list[str]:
    left = list(others)
    return [word for word in words if not _take(left, word)]


def _take(words: list[str], word: str) -> bool:
    if word in words:
        words.remove(word)
        return True
    return False


def _words(words: Sequence[str]) -> str:
    return " ".join(words) or "nothing"


def _shares(weights: Mapping[str, int]) -> str:
    shares = [f"{name} {share} %" for name, share in sorted(weights.items()) if share]
    return ", ".join(shares) or "nobody"


# -- What follows ----------------------------------------------------------------------------------


def differing(found: Iterable[Check]) -> list[Check]:
    """Return the checks that found something else."""
    return [check for check in found if check.verdict == Verdict.DIFFERENT]


def is_unmeasured(found: Iterable[Check]) -> bool:
    """Tell whether replicas serve of which nobody measured what they loaded."""
    return any(check.what == What.WEIGHTS and check.verdict == Verdict.UNKNOWN for check in found)


def kept(before: Sequence[Json], found: Sequence[Check]) -> list[Json]:
    """Return the differences to keep: those found now, and those of before that were not seen to be
    right again.
    """
    now = [
        {"what": str(check.what), "approved": check.approved, "found": check.found}
        for check in differing(found)
    ]
    settled = {
        str(check.what) for check in found if check.verdict in (Verdict.SAME, Verdict.DIFFERENT)
    }
    return [*(old for old in before if old["what"] not in settled), *now]


def words(name: str, differences: Sequence[Json]) -> str:
    """Return what differs, for people."""
    if any(one["what"] == What.SERVICE for one in differences):
        return f"{name} is approved and should serve, but the cluster has no such InferenceService."
    found = "; ".join(
        f"{one['what']}: approved {one['approved']}, found {one['found']}" for one in differences
    )
    return f"What serves as {name} is not what was approved. {found}."
