"""The double as a WSGI application: `AwsDouble(products, spot)`.

It keeps AWS's contract: signed requests only, for the service and region that they are signed for;
the price list in three regions, as JSON strings with a token until the last page; Spot prices by
region, newest first, with the change before the range, and an empty token at the end. `fail_next`
makes the next answers an error. Nothing is kept on disk.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

PRICE_LIST_REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")
KEPT = timedelta(days=90)
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/"
    r"(?P<region>[-a-z0-9]+)/(?P<service>[a-z0-9]+)/aws4_request"
)
ATTRIBUTES = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "marketoption": "OnDemand",
}
Start = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(frozen=True)
class Change:
    """A Spot price that began: USD per hour as AWS writes it."""

    instance_type: str
    zone: str
    price: str
    at: datetime
    product: str = "Linux/UNIX"


def product(
    instance_type: str,
    region: str,
    usd: str,
    *,
    sku: str = "",
    unit: str = "Hrs",
    effective: str = "2026-10-01T00:00:00Z",
    **attributes: str,
) -> dict[str, Any]:
    """Return an entry of the price list. attributes: in the place of a plain Linux machine's."""
    sku = sku or f"{instance_type}-{region}".upper().replace(".", "").replace("-", "")
    offer, dimension = f"{sku}.JRTCKXETXF", f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    return {
        "product": {
            "productFamily": "Compute Instance",
            "sku": sku,
            "attributes": {"instanceType": instance_type, "regionCode": region}
            | ATTRIBUTES
            | attributes,
        },
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {
                offer: {
                    "priceDimensions": {dimension: {"unit": unit, "pricePerUnit": {"USD": usd}}},
                    "effectiveDate": effective,
                    "sku": sku,
                }
            },
            "Reserved": {f"{sku}.R": {"priceDimensions": {}, "effectiveDate": effective}},
        },
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }


@dataclass
class AwsDouble:
    """The application. page: how many entries an answer has at most, whatever is asked for.

    asked: what was asked for, in order: (operation, region). now: the clock that 90 days end at.
    """

    products: list[dict[str, Any]] = field(default_factory=list)
    spot: list[Change] = field(default_factory=list)
    page: int = 100
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    asked: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)
    _lists: dict[str, list[Any]] = field(default_factory=dict)

    def fail_next(self, *failures: tuple[int, str]) -> None:
        """Answer the next requests with these statuses and error codes."""
        self.failures += failures

    def expire_tokens(self) -> None:
        """Forget every list that was begun."""
        self._lists.clear()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request."""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        signed = SIGNED.match(environ.get("HTTP_AUTHORIZATION", ""))
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        service = "pricing" if target else "ec2"
        answer = _Answer(start, is_json=bool(target))
        if signed is None or signed["service"] != service:
            return answer.error(403, "AccessDeniedException" if target else "AuthFailure")
        self.asked.append(
            (target.rpartition(".")[2] or "DescribeSpotPriceHistory", signed["region"])
        )
        if self.failures:
            return answer.error(*self.failures.pop(0))
        if target:
            return self._get_products(answer, signed["region"], target, body)
        return self._spot_history(answer, signed["region"], body)

    def _get_products(
        self, answer: _Answer, region: str, target: str, body: bytes
    ) -> Iterable[bytes]:
        asked = json.loads(body)
        if target != "AWSPriceListService.GetProducts" or region not in PRICE_LIST_REGIONS:
            return answer.error(400, "UnknownOperationException")
        if asked.get("ServiceCode") != "AmazonEC2":
            return answer.error(400, "NotFoundException")
        wanted = {each["Field"]: each["Value"] for each in asked.get("Filters", [])}
        found = [json.dumps(each) for each in self.products if _has(each, wanted)]
        part, token = self._page(found, asked.get("NextToken"), int(asked.get("MaxResults", 100)))
        if part is None:
            return answer.error(400, "ExpiredNextTokenException")
        said: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": part}
        if token:
            said["NextToken"] = token
        return answer.said(json.dumps(said))

    def _spot_history(self, answer: _Answer, region: str, body: bytes) -> Iterable[bytes]:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("Action") != "DescribeSpotPriceHistory":
            return answer.error(400, "InvalidAction")
        if not 0 < int(form.get("MaxResults", "1000")) <= 1000:
            return answer.error(400, "InvalidParameterValue")
        found = self._changes(region, form)
        part, token = self._page(found, form.get("NextToken"), int(form.get("MaxResults", 1000)))
        if part is None:
            return answer.error(400, "InvalidNextToken")
        items = "".join(_spot_item(change) for change in part)
        return answer.said(
            '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<requestId>{uuid.uuid4()}</requestId><spotPriceHistorySet>{items}"
            f"</spotPriceHistorySet><nextToken>{escape(token)}</nextToken>"
            "</DescribeSpotPriceHistoryResponse>"
        )

    def _changes(self, region: str, form: Mapping[str, str]) -> list[Change]:
        """Return the changes of the range, newest first, and for each machine the one before it."""
        since = max(_time(form.get("StartTime"), self.now), self.now - KEPT)
        until = _time(form.get("EndTime"), self.now)
        kinds = {value for name, value in form.items() if name.startswith("InstanceType.")}
        products = {value for name, value in form.items() if name.startswith("ProductDescription.")}
        known = [
            change
            for change in sorted(self.spot, key=lambda change: change.at, reverse=True)
            if change.zone.startswith(region)
            and change.at < until
            and (not kinds or change.instance_type in kinds)
            and (not products or change.product in products)
        ]
        before: dict[tuple[str, str, str], Change] = {}
        for change in known:
            if change.at <= since:
                before.setdefault((change.instance_type, change.zone, change.product), change)
        return [change for change in known if change.at > since or change in before.values()]

    def _page(self, found: list[Any], token: str | None, most: int) -> tuple[list[Any] | None, str]:
        """Return a page and the token of the next one, "" after the last; None for a token that is
        not known.
        """
        if token:
            if token not in self._lists:
                return None, ""
            found = self._lists.pop(token)
        size = min(most, self.page)
        part, rest = found[:size], found[size:]
        if not rest:
            return part, ""
        following = uuid.uuid4().hex
        self._lists[following] = rest
        return part, following


@dataclass(frozen=True)
class _Answer:
    start: Start
    is_json: bool

    def said(self, text: str, status: int = 200) -> Iterable[bytes]:
        kind = "application/x-amz-json-1.1" if self.is_json else "text/xml;charset=UTF-8"
        self.start(f"{status} {'OK' if status == 200 else 'Error'}", [("Content-Type", kind)])
        return [text.encode()]

    def error(self, status: int, code: str) -> Iterable[bytes]:
        if self.is_json:
            return self.said(json.dumps({"__type": code, "message": f"{code}!"}), status)
        return self.said(
            f"<Response><Errors><Error><Code>{code}</Code><Message>{code}!</Message></Error>"
            f"</Errors><RequestID>{uuid.uuid4()}</RequestID></Response>",
            status,
        )


def _has(entry: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    attributes = entry["product"]["attributes"]
    return all(attributes.get(name) == value for name, value in wanted.items())


def _time(text: str | None, default: datetime) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else default


def _spot_item(change: Change) -> str:
    at = change.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<item><instanceType>{change.instance_type}</instanceType>"
        f"<productDescription>{change.product}</productDescription>"
        f"<spotPrice>{change.price}</spotPrice><timestamp>{at}</timestamp>"
        f"<availabilityZone>{change.zone}</availabilityZone></item>"
    )
