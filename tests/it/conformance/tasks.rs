//! Tools whose calls become tasks (SEP-2663), by the task manager of the SDK.

use std::time::Duration;

use rmcp::{
    ErrorData,
    model::{CallToolResponse, CallToolResult, ClientCapabilities, CreateTaskResult},
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use serde_json::{Value, json};

use super::{
    content::{text, typed},
    questions::form,
};

/// How long a job takes that fails, and at most one whose answer a client waits for.
const SHORT: Duration = Duration::from_millis(100);

/// What a call of one of these tools comes to. `None`: it is not one of them.
pub(super) async fn called(
    tasks: &TaskManager,
    tool: &str,
    params: &Value,
    follows: bool,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let job = match tool {
        "slow_compute" => {
            let seconds = params["arguments"]["seconds"].as_f64().unwrap_or(1.0);
            let time = Duration::from_secs_f64(seconds);
            if !follows {
                tokio::time::sleep(time.min(SHORT)).await;
                return Some(Ok(computed().into()));
            }
            Job::Compute(time)
        }
        "failing_job" => Job::Fail,
        "protocol_error_job" => Job::Break,
        "confirm_delete" => Job::Ask(&["confirm"]),
        "multi_input" => Job::Ask(&["first", "second"]),
        "test_tool_with_task" => match params["inputResponses"]["user_name"]["content"]["name"].as_str() {
            Some(name) => Job::Greet(name.to_owned()),
            None if follows => {
                let question = json!({ "user_name": form("What is your name?", "name", "string") });
                let asks = json!({ "resultType": "input_required", "inputRequests": question });
                return Some(Ok(CallToolResponse::InputRequired(serde_json::from_value(asks).unwrap())));
            }
            None => Job::Fail,
        },
        _ => return None,
    };
    Some(if follows {
        let task = tasks.spawn(TaskOptions::default(), |context| Box::pin(job.run(context)));
        Ok(CreateTaskResult::new(task).into())
    } else {
        let tasks = ClientCapabilities::builder().enable_tasks().build();
        Err(ErrorData::missing_required_client_capability(tasks))
    })
}

fn computed() -> CallToolResult {
    typed(text("Computed."))
}

enum Job {
    Compute(Duration),
    /// Ends with a result that is an error.
    Fail,
    /// Ends without a result.
    Break,
    /// Needs these answers, all asked for at once.
    Ask(&'static [&'static str]),
    Greet(String),
}

impl Job {
    async fn run(self, context: TaskContext) -> Result<CallToolResult, TaskExit> {
        match self {
            Self::Compute(time) => tokio::select! {
                () = tokio::time::sleep(time) => Ok(computed()),
                () = context.cancelled() => Err(TaskExit::Cancelled),
            },
            Self::Fail => {
                tokio::time::sleep(SHORT).await;
                let mut result = text("This job always fails.");
                result["isError"] = Value::from(true);
                Ok(typed(result))
            }
            Self::Break => {
                tokio::time::sleep(SHORT).await;
                Err(ErrorData::internal_error("this job always breaks", None).into())
            }
            Self::Ask(keys) => {
                let ask = |key: &&'static str| {
                    let question =
                        serde_json::from_value(form("Please confirm", "confirm", "boolean")).unwrap();
                    context.request_input(*key, question)
                };
                futures::future::try_join_all(keys.iter().map(ask)).await?;
                Ok(typed(text("Confirmed.")))
            }
            Self::Greet(name) => Ok(typed(text(&format!("Hello, {name}!")))),
        }
    }
}
