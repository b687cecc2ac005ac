"""Posting to people's webhooks: only where it is allowed, to the address that was looked at, and
within a time as a whole.
"""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.webhooks.addresses import Allowed, NotAllowed, address_of, checked
from apps.integrations.webhooks.client import Gone, WebhookClient

HOST = "hooks.meridian.test"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
HERE = Allowed(hosts=(HOST, ".inside.test"), networks=LOOPBACK, plain=True)


def resolver(*addresses):
    """Return a resolver that gives these addresses, whatever is asked."""

    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    return resolve


class TestChecked:
    @pytest.mark.parametrize(
        "url", [f"https://{HOST}/a?b=c", f"http://{HOST}:8080/", "https://a.b.inside.test/x"]
    )
    def test_takes_an_address_on_a_host_that_is_named(self, url):
        assert checked(url, HERE).geturl() == url

    @pytest.mark.parametrize(
        "url", [
            "https://other.test/", "https://inside.test/", "https://evilinside.test/",
            f"https://{HOST}.other.test/", "https://127.0.0.1/", f"https://user:pw@{HOST}/",
            f"https://{HOST}/#part", f"ftp://{HOST}/", f"file://{HOST}/etc/passwd", "https:///x",
            f"https://{HOST}:0/", f"https://{HOST}:99999/", f"https://{HOST}/a b",
            f"https://{HOST}/\r\nX: y", f"https://{HOST}/{'x' * 500}", "", f"https://{HOST}./x",
            f"https://{HOST}\\@other.test/", f"//{HOST}/",
        ]
    )  # fmt: skip
    def test_refuses_any_other(self, url):
        with pytest.raises(NotAllowed):
            checked(url, HERE)

    def test_takes_no_plain_http_but_on_a_local_stack(self):
        with pytest.raises(NotAllowed, match="https"):
            checked(f"http://{HOST}/", Allowed(hosts=(HOST,)))

    def test_takes_none_where_nobody_named_a_host(self):
        with pytest.raises(NotAllowed, match="whoever runs the portal"):
            checked(f"https://{HOST}/", Allowed())


PUBLIC = Allowed(hosts=(HOST,))
INSIDE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1%eth0",
    "fd00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1",
    "2002:a00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "::127.0.0.1", "fec0::1",
    "64:ff9b:1::a00:1", "4000::1",
]  # fmt: skip


class TestAddressOf:
    def test_is_the_first_of_the_hosts(self):
        parts = checked(f"https://{HOST}/", PUBLIC)
        found = address_of(parts, PUBLIC, resolve=resolver("93.184.216.34", "2606:2800::1"))
        assert found == "93.184.216.34"

    @pytest.mark.parametrize("address", INSIDE)
    def test_is_refused_inside_the_network_even_among_others(self, address):
        parts = checked(f"https://{HOST}/", PUBLIC)
        with pytest.raises(NotAllowed, match="inside the network"):
            address_of(parts, PUBLIC, resolve=resolver("93.184.216.34", address))

    def test_may_be_inside_where_its_network_is_named(self):
        allowed = Allowed(hosts=(HOST,), networks=(ipaddress.ip_network("10.20.0.0/16"),))
        parts = checked(f"https://{HOST}/", allowed)
        assert address_of(parts, allowed, resolve=resolver("10.20.3.4")) == "10.20.3.4"
        with pytest.raises(NotAllowed):
            address_of(parts, allowed, resolve=resolver("10.21.3.4"))

    def test_is_public_with_https_alone(self):
        parts = checked(f"http://{HOST}/", HERE)
        with pytest.raises(NotAllowed, match="use https"):
            address_of(parts, HERE, resolve=resolver("93.184.216.34"))

    def test_may_come_later_where_there_is_none_now(self):
        def unknown(*_, **__):
            raise socket.gaierror

        parts = checked(f"https://{HOST}/", PUBLIC)
        for resolve in (unknown, resolver()):
            with pytest.raises(TemporaryError, match="no address"):
                address_of(parts, PUBLIC, resolve=resolve)


