"""The shapes of requests. Keys that are not named here are ignored and never kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

__all__ = ["PredictRequest", "RunRequest", "SetupRequest", "WebhookRequest"]


class SetupRequest(BaseModel):
    """``POST /setup``. The access token that comes along is not even read."""

    model_config = ConfigDict(frozen=True)

    project: StrictStr | None = None
    label_config: StrictStr | None = Field(None, alias="schema")
    hostname: StrictStr | None = None


class PredictRequest(BaseModel):
    """``POST /predict``. Of a task only ``id`` and ``data`` are looked at."""

    model_config = ConfigDict(frozen=True)

    tasks: list[dict[str, Any]]
    label_config: StrictStr | None = None
    params: dict[str, Any] | None = None

    @property
    def drawn(self) -> list[Any]:
        """The regions drawn so far, in an interactive call."""
        context = (self.params or {}).get("context")
        regions = context.get("result") if isinstance(context, dict) else None
        return regions if isinstance(regions, list) else []


class WebhookProject(BaseModel):
    """The part of the project row that is looked at on arrival."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = None
    created_at: StrictStr | None = None


class WebhookRequest(BaseModel):
    """``POST /webhook``: any action, and the project it is about."""

    model_config = ConfigDict(frozen=True)

    action: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
    project: WebhookProject | None = None


class RunRequest(BaseModel):
    """``POST /api/v1/runs``. ``force`` promotes whatever the gate says; it is logged.

    ``again`` trains even if nothing is new, ``warm_start`` from the version in use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    force: StrictBool = False
    again: StrictBool = False
    warm_start: StrictBool = False
