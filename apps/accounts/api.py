"""Who the API takes the caller for."""

from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import User
from apps.accounts.requests import caller
from apps.common.openapi import operation


class MeOutput(serializers.ModelSerializer[User]):
    """The caller. team, cost_center: null for somebody without a team."""

    roles = serializers.SerializerMethodField()
    team = serializers.CharField(source="team.slug", default=None, allow_null=True)
    cost_center = serializers.CharField(
        source="team.cost_center.code", default=None, allow_null=True
    )

    class Meta:
        model = User
        fields = ("id", "username", "name", "roles", "team", "cost_center")

    def get_roles(self, user: User) -> list[str]:
        """Return the roles, sorted."""
        return sorted(user.roles)


@operation("me", "You", "Who the caller is", answers=MeOutput)
@api_view(["GET"])
def me(request: Request) -> Response:
    """Answer the caller's name, roles, team and cost center."""
    return Response(MeOutput(caller(request)).data)
