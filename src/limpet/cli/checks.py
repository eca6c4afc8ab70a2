"""The usual mistakes of a set-up, each found by a small function. `limpet doctor` calls them all and prints what they say.

Law: a check looks, it changes nothing; and it says the command that mends, not only what is wrong.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import httpx

from limpet._version import __version__
from limpet.cli import defaults
from limpet.cli.exits import CommandError
from limpet.cli.tokens import Claims, read_claims

CONNECT_TIMEOUT_S = 3.0  # a healthy address answers at once; a filtered one would keep us for minutes
ANSWER_TIMEOUT_S = 30.0  # an engine loads its REST part at the first call, which takes a busy machine seconds
SKEW_MAX_S = 5.0  # tokens have a leeway of 60 s; beyond a few seconds spans and schedules already look odd
EXPIRES_SOON_S = 7 * 24 * 3600  # a week to make the next token
PREFIXES = ("LIMPET_", "LIMPET_CLIENT_", "HATCHET_CLIENT_")  # the order in which the SDK looks
SHARED_NAMES = ("TOKEN", "HOST_PORT", "SERVER_URL", "TENANT_ID", "NAMESPACE", "TLS_STRATEGY")


class Verdict(StrEnum):
    """How a check ended."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a sentence, and what mends it."""

    check: str
    verdict: Verdict
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a client on this machine would use: addresses and token, from flags, environment and the token itself."""

    grpc: str
    url: str
    token: str | None
    claims: Claims | None
    tls_strategy: str
    environment: Mapping[str, str]


def good(check: str, text: str) -> Finding:
    """Nothing to mend."""
    return Finding(check, Verdict.GOOD, text)


def warning(check: str, text: str, mend: str) -> Finding:
    """It works, and will not for ever, or not for everybody."""
    return Finding(check, Verdict.WARNING, text, mend)


def bad(check: str, text: str, mend: str) -> Finding:
    """It cannot work."""
    return Finding(check, Verdict.BAD, text, mend)


def value_of(environment: Mapping[str, str], name: str) -> str:
    """A client variable under whichever prefix is set first."""
    return next((environment[prefix + name] for prefix in PREFIXES if environment.get(prefix + name)), "")


def look_around(
    environment: Mapping[str, str], url: str | None, token: str | None, grpc: str | None
) -> tuple[Surroundings, Finding]:
    """What is configured, and what is to be said about the token's form."""
    token = token or value_of(environment, "TOKEN") or None
    claims, finding = token_form(token)
    return (
        Surroundings(
            grpc=grpc
            or value_of(environment, "HOST_PORT")
            or (claims.grpc_address if claims else "")
            or f"{defaults.LOOPBACK}:{defaults.GRPC_PORT}",
            url=(url or value_of(environment, "SERVER_URL") or (claims.server_url if claims else "") or defaults.DEV_URL).rstrip(
                "/"
            ),
            token=token,
            claims=claims,
            tls_strategy=value_of(environment, "TLS_STRATEGY").lower(),
            environment=environment,
        ),
        finding,
    )


def token_form(token: str | None) -> tuple[Claims | None, Finding]:
    """Whether the token can be read at all."""
    if token is None:
        return None, good("token", "No token is set; `limpet dev` needs none.")
    try:
        return read_claims(token), good("token", "The token can be read.")
    except CommandError as error:
        return None, bad("token", error.sentence, error.hint)


def check_token_times(around: Surroundings, now: float | None = None) -> Finding:
    """Expired, about to, or from the future."""
    claims, now = around.claims, time.time() if now is None else now
    make_one = "limpet token create NAME --store FILE"
    if claims is None or claims.expires_at is None:
        return good("token times", "There is no expiry to check.")
    if claims.issued_at is not None and claims.issued_at > now + SKEW_MAX_S:
        return bad(
            "token times",
            "The token is dated in the future, so a clock is wrong.",
            "Set this machine's clock: timedatectl set-ntp true",
        )
    if claims.expires_at < now:
        return bad("token times", f"The token expired {days(now - claims.expires_at)} ago.", make_one)
    if claims.expires_at < now + EXPIRES_SOON_S:
        return warning("token times", f"The token expires in {days(claims.expires_at - now)}.", make_one)
    return good("token times", f"The token is valid for {days(claims.expires_at - now)} more.")


def check_variables(around: Surroundings) -> Finding:
    """Two names of one variable with different values: which one wins surprises everybody."""
    for name in SHARED_NAMES:
        found = {prefix + name: around.environment[prefix + name] for prefix in PREFIXES if around.environment.get(prefix + name)}
        if len(set(found.values())) > 1:
            first, *others = found
            return warning(
                "variables",
                f"{' and '.join(found)} differ; Limpet's SDK takes {first}, official clients the last.",
                f"unset {others[0]}",
            )
    return good("variables", "No variable contradicts another.")


def check_grpc(around: Surroundings) -> Finding:
    """Whether something listens, and whether clients and listener agree about TLS."""
    host, port = split_address(around.grpc)
    try:
        speaks_tls = probe_tls(host, port)
    except OSError as error:
        return bad("grpc", f"Nothing listens at {around.grpc}: {error.strerror or error}.", start_command(around, host))
    wants_tls = around.tls_strategy != "none" and (bool(around.tls_strategy) or around.token is not None)
    if wants_tls and not speaks_tls:
        return bad(
            "grpc",
            f"Clients would speak TLS to {around.grpc}, which speaks plain text.",
            "export HATCHET_CLIENT_TLS_STRATEGY=none",
        )
    if speaks_tls and around.tls_strategy == "none":
        return bad(
            "grpc",
            f"Clients would speak plain text to {around.grpc}, which speaks TLS.",
            "export HATCHET_CLIENT_TLS_STRATEGY=tls",
        )
    return good("grpc", f"{around.grpc} listens{' with TLS' if speaks_tls else ''}.")


