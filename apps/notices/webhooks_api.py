"""The API of one's own webhooks: the same as on their pages. A secret is answered once, where it is
made.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.requests import caller
from apps.common.openapi import choice, operation
from apps.integrations.webhooks.addresses import MOST_CHARACTERS
from apps.integrations.webhooks.client import allowed_from_settings
from apps.notices import webhooks
from apps.notices.models import Kind, Webhook
from apps.notices.signing import key_from_settings, secret_of

TAG = "Notices"
ORDERS: dict[str, Callable[..., object]] = {
    "secret": webhooks.renew_secret,
    "start": webhooks.start_again,
    "try": webhooks.try_out,
}


class KindsInput(serializers.Serializer[Any]):
    """Which kinds of notices are posted."""

    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=Kind.choices), min_length=1, max_length=len(Kind)
    )


class WebhookInput(KindsInput):
    """Body of a new webhook."""

    url = serializers.CharField(max_length=MOST_CHARACTERS)


class WebhookOutput(serializers.ModelSerializer[Webhook]):
    """One webhook. failures: calls in a row that failed for good; stopped_at: since when nothing is
    posted, or null. secret: where it was just made, and null ever after.
    """

    secret = serializers.SerializerMethodField()
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=Kind.choices))

    class Meta:
        model = Webhook
        fields = (
            "id", "url", "kinds", "created_at", "secret_changed_at", "failures", "stopped_at",
            "secret",
        )  # fmt: skip

    def get_secret(self, webhook: Webhook) -> str | None:
        """Return the secret, where it was just made."""
        if not self.context.get("is_new"):
            return None
        return secret_of(webhook, webhook.secret_number, key_from_settings())


class Webhooks(APIView):
    """List and add webhooks: a person has a few at most."""

    @operation("webhooks_list", TAG, "List your webhooks", answers=WebhookOutput(many=True))
    def get(self, request: Request) -> Response:
        """Answer the caller's webhooks."""
        return Response(WebhookOutput(Webhook.objects.of(caller(request)), many=True).data)

    @operation(
        "webhooks_create",
        TAG,
        "Add a webhook",
        takes=WebhookInput,
        answers=WebhookOutput,
        status=201,
        refuses=(409,),
    )
    def post(self, request: Request) -> Response:
        """Have notices posted to an address; answers its secret, this once."""
        body = WebhookInput(data=request.data)
        body.is_valid(raise_exception=True)
        made = webhooks.add_webhook(
            user=caller(request), allowed=allowed_from_settings(), now=now(), **body.validated_data
        )
        return Response(WebhookOutput(made, context={"is_new": True}).data, status=201)


class OneWebhook(APIView):
    """One of the caller's webhooks."""

    @operation("webhook", TAG, "Read a webhook", answers=WebhookOutput, refuses=(404,))
    def get(self, request: Request, pk: UUID) -> Response:
        """Answer one webhook."""
        return Response(WebhookOutput(_mine(request, pk)).data)

    @operation(
        "webhook_change",
        TAG,
        "Change which notices a webhook gets",
        takes=KindsInput,
        answers=WebhookOutput,
        refuses=(404, 409),
    )
    def put(self, request: Request, pk: UUID) -> Response:
        """Have other kinds of notices posted from now on."""
        webhook = _mine(request, pk)
        body = KindsInput(data=request.data)
        body.is_valid(raise_exception=True)
        kinds = body.validated_data["kinds"]
        webhooks.change_kinds(webhook=webhook, kinds=kinds, actor=caller(request), now=now())
        return Response(WebhookOutput(webhook).data)

    @operation(
        "webhook_remove",
        TAG,
        "Remove a webhook",
        answers=WebhookOutput,
        refuses=(404, 409),
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        """Post nothing to it any more; answers how it was."""
        webhook = _mine(request, pk)
        webhooks.remove_webhook(webhook=webhook, actor=caller(request), now=now())
        return Response(WebhookOutput(webhook).data)


@operation(
    "webhook_order",
    TAG,
    "Give a webhook a new secret, start it again, or try it",
    answers=WebhookOutput,
    refuses=(404, 409),
    parameters=[choice("order", list(ORDERS), "What to do with it.")],
)
@api_view(["POST"])
def order(request: Request, pk: UUID, order: str) -> Response:
    """Give it a new secret, which is answered this once; post to it again after it was stopped; or
    post a notice to it now.
    """
    action = ORDERS.get(order)
    if action is None:
        raise Http404
    webhook = _mine(request, pk)
    action(webhook=webhook, actor=caller(request), now=now())
    webhook.refresh_from_db()
    return Response(WebhookOutput(webhook, context={"is_new": order == "secret"}).data)


def _mine(request: Request, pk: UUID) -> Webhook:
    return get_object_or_404(Webhook.objects.of(caller(request)), pk=pk)
