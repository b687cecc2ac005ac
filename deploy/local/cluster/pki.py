"""The local cluster's certificates: one authority, made once, and the certificates it signed.

Everything that listens on TLS has a server certificate for loopback, and everyone who speaks to the
API server has a client certificate, whose common name is the user that RBAC sees. A certificate is
made again when it is missing or ends within 30 days, so that `ensure` can run before each start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
RENEW_BEFORE = timedelta(days=30)
SERVER_NAMES = ("127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1")


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Identity:
    """Whom a client certificate names: `user` and `groups` are what RBAC bindings refer to."""

    user: str
    groups: tuple[str, ...] = ()


class Authority:
    """The certificate authority in one folder: makes itself and what it signs on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pair = Pair(folder / "ca.crt", folder / "ca.key")
        if not (self.pair.certificate.exists() and self.pair.key.exists()):
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        self._key = _load_key(self.pair.key)

    def server(self, name: str, names: tuple[str, ...] = SERVER_NAMES) -> Pair:
        """Return the server certificate `name`, valid for `names`; it may also act as a client
        (etcd's peers do).
        """
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._ensure(name, Identity(f"quartermaster:{name}"), usages, names)

    def client(self, name: str, identity: Identity) -> Pair:
        """Return the client certificate `name` for `identity`."""
        return self._ensure(name, identity, [ExtendedKeyUsageOID.CLIENT_AUTH], ())

    def signing_key(self, name: str) -> Path:
        """Return a private key that signs tokens; its public half lies beside it as
        `<name>.pub`.
        """
        path = self.folder / f"{name}.key"
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            _write(path.with_suffix(".pub"), public)
            _write_key(path, key)
        return path

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Quartermaster local cluster")])
        builder = _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        _write_key(self.pair.key, key)
        _write(self.pair.certificate, _pem(builder.sign(key, hashes.SHA256())))

    def _ensure(
        self,
        name: str,
        identity: Identity,
        usages: list[x509.ObjectIdentifier],
        names: tuple[str, ...],
    ) -> Pair:
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        if self._is_current(pair):
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(
            _subject(identity), self._certificate.subject, key.public_key(), CERTIFICATE_DAYS
        )
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(_alternatives(names)), critical=False
            )
        _write_key(pair.key, key)
        _write(pair.certificate, _pem(builder.sign(self._key, hashes.SHA256())))
        return pair

    def _is_current(self, pair: Pair) -> bool:
        if not (pair.certificate.exists() and pair.key.exists()):
            return False
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _subject(identity: Identity) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])


def _alternatives(names: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        is_address = name.replace(".", "").isdigit()
        found.append(x509.IPAddress(ip_address(name)) if is_address else x509.DNSName(name))
    return found


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is not an EC private key")
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    plain = serialization.NoEncryption()
    _write(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> None:
    """Put content in place in one step, so that a killed start leaves no half-written key
    behind.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
