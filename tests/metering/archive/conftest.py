"""An archive on a real S3 server."""

import pytest

from apps.integrations.s3.client import RegistryStore
from tests.integrations import versitygw

BUCKET = "usage-archive"


@pytest.fixture(scope="session")
def archive_bucket(s3_server):
    """The bucket as production has it; keys stay for the whole run."""
    versitygw.make_bucket(RegistryStore(bucket=BUCKET))
    return BUCKET


@pytest.fixture
def archive(archive_bucket):
    """The archive of usage."""
    return RegistryStore(bucket=archive_bucket, name="archive of usage")
