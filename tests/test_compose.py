"""docker/compose.yaml: valid by the schema of compose files, and as careful as it says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

SERVICES = ("mlflow", "dashboard", "worker")


@pytest.fixture(scope="module")
def compose_file(checkout: Path) -> Path:
    return checkout / "docker" / "compose.yaml"


@pytest.fixture(scope="module")
def services(compose_file: Path) -> dict[str, Any]:
    return yaml.safe_load(compose_file.read_text())["services"]


def check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_is_a_compose_file(compose_file: Path, tmp_path: Path) -> None:
    assert check(compose_file).returncode == 0, check(compose_file).stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(compose_file.read_text().replace("healthcheck:", "health:"))
    assert check(wrong).returncode != 0, "the schema must notice a key that does not exist"


def test_every_service_is_ours_checked_for_health_and_nobody_in_particular(services) -> None:
    assert set(services) == set(SERVICES)
    for service in services.values():
        assert service["healthcheck"]["test"]
        assert service["user"].split(":")[0] not in ("", "0", "root")
        assert service["cap_drop"] == ["ALL"]


def test_ports_are_open_on_the_loopback_interface_alone(services) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_telemetry_is_mounted_read_only(services) -> None:
    assert [volume for volume in services["worker"]["volumes"] if volume.endswith(":/data:ro")]


@pytest.mark.parametrize("service", SERVICES)
def test_the_command_is_a_script_that_can_be_run(services, checkout: Path, service: str) -> None:
    (command,) = services[service]["command"]
    script = checkout / command.removeprefix("/opt/ftl/")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def test_the_image_runs_the_same_installation_as_the_trial(checkout: Path) -> None:
    for user in ("Dockerfile", "try.sh"):
        assert "docker/install.sh" in (checkout / "docker" / user).read_text()
