//! What a server may send in the place of an answer, over any transport. `ID` stands for the id of the request.

use pilothouse::gateway::wire::rejected::Reason::{self, InvalidJson, UnknownId, WrongShape};

/// No text has a line end. Those without `ID` name no call.
pub(crate) const ANSWERS: &[(&[u8], Option<Reason>)] = &[
    (b"nonsense", Some(InvalidJson)),
    (b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":", Some(InvalidJson)),
    (b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}} and more", Some(InvalidJson)),
    (b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"x\":NaN}}", Some(InvalidJson)),
    (b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"x\":\"\0\"}}", Some(InvalidJson)),
    (b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"x\":\"\xff\"}}", Some(InvalidJson)),
    (b"7", Some(WrongShape)),
    (b"null", Some(WrongShape)),
    (b"{}", Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":ID}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"1.0","id":ID,"result":{}}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":""}}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":ID,"error":"no"}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":ID,"error":null}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":ID,"result":{},"result":{}}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":ID,"method":7}"#, Some(WrongShape)),
    (br#"{"jsonrpc":"2.0","id":"nobody","result":{}}"#, Some(UnknownId)),
    (br#"{"jsonrpc":"2.0","id":"p987654321","result":{}}"#, Some(UnknownId)),
    (br#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Some(UnknownId)),
    (br#"{"jsonrpc":"2.0","id":7.5,"result":{}}"#, Some(UnknownId)),
    (br#"{"jsonrpc":"2.0","result":{}}"#, Some(WrongShape)),
];
