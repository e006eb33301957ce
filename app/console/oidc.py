"""Signing in by the company's identity provider: OpenID Connect's code flow with PKCE, checked by Authlib.

The provider says who someone is. Whether they may come in, and as what, stands in the workspace's users.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from agents.contract import TransientError

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]  # what a public key verifies; never "none" or a shared key
KEPT_S = 300.0  # a provider publishes a new key before it signs with it
_TIMEOUT_S = 10.0
_LEEWAY_S = 60


class OidcRefused(Exception):
    """The provider's answer is not one that we asked for, or does not name a verified e-mail address."""


@dataclass(frozen=True)
class Attempt:
    """What a browser takes along to the provider and back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Attempt:
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


class Oidc:
    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._issuer = issuer.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._client = client or httpx2.AsyncClient(timeout=_TIMEOUT_S)
        self._described: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def close(self) -> None:
        await self._client.aclose()

    async def address(self, attempt: Attempt) -> str:
        """Where the browser is sent. Raises TransientError."""
        described = await self._describe()
        asked = {
            "response_type": "code",
            "scope": "openid email profile",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{described['authorization_endpoint']}?{urlencode(asked)}"

    async def email(self, attempt: Attempt, *, code: str, state: str) -> str:
        """Whose code it is. Raises OidcRefused, TransientError."""
        if not secrets.compare_digest(state.encode(), attempt.state.encode()):
            raise OidcRefused("the answer belongs to another attempt")
        described = await self._describe()
        given = await self._json(
            "POST",
            described["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._redirect_uri,
                "code_verifier": attempt.verifier,
            },
            auth=(self._client_id, self._client_secret),
        )
        claims = await self._claims(str(given.get("id_token", "")), attempt)
        if not claims.get("email") or claims.get("email_verified") is not True:
            raise OidcRefused("the provider names no verified e-mail address")
        return str(claims["email"])

    async def _claims(self, id_token: str, attempt: Attempt) -> Mapping[str, Any]:
        expected = {
            "iss": {"essential": True, "value": (await self._describe())["issuer"]},
            "aud": {"essential": True, "value": self._client_id},
        }
        try:
            token = jwt.decode(id_token, await self._key_set(), algorithms=ALGORITHMS)
            claims = CodeIDToken(
                token.claims, token.header, expected, {"nonce": attempt.nonce, "client_id": self._client_id}
            )
            claims.validate(leeway=_LEEWAY_S)
        except (JoseError, ValueError) as error:
            raise OidcRefused(f"the provider's token does not hold: {error}") from error
        found: Mapping[str, Any] = claims
        return found

    async def _describe(self) -> dict[str, Any]:
        if self._described is None or time.monotonic() - self._described[0] > KEPT_S:
            described = await self._json("GET", f"{self._issuer}/.well-known/openid-configuration")
            if str(described.get("issuer", "")).rstrip("/") != self._issuer:
                raise OidcRefused(f"OIDC_ISSUER is {self._issuer}, and it calls itself {described.get('issuer')}")
            self._described = (time.monotonic(), described)
        return self._described[1]

    async def _key_set(self) -> KeySet:
        if self._keys is None or time.monotonic() - self._keys[0] > KEPT_S:
            described = await self._describe()
            found: Any = await self._json("GET", described["jwks_uri"])
            self._keys = (time.monotonic(), KeySet.import_key_set(found))
        return self._keys[1]

    async def _json(self, method: str, url: str, **asked: Any) -> dict[str, Any]:
        try:
            response = await self._client.request(method, url, **asked)
        except httpx2.TransportError as error:
            raise TransientError(f"the identity provider at {self._issuer} is away: {error}") from error
        if response.status_code >= 500:
            raise TransientError(f"the identity provider at {self._issuer} answers {response.status_code}")
        if response.status_code >= 400:
            raise OidcRefused(f"the identity provider answers {response.status_code}: check OIDC_CLIENT_ID and secret")
        try:
            found = response.json()
        except ValueError as error:
            raise OidcRefused("the identity provider's answer is not JSON") from error
        if not isinstance(found, dict):
            raise OidcRefused("the identity provider's answer is no object")
        return found
