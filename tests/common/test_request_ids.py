"""The id of a request, in the lines of the log."""

import logging

from apps.common.request_ids import RequestIdFilter, current_request_id


class TestRequestIdFilter:
    def test_keeps_every_line_and_names_its_request(self):
        record = logging.makeLogRecord({})
        assert RequestIdFilter().filter(record) is True
        assert record.request_id == "-"
        token = current_request_id.set("abc")
        assert RequestIdFilter().filter(record) is True
        current_request_id.reset(token)
        assert record.request_id == "abc"
