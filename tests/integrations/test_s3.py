"""The registry store against a real S3 server."""

import base64
import hashlib
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import (
    AlreadyExists,
    NotThere,
    RegistryStore,
    client_from_settings,
)
from portal.settings import BASE_DIR
from tests.integrations import versitygw

MIB = 1024 * 1024


@pytest.fixture
def key() -> str:
    return f"model-{uuid.uuid4().hex[:12]}/v1/weights.safetensors"


@pytest.fixture
def until() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


def upload(store: RegistryStore, key: str, until: datetime, *bodies: bytes) -> None:
    upload_id = store.start_upload(key, locked_until=until)
    parts = [
        store.upload_part(key, upload_id, number=n, body=body)
        for n, body in enumerate(bodies, start=1)
    ]
    store.complete_upload(key, upload_id, parts)


class TestUpload:
    def test_makes_one_object_of_its_parts(self, store, key, until):
        upload(store, key, until, b"a" * 5 * MIB, b"b" * 7)
        assert b"".join(store.read(key)) == b"a" * 5 * MIB + b"b" * 7

    def test_takes_parts_in_any_order_and_twice(self, store, key, until):
        upload_id = store.start_upload(key, locked_until=until)
        second = store.upload_part(key, upload_id, number=2, body=b"end")
        store.upload_part(key, upload_id, number=1, body=b"x" * 5 * MIB)
        first = store.upload_part(key, upload_id, number=1, body=b"a" * 5 * MIB)
        store.complete_upload(key, upload_id, [second, first])
        assert store.head(key).size == 5 * MIB + 3

    def test_never_overwrites(self, store, key, until):
        upload(store, key, until, b"first")
        with pytest.raises(AlreadyExists, match="ever overwritten"):
            upload(store, key, until, b"second")
        assert b"".join(store.read(key)) == b"first"

    def test_says_when_the_upload_is_gone(self, store, key, until):
        upload_id = store.start_upload(key, locked_until=until)
        store.abort_upload(key, upload_id)
        store.abort_upload(key, upload_id)
        with pytest.raises(NotThere):
            store.upload_part(key, upload_id, number=1, body=b"late")


class TestListParts:
    def test_tells_of_each_part_with_its_checksum(self, store, key, until):
        upload_id = store.start_upload(key, locked_until=until)
        sent = [
            store.upload_part(key, upload_id, number=number, body=body)
            for number, body in ((2, b"end"), (1, b"a" * 5 * MIB))
        ]
        listed = store.list_parts(key, upload_id)
        assert listed == sorted(sent, key=lambda part: part.number)
        digest = hashlib.sha256(b"end").digest()
        assert listed[1].checksum == base64.b64encode(digest).decode()

    def test_says_when_the_upload_is_gone(self, store, key, until):
        upload_id = store.start_upload(key, locked_until=until)
        store.abort_upload(key, upload_id)
        with pytest.raises(NotThere):
            store.list_parts(key, upload_id)


class TestPutNew:
    def test_writes_once_and_locks(self, store, key, until):
        store.put_new(key, b"{}", locked_until=until)
        with pytest.raises(AlreadyExists):
            store.put_new(key, b"other", locked_until=until)
        stored = store.head(key)
        assert stored.locked_until == until
        assert versitygw.refused(store, key, stored.version_id)


class TestLock:
    def test_locks_an_object_and_can_run_again(self, store, key, until):
        upload(store, key, until, b"weights")
        store.lock(store.head(key), until=until)
        store.lock(store.head(key), until=until)
        assert store.head(key).locked_until == until

    def test_never_shortens(self, store, key, until):
        store.put_new(key, b"{}", locked_until=until)
        store.lock(store.head(key), until=until - timedelta(hours=5))
        assert store.head(key).locked_until == until


class TestRead:
    def test_says_when_nothing_is_there(self, store, key):
        assert store.head(key) is None
        with pytest.raises(NotThere):
            list(store.read(key))

    def test_refuses_a_small_object_that_is_large(self, store, key, until):
        store.put_new(key, b"x" * 100, locked_until=until)
        assert store.read_small(key, limit=100) == b"x" * 100
        with pytest.raises(PermanentError, match="larger than"):
            store.read_small(key, limit=99)

    def test_lists_every_key_of_a_prefix(self, store, key, until):
        prefix = key.rsplit("/", 1)[0] + "/"
        for name in ("b", "a"):
            store.put_new(prefix + name, b"1", locked_until=until)
        assert store.list_keys(prefix) == [prefix + "a", prefix + "b"]


class TestBucketFacts:
    def test_are_what_the_store_tells_and_nothing_else(self, store):
        facts = store.bucket_facts()
        assert (facts.versioning, facts.object_lock) == ("Enabled", True)
        assert facts.retention_days == 0
        # this store has neither: that is not known, and not the same as not set
        assert facts.encryption is None
        assert facts.replication is None

    def test_says_when_the_bucket_is_missing(self, s3_server):
        with pytest.raises(PermanentError):
            RegistryStore(bucket="no-such-bucket").bucket_facts()


class TestAddress:
    """Where a bucket is looked for; a signed address is made without asking anybody."""

    @pytest.fixture
    def host_and_path(self, settings, monkeypatch, key):
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")

        def made(addressing, endpoint=""):
            if endpoint:
                monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
            settings.S3_ADDRESSING, settings.REGISTRY_BUCKET = addressing, "models"
            client_from_settings.cache_clear()
            store = client_from_settings()
            part = store.sign_part(
                key, "u", number=1, size=5, sha256="0" * 64, lifetime=timedelta(minutes=1)
            )
            found = urlsplit(part.url)
            return found.netloc, found.path.removesuffix(key)

        yield made
        client_from_settings.cache_clear()

    def test_is_a_host_of_its_own_on_aws(self, host_and_path):
        host, path = host_and_path("auto")
        assert host in ("models.s3.eu-central-1.amazonaws.com", "models.s3.amazonaws.com")
        assert path == "/"

    def test_is_in_the_path_of_another_server(self, host_and_path):
        endpoint = "http://minio.internal:9000"
        assert host_and_path("path", endpoint) == ("minio.internal:9000", "/models/")
        assert host_and_path("virtual", endpoint) == ("models.minio.internal:9000", "/")

    @pytest.mark.parametrize(
        ("given", "addressing"),
        [
            ({}, "auto"),
            ({"AWS_ENDPOINT_URL_S3": "http://minio.internal:9000"}, "path"),
            ({"AWS_ENDPOINT_URL": "http://minio.internal:9000"}, "path"),
            ({"AWS_ENDPOINT_URL_S3": "http://x:9000", "S3_ADDRESSING": "virtual"}, "virtual"),
        ],
    )
    def test_follows_from_whether_a_server_is_named(self, given, addressing):
        kept = {name: value for name, value in os.environ.items() if "AWS_ENDPOINT" not in name}
        said = subprocess.run(
            [sys.executable, "-c", "from portal import settings; print(settings.S3_ADDRESSING)"],
            env=kept | given,
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == addressing


class TestServerAway:
    def test_is_temporary(self, s3_server, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        away = RegistryStore(bucket="model-registry", connect_timeout=0.2)
        with pytest.raises(TemporaryError, match="cannot be reached"):
            away.head("model/v1/config.json")
