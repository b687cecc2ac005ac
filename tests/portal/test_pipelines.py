"""What a pipeline's token opens: its own doors and no other, whoever asks."""

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.pipelines import doors, exchange
from tests.accounts.pipelines import samples
from tests.portal import cast
from tests.portal.test_matrix import DOORS, JSON, filled

pytestmark = pytest.mark.django_db
OPEN = ("api:pipelines_token",)  # to everybody, with a token of GitHub


def knock(door, token, world):
    """Knock at a door of the API with a pipeline's token; return the status."""
    url = reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])
    data = {name: filled(value, world.ids) for name, value in door.data.items()}
    content = {"content_type": "application/json"} if door.sent == JSON else {}
    client = Client(raise_request_exception=False)
    headers = {"Authorization": f"Bearer {token}"}
    with transaction.atomic():
        answer = getattr(client, door.method.lower())(url, data, headers=headers, **content)
        cast.read_out(answer)
        transaction.set_rollback(True)
    return answer.status_code


def test_opens_its_own_doors_and_no_other(world):
    token = exchange.sign_in_run(claims=samples.claims(), now=timezone.now()).token
    wrong = []
    for door in DOORS:
        if not door.name.startswith("api:") or door.name in OPEN:
            continue
        status = knock(door, token, world)
        is_shut = (door.method, door.name) not in doors.DOORS
        if is_shut != (status == 403) and not (status == 403 and "summary" in door.args):
            wrong.append((str(door), status))
    assert wrong == []


def test_opens_no_page(world):
    token = exchange.sign_in_run(claims=samples.claims(), now=timezone.now()).token
    pages = [
        door
        for door in DOORS
        if door.method == "GET" and not door.args and door.name.startswith("accounts:pipeline")
    ]
    assert [knock(door, token, world) for door in pages] == [302] * len(pages)
    assert pages
