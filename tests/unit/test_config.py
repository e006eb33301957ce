"""Settings: defaults, and what a wrong one is told."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from app.config import DEFAULT_PROVIDER_URL, Settings, describe_problem


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_settings_every_server_is_the_embedded_one() -> None:
    settings = Settings()
    assert (settings.kafka_bootstrap, settings.database_url, settings.llm_base_url) == (None, None, None)


def test_a_key_without_a_url_is_for_the_default_provider() -> None:
    assert Settings(llm_api_key=SecretStr("k")).llm_base_url == DEFAULT_PROVIDER_URL


def test_a_url_beside_the_key_is_kept() -> None:
    assert Settings(llm_api_key=SecretStr("k"), llm_base_url="http://h/v1").llm_base_url == "http://h/v1"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "")
    assert Settings().kafka_bootstrap is None


def test_a_wrong_value_is_told_by_name_and_form_without_the_value() -> None:
    with pytest.raises(ValidationError) as wrong:
        Settings(database_url="mysql://u:secret@h/d")
    told = describe_problem(wrong.value.errors()[0])
    assert told == "DATABASE_URL: expected postgresql://user:password@host:port/database"


def test_a_key_is_not_shown() -> None:
    assert "hush" not in repr(Settings(llm_api_key=SecretStr("hush")))
