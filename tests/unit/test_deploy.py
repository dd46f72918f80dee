"""The container files, as far as a machine without a Docker engine can check them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import yaml

from degrain.cli import _parser as degrain_parser
from support import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


def dockerfile():
    """(stage, instruction, arguments) of every line, with continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    stage, found = "", []
    for line in filter(str.strip, lines):
        instruction, arguments = line.split(maxsplit=1)
        if instruction == "FROM":
            stage = arguments.rpartition(" AS ")[2]
        found.append((stage, instruction, arguments))
    return found


LINES = dockerfile()
STAGES = {stage: arguments.partition(" AS ")[0] for stage, name, arguments in LINES if name == "FROM"}


def arguments_of(stage, instruction):
    return [arguments for where, name, arguments in LINES if (where, name) == (stage, instruction)]


def test_the_compose_file_meets_the_schema_of_compose_files():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_are_pinned():
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    images += [image for image in STAGES.values() if image not in STAGES]
    assert len(images) == 4
    for image in images:
        assert re.fullmatch(r"[a-z0-9/]+:[A-Za-z0-9.-]*\d[A-Za-z0-9.-]*", image), image


def test_what_is_built_and_waited_for_is_there():
    for name, service in SERVICES.items():
        if build := service.get("build"):
            assert build["target"] in STAGES
            assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
        for other, wanted in service.get("depends_on", {}).items():
            condition = wanted["condition"]
            healthy = "healthcheck" in SERVICES[other]
            assert healthy == (condition == "service_healthy"), (name, other)
    volumes = [
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())
    ]
    assert sorted(volumes) == sorted(COMPOSE["volumes"])


def test_ports_are_open_to_this_machine_alone_and_passwords_are_the_users():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for name, value in service.get("environment", {}).items():
            assert ("PASSWORD" in name or "SECRET" in name) <= value.startswith("${"), name
    wanted = set(re.findall(r"\$\{(\w+):\?", text))
    given = dict(line.split("=") for line in (DEPLOY / "example.env").read_text().splitlines() if "=" in line)
    assert wanted == set(given) == {"POSTGRES_PASSWORD", "MINIO_PASSWORD"}
    assert set(given.values()) == {""}
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/deploy/.env" in ignored


@pytest.mark.parametrize("stage", ["tracking", "serve"])
def test_images_run_as_nobody_in_particular_and_get_signals_themselves(stage):
    [user], [entry] = arguments_of(stage, "USER"), arguments_of(stage, "ENTRYPOINT")
    assert user == "10001"
    assert yaml.safe_load(entry)[0] in ("mlflow", "degrain")
    names = [name for where, name, _ in LINES if where == stage]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name in ("RUN", "COPY"))
    assert "ADD" not in names
    for run in arguments_of(stage, "RUN"):
        assert "pip install --constraint" in run


def test_what_images_copy_is_there_and_not_ignored():
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source for _, name, arguments in LINES if name == "COPY" for source in shlex.split(arguments)[:-1]
    }
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)


def test_commands_are_understood():
    from mlflow.cli import server

    command = SERVICES["serve"]["command"]
    options = degrain_parser().parse_args(["serve", *command])
    assert (options.host, options.port) == ("0.0.0.0", 8080)
    assert int(SERVICES["serve"]["stop_grace_period"].rstrip("s")) > options.timeout
    [own] = arguments_of("serve", "CMD")
    assert degrain_parser().parse_args(["serve", *yaml.safe_load(own)]).port == 8080
    context = server.make_context("server", list(SERVICES["mlflow"]["command"]))
    assert (context.params["port"], context.params["artifacts_destination"]) == (5000, "s3://mlflow")
    assert any(option.envvar == "MLFLOW_BACKEND_STORE_URI" for option in server.params)
