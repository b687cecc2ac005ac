"""Names that several kinds share: labels, namespaces, paths in the GitOps repository, limits of
names.
"""

import re

from apps.manifests.text import CannotRender

OWNER_LABELS = {"app.kubernetes.io/managed-by": "quartermaster"}
DIGEST_ANNOTATION = "quartermaster.dev/manifest-digest"
MODELS = "models"
EVALS = "evals"
# The Secret of each of the two namespaces with the keys that its engines take. The first is the one
# that callers show, under the name by which Envoy AI Gateway looks for it; the others are taken so
# that the first can change without an outage.
ENGINE_KEY = "engine-key"
ENGINE_KEY_SHOWN, ENGINE_KEY_FORMER, ENGINE_KEY_NEXT = "apiKey", "formerKey", "nextKey"
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST = 53  # `<name>-predictor` must fit a DNS label of 63


class BadName(CannotRender):
    """The name cannot be that of an InferenceService."""


def serving_name(model: str, number: int) -> str:
    """Return `<model>-v<number>`: the name of everything that serves the version."""
    return checked(f"{model}-v{number}")


def checked(name: str) -> str:
    """Return `name` when it fits an InferenceService and its Service; raise BadName otherwise."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise BadName(
            f"{name!r} cannot name an InferenceService: lower-case letters, digits, dashes, at "
            f"most {LONGEST}."
        )
    return name


def labels(model: str, number: int | None = None) -> dict[str, str]:
    """Return the labels of everything that is rendered for a model, or for one version of it."""
    found = OWNER_LABELS | {"quartermaster.dev/model": model}
    return found if number is None else found | {"quartermaster.dev/version": str(number)}


def account_name(model: str) -> str:
    """Return what the service account is called by which a model's engines read its weights, in
    either namespace. Its role in AWS trusts this name (deploy/terraform/modules/readers).
    """
    return f"reader-{model}"


def runtime_path(namespace: str) -> str:
    """Return where the runtime that a namespace shares lives in the repository."""
    return f"serving/{namespace}/runtime.yaml"


def account_path(model: str) -> str:
    """Return where the accounts by which a model's engines read its weights live in the repository.
    Terraform gives a role to each model that has this file there.
    """
    return f"serving/models/{model}/account.yaml"


def version_path(model: str, number: int) -> str:
    """Return where a served version lives in the repository."""
    return f"serving/models/{model}/v{number}.yaml"


def route_path(model: str) -> str:
    """Return where a model's route lives in the repository."""
    return f"serving/models/{model}/route.yaml"


def policy_path(model: str) -> str:
    """Return where a model's policy lives in the repository."""
    return f"serving/models/{model}/policy.yaml"


def candidate_path(name: str) -> str:
    """Return where a candidate under evaluation lives in the repository."""
    return f"serving/evals/{name}.yaml"
