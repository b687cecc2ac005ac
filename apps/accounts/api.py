"""Who the API takes the caller for."""

from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller


@api_view(["GET"])
def me(request: Request) -> Response:
    """Answer the caller's name, roles, team and cost center."""
    user = caller(request)
    team = user.team
    return Response(
        {
            "id": user.pk,
            "username": user.username,
            "name": user.name,
            "roles": sorted(user.roles),
            "team": team.slug if team else None,
            "cost_center": team.cost_center.code if team else None,
        }
    )
