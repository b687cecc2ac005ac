"""Reads of models that pages of several apps share."""

from django.shortcuts import get_object_or_404

from apps.accounts.models import User
from apps.catalog.models import RegisteredModel


def model_for(user: User, name: str) -> RegisteredModel:
    """Return a model that this person may see, with its owners; one query. Raises Http404."""
    rows = RegisteredModel.objects.visible_to(user).select_related("owner_team", "created_by")
    return get_object_or_404(rows, name=name)
