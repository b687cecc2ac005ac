"""A live part in a real browser: it polls while somebody can see it, and only then."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from portal.settings import ASSETS_DIR
from tests.chromium import running_browser

LIVE = '<div id="live" hx-get="/part" hx-trigger="every 600ms" hx-swap="outerHTML">{}</div>'
PAGE = f'<!doctype html><html><body>{LIVE.format(0)}<script src="/app.js"></script></body></html>'
# a headless browser shows its only tab always, so the page is told otherwise
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}"""

TYPE = """() => {
  const field = document.createElement("input");
  document.getElementById("live").append(field);
  field.focus();
  field.dispatchEvent(new Event("input", {bubbles: true}));
}"""


@pytest.fixture
def site():
    """A page with a live part, and how often the part was asked for."""
    newest = max(ASSETS_DIR.glob("app-*.js"), key=lambda path: path.stat().st_mtime)
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            body = PAGE.encode()
            if self.path == "/app.js":
                body = newest.read_bytes()
            elif self.path == "/part":
                asked.append(time.monotonic())
                body = LIVE.format(len(asked)).encode()
            self.send_response(200)
            kind = "text/javascript" if self.path == "/app.js" else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_hidden_tab_asks_nothing_and_catches_up_once_when_it_is_seen(site):
    url, asked = site
    with running_browser() as browser:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("Number(document.getElementById('live').textContent) >= 2")
        page.evaluate(HIDE, True)
        page.wait_for_timeout(300)  # what was under way ends
        before = len(asked)
        page.wait_for_timeout(1200)
        assert len(asked) == before
        seen_at = time.monotonic()
        page.evaluate(HIDE, False)
        page.wait_for_function(f"Number(document.getElementById('live').textContent) > {before}")
        assert asked[before] - seen_at < 0.55  # at once, not with the next poll
        page.wait_for_timeout(2000)
        assert before + 3 <= len(asked) <= before + 6


def test_a_poll_waits_while_somebody_types_and_goes_on_when_they_leave(site):
    url, asked = site
    with running_browser() as browser:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("Number(document.getElementById('live').textContent) >= 2")
        page.evaluate(TYPE)
        page.wait_for_timeout(300)  # what was under way ends
        if not page.locator("#live input").count():  # it took the field with it
            page.evaluate(TYPE)
        before = len(asked)
        page.wait_for_timeout(1200)
        assert len(asked) == before
        assert page.locator("#live input").count() == 1
        page.evaluate("document.activeElement.blur()")
        page.wait_for_function("document.querySelector('#live input') === null")
        assert len(asked) > before
