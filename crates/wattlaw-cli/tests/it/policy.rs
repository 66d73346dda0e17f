//! Every package that Cargo.lock names obeys `deny.toml`: its licence, its source, and that no package is there twice.
//!
//! What cargo-deny checks, without cargo-deny, which takes minutes to build. Advisories are checked before a release.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde::Deserialize;

use crate::running::limited::Limited as _;
use crate::running::root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    licenses: Licenses,
    sources: Sources,
    bans: Bans,
    advisories: Advisories,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: String,
    skip: Vec<Skipped>,
}

/// A package, `name` or `name@major`, that may be there beside another version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    #[serde(rename = "crate")]
    package: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisories {
    ignore: Vec<Ignored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ignored {
    id: String,
    reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

fn policy() -> Policy {
    wattlaw::base::toml_text::parse(&fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

fn packages() -> Vec<Package> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root());
    let out = command.finish();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice::<Metadata>(&out.stdout).unwrap().packages
}

#[test]
fn every_package_obeys_the_policy() {
    let policy = policy();
    let packages = packages();
    assert!(packages.len() > 50, "only {} packages were found", packages.len());
    let broken = broken(&policy, &packages);
    assert!(broken.is_empty(), "deny.toml:\n{}", broken.join("\n"));
}

fn broken(policy: &Policy, packages: &[Package]) -> Vec<String> {
    assert_eq!(policy.sources.unknown_registry, "deny");
    assert_eq!(policy.sources.unknown_git, "deny");
    assert_eq!(policy.bans.multiple_versions, "deny");
    let mut broken = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let named = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or_default();
        if !permitted(licence, &policy.licenses.allow) {
            broken.push(format!("{named}: the licence `{licence}` is not permitted"));
        }
        if let Some(source) = &package.source {
            let registry = source.strip_prefix("registry+").unwrap_or_default();
            if !policy.sources.allow_registry.iter().any(|allowed| allowed == registry) {
                broken.push(format!("{named}: the source {source} is not permitted"));
            }
        }
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let skipped = |name: &str, version: &str| {
        policy.bans.skip.iter().any(|s| match s.package.split_once('@') {
            None => s.package == name,
            Some((package, major)) => package == name && version.split('.').next() == Some(major),
        })
    };
    for (name, versions) in &versions {
        let counted: Vec<_> = versions.iter().filter(|v| !skipped(name, v)).collect();
        if counted.len() > 1 {
            broken.push(format!("{name} is there in versions {versions:?}"));
        }
    }
    // an exception that excepts nothing is taken out
    for skip in &policy.bans.skip {
        let name = skip.package.split('@').next().unwrap_or_default();
        if versions.get(name).is_none_or(|v| v.len() < 2) || skip.reason.is_empty() {
            broken.push(format!("{} needs no exception, or has no reason", skip.package));
        }
    }
    for ignored in &policy.advisories.ignore {
        if !ignored.id.starts_with("RUSTSEC-") || ignored.reason.is_empty() {
            broken.push(format!("{} is no advisory, or has no reason", ignored.id));
        }
    }
    broken
}

/// Whether an SPDX expression has a permitted choice; Cargo's old `/` is `OR`. An exception (`WITH`) counts as a part of its licence.
fn permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut good = all_of(words, allowed);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        good |= all_of(words, allowed);
    }
    good
}

fn all_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut good = one_of(words, allowed);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        good &= one_of(words, allowed);
    }
    good
}

fn one_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let good = any_of(words, allowed);
            let [")", rest @ ..] = *words else { return false };
            *words = rest;
            good
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            allowed.contains(*licence)
        }
        [] => false,
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "ISC"].map(str::to_owned).into();
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR X) AND ISC"] {
        assert!(permitted(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH X", "(MIT", "MIT ISC"] {
        assert!(!permitted(bad, &allowed), "{bad}");
    }
}

#[test]
fn what_breaks_the_policy_is_named() {
    let package = |name: &str, version: &str, licence: &str, source: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        license: Some(licence.to_owned()),
        source: Some(source.to_owned()),
    };
    let mut policy = policy();
    policy.bans.skip.clear();
    let home = "registry+https://github.com/rust-lang/crates.io-index";
    let found = broken(
        &policy,
        &[
            package("a", "1.0.0", "MIT", home),
            package("a", "2.0.0", "GPL-3.0", home),
            package("b", "1.0.0", "MIT", "git+https://example.org/b"),
        ],
    );
    assert_eq!(
        found,
        [
            "a 2.0.0: the licence `GPL-3.0` is not permitted",
            "b 1.0.0: the source git+https://example.org/b is not permitted",
            "a is there in versions [\"1.0.0\", \"2.0.0\"]",
        ]
    );
}
