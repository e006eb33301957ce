"""The offline model server over HTTP, as its own process."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from app.offline.server import serve
from schemas.tickets import Grounding, Verdict

READY_S_MAX = 120
TEXTS = {
    "how_to": (
        "How do I change the colour of the toolbar?",
        "Wie kann ich die Farbe der Symbolleiste ändern?",
        "Comment changer la couleur de la barre d'outils ?",
        "Where can I find the setting for the start page?",
        "¿Cómo cambio el tamaño de la letra?",
    ),
    "refund": (
        "I want my money back for last month's order.",
        "Ich möchte mein Geld für die letzte Bestellung zurück.",
        "Je veux être remboursé de ma dernière commande.",
        "You charged me twice, please refund one payment.",
        "Quiero que me devuelvan el dinero de mi pedido.",
    ),
    "security": (
        "Somebody broke into my account from another country!",
        "Jemand hat mein Konto gehackt und das Passwort geändert!",
        "Quelqu'un a piraté mon compte et changé le mot de passe !",
        "A stranger is using my account, what now?",
        "¡Han entrado en mi cuenta sin mi permiso!",
    ),
}
LANGUAGES = ("en", "de", "fr", "en", "es")
ARTICLE = {
    "id": "kb-7",
    "title": "Printing",
    "heading": "",
    "text": "# Printing\nOpen the menu and choose Print to print a page.\nThe preview shows up to 20 pages.",
}


def rows() -> Iterator[str]:
    for category, texts in TEXTS.items():
        for text, language in zip(texts, LANGUAGES, strict=True):
            stakes = [] if category == "how_to" else [category]
            priority = {"how_to": "low", "refund": "normal", "security": "urgent"}[category]
            yield json.dumps(
                {
                    "text": text,
                    "language": language,
                    "category": category,
                    "priority": priority,
                    "sentiment": "neutral" if category == "how_to" else "negative",
                    "stakes": stakes,
                    "wants_human": False,
                }
            )


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """The URL of a server in its own process, up to /v1."""
    command = [sys.executable, "-m", "app.offline", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("http://"):
                yield line.strip()
                break
        else:
            pytest.fail(f"the server ended with {process.wait(10)}")
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait(30)


def wait_until_ready(url: str) -> dict[str, Any]:
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        try:
            answer = httpx2.get(url.removesuffix("/v1") + "/healthz", timeout=10)
        except httpx2.ConnectError:
            answer = None
        if answer is not None and answer.status_code == 200:
            return dict(answer.json())
        time.sleep(0.1)
    pytest.fail(f"not ready within {READY_S_MAX} s")


def waiting_texts(url: str) -> int:
    metrics = httpx2.get(url.removesuffix("/v1") + "/metrics", timeout=20).text
    return int(float(metrics.split("\ndeskstream_offline_embedding_queue_texts ")[1].split()[0]))


def wait_for_queue(url: str, *, texts_min: int) -> None:
    deadline = time.monotonic() + 20
    while waiting_texts(url) < texts_min:
        assert time.monotonic() < deadline, f"fewer than {texts_min} texts wait"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("offline")
    (home / "rows.jsonl").write_text("\n".join(rows()))
    log = home / "calls.jsonl"
    with running("--state-dir", str(home), "--training-file", str(home / "rows.jsonl"), "--log", str(log)) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture(scope="module")
def instant() -> Iterator[str]:
    with running("--instant", "--simulation", json.dumps({"always_warm": True})) as url:
        wait_until_ready(url)
        yield url


def tagged(tag: str, value: Any) -> str:
    return f"<{tag}>{json.dumps(value).replace('<', chr(92) + 'u003c')}</{tag}>"


def body(name: str, user: str, **fields: Any) -> dict[str, Any]:
    system = {"type": "text", "text": "Be kind. " * 1_000, "cache_control": {"type": "ephemeral"}}
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 500,
        "messages": [{"role": "system", "content": [system]}, {"role": "user", "content": user}],
        "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": {}}},
        **fields,
    }


def chat(url: str, name: str, user: str, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{url}/chat/completions", json=body(name, user), headers=headers, timeout=60)


def content(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.json()["choices"][0]["message"]["content"])


def message(text: str, subject: str = "") -> str:
    return tagged("customer_message", {"subject": subject, "body": text})


def test_a_ticket_is_classified_by_meaning_in_a_language_without_rows(trained: str) -> None:
    answer = chat(trained, "Verdict", message("Qualcuno è entrato nel mio account e ha cambiato la password!"))
    verdict = Verdict.model_validate(content(answer))
    assert (verdict.category, verdict.language) == ("security", "it")
    assert "security" in verdict.stakes


def test_a_text_far_from_every_row_gets_low_confidence(trained: str) -> None:
    near = Verdict.model_validate(content(chat(trained, "Verdict", message(TEXTS["refund"][0]))))
    far = Verdict.model_validate(content(chat(trained, "Verdict", message("lorem 8213 xkqz zzz // 0x0 ????"))))
    assert far.confidence < near.confidence / 2


def test_every_reply_says_that_it_is_no_language_model(trained: str) -> None:
    answer = chat(trained, "Verdict", message("Hello")).json()
    assert (answer["model"], answer["system_fingerprint"]) == ("offline-classifier", "offline")


def test_a_draft_quotes_and_cites_what_was_given_in_the_customers_language(trained: str) -> None:
    user = "Language: de\n" + tagged("knowledge_base", [ARTICLE]) + message("How do I print a page from the menu?")
    reply = content(chat(trained, "Reply", user))
    assert "Open the menu and choose Print to print a page." in reply["reply"]
    assert reply["citations"] == ["kb-7"]
    assert reply["reply"].startswith("Guten Tag,")
    assert reply["model"] == "offline-extractive"


def test_a_draft_without_passages_leaves_the_question_open(trained: str) -> None:
    reply = content(chat(trained, "Reply", message("Why is the sky blue?")))
    assert (reply["citations"], reply["unanswered"]) == ([], ["Why is the sky blue?"])
    assert reply["confidence"] < 0.1


def test_a_quoted_claim_is_supported_and_an_invented_number_is_not(trained: str) -> None:
    text = "Open the menu and choose Print to print a page. The preview shows up to 99 pages."
    user = tagged("knowledge_base", [ARTICLE]) + tagged("reply", text)
    claims = Grounding.model_validate(content(chat(trained, "Grounding", user))).claims
    assert [(claim.supported, claim.document_id) for claim in claims] == [(True, "kb-7"), (False, None)]


def test_embeddings_are_unit_vectors_and_the_input_type_matters(trained: str) -> None:
    client = openai.OpenAI(base_url=trained, api_key="none")
    first = client.embeddings.create(model="any", input=["print a page"], extra_body={"input_type": "query"})
    second = client.embeddings.create(model="any", input=["print a page"])
    query, passage = (np.array(answer.data[0].embedding) for answer in (first, second))
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-3)
    assert not np.allclose(query, passage)
    assert first.model == "offline-e5-small"


def test_base64_and_float_embeddings_are_the_same(trained: str) -> None:
    plain, packed = (
        httpx2.post(f"{trained}/embeddings", json={"model": "m", "input": "a", "encoding_format": encoding}, timeout=60)
        for encoding in ("float", "base64")
    )
    unpacked = np.frombuffer(base64.b64decode(packed.json()["data"][0]["embedding"]), "<f4")
    assert np.allclose(plain.json()["data"][0]["embedding"], unpacked)


def test_a_query_does_not_wait_for_a_batch_of_articles(trained: str) -> None:
    articles = [f"Article {n}. " + "Settings can be changed in the menu. " * 30 for n in range(16)]

    def embed(texts: list[str], kind: str) -> None:
        request = {"model": "m", "input": texts, "input_type": kind}
        httpx2.post(f"{trained}/embeddings", json=request, timeout=120).raise_for_status()

    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(embed, articles, "passage")
        wait_for_queue(trained, texts_min=10)
        embed(["a short question"], "query")
        assert waiting_texts(trained) >= 5
        batch.result()


@pytest.mark.parametrize("fields", [{"dimensions": 1024}, {"input": [[1, 2]]}, {"input": []}, {"input_type": "poem"}])
def test_embeddings_that_cannot_be_given_are_refused_with_a_reason(instant: str, fields: dict[str, Any]) -> None:
    answer = httpx2.post(f"{instant}/embeddings", json={"model": "m", "input": "a", **fields})
    assert answer.status_code == 400
    assert next(iter(fields)) in answer.json()["error"]["message"]


def test_the_log_has_a_row_for_each_answer(trained: str) -> None:
    answer = chat(trained, "Verdict", message("Hello again"), **{"Idempotency-Key": "call-1"})
    log = httpx2.get(trained.removesuffix("/v1") + "/log").text.splitlines()
    (row,) = [row for row in map(json.loads, log) if row["idempotency_key"] == "call-1"]
    assert (row["task"], row["status"], row["model"]) == ("classify", 200, "claude-sonnet-4-6")
    assert row["usage"] == answer.json()["usage"]


def test_the_second_call_reads_the_system_prompt_from_the_cache(instant: str) -> None:
    first, second = (chat(instant, "Verdict", message("Hi")).json()["usage"] for _ in range(2))
    assert second["prompt_tokens_details"]["cached_tokens"] == 2_250
    assert second["cache_creation_input_tokens"] == 0
    assert first["prompt_tokens"] == second["prompt_tokens"] > 2_250


def test_instant_answers_are_valid_and_labelled(instant: str) -> None:
    answer = chat(instant, "Verdict", message("Hello"))
    Verdict.model_validate(content(answer))
    assert answer.json()["model"] == "offline-simulated"


def test_simulated_faults_come_in_the_same_places_in_two_runs() -> None:
    shares = {"seed": 3, "rate_limited_share": 0.2, "server_error_share": 0.2, "truncated_share": 0.2}
    simulation = json.dumps({**shares, "malformed_share": 0.2})

    def one_run() -> list[tuple[int, str | None, str | None]]:
        with running("--instant", "--simulation", simulation) as url:
            wait_until_ready(url)
            answers = [chat(url, "Verdict", message("Hi"), **{"Idempotency-Key": f"call-{n}"}) for n in range(40)]
        return [(a.status_code, a.headers.get("retry-after"), _content_or_none(a)) for a in answers]

    first, second = one_run(), one_run()
    assert first == second
    assert {status for status, _, _ in first} == {200, 429, 500}
    assert all(retry_after == "1" for status, retry_after, _ in first if status == 429)


def _content_or_none(answer: httpx2.Response) -> str | None:
    return answer.json()["choices"][0]["message"]["content"] if answer.status_code == 200 else None


def test_a_hanging_request_does_not_hold_up_another() -> None:
    with running("--instant", "--simulation", json.dumps({"hang_share": 1.0, "hang_s": 30})) as url:
        wait_until_ready(url)
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/chat/completions", json=body("Verdict", message("Hi")), timeout=0.5)
        assert httpx2.get(f"{url}/models", timeout=5).status_code == 200


def test_a_host_beyond_loopback_needs_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0\.0\.0\.0"):
        serve("0.0.0.0", 0, tmp_path)


def test_metrics_count_the_answers(instant: str) -> None:
    chat(instant, "Verdict", message("Count me"))
    text = httpx2.get(instant.removesuffix("/v1") + "/metrics").text
    assert 'deskstream_offline_requests_total{path="/v1/chat/completions",status="200",task="classify"}' in text
