"""Follows one tool from its appearance to its end, with the Python SDK as the witness.

Prints one JSON object a line: connected, appeared, answer, gone. A change is learned only from the server's own
notification (legacy) or subscription (modern), never by polling: without one this program waits for ever. With
--seconds it calls for so long, and the answer says how many calls there were and how many failed.

    follow.py --mode auto|legacy --tool NAME [--arguments JSON] http://HOST/mcp
    follow.py --mode auto|legacy --tool NAME [--arguments JSON] -- COMMAND...
"""

import argparse
import asyncio
import json
import os
import time

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


async def names(client):
    found, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        found += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if not cursor:
            return found


async def until(client, changes, wanted):
    while not wanted(await names(client)):
        await changes.get()


async def call(client, tool, arguments):
    try:
        result = await client.call_tool(tool, arguments)
        return bool(result.is_error), "".join(getattr(block, "text", "") for block in result.content)
    except Exception as error:
        return True, str(error)


async def follow(client, changes, tool, arguments, seconds):
    await until(client, changes, lambda found: tool in found)
    say("appeared", tool=tool)
    calls, failed, end = 0, 0, time.monotonic() + seconds
    while True:
        error, text = await call(client, tool, arguments)
        calls, failed = calls + 1, failed + error
        if time.monotonic() >= end:
            break
        await asyncio.sleep(0.02)
    say("answer", error=error, text=text, calls=calls, failed=failed)
    await until(client, changes, lambda found: tool not in found)
    say("gone", tool=tool)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--tool", required=True)
    parser.add_argument("--arguments", default="{}")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("server", nargs="+")
    chosen = parser.parse_args()
    changes = asyncio.Queue()

    async def on_message(message):
        if "ToolListChanged" in type(getattr(message, "root", message)).__name__:
            changes.put_nowait(None)

    headers = {}
    if token := os.environ.get("PILOTHOUSE_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=600)) as http:
        if chosen.server[0].startswith("http"):
            server = streamable_http_client(chosen.server[0], http_client=http)
        else:
            command, *args = chosen.server
            server = StdioServerParameters(command=command, args=args, env=dict(os.environ))
        async with Client(server, mode=chosen.mode, message_handler=on_message) as client:
            modern = client.protocol_version >= "2026-07-28"
            say("connected", protocol=client.protocol_version, server=client.server_info.name)
            arguments = json.loads(chosen.arguments)
            if not modern:
                await follow(client, changes, chosen.tool, arguments, chosen.seconds)
                return
            async with client.listen(tools_list_changed=True) as subscription:

                async def listen():
                    async for _ in subscription:
                        changes.put_nowait(None)

                listening = asyncio.create_task(listen())
                await follow(client, changes, chosen.tool, arguments, chosen.seconds)
                listening.cancel()


asyncio.run(main())
