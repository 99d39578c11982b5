//! A server with the entries that the suite calls, on the server side of the Rust SDK: nothing of it is ours, so what
//! it says through the gateway is compared with what another program says directly.
#![allow(deprecated, reason = "the SDK deprecates what only legacy clients use, and the suite has those too")]

use std::{borrow::Cow, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, CompleteRequestParams,
        CompleteResult, ErrorCode, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
        Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    content::{self, typed},
    questions::{self, Seal},
    tasks,
};

/// The running server, until it is dropped.
pub(super) struct Fixture {
    pub(super) url: String,
    stop: CancellationToken,
}

impl Fixture {
    /// Speaks every revision up to this one.
    pub(super) async fn serve(newest: ProtocolVersion) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            revisions: ProtocolVersion::known_up_to(&newest),
            seal: Seal::new(),
            tasks: TaskManager::new(),
            changes: watch::Sender::default(),
        });
        let handler = move || {
            let changes = shared.changes.borrow().len();
            Ok(Handler { shared: shared.clone(), changes })
        };
        let settings = StreamableHttpServerConfig::default().with_cancellation_token(stop.clone());
        let service = StreamableHttpService::new(handler, Arc::new(LocalSessionManager::default()), settings);
        let router = axum::Router::new().nest_service("/mcp", service);
        let ended = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(ended).await });
        Self { url, stop }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Shared {
    revisions: &'static [ProtocolVersion],
    seal: Seal,
    tasks: TaskManager,
    /// Which lists were changed on request, in order. Each change adds one entry.
    changes: watch::Sender<Vec<List>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Tools,
    Prompts,
}

/// Of one legacy session, or of one modern request.
struct Handler {
    shared: Arc<Shared>,
    /// How many changes there were when it began: later ones are told.
    changes: usize,
}

/// The next change after the first so many. `None`: the server has ended.
async fn after(changes: &mut watch::Receiver<Vec<List>>, known: &mut usize) -> Option<List> {
    let at = *known;
    let list = changes.wait_for(|all| all.len() > at).await.ok()?[at];
    *known += 1;
    Some(list)
}

impl Handler {
    fn change(&self, list: List) -> CallToolResponse {
        self.shared.changes.send_modify(|changes| changes.push(list));
        complete(content::text("The list changed."))
    }

    /// The entries that are always there, and one for each change.
    fn with_added(&self, list: List, mut entries: Vec<Value>) -> Vec<Value> {
        let changes = self.shared.changes.borrow();
        for (n, _) in changes.iter().enumerate().filter(|(_, changed)| **changed == list) {
            let name = format!("changed_{n}");
            entries.push(json!({ "name": name, "description": name, "inputSchema": { "type": "object" } }));
        }
        entries
    }

    async fn call(&self, tool: &str, params: &Value, up: &Up<'_>) -> Result<CallToolResponse, ErrorData> {
        let arguments = &params["arguments"];
        Ok(match tool {
            "test_tool_with_logging" | "test_logging_tool" => {
                for message in ["Tool execution started", "Tool processing data", "Tool execution completed"]
                {
                    up.log(message).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                complete(content::text("Logging test completed"))
            }
            "test_tool_with_progress" => {
                for progress in [0, 50, 100] {
                    up.progress(progress).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                complete(content::text("Progress test completed"))
            }
            "test_sampling" => {
                let said = json!({ "type": "text", "text": arguments["prompt"] });
                let question = json!({ "messages": [{ "role": "user", "content": said }], "maxTokens": 100 });
                let answer = up.ask("sampling/createMessage", question).await?;
                complete(content::text(&format!("LLM response: {}", answer["content"]["text"])))
            }
            "test_elicitation" => up.form(arguments["message"].as_str(), questions::PERSON).await?,
            "test_elicitation_sep1034_defaults" => up.form(None, questions::DEFAULTS).await?,
            "test_elicitation_sep1330_enums" => up.form(None, questions::ENUMS).await?,
            "test_reconnection" => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                complete(content::text("Reconnection test completed"))
            }
            "test_missing_capability" => {
                if up.can().sampling.is_none() {
                    let sampling = ClientCapabilities::builder().enable_sampling().build();
                    return Err(ErrorData::missing_required_client_capability(sampling));
                }
                complete(content::text("The client can sample."))
            }
            "test_trigger_tool_change" => self.change(List::Tools),
            "test_trigger_prompt_change" => self.change(List::Prompts),
            tool => match self.in_rounds(tool, params, up).await {
                Some(answer) => match answer? {
                    asks if asks["resultType"] == ASKS => CallToolResponse::InputRequired(asking(asks)),
                    result => complete(result),
                },
                None => complete(content::shown(tool, arguments)),
            },
        })
    }

    /// Entries that need the client's input: a modern client gets the question as a result, a legacy one is asked.
    async fn in_rounds(&self, name: &str, params: &Value, up: &Up<'_>) -> Option<Result<Value, ErrorData>> {
        let mut params = params.clone();
        let capabilities = serde_json::to_value(up.can()).unwrap();
        loop {
            let answer = questions::asked(&self.shared.seal, name, &params, &capabilities)?;
            let Ok(result) = &answer else { return Some(answer) };
            let requests = result["inputRequests"].as_object().filter(|requests| !requests.is_empty());
            let Some(requests) = requests.filter(|_| !up.is_modern()) else { return Some(answer) };
            let one = async |(key, request): (&String, &Value)| {
                let method = request["method"].as_str().unwrap();
                up.ask(method, request["params"].clone()).await.map(|answer| (key.clone(), answer))
            };
            match futures::future::try_join_all(requests.iter().map(one)).await {
                Ok(answers) => params["inputResponses"] = answers.into_iter().collect(),
                Err(error) => return Some(Err(error)),
            }
            params["requestState"] = result["requestState"].clone();
        }
    }
}

/// The type of a result that is a question.
const ASKS: &str = "input_required";
/// Stands for a question to a modern client, which is a result and ends the call.
const QUESTION: ErrorCode = ErrorCode(1);

fn complete(result: Value) -> CallToolResponse {
    CallToolResponse::Complete(typed(result))
}

fn asking<T: serde::de::DeserializeOwned>(result: Value) -> T {
    serde_json::from_value(result).unwrap()
}

/// What a tool says and asks while it runs.
struct Up<'a>(&'a RequestContext<RoleServer>, &'a Value);

impl Up<'_> {
    fn peer(&self) -> &Peer<RoleServer> {
        &self.0.peer
    }

