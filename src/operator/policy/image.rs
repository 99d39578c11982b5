//! The parts of an image's name, as a container runtime understands it.

/// Registry of an image that names none.
const DEFAULT_REGISTRY: &str = "docker.io";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image<'a> {
    /// With its registry: `a` is `docker.io/library/a`.
    pub repository: String,
    pub tag: Option<&'a str>,
    pub has_digest: bool,
}

impl<'a> Image<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        // A registry may have a port.
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        let repository = match name.split_once('/') {
            Some(("index.docker.io", rest)) => format!("{DEFAULT_REGISTRY}/{rest}"),
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
            Some(_) => format!("{DEFAULT_REGISTRY}/{name}"),
            None => format!("{DEFAULT_REGISTRY}/library/{name}"),
        };
        Self { repository, tag, has_digest: digest.is_some_and(|digest| digest.contains(':')) }
    }

    /// It is the same tomorrow, as far as its name can say.
    pub(super) fn is_fixed(&self) -> bool {
        self.has_digest || self.tag.is_some_and(|tag| tag != "latest" && !tag.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn names_are_read_as_a_runtime_reads_them() {
        let cases = [
            ("a", "docker.io/library/a", None, false),
            ("mcp/a:1", "docker.io/mcp/a", Some("1"), true),
            ("index.docker.io/mcp/a:latest", "docker.io/mcp/a", Some("latest"), false),
            ("localhost/a", "localhost/a", None, false),
            ("registry:5000/a/b", "registry:5000/a/b", None, false),
            ("registry:5000/a/b:2", "registry:5000/a/b", Some("2"), true),
            ("example.com/a@sha256:00", "example.com/a", None, true),
            ("example.com/a:latest@sha256:00", "example.com/a", Some("latest"), true),
            ("example.com/a@", "example.com/a", None, false),
        ];
        for (text, repository, tag, is_fixed) in cases {
            let image = Image::of(text);
            assert_eq!((image.repository.as_str(), image.tag, image.is_fixed()), (repository, tag, is_fixed));
        }
    }
}
