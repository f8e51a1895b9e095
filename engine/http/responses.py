"""Problem documents as HTTP responses, and the handlers that turn every failure of a request into one."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from engine import problem
from engine.errors import InternalError, NotFoundError, VmdeckError
from engine.problem import Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

logger = logging.getLogger(__name__)

TRACE_HEADER = "X-Trace-Id"

# HTTP's own refusals, which no error of the engine stands for: kind, title
_HTTP_KINDS = {
    400: ("malformed", "The request can't be read"),
    401: ("unauthorized", "A token is needed"),
    403: ("forbidden", "Not allowed"),
    404: (NotFoundError.kind, NotFoundError.title),
    405: ("method-not-allowed", "Wrong method for this address"),
    413: ("too-large", "The request is too large"),
    421: ("misdirected", "This request was meant for another server"),
}


def http_problem(status: int, detail: str, *, remedy: str = "") -> Problem:
    """A refusal of HTTP's own, such as 401 or 413."""
    kind, title = _HTTP_KINDS.get(status, ("http", "The request was refused"))
    return Problem(problem.TYPE_PREFIX + kind, title, status, detail, remedy, trace_id=new_trace_id())


def problem_response(document: Problem, headers: dict[str, str] | None = None) -> Response:
    extra = dict(headers or {})
    if document.retry_after_s is not None:
        extra["Retry-After"] = str(document.retry_after_s)
    if document.trace_id is not None:
        extra[TRACE_HEADER] = document.trace_id
    return Response(document.json(), document.status, extra, problem.MEDIA_TYPE)


def new_trace_id() -> str:
    return uuid.uuid4().hex


def install_handlers(app: FastAPI) -> None:
    """Make every failure of a request end as a problem document."""
    app.add_exception_handler(VmdeckError, _engine_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)


async def _engine_error(_request: Request, error: Exception) -> Response:
    return problem_response(problem.from_error(cast("VmdeckError", error), trace_id=new_trace_id()))


async def _invalid(_request: Request, error: Exception) -> Response:
    details = cast("list[ErrorDetails]", cast("RequestValidationError", error).errors())
    return problem_response(problem.from_validation(details, trace_id=new_trace_id()))


async def _http_error(request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    detail, remedy = str(refusal.detail), ""
    if refusal.status_code in (404, 405):
        detail, remedy = f"There is no {request.method} {request.url.path[:200]} here", "See /docs for what there is"
    return problem_response(http_problem(refusal.status_code, detail, remedy=remedy), dict(refusal.headers or {}))


async def _fault(request: Request, error: Exception) -> Response:
    trace_id = new_trace_id()
    # The traceback follows from the server, to which the exception goes on.
    logger.error("fault trace_id=%s method=%s path=%s", trace_id, request.method, request.url.path)
    fault = InternalError(f"Unexpected {type(error).__name__}", remedy=f"See the server's log at {trace_id}")
    return problem_response(problem.from_error(fault, trace_id=trace_id))
