"""`limpet server`: an engine for production."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limpet.cli import defaults
from limpet.cli.exits import Misuse
from limpet.cli.grammar import Overrides, StoreFile, examples, single_command
from limpet.cli.options import GrpcAddress, KeyFile, LogJson, LogLevel, ServerUrl
from limpet.cli.printing import print_note

app: typer.Typer = single_command()

Certificate = Annotated[
    Path | None, typer.Option(envvar="LIMPET_SERVER_TLS_CERT", help="Certificate chain, PEM.", show_default=False)
]
CertificateKey = Annotated[
    Path | None, typer.Option(envvar="LIMPET_SERVER_TLS_KEY", help="Its private key, PEM.", show_default=False)
]
ClientCa = Annotated[
    Path | None,
    typer.Option(envvar="LIMPET_SERVER_TLS_CLIENT_CA", help="Clients must show a certificate of this CA.", show_default=False),
]


@app.command(
    epilog=examples(
        "limpet server --store /var/lib/limpet/limpet.db",
        "limpet server --store postgresql://limpet@db/limpet --key-file /etc/limpet/signing-key",
        "limpet server --store limpet.db --host 0.0.0.0 --tls-cert tls.crt --tls-key tls.key",
    )
)
def server(
    store: StoreFile = None,
    host: Annotated[str, typer.Option(envvar="LIMPET_HOST", help="Address to listen on; 0.0.0.0 for all.")] = defaults.LOOPBACK,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="LIMPET_GRPC_PORT", help="0: any free port.")
    ] = defaults.GRPC_PORT,
    http_port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="LIMPET_HTTP_PORT", help="0: any free port.")
    ] = defaults.HTTP_PORT,
    key_file: KeyFile = None,
    tls_cert: Certificate = None,
    tls_key: CertificateKey = None,
    tls_client_ca: ClientCa = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Speak plain text beyond this machine; something else does TLS.")
    ] = False,
    public_grpc: GrpcAddress = "",
    public_url: ServerUrl = "",
    settings: Overrides = None,
    log_level: LogLevel = "info",
    log_json: LogJson = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready: grpc, http.")] = False,
) -> None:
    """Start an engine for production: every caller shows a token, and the store lasts."""
    from limpet.cli.engine_command import run_engine  # the engine is imported when it is started, not for help
    from limpet.cli.overrides import overridden
    from limpet.cli.plan import Plan, Tls, key_file_of, lasting_store
    from limpet.engine.settings import EngineSettings

    if (tls_cert is None) != (tls_key is None) or (tls_client_ca and tls_cert is None):
        raise Misuse("TLS needs a certificate and its key.", "Give both --tls-cert and --tls-key.")
    place = lasting_store(store)
    plan = Plan(
        store=place,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        tls=Tls(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None,
        allows_plaintext=insecure,
        key_file=key_file or key_file_of(place),
        server_url=public_url,
        grpc_address=public_grpc,
        settings=overridden(EngineSettings(), settings or ()),
    )
    plan.check()
    if insecure and plan.tls is None:
        print_note(f"limpet: tokens and payloads travel unencrypted to and from {host}, because of --insecure.")
    run_engine(plan, title="limpet server", as_json=json, log_level=log_level, log_json=log_json)
