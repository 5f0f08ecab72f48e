//! What cargo knows of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The packages of the workspace, and where it lies and builds.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace and what its manifest names.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a manifest.
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether only tests, examples and benchmarks see it.
    pub(crate) dev: bool,
}

impl Workspace {
    /// Asks the cargo that runs us.
    pub(crate) fn load() -> Result<Self, String> {
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Self::parse(&output.stdout)
    }

    /// Reads the output of `cargo metadata`.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let metadata: Value =
            serde_json::from_slice(json).map_err(|error| format!("cargo metadata: {error}"))?;
        let packages = list(&metadata, "packages")?
            .iter()
            .map(package)
            .collect::<Result<_, _>>()?;
        Ok(Workspace {
            root: text(&metadata, "workspace_root")?.into(),
            target: text(&metadata, "target_directory")?.into(),
            packages,
        })
    }

    /// `path` from the root of the workspace on, with slashes, as people name files.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    }
}

/// The cargo that runs us, so that its toolchain is used throughout.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

fn package(package: &Value) -> Result<Package, String> {
    let dependencies = list(package, "dependencies")?.iter();
    let dependencies = dependencies.map(|dependency| {
        let dev = dependency.get("kind").and_then(Value::as_str) == Some("dev");
        Ok(Dependency {
            name: text(dependency, "name")?,
            dev,
        })
    });
    Ok(Package {
        name: text(package, "name")?,
        manifest: text(package, "manifest_path")?.into(),
        dependencies: dependencies.collect::<Result<_, String>>()?,
    })
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| format!("cargo metadata has no text `{key}`"))
}

fn list<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>, String> {
    value
        .get(key)
        .and_then(Value::as_array)
        .ok_or_else(|| format!("cargo metadata has no list `{key}`"))
}
