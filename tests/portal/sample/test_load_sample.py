"""The sample: through actions, and again without harm."""

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditEvent
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.chargeback.models import PriceChange, Rate
from apps.evals.models import EvalSuite, SuitePacket
from tests.catalog.samples import folder

pytestmark = pytest.mark.django_db


@pytest.fixture
def weights(tmp_path):
    for name in ("smollm2", "smollm2-short"):
        (tmp_path / name).mkdir()
        for file, body in folder().items():
            (tmp_path / name / file).write_bytes(body)
        (tmp_path / name / ".sample.json").write_text("{}")
    (tmp_path / "smollm2-short" / "generation_config.json").write_text('{"max_new_tokens": 8}')
    return tmp_path


class TestLoadSample:
    def test_makes_models_suite_and_prices_once(self):
        for _ in range(2):
            call_command("load_sample", verbosity=0)
        assert set(RegisteredModel.objects.values_list("name", flat=True)) == {
            "prior-auth-extract",
            "clinical-summary",
        }
        suites = {row.slug: (row.packet_count, row.judges) for row in EvalSuite.objects.all()}
        assert suites == {
            "prior-auth-extraction": (208, []),
            "clinical-summary": (208, []),
            "prior-auth-small": (24, ["*"]),
        }
        assert SuitePacket.objects.count() == 208 + 24
        assert Rate.objects.count() == 2 * 3
        changes = PriceChange.objects.values_list("status", "requested_by", "decided_by")
        assert len(changes) == 2 and all(
            status == "PUBLISHED" and proposer != publisher
            for status, proposer, publisher in changes
        )
        assert AuditEvent.objects.filter(action="model.registered").count() == 2

    def test_publishes_two_versions_once(self, s3_server, weights):
        for _ in range(2):
            call_command("load_sample", versions=weights, verbosity=0)
        rows = ModelVersion.objects.order_by("number")
        assert [(row.number, row.status, row.files.count()) for row in rows] == [
            (1, "SIGNING", 3),
            (2, "SIGNING", 4),
        ]

    def test_says_when_the_weights_are_missing(self, tmp_path):
        with pytest.raises(CommandError, match="does not exist"):
            call_command("load_sample", versions=tmp_path, verbosity=0)
