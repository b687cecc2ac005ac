"""What a benchmark prints is read by programs: its last line keeps its shape."""

import json

from tests.benchmarks.report import Result, show


class TestShow:
    def test_prints_one_json_object_on_the_last_line(self, capsys):
        show(
            "reconcile",
            [Result("resync", 11.5, "s", 10, 2.5), Result("calls", 9.0, "1/s", 5, better="higher")],
        )
        *table, last = capsys.readouterr().out.splitlines()
        assert json.loads(last) == {
            "bench": "reconcile",
            "results": [
                {
                    "name": "resync",
                    "value": 11.5,
                    "unit": "s",
                    "ratio": 2.5,
                    "goal": 10,
                    "better": "lower",
                },
                {
                    "name": "calls",
                    "value": 9.0,
                    "unit": "1/s",
                    "ratio": None,
                    "goal": 5,
                    "better": "higher",
                },
            ],
        }
        assert [line.split()[0] for line in table] == ["MISSED", "ok"]
