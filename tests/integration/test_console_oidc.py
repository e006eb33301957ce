"""Signing in by an identity provider: only its own, fresh, signed word on a verified address lets a known user in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.console.application import application
from app.console.oidc import Oidc
from app.console.roles import Role
from app.store.database import Pool
from tests.console_site import console, new_tenant

ISSUER = "https://id.test"
CLIENT = "deskstream"


class Provider:
    """An identity provider that signs what a test tells it to."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
        self.claims: dict[str, Any] = {}
        self.signing = self.key
        self.algorithm = "RS256"
        self.challenge = ""
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._described),
                Route("/keys", self._keys),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _described(self, request: Request) -> JSONResponse:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": ISSUER, **{name: f"{ISSUER}/{path}" for name, path in names.items()}})

    async def _keys(self, request: Request) -> JSONResponse:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _token(self, request: Request) -> JSONResponse:
        sent = parse_qs((await request.body()).decode())
        if create_s256_code_challenge(sent["code_verifier"][0]) != self.challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        signed = jwt.encode({"alg": self.algorithm, "kid": "1"}, self.claims, self.signing)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": signed})

    def says(self, address: str, **claims: Any) -> None:
        """What its token will hold, for the attempt that ``address`` is of."""
        asked = parse_qs(urlsplit(address).query)
        self.challenge = asked["code_challenge"][0]
        self.claims = {
            "iss": ISSUER, "aud": CLIENT, "sub": "1", "iat": int(time.time()), "exp": int(time.time()) + 60,
            "nonce": asked["nonce"][0], "email": "ada@example.com", "email_verified": True, **claims,
        }  # fmt: skip


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def tenant(app_pool: Pool) -> str:
    return await new_tenant(app_pool)


@pytest.fixture
async def browser(app_pool: Pool, pool: Pool, provider: Provider, tenant: str) -> AsyncIterator[httpx2.AsyncClient]:
    """At a console whose workspace knows ada."""
    found = console(app_pool, pool)
    await found.accounts.add(tenant, "ada@example.com", name="Ada", role=Role.REVIEWER, actor="test")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(provider.app)) as away:
        oidc = Oidc(
            issuer=ISSUER, client_id=CLIENT, client_secret="s", redirect_uri="http://console.test/x", client=away
        )
        app = application(console(app_pool, pool, oidc=oidc))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://console.test") as client:
            yield client


async def _address(browser: httpx2.AsyncClient, tenant: str) -> str:
    """Where the console sends the browser."""
    text = (await browser.get("/sign-in/provider", params={"workspace": tenant, "next": "/account"})).text
    return text.split('class="button primary" href="')[1].split('"')[0].replace("&amp;", "&")


async def _returned(browser: httpx2.AsyncClient, address: str, **changed: str) -> httpx2.Response:
    state = parse_qs(urlsplit(address).query)["state"][0]
    return await browser.get("/sign-in/provider/return", params={"code": "c", "state": state, **changed})


async def test_its_word_signs_a_known_user_in(browser: httpx2.AsyncClient, provider: Provider, tenant: str) -> None:
    """And leads where they were going."""
    address = await _address(browser, tenant)
    provider.says(address)
    answer = await _returned(browser, address)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert "ada@example.com" in (await browser.get("/account")).text


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False}, {"email_verified": "true"}, {"email": ""}, {"email": "eve@example.com"},
        {"aud": "another"}, {"iss": "https://evil.test"}, {"nonce": "another"}, {"exp": 1},
    ],
    ids=str,
)  # fmt: skip
async def test_any_other_word_does_not(
    claims: dict[str, Any], browser: httpx2.AsyncClient, provider: Provider, tenant: str
) -> None:
    address = await _address(browser, tenant)
    provider.says(address, **claims)
    assert (await _returned(browser, address)).status_code == 403


async def test_another_attempts_answer_is_refused(browser: httpx2.AsyncClient, provider: Provider, tenant: str) -> None:
    address = await _address(browser, tenant)
    provider.says(address)
    assert (await _returned(browser, address, state="another")).status_code == 403


async def test_a_token_that_somebody_else_signed_is_refused(
    browser: httpx2.AsyncClient, provider: Provider, tenant: str
) -> None:
    address = await _address(browser, tenant)
    provider.says(address)
    provider.signing = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
    assert (await _returned(browser, address)).status_code == 403


async def test_an_answer_that_nobody_asked_for_is_refused(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/sign-in/provider/return", params={"code": "c", "state": "s"})).status_code == 400