    fn is_modern(&self) -> bool {
        self.0.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
    }

    fn can(&self) -> ClientCapabilities {
        self.0.client_capabilities().unwrap_or_default()
    }

    /// A modern client hears only what it wants to.
    async fn log(&self, message: &str) {
        if !self.is_modern() || self.0.meta.log_level().is_some() {
            let params = json!({ "level": "info", "logger": "fixture", "data": message });
            self.note("notifications/message", params).await;
        }
    }

    async fn progress(&self, progress: u32) {
        if let Some(token) = self.0.meta.get_progress_token() {
            let params = json!({ "progressToken": token, "progress": progress, "total": 100 });
            self.note("notifications/progress", params).await;
        }
    }

    async fn note(&self, method: &str, params: Value) {
        let note = serde_json::from_value(json!({ "method": method, "params": params })).unwrap();
        self.peer().send_notification(note).await.unwrap();
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, ErrorData> {
        let question = json!({ "method": method, "params": params });
        if self.is_modern() {
            let answer = self.1["inputResponses"].get("question").cloned();
            return answer.ok_or_else(|| ErrorData::new(QUESTION, "asks", Some(question)));
        }
        let answer = self.peer().send_request(serde_json::from_value(question).unwrap()).await;
        let failed = |error: rmcp::ServiceError| ErrorData::internal_error(error.to_string(), None);
        Ok(serde_json::to_value(answer.map_err(failed)?).unwrap())
    }

    async fn form(&self, message: Option<&str>, schema: &str) -> Result<CallToolResponse, ErrorData> {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let message = message.unwrap_or("Please review");
        let answer =
            self.ask("elicitation/create", json!({ "message": message, "requestedSchema": schema })).await?;
        let (action, content) = (answer["action"].as_str().unwrap_or_default(), &answer["content"]);
        Ok(complete(content::text(&format!("Elicitation completed: action={action}, content={content}"))))
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("fixture", "1"))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.shared.revisions)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tool = content::tools().into_iter().find(|tool| tool["name"] == name)?;
        Some(serde_json::from_value(tool).unwrap())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(typed(json!({ "tools": self.with_added(List::Tools, content::tools()) })))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(typed(json!({ "prompts": self.with_added(List::Prompts, content::prompts()) })))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(typed(json!({ "resources": content::resources() })))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(typed(json!({ "resourceTemplates": content::templates() })))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let params = serde_json::to_value(&request).unwrap();
        let up = Up(&context, &params);
        let follows = up.can().supports_tasks();
        if let Some(task) = tasks::called(&self.shared.tasks, &request.name, &params, follows).await {
            return task;
        }
        match self.call(&request.name, &params, &up).await {
            Err(error) if error.code == QUESTION => {
                let asks = json!({ "resultType": ASKS, "inputRequests": { "question": error.data } });
                Ok(CallToolResponse::InputRequired(asking(asks)))
            }
            answer => answer,
        }
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let params = serde_json::to_value(&request).unwrap();
        let answer = match self.in_rounds(&request.name, &params, &Up(&context, &params)).await {
            Some(answer) => answer?,
            None => content::prompt(&request.name, &params["arguments"]),
        };
        if answer["resultType"] == ASKS {
            return Ok(GetPromptResponse::InputRequired(asking(answer)));
        }
        Ok(GetPromptResponse::Complete(typed(answer)))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let missing = || {
            ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": request.uri })))
        };
        Ok(ReadResourceResponse::Complete(typed(content::read(&request.uri).ok_or_else(missing)?)))
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = ["paris", "park"];
        Ok(typed(json!({ "completion": { "values": values, "total": 2, "hasMore": false } })))
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    /// A legacy client is told on the stream of its session.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let (mut changes, mut known) = (self.shared.changes.subscribe(), self.changes);
        tokio::spawn(async move {
            while let Some(list) = after(&mut changes, &mut known).await {
                let told = match list {
                    List::Tools => context.peer.notify_tool_list_changed().await,
                    List::Prompts => context.peer.notify_prompt_list_changed().await,
                };
                if told.is_err() {
                    return;
                }
            }
        });
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    /// A modern client is told on the stream of this request.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let (mut changes, mut known) = (self.shared.changes.subscribe(), self.changes);
        let tell = async {
            while let Some(list) = after(&mut changes, &mut known).await {
                // A list that it does not listen to is refused here.
                let _ = match list {
                    List::Tools => context.sink().notify_tool_list_changed().await,
                    List::Prompts => context.sink().notify_prompt_list_changed().await,
                };
            }
        };
        tokio::select! {
            () = tell => {}
            () = context.cancelled() => {}
        }
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.shared.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }
}
