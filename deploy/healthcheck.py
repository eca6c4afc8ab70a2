"""Whether the server or worker of this container is alive; exit code 0 if so. For `HEALTHCHECK` of the image.

Without an argument: the server that the variables of this container describe. With one: that URL. The certificate is not
checked, because it is made for the name that clients use, and a process on this machine is all that can answer here.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import urllib.request

ANSWER_MAX_S = 3.0
PORT = int(os.environ.get("LIMPET_HTTP_PORT", "8888"))


def answers(url: str) -> bool:
    """Whether this URL can be read."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_MAX_S, context=anyone()) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def greets() -> bool:
    """Whether a server that lets in nobody without a certificate speaks TLS, which it does where it would answer."""
    try:
        with socket.create_connection(("127.0.0.1", PORT), ANSWER_MAX_S) as plain, anyone().wrap_socket(plain) as greeted:
            return greeted.version() is not None
    except OSError:
        return False


def anyone() -> ssl.SSLContext:
    """TLS with whoever answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def is_alive(arguments: list[str]) -> bool:
    """Ask what there is to ask."""
    if arguments:
        return answers(arguments[0])
    if os.environ.get("LIMPET_SERVER_TLS_CLIENT_CA"):
        return greets()
    scheme = "https" if os.environ.get("LIMPET_SERVER_TLS_CERT") else "http"
    return answers(f"{scheme}://127.0.0.1:{PORT}/health")


if __name__ == "__main__":
    sys.exit(0 if is_alive(sys.argv[1:]) else 1)
