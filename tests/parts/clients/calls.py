"""Calls one tool again and again, and prints at the end how that went: {"calls": N, "failed": N, "last": TEXT}.

    calls.py --tool NAME [--arguments JSON] (--seconds N | --until-answered SECONDS) http://HOST/mcp

--until-answered stops at the first answer that is no error.
"""

import argparse
import asyncio
import json
import os
import time

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--arguments", default="{}")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--until-answered", type=float)
    parser.add_argument("url")
    chosen = parser.parse_args()
    headers = {"Authorization": f"Bearer {os.environ['PILOTHOUSE_TOKEN']}"}
    calls, failed, last = 0, 0, ""
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30)) as http:
        async with Client(streamable_http_client(chosen.url, http_client=http)) as client:
            print(json.dumps({"event": "connected"}), flush=True)
            deadline = time.monotonic() + (chosen.seconds or chosen.until_answered)
            while time.monotonic() < deadline:
                calls += 1
                try:
                    result = await client.call_tool(chosen.tool, json.loads(chosen.arguments))
                    bad = bool(result.is_error)
                    last = "".join(getattr(block, "text", "") for block in result.content)
                except Exception as error:
                    bad, last = True, str(error)
                failed += bad
                if chosen.until_answered and not bad:
                    break
                await asyncio.sleep(0.02)
    print(json.dumps({"event": "done", "calls": calls, "failed": failed, "last": last}), flush=True)


asyncio.run(main())