@contextmanager
def receiver(status=204, *, tls=None, location="", slowly=False):
    """Serve one kind of answer; yield the port and what came."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            came.append((self.path, dict(self.headers), self.rfile.read(length)))
            if slowly:
                for _ in range(200):
                    self.wfile.write(b"H")
                    time.sleep(0.05)
                return
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # a client that hangs up is what some tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], came
    server.shutdown()
    server.server_close()


def client(**more):
    return WebhookClient(HERE, **{"resolve": resolver("127.0.0.1"), "seconds": 5.0} | more)


class TestPost:
    def test_sends_body_and_headers_to_the_address_in_the_hosts_name(self):
        with receiver(200) as (port, came):
            url = f"http://{HOST}:{port}/a?b=c"
            assert client().post(url, body=b'{"x":1}', headers={"webhook-id": "7"}) == 200
        ((path, headers, body),) = came
        assert (path, body) == ("/a?b=c", b'{"x":1}')
        assert headers["Host"] == f"{HOST}:{port}"
        assert (headers["webhook-id"], headers["Content-Type"]) == ("7", "application/json")

    def test_asks_once_for_the_address_so_that_a_name_cannot_move_between_look_and_call(self):
        asked = []

        def rebinding(host, port, **_):
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        with receiver() as (port, came):
            client(resolve=rebinding).post(f"http://{HOST}:{port}/", body=b"{}", headers={})
        assert asked == [HOST]
        assert len(came) == 1

    def test_wants_the_hosts_certificate_though_it_connects_to_an_address(self, tmp_path):
        tls, trust = certificate(tmp_path, HOST)
        with receiver(tls=tls) as (port, came):
            url = f"https://{HOST}:{port}/"
            assert client(trust=trust).post(url, body=b"{}", headers={}) == 204
            other = f"https://x.inside.test:{port}/"
            with pytest.raises(TemporaryError, match="cannot be reached"):
                client(trust=trust).post(other, body=b"{}", headers={})
            with pytest.raises(TemporaryError):
                client().post(url, body=b"{}", headers={})
        assert len(came) == 1

    def test_follows_nothing(self):
        with receiver() as (port, elsewhere):
            target = f"http://127.0.0.1:{port}/"
            with (
                receiver(302, location=target) as (first, came),
                pytest.raises(PermanentError, match="not followed"),
            ):
                client().post(f"http://{HOST}:{first}/", body=b"{}", headers={})
        assert (len(came), elsewhere) == (1, [])

    @pytest.mark.parametrize(
        ("status", "error"),
        [(500, TemporaryError), (429, TemporaryError), (400, PermanentError), (401, PermanentError),
         (404, PermanentError), (410, Gone)],
    )  # fmt: skip
    def test_tells_what_may_be_tried_again(self, status, error):
        with receiver(status) as (port, _), pytest.raises(error, match=str(status)):
            client().post(f"http://{HOST}:{port}/", body=b"{}", headers={})

    def test_ends_in_time_though_bytes_keep_coming(self):
        with receiver(slowly=True) as (port, _):
            began = time.monotonic()
            with pytest.raises(TemporaryError, match="in time"):
                client(seconds=0.4).post(f"http://{HOST}:{port}/", body=b"{}", headers={})
            assert time.monotonic() - began < 3

    def test_may_come_later_where_nobody_listens(self):
        with receiver() as (port, _):
            pass
        with pytest.raises(TemporaryError, match="cannot be reached"):
            client().post(f"http://{HOST}:{port}/", body=b"{}", headers={})

    def test_connects_to_nothing_that_is_not_allowed(self):
        with receiver() as (port, came):
            for url in (f"http://other.test:{port}/", f"http://127.0.0.1:{port}/"):
                with pytest.raises(NotAllowed):
                    client().post(url, body=b"{}", headers={})
        assert came == []


def certificate(folder, host):
    """Return the server's side of TLS for `host`, and a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pem + key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())
