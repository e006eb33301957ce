"""aiokafka's connection options from the settings."""

from __future__ import annotations

import ssl
from typing import Any

from app.config import Settings


def client_options(settings: Settings) -> dict[str, Any]:
    """Options that every aiokafka client takes. ``settings.kafka_bootstrap`` must be resolved."""
    assert settings.kafka_bootstrap, "settings are resolved first"
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.startswith("SASL_"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        if settings.kafka_sasl_password is not None:
            options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_security_protocol.endswith("SSL"):
        cafile = settings.kafka_ssl_cafile
        options["ssl_context"] = ssl.create_default_context(cafile=str(cafile) if cafile else None)
    return options
