//! Messages that are none or not quite, and what is answered to each over every transport.

use pilothouse::gateway::wire::rejected::Reason::{self, Batch, InvalidJson, WrongShape};

/// What a text of a client gets.
pub(crate) struct Says {
    pub(crate) what: &'static str,
    pub(crate) text: &'static [u8],
    pub(crate) code: i32,
    pub(crate) reason: Reason,
    /// In the error, as JSON text.
    pub(crate) id: Option<&'static str>,
}

const fn says(what: &'static str, text: &'static [u8], code: i32, reason: Reason) -> Says {
    Says { what, text, code, reason, id: None }
}

const fn named(what: &'static str, text: &'static [u8], code: i32) -> Says {
    Says { what, text, code, reason: WrongShape, id: Some("7") }
}

const PARSE: i32 = -32700;
const REQUEST: i32 = -32600;
const PARAMS: i32 = -32602;

/// No text has a line end: each is also one line of stdio.
pub(crate) const BROKEN: &[Says] = &[
    says("no JSON", b"nonsense", PARSE, InvalidJson),
    says("cut off", br#"{"jsonrpc":"2.0","id":7,"method":"#, PARSE, InvalidJson),
    says("one bracket too many", br#"{"jsonrpc":"2.0","id":7,"method":"ping"}}"#, PARSE, InvalidJson),
    says("a comma at the end", br#"{"jsonrpc":"2.0","id":7,"method":"ping",}"#, PARSE, InvalidJson),
    says("single quotes", b"{'jsonrpc':'2.0','id':7,'method':'ping'}", PARSE, InvalidJson),
    says("no number", br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"n":NaN}}"#, PARSE, InvalidJson),
    says("not UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\xff\xfe\"}", PARSE, InvalidJson),
    says("a surrogate in UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\xed\xa0\x80\"}", PARSE, InvalidJson),
    says("a NUL", b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a\0b\"}", PARSE, InvalidJson),
    says("a byte order mark", b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}", PARSE, InvalidJson),
    says("a broken batch", br#"[{"jsonrpc":"2.0","id":7,"method":"ping"}"#, PARSE, InvalidJson),
    says("a batch", br#"[{"jsonrpc":"2.0","id":7,"method":"ping"}]"#, REQUEST, Batch),
    says("an empty batch", b"[]", REQUEST, Batch),
    says("a head as an array", br#"["2.0",7,"ping"]"#, REQUEST, Batch),
    says("a number", b"7", REQUEST, WrongShape),
    says("a text", br#""ping""#, REQUEST, WrongShape),
    says("nothing", b"null", REQUEST, WrongShape),
    says("an empty object", b"{}", REQUEST, WrongShape),
    named("no jsonrpc", br#"{"id":7,"method":"ping"}"#, REQUEST),
    named("another jsonrpc", br#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, REQUEST),
    named("a number for jsonrpc", br#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#, REQUEST),
    named("no method", br#"{"jsonrpc":"2.0","id":7,"params":{}}"#, REQUEST),
    named("a null method", br#"{"jsonrpc":"2.0","id":7,"method":null}"#, REQUEST),
    named("a number for the method", br#"{"jsonrpc":"2.0","id":7,"method":1}"#, REQUEST),
    named("half a surrogate as method", br#"{"jsonrpc":"2.0","id":7,"method":"\ud800"}"#, REQUEST),
    named("two methods", br#"{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/list"}"#, REQUEST),
    says("two ids", br#"{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}"#, REQUEST, WrongShape),
    says("a null id", br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, REQUEST, WrongShape),
    Says { what: "half an id", text: br#"{"jsonrpc":"2.0","id":7.5,"method":"ping"}"#, code: REQUEST, reason: WrongShape, id: Some("7.5") },
    says("an id that is true", br#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, REQUEST, WrongShape),
    says("an id that is an object", br#"{"jsonrpc":"2.0","id":{"a":7},"method":"ping"}"#, REQUEST, WrongShape),
    Says { what: "a huge id", text: br#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"}"#, code: REQUEST, reason: WrongShape, id: Some("18446744073709551615") },
    says("an id out of range", br#"{"jsonrpc":"2.0","id":1e999,"method":"ping"}"#, REQUEST, WrongShape),
    named("a text for the params", br#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":"all"}"#, REQUEST),
    named("a number for the params", br#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":0}"#, REQUEST),
    named("params by position", br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":["odd"]}"#, PARAMS),
    named("a number for _meta", br#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":7}}"#, PARAMS),
    named("half a surrogate as a key", br#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"\udfff":7}}"#, PARAMS),
    named("an initialize of nobody", br#"{"jsonrpc":"2.0","id":7,"method":"initialize"}"#, PARAMS),
    named(
        "an initialize with a number for its revision",
        br#"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":7,"capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#,
        PARAMS,
    ),
];

/// Requests with an error of their own: method, params, code.
pub(crate) const WRONG: &[(&str, &str, i64)] = &[
    ("no/such/method", "{}", -32601),
    ("tools/calls", r#"{"name":"odd"}"#, -32601),
    ("tools/call", "{}", -32602),
    ("tools/call", r#"{"name":7}"#, -32602),
    ("tools/call", r#"{"name":"no_such_tool"}"#, -32602),
    ("tools/call", r#"{"name":"\ud800"}"#, -32602),
    ("tools/call", r#"{"name":"odd\u0000"}"#, -32602),
    ("prompts/get", r#"{"name":"no_such_prompt"}"#, -32602),
    ("tools/list", r#"{"cursor":7}"#, -32602),
    ("tools/list", r#"{"cursor":"not one of ours"}"#, -32602),
    ("completion/complete", r#"{"ref":7,"argument":{"name":"a","value":""}}"#, -32602),
    ("completion/complete", "{}", -32602),
];

/// Arguments that are odd, and nobody's fault: they are a tool's to judge.
pub(crate) const HARMLESS: &[fn() -> String] = &[
    || r#"{"n":1e999,"m":-0.0,"k":123456789012345678901234567890}"#.to_owned(),
    || r#"{"s":"\ud800","t":"\u0000","u":"\uffff"}"#.to_owned(),
    || r#"{"a":1,"a":2,"":{},"__proto__":{"x":1}}"#.to_owned(),
    || format!("{}{}", r#"{"a":["#.repeat(50_000), "]}".repeat(50_000)),
    || format!(r#"{{"a":"{}"}}"#, "\u{10ffff}\u{202e}\u{feff}".repeat(10_000)),
    || format!("{{{}\"z\":0}}", (0..20_000).map(|n| format!(r#""k{n}":{n},"#)).collect::<String>()),
    || format!(r#"{{"n":{}}}"#, "9".repeat(100_000)),
];
