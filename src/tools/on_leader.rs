//! Calls that change something are answered by the replica that leads, whichever one they came to.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::Tool;
use crate::{
    answer::Answer,
    caller::{Caller, Need},
};

/// A call for the replica that leads. Its caller is known and may make it: that was checked where it came in.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedCall {
    pub tool: String,
    pub caller: Caller,
    pub arguments: Option<Box<RawValue>>,
}

/// The way to the replica that leads; implemented in `app` over the operator.
pub trait Leader: Send + Sync {
    /// Whether this process leads: then it answers itself.
    fn is_here(&self) -> bool;

    /// Sends the call there and waits for its answer. Where that fails, the answer says so and what to do.
    fn call(&self, call: LedCall) -> BoxFuture<'_, Answer>;
}

/// A tool that only the leader's process may use.
pub(super) struct OnLeader {
    pub(super) tool: Box<dyn Tool>,
    pub(super) leader: Arc<dyn Leader>,
}

impl Tool for OnLeader {
    fn definition(&self) -> Value {
        self.tool.definition()
    }

    fn needs(&self) -> &'static [Need] {
        self.tool.needs()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            if self.leader.is_here() {
                return self.tool.call(caller, arguments).await;
            }
            let tool = self.definition()["name"].as_str().unwrap_or_default().to_owned();
            let arguments = arguments.map(ToOwned::to_owned);
            self.leader.call(LedCall { tool, caller: caller.clone(), arguments }).await
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use futures::future::BoxFuture;
    use serde_json::{Value, json, value::RawValue};

    use super::{Leader, LedCall, OnLeader};
    use crate::{answer::Answer, caller::Caller, tools::Tool};

    struct Here;

    impl Tool for Here {
        fn definition(&self) -> Value {
            json!({ "name": "propose_change" })
        }

        fn call<'a>(&'a self, _: &'a Caller, _: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("here") })
        }
    }

    #[derive(Default)]
    struct There(AtomicBool);

    impl Leader for There {
        fn is_here(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }

        fn call(&self, call: LedCall) -> BoxFuture<'_, Answer> {
            let LedCall { tool, caller, arguments } = call;
            let arguments = arguments.map(|arguments| arguments.get().to_owned()).unwrap_or_default();
            Box::pin(async move { Answer::text(format!("{tool} of {}: {arguments}", caller.user)) })
        }
    }

    #[tokio::test]
    async fn a_follower_hands_the_call_on_as_it_came() {
        let there = Arc::new(There::default());
        let tool = OnLeader { tool: Box::new(Here), leader: there.clone() };
        let caller = Caller { user: "ann".into(), ..Caller::process() };
        let arguments = serde_json::value::to_raw_value(&json!({ "a": 1 })).unwrap();
        let answer = tool.call(&caller, Some(&arguments)).await;
        assert_eq!(answer.text, "propose_change of ann: {\"a\":1}");
        there.0.store(true, Ordering::Relaxed);
        assert_eq!(tool.call(&caller, Some(&arguments)).await.text, "here");
    }
}
