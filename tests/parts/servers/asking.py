"""A server of both eras that asks back: a form, a sample and the roots, all for one call.

    asking.py PORT
"""

import sys
from typing import Annotated

from mcp.server.mcpserver import Elicit, ListRoots, MCPServer, Resolve, Sample
from mcp_types import CreateMessageResult, ListRootsResult, SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("asking")


class Party(BaseModel):
    guests: int


def party() -> Elicit[Party]:
    return Elicit("How many guests?", Party)


def advice() -> Sample:
    question = SamplingMessage(role="user", content=TextContent(type="text", text="Which table?"))
    return Sample([question], max_tokens=50)


def places() -> ListRoots:
    return ListRoots()


@server.tool()
def book(
    day: str,
    party: Annotated[Party, Resolve(party)],
    advice: Annotated[CreateMessageResult, Resolve(advice)],
    places: Annotated[ListRootsResult, Resolve(places)],
) -> str:
    """Books a table."""
    return f"{day} for {party.guests}: {advice.content.text}, {places.roots[0].uri}"


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
