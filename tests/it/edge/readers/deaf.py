"""Python's own HTTP server as most handlers use it: the body of a GET, HEAD or DELETE is not read. Says what it was asked."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

asked = []


class Deaf(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        asked.append(f"{self.command} {self.path}")
        text = "\n".join(asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_DELETE = do_POST = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Deaf)
print(server.server_port, flush=True)
server.serve_forever()
