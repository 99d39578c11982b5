//! The least HTTP there can be, on plain blocking sockets: what is measured must not hide behind the measuring.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context, bail};

/// One kept connection of a client.
pub(crate) struct Connection {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(host: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host, buffer: Vec::new() })
    }

    /// Posts to `/mcp` and gives the body of the answer; `name` is what the request is for.
    pub(crate) fn post(&mut self, method: &str, name: &str, body: &str) -> anyhow::Result<String> {
        let lines =
            format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\nmcp-name: {name}\r\n");
        let (head, body) = self.exchange(&lines, body)?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{} {body}", head.lines().next().unwrap_or_default());
        }
        Ok(body)
    }

    /// Posts to `/mcp` with these header lines beside the usual ones, and gives the head and the body of the answer.
    pub(crate) fn exchange(&mut self, lines: &str, body: &str) -> anyhow::Result<(String, String)> {
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: {}\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\n{lines}content-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes())?;
        read(&mut self.stream, &mut self.buffer)
    }

    /// Asks `/mcp` for a stream of events, and gives the head of the answer; what comes on it is not read.
    #[allow(dead_code, reason = "only the benchmark of the gateway uses it")]
    pub(crate) fn listen(&mut self, lines: &str) -> anyhow::Result<String> {
        let host = self.host;
        let request =
            format!("GET /mcp HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n{lines}\r\n");
        self.stream.write_all(request.as_bytes())?;
        head(&mut self.stream, &mut self.buffer)
    }
}

/// Answers each POST with the JSON that `answer` makes of its body. Runs until the process ends.
pub(crate) fn serve(answer: fn(&str) -> String) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that goes away ends its thread with an error that says no more than that.
            thread::spawn(move || drop(serve_one(stream, answer)));
        }
    });
    Ok(address)
}

fn serve_one(mut stream: TcpStream, answer: fn(&str) -> String) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let (_, body) = read(&mut stream, &mut buffer)?;
        let body = answer(&body);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes())?;
    }
}

/// The value of the header of this name, however it is written.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The head and the body of one message; what comes after it stays in `buffer`.
fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<(String, String)> {
    let head = head(stream, buffer)?;
    let body = if let Some(length) = header(&head, "content-length") {
        let length: usize = length.parse()?;
        until(stream, buffer, |seen| (seen.len() >= length).then_some(length))?;
        buffer.drain(..length).collect()
    } else if header(&head, "transfer-encoding").is_some() {
        let length = until(stream, buffer, |seen| find(seen, b"\r\n0\r\n\r\n"))? + 7;
        unchunked(&buffer.drain(..length).collect::<Vec<u8>>())?
    } else {
        bail!("an answer without a length: {head}");
    };
    Ok((head, String::from_utf8(body)?))
}

fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<String> {
    let ends = until(stream, buffer, |seen| find(seen, b"\r\n\r\n"))? + 4;
    Ok(String::from_utf8(buffer.drain(..ends).collect())?)
}

fn until(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    found: impl Fn(&[u8]) -> Option<usize>,
) -> anyhow::Result<usize> {
    loop {
        if let Some(at) = found(buffer) {
            return Ok(at);
        }
        let mut chunk = [0; 16_384];
        match stream.read(&mut chunk)? {
            0 => bail!("the connection was closed"),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn unchunked(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = find(rest, b"\r\n").context("half a chunk")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line])?.trim(), 16)?;
        rest = &rest[line + 2..];
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..length).context("half a chunk")?);
        rest = &rest[length + 2..];
    }
}
