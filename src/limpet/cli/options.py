"""Options of the commands that run an engine or make tokens for one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Level = Literal["debug", "info", "warning", "error"]
LogLevel = Annotated[Level, typer.Option(envvar="LIMPET_LOG_LEVEL", help="What is worth a log line.")]
LogJson = Annotated[bool, typer.Option("--log-json", envvar="LIMPET_LOG_JSON", help="One JSON object for each log line.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        envvar="LIMPET_KEY_FILE", help="Signing key of tokens, made at first use; else STORE.signing-key.", show_default=False
    ),
]
GrpcAddress = Annotated[
    str,
    typer.Option(
        envvar="LIMPET_PUBLIC_GRPC", help="host:port where clients reach gRPC; written into tokens.", show_default=False
    ),
]
ServerUrl = Annotated[
    str, typer.Option(envvar="LIMPET_PUBLIC_URL", help="URL where clients reach HTTP; written into tokens.", show_default=False)
]
