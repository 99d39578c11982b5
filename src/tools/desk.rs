//! What every cluster tool works with during one call, and the paging that all of them share.

use jiff::Timestamp;

use crate::{
    answer::{Answer, Budget, Cursor, Page, Place, SealError, Sealer},
    caller::Caller,
    cluster::{Contexts, ReadError, Reader, Resource},
};

/// Where calls get their desks from. Shared by the cluster tools; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Office {
    pub(super) contexts: Contexts,
    pub(super) sealer: Sealer,
    pub(super) budget: Budget,
}

impl Office {
    /// The desk for one call: it reads the named cluster, as this caller.
    ///
    /// # Errors
    /// An error answer when there is no such context, or the caller cannot be impersonated.
    pub(super) async fn desk(&self, caller: &Caller, context: Option<&str>) -> Result<Desk, Answer> {
        let Self { contexts, sealer, budget } = self;
        let reader = contexts.reader(context).await.map_err(|error| failed(&error))?;
        let reader = reader.for_caller(caller).map_err(|error| failed(&error))?;
        let context = context.filter(|context| *context != contexts.current()).unwrap_or_default().to_owned();
        Ok(Desk { reader, context, sealer: sealer.clone(), budget: *budget })
    }

    /// A desk that reads nothing: for what a tool says of itself.
    pub(super) fn empty(&self) -> Desk {
        let reader = Reader::absent("nobody has asked yet");
        Desk { reader, context: String::new(), sealer: self.sealer.clone(), budget: self.budget }
    }
}

/// What one call of a cluster tool works with.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    /// Reads as the caller.
    pub(super) reader: Reader,
    /// The kubeconfig's context that the call named; empty for the current one.
    pub(super) context: String,
    pub(super) sealer: Sealer,
    pub(super) budget: Budget,
}

/// What stands under a table or text at least: a note and a cursor.
const FOOTER_TOKENS: usize = 200;

impl Desk {
    /// Opens the page that a call asks for.
    ///
    /// # Errors
    /// An error answer when the cursor is not for this call.
    pub(super) fn page<'a>(
        &'a self,
        caller: &'a Caller,
        request: &str,
        cursor: Option<&str>,
        max_tokens: Option<usize>,
    ) -> Result<Paging<'a>, Answer> {
        let now = Timestamp::now();
        let request = format!("{}\n{request}", self.context);
        let cursor = cursor
            .map(|sealed| Cursor::open(sealed, &self.sealer, &request, &caller.user, now))
            .transpose()
            .map_err(|error| Answer::error(error.to_string()))?;
        let budget = max_tokens.map_or(self.budget, Budget::of);
        Ok(Paging { desk: self, caller, request, cursor, budget, began: now })
    }
}

/// What the rows of a page are.
pub(super) struct What {
    pub(super) one: String,
    pub(super) many: String,
    /// Said after the noun; begins with a space.
    pub(super) where_: String,
}

impl What {
    pub(super) fn of(one: &str, many: &str, where_: String) -> Self {
        Self { one: one.to_owned(), many: many.to_owned(), where_ }
    }

    pub(super) fn objects(resource: &Resource, where_: String) -> Self {
        let one = Resource { plural: resource.singular.clone(), ..resource.clone() };
        let one = if resource.singular.is_empty() { resource.id() } else { one.id() };
        Self { one, many: resource.id(), where_ }
    }
}

/// Where, as a sentence goes on: ` in shop`, and nothing for all namespaces.
pub(super) fn in_namespace(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |namespace| format!(" in {namespace}"))
}

/// One page of an answer.
pub(super) struct Paging<'a> {
    desk: &'a Desk,
    caller: &'a Caller,
    request: String,
    cursor: Option<Cursor>,
    budget: Budget,
    began: Timestamp,
}

impl Paging<'_> {
    /// For the content; room for what stands under it is kept.
    pub(super) fn budget(&self) -> Budget {
        self.budget.without(FOOTER_TOKENS)
    }

    /// The version of the cluster's state that an earlier page has shown.
    pub(super) fn version(&self) -> Option<String> {
        self.cursor
            .as_ref()
            .map(|cursor| cursor.resource_version.clone())
            .filter(|version| !version.is_empty())
    }

    pub(super) fn place(&self) -> Option<&Place> {
        self.cursor.as_ref().map(|cursor| &cursor.place)
    }

    /// Ages and ranks are reckoned from here on all pages of one answer.
    pub(super) fn now(&self) -> Timestamp {
        self.desk.reader.recorded_at().unwrap_or(self.first())
    }

    /// Says so when the cluster is a recorded one; nothing otherwise.
    pub(super) fn recorded(&self) -> String {
        let at = self.desk.reader.recorded_at();
        at.map_or_else(String::new, |at| format!(" (ages as of the recording, {at:.0})"))
    }

    fn first(&self) -> Timestamp {
        self.cursor.as_ref().map_or(self.began, |cursor| cursor.at)
    }

    /// The line that says how to get the next page.
    pub(super) fn next(&self, version: &str, place: Place) -> String {
        next_line(&self.sealed(version, place))
    }

    fn sealed(&self, version: &str, place: Place) -> Result<String, SealError> {
        let cursor = Cursor { resource_version: version.to_owned(), at: self.first(), place };
        cursor.seal(&self.desk.sealer, &self.request, &self.caller.user)
    }

    /// A page of a list as text. `what` is a noun for its rows, `fine` says how those are that may be folded.
    pub(super) fn text(&self, page: Page, what: &What, fine: &str, version: &str) -> String {
        self.text_and_cursor(page, what, fine, version).0
    }

    /// As [`Self::text`], with the cursor that the text names once more.
    pub(super) fn text_and_cursor(
        &self,
        page: Page,
        what: &What,
        fine: &str,
        version: &str,
    ) -> (String, Option<String>) {
        let Page { table, shown, before, total, folded, next } = page;
        let mut text = table.unwrap_or_default();
        let What { one, many, where_ } = what;
        let what = format!("{}{where_}", if total == 1 { one } else { many });
        if total == 0 {
            return (format!("No {what}.\n"), None);
        }
        if let Some(folded) = folded {
            text.push_str(&format!("{fine} and not listed yet: {folded}\n"));
        }
        let sealed = next.map(|place| self.sealed(version, place));
        match &sealed {
            Some(sealed) => {
                let rows =
                    if shown == 0 { "none".to_owned() } else { format!("{}-{}", before + 1, before + shown) };
                text.push_str(&format!("{total} {what}, shown {rows}. {}", next_line(sealed)));
            }
            None if before > 0 => {
                text.push_str(&format!("{total} {what}, shown {}-{total}, the end\n", before + 1))
            }
            None => text.push_str(&format!("{total} {what}\n")),
        }
        (text, sealed.and_then(Result::ok))
    }
}

fn next_line(sealed: &Result<String, SealError>) -> String {
    match sealed {
        Ok(sealed) => format!("Next page: the same arguments and cursor={sealed}\n"),
        Err(error) => format!("There is more, but no cursor can be made ({error}).\n"),
    }
}

/// A failed read as the answer to a call.
pub(super) fn failed(error: &ReadError) -> Answer {
    Answer::error(error.to_string())
}
