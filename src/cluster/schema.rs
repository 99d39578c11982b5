//! The documented shape of a kind: from the API server's OpenAPI v3 documents, or from its CRD.
//!
//! A document of a group is large (1.5 MB for the core group); only the asked kind and what it refers to is kept.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use moka::future::Cache;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{ReadError, Reader, Resource};

/// Of the schemas that are remembered, all together.
const REMEMBERED_BYTES: u64 = 4 << 20;
const REFERENCE: &str = "#/components/schemas/";

/// Schemas that were read, by the address of their document, which holds its hash, and their kind.
pub(super) type Schemas = Cache<String, Arc<Schema>>;

pub(super) fn schemas() -> Schemas {
    let weigh = |key: &String, schema: &Arc<Schema>| {
        let bytes =
            key.len() + schema.parts.iter().map(|(name, part)| name.len() + part.get().len()).sum::<usize>();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    };
    Cache::builder().weigher(weigh).max_capacity(REMEMBERED_BYTES).build()
}

/// The schema of one kind with all that it refers to.
#[derive(Clone, Debug)]
pub struct Schema {
    root: String,
    /// JSON Schema by name, each unparsed.
    parts: HashMap<String, Box<RawValue>>,
}

impl Schema {
    /// The kind itself.
    pub fn root(&self) -> Value {
        self.part(&self.root)
    }

    /// What `{"$ref": reference}` stands for; nothing for what is unknown.
    pub fn referred(&self, reference: &str) -> Value {
        self.part(reference.strip_prefix(REFERENCE).unwrap_or(reference))
    }

    /// All of it as one JSON document, whose `$ref` names the kind below `components.schemas`.
    pub fn document(&self) -> Value {
        // A definition's own schema has no name.
        let name = |name: &str| if name.is_empty() { "definition".to_owned() } else { name.to_owned() };
        let parts: Map<String, Value> =
            self.parts.keys().map(|part| (name(part), self.part(part))).collect();
        let root = format!("{REFERENCE}{}", name(&self.root));
        json!({ "$ref": root, "components": { "schemas": parts } })
    }

    fn part(&self, name: &str) -> Value {
        let part = self.parts.get(name);
        part.and_then(|part| serde_json::from_str(part.get()).ok()).unwrap_or_default()
    }

    /// Out of a group's document; none when it does not know the kind.
    pub(crate) fn of_document(
        document: &[u8],
        resource: &Resource,
    ) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow, default)]
            components: Components<'a>,
        }
        #[derive(Default, Deserialize)]
        struct Components<'a> {
            #[serde(borrow, default)]
            schemas: BTreeMap<Cow<'a, str>, &'a RawValue>,
        }
        let Document { components: Components { schemas } } = serde_json::from_slice(document)?;
        let Some(root) = schemas.iter().find(|(_, schema)| is_of(schema, resource)) else { return Ok(None) };
        let root = root.0.to_string();
        let mut parts = HashMap::new();
        let mut wanted = vec![root.clone()];
        while let Some(name) = wanted.pop() {
            let Some(schema) = schemas.get(name.as_str()).filter(|_| !parts.contains_key(&name)) else {
                continue;
            };
            wanted.extend(references(schema.get()).map(str::to_owned));
            parts.insert(name, (*schema).to_owned());
        }
        Ok(Some(Self { root, parts }))
    }

    pub(crate) fn of_crd(crd: &RawValue, version: &str) -> Option<Self> {
        let crd: Value = serde_json::from_str(crd.get()).ok()?;
        let versions = crd["spec"]["versions"].as_array()?;
        let version = versions.iter().find(|known| known["name"] == version)?;
        let schema = version["schema"].get("openAPIV3Schema")?;
        let whole = serde_json::value::to_raw_value(schema).ok()?;
        Some(Self { root: String::new(), parts: HashMap::from([(String::new(), whole)]) })
    }
}

fn is_of(schema: &RawValue, resource: &Resource) -> bool {
    #[derive(Deserialize)]
    struct Marked {
        #[serde(rename = "x-kubernetes-group-version-kind", default)]
        kinds: Vec<Kind>,
    }
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        group: String,
        version: String,
        kind: String,
    }
    if !schema.get().contains("x-kubernetes-group-version-kind") {
        return false;
    }
    let Ok(Marked { kinds }) = serde_json::from_str(schema.get()) else { return false };
    // Options of deletion and the like are marked with every group.
    matches!(kinds.as_slice(), [Kind { group, version, kind }]
        if *group == resource.group && *version == resource.version && *kind == resource.kind)
}

fn references(schema: &str) -> impl Iterator<Item = &str> {
    schema.split(REFERENCE).skip(1).filter_map(|rest| rest.split('"').next())
}

