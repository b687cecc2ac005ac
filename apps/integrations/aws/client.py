"""AWS's prices of machines: the public price list, and the history of Spot prices.

boto3 reads credentials (IRSA in production, no key) and AWS_ENDPOINT_URL_PRICING and _EC2 from the
environment. The price list answers in a few regions only and tells of all of them; Spot prices are
asked for in the region itself. Every call has a timeout and few retries of its own, every list is
read page by page and to a bound; what still fails is TemporaryError or PermanentError.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from django.conf import settings

from apps.integrations.aws.types import ListPrice, SpotPrice
from apps.integrations.errors import NotFound, PermanentError, Refused, TemporaryError

PRICE_LIST_REGION = "us-east-1"
LINUX = "Linux/UNIX"
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 3, 30, 3
MOST_PAGES = 500
PAGE_OF_PRICES, PAGE_OF_SPOT = 100, 1000
MACHINE = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
# Where these are still several, the license and the way it is sold tell them apart.
PLAIN = {"licenseModel": "No License required", "marketoption": "OnDemand"}
BUSY = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalErrorException",
        "InternalError",
        "ServiceUnavailable",
        "Unavailable",
        # a list that changed, or was read too slowly: it is read again from its start
        "ExpiredNextTokenException",
        "InvalidNextTokenException",
        "InvalidNextToken",
    }
)
REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
Page = Mapping[str, Any]


class AwsPrices:
    """Reads prices. One instance serves one thread; its clients are made when they are needed."""

    def __init__(
        self, *, connect_timeout: float = CONNECT_TIMEOUT, read_timeout: float = READ_TIMEOUT
    ) -> None:
        self._config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        self._session: Any = boto3.session.Session()
        self._clients: dict[tuple[str, str], Any] = {}

    def list_price(self, instance_type: str, region: str) -> ListPrice | None:
        """Return what a Linux machine of this type costs on demand; None where it is not sold.

        Raises PermanentError where the list has several prices for it, or one that cannot be.
        """
        wanted = {"instanceType": instance_type, "regionCode": region} | MACHINE
        found = self._products(wanted)
        if len(found) > 1:
            found = self._products(wanted | PLAIN)
        if len(found) > 1:
            raise PermanentError(
                f"AWS lists {len(found)} prices for {instance_type} in {region}, not one."
            )
        return _list_price(found[0], instance_type, region) if found else None

    def spot_history(
        self, instance_types: Sequence[str], region: str, *, since: datetime, until: datetime
    ) -> list[SpotPrice]:
        """Return the Spot prices of a region in [since, until), oldest first: every change, and
        the one before `since` that was in force then. AWS keeps 90 days.
        """
        client = self._client("ec2", region)
        asked = {
            "InstanceTypes": list(instance_types),
            "ProductDescriptions": [LINUX],
            "StartTime": since,
            "EndTime": until,
            "MaxResults": PAGE_OF_SPOT,
        }
        what = f"Spot prices in {region}"
        pages = _pages(client.describe_spot_price_history, asked, what)
        found = {_spot(item) for page in pages for item in page.get("SpotPriceHistory", [])}
        return sorted(found, key=lambda price: (price.at, price.zone, price.instance_type))

    def _products(self, wanted: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return the products that have these attributes, one for each SKU."""
        asked = {
            "ServiceCode": "AmazonEC2",
            "FormatVersion": "aws_v1",
            "Filters": [
                {"Type": "TERM_MATCH", "Field": name, "Value": value}
                for name, value in wanted.items()
            ],
            "MaxResults": PAGE_OF_PRICES,
        }
        client = self._client("pricing", PRICE_LIST_REGION)
        pages = _pages(client.get_products, asked, f"the price of {wanted['instanceType']}")
        found = [_product(text) for page in pages for text in page.get("PriceList", [])]
        return list({str(product["product"]["sku"]): product for product in found}.values())

    def _client(self, service: str, region: str) -> Any:
        key = (service, region)
        if key not in self._clients:
            with _translated(region):
                self._clients[key] = self._session.client(
                    service, region_name=region, config=self._config
                )
        return self._clients[key]


def client_from_settings() -> AwsPrices | None:
    """Return the client; None where AWS is not to be asked for prices (AWS_PRICES)."""
    return AwsPrices() if settings.AWS_PRICES else None


def _pages(call: Callable[..., Any], asked: Mapping[str, object], what: str) -> Iterator[Page]:
    """Yield every page of a list. EC2 ends with an empty token, the price list without one."""
    token = ""
    for _ in range(MOST_PAGES):
        with _translated(what):
            page: Page = call(**asked, **({"NextToken": token} if token else {}))
        yield page
        following = str(page.get("NextToken") or "")
        if not following:
            return
        if following == token:
            raise PermanentError(f"AWS does not come to an end with {what}.")
        token = following
    raise PermanentError(f"AWS has more than {MOST_PAGES} pages of {what}.")


def _product(text: object) -> Mapping[str, Any]:
    """Read an entry of the price list: JSON in a string."""
    try:
        product = json.loads(str(text))
        _ = product["product"]["sku"]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError("AWS answered with a price that cannot be read.") from error
    return dict(product)


def _list_price(product: Mapping[str, Any], instance_type: str, region: str) -> ListPrice:
    what = f"{instance_type} in {region}"
    try:
        (offer,) = product["terms"]["OnDemand"].values()
        (dimension,) = offer["priceDimensions"].values()
        unit, price = dimension["unit"], dimension["pricePerUnit"]["USD"]
        effective = datetime.fromisoformat(offer["effectiveDate"].replace("Z", "+00:00"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PermanentError(f"AWS lists {what} in a way that cannot be read.") from error
    if unit != "Hrs" or effective.tzinfo is None:
        raise PermanentError(f"AWS lists {what} by {unit}, not by the hour.")
    return ListPrice(instance_type, region, _price(price, what), effective)


def _spot(item: Mapping[str, Any]) -> SpotPrice:
    try:
        kind, zone, at = item["InstanceType"], item["AvailabilityZone"], item["Timestamp"]
        price = item["SpotPrice"]
    except KeyError as error:
        raise PermanentError("AWS answered with a Spot price that cannot be read.") from error
    return SpotPrice(str(kind), str(zone), _price(price, f"{kind} in {zone}"), at)


def _price(text: object, what: str) -> Decimal:
    try:
        price = Decimal(str(text))
    except InvalidOperation:
        price = Decimal(0)
    if not price.is_finite() or price <= 0:
        raise PermanentError(f"AWS says that {what} costs {str(text)[:40]}.")
    return price


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, what) from error
    except NoCredentialsError as error:
        raise PermanentError("There is no AWS identity here to ask for prices with.") from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise TemporaryError(f"AWS cannot be reached: {type(error).__name__}.") from error


def _refusal(error: ClientError, what: str) -> Exception:
    said = error.response.get("Error", {})
    code, message = str(said.get("Code", "")), str(said.get("Message", ""))[:300]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in BUSY or status == 429 or status >= 500:
        return TemporaryError(f"AWS is busy: {code or status}.")
    if code == "NotFoundException":
        return NotFound(f"AWS knows nothing of {what}.")
    if code in REFUSALS or status in (401, 403):
        return Refused(f"AWS does not let us read {what}: {code}. {message}".strip(), status=status)
    return PermanentError(f"AWS refused to tell {what}: {code or status}. {message}".strip())
