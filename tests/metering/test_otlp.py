"""The part of OTLP that is declared here, against bytes of the official messages.

Both texts were written by opentelemetry-proto 1.45.2, the first with every field of a logs request.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.common.otlp import wire
from apps.common.otlp.messages import ExportLogsServiceRequest
from apps.metering import otlp

REQUEST = bytes.fromhex(
    "0a96030a1b0a170a0c736572766963652e6e616d6512070a05656e766f79100112cd020a1d0a0c656e766f79"
    "2e6163636573731204312e34301a070a016b1202100112ee0109000006c110fde41810091a04494e464f2a0a"
    "0a086f6e652063616c6c32170a047465616d120f0a0d636c61696d732d72657669657732150a06746f6b656e"
    "73120b18f9ffffffffffffffff0132140a077365636f6e6473120921000000000000d03f320e0a0873747265"
    "616d656412021001320b0a05656d70747912020a00320b0a0372617712043a0200ff320e0a046c6973741206"
    "2a040a02180132120a036d6170120b32090a070a01611202180132090a076e6f7468696e6738034501000000"
    "4a10010101010101010101010101010101015208020202020202020259010006c110fde418620463616c6c12"
    "1232100a047465616d12080a067365636f6e641a2768747470733a2f2f6f70656e74656c656d657472792e69"
    "6f2f736368656d61732f312e33362e301a2768747470733a2f2f6f70656e74656c656d657472792e696f2f73"
    "6368656d61732f312e33362e300a1512131211320f0a047465616d12070a057468697264"
)
RESPONSE = bytes.fromhex("0a190802121573746172745f74696d65206973206e6f2074696d65")
TEXT = st.text(max_size=8)
RECORD = st.dictionaries(TEXT, st.one_of(TEXT, st.integers(-5, 5), st.booleans()), max_size=4)
GROUPS = st.lists(st.lists(st.lists(RECORD, max_size=3), max_size=3), max_size=3)


def values_of(body):
    return [entry.values for entry in otlp.read_batch(body)]


def test_reads_every_record_of_every_scope_and_resource():
    first, *others = values_of(REQUEST)
    assert first == {
        "team": "claims-review",
        "tokens": -7,
        "seconds": 0.25,
        "streamed": True,
        "empty": "",
        "raw": None,
        "list": None,
        "map": None,
        "nothing": None,
    }
    assert others == [{"team": "second"}, {"team": "third"}]


def test_answers_as_the_official_messages_do():
    assert otlp.answer(2, "start_time is no time") == RESPONSE
    assert otlp.answer(0, "") == b""


@pytest.mark.parametrize("cut", [1, 6, 200, len(REQUEST) - 1])
def test_refuses_what_was_cut_off(cut):
    with pytest.raises(wire.BadBatch):
        otlp.read_batch(REQUEST[:cut])


def test_leaves_out_only_the_record_whose_text_is_not_utf_8():
    body = REQUEST.replace(b"claims-review", b"claims-revie\xff")
    assert values_of(body) == [{}, {"team": "second"}, {"team": "third"}]
    torn = otlp.read_batch(body)[0]
    assert (torn.record, torn.problem) == (None, "a record cannot be read")


def test_stands_beside_the_older_messages_that_come_with_envoys():
    """One process may read usage and speak with Envoy."""
    from envoy.extensions.access_loggers.open_telemetry.v3 import logs_service_pb2

    assert [
        file.name
        for file in logs_service_pb2.DESCRIPTOR.dependencies
        if "proto/common" in file.name
    ]
    assert otlp.read_batch(REQUEST)


def batch_of(groups):
    """Return a batch of resources of scopes of records."""
    request = ExportLogsServiceRequest()
    for scopes in groups:
        resource = request.resource_logs.add()
        for records in scopes:
            scope = resource.scope_logs.add()
            for values in records:
                record = scope.log_records.add()
                for key, value in values.items():
                    target = record.attributes.add(key=key).value
                    if isinstance(value, bool):
                        target.bool_value = value
                    elif isinstance(value, int):
                        target.int_value = value
                    else:
                        target.string_value = value
    return request.SerializeToString()


class TestReadBatch:
    @given(GROUPS)
    @settings(max_examples=60)
    def test_finds_every_record_in_its_order(self, groups):
        found = otlp.read_batch(batch_of(groups))
        expected = [values for scopes in groups for records in scopes for values in records]
        assert [entry.values for entry in found] == expected

    @given(st.binary(max_size=60))
    @settings(max_examples=200)
    def test_reads_or_refuses_whatever_comes(self, body):
        try:
            otlp.read_batch(body)
        except (wire.BadBatch, wire.TooMany):
            return

    @pytest.mark.parametrize(
        "body",
        [b"\x0a", b"\x0a\x05\x00", b"\x0b\x00", b"\xff" * 11, b"\x08\x01", b"\x0d\x00", b"\x80"],
    )
    def test_refuses_what_is_torn_or_foreign(self, body):
        with pytest.raises(wire.BadBatch):
            otlp.read_batch(body)
