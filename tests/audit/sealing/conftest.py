"""A record with some events, and a real bucket to anchor it in."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.audit.sealing.keeper import Keeper
from apps.common.signing import FileSigner
from apps.integrations.s3.client import RegistryStore
from tests.factories import NOW, TeamFactory
from tests.integrations import versitygw

# the tests' clock stands still; that of S3 does not
KEEP = timedelta(days=3650)
ORIGIN = "portal.example/audit"


@pytest.fixture
def write(request):
    """Write events about two teams in turn; return them."""
    if "committed" not in request.fixturenames:
        request.getfixturevalue("db")
    teams = [TeamFactory(slug="team-one"), TeamFactory(slug="team-two")]

    def write(count=1, **facts):
        return [
            record(
                action=Action.COST_CENTER_ASSIGNED,
                actor=System("tests"),
                target=teams[number % 2],
                now=NOW,
                data={"number": number},
                **facts,
            )
            for number in range(count)
        ]

    return write


@pytest.fixture
def signer():
    """The record's key."""
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def keeper(s3_server, signer, request):
    """Keeps the record in a bucket of this test's own."""
    name = f"audit-{abs(hash(request.node.nodeid)):x}"[:40]
    store = RegistryStore(bucket=name, name="anchor of the record")
    versitygw.make_bucket(store)
    return Keeper(
        store=store,
        signer=signer,
        origin=ORIGIN,
        every=timedelta(minutes=5),
        keep=KEEP,
    )
