"""What the API answers of each row that one person asks for and another decides about: who, when
and why. The rules of it are those of decisions.py.
"""

from typing import TypeVar

from django.db.models import Model
from rest_framework import serializers

Row = TypeVar("Row", bound=Model)
# in the order in which they are answered, behind what was asked for
ASKED = (
    "justification", "requested_by", "requested_at", "status", "decided_by", "decided_at",
    "decision_reason",
)  # fmt: skip


class AskedOutput(serializers.ModelSerializer[Row]):
    """A row with the people by their user names. A subclass names `model` and `fields`, `*ASKED`
    among them where the row keeps all that.
    """

    requested_by = serializers.CharField(source="requested_by.username")
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
