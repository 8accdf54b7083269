"""The page to watch training and draw digits on: a server, and the files that a browser shows."""

from .server import Page

__all__ = ["Page"]
