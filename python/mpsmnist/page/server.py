"""The page: a server in a thread, until it is closed."""

import errno
import html
import os
import secrets
import socket
import threading
from pathlib import Path

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..errors import Error
from ..training.checkpoint import check_target, load_weights
from ..training.config import ConfigError, TrainConfig
from ..user_files import expand_path, reason_of
from .guard import Guard
from .routes import make_app
from .session import Session


class Page:
    """Serves the page to watch training and draw digits on; in a notebook, as a cell's last line, shows it.

    Attributes:
        address: what to open in a browser. Its token lets in whoever has it, so it is not to be published.
        session: what the page shows, with its runs.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        save: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        data_dir: str | os.PathLike[str] | None = None,
        offline: bool | None = None,
        threads: int | None = None,
    ) -> None:
        """Listen on `host` and `port`; 0 is any that is free.

        Args:
            host: a name or address of this machine. On others than 127.0.0.1 and ::1 the page is open to the
                network, unencrypted: whoever reads along has the token.
            port: 0 to 65535.
            checkpoint: a network to read drawings with until a run has begun.
            save: where each run is saved when it ends, also by close().
            overwrite: whether `save` may be a file that exists.
            data_dir: where the data is, but for the synthetic digits; as of mpsmnist.data.load().
            offline: never use the network; as of mpsmnist.data.load().
            threads: of the processor, for training.

        Raises:
            ConfigError: an argument has a value that it cannot have.
            Error: the host or port cannot be had, or the checkpoint cannot be read.
        """
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise ConfigError(f"port is {port!r}, expected a whole number from 0 to 65535")
        folder = None if data_dir is None else expand_path(data_dir)
        TrainConfig(data_dir=folder, threads=threads)  # which says what is wrong
        options = {"data_dir": folder, "offline": offline, "threads": threads}
        if save is not None:
            target = expand_path(save)
            _check_save(target, overwrite=overwrite)
            options |= {"checkpoint": target, "overwrite": True}
        elif overwrite:
            raise ConfigError("overwrite needs `save`")
        opened = None if checkpoint is None else load_weights(checkpoint)
        self._socket = _listen(host, port)
        self.session = Session(opened, **options)
        token = secrets.token_urlsafe(16)
        listening, number = self._socket.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening, listening)
        shown = f"[{shown}]" if ":" in shown else shown
        self.address = f"http://{shown}:{number}/?token={token}"
        names = frozenset({host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()})
        config = uvicorn.Config(
            Guard(make_app(self.session), token, names),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws=WebSocketsSansIOProtocol,
            ws_ping_timeout=None,  # no message is read, and no pong, while one waits for what goes before it
            ws_max_size=2**20,  # bytes; a drawing has 4,096
            ws_per_message_deflate=False,  # nothing is far away, or large
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="page", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the run, save it if it is to be saved, and end the server.

        Raises:
            Error: the run was to be saved, and is not.
        """
        try:
            self.session.close()
        finally:
            self._server.should_exit = True
            self._server.force_exit = True  # without waiting for what is being answered
            self._thread.join()

    def __repr__(self) -> str:
        return f"<Page {self.address}{'' if self._thread.is_alive() else ', closed'}>"

    def _repr_html_(self) -> str:
        if not self._thread.is_alive():
            return html.escape(repr(self))
        return (
            f'<iframe src="{html.escape(self.address)}" title="mpsmnist" '
            'style="width: 100%; height: 900px; border: 0"></iframe>'
        )


def _check_save(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError unless runs may be saved there."""
    if not overwrite and path.is_file() and path.stat().st_size:
        raise ConfigError(f"save is {str(path)!r}, which exists: `overwrite` replaces it")
    try:
        check_target(TrainConfig(checkpoint=path, overwrite=True))
    except ConfigError as error:  # it begins with the option's name in TrainConfig
        raise ConfigError("save" + str(error).removeprefix("checkpoint")) from error


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise Error(f"port {port} is taken, maybe by another page: port 0 is any that is free") from error
        raise Error(f"cannot listen on {host!r}, port {port}: {reason_of(error)}") from error
