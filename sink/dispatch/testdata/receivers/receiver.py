"""A receiver of webhooks in Python: Standard Webhooks' headers verified by their package, Maileroo's and NexoMailer's signatures by hmac.

POST /FORMAT is answered with 200 when the delivery verifies and the same one with a changed byte does not, else with 400 and why. The secrets
come from the environment. It prints its port, and ends with its standard input.
"""

import hashlib
import hmac
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook

webhook = Webhook(os.environ["STANDARD_SECRET"])
hex_secret = os.environ["HEX_SECRET"].encode()
hex_headers = {"/maileroo": "x-maileroo-signature", "/nexomailer": "x-nexomailer-signature"}


def verify(path, headers, body):
    webhook.verify(body, dict(headers), json_parse=False)
    name = hex_headers.get(path)
    if name is not None:
        expected = hmac.new(hex_secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get(name, ""), expected):
            raise ValueError("wrong " + name)


def refuses(path, headers, body):
    changed = bytearray(body)
    changed[len(changed) // 2] ^= 1
    try:
        verify(path, headers, bytes(changed))
    except Exception:
        return True
    return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, why = 200, ""
        try:
            verify(self.path, self.headers, body)
            json.loads(body)
            if not refuses(self.path, self.headers, body):
                raise ValueError("a changed byte verifies")
        except Exception as error:
            status, why = 400, str(error)
            print(self.path, why, file=sys.stderr, flush=True)
        self.send_response(status)
        self.send_header("Content-Length", str(len(why.encode())))
        self.end_headers()
        self.wfile.write(why.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
