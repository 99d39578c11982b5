//! Lists of objects, page by page.

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ReadError, Reader, Resource,
    reader::{LARGEST_ANSWER, query},
};

/// Objects of one request of a list.
const PAGE: usize = 250;
/// Of a page; where its objects are so large that it has more, it is asked for again with fewer.
const LARGEST_PAGE: usize = 8 << 20;
const FEWER: usize = 8;
/// Servers of aggregated APIs that do not know it send whole objects.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Which objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// `None` reads all namespaces.
    pub namespace: Option<String>,
    pub labels: Option<String>,
    pub fields: Option<String>,
    /// Exactly this version of the cluster's state; `None` is now.
    pub at: Option<String>,
}

/// What stands around the items of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListHead {
    pub resource_version: String,
    #[serde(rename = "continue")]
    continue_: String,
}

impl Reader {
    /// Gives `each` every object of the list, page by page; only one page is held at a time, and of large objects a
    /// page has few. All pages show one version of the cluster's state, whose name is returned.
    ///
    /// # Errors
    /// [`ReadError::Gone`] when that version is no longer kept; see [`ReadError`].
    pub async fn list(
        &self,
        resource: &Resource,
        request: &ListRequest,
        each: impl FnMut(&RawValue) + Send,
    ) -> Result<String, ReadError> {
        self.list_as(resource, request, "application/json", each).await
    }

    /// As [`Reader::list`], but of each object only its metadata is sent.
    ///
    /// # Errors
    /// As [`Reader::list`].
    pub async fn list_metadata(
        &self,
        resource: &Resource,
        request: &ListRequest,
        each: impl FnMut(&RawValue) + Send,
    ) -> Result<String, ReadError> {
        self.list_as(resource, request, METADATA, each).await
    }

    async fn list_as(
        &self,
        resource: &Resource,
        request: &ListRequest,
        accept: &str,
        mut each: impl FnMut(&RawValue) + Send,
    ) -> Result<String, ReadError> {
        let ListRequest { namespace, labels, fields, at } = request;
        self.held(resource)?;
        let path = resource.path(namespace.as_deref(), None)?;
        let mut version = at.clone().unwrap_or_default();
        let mut next = String::new();
        let mut objects = PAGE;
        loop {
            // A continuation carries its version in itself.
            let at = at.as_ref().filter(|_| next.is_empty());
            let query = query(&[
                ("limit", Some(objects.to_string())),
                ("labelSelector", labels.clone()),
                ("fieldSelector", fields.clone()),
                ("continue", Some(next.clone()).filter(|next| !next.is_empty())),
                ("resourceVersion", at.cloned()),
                ("resourceVersionMatch", at.map(|_| "Exact".to_owned())),
            ]);
            let largest = if objects == 1 { LARGEST_ANSWER } else { LARGEST_PAGE };
            let uri = format!("{path}?{query}");
            let body = match self.send_within(Method::GET, &uri, accept, Vec::new(), largest).await {
                Ok(body) => body,
                Err(ReadError::TooLarge { .. }) if objects > 1 => {
                    objects = (objects / FEWER).max(1);
                    continue;
                }
                Err(ReadError::Forbidden { .. }) if resource.namespaced && namespace.is_none() => {
                    return Err(ReadError::everywhere(&resource.id()));
                }
                Err(error) => return Err(error),
            };
            let head = page(&body, &mut each).map_err(|error| self.garbled(&path, &error))?;
            if version.is_empty() {
                version = head.resource_version;
            }
            if head.continue_.is_empty() {
                return Ok(version);
            }
            next = head.continue_;
        }
    }

    /// Names of all objects of the list, sorted by namespace and name.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn names(
        &self,
        resource: &Resource,
        request: &ListRequest,
    ) -> Result<Vec<(String, String)>, ReadError> {
        #[derive(Deserialize)]
        struct Named {
            metadata: Names,
        }
        #[derive(Deserialize)]
        struct Names {
            #[serde(default)]
            namespace: String,
            name: String,
        }
        let mut names = Vec::new();
        self.list_metadata(resource, request, |item| {
            if let Ok(Named { metadata }) = serde_json::from_str(item.get()) {
                names.push((metadata.namespace, metadata.name));
            }
        })
        .await?;
        names.sort();
        Ok(names)
    }
}

fn page(body: &[u8], each: &mut (impl FnMut(&RawValue) + Send)) -> Result<ListHead, serde_json::Error> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default)]
        metadata: ListHead,
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
    }
    let List { metadata, items } = serde_json::from_slice(body)?;
    items.unwrap_or_default().into_iter().for_each(each);
    Ok(metadata)
}
