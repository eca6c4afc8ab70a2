"""Parts of many answers of the REST interface: the base of all models, metadata, pages, errors."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class RestModel(BaseModel):
    """Base of all models: camel case on the wire, snake case in Python; unknown fields are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class APIError(RestModel):
    """REST model `APIError`."""

    code: int | None = None
    var_field: str | None = Field(default=None, alias="field")
    description: str
    docs_link: str | None = None


class APIErrors(RestModel):
    """REST model `APIErrors`."""

    errors: list[APIError]


class APIResourceMeta(RestModel):
    """REST model `APIResourceMeta`."""

    id: str
    created_at: datetime
    updated_at: datetime


class PaginationResponse(RestModel):
    """REST model `PaginationResponse`."""

    current_page: int | None = None
    next_page: int | None = None
    num_pages: int | None = None
