"""Where bills lie, and what their manifests may say."""

import json
from datetime import date

import pytest

from apps.chargeback.bills.manifest import (
    MOST_FILES,
    BadBill,
    Export,
    export_from_settings,
    parse,
)

NOVEMBER = date(2026, 11, 1)
EXPORT = Export("bucket", "a/b/", "cur2")
DATA = "s3://bucket/a/b/cur2/data/BILLING_PERIOD=2026-11/"


def body(*files, **more):
    return json.dumps({"executionId": "e-1", "dataFiles": list(files)} | more).encode()


class TestExport:
    def test_knows_its_places(self):
        assert EXPORT.address == "s3://bucket/a/b/cur2"
        assert Export("bucket", "", "cur2").address == "s3://bucket/cur2"
        assert EXPORT.manifest_key(NOVEMBER) == (
            "a/b/cur2/metadata/BILLING_PERIOD=2026-11/cur2-Manifest.json"
        )
        assert EXPORT.data(NOVEMBER) == "a/b/cur2/data/BILLING_PERIOD=2026-11/"

    @pytest.mark.parametrize(
        ("key", "month"),
        [
            ("a/b/cur2/metadata/BILLING_PERIOD=2026-11/cur2-Manifest.json", NOVEMBER),
            ("a/b/cur2/metadata/BILLING_PERIOD=2026-02/cur2-Manifest.json", date(2026, 2, 1)),
            ("a/b/cur2/metadata/BILLING_PERIOD=2026-13/cur2-Manifest.json", None),
            ("a/b/cur2/metadata/BILLING_PERIOD=2026-00/cur2-Manifest.json", None),
            ("a/b/cur2/metadata/BILLING_PERIOD=0000-01/cur2-Manifest.json", None),
            ("a/b/cur2/metadata/BILLING_PERIOD=2026-11/other-Manifest.json", None),
            ("a/b/cur2/metadata/BILLING_PERIOD=2026-11/20261101-x/cur2-Manifest.json", None),
            ("a/b/cur2/metadata/cur2-Manifest.json", None),
            ("else/metadata/BILLING_PERIOD=2026-11/cur2-Manifest.json", None),
            ("BILLING_PERIOD=2026-11/cur2-Manifest.json", None),
        ],
    )
    def test_knows_the_month_of_a_manifest(self, key, month):
        assert EXPORT.month_of(key) == month

    def test_is_what_the_settings_say(self, settings):
        assert export_from_settings() is None
        settings.CUR_BUCKET, settings.CUR_PREFIX, settings.CUR_EXPORT = "bills", "x", "cur2"
        settings.CUR_ACCOUNTS = frozenset({"111"})
        assert export_from_settings() == Export("bills", "x", "cur2", frozenset({"111"}))


class TestParse:
    def test_tells_the_files_in_their_order(self):
        found = parse(body(DATA + "b.parquet", DATA + "a.parquet"), EXPORT, NOVEMBER)
        place = EXPORT.data(NOVEMBER)
        assert found.execution_id == "e-1"
        assert found.keys == (f"{place}b.parquet", f"{place}a.parquet")

    @pytest.mark.parametrize(
        ("told", "reason"),
        [
            (body(), "MANIFEST"),
            (body(DATA + "a.parquet", executionId=""), "MANIFEST"),
            (body(DATA + "a.parquet", executionId=5), "MANIFEST"),
            (body(dataFiles={"a": 1}), "MANIFEST"),
            (body(*[f"{DATA}{n}.parquet" for n in range(MOST_FILES + 1)]), "MANIFEST"),
            (body(DATA + "a.parquet", DATA + "a.parquet"), "MANIFEST"),
            (body(DATA + "a.csv.gz"), "FORMAT"),
            (body(DATA.replace("2026-11", "2026-10") + "a.parquet"), "OTHER_MONTH"),
            (body(DATA.replace("bucket", "theirs") + "a.parquet"), "OTHER_MONTH"),
            (body(DATA + "../BILLING_PERIOD=2026-10/a.parquet"), "OTHER_MONTH"),
            (b"{", "MANIFEST"),
            (b"null", "MANIFEST"),
        ],
    )
    def test_refuses_what_is_no_manifest_of_the_month(self, told, reason):
        with pytest.raises(BadBill) as refused:
            parse(told, EXPORT, NOVEMBER)
        assert refused.value.reason == reason

    def test_takes_as_many_files_as_there_may_be(self):
        files = [f"{DATA}{n}.parquet" for n in range(MOST_FILES)]
        assert len(parse(body(*files), EXPORT, NOVEMBER).keys) == MOST_FILES
