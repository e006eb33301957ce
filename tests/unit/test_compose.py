"""infra/compose.yaml and infra/Dockerfile, without an engine: the file is valid, and fits the rest of the product."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from agents.pipeline import PIPELINE
from app.cli.main import app
from app.config import Settings
from app.embedded.kafka import POM

INFRA = Path(__file__).parents[2] / "infra"
SCHEMA = json.loads((Path(__file__).parent / "compose_spec" / "compose-spec.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (INFRA / "Dockerfile").read_text()
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_it_is_valid_by_the_compose_specification() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


def test_the_validation_refuses_what_the_specification_does_not_know() -> None:
    broken = {**COMPOSE, "services": {"kafka": {**SERVICES["kafka"], "imagine": "apache/kafka"}}}
    with pytest.raises(jsonschema.ValidationError, match="imagine"):
        jsonschema.Draft7Validator(SCHEMA).validate(broken)


def test_every_stage_of_the_pipeline_is_a_service() -> None:
    for agent in PIPELINE:
        assert SERVICES[agent.name]["command"] == ["deskstream", "stage", agent.name]


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_deskstream_has(name: str) -> None:
    program, *arguments = OURS[name]["command"]
    assert program == "deskstream"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(name, arguments)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    assert {variable.lower() for variable in OURS[name]["environment"]} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", OURS)
def test_no_service_of_ours_would_look_for_an_embedded_server(name: str) -> None:
    named = {variable.lower() for variable in OURS[name]["environment"]}
    assert named >= {"kafka_bootstrap", "database_url", "llm_base_url", "embeddings_base_url"}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_happen(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:(?!latest$)\S*\d\S*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_are_declared(name: str) -> None:
    assert {volume.partition(":")[0] for volume in SERVICES[name].get("volumes", [])} <= set(COMPOSE["volumes"])


def test_kafka_is_the_version_of_the_embedded_one() -> None:
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    versions = {
        dependency.findtext("m:artifactId", namespaces=namespace): dependency.findtext(
            "m:version", namespaces=namespace
        )
        for dependency in ET.parse(POM).iterfind("m:dependencies/m:dependency", namespace)
    }
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{versions['kafka_2.13']}"


def test_prometheus_finds_every_stage_where_it_gives_its_metrics() -> None:
    config = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])
    (found,) = config["scrape_configs"][0]["dns_sd_configs"]
    assert set(found["names"]) == {agent.name for agent in PIPELINE}
    for name in found["names"]:
        assert SERVICES[name]["environment"]["METRICS_PORT"] == str(found["port"])


def test_the_image_is_built_from_the_lock_and_its_hashes() -> None:
    assert re.search(r"pip install .*--require-hashes .*-r infra/lock/run\.txt", DOCKERFILE)
    assert re.search(r"pip install --no-deps --no-build-isolation \.", DOCKERFILE)


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1] == "deskstream"


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (INFRA / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]}
    assert copied == kept
    assert all((INFRA.parent / source).exists() for source in copied)
