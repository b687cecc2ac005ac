"""What the portal reads back of a real Envoy that was configured from the gateway's objects."""

import pytest

from apps.integrations.envoy_admin.client import EnvoyAdmin
from apps.integrations.envoy_admin.reading import EnvoyRoute
from tests.local.gateway_stand import binaries, eventually, stand

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A running gateway with two models: one split over two versions, and one for nobody."""
    with stand(tmp_path_factory.mktemp("gateway"), binaries()) as running:
        limits = {"claims-review": 1000, "prior-auth": 500}
        running.publish("extract", {"extract-v1": 70, "extract-v2": 30}, limits)
        running.publish("summary", {"summary-v7": 100}, {})
        yield running


def read(gateway):
    admin = EnvoyAdmin(f"http://127.0.0.1:{gateway.wiring.admin_port}")
    try:
        return admin.routes()
    finally:
        admin.close()


class TestEnvoyAdmin:
    def test_reads_weights_teams_and_limits_of_each_model(self, gateway):
        found = eventually(lambda: read(gateway) if len(read(gateway)) == 2 else None)
        teams = ("claims-review", "prior-auth")
        assert found == {
            "extract": EnvoyRoute({"extract-v1": 70, "extract-v2": 30}, (), teams, teams),
            "summary": EnvoyRoute({"summary-v7": 100}, (), (), ()),
        }

    def test_sees_a_change_that_was_made(self, gateway):
        gateway.publish("extract", {"extract-v1": 10, "extract-v2": 90}, {"prior-auth": 500})
        wanted = EnvoyRoute({"extract-v1": 10, "extract-v2": 90}, (), ("prior-auth",),
                            ("prior-auth",))  # fmt: skip
        assert eventually(lambda: read(gateway).get("extract") == wanted)
