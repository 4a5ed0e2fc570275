"""What the tests of chaos share: a certificate that nobody signed, and the table of what was seen."""

import datetime as dt
import gc
import os
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chaos.verdict import Verdict

COLUMNS = ("cases", "whole answers", "errors", "cut streams", "by the second target")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Of a server at 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, *form)
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """It comes when a test asks for it."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, Verdict, bool], None]:
    """Takes an answer into the table."""

    def taken(row: str, answer: Verdict, second: bool) -> None:
        column = {"whole": "whole answers", "error": "errors", "cut": "cut streams"}[answer.kind]
        for name in ("cases", column, *(["by the second target"] if second else [])):
            record_property("chaos", [row, name])

    return taken


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, when it is asked for: `make chaos`."""
    if os.environ.get("CHAOS_TABLE") != "1":
        return
    rows: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "chaos" and report.when == "call":
                    rows.setdefault(value[0], Counter())[value[1]] += 1
    if rows:
        width = max(map(len, rows))
        total = sum(rows.values(), Counter())
        terminalreporter.write_line(f"\n{'':{width}}" + "".join(f"{column:>22}" for column in COLUMNS))
        for row, counts in [*rows.items(), ("all", total)]:
            line = "".join(f"{counts[column]:22}" for column in COLUMNS)
            terminalreporter.write_line(f"{row:{width}}{line}")
