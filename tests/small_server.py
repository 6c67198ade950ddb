"""A local HTTP server with one file, as obliging or as difficult as a test wants it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """The file and how it is served; `requests` collects the headers of each request."""

    content: bytes
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    length: int | None = None  # Content-Length if it is not the truth; -1 sends none
    breaks_after: int | None = None  # bytes sent before the connection is cut
    breaks: int = 0  # how many more connections are cut
    status: int | None = None
    statuses: list[int] = field(default_factory=list)  # of the next requests, before all else
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Nothing on standard error."""

        def do_GET(self) -> None:
            served.requests.append(dict(self.headers))
            status = served.statuses.pop(0) if served.statuses else served.status
            if status is not None:
                self.send_error(status)
                return
            content, first = served.content, 0
            asked = self.headers.get("Range")
            validator = served.etag or served.modified
            if served.ranges and asked and self.headers.get("If-Range") == validator:
                first = int(asked.removeprefix("bytes=").removesuffix("-"))
                if first >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if served.etag:
                self.send_header("ETag", served.etag)
            if served.modified:
                self.send_header("Last-Modified", served.modified)
            length = len(content) - first if served.length is None else served.length
            if length >= 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            body = content[first:]
            if served.breaks:
                served.breaks -= 1
                body = body[: served.breaks_after]
            self.wfile.write(body)

    return Handler


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Serve on 127.0.0.1 at `served.url` while the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/media/bundle.tar.gz"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
