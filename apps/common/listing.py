"""Lists of the API: filtered by what the address asks, cut in pages by cursor."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django_filters import FilterSet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from apps.common.pagination import Cursor


class Listing(GenericAPIView[Any]):
    """A list. A subclass names its `serializer_class`, `pagination_class` and `filterset_class`,
    and `queryset` for the API's document; `get` hands the rows that the caller may see to `listed`.

    What the address asks for and cannot have is answered with 400 and named: a misspelled filter
    must not look like a list of everything.
    """

    filter_backends = (DjangoFilterBackend,)
    filterset_class: type[FilterSet]

    def listed(self, rows: QuerySet[Any]) -> Response:
        """Answer one page of the rows that the filters leave."""
        self._refuse_unknown()
        page = self.paginate_queryset(self.filter_queryset(rows)) or []
        made = self.get_serializer_class()(page, many=True, context=self.context_of(page))
        return self.get_paginated_response(made.data)

    def context_of(self, page: Sequence[Any]) -> dict[str, object]:
        """Return what the serializer needs to know of a page's rows beside the rows themselves."""
        return {}

    def _refuse_unknown(self) -> None:
        known = {*self.filterset_class.base_filters, Cursor.cursor_query_param}
        unknown = sorted(set(self.request.query_params) - known)
        if unknown:
            raise ValidationError({name: ["This list has no such filter."] for name in unknown})
