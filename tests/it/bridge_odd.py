"""A stdio MCP server with odd envelopes and bad manners, for the tests of the bridge."""

import json, os, signal, subprocess, sys


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def answer(id_text, result):
    # `result` first and keys unsorted: nobody may rearrange what a server writes.
    say('{"result": %s,"x-odd":[1e3 , 2.50], "id":%s, "jsonrpc":"2.0"}' % (result, id_text))


print("starting up, this is not JSON", flush=True)
# In one piece: others write to the same log.
os.write(2, b"odd: a word for the log\n")
held = []
for line in sys.stdin:
    message = json.loads(line)
    method, ident = message.get("method"), json.dumps(message.get("id"))
    params = message.get("params", {})
    if method == "initialize":
        if params.get("refuse"):
            say('{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"not you","x":1.0}}' % ident)
            continue
        say('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"early"}}')
        answer(ident, '{"protocolVersion":"2025-06-18","capabilities":{"tasks":{},"x-cap":1.50},'
                      '"serverInfo":{"name":"odd","version":"0","x":18446744073709551617}}')
    elif method == "odd/result":
        answer(ident, '{"n":2.50,"n":1E3,"big":18446744073709551617,"tools":[{"name":"no schema"}]}')
    elif method == "odd/error":
        say('{"jsonrpc":"2.0","id":%s,"error":{"code":-32002,"message":"gone","data":{"a":1.0},"x":null}}' % ident)
    elif method == "odd/pid":
        answer(ident, str(os.getpid()))
    elif method == "odd/talk":
        token = json.dumps(params["_meta"]["progressToken"])
        say('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":%s,"x":1.0}}' % token)
        print("half way: {not json", flush=True)
        say('{"jsonrpc":"2.0","id":"q-1","method":"elicitation/create","params":{"message":"?","x":2.0}}')
        reply = sys.stdin.readline().strip()
        answer(ident, json.dumps({"told": reply}))
    elif method == "odd/changed":
        say('{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"x":1.0}}')
        answer(ident, "{}")
    elif method == "odd/die":
        sys.exit(3)
    elif method == "odd/stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        answer(ident, str(os.getpid()))
    elif method == "odd/children":
        # One in our group that holds our stdout, and one that leaves the group and loses its parent at once.
        stays = subprocess.Popen(["sleep", "600"])
        shell = "setsid sh -c 'sleep 0.2' >/dev/null 2>&1 & echo $!"
        lost = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True)
        answer(ident, json.dumps({"stays": stays.pid, "lost": int(lost.stdout)}))
    elif method == "odd/big":
        answer(ident, '"%s"' % ("x" * (17 << 20)))
    elif method == "odd/big-first":
        say('{"jsonrpc":"2.0","id":%s,"result":"%s"}' % (ident, "x" * (17 << 20)))
    elif method == "odd/hold":
        held.append((ident, params.get("_meta", {}).get("progressToken")))
    elif method == "odd/release":
        # In the other order, each with a word before it.
        for one, token in reversed(held):
            if token is not None:
                say('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0,"progressToken":%s}}'
                    % json.dumps(token))
            answer(one, '"held"')
        held.clear()
        answer(ident, "{}")
    elif method == "odd/cancelled":
        answer(ident, json.dumps(held[0][0] if held else None))
    elif method == "notifications/cancelled":
        held = [one for one in held if one[0] != json.dumps(params["requestId"])]
    elif method == "odd/ask":
        say('{"jsonrpc":"2.0","id":"q","method":"roots/list"}')
        answer(ident, json.dumps(json.loads(sys.stdin.readline())))
    elif method == "odd/ping":
        say('{"jsonrpc":"2.0","id":"p","method":"ping"}')
        answer(ident, json.dumps(json.loads(sys.stdin.readline())))
    elif method == "odd/hostile":
        sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%s,"result":"\xff\xfe"}\n' % ident.encode())
        say('{"jsonrpc":"2.0","id":%s,"result":' % ident)
        say('{"jsonrpc":"2.0","id":%s,"id":2,"result":{}}' % ident)
        say('[{"jsonrpc":"2.0","id":%s,"result":{}}]' % ident)
        say('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}')
        say('{"jsonrpc":"2.0","id":"nobody asked","result":{}}')
        say('{"jsonrpc":"2.0","id":%s}' % ident)
        say('{"jsonrpc":"2.0","method":["no","name"],"id":%s}' % ident)
        say("[" * 100000)
        say("\0\1\2")
        answer(ident, '"alive"')
        answer(ident, '"twice"')
    elif method == "odd/flood":
        for n in range(1000):
            say('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}' % ("x" * 65536))
        answer(ident, '"done"')
    elif method == "odd/allocate":
        kept = b"x" * (params["mib"] << 20)
        answer(ident, str(len(kept)))
    elif method == "odd/environment":
        answer(ident, json.dumps(sorted(os.environ)))
    elif message.get("id") is not None and method not in ("odd/never", "odd/hold"):
        say('{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}' % ident)
