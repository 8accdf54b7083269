"""The page's addresses: itself, its files, a WebSocket for what is live, pictures in, a checkpoint out."""

import asyncio
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from anyio import move_on_after
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..errors import Error
from ..picture_files import Picture, PictureError
from ..prediction.reading import read_pictures_from
from ..training.checkpoint import save
from ..training.config import ConfigError
from . import messages
from .session import Session

STATIC = Path(str(files(__package__))) / "static"
DRAWING = 64  # pixels a side of the drawing that the page sends, one grey byte each, black ink on white
MAX_UPLOAD = 32 * 2**20  # bytes; a photo has 2 to 15 million
UNKNOWN = "the page asked for what this server does not know: reload it"
LOOKS = frozenset({"look", "cell"})
EVERY = 1.0  # seconds from one status to the next: to draw one costs a browser some 10 ms of a processor


def make_app(session: Session) -> Starlette:
    """Put the addresses together."""
    looking = asyncio.Lock()
    return Starlette(
        routes=[
            Route("/", _index),
            Route("/read", partial(_read, session), methods=["POST"]),
            Route("/checkpoint", partial(_checkpoint, session)),
            WebSocketRoute("/live", lambda socket: _Tab(session, socket, looking).serve()),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )


async def _index(_request: Request) -> Response:
    return HTMLResponse((STATIC / "index.html").read_text(encoding="utf-8"))


async def _read(session: Session, request: Request) -> Response:
    """Read the picture that is the request's body. Its name does not matter, and is not sent."""
    too_large = JSONResponse(
        {"error": f"the file has more than {MAX_UPLOAD >> 20} MiB"}, 413, {"connection": "close"}
    )
    if int(request.headers.get("content-length", 0)) > MAX_UPLOAD:
        return too_large
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_UPLOAD:
                return too_large
        return JSONResponse(await run_sync(_read_file, session, bytes(body)))
    except ClientDisconnect:
        return Response(status_code=400)  # nobody hears it
    except PictureError as error:
        return JSONResponse({"error": str(error), "blank": True}, 422)
    except Error as error:
        return JSONResponse({"error": str(error)}, 422)


def _read_file(session: Session, data: bytes) -> dict[str, Any]:
    _, picture = next(read_pictures_from(io.BytesIO(data), "the file"))
    return _answer(session, picture)


def _answer(session: Session, picture: Picture, *, invert: bool | None = None) -> dict[str, Any]:
    prediction, step = session.reader.read(picture, invert)
    return messages.answer(prediction, step)


async def _checkpoint(session: Session, _request: Request) -> Response:
    """Give the network as it is, as a file to keep."""
    try:
        data = await run_sync(_checkpoint_file, session)
    except Error as error:
        return JSONResponse({"error": str(error)}, 409)
    name = 'attachment; filename="digits.safetensors"'
    return Response(data, media_type="application/octet-stream", headers={"content-disposition": name})


def _checkpoint_file(session: Session) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.safetensors"
        save(path, session.checkpoint())
        return path.read_bytes()


class _Tab:
    """A page that is open: it is told how the runs are, and what it asks for is done in order.

    What looks at the test images takes long: it is answered beside all else, for one tab after the other.
    """

    def __init__(self, session: Session, socket: WebSocket, looking: asyncio.Lock) -> None:
        self._session = session
        self._socket = socket
        self._looking = looking
        self._looks: dict[str, dict[str, Any]] = {}  # asked for and not begun: the newest of each kind
        self._asked = asyncio.Event()  # there are looks
        self._sending = asyncio.Lock()
        self._ordered = asyncio.Event()  # the status is told at once after an order, such as to stop

    async def serve(self) -> None:
        # A cancellation, as the server ends, may come anywhere, and twice.
        with suppress(WebSocketDisconnect, asyncio.CancelledError):
            await self._socket.accept()
            await self._send(messages.hello(has_network=self._session.has_network))
            beside = [asyncio.create_task(each) for each in (self._tell(), self._look())]
            try:
                while True:
                    await self._serve_one()
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    async def _serve_one(self) -> None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        if (data := message.get("bytes")) is not None:
            await self._answer("drawing", self._read_drawing, data)
            return
        asked = _parsed(message["text"])
        kind = str(asked.get("type"))
        if kind in LOOKS:
            self._looks[kind] = asked
            self._asked.set()
        elif not await self._answer(kind, self._do, asked):
            self._ordered.set()

    async def _look(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._looks:
                kind = next(iter(self._looks))
                async with self._looking:
                    await self._answer(kind, self._do, self._looks.pop(kind))

    async def _answer(self, kind: str, do: Callable[[Any], dict[str, Any] | None], asked: object) -> bool:
        """Do in a thread what was asked for; returns whether there was anything to answer."""
        answer: dict[str, Any] | None
        try:
            answer = await run_sync(do, asked)
        except PictureError as error:
            answer = {"type": "blank", "reason": str(error)}
        except (Error, ConfigError) as error:
            answer = {"type": "error", "asked": kind, "message": str(error)}
        if answer is not None:
            await self._send(answer)
        return answer is not None

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending:
            try:
                await self._socket.send_text(json.dumps(message, separators=(",", ":"), allow_nan=False))
            except RuntimeError as error:  # Starlette's, of a page that is closed
                raise WebSocketDisconnect(1006) from error

    async def _tell(self) -> None:
        """Send the status, with what is new, as long as there is anything new."""
        number, losses, evaluations = 0, 0, 0
        last: dict[str, Any] = {}
        while True:
            self._ordered.clear()  # whatever is ordered from here on is told in the next round
            runs = self._session.runs()
            if runs.run is not None or runs.starting is not None:
                if runs.number != number:
                    number, losses, evaluations = runs.number, 0, 0
                status = messages.status(runs, losses, evaluations)
                losses += len(status["losses"])
                evaluations += len(status["evaluations"])
                if status != last:
                    await self._send(status)
                last = {**status, "first": losses, "losses": [], "evaluations": []}
            with move_on_after(EVERY):  # unlike wait_for(), which before Python 3.12 may lose a cancellation
                await self._ordered.wait()

    def _read_drawing(self, data: bytes) -> dict[str, Any]:
        if len(data) != DRAWING * DRAWING:
            raise Error(f"the drawing has {len(data)} bytes, expected {DRAWING}x{DRAWING}")
        return _answer(self._session, np.frombuffer(data, np.uint8).reshape(DRAWING, DRAWING), invert=True)

    def _do(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Do what the page asks for; returns the answer, if there is one."""
        session = self._session
        match asked:
            case {"type": "begin", "preset": str(preset), "options": dict(options)}:
                session.begin(preset, options)
            case {"type": "pause", "pause": bool(pause)}:
                session.pause(pause)
            case {"type": "stop"}:
                session.stop()
            case {"type": "look"}:
                return messages.look(session.findings(renew=True))
            case {"type": "cell", "label": int(label), "answer": int(answer)}:
                findings = session.findings(renew=False)
                if not (0 <= label < findings.classes and 0 <= answer < findings.classes):
                    raise Error(UNKNOWN)
                return messages.cell(findings, label, answer)
            case {"type": "filters"}:
                run = session.runs().run
                first = None if run is None else run.first_filters
                return messages.filters(session.reader.weights(), first)
            case _:
                raise Error(UNKNOWN)
        return None


def _parsed(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    return asked if isinstance(asked, dict) else {}
