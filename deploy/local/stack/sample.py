"""The sample year: whether this stack has it, and the job that brings it in, in the background.

A stack begins with it unless SAMPLE=none is set, or its database or its S3 is somebody's own. A
stack that has it keeps it until `make reset`: its pages have to go on saying what is made up.
"""

from __future__ import annotations

import json
from pathlib import Path

from . import bills, credentials
from .part import Context, Part

REPLACED_BY = ("DATABASE_URL", "AWS_ENDPOINT_URL_S3")


def kind(context: Context) -> str:
    """Return "year" where the stack has, or gets, the sample year, else "none"."""
    mark = context.state / "sample"
    if mark.exists():
        return mark.read_text().strip()
    own = any(context.env.get(name) for name in REPLACED_BY)
    found = context.env.get("SAMPLE") or ("none" if own else "year")
    if found == "year":
        mark.write_text(found)
    return found


def parts(context: Context, env: dict[str, str]) -> list[Part]:
    """Return the job, behind everything that people wait for. env: the product's variables."""
    if kind(context) != "year":
        return []
    command = [context.python, "manage.py", "load_sample_year"]
    if bills.is_ours(context):
        command += ["--bills", str(_bill_writer(context))]
    return [
        Part(
            name="sample-year",
            command=["nice", *command],
            address="",
            ready=lambda: None,
            env=env,
            needs=("sample-versions",),
            once=True,
        )
    ]


def _bill_writer(context: Context) -> Path:
    """Return the file that says who writes the bills, with the keys that it needs."""
    told = {
        "command": [context.python, "-m", "deploy.local.doubles.cur"],
        "env": bills.writer_env(context),
    }
    path = credentials.folder(context) / "bill-writer.json"
    credentials.write_private(path, json.dumps(told))
    return path
