"""The files of deploy/ say what is: each command, variable, port, path and probe in them is one of this project.

No container engine is needed; what one would do with the files is not tested here.
"""

from __future__ import annotations

import re
import shutil
import signal
import stat
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from deployment import (
    DEPLOY,
    FILES,
    ROOT,
    VARIABLE,
    balancer,
    compose,
    image,
    last,
    our_services,
    seconds,
    servers,
    unit,
    variables,
)
from starlette.routing import Route

from limpet.cli import defaults
from limpet.cli.compose import STOP_GRACE_S
from limpet.cli.lifetime import STOP_SIGNALS
from limpet.cli.overrides import overridden
from limpet.core.ids import SECOND_US
from limpet.edges.http.app import plain_routes
from limpet.edges.http.options import HttpOptions
from limpet.edges.signing import load_key_ring
from limpet.engine.settings import EngineSettings
from limpet.sdk.config import HEALTHCHECK_PORT
from limpet.store.postgres.store import LEASE_US
from limpet.testing import EmbeddedEngine
from tests.documentation.command_lines import check_command

ORDERLY_END_S = EngineSettings().drain_max_us / SECOND_US + STOP_GRACE_S
PORTS = [defaults.GRPC_PORT, defaults.HTTP_PORT]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_of_a_file_is_one_that_is_read(path: Path) -> None:
    unknown = set(VARIABLE.findall(path.read_text(encoding="utf-8"))) - variables()
    assert not unknown, f"{path.name} sets what nobody reads: {sorted(unknown)}"


def test_the_variables_are_those_of_commands_clients_and_the_key() -> None:
    assert {"LIMPET_STORE", "LIMPET_SERVER_TLS_CERT", "LIMPET_SIGNING_KEY", "LIMPET_TLS_STRATEGY"} <= variables()
    assert "LIMPET_SERVER_TLS_CERTIFICATE" not in variables()


# --- the image


def test_the_image_starts_a_command_that_exists() -> None:
    entry, command = last("ENTRYPOINT").words, last("CMD").words
    assert entry is not None, "without the exec form a shell would get the signal to stop"
    assert command is not None
    assert entry[0] in PROJECT["scripts"]
    check_command(" ".join((*entry, *command)), "Dockerfile")


def test_the_image_has_what_a_database_needs() -> None:
    wanted = [re.search(r"\.\[(\w+)\]", each.text) for each in image() if each.name == "RUN" and "pip install" in each.text]
    assert [extra and extra[1] for extra in wanted] == ["postgres"]
    assert "postgres" in PROJECT["optional-dependencies"]


def test_the_image_is_asked_to_stop_by_a_signal_that_a_server_obeys() -> None:
    assert signal.Signals[last("STOPSIGNAL").text] in STOP_SIGNALS


def test_the_image_shows_the_ports_of_a_server() -> None:
    assert [int(port) for port in last("EXPOSE").text.split()] == PORTS


def test_what_the_image_copies_is_there_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for each in image() if each.name == "COPY" and "--from" not in each.text for word in each.text.split()[:-1]}
    assert copied == sent
    assert not [path for path in copied if not (ROOT / path).exists()]


def test_the_image_has_a_user_of_its_own_whose_number_the_secrets_know() -> None:
    script = (DEPLOY / "make-secrets.sh").read_text(encoding="utf-8")
    number = re.search(r"^image_user=(\d+)", script, re.MULTILINE)
    assert number is not None
    assert last("USER").text == f"{number[1]}:{number[1]}"
    assert any(f"--uid {number[1]} " in each.text for each in image() if each.name == "RUN")


def test_the_health_check_is_a_script_of_the_image() -> None:
    words = last("HEALTHCHECK").words
    assert words is not None
    assert any(each.name == "COPY" and each.text == f"deploy/healthcheck.py {words[-1]}" for each in image())


def test_the_paths_that_are_probed_are_served() -> None:
    with EmbeddedEngine() as engine:
        served = {route.path for route in plain_routes(engine.engine, HttpOptions()) if isinstance(route, Route)}
    probed = {"/" + path for path in re.findall(r"\{PORT\}/(\w+)\"", (DEPLOY / "healthcheck.py").read_text(encoding="utf-8"))}
    assert probed == {"/health"}
    assert probed | set(balancer(r"^\s*http-check send meth GET uri (\S+)")) <= served


# --- the compose file


def test_two_servers_that_differ_in_nothing_share_a_store_and_a_key() -> None:
    first, second = servers().values()
    assert {**first, "hostname": ""} == {**second, "hostname": ""}


@pytest.mark.parametrize("name", our_services())
def test_a_service_of_ours_runs_a_command_that_exists(name: str) -> None:
    check_command("limpet " + " ".join(our_services()[name]["command"]), f"compose.yaml, {name}")


def test_the_commands_in_the_comments_can_be_typed() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"^#.*docker compose run (?:--\S+ )*server-a (.+)$", text, re.MULTILINE)
    assert len(shown) == 1
    check_command("limpet " + shown[0], "compose.yaml")


@pytest.mark.parametrize("name", our_services())
def test_a_service_of_ours_may_do_little_and_has_time_to_end(name: str) -> None:
    service = our_services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert seconds(service["stop_grace_period"]) > ORDERLY_END_S


