"""Reviews from a file to the bus, from the bus to a calibration, from there to the route agent's policy."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agents.confidence import FORMULA
from agents.contract import PermanentError
from app.calibration.fit import fit, reviewed
from app.kafka.reading import each_event
from app.reviews import import_reviews, read_reviews
from app.store.database import Pool
from app.store.policies import Policies, create_tenant, keep_calibration, kept_calibration
from schemas.policy import TenantPolicy
from schemas.reviews import ReviewDecided
from tests.events import NOON
from tests.integration.test_cli import deskstream


@pytest.fixture
def client(bus: dict[str, Any]) -> dict[str, Any]:
    return bus


@pytest.fixture
def pool(app_pool: Pool) -> Pool:
    return app_pool


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex[:12]}"


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A simulated reviewer: approves the more often, the surer the draft was."""
    draw = random.Random(number)
    sure = draw.random()
    approves = draw.random() < sure**3
    return {
        "ticket_id": f"t{number}",
        "root_id": f"e{number}",
        "draft_event_id": f"d{number}",
        "decision": "approved" if approves else "rejected",
        "reason": "" if approves else "another article",
        "reviewer": "simulated",
        "decided_at": (NOON + timedelta(minutes=number)).isoformat(),
        "category": "how_to",
        "language": "en",
        "signals": {"similarity": sure, "margin": sure, "agreement": sure, "classification": sure, "draft": sure,
                    "citations": 1},
        **fields,
    }  # fmt: skip


def write(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows))
    return file


async def put(client: dict[str, Any], file: Path, tenant: str, told: list[tuple[int, str]] | None = None) -> Any:
    return await import_reviews(
        file, client=client, tenant=tenant, source="/reviews/test",
        on_bad_line=lambda number, text: None if told is None else told.append((number, text)),
    )  # fmt: skip


async def test_an_import_given_twice_leaves_each_review_once(
    client: dict[str, Any], tenant: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "r.jsonl", [row(1), row(2), row(1)])
    first, second = await put(client, file, tenant), await put(client, file, tenant)
    assert (first.repeats, second.repeats) == (1, 3)
    on_topic: list[str] = []
    await each_id(client, tenant, on_topic)
    assert len(on_topic) == 2


async def each_id(client: dict[str, Any], tenant: str, found: list[str]) -> None:
    await each_event(client, ReviewDecided, lambda event: found.append(event.event_id), tenant=tenant)


async def test_a_bad_line_is_told_by_its_number_and_passed_over(
    client: dict[str, Any], tenant: str, tmp_path: Path
) -> None:
    told: list[tuple[int, str]] = []
    bad = ["nope", row(1, decision="edited"), row(2, draft_event_id=None), row(3, tenant="other"), row(4)]
    await put(client, write(tmp_path / "r.jsonl", bad), tenant, told)
    assert [number for number, _ in told] == [1, 2, 3, 4]
    assert ["JSON" in told[0][1], "edit" in told[1][1], "draft_event_id" in told[2][1], "tenant" in told[3][1]] == (
        [True] * 4
    )
    assert [review.ticket_id for review in await read_reviews(client, tenant)] == ["t4"]


async def test_nobody_reads_another_tenants_reviews(client: dict[str, Any], tenant: str, tmp_path: Path) -> None:
    await put(client, write(tmp_path / "r.jsonl", [row(1)]), tenant)
    assert await read_reviews(client, f"{tenant}x") == ()


async def test_a_calibration_is_read_with_the_policy_and_the_newest_holds(
    client: dict[str, Any], pool: Pool, tenant: str, tmp_path: Path
) -> None:
    await create_tenant(pool, TenantPolicy(tenant=tenant))
    assert (await Policies(pool).policy(tenant)).calibration is None
    await put(client, write(tmp_path / "r.jsonl", [row(at) for at in range(300)]), tenant)
    fitted = fit(reviewed(await read_reviews(client, tenant)))
    assert [await keep_calibration(pool, tenant, fitted) for _ in range(2)] == [1, 2]
    policy = await Policies(pool).policy(tenant)
    assert policy.calibration is not None
    assert (policy.calibration.version, policy.calibration.formula) == (2, FORMULA)
    assert policy.calibration.curves == fitted.curves
    kept = await kept_calibration(pool, tenant)
    assert kept is not None and kept.measured == fitted.measured


async def test_a_tenant_that_is_not_there_cannot_be_calibrated(
    client: dict[str, Any], pool: Pool, tenant: str, tmp_path: Path
) -> None:
    await put(client, write(tmp_path / "r.jsonl", [row(at) for at in range(100)]), tenant)
    with pytest.raises(PermanentError, match="there is no tenant"):
        await keep_calibration(pool, tenant, fit(reviewed(await read_reviews(client, tenant))))


async def test_the_commands_refuse_below_the_minimum_and_show_what_they_fitted(
    client: dict[str, Any], pool: Pool, database_url: str, tenant: str, tmp_path: Path
) -> None:
    await create_tenant(pool, TenantPolicy(tenant=tenant))
    servers = {"KAFKA_BOOTSTRAP": client["bootstrap_servers"], "DATABASE_URL": database_url}
    file = write(tmp_path / "r.jsonl", [row(at) for at in range(99)])
    done = await deskstream("reviews", "import", str(file), "--tenant", tenant, cwd=tmp_path, **servers)
    assert (done.code, "99 reviews in, 0 repeats, 0 bad lines" in done.out) == (0, True)
    done = await deskstream("calibration", "fit", "--tenant", tenant, cwd=tmp_path, **servers)
    assert (done.code, "1 more" in done.err) == (1, True)
    done = await deskstream("calibration", "show", "--tenant", tenant, cwd=tmp_path, **servers)
    assert "uncalibrated" in done.out

    write(file, [row(at) for at in range(400)])
    await deskstream("reviews", "import", str(file), "--tenant", tenant, cwd=tmp_path, **servers)
    done = await deskstream("calibration", "fit", "--tenant", tenant, cwd=tmp_path, **servers)
    assert (done.code, "Expected calibration error" in done.out) == (0, True)
    done = await deskstream("calibration", "show", "--tenant", tenant, "--json", cwd=tmp_path, **servers)
    told = json.loads(done.out)
    assert told["calibrated"] and told["measured"]["reviews"] == 400
    assert told["measured"]["error"] < told["measured"]["error_raw"]
    done = await deskstream("calibration", "show", "--tenant", tenant, "--plot", cwd=tmp_path, **servers)
    assert "predicted" in done.out
