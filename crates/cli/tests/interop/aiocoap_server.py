"""A CoAP server on aiocoap for the interoperability suite.

    aiocoap_server.py [SCHEME [CERTIFICATE KEY]]

Binds 127.0.0.1 on a port that the system gives, for `coap` or another scheme, prints `READY <port>` and serves until it
is killed.
The resources are those that every peer server of the suite offers; docs/interop.md lists them.
"""

import asyncio
import hashlib
import socket
import ssl
import sys

from aiocoap import Context, Message, error, resource
from aiocoap.credentials import CredentialsMap
from aiocoap.numbers.codes import CHANGED, CONTENT, CREATED, DELETED

LARGE = bytes((i * 7 + i // 256) & 255 for i in range(200_000))
TICK = 0.2  # seconds between two values of /clock
SEPARATE = 1.5  # seconds that /separate takes by default


class Hello(resource.Resource):
    rt = "hello"

    async def render_get(self, request):
        return Message(payload=b"hello", content_format=0)


class Echo(resource.Resource):
    rt = "echo"

    async def render_post(self, request):
        return Message(code=CHANGED, payload=request.payload, content_format=request.opt.content_format)

    async def render_fetch(self, request):
        return Message(code=CONTENT, payload=request.payload, content_format=request.opt.content_format)


class Large(resource.Resource):
    rt = "large"

    async def render_get(self, request):
        return Message(payload=LARGE, content_format=42)

    async def render_put(self, request):
        digest = hashlib.sha256(request.payload).hexdigest()
        return Message(code=CHANGED, payload=f"{len(request.payload)} {digest}".encode(), content_format=0)


class Separate(resource.Resource):
    """Answers late, so that the library has to send an empty acknowledgement first."""

    rt = "separate"

    async def render_get(self, request):
        await asyncio.sleep(delay(request.opt.uri_query))
        return Message(payload=b"separate", content_format=0)


def delay(queries):
    for query in queries:
        if query.startswith("ms="):
            return int(query[3:]) / 1000
    return SEPARATE


class Clock(resource.ObservableResource):
    rt = "clock"

    def __init__(self):
        super().__init__()
        self.count = 0

    async def tick(self):
        while True:
            await asyncio.sleep(TICK)
            self.count += 1
            self.updated_state()

    async def render_get(self, request):
        return Message(payload=str(self.count).encode(), content_format=0, max_age=1)


class Store(resource.Resource, resource.PathCapable):
    """`/store` makes entries on POST; `/store/{name}` is one entry."""

    rt = "store"

    def __init__(self):
        super().__init__()
        self.entries = {}
        self.made = 0

    def name(self, request):
        return "/".join(request.opt.uri_path)

    async def render_get(self, request):
        if self.name(request) not in self.entries:
            raise error.NotFound()
        content_format, payload = self.entries[self.name(request)]
        return Message(payload=payload, content_format=content_format)

    async def render_put(self, request):
        code = CHANGED if self.name(request) in self.entries else CREATED
        self.entries[self.name(request)] = (request.opt.content_format, request.payload)
        return Message(code=code)

    async def render_delete(self, request):
        self.entries.pop(self.name(request), None)
        return Message(code=DELETED)


class Collection(resource.Resource):
    rt = "store"

    def __init__(self, store):
        super().__init__()
        self.store = store

    async def render_post(self, request):
        self.store.made += 1
        name = f"made{self.store.made}"
        self.store.entries[name] = (request.opt.content_format, request.payload)
        return Message(code=CREATED, location_path=("store", name))


def site():
    root = resource.Site()
    store = Store()
    clock = Clock()
    root.add_resource([".well-known", "core"], resource.WKCResource(root.get_resources_as_linkheader))
    root.add_resource(["hello"], Hello())
    root.add_resource(["echo"], Echo())
    root.add_resource(["large"], Large())
    root.add_resource(["separate"], Separate())
    root.add_resource(["clock"], clock)
    root.add_resource(["store"], store)
    root.add_resource(["store"], Collection(store))
    return root, clock


def free_port():
    """A port of TCP. aiocoap does not tell which one the system gave."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def serve_datagrams(root):
    context = await Context.create_server_context(root, bind=("127.0.0.1", 0), transports=["udp6"])
    transport = context.request_interfaces[0].token_interface.message_interface.transport
    return context, transport.get_extra_info("socket").getsockname()[1]


# What aiocoap adds to the port that it is told.
OFFSETS = {"coap+tcp": 0, "coaps+tcp": 1, "coap+ws": 3000, "coaps+ws": 3001}
TRANSPORTS = {"coap+tcp": "tcpserver", "coaps+tcp": "tlsserver", "coap+ws": "ws", "coaps+ws": "ws"}


async def serve_connections(root, scheme, credentials):
    tls = None
    if credentials:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*credentials)
        # By itself aiocoap's server names no protocol, which it has to on other ports than 5684 (RFC 8323 §8.2).
        tls.set_alpn_protocols(["coap"] if scheme == "coaps+tcp" else ["http/1.1"])
    port = free_port()
    context = await Context.create_server_context(
        root,
        bind=("127.0.0.1", port - OFFSETS[scheme]),
        transports=[TRANSPORTS[scheme]],
        _ssl_context=tls,
    )
    return context, port


async def serve_sessions(root, psk):
    identity, key = psk.split(":")
    credentials = CredentialsMap()
    credentials.load_from_dict({":client": {"dtls": {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}}})
    # It does not tell which port the system gave, and listens at the one after that which it is told.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = await Context.create_server_context(
        root, bind=("127.0.0.1", port - 1), transports=["tinydtls_server"], server_credentials=credentials
    )
    return context, port


async def main():
    root, clock = site()
    scheme, *credentials = sys.argv[1:] or ["coap"]
    if scheme == "coap":
        context, port = await serve_datagrams(root)
    elif scheme == "coaps":
        context, port = await serve_sessions(root, *credentials)
    else:
        context, port = await serve_connections(root, scheme, credentials)
    print("READY", port, flush=True)
    try:
        await clock.tick()
    finally:
        await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