def check_http(around: Surroundings) -> list[Finding]:
    """Whether an engine answers, is ready, lets this token in, has our version and our time."""
    try:
        patience = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        with httpx.Client(base_url=around.url, timeout=patience) as http:
            ready = http.get("/api/ready")
            tenant = http.get(f"/api/v1/tenants/{tenant_of(around)}", headers=authorization(around))
            version = http.get("/api/v1/openapi.json", headers=authorization(around))
    except httpx.TransportError as error:
        return [
            bad(
                "http", f"No engine answers at {around.url}: {error}.", start_command(around, urlsplit(around.url).hostname or "")
            )
        ]
    except (httpx.InvalidURL, ValueError) as error:
        return [bad("http", f"'{around.url}' is no HTTP address: {error}.", f"export LIMPET_SERVER_URL={defaults.DEV_URL}")]
    return [check_ready(around, ready), check_admission(around, tenant), check_version(version), check_clock(ready)]


def check_ready(around: Surroundings, answer: httpx.Response) -> Finding:
    """Readiness; and whether that is an engine at all."""
    if answer.is_success and "ready" in answer.text:
        return good("http", f"{around.url} is ready.")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return bad("http", f"{around.url} is not ready: {answer.text}", "Read the engine's log; it names what it waits for.")
    port = split_address(urlsplit(around.url).netloc)[1]
    return bad(
        "http",
        f"Something other than an engine answers at {around.url}.",
        f"ss -ltnp 'sport = :{port}'   # says what; or: limpet dev --http-port 0",
    )


def check_admission(around: Surroundings, answer: httpx.Response) -> Finding:
    """Whether the engine lets this token in."""
    if answer.is_success:
        return good("admission", "The engine lets this client in.")
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return bad(
            "admission",
            f"The engine refuses this client: {first_sentence(answer)}",
            "limpet token create NAME --store FILE; then export LIMPET_TOKEN=...",
        )
    return warning("admission", f"The engine answered {answer.status_code} when asked for the tenant.", "Read the engine's log.")


def check_version(answer: httpx.Response) -> Finding:
    """Client and engine of different versions."""
    theirs = said_version(answer)
    if not theirs:
        return good("version", f"This is limpet {__version__}; the engine does not tell its version.")
    if theirs != __version__:
        return warning(
            "version", f"The engine is limpet {theirs}, this command is {__version__}.", f"pip install 'limpet=={theirs}'"
        )
    return good("version", f"Engine and command are limpet {__version__}.")


def check_clock(answer: httpx.Response, now: float | None = None) -> Finding:
    """This machine's clock against the engine's, as its answer's Date header tells."""
    date = answer.headers.get("date")
    if date is None:
        return good("clock", "The engine does not tell its time.")
    ahead = (time.time() if now is None else now) - parsedate_to_datetime(date).timestamp()
    if abs(ahead) > SKEW_MAX_S:
        direction = "ahead of" if ahead > 0 else "behind"
        return warning(
            "clock",
            f"This machine's clock is {abs(ahead):.0f} s {direction} the engine's.",
            "timedatectl set-ntp true   # on both machines",
        )
    return good("clock", "This machine and the engine agree about the time.")


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, with or without a scheme; gRPC's default port when there is none."""
    found = urlsplit(address if "://" in address else f"//{address}")
    try:
        return found.hostname or defaults.LOOPBACK, found.port or defaults.GRPC_PORT
    except ValueError:
        return address, defaults.GRPC_PORT


def probe_tls(host: str, port: int) -> bool:
    """Whether the listener answers a TLS greeting. Raises OSError when nothing listens."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the question is whether, not who
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, port), CONNECT_TIMEOUT_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host):
                return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")  # an alert is TLS, too: it wants a client certificate, for one
        except OSError:
            return False  # it hung up on the greeting, or waited for words of its own protocol


def tenant_of(around: Surroundings) -> str:
    """Whose data the client asks for."""
    return around.claims.tenant_id if around.claims else str(defaults.TENANT_ID)


def authorization(around: Surroundings) -> dict[str, str]:
    """The header of a client with this token."""
    return {"authorization": f"Bearer {around.token.strip()}"} if around.token else {}


def start_command(around: Surroundings, host: str) -> str:
    """How to get something to listen there. A token belongs to an engine of its own, which `limpet dev` is not."""
    local = host in ("localhost", "::1") or host.startswith("127.")
    return (
        "limpet dev"
        if local and around.token is None
        else "Start the engine there, or set LIMPET_HOST_PORT and LIMPET_SERVER_URL to where it is."
    )


def first_sentence(answer: httpx.Response) -> str:
    """The engine's own words."""
    body = body_of(answer)
    errors = body.get("errors") or [{}]
    return str(errors[0].get("description") or answer.reason_phrase)


def said_version(answer: httpx.Response) -> str:
    """What the engine says of its own version; empty when it says nothing."""
    about = body_of(answer).get("info") if answer.is_success else None
    return str(about.get("version") or "") if isinstance(about, dict) and about.get("title") == "Limpet" else ""


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; empty when it is none."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def days(seconds: float) -> str:
    """A span in the unit people plan with."""
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 2 * 86_400:
        return f"{seconds / 3600:.0f} hours"
    return f"{seconds / 86_400:.0f} days"
