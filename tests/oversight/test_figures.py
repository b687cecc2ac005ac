"""The platform's own figures: what rows tell, what nobody knows, and what is sent."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.catalog.models import ModelVersion
from apps.common.otlp.messages import ExportMetricsServiceRequest
from apps.gateway.effective.models import GatewayLook
from apps.integrations.otlp import gauges
from apps.integrations.otlp.client import OtlpClient
from apps.metering.models import SealedHour
from apps.oversight.figures import LASTS, NAMES, age_words, figures, reconcile_lag
from apps.oversight.figures import gauges as known
from tests.factories import ModelVersionFactory, UserFactory, create_event
from tests.pages import joined
from worker.schedule import SCHEDULE
from worker.tasks.oversight import tell_figures

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def call(at):
    return create_event(
        event_id=uuid4(), occurred_at=at, received_at=at, received_via="OTLP", team="a", model="m",
        outcome="REFUSED", response_code=403,
    )  # fmt: skip


def value_of(key, moment=NOW):
    return {one.key: one for one in figures(moment)}[key].value


class TestFigures:
    def test_say_what_nobody_knows_and_send_none_of_it(self):
        found = {one.key: one for one in figures(NOW)}
        assert (found["ingest_age"].value, found["ingest_age"].words) == (None, "not known")
        assert (found["gate"].value, found["gate"].words) == (None, "not known")
        sent = {one.name for one in known(NOW, None)}
        assert sent == {"quartermaster.reconcile.lag", "quartermaster.record.unsealed_age"}

    def test_are_those_of_the_newest_call_and_of_the_newest_sealed_hour(self):
        for minutes in (5, 90):
            call(NOW - timedelta(minutes=minutes))
        hour = NOW.replace(minute=0, second=0, microsecond=0)
        for back in (8, 9):
            SealedHour.objects.create(hour=hour - timedelta(hours=back), sealed_at=NOW)
        assert value_of("ingest_age") == 300
        assert value_of("ledger_age") == (NOW - hour + timedelta(hours=7)).total_seconds()

    @pytest.mark.parametrize(("gate", "value"), [("ACCEPTED", 1), ("REFUSED", 0), ("", None)])
    def test_tell_whether_the_gate_is_there(self, gate, value):
        GatewayLook.objects.create(looked_at=NOW, cluster_read_at=NOW, gate=gate)
        assert value_of("gate") == value

    def test_tell_of_the_row_that_waits_longest_of_those_that_are_due(self):
        versions = [ModelVersionFactory(), ModelVersionFactory()]
        rows = ModelVersion.objects.filter(pk=versions[0].pk)
        ModelVersion.objects.update(next_check_at=NOW - timedelta(minutes=2))
        assert reconcile_lag(NOW) == 120
        ModelVersion.objects.update(next_check_at=None)
        rows.update(next_check_at=NOW + timedelta(hours=1))
        assert reconcile_lag(NOW) == 0
        rows.update(next_check_at=NOW - timedelta(minutes=7))
        assert reconcile_lag(NOW) == 420


class TestTellFigures:
    @pytest.fixture
    def came(self, monkeypatch, settings):
        """What comes to an endpoint that is named."""
        found = []

        def take(request):
            found.append(request)
            return httpx.Response(200)

        settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://collector.test:4318"
        monkeypatch.setattr(
            gauges, "OtlpClient",
            lambda base, headers: OtlpClient(base, headers, httpx.MockTransport(take)),
        )  # fmt: skip
        return found

    def test_sends_each_by_its_name_and_unit(self, came):
        call(timezone.now() - timedelta(minutes=5))
        sent = timezone.now() - timedelta(seconds=12)
        tell_figures.push_request(expires=(sent + LASTS).isoformat())  # as messages have it
        try:
            tell_figures.run()
        finally:
            tell_figures.pop_request()
        (request,) = came
        assert str(request.url) == "http://collector.test:4318/v1/metrics"
        (group,) = ExportMetricsServiceRequest.FromString(request.content).resource_metrics
        metrics = {one.name: one for one in group.scope_metrics[0].metrics}
        assert set(metrics) <= {name for name, *_ in NAMES.values()}
        age = metrics["quartermaster.ingest.age"]
        assert age.unit == "s"
        assert 300 <= age.gauge.data_points[0].as_double < 330
        waited = metrics["quartermaster.queue.age"].gauge.data_points[0].as_double
        assert 12 <= waited < 40

    def test_sends_nothing_where_no_endpoint_is_named(self, came, settings):
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = ""
        tell_figures.apply()
        assert came == []

    def test_knows_for_how_long_its_message_lasts(self):
        entry = SCHEDULE["tell-figures"]
        assert entry["options"]["expires"] == LASTS.total_seconds()


def test_are_shown_to_those_who_oversee(client, charlie):
    call(timezone.now() - timedelta(minutes=5))
    client.force_login(UserFactory(username="ada", with_roles=[Role.AUDITOR]))
    text = joined(client.get("/gateway/drift/").content)
    assert "What should happen by itself" in text
    assert "Newest call began" in text and "5 min" in text
    assert "Gate in front of calls" in text and "not known" in text
    client.force_login(charlie)
    assert client.get("/gateway/drift/").status_code == 404


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(8.9, "8 s"), (240, "4 min"), (11_100, "3 h 5 min"), (183_600, "2 d 3 h")],
)
def test_age_words(seconds, words):
    assert age_words(seconds) == words
