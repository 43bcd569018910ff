"""The private authority: what its certificates say, when they are kept and when made anew."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from admin_console.server.certificate import certificate

NAMES = ("amon.test", "agents.amon.test", "rooms.amon.test")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def leaf(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def test_a_strict_verifier_accepts_it_for_each_name(tmp_path: Path) -> None:
    files = certificate(tmp_path, NAMES, "127.0.0.1", NOW)
    store = verification.Store(x509.load_pem_x509_certificates(files.ca.read_bytes()))
    for name in NAMES:
        verifier = verification.PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(name))
        assert len(verifier.verify(leaf(files.chain), [])) == 2


def test_it_serves_and_nothing_else(tmp_path: Path) -> None:
    made = leaf(certificate(tmp_path, NAMES, "::1", NOW).chain)
    uses = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert made.not_valid_before_utc < NOW - timedelta(hours=12)


def test_its_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    files = certificate(tmp_path / "certs", NAMES, "127.0.0.1", NOW)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (files.key, tmp_path / "certs/ca.key")] == [0o600, 0o600]


def test_a_folder_used_again_shows_the_same_certificate(tmp_path: Path) -> None:
    before = certificate(tmp_path, NAMES, "127.0.0.1", NOW).chain.read_bytes()
    assert certificate(tmp_path, NAMES, "127.0.0.1", NOW + timedelta(days=300)).chain.read_bytes() == before


def test_before_it_ends_it_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    first = certificate(tmp_path, NAMES, "127.0.0.1", NOW)
    authority, serial = first.ca.read_bytes(), leaf(first.chain).serial_number
    later = NOW + timedelta(days=380)
    renewed = certificate(tmp_path, NAMES, "127.0.0.1", later)
    assert renewed.ca.read_bytes() == authority
    assert leaf(renewed.chain).serial_number != serial
    assert leaf(renewed.chain).not_valid_after_utc > later + timedelta(days=300)


def test_other_names_need_another_certificate(tmp_path: Path) -> None:
    serial = leaf(certificate(tmp_path, NAMES, "127.0.0.1", NOW).chain).serial_number
    assert leaf(certificate(tmp_path, NAMES[:2], "127.0.0.1", NOW).chain).serial_number != serial


def test_an_authority_near_its_end_is_replaced(tmp_path: Path) -> None:
    authority = certificate(tmp_path, NAMES, "127.0.0.1", NOW).ca.read_bytes()
    assert certificate(tmp_path, NAMES, "127.0.0.1", NOW + timedelta(days=3620)).ca.read_bytes() != authority
