"""The double of ServiceNow in this process: the same application that the local stack serves."""

import httpx

from apps.integrations.servicenow.client import ServiceNowClient
from deploy.local.doubles.servicenow import changes, lies
from deploy.local.doubles.servicenow.app import HOLD, create_app
from deploy.local.doubles.servicenow.settings import Settings

ADDRESS = "http://127.0.0.1:8095"
SECRET = "only-for-tests"


class Impatient(httpx.BaseTransport):
    """A line to the instance on which whoever waits for an answer that is held back gives up."""

    def __init__(self, app):
        self._to = httpx.WSGITransport(app=app)
        self.calls = []

    def handle_request(self, request):
        self.calls.append((request.method, request.url.path))
        answer = self._to.handle_request(request)
        if HOLD in answer.headers:
            raise httpx.ReadTimeout("held back", request=request)
        return answer


class Instance:
    """One instance, with what its people do."""

    def __init__(self, state, **settings):
        chosen = {"address": ADDRESS, "state": state, "client_secret": SECRET} | settings
        self.app = create_app(Settings(**chosen))
        self.store = self.app.extensions["store"]
        self.line = Impatient(self.app)

    def client(self, secret=SECRET):
        """Return the product's client of it."""
        return ServiceNowClient(
            ADDRESS, client_id="quartermaster", client_secret=secret, transport=self.line
        )

    def browser(self):
        """Return a browser for its pages."""
        return self.app.test_client()

    def changes(self):
        """Return its changes, oldest first."""
        return self.store.rows("change_request")

    def incidents(self):
        """Return its incidents, oldest first."""
        return self.store.rows("incident")

    def tell(self, lie, calls=1):
        """Tell it to do something wrong for so many calls."""
        lies.tell(self.store, lie, calls)

    def approve(self, sys_id):
        """Approve a change as often as it takes."""
        while changes.decide(self.store, sys_id, "approved", "")["approval"] != "approved":
            pass

    def reject(self, sys_id):
        """Reject a change."""
        changes.decide(self.store, sys_id, "rejected", "Not this week.")

    def write(self, table, sys_id, **fields):
        """Write fields as somebody there does, past every rule."""
        self.store.update(table, sys_id, fields)