def test_two_workers_answer_on_the_port_that_is_asked() -> None:
    worker = compose()["services"]["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert worker["healthcheck"]["test"][-1] == f"http://127.0.0.1:{HEALTHCHECK_PORT}/health"
    source, _, rights = worker["volumes"][0].rpartition(":/app:")
    assert rights == "ro"
    assert (DEPLOY / source / f"{worker['command'][1].partition(':')[0]}.py").exists()


def test_nothing_is_published_beyond_this_machine_and_only_by_the_balancer() -> None:
    published = {name: each["ports"] for name, each in compose()["services"].items() if "ports" in each}
    assert published == {"balancer": [f"{defaults.LOOPBACK}:{port}:{port}" for port in PORTS]}


def test_every_secret_of_a_service_is_declared_and_no_password_stands_in_the_file() -> None:
    declared = compose()["secrets"]
    used = [each for service in compose()["services"].values() for each in service.get("secrets", ())]
    assert {each if isinstance(each, str) else each["source"] for each in used} == set(declared)
    store = urlsplit(our_services()["server-a"]["environment"]["LIMPET_STORE"])
    assert store.password is None


# --- the balancer


def test_the_balancer_passes_on_to_the_servers_of_the_compose_file() -> None:
    assert balancer(r"^\s*server \S+ (\S+)") == [f"{name}:{port}" for port in PORTS for name in servers()]
    assert balancer(r"^\s*bind :(\d+)") == [str(port) for port in PORTS]
    assert set(balancer(r"check port (\d+)")) == {str(defaults.HTTP_PORT)}
    assert set(balancer(r"^\s*http-check expect status (\d+)")) == {"200"}


def test_the_balancer_gives_a_server_up_before_its_lease_ends_and_not_at_once() -> None:
    """A paused owner has lost its connections when it wakes; a database that restarts costs nobody a connection."""
    (every,), (times,) = set(balancer(r" inter (\S+)")), set(balancer(r" fall (\d+)"))
    (patience,) = balancer(r"^\s*timeout check (\S+)")
    assert seconds(patience) <= seconds(every)
    assert 2 < seconds(every) * int(times) < LEASE_US / SECOND_US
    assert set(balancer(r" rise (\d+)")) == {"1"}
    assert len(balancer(r"on-marked-down shutdown-sessions")) == len(PORTS)


# --- the secrets


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Made by the script, in a folder of this test."""
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    subprocess.run(["sh", "make-secrets.sh"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "secrets"


def test_the_script_makes_every_secret_for_its_reader_alone(secrets: Path) -> None:
    assert {each["file"] for each in compose()["secrets"].values()} == {f"secrets/{path.name}" for path in secrets.iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o600}
    assert len(load_key_ring(secrets / "signing-key", {}).keys) == 1


def test_the_script_writes_the_password_for_the_database_that_the_servers_use(secrets: Path) -> None:
    service = our_services()["server-a"]
    store = urlsplit(service["environment"]["LIMPET_STORE"])
    password = (secrets / "database-password").read_text()
    assert len(password) >= 32
    assert (secrets / "pgpass").read_text() == f"{store.hostname}:{store.port}:{store.path[1:]}:{store.username}:{password}\n"
    assert parse_qs(store.query) == {"passfile": ["/run/secrets/pgpass"]}
    assert {"pgpass", "signing-key"} == set(service["secrets"])
    assert service["environment"]["LIMPET_KEY_FILE"] == "/run/secrets/signing-key"


def test_the_script_keeps_what_exists(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    subprocess.run(["sh", "make-secrets.sh"], cwd=secrets.parent, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before


def test_secrets_are_kept_out_of_the_repository_and_the_image() -> None:
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"


# --- the unit


def test_the_unit_starts_a_command_that_exists() -> None:
    (started,) = unit("ExecStart")
    program, _, rest = started.partition(" ")
    assert Path(program).name in PROJECT["scripts"]
    check_command(f"limpet {rest}", "limpet.service")


def test_the_unit_gives_time_for_an_orderly_end_and_starts_again() -> None:
    assert seconds(unit("TimeoutStopSec")[0]) > ORDERLY_END_S
    assert signal.Signals[unit("KillSignal")[0]] in STOP_SIGNALS
    assert unit("Restart") == ["always"]
    assert unit("StartLimitIntervalSec") == ["0"]


def test_the_unit_writes_where_its_store_is() -> None:
    (store,) = unit("Environment")
    assert store == f"LIMPET_STORE=/var/lib/{unit('StateDirectory')[0]}/limpet.db"
    assert unit("ProtectSystem") == ["strict"]
    assert unit("EnvironmentFile") == [f"-/etc/{unit('ConfigurationDirectory')[0]}/limpet.env"]


def test_the_environment_file_changes_nothing_until_a_line_is_chosen() -> None:
    lines = (DEPLOY / "limpet.env").read_text(encoding="utf-8").splitlines()
    assert all(not line or line.startswith("#") for line in lines)
    chosen = dict(line[1:].split("=", 1) for line in lines if re.match(r"#LIMPET_", line))
    assert {"LIMPET_STORE", "LIMPET_KEY_FILE", "LIMPET_HOST", "LIMPET_SERVER_TLS_CERT"} <= set(chosen)
    assert overridden(EngineSettings(), chosen["LIMPET_SET"].split()) != EngineSettings()
