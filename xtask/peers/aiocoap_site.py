"""The plugtest site on aiocoap, to be judged by `cargo xtask interop`.

Binds 127.0.0.1 on a port that the system gives, prints `READY <port>` and serves until it is killed. What aiocoap
does by itself is left to it; the handlers do what an application of it has to do.
"""

import asyncio
import hashlib

from aiocoap import Context, Message, resource
from aiocoap.numbers.codes import (
    BAD_REQUEST,
    CHANGED,
    CONTENT,
    CREATED,
    DELETED,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    PRECONDITION_FAILED,
    VALID,
)

TEXT, LINK_FORMAT, XML = 0, 40, 41
PERIOD = 1.0  # seconds between two values of the observable resources
LARGE = b"".join(b"line %04d of a large resource.\n" % i for i in range(1280 // 31 + 1))[:1280]


def text(payload, code=CONTENT, **options):
    return Message(code=code, payload=payload, content_format=TEXT, **options)


class Linked(resource.Resource):
    """A resource with attributes of its link."""

    def __init__(self, **attributes):
        super().__init__()
        self.attributes = attributes

    def get_link_description(self):
        return {**super().get_link_description(), **self.attributes}


class Static(Linked):
    def __init__(self, payload=b"a text", **attributes):
        super().__init__(**attributes)
        self.payload = payload

    async def render_get(self, request):
        return text(self.payload)


class Test(Static):
    async def render_put(self, request):
        if request.opt.if_none_match:
            return text(b"it is there", PRECONDITION_FAILED)
        return Message(code=CHANGED)

    async def render_post(self, request):
        return Message(code=CREATED, location_path=("location1", "location2", "location3"))

    async def render_delete(self, request):
        return Message(code=DELETED)


class Separate(Linked):
    async def render_get(self, request):
        await asyncio.sleep(1.5)
        return text(b"separate")


class Query(Linked):
    async def render_get(self, request):
        return text("&".join(request.opt.uri_query).encode() or b"no query")


class LocationQuery(Linked):
    async def render_post(self, request):
        return Message(code=CREATED, location_query=("first=1", "second=2"))


class MultiFormat(Linked):
    async def render_get(self, request):
        if request.opt.accept in (None, TEXT):
            return text(b"a text")
        if request.opt.accept == XML:
            return Message(code=CONTENT, payload=b"<text>a text</text>", content_format=XML)
        return text(b"text or XML", NOT_ACCEPTABLE)


class Stored(Linked):
    """A value that is validated by ETag and changed on conditions."""

    def __init__(self, value=None, **attributes):
        super().__init__(**attributes)
        self.value = value

    def etag(self):
        return hashlib.sha256(self.value).digest()[:4]

    def refused(self, request):
        if request.opt.if_none_match and self.value is not None:
            return True
        wanted = request.opt.if_match
        return bool(wanted) and (self.value is None or (self.etag() not in wanted and b"" not in wanted))

    async def render_get(self, request):
        if self.value is None:
            return text(b"nothing here", NOT_FOUND)
        if self.etag() in request.opt.etags:
            return Message(code=VALID, etag=self.etag())
        return text(self.value, etag=self.etag(), max_age=30)

    async def render_put(self, request):
        if self.refused(request):
            return text(b"not on this condition", PRECONDITION_FAILED)
        created = self.value is None
        self.value = request.payload
        return Message(code=CREATED if created else CHANGED)

    async def render_post(self, request):
        return Message(code=CREATED, location_path=("location1", "location2", "location3"))

    async def render_delete(self, request):
        self.value = None
        return Message(code=DELETED)


class Absent(Stored):
    """As above, and not listed while it is absent."""

    def get_link_description(self):
        return None if self.value is None else super().get_link_description()


class Update(Linked):
    def __init__(self, **attributes):
        super().__init__(**attributes)
        self.value = LARGE

    async def render_get(self, request):
        return text(self.value)

    async def render_put(self, request):
        self.value = request.payload
        return Message(code=CHANGED)


class Creator(Linked):
    """POST makes resources below."""

    def __init__(self, site, **attributes):
        super().__init__(**attributes)
        self.site = site
        self.count = 0

    async def render_post(self, request):
        self.count += 1
        name = str(self.count % 16)
        self.site.add_resource(["large-create", name], Stored(request.payload))
        return Message(code=CREATED, location_path=("large-create", name))


class Upper(Linked):
    async def render_post(self, request):
        return text(request.payload.upper(), CHANGED)


class Path(Linked):
    async def render_get(self, request):
        links = b",".join(b"</path/sub%d>" % i for i in (1, 2, 3))
        return Message(code=CONTENT, payload=links, content_format=LINK_FORMAT)


class Sub(Static):
    def get_link_description(self):
        return None


class Counter(Linked):
    def __init__(self, **attributes):
        super().__init__(**attributes)
        self.count = 0

    async def render_get(self, request):
        return text(b"%d" % self.count)

    async def render_post(self, request):
        self.count += 1
        return text(b"%d" % self.count, CHANGED)

    async def render_put(self, request):
        try:
            self.count = int(request.payload or b"0")
        except ValueError:
            return text(b"a number", BAD_REQUEST)
        return Message(code=CHANGED)

    async def render_delete(self, request):
        self.count = 0
        return Message(code=DELETED)


class Counters(resource.Site):
    """A counter for each name, as many as the last hundred."""

    def __init__(self):
        super().__init__()
        self.names = []

    async def render_to_pipe(self, pipe):
        path = pipe.request.opt.uri_path
        if path and path not in self.names:
            self.names.append(path)
            self.add_resource(path, Counter())
            if len(self.names) > 100:
                self.remove_resource(self.names.pop(0))
        return await super().render_to_pipe(pipe)


class Observable(resource.ObservableResource):
    def __init__(self, render, **attributes):
        super().__init__()
        self.render_value = render
        self.attributes = {"obs": "", "rt": "observe", **attributes}
        self.tick = 0
        self.put = None
        self.format = TEXT
        self.handle = None

    def get_link_description(self):
        return {**super().get_link_description(), **self.attributes}

    def run(self):
        async def go():
            while True:
                await asyncio.sleep(PERIOD)
                self.tick += 1
                self.put = None
                self.format = TEXT
                try:
                    self.updated_state()
                except Exception as problem:  # An observer that is gone must not end the notifications of all.
                    print("notifying:", repr(problem), flush=True)

        self.handle = asyncio.create_task(go())

    async def render_get(self, request):
        value = self.put if self.put is not None else self.render_value(self.tick)
        return Message(code=CONTENT, payload=value, content_format=self.format, max_age=max(1, round(PERIOD)))

    async def render_put(self, request):
        self.put = request.payload
        changed = request.opt.content_format not in (None, self.format)
        self.format = request.opt.content_format if changed else self.format
        if changed:
            self.updated_state(text(b"another format", NOT_ACCEPTABLE))
        else:
            self.updated_state()
        return Message(code=CHANGED)

    async def render_delete(self, request):
        self.updated_state(text(b"deleted", NOT_FOUND))
        return Message(code=DELETED)


def site():
    root = resource.Site()
    root.add_resource(
        [".well-known", "core"],
        resource.WKCResource(root.get_resources_as_linkheader, impl_info=None),
    )
    observables = {
        "obs": Observable(lambda tick: b"tick %d" % tick),
        "obs-non": Observable(lambda tick: b"tick %d" % tick),
        "obs-large": Observable(lambda tick: b"tick %04d " % tick * 120),
        "obs-pumping": Observable(lambda tick: b"tick %04d " % tick * (120 if tick % 2 else 1)),
    }
    plain = {
        "": Static(b"a plugtest site on aiocoap"),
        "test": Test(b"a test", ct="0"),
        "separate": Separate(),
        "seg1/seg2/seg3": Static(),
        "query": Query(),
        "location-query": LocationQuery(),
        "multi-format": MultiFormat(ct="0 41"),
        "validate": Stored(b"first"),
        "create1": Absent(),
        "create2": Absent(),
        "create3": Absent(),
        "link1": Static(rt="Type1 Type2", **{"if": "If1"}),
        "link2": Static(rt="Type2 Type3", **{"if": "If2"}),
        "link3": Static(rt="Type1 Type3", **{"if": "foo"}),
        "link4": Static(rt=""),
        "path": Path(ct="40"),
        "path/sub1": Sub(b"/path/sub1"),
        "path/sub2": Sub(b"/path/sub2"),
        "path/sub3": Sub(b"/path/sub3"),
        "large": Static(LARGE, rt="block", sz="1280"),
        "large-update": Update(rt="block", sz="1280"),
        "large-create": Creator(root, rt="block"),
        "large-post": Upper(rt="block"),
        "counter": Counters(),
        **observables,
    }
    for path, handler in plain.items():
        root.add_resource([segment for segment in path.split("/") if segment], handler)
    return root, observables.values()


async def main():
    root, observables = site()
    context = await Context.create_server_context(root, bind=("127.0.0.1", 0), transports=["udp6"])
    for observable in observables:
        observable.run()
    transport = context.request_interfaces[0].token_interface.message_interface.transport
    print("READY", transport.get_extra_info("socket").getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
