#![no_main]
//! Events and lines: whatever the chunks, the same is read; nothing that is taken as a message confuses what comes after.

use std::{cell::RefCell, io::Cursor, sync::Arc};

use libfuzzer_sys::fuzz_target;
use pilothouse_fuzz::gateway::wire::{
    carrier, eras,
    events::Events,
    headers, intake,
    lines::Lines,
    rejected::Rejections,
    table::{Outbox, Table, Taken},
    text::{Fields, Head, Message},
};
use rmcp::{RoleServer, transport::Transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
};

/// Most bytes of an event or a line.
const LIMIT: usize = 512;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 4 {
        0 => events(rest),
        1 => lines(rest),
        _ => {
            if let Ok(text) = std::str::from_utf8(rest) {
                message(text);
            }
        }
    }
});

/// The first byte says how long the chunks are.
fn events(data: &[u8]) {
    let Some((length, data)) = data.split_first() else { return };
    let mut whole = Events::new(LIMIT);
    let at_once = whole.push(data);
    let mut chunked = Events::new(LIMIT);
    let mut pieces = Vec::new();
    for chunk in data.chunks(usize::from(*length).max(1)) {
        match chunked.push(chunk) {
            Ok(events) => pieces.extend(events),
            Err(error) => {
                // In one piece the same is too much, or no text.
                assert_eq!(at_once, Err(error));
                return;
            }
        }
    }
    assert_eq!(at_once, Ok(pieces));
}

/// A client over stdio: what is answered without rmcp is one JSON message a line.
fn lines(data: &[u8]) {
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime
            .get_or_insert_with(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
        let said = runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
            let input = Cursor::new(data.to_vec());
            let mut lines = Lines::<RoleServer, _>::carrying(input, ours).with_limit(LIMIT);
            while lines.receive().await.is_some() {}
            lines.close().await.expect("nobody closed it");
            drop(lines);
            let mut said = String::new();
            theirs.read_to_string(&mut said).await.expect("text");
            theirs.shutdown().await.expect("it is memory");
            said
        });
        for line in said.lines() {
            let head = Head::parse(line).expect("an answer is a message");
            assert!(head.error.is_some() && head.jsonrpc.as_deref() == Some("2.0"), "{line}");
        }
    });
}

/// One text, as a client's and as a server's.
fn message(text: &str) {
    if let Ok(fields) = Fields::parse(text) {
        let printed = fields.to_raw();
        let again = Fields::parse(printed.get()).expect("what was printed can be read");
        let members = |fields: &Fields<'_>| {
            fields.iter().map(|(name, value)| (name.to_owned(), value.get().to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(members(&fields), members(&again));
        pilothouse_fuzz::gateway::rounds::looked_through(&printed);
        for era in [pilothouse_fuzz::gateway::wire::Era::Legacy, pilothouse_fuzz::gateway::wire::Era::Modern]
        {
            let spoken = eras::Spoken { era, version: "2026-07-28".to_owned() };
            let _ = eras::params(Some(&printed), era, &spoken, "p1");
            let _ = eras::result("tools/list", printed.clone(), spoken.era, era);
        }
    }
    match intake::read(text) {
        Ok(head) => taken(text, &head),
        Err(malformed) => {
            Head::parse(&malformed.refusal()).expect("a refusal is a message");
        }
    }
    of_server(text);
}

fn taken(text: &str, head: &Head<'_>) {
    let what = head.message().expect("what is taken is a message");
    if let Some(wrapped) = carrier::wrap(head) {
        let carried = Head::parse(&wrapped.text).expect("a carrier is a message");
        assert_eq!(carried.message(), Some(what), "{text}");
        assert_eq!(carried.id.map(|id| id.get()), head.id.map(|id| id.get()), "{text}");
    }
    let _ = carrier::unwrap(text);
    if what == Message::Request {
        let headers = headers::of_request(head, None).into_iter().collect();
        // A method can be a text that no header holds; nobody knows such a method.
        let is_plain =
            |method: &str| method.bytes().all(|byte| byte.is_ascii_graphic()) && !method.starts_with('=');
        if head.method.as_deref().is_some_and(is_plain) {
            assert_eq!(headers::check(&headers, head, None), Ok(()), "{text}");
        }
    }
}

/// A server's message ends no call but the one that it names.
fn of_server(text: &str) {
    for stream in [None, Some("p1")] {
        let counts = Arc::<Rejections>::default();
        let (outbox, mut sent) = Outbox::new();
        let table = Arc::new(Table::new(outbox).counting(counts));
        let tokens = [table.token(), table.token()];
        let open: Vec<_> = tokens.iter().map(|token| table.open(token.clone(), None)).collect();
        let whose = table.take(text, stream);
        let ended: Vec<_> = tokens.iter().filter(|token| !table.is_open(token)).collect();
        assert!(ended.len() <= 1, "{text}");
        if let Some(token) = ended.first() {
            assert_eq!(whose, Taken::Ours, "{text}");
            let fields = Fields::parse(text).expect("it names a call");
            assert_eq!(fields.get_str("id").as_ref(), Some(*token), "{text}");
        }
        drop(open);
        while let Ok(letter) = sent.try_recv() {
            Head::parse(&letter).expect("what is sent is a message");
        }
    }
}
