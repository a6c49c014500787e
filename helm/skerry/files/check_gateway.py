"""`helm test` of the gateway: it says that it is ready, and its enrolment listener shows a certificate of our CA for
the name by which nodes call it. Arguments: host of the health page, host of the listener, seconds to wait."""

import socket
import ssl
import sys
import time
import urllib.error
import urllib.request

HEALTH, LISTENER, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])


def is_ready() -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://{HEALTH}:8080/readyz", timeout=5) as answer:
        return f"{HEALTH} is ready: {answer.read(200).decode().strip()}"


def greets() -> str:
    context = ssl.create_default_context(cafile="/etc/skerry/ca/ca.crt")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((LISTENER, 8445), timeout=5) as line,
        context.wrap_socket(line, server_hostname=LISTENER) as secured,
    ):
        return f"{LISTENER}:8445 enrols nodes over {secured.version()} with a certificate of our CA"


end = time.monotonic() + SECONDS
for check in (is_ready, greets):
    while True:
        try:
            sys.stdout.write(check() + "\n")
            break
        except OSError as exc:  # urllib's and ssl's errors are OSErrors
            if time.monotonic() > end:
                sys.exit(f"{check.__name__.replace('_', ' ')}: not within {SECONDS:.0f} s: {exc}")
            time.sleep(1)
