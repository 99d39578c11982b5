// Calls one tool whose server asks back, and prints what was asked and what came of it:
// {"asked": [method, ...], "error": false, "text": "..."}.
//
//   ask.mjs legacy|auto TOOL ARGUMENTS URL    (@modelcontextprotocol/client)

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [mode, tool, args, url] = process.argv.slice(2);
const client = new Client(
  { name: "ask", version: "1" },
  { versionNegotiation: { mode }, capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} } },
);
const asked = [];
const answer = (method, result) =>
  client.setRequestHandler(method, async () => {
    asked.push(method);
    return result;
  });
answer("elicitation/create", { action: "accept", content: { name: "Ada", check: true, guests: 4 } });
const content = { type: "text", text: "take the window" };
answer("sampling/createMessage", { role: "assistant", content, model: "none", stopReason: "endTurn" });
answer("roots/list", { roots: [{ uri: "file:///srv/ada", name: "ada" }] });

await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
const text = result.content.map((block) => block.text ?? "").join("");
console.log(JSON.stringify({ asked, error: Boolean(result.isError), text }));
await client.close();
process.exit(0);
