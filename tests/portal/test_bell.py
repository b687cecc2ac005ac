"""The bell in a real browser: opened, walked and emptied by keyboard."""

from functools import partial
from http.server import ThreadingHTTPServer
from threading import Thread

import pytest

from portal.settings import ASSETS_DIR
from tests.chromium import running_browser
from tests.notices.samples import say
from tests.portal.test_drawer import Handler

pytestmark = pytest.mark.django_db
FOCUSED = "() => document.activeElement.textContent.trim()"


class BellHandler(Handler):
    """Serves the page and the bell's list, with and without what is new."""

    bell = empty = b""
    read = False

    def do_GET(self):  # noqa: N802
        if self.path == "/needs/":
            self._send(self.empty if type(self).read else self.bell)
        else:
            super().do_GET()

    def do_POST(self):  # noqa: N802
        type(self).read = self.path == "/notices/read/"
        self.send_response(204)
        self.send_header("HX-Trigger", "notices-read")
        self.end_headers()

    def _send(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url(client, alice):
    client.force_login(alice)
    htmx = {"headers": {"HX-Request": "true"}}
    page, empty = client.get("/account/").content, client.get("/needs/", **htmx).content
    say(alice, title="First")
    say(alice, key="other", title="Second")
    bell = client.get("/needs/", **htmx).content
    serve = type("Bell", (BellHandler,), {"page": page, "bell": bell, "empty": empty})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(serve, directory=str(ASSETS_DIR)))
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_is_opened_walked_and_emptied_by_keyboard(url):
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        page.wait_for_selector(".bell-count")
        assert page.inner_text(".bell-count") == "2"
        page.keyboard.press("b")
        assert page.get_by_text("Second").is_visible()
        page.set_viewport_size({"width": 1440, "height": 220})
        panel = page.locator("#bell-list").bounding_box()
        assert panel["y"] + panel["height"] <= 220  # what does not fit is scrolled to
        for words in ("Mark all as read", "Second", "First"):
            page.keyboard.press("ArrowDown")
            assert page.evaluate(FOCUSED).startswith(words)
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.wait_for_selector(".bell-count", state="detached")
        assert not page.get_by_text("Second").is_visible()
        page.keyboard.press("Escape")
        assert page.locator("details[data-bell][open]").count() == 0
        page.keyboard.press("/")
        page.keyboard.type("bob")
        assert page.locator("details[data-bell][open]").count() == 0
        assert page.input_value("#search-input") == "bob"
