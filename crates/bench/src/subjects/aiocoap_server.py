"""A constant text under /temp, with aiocoap."""

import asyncio
import sys

from aiocoap import CONTENT, Context, Message, resource


class Temperature(resource.Resource):
    async def render_get(self, request):
        return Message(code=CONTENT, payload=b"21.5", content_format=0)


async def main(transport, address, port):
    site = resource.Site()
    site.add_resource(["temp"], Temperature())
    await Context.create_server_context(site, bind=(address, int(port)), transports=[transport])
    await asyncio.get_running_loop().create_future()


asyncio.run(main(*sys.argv[1:]))
