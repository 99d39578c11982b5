"""Calls one tool whose server asks back, and prints what was asked and what came of it:
{"protocol": "...", "asked": [method, ...], "error": false, "text": "..."}.

    ask.py --mode auto|legacy --tool NAME [--arguments JSON] http://HOST/mcp
"""

import argparse
import asyncio
import json

from mcp import Client
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--tool", required=True)
    parser.add_argument("--arguments", default="{}")
    parser.add_argument("url")
    chosen = parser.parse_args()
    asked = []

    async def elicit(context, params):
        asked.append("elicitation/create")
        return ElicitResult(action="accept", content={"name": "Ada", "check": True, "guests": 4})

    async def sample(context, params):
        asked.append("sampling/createMessage")
        said = TextContent(type="text", text="take the window")
        return CreateMessageResult(role="assistant", content=said, model="none", stop_reason="endTurn")

    async def roots(context):
        asked.append("roots/list")
        return ListRootsResult(roots=[Root(uri="file:///srv/ada", name="ada")])

    client = Client(
        chosen.url,
        mode=chosen.mode,
        elicitation_callback=elicit,
        sampling_callback=sample,
        list_roots_callback=roots,
    )
    async with client:
        result = await client.call_tool(chosen.tool, json.loads(chosen.arguments))
        text = "".join(getattr(block, "text", "") for block in result.content)
        seen = {"protocol": client.protocol_version, "asked": asked, "error": bool(result.is_error), "text": text}
        print(json.dumps(seen), flush=True)


asyncio.run(main())
