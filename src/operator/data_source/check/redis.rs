//! AUTH and PING as Redis and its kin speak them (RESP).

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{
    broken,
    dial::{Dial, Line},
};
use crate::operator::data_source::{
    credentials::Credentials,
    outcome::{Outcome, Reason},
    target::Target,
};

/// A longer line is no answer to what we ask.
const LONGEST: u64 = 4096;

pub(super) async fn check(dial: &Dial, target: &Target, credentials: &Credentials) -> Outcome {
    let line = match dial.line(target).await {
        Ok(line) => line,
        Err(error) => return error.outcome(target),
    };
    match talk(BufReader::new(line), target, credentials).await {
        Ok(outcome) => outcome,
        Err(error) => broken(target, &error),
    }
}

async fn talk(
    mut line: BufReader<Box<dyn Line>>,
    target: &Target,
    credentials: &Credentials,
) -> std::io::Result<Outcome> {
    let login = match (credentials.get("username"), credentials.get("password")) {
        (Some(user), Some(password)) => Some(command(&["AUTH", user, password])),
        (None, Some(password)) => Some(command(&["AUTH", password])),
        (_, None) => None,
    };
    if let Some(login) = &login {
        let said = ask(&mut line, login).await?;
        if said != "+OK" {
            return Ok(no(&said, target, credentials));
        }
    }
    let said = ask(&mut line, &command(&["PING"])).await?;
    Ok(match said.as_str() {
        // A user that may not PING is in all the same.
        said if said == "+PONG" || said.starts_with("-NOPERM") => {
            if login.is_none() && target.has_credentials {
                Outcome::not_tried(target)
            } else {
                Outcome::In("Redis".to_owned())
            }
        }
        said => no(said, target, credentials),
    })
}

fn no(said: &str, target: &Target, credentials: &Credentials) -> Outcome {
    let place = target.place();
    let Some(error) = said.strip_prefix('-') else {
        return Outcome::partly(
            Reason::NotAsExpected,
            format!("{place} answers, but not as a Redis does: correct spec.endpoint or spec.engine."),
        );
    };
    let words = credentials.scrub(error);
    let kind = error.split(' ').next().unwrap_or_default();
    match kind {
        "NOAUTH" if credentials.get("password").is_none() => Outcome::asks(target, "a password"),
        "WRONGPASS" | "NOAUTH" | "NOPERM" => Outcome::refused(
            Reason::CredentialsRefused,
            format!("{place} says: {words}: correct the Secrets that spec.credentials names."),
        ),
        // AUTH where no password is set, or before Redis 6.
        "ERR" if error.contains("AUTH") || error.contains("invalid password") => Outcome::refused(
            Reason::CredentialsRefused,
            format!("{place} says: {words}: correct spec.credentials."),
        ),
        // Loading, full, busy, without its master: it is there.
        _ => Outcome::partly(Reason::NotAsExpected, format!("{place} says: {words}.")),
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The first line of the answer, without its end.
async fn ask(line: &mut BufReader<Box<dyn Line>>, command: &[u8]) -> std::io::Result<String> {
    line.write_all(command).await?;
    line.flush().await?;
    let mut answer = Vec::new();
    (&mut *line).take(LONGEST).read_until(b'\n', &mut answer).await?;
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_command_is_an_array_of_counted_words() {
        assert_eq!(command(&["AUTH", "pä\r\nss"]), "*2\r\n$4\r\nAUTH\r\n$7\r\npä\r\nss\r\n".as_bytes());
    }
}
