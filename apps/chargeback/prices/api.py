"""The API of prices: the lists, and the same actions as the pages."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import User
from apps.accounts.requests import caller
from apps.accounts.roles import SEES_ALL_MONEY
from apps.catalog.models import RegisteredModel
from apps.chargeback.models import PriceChange
from apps.chargeback.prices import actions
from apps.chargeback.prices.filters import ChangeQuery, RateQuery
from apps.chargeback.prices.forms import DECIMALS, DIGITS
from apps.chargeback.rating import Prices
from apps.common.listing import Listing
from apps.common.openapi import choice, operation
from apps.common.orders import carry_out_word
from apps.common.outputs import ASKED, AskedOutput
from apps.common.pagination import NewestFirst, NewestRequests
from apps.common.reasons import LONGEST, ReasonInput
from apps.metering.skus import Sku

TAG = "Chargeback"
RELATED = ("registered_model", "requested_by", "decided_by")
DECISIONS = {"approve": actions.publish_prices, "reject": actions.reject_prices}
ORDERS = {"withdraw": actions.withdraw_prices}
PRICES_HELP = "SKU → USD for one billing unit: tokens by the million, rerank requests by the "
PRICES_HELP += "thousand, audio by the minute, images one by one."


def _decimal(**more: Any) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=DIGITS, decimal_places=DECIMALS, **more)


class RateOutput(serializers.ModelSerializer[PriceChange]):
    """The price list of a model over [active_from, active_to), in `currency`. prices: by SKU, for
    one billing unit each; the three beside it are those of tokens, for a million.
    """

    model = serializers.CharField(source="registered_model.name")
    input_usd_per_million = serializers.SerializerMethodField()
    cached_input_usd_per_million = serializers.SerializerMethodField()
    output_usd_per_million = serializers.SerializerMethodField()
    prices = serializers.DictField(child=_decimal(), help_text=PRICES_HELP)
    currency = serializers.CharField(default="USD")
    active_to = serializers.DateTimeField(allow_null=True)
    set_by = serializers.CharField(
        source="requested_by.username", default=None, allow_null=True, help_text="Who proposed it."
    )
    set_at = serializers.DateTimeField(source="decided_at", help_text="When it was published.")
    published_by = serializers.CharField(
        source="decided_by.username", default=None, allow_null=True
    )

    class Meta:
        model = PriceChange
        fields = (
            "id", "model", "input_usd_per_million", "cached_input_usd_per_million",
            "output_usd_per_million", "prices", "currency", "active_from", "active_to", "set_by",
            "set_at", "published_by",
        )  # fmt: skip

    def get_input_usd_per_million(self, item: PriceChange) -> str | None:
        """Return the price of a million input tokens; null without one."""
        return _of(item, Sku.INPUT)

    def get_cached_input_usd_per_million(self, item: PriceChange) -> str | None:
        """Return the price of a million cached input tokens; null without one."""
        return _of(item, Sku.CACHED_INPUT)

    def get_output_usd_per_million(self, item: PriceChange) -> str | None:
        """Return the price of a million output tokens; null without one."""
        return _of(item, Sku.OUTPUT)


def _of(item: PriceChange, sku: Sku) -> str | None:
    usd = item.proposed.by_sku.get(sku)
    return None if usd is None else f"{usd:.{DECIMALS}f}"


class Rates(Listing):
    """List prices."""

    queryset = PriceChange.objects.with_ends()
    serializer_class = RateOutput
    pagination_class = NewestFirst
    filterset_class = RateQuery

    @operation("rates_list", TAG, "List prices", answers=RateOutput(many=True), refuses=(400,))
    def get(self, request: Request) -> Response:
        """Answer the price lists of the models that the caller may see: past, present and to come;
        none that another one replaced.
        """
        models = RegisteredModel.objects.visible_to(caller(request))
        rows = PriceChange.objects.filter(registered_model__in=models).with_ends().that_count()
        return self.listed(rows.select_related(*RELATED))


class PriceChangeInput(serializers.Serializer[Any]):
    """Body of a proposal: a model's whole price list. What has no price in it has none from then
    on.
    """

    model = serializers.CharField(max_length=40)
    prices = serializers.DictField(child=_decimal(min_value=0), help_text=PRICES_HELP)
    active_from = serializers.DateTimeField(help_text="A whole hour, in the open period or later.")
    justification = serializers.CharField(min_length=10, max_length=LONGEST)

    def validate_prices(self, prices: dict[str, Any]) -> Prices:
        """Return the prices. Raises ValidationError for a SKU that there is not."""
        if unknown := sorted(set(prices) - set(Sku.values)):
            known = ", ".join(Sku.values)
            raise serializers.ValidationError(
                f"There is no SKU {', '.join(unknown)}. There are: {known}."
            )
        return Prices.of(prices)


class PriceChangeOutput(AskedOutput[PriceChange]):
    """A proposal of prices. before: what was in force at its hour when it was proposed."""

    model = serializers.CharField(source="registered_model.name")
    prices = serializers.DictField(child=_decimal(), help_text=PRICES_HELP)
    before = serializers.DictField(child=_decimal())
    requested_by = serializers.CharField(
        source="requested_by.username", default=None, allow_null=True
    )

    class Meta:
        model = PriceChange
        fields = ("id", "model", "prices", "before", "active_from", *ASKED)


def _visible_to(user: User) -> User:
    if not user.has_role(*SEES_ALL_MONEY):
        raise Http404
    return user


class PriceChanges(Listing):
    """List and make proposals."""

    queryset = PriceChange.objects.all()
    serializer_class = PriceChangeOutput
    pagination_class = NewestRequests
    filterset_class = ChangeQuery

    @operation(
        "price_changes_list",
        TAG,
        "List proposals of prices",
        answers=PriceChangeOutput(many=True),
        refuses=(400, 404),
    )
    def get(self, request: Request) -> Response:
        """Answer the proposals, newest first."""
        rows = PriceChange.objects.visible_to(_visible_to(caller(request)))
        return self.listed(rows.select_related(*RELATED))

    @operation(
        "price_changes_create",
        TAG,
        "Propose a model's prices",
        takes=PriceChangeInput,
        answers=PriceChangeOutput,
        status=201,
        refuses=(404, 409),
    )
    def post(self, request: Request) -> Response:
        """Propose a model's prices; another finance person publishes them."""
        requester = _visible_to(caller(request))
        body = PriceChangeInput(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        models = RegisteredModel.objects.visible_to(requester)
        model = get_object_or_404(models, name=values.pop("model"))
        made = actions.propose_prices(model=model, requester=requester, now=now(), **values)
        return Response(PriceChangeOutput(made).data, status=201)


def _change(request: Request, pk: UUID) -> PriceChange:
    rows = PriceChange.objects.visible_to(caller(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


@operation(
    "price_change", TAG, "Read a proposal of prices", answers=PriceChangeOutput, refuses=(404,)
)
@api_view(["GET"])
def price_change(request: Request, pk: UUID) -> Response:
    """Answer one proposal."""
    return Response(PriceChangeOutput(_change(request, pk)).data)


@operation(
    "price_change_decide",
    TAG,
    "Decide about a proposal of prices, or withdraw it",
    takes=ReasonInput(required=False),
    answers=PriceChangeOutput,
    refuses=(404, 409),
    parameters=[choice("decision", [*DECISIONS, *ORDERS], "What to do with it.")],
)
@api_view(["POST"])
def decide(request: Request, pk: UUID, decision: str) -> Response:
    """Approve a proposal, which publishes its prices, or reject it, with a reason; withdraw it
    without.
    """
    item, who = _change(request, pk), caller(request)
    carry_out_word(
        decision, decisions=DECISIONS, orders=ORDERS, who=who, body=request.data, now=now(),
        change=item,
    )  # fmt: skip
    return Response(PriceChangeOutput(_change(request, pk)).data)
