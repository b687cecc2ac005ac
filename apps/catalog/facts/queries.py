"""Reads of facts: of one version, of many, and of the version before."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from apps.catalog.facts.models import ModelFacts
from apps.catalog.facts.reading import CARDS, LICENSES, first_named
from apps.catalog.facts.words import license_words
from apps.catalog.models import ModelVersion


def of_version(version: ModelVersion) -> ModelFacts | None:
    """Return the newest facts of a version; None where nothing was read yet. One query."""
    return ModelFacts.objects.filter(version=version).order_by("-reader").first()


def of_versions(versions: Collection[ModelVersion]) -> Mapping[int, ModelFacts]:
    """Return the newest facts by the version's key, without their long texts; one query."""
    rows = ModelFacts.objects.newest().filter(version__in=versions)
    return {row.version_id: row for row in rows.defer("config", "chat_template", "problems")}


def of_models(models: Collection[int]) -> Mapping[int, ModelFacts]:
    """Return, by the model's key, the facts of its newest version that has any; one query."""
    rows = (
        ModelFacts.objects.filter(version__registered_model__in=models)
        .order_by("version__registered_model_id", "-version__number", "-reader")
        .distinct("version__registered_model_id")
        .select_related("version")
        .defer("config", "chat_template", "problems")
    )
    return {row.version.registered_model_id: row for row in rows}


@dataclass(frozen=True)
class Documents:
    """Where a version's files say what it is for and under what license; "" where they do not."""

    model_card: str
    license: str


def documents_of(version: ModelVersion) -> Documents:
    """Return a version's model card and license; two queries. The files' names are enough but for
    a license that only the model card states, which its facts know.
    """
    names = list(version.files.values_list("name", flat=True))
    card, file = first_named(names, CARDS), first_named(names, LICENSES)
    facts = of_version(version)
    stated = license_words(facts) if facts else ""
    return Documents(card, stated or file)


def before(version: ModelVersion) -> ModelFacts | None:
    """Return the facts of the last version before this one that has any, its version loaded; None
    where there is none. One query.
    """
    rows = ModelFacts.objects.filter(
        version__registered_model=version.registered_model_id, version__number__lt=version.number
    )
    return rows.select_related("version").order_by("-version__number", "-reader").first()
