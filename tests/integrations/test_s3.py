"""The registry store against a real S3 server."""

import base64
import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, NotThere, RegistryStore
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


class TestServerAway:
    def test_is_temporary(self, s3_server, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        away = RegistryStore(bucket="model-registry", connect_timeout=0.2)
        with pytest.raises(TemporaryError, match="cannot be reached"):
            away.head("model/v1/config.json")