impl Reader {
    /// The schema of a kind. A recorded cluster has those of the custom resources whose CRDs it holds.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when nothing documents the kind; see [`ReadError`].
    pub async fn schema(&self, resource: &Resource) -> Result<Arc<Schema>, ReadError> {
        if self.recorded_at().is_some() {
            return self.schema_of_crd(resource).await;
        }
        let Some(address) = self.schema_address(resource).await? else {
            let message = format!("the API server documents no kind of {}", resource.api_version());
            return Err(ReadError::NotFound { message });
        };
        let key = format!("{address} {}", resource.kind);
        if let Some(known) = self.schemas().get(&key).await {
            return Ok(known);
        }
        let document = self.shared().read(&address, "application/json").await?;
        let schema =
            Schema::of_document(&document, resource).map_err(|error| self.garbled(&address, &error))?;
        let Some(schema) = schema.map(Arc::new) else {
            let message =
                format!("the API server documents no {} of {}", resource.kind, resource.api_version());
            return Err(ReadError::NotFound { message });
        };
        self.schemas().insert(key, schema.clone()).await;
        Ok(schema)
    }

    /// Where the document of the kind's group and version is; its address changes with its content.
    async fn schema_address(&self, resource: &Resource) -> Result<Option<String>, ReadError> {
        #[derive(Deserialize)]
        struct Index {
            paths: BTreeMap<String, Document>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            #[serde(rename = "serverRelativeURL")]
            address: String,
        }
        const INDEX: &str = "/openapi/v3";
        let body = self.shared().read(INDEX, "application/json").await?;
        let Index { mut paths } =
            serde_json::from_slice(&body).map_err(|error| self.garbled(INDEX, &error))?;
        let root = if resource.group.is_empty() { "api" } else { "apis" };
        let found = paths.remove(&format!("{root}/{}", resource.api_version()));
        Ok(found.map(|document| document.address).filter(|address| address.starts_with("/openapi/v3/")))
    }

    async fn schema_of_crd(&self, resource: &Resource) -> Result<Arc<Schema>, ReadError> {
        let kinds = self.kinds().await?;
        let crds = kinds.of_kind("apiextensions.k8s.io", "CustomResourceDefinition");
        let crd = match crds {
            Some(crds) => self.get(crds, None, &resource.id()).await.ok(),
            None => None,
        };
        crd.and_then(|crd| Schema::of_crd(&crd, &resource.version)).map(Arc::new).ok_or_else(|| {
            let message = format!(
                "a recorded cluster documents only the custom resources whose definitions it holds, not {}: ask about it in a running cluster",
                resource.id()
            );
            ReadError::NotFound { message }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{json, value::to_raw_value};

    use super::{Resource, Schema};

    fn deployments() -> Resource {
        Resource {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            ..Resource::default()
        }
    }

    #[test]
    fn of_a_document_only_what_the_kind_refers_to_is_kept() {
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let document = json!({ "openapi": "3.0.0", "paths": { "/x": { "huge": true } }, "components": { "schemas": {
            "a.Deployment": { "type": "object", "properties": { "spec": { "allOf": [reference("a.Spec")] } },
                "x-kubernetes-group-version-kind": [{ "group": "apps", "kind": "Deployment", "version": "v1" }] },
            "a.Spec": { "properties": { "again": reference("a.Deployment") } },
            "a.Other": { "properties": {} },
            "a.DeleteOptions": { "x-kubernetes-group-version-kind": [
                { "group": "apps", "kind": "Deployment", "version": "v1" }, { "group": "", "kind": "DeleteOptions", "version": "v1" }] } } } });
        let schema = Schema::of_document(document.to_string().as_bytes(), &deployments()).unwrap().unwrap();
        assert_eq!(schema.parts.len(), 2);
        assert_eq!(schema.root()["type"], "object");
        assert!(schema.referred("#/components/schemas/a.Spec")["properties"].is_object());
        assert!(schema.referred("#/components/schemas/a.Other").is_null());
        let other = Resource { kind: "Nothing".into(), ..deployments() };
        assert!(Schema::of_document(document.to_string().as_bytes(), &other).unwrap().is_none());
    }

    #[test]
    fn a_definition_documents_its_versions() {
        let crd = json!({ "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": { "type": "object" } } }] } });
        let crd = to_raw_value(&crd).unwrap();
        let schema = Schema::of_crd(&crd, "v1").unwrap();
        assert_eq!(schema.root(), json!({ "type": "object" }));
        let document = schema.document();
        let root = document["$ref"].as_str().unwrap().trim_start_matches('#');
        assert_eq!(document.pointer(root), Some(&json!({ "type": "object" })));
        assert!(Schema::of_crd(&crd, "v2").is_none());
    }
}
