"""The Optuna dashboard as a process of its own: ``python -m ftl.tracking.studies_server STORAGE HOST PORT``.

Not the dashboard's own command: that one runs gunicorn, which opens a socket below the user's home folder. And not
without a look at the host that a request names: the dashboard can delete studies, and any page that a browser shows
could otherwise reach it under a name of its own that leads here.
"""

import sys
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of every request."""


def only_local(application: "WSGIApplication", names: Iterable[str] = _LOCAL) -> "WSGIApplication":
    """The application for requests that name this machine, 403 for all others."""
    allowed = set(names)

    def guarded(environment: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host = str(environment.get("HTTP_HOST", ""))
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in allowed:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This server answers requests to this machine's loopback address only.\n"]
        return application(environment, start_response)

    return guarded


def serve(storage: str, host: str, port: int) -> None:
    """Serve the studies of a journal file or a database until the process is ended."""
    from optuna_dashboard import wsgi  # type: ignore[import-untyped]

    application = only_local(wsgi(storage), {host, *_LOCAL})
    with make_server(host, port, application, server_class=_Server, handler_class=_Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
