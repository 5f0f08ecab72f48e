"""A CoAP client on aiocoap for the interoperability suite.

    aiocoap_client.py SCENARIO BASE_URI [CERTIFICATE]

Runs one scenario against the server at BASE_URI, whose certificate stands in the file that is named, prints `OK ...` or
`FAIL why`, and exits with 0 or 1.
"""

import asyncio
import hashlib
import sys
import time

from aiocoap import Context, Message, error
from aiocoap.credentials import TLSCert
from aiocoap.numbers.codes import CHANGED, CONTENT, CREATED, DELETE, DELETED, FETCH, GET, NOT_FOUND, POST, PUT
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption

LARGE = bytes((i * 7 + i // 256) & 255 for i in range(200_000))
MEGABYTE = bytes((i * 7 + i // 256) & 255 for i in range(1_000_000))
LIMIT = 60  # seconds for a whole scenario
# The other transports of the default list open ports and threads that this suite does not use.
TRANSPORTS = {
    "coap": "udp6",
    "coaps": "tinydtls",
    "coap+tcp": "tcpclient",
    "coaps+tcp": "tlsclient",
    "coap+ws": "ws",
    "coaps+ws": "ws",
}
UNKNOWN_CRITICAL = OptionNumber(65001)


class Failure(Exception):
    pass


def expect(what, got, *wanted):
    if got not in wanted:
        raise Failure(f"{what}: got {got!r:.200}, wanted {' or '.join(repr(w)[:200] for w in wanted)}")


class Scenarios:
    def __init__(self, context, base):
        self.context = context
        self.base = base.rstrip("/")

    async def send(self, code, path, payload=b"", content_format=None, options=()):
        message = Message(code=code, uri=self.base + path, payload=payload, content_format=content_format)
        for option in options:
            message.opt.add_option(option)
        return await self.context.request(message).response

    async def get(self):
        response = await self.send(GET, "/hello")
        expect("code", response.code, CONTENT)
        expect("payload", response.payload, b"hello")
        missing = await self.send(GET, "/no/such/resource")
        expect("code of a missing resource", missing.code, NOT_FOUND)
        return "2.05 hello, 4.04 for a missing resource"

    async def put(self):
        first = await self.send(PUT, "/store/aiocoap-put", b"one", content_format=0)
        expect("code of the first PUT", first.code, CREATED)
        second = await self.send(PUT, "/store/aiocoap-put", b"two", content_format=0)
        expect("code of the second PUT", second.code, CHANGED)
        stored = await self.send(GET, "/store/aiocoap-put")
        expect("payload", stored.payload, b"two")
        expect("content format", stored.opt.content_format, 0)
        return "2.01, 2.04, then GET gives the second value"

    async def post(self):
        created = await self.send(POST, "/store", b"posted", content_format=0)
        expect("code", created.code, CREATED)
        location = "/" + "/".join(created.opt.location_path)
        if not location.startswith("/store/"):
            raise Failure(f"location {location}")
        stored = await self.send(GET, location)
        expect("payload", stored.payload, b"posted")
        return f"2.01 at {location}"

    async def delete(self):
        await self.send(PUT, "/store/aiocoap-delete", b"gone", content_format=0)
        deleted = await self.send(DELETE, "/store/aiocoap-delete")
        expect("code", deleted.code, DELETED)
        missing = await self.send(GET, "/store/aiocoap-delete")
        expect("code afterwards", missing.code, NOT_FOUND)
        return "2.02, then 4.04"

    async def fetch(self):
        response = await self.send(FETCH, "/echo", b'{"a":1}', content_format=50)
        expect("code", response.code, CONTENT)
        expect("payload", response.payload, b'{"a":1}')
        return "2.05 with the payload sent"

    async def observe(self):
        request = Message(code=GET, uri=self.base + "/clock", observe=0)
        exchange = self.context.request(request)
        first = await exchange.response
        expect("code", first.code, CONTENT)
        if first.opt.observe is None:
            raise Failure("the first answer has no Observe option")
        values = []
        async for notification in exchange.observation:
            expect("code of a notification", notification.code, CONTENT)
            values.append(notification.payload)
            if len(values) == 5:
                break
        exchange.observation.cancel()
        if len(set(values)) < 4:
            raise Failure(f"notifications do not change: {values}")
        await self.clock_moves_on(times=3)
        return f"5 notifications, {values[0].decode()} to {values[-1].decode()}"

    async def clock_moves_on(self, times):
        """Stays until the clock has shown `times` new values.

        aiocoap sends nothing when it gives up an observation: it still acknowledges one notification, and answers
        the one after that with a Reset.
        """
        last = (await self.send(GET, "/clock")).payload
        while times > 0:
            await asyncio.sleep(0.1)
            value = (await self.send(GET, "/clock")).payload
            times -= value != last
            last = value

    async def large_get(self):
        response = await self.send(GET, "/large")
        expect("code", response.code, CONTENT)
        expect("length", len(response.payload), len(LARGE))
        expect("body equal", response.payload == LARGE, True)
        return f"{len(LARGE)} bytes {hashlib.sha256(response.payload).hexdigest()}"

    async def large_put(self):
        put = await self.send(PUT, "/store/aiocoap-large", LARGE, content_format=42)
        expect("code", put.code, CREATED, CHANGED)
        stored = await self.send(GET, "/store/aiocoap-large")
        expect("length", len(stored.payload), len(LARGE))
        expect("body equal", stored.payload == LARGE, True)
        return f"{len(LARGE)} bytes there and back"

    async def megabyte(self):
        put = await self.send(PUT, "/store/aiocoap-megabyte", MEGABYTE, content_format=42)
        expect("code", put.code, CREATED, CHANGED)
        stored = await self.send(GET, "/store/aiocoap-megabyte")
        expect("length", len(stored.payload), len(MEGABYTE))
        expect("body equal", stored.payload == MEGABYTE, True)
        return f"{len(MEGABYTE)} bytes there and back"

    async def discover(self):
        response = await self.send(GET, "/.well-known/core?rt=clock")
        expect("code", response.code, CONTENT)
        expect("content format", response.opt.content_format, 40)
        links = response.payload.decode()
        if "</clock>" not in links or "</hello>" in links:
            raise Failure(f"links {links}")
        everything = (await self.send(GET, "/.well-known/core")).payload.decode()
        for path in ("/hello", "/clock", "/large", "/separate", "/echo", "/store"):
            if f"<{path}>" not in everything:
                raise Failure(f"{path} is not in {everything}")
        return links

    async def separate(self):
        begin = time.monotonic()
        response = await self.send(GET, "/separate")
        expect("code", response.code, CONTENT)
        if time.monotonic() - begin < 1:
            raise Failure("the answer came at once")
        return f"2.05 {response.payload.decode()}"

    async def critical_option(self):
        option = OpaqueOption(UNKNOWN_CRITICAL, b"\x01")
        response = await self.send(GET, "/hello", options=[option])
        expect("code", str(response.code), "4.02 Bad Option")
        return "4.02"


async def run(scenario, base, certificate):
    method_name = scenario.replace("-", "_")
    if not hasattr(Scenarios, method_name):
        raise Failure("aiocoap has no such scenario")
    context = await Context.create_client_context(transports=[TRANSPORTS[base.split("://")[0]]])
    if base.startswith("coaps://"):
        identity, key = certificate.split(":")
        psk = {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}
        context.client_credentials.load_from_dict({f"{base}/*": {"dtls": psk}})
    elif certificate is not None:
        context.client_credentials[f"{base}/*"] = TLSCert(certificate)
    try:
        scenarios = Scenarios(context, base)
        return await asyncio.wait_for(getattr(scenarios, method_name)(), LIMIT)
    finally:
        await context.shutdown()


def main():
    _, scenario, base, *certificate = sys.argv
    try:
        print("OK", scenario, asyncio.run(run(scenario, base, certificate[0] if certificate else None)))
    except (Failure, error.Error, asyncio.TimeoutError) as why:
        print("FAIL", scenario, type(why).__name__, str(why).replace("\n", " "))
        sys.exit(1)


if __name__ == "__main__":
    main()
