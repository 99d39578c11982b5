// Follows one tool from its appearance to its end, with the TypeScript SDKs as witnesses.
//
// Prints one JSON object a line: connected, appeared, answer, gone. A change is learned only from the server's own
// notification, never by polling: without one this program waits for ever.
//
// It calls for SECONDS (0: once); the answer says how many calls there were and how many failed.
//
//   follow.mjs http legacy|auto TOOL ARGUMENTS SECONDS URL    (@modelcontextprotocol/client)
//   follow.mjs sse  -           TOOL ARGUMENTS SECONDS URL    (@modelcontextprotocol/sdk, HTTP+SSE)

const [transport, mode, tool, args, seconds, url] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const token = process.env.PILOTHOUSE_TOKEN;
const requestInit = token ? { headers: { Authorization: `Bearer ${token}` } } : {};

let wake = () => {};
let pending = false;
const changed = () => {
  pending = true;
  wake();
};
const nextChange = async () => {
  if (!pending) await new Promise((resolve) => (wake = resolve));
  pending = false;
};

async function connectHttp() {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const client = new Client(
    { name: "follow", version: "1" },
    {
      versionNegotiation: { mode },
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: changed } },
    },
  );
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  return client;
}

async function connectSse() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { SSEClientTransport } = await import("@modelcontextprotocol/sdk/client/sse.js");
  const { ToolListChangedNotificationSchema } = await import("@modelcontextprotocol/sdk/types.js");
  const client = new Client({ name: "follow", version: "1" });
  client.setNotificationHandler(ToolListChangedNotificationSchema, changed);
  await client.connect(new SSEClientTransport(new URL(url), { requestInit }));
  return client;
}

async function listed(client) {
  let cursor;
  const names = [];
  do {
    const page = await client.listTools(cursor ? { cursor } : {});
    names.push(...page.tools.map((each) => each.name));
    cursor = page.nextCursor;
  } while (cursor);
  return names.includes(tool);
}

const client = transport === "sse" ? await connectSse() : await connectHttp();
say("connected", { server: client.getServerVersion()?.name });
while (!(await listed(client))) await nextChange();
say("appeared", { tool });
const end = Date.now() + Number(seconds) * 1000;
let [calls, failed, error, text] = [0, 0, false, ""];
do {
  try {
    const result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
    error = Boolean(result.isError);
    text = result.content.map((block) => block.text ?? "").join("");
  } catch (thrown) {
    [error, text] = [true, String(thrown)];
  }
  calls += 1;
  failed += error ? 1 : 0;
  if (Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
} while (Date.now() < end);
say("answer", { error, text, calls, failed });
while (await listed(client)) await nextChange();
say("gone", { tool });
await client.close();
process.exit(0);
