"""Who may ask for what: the page trains networks and reads files, and other sites may send it requests.

A random token in the address, as Jupyter has it, keeps out whoever was not told it. The Host header must be
an address of this server: else a page of another site could, by DNS rebinding, become one of the same origin.
The Origin header, which a browser sends with every WebSocket and POST, must be the page's own.
"""

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page asks no other server for anything, and runs no script but its files.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"  # notebooks
)
OPEN_TO_ALL = "/static/"  # the files of the package


class Guard:
    """Refuses what does not come from the page; all else goes to `app`, and its responses get headers."""

    def __init__(self, app: ASGIApp, token: str, host_names: frozenset[str]) -> None:
        """Take the names that the Host header may have besides addresses of IP and localhost."""
        self._app = app
        self._token = token
        self._host_names = host_names | {"localhost"}
        self._headers = {
            "content-security-policy": CONTENT_SECURITY_POLICY,
            "referrer-policy": "no-referrer",  # the address has the token
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            # Not open yet, so this is a 403.
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await PlainTextResponse(refusal + "\n", 403)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return f"this server is not {host!r}"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return f"pages of {origin!r} may not ask this server"
        if scope["type"] == "http" and scope["path"].startswith(OPEN_TO_ALL):
            return None
        token = QueryParams(scope["query_string"]).get("token", "")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return "the address has no token, or a wrong one: open the address that the command has printed"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if name is None or parts.netloc != host or "@" in host:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._host_names
        return True  # an address of IP cannot be rebound
