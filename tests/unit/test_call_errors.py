"""Was a call that failed paid for? Unknown stands in the ledger with its upper bound. Why was there no connection?"""

import asyncio
import socket
import ssl

import pytest

from agents.contract import PermanentError
from app.models.errors import REFUSED, CallFailed, Leaving, RateLimited, charged, no_connection
from app.ports import ProviderAway


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimited("429", retry_after_s=None), "no"),
        (ProviderAway("no connection"), "no"),
        (PermanentError(REFUSED, "400"), "no"),
        (CallFailed("500", charged="no"), "no"),
        (CallFailed("504", charged="unknown"), "unknown"),
        (PermanentError("dimensions", "vectors came, of another length"), "unknown"),
        (Leaving(), "no"),
        (asyncio.CancelledError(), "unknown"),
        (ZeroDivisionError(), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_only_what_the_provider_surely_refused_was_not_charged(error: BaseException, expected: str) -> None:
    assert charged(error) == expected


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def wrapped(*causes: BaseException) -> BaseException:
    """As the client has it: what it says itself tells nothing."""
    error = OSError("All connection attempts failed")
    error.__cause__ = causes[0] if len(causes) == 1 else BaseExceptionGroup("several addresses", causes)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (wrapped(ConnectionRefusedError(111, "refused")), "nothing listens there: start the server"),
        (wrapped(ConnectionRefusedError(), ConnectionRefusedError()), "nothing listens there: start the server"),
        (wrapped(socket.gaierror(-2, "Name or service not known")), "Name or service not known"),
        (wrapped(untrusted()), "self-signed certificate): name a file with its issuer's certificate in SSL_CERT_FILE"),
        (wrapped(ssl.SSLError(1, "wrong version number")), "begins with http://"),
        (TimeoutError(), "TimeoutError: see whether the server is well"),
    ],
)
def test_the_reason_of_a_failed_connection_is_said_with_the_way_out(error: BaseException, said: str) -> None:
    assert said in no_connection(error)
