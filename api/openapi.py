"""The OpenAPI schema: what the framework derives, with our problems in place of its own errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. `errors` point into the body (RFC 6901), or name a parameter as `#name`.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "instance", "code")},
        "status": {"type": "integer"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def install(app: FastAPI) -> None:
    """Let `app` describe its errors as they are."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _schema(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = schema["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        del components["schemas"][unused]
    components["schemas"]["Problem"] = _SCHEMA
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "A problem.", "content": {"application/problem+json": {"schema": _PROBLEM}},
            }
            if path.startswith("/v1/"):
                operation["security"] = [{"key": []}, {}]
    return schema
