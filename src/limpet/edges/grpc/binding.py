"""From bytes on a method's path to a handler's typed message and back, in the order of X4.

grpc's own deserializers are not used: a message is parsed only for a caller that was let in, and one that cannot
be parsed is the caller's mistake, told as INVALID_ARGUMENT, not a traceback in our log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc.aio import ServicerContext

from limpet.contracts.methods import METHODS, Method
from limpet.core.errors import InvalidArgument, NotSupported
from limpet.edges.grpc.gate import Call, Gate
from limpet.edges.grpc.status import refusal_of

LAST_REQUESTS_S = 0.1  # how long a refused stream is still read

Context = ServicerContext[bytes, bytes]
Handler = Callable[..., Awaitable[Any]]


class Stream:
    """The sending side of a streaming call."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._opening: asyncio.Future[None] | None = None

    async def opened(self) -> None:
        """Tell the client that the stream stands. Only the first call sends anything."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._context.send_initial_metadata(()))
            self._opening.add_done_callback(_note_outcome)
        await asyncio.shield(self._opening)

    async def send(self, message: Message) -> None:
        """Write one message; waits while the client does not read."""
        await self.opened()
        await self._context.write(message.SerializeToString())

    async def endable(self) -> None:
        """Return once the stream may be ended: gRPC refuses an end that meets the opening half sent, and then none comes."""
        if self._opening is not None:
            await asyncio.wait([self._opening])


def generic_handlers(gate: Gate, handlers: Mapping[str, Handler]) -> list[grpc.GenericRpcHandler]:
    """Every method of the contract: by its handler, given by path, or answered that it is not carried out."""
    unknown = set(handlers) - {method.path for method in METHODS}
    assert not unknown, unknown
    by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for method in METHODS:
        handler = handlers.get(method.path) or _not_carried_out(method)
        by_service.setdefault(method.service, {})[method.name] = _bound(gate, method, handler)
    return [grpc.method_handlers_generic_handler(service, methods) for service, methods in by_service.items()]


def parsed(method: Method, raw: bytes) -> Message:
    """The request. Raises InvalidArgument."""
    try:
        return method.request.FromString(raw)
    except DecodeError:
        raise InvalidArgument(f"the message of {method.path} could not be read as {method.request.DESCRIPTOR.name}") from None


def _bound(gate: Gate, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
    if method.client_streams:
        return grpc.stream_stream_rpc_method_handler(_both_stream(gate, method, handler))
    if method.server_streams:
        return grpc.unary_stream_rpc_method_handler(_server_streams(gate, method, handler))
    return grpc.unary_unary_rpc_method_handler(_unary(gate, method, handler))


def _unary(gate: Gate, method: Method, handler: Handler) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def serve(raw: bytes, context: Context) -> bytes:
        try:
            call = _admitted(gate, method, context)
            answer: Message = await handler(call, parsed(method, raw))
            return answer.SerializeToString()
        except Exception as error:
            refusal = refusal_of(error)
        await context.abort(refusal.code, refusal.details, refusal.trailers)
        raise AssertionError("abort does not return")

    return serve


def _server_streams(gate: Gate, method: Method, handler: Handler) -> Callable[[bytes, Context], Awaitable[None]]:
    async def serve(raw: bytes, context: Context) -> None:
        stream = Stream(context)

        async def work(call: Call) -> None:
            await handler(call, parsed(method, raw), stream)

        await _stream(gate, method, context, stream, work)

    return serve


def _both_stream(gate: Gate, method: Method, handler: Handler) -> Callable[[AsyncIterator[bytes], Context], Awaitable[None]]:
    async def serve(raw_requests: AsyncIterator[bytes], context: Context) -> None:
        async def requests() -> AsyncIterator[Message]:
            async for raw in raw_requests:
                yield parsed(method, raw)

        stream = Stream(context)

        async def work(call: Call) -> None:
            await handler(call, requests(), stream)

        await _stream(gate, method, context, stream, work, raw_requests)

    return serve


async def _read_away(raw_requests: AsyncIterator[bytes]) -> None:
    """Let what the client is sending arrive: an end that meets it on its way reaches some clients without its code."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_REQUESTS_S):
            async for _ in raw_requests:
                pass


def _note_outcome(opening: asyncio.Future[None]) -> None:
    """A client that leaves takes its handler along, and then nobody is left to hear that the opening failed."""
    if not opening.cancelled():
        opening.exception()


async def _stream(
    gate: Gate,
    method: Method,
    context: Context,
    stream: Stream,
    work: Callable[[Call], Awaitable[None]],
    raw_requests: AsyncIterator[bytes] | None = None,
) -> None:
    try:
        return await work(_admitted(gate, method, context))
    except Exception as error:
        if context.cancelled():
            return  # the client is gone; nobody is left to hear why
        refusal = refusal_of(error, of_stream=True)
    if raw_requests is not None:
        await _read_away(raw_requests)
    await stream.endable()
    await context.abort(refusal.code, refusal.details)


def _admitted(gate: Gate, method: Method, context: Context) -> Call:
    return gate.admit(method.service, tuple(context.invocation_metadata() or ()))


def _not_carried_out(method: Method) -> Handler:
    async def refuse(*_: object) -> None:
        raise NotSupported(f"{method.path} is not carried out by this engine yet; its documentation tells what is")

    return refuse
