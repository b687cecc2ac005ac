"""Whether a call is kept, and for how long: by the data class that the team's grant names, else the
model's own, and by the rules in force for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.access.models import Grant
from apps.catalog.models import DataClass, RegisteredModel
from apps.prompts.rules.queries import Ruling, in_force
from apps.prompts.rules.rules import Mode

STRICTEST = DataClass.PHI  # where nobody knows what a call may hold


@dataclass(frozen=True)
class Keep:
    """What becomes of a call: mode, by the rules of data_class."""

    data_class: DataClass
    mode: Mode
    ruling: Ruling

    def until(self, at: datetime) -> datetime:
        """Return when a record of `at` ends."""
        return self.ruling.rules.until(at)


@dataclass(frozen=True)
class Terms:
    """What people decided, as it was read last. grants: (team, model) → data class."""

    rulings: Mapping[DataClass, Ruling]
    models: Mapping[str, str]
    grants: Mapping[tuple[str, str], str]

    def keep_of(self, team: str, model: str) -> Keep:
        """Return what becomes of a team's call to a model."""
        known = self.grants.get((team, model)) or self.models.get(model) or STRICTEST
        data_class = DataClass(known)
        ruling = self.rulings[data_class]
        return Keep(data_class, ruling.rules.mode_of(model), ruling)


def read_terms(now: datetime) -> Terms:
    """Read the rules, the models and the grants in force. Three queries."""
    granted = Grant.objects.active(now).values_list(
        "team__slug", "registered_model__name", "request__data_class"
    )
    models = RegisteredModel.objects.values_list("name", "data_class")
    return Terms(in_force(now), dict(models), {(t, m): d for t, m, d in granted})
