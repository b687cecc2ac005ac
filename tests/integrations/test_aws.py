"""AWS's prices, read from our double of it by the real SDK."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from apps.integrations.aws import client as aws
from apps.integrations.aws.types import ListPrice, SpotPrice
from apps.integrations.errors import PermanentError, Refused, TemporaryError
from deploy.local.doubles.aws.prices import AwsDouble, Change, product

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def serving(double):
    server = make_server("127.0.0.1", 0, double, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def double():
    return AwsDouble(now=NOW)


@pytest.fixture
def prices(double, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    # a retry waits longer than a test should
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    with serving(double) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", url)
        yield aws.AwsPrices()


class TestListPrice:
    def test_is_of_the_machine_and_region_asked_for(self, double, prices):
        double.products = [
            product("g6.xlarge", "us-east-1", "0.8048000000"),
            product("g6.xlarge", "eu-central-1", "1.0059000000"),
            product("g6.2xlarge", "us-east-1", "0.9776000000"),
            product("g6.xlarge", "us-east-1", "1.10", sku="WINDOWS", operatingSystem="Windows"),
            product("g6.xlarge", "us-east-1", "0.9", sku="OWN", tenancy="Dedicated"),
        ]
        assert prices.list_price("g6.xlarge", "eu-central-1") == ListPrice(
            "g6.xlarge", "eu-central-1", Decimal("1.0059"), datetime(2026, 10, 1, tzinfo=UTC)
        )
        assert prices.list_price("g6.xlarge", "us-east-1").usd_per_hour == Decimal("0.8048")
        # the list is asked in its own region, whatever it is asked about
        assert set(double.asked) == {("GetProducts", "us-east-1")}

    def test_is_none_where_it_is_not_sold(self, prices):
        assert prices.list_price("g6.xlarge", "us-east-1") is None

    def test_is_found_behind_pages_that_hold_the_same_thing_twice(self, double, prices):
        found = product("g6.xlarge", "us-east-1", "0.8048")
        double.products, double.page = [found, found, found], 1
        assert prices.list_price("g6.xlarge", "us-east-1").usd_per_hour == Decimal("0.8048")
        assert len(double.asked) == 3

    def test_leaves_out_what_is_sold_in_another_way(self, double, prices):
        block = product(
            "p5.48xlarge", "us-east-1", "31.5", sku="BLOCK", marketoption="CapacityBlock"
        )
        double.products = [block, product("p5.48xlarge", "us-east-1", "55.04")]
        assert prices.list_price("p5.48xlarge", "us-east-1").usd_per_hour == Decimal("55.04")

    def test_is_refused_where_there_are_several(self, double, prices):
        double.products = [
            product("g6.xlarge", "us-east-1", price, sku=price) for price in ("0.8", "0.9")
        ]
        with pytest.raises(PermanentError, match="2 prices for g6.xlarge in us-east-1"):
            prices.list_price("g6.xlarge", "us-east-1")

    @pytest.mark.parametrize(
        "entry",
        [
            product("g6.xlarge", "us-east-1", "0.0000000000"),
            product("g6.xlarge", "us-east-1", "-1"),
            product("g6.xlarge", "us-east-1", "NaN"),
            product("g6.xlarge", "us-east-1", "free"),
            product("g6.xlarge", "us-east-1", "0.8", unit="Quantity"),
            product("g6.xlarge", "us-east-1", "0.8", effective="soon"),
            product("g6.xlarge", "us-east-1", "0.8") | {"terms": {"Reserved": {}}},
            product("g6.xlarge", "us-east-1", "0.8") | {"terms": {"OnDemand": {}}},
        ],
        ids=["nothing", "negative", "no number", "words", "unit", "date", "no terms", "no offer"],
    )
    def test_is_never_guessed(self, double, prices, entry):
        double.products = [entry]
        with pytest.raises(PermanentError):
            prices.list_price("g6.xlarge", "us-east-1")


class TestSpotHistory:
    def changes(self, *given):
        return [Change(kind, zone, price, NOW - back * HOUR) for kind, zone, price, back in given]

    def read(self, prices, kinds=("g6.xlarge",), region="us-east-1", since=10, until=0):
        return prices.spot_history(
            kinds, region, since=NOW - since * HOUR, until=NOW - until * HOUR
        )

    def test_is_every_change_and_the_price_before_them(self, double, prices):
        double.spot = self.changes(
            ("g6.xlarge", "us-east-1a", "0.30", 40),
            ("g6.xlarge", "us-east-1a", "0.35", 20),
            ("g6.xlarge", "us-east-1a", "0.4125", 5),
            ("g6.xlarge", "us-east-1a", "0.50", 1),
            ("g6.xlarge", "us-east-1b", "0.20", 3),
            ("g6.2xlarge", "us-east-1a", "0.90", 3),
            ("g6.xlarge", "eu-west-1a", "0.95", 3),
        ) + [Change("g6.xlarge", "us-east-1a", "9", NOW - HOUR * 4, product="Windows")]
        found = self.read(prices, until=2)
        assert found == [
            SpotPrice("g6.xlarge", "us-east-1a", Decimal("0.35"), NOW - 20 * HOUR),
            SpotPrice("g6.xlarge", "us-east-1a", Decimal("0.4125"), NOW - 5 * HOUR),
            SpotPrice("g6.xlarge", "us-east-1b", Decimal("0.20"), NOW - 3 * HOUR),
        ]
        assert double.asked == [("DescribeSpotPriceHistory", "us-east-1")]

    def test_asks_each_region_itself(self, double, prices):
        double.spot = self.changes(("g6.xlarge", "eu-west-1a", "0.95", 3))
        assert [price.zone for price in self.read(prices, region="eu-west-1")] == ["eu-west-1a"]
        assert double.asked == [("DescribeSpotPriceHistory", "eu-west-1")]

    def test_is_read_to_its_last_page(self, double, prices):
        double.page = 2
        double.spot = self.changes(
            *(("g6.xlarge", "us-east-1a", f"0.{number}", number / 10) for number in range(1, 8))
        )
        assert len(self.read(prices)) == 7
        assert len(double.asked) == 4

    def test_is_nothing_where_nobody_sold_any(self, prices):
        assert self.read(prices) == []

    def test_has_an_end(self, double, prices, monkeypatch):
        monkeypatch.setattr(aws, "MOST_PAGES", 2)
        double.page = 1
        double.spot = self.changes(
            *(("g6.xlarge", "us-east-1a", "0.1", number) for number in range(1, 5))
        )
        with pytest.raises(PermanentError, match="more than 2 pages"):
            self.read(prices)

    def test_does_not_follow_the_same_token_for_ever(self, double, prices, monkeypatch):
        double.page = 1
        double.spot = self.changes(
            *(("g6.xlarge", "us-east-1a", "0.1", number) for number in range(1, 4))
        )
        monkeypatch.setattr(double, "_page", lambda found, token, most: (found[:1], "again"))
        with pytest.raises(PermanentError, match="does not come to an end"):
            self.read(prices)

    @pytest.mark.parametrize("price", ["0", "-0.1", "much"])
    def test_is_never_guessed(self, double, prices, price):
        double.spot = self.changes(("g6.xlarge", "us-east-1a", price, 3))
        with pytest.raises(PermanentError, match="g6.xlarge in us-east-1a costs"):
            self.read(prices)


class TestErrors:
    def spot(self, prices):
        return prices.spot_history(["g6.xlarge"], "us-east-1", since=NOW - HOUR, until=NOW)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (503, "RequestLimitExceeded", TemporaryError),
            (500, "InternalError", TemporaryError),
            (403, "UnauthorizedOperation", Refused),
            (400, "InvalidParameterValue", PermanentError),
        ],
    )
    def test_of_ec2_are_ours(self, double, prices, status, code, error):
        double.fail_next((status, code))
        with pytest.raises(error) as caught:
            self.spot(prices)
        assert code in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (400, "ThrottlingException", TemporaryError),
            (400, "ExpiredNextTokenException", TemporaryError),
            (400, "AccessDeniedException", Refused),
            (400, "NotFoundException", PermanentError),
        ],
    )
    def test_of_the_price_list_are_ours(self, double, prices, status, code, error):
        double.fail_next((status, code))
        with pytest.raises(error):
            prices.list_price("g6.xlarge", "us-east-1")

    def test_a_busy_answer_is_asked_for_again(self, double, prices, monkeypatch):
        monkeypatch.setattr(aws, "ATTEMPTS", 2)
        double.fail_next((503, "RequestLimitExceeded"))
        assert self.spot(aws.AwsPrices()) == []
        assert len(double.asked) == 2

    def test_nobody_there_is_temporary(self, monkeypatch, prices):
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1")
        with pytest.raises(TemporaryError, match="cannot be reached"):
            self.spot(aws.AwsPrices())

    def test_no_identity_is_said(self, monkeypatch, prices, tmp_path):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(PermanentError, match="no AWS identity"):
            self.spot(aws.AwsPrices())


class TestClientFromSettings:
    def test_is_there_where_aws_is_to_be_asked(self, settings):
        assert aws.client_from_settings() is None
        settings.AWS_PRICES = True
        assert isinstance(aws.client_from_settings(), aws.AwsPrices)
