"""Settings: environment over ``deskstream.toml`` over defaults.

A server that is not named is the embedded one; its address stands in ``<state_dir>/servers.json`` once it is up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

DEFAULT_PROVIDER_URL = "https://api.kunavo.com/v1"
CONFIG_FILE_VARIABLE = "DESKSTREAM_CONFIG"

Bootstrap = Annotated[str, StringConstraints(pattern=r"^[^,:\s]+:\d{1,5}(,[^,:\s]+:\d{1,5})*$", max_length=2_000)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2_000)]
PostgresUrl = Annotated[str, StringConstraints(pattern=r"^postgres(ql)?://[^\s]+$", max_length=2_000)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    # Servers. None: the embedded one.
    kafka_bootstrap: Bootstrap | None = Field(None, description="host:port[,host:port...]")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    database_url: PostgresUrl | None = Field(None, description="postgresql://user:password@host:port/database")
    llm_base_url: HttpUrl | None = Field(None, description="an OpenAI-compatible URL that ends in /v1")
    llm_api_key: SecretStr | None = None
    llm_cache_control: bool = Field(True, description="send cache_control; off for servers that answer 500 to it")
    llm_json_schema: bool = Field(True, description="send response_format json_schema; off where it is refused")
    embeddings_base_url: HttpUrl | None = Field(None, description="an OpenAI-compatible URL that ends in /v1")
    embeddings_api_key: SecretStr | None = None

    # Models, by the prompt that asks them.
    classify_model: str = "claude-haiku-4-5"
    draft_model: str = "claude-sonnet-4-6"
    ground_model: str = "claude-haiku-4-5"
    rerank_model: str = "claude-haiku-4-5"
    # Asked while the one above is away; same provider. None: wait for it.
    classify_fallback_model: str | None = None
    draft_fallback_model: str | None = None
    ground_fallback_model: str | None = None
    hedge_after_s: float | None = Field(
        None,
        gt=0,
        le=600,
        description="a chat call without an answer after so long is made a second time, and the first answer taken: "
        "both may be charged, so this gives up on purpose that no call is made twice at once. None: never",
    )
    embeddings_model: str = "text-embedding-3-large"
    embeddings_dimensions: int = Field(384, ge=8, le=2_000, description="2,000 is pgvector's HNSW limit")
    prices_file: Path | None = Field(None, description="TOML of prices that differ from the list")
    guidelines_dir: Path | None = Field(
        None, description="tenants' own guidelines: TENANT/{tone,policy,escalation}.md and TENANT/locale/TAG.md"
    )

    # Topics.
    partitions: int = Field(4, ge=1, le=1_000)
    replication_factor: int = Field(1, ge=1, le=10)

    # Limits of a stage worker.
    in_flight_max: int = Field(256, ge=1, le=20_000)
    record_time_in_flight_s_max: float = Field(120, gt=0, le=3_600)

    # Answers and claims; the ledger is kept.
    journal_days_kept: int = Field(30, ge=1, le=3_650, description="longer than the topics keep their records")

    # The console.
    console_host: str = "127.0.0.1"
    console_port: int = Field(8_300, ge=1, le=65_535)
    console_url: HttpUrl | None = Field(None, description="where people reach it; https makes its cookies secure")
    oidc_issuer: HttpUrl | None = Field(None, description="the identity provider; None: passwords and links only")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None

    # Where replies go. Whatever the webhook accepted must show there within reply_settle_s.
    reply_adapter: Literal["console", "file", "webhook"] = Field("console", description="console: only marked as sent")
    reply_folder: Path | None = Field(None, description="for file; None: STATE_DIR/replies")
    reply_webhook_url: HttpUrl | None = None
    reply_webhook_secret: SecretStr | None = Field(None, description="signs what is sent")
    reply_webhook_reads_back: bool = Field(True, description="off where it has no GET: what is unsure stays unknown")
    reply_timeout_s: float = Field(15, gt=0, le=60)
    reply_settle_s: float = Field(15, ge=0, le=600)

    # This machine.
    state_dir: Path = Path(".deskstream")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65_535, description="0: any free port, written to the log")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="before")
    @classmethod
    def _default_provider(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A key without a URL is for the default provider."""
        if given.get("llm_api_key") and not given.get("llm_base_url"):
            return {**given, "llm_base_url": DEFAULT_PROVIDER_URL}
        return given

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get(CONFIG_FILE_VARIABLE, "deskstream.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


# Setting to the form that is accepted, in words; for the others pydantic's own words do.
_FORMS = {
    "kafka_bootstrap": "host:port[,host:port...]",
    "database_url": "postgresql://user:password@host:port/database",
    "llm_base_url": "http(s)://host[:port]/v1",
    "embeddings_base_url": "http(s)://host[:port]/v1",
}


def describe_problem(problem: Mapping[str, Any]) -> str:
    """One line for one of pydantic's errors: the setting, what is wrong, and the accepted form."""
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    form = _FORMS.get(name)
    expected = f"expected {form}" if form else problem["msg"][:1].lower() + problem["msg"][1:]
    # A value may be a secret or hold a password: it is not repeated.
    return f"{name.upper()}: {expected}"
