"""What can go wrong with a call, beside ``ProviderAway``: was it charged?"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from typing import Literal

from agents.contract import PermanentError, TransientError

Charged = Literal["no", "unknown"]
REFUSED = "provider_refused"  # the reason of a PermanentError: this request will never be taken


class CallFailed(TransientError):
    """The provider failed at this call. ``charged`` is unknown when it may have done its work."""

    def __init__(self, message: str, *, charged: Charged, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.charged: Charged = charged


class RateLimited(CallFailed):
    """429: refused, not charged."""

    def __init__(self, message: str, *, retry_after_s: float | None) -> None:
        super().__init__(message, charged="no", retry_after_s=retry_after_s)


class Leaving(asyncio.CancelledError):
    """Not sent, as this worker leaves before the answer would come.

    A cancellation, though nobody asked for it: like one it ends the handling of the record without any result, and the
    next owner begins it anew.
    """


def charged(error: BaseException) -> Charged:
    """For any failure of a call. What was cancelled or is a bug of ours may have reached the provider."""
    if isinstance(error, CallFailed):
        return error.charged
    if isinstance(error, Leaving):
        return "no"
    if isinstance(error, PermanentError):
        return "no" if error.reason == REFUSED else "unknown"
    return "no" if isinstance(error, TransientError) else "unknown"


def no_connection(error: BaseException) -> str:
    """Why there is none, and the way out. The client itself may only say that all attempts failed."""
    for cause in _causes(error):
        match cause:
            case ConnectionRefusedError():
                return "nothing listens there: start the server, or correct its URL setting"
            case socket.gaierror():
                return f"its name was not found ({cause.strerror}): correct its URL setting, or the DNS"
            case ssl.SSLCertVerificationError():
                return (
                    f"its certificate is not trusted ({cause.verify_message}): "
                    "name a file with its issuer's certificate in SSL_CERT_FILE"
                )
            case ssl.SSLError():
                return f"TLS failed ({cause.strerror}): if the server speaks none, its URL setting begins with http://"
    return f"{str(error) or type(error).__name__}: see whether the server is well, and check its URL setting"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Of several, as of one for each address of a name, the first."""
    while error is not None:
        yield error
        several = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        error = several[0] if several else error.__cause__ or error.__context__
