"""What a message of the queue may say: the name of a job and whole numbers, signed.

huey pickles its messages, so that whoever writes to its storage runs code in the worker. Here a
message is JSON under an HMAC-SHA256 (RFC 2104), and what is not signed by this project is dropped.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Annotated, Any, Final

from huey.registry import Message
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, ValidationError

from annotator.errors import ConfigError, ForeignMessageError, JobError

__all__ = ["SignedMessages"]

_PURPOSE: Final = b"annotator queue 1"
_LONGEST: Final = 4096
_N_HEX: Final = 64


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    job: str
    args: Annotated[tuple[int, ...], Field(max_length=1)]
    id: Annotated[str, Field(pattern=r"^[0-9a-f-]{32,36}$")]
    eta: NaiveDatetime | None


class SignedMessages:
    """Packs and unpacks messages for huey.

    ``jobs`` are the tasks' names, as huey registers them; they may be added to later. ``secret``
    is common to the programs of one project.

    Raises:
        ConfigError: if there is no secret.
    """

    def __init__(self, secret: str, jobs: Collection[str]) -> None:
        if not secret:
            raise ConfigError(
                "backend_password and api_token are empty, so messages of the queue cannot be "
                "signed; annotator init makes both"
            )
        self._key = hmac.digest(secret.encode("utf-8", "surrogatepass"), _PURPOSE, "sha256")
        self._jobs = jobs

    def serialize(self, message: Any) -> bytes:
        """Return the bytes of a message; nothing else may be stored in the queue."""
        try:
            said = _Said(job=message.name, args=tuple(message.args), id=message.id, eta=message.eta)
        except ValidationError:  # its reason would quote the value
            raise JobError("a message of the queue may hold whole numbers alone") from None
        packed = said.model_dump_json().encode()
        return self._sign(packed) + packed

    def deserialize(self, stored: object) -> Message:
        """Return the message of these bytes.

        Raises:
            ForeignMessageError: if they are not what ``serialize`` makes with the same secret.
        """
        if not isinstance(stored, (bytes, bytearray, memoryview)) or len(stored) > _LONGEST:
            raise _foreign()
        signature, packed = bytes(stored[:_N_HEX]), bytes(stored[_N_HEX:])
        if not hmac.compare_digest(signature, self._sign(packed)):
            raise _foreign()
        return self._read(packed)

    def _sign(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, packed, "sha256").hex().encode()

    def _read(self, packed: bytes) -> Message:
        try:
            said = _Said.model_validate_json(packed)
        except ValidationError:
            raise _foreign() from None
        if said.job not in self._jobs:
            raise _foreign()
        return Message(id=said.id, name=said.job, eta=said.eta, args=said.args, kwargs={})


def _foreign() -> ForeignMessageError:
    return ForeignMessageError(
        "a message in the queue is not signed by this project and was dropped: are serve, worker "
        "and commands started with the same secrets, or does somebody else write to queue_url?"
    )
