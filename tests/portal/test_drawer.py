"""The phone's menu in a real browser: a dialog that keeps the focus, and closes in every way."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from portal.settings import ASSETS_DIR
from tests.chromium import running_browser

pytestmark = pytest.mark.django_db
FOCUSED = "() => document.activeElement.outerHTML.slice(0, 200)"


class Handler(SimpleHTTPRequestHandler):
    """Serves one page, and the built assets under their addresses."""

    page = b""

    def do_GET(self):  # noqa: N802
        if self.path.startswith("/static/app/"):
            self.path = self.path.removeprefix("/static/app")
            super().do_GET()
            return
        self.send_response(200 if self.path == "/" else 204)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        body = self.page if self.path == "/" else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def url(client, alice):
    client.force_login(alice)
    serve = type("Page", (Handler,), {"page": client.get("/").content})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(serve, directory=str(ASSETS_DIR)))
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_keeps_the_focus_and_closes_in_every_way(url):
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(url)
        toggle = page.get_by_role("button", name="Open the menu")
        menu = page.get_by_role("dialog", name="Sections")

        def opened():
            toggle.click()
            page.wait_for_function("() => document.activeElement.matches('[data-drawer-close]')")
            assert menu.is_visible()

        opened()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        assert "Your account" in page.evaluate(FOCUSED)
        page.keyboard.press("Tab")
        assert "brand" in page.evaluate(FOCUSED)
        for _ in range(40):
            page.keyboard.press("Tab")
            assert page.evaluate("() => !!document.activeElement.closest('.sidebar')")
        for close in (
            lambda: page.keyboard.press("Escape"),
            lambda: page.get_by_role("button", name="Close the menu").click(),
            lambda: page.mouse.click(380, 400),
        ):
            close()
            page.wait_for_function("() => !document.documentElement.matches('.drawer-open')")
            assert "data-drawer" in page.evaluate(FOCUSED)
            opened()
        page.set_viewport_size({"width": 1440, "height": 900})
        page.wait_for_function("() => !document.documentElement.matches('.drawer-open')")
        assert page.evaluate("() => document.querySelector('.frame').inert") is False
