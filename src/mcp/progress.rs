//! Progress of our own tools, for callers who sent a token for it.

use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::{
    gateway::wire::{
        Raw, Up,
        text::{Fields, raw},
    },
    tools::{Step, Steps},
};

/// Told to the asking client while its request is open; nobody's without a token.
pub(super) fn steps(params: &Fields<'_>, up: mpsc::Sender<Up>) -> Steps {
    let token = token(params);
    token.map_or_else(Steps::default, |token| {
        Steps::telling(move |step| {
            let params = Some(note(&token, &step));
            // A client that does not read gets its answer all the same.
            if let Err(error) = up.try_send(Up::Note { method: "notifications/progress".to_owned(), params })
            {
                tracing::debug!(%error, step = step.at, "a step of a call is not told");
            }
        })
    })
}

/// As it came: it may be a string or a number.
fn token(params: &Fields<'_>) -> Option<Raw> {
    let meta = Fields::parse(params.get("_meta")?.get()).ok()?;
    meta.get("progressToken").filter(|token| token.get() != "null").map(ToOwned::to_owned)
}

fn note(token: &RawValue, step: &Step) -> Raw {
    let Step { at, of, said } = step;
    let mut note = Fields::default();
    note.set("progressToken", token.to_owned());
    note.set("progress", raw(at));
    note.set("total", raw(of));
    note.set_str("message", said);
    note.to_raw()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::sync::mpsc;

    use super::steps;
    use crate::{
        gateway::wire::{Up, text::Fields},
        tools::Step,
    };

    #[tokio::test]
    async fn who_sent_a_token_hears_of_the_steps_and_nobody_else() {
        let step = Step { at: 2, of: 7, said: "reading the repository".to_owned() };
        for (params, told) in [
            (r#"{"name":"x","_meta":{"progressToken":7.50}}"#, Some("7.50")),
            (r#"{"name":"x","_meta":{"progressToken":"t"}}"#, Some(r#""t""#)),
            (r#"{"name":"x","_meta":{"progressToken":null}}"#, None),
            (r#"{"name":"x"}"#, None),
        ] {
            let (up, mut from) = mpsc::channel(1);
            steps(&Fields::parse(params).unwrap(), up).tell(step.clone());
            let came = from.recv().await.map(|up| match up {
                Up::Note { method, params } => format!("{method} {}", params.unwrap()),
                Up::Ask { method, .. } => method,
            });
            let expected = told.map(|token| {
                format!(
                    r#"notifications/progress {{"progressToken":{token},"progress":2,"total":7,"message":"reading the repository"}}"#
                )
            });
            assert_eq!(came, expected, "{params}");
        }
    }
}
