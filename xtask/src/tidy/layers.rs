//! Which crate may use which, and what ring 1 may be built from.
//!
//! The picture is in `ARCHITECTURE.md`; the reasons in `docs/adr/0002-crates-and-layers.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::metadata::Metadata;

/// Compares the workspace with the tables below.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let mut findings = edges(metadata);
    findings.extend(ring_1_tree(metadata));
    findings
}

fn edges(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for (id, package) in metadata
        .packages
        .iter()
        .filter(|(id, _)| metadata.members.contains(*id))
    {
        let Some(allowed) = find(EDGES, &package.name) else {
            findings.push(format!(
                "{}: not in the table of crates; give it a row in xtask/src/tidy/layers.rs and a line in ARCHITECTURE.md",
                package.name
            ));
            continue;
        };
        let in_tests = find(TEST_EDGES, &package.name).unwrap_or_default();
        let own = |ids: &BTreeSet<String>| -> Vec<String> {
            let ids = ids
                .iter()
                .filter(|used| metadata.members.contains(*used) && *used != id);
            ids.map(|used| metadata.name(used).to_owned()).collect()
        };
        for used in own(&package.uses) {
            if !allowed.contains(&used.as_str()) {
                findings.push(format!(
                    "{} may not use {used}; it may use {allowed:?}",
                    package.name
                ));
            }
        }
        for used in own(&package.tests_use) {
            if !allowed.contains(&used.as_str()) && !in_tests.contains(&used.as_str()) {
                findings.push(format!(
                    "{} may not use {used}, not even in its tests",
                    package.name
                ));
            }
        }
    }
    findings
}

/// Walks everything that ring 1 is linked with or built by, and says by which way a stranger came in.
fn ring_1_tree(metadata: &Metadata) -> Vec<String> {
    let mut came_from: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let mut queue = VecDeque::new();
    for id in &metadata.members {
        if RING_1.contains(&metadata.name(id)) {
            came_from.insert(id, None);
            queue.push_back(id.as_str());
        }
    }
    let mut findings = Vec::new();
    while let Some(id) = queue.pop_front() {
        let name = metadata.name(id);
        if !RING_1.contains(&name) && !RING_1_TREE.contains(&name) {
            let way = way_to(metadata, &came_from, id);
            findings.push(format!(
                "ring 1 may not be built from {name} ({way}); see RING_1_TREE"
            ));
            continue;
        }
        for used in metadata
            .packages
            .get(id)
            .into_iter()
            .flat_map(|package| &package.uses)
        {
            if !came_from.contains_key(used.as_str()) {
                came_from.insert(used, Some(id));
                queue.push_back(used);
            }
        }
    }
    let reached: BTreeSet<&str> = came_from.keys().map(|id| metadata.name(id)).collect();
    for name in RING_1_TREE.iter().filter(|name| !reached.contains(*name)) {
        findings.push(format!(
            "ring 1 no longer uses {name}: take it out of RING_1_TREE"
        ));
    }
    findings
}

fn way_to(metadata: &Metadata, came_from: &BTreeMap<&str, Option<&str>>, id: &str) -> String {
    let mut way = vec![metadata.name(id)];
    let mut at = id;
    while let Some(Some(before)) = came_from.get(at).copied() {
        way.push(metadata.name(before));
        at = before;
    }
    way.reverse();
    way.join(" > ")
}

fn find<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table
        .iter()
        .find(|(row, _)| *row == name)
        .map(|(_, allowed)| *allowed)
}

/// The pure crates: no clock, no entropy, no runtime.
const RING_1: &[&str] = &["heliogram-crypto", "heliogram-proto", "heliogram-tl"];

/// Crate, and the crates of this workspace that it may be linked with. Shells never see one another.
const EDGES: &[(&str, &[&str])] = &[
    ("heliogram-tl", &[]),
    ("heliogram-crypto", &[]),
    ("heliogram-proto", &["heliogram-crypto", "heliogram-tl"]),
    ("heliogram-ports", BELOW_PORTS),
    ("heliogram-client", BELOW_SHELLS),
    ("heliogram-gateway", BELOW_SHELLS),
    ("heliogram-grpc", BELOW_SHELLS),
    ("heliogram-grpc-gen", &[]),
    ("heliogram-session", BELOW_SHELLS),
    ("heliogram-store-cluster", BELOW_SHELLS),
    ("heliogram-store-embedded", BELOW_SHELLS),
    (
        "heliogram",
        &[
            "heliogram-client",
            "heliogram-crypto",
            "heliogram-gateway",
            "heliogram-grpc",
            "heliogram-ports",
            "heliogram-proto",
            "heliogram-session",
            "heliogram-store-cluster",
            "heliogram-store-embedded",
            "heliogram-tl",
        ],
    ),
    ("heliogram-tl-gen", &["heliogram-tl"]),
    ("heliogram-xtask", &["heliogram-tl", "heliogram-tl-gen"]),
    // A backend of its own, as others would write one.
    (
        "heliogram-interop",
        &["heliogram-grpc", "heliogram-ports", "heliogram-proto"],
    ),
    ("heliogram-examples", &[]),
    ("heliogram-testservices", &[]),
    (
        "heliogram-testkit",
        &[
            "heliogram-crypto",
            "heliogram-gateway",
            "heliogram-ports",
            "heliogram-proto",
            "heliogram-session",
            "heliogram-tl",
        ],
    ),
];

const BELOW_PORTS: &[&str] = &["heliogram-crypto", "heliogram-proto", "heliogram-tl"];
const BELOW_SHELLS: &[&str] = &[
    "heliogram-crypto",
    "heliogram-ports",
    "heliogram-proto",
    "heliogram-tl",
];

/// Crate, and what its tests may use beyond the above.
const TEST_EDGES: &[(&str, &[&str])] = &[
    (
        "heliogram-client",
        &[
            "heliogram-gateway",
            "heliogram-session",
            "heliogram-testkit",
        ],
    ),
    (
        "heliogram",
        &["heliogram-testkit", "heliogram-testservices"],
    ),
    ("heliogram-store-cluster", &["heliogram-testservices"]),
    // The product as a stranger: our client against the servers of others.
    (
        "heliogram-interop",
        &["heliogram-client", "heliogram-testservices"],
    ),
    (
        "heliogram-grpc",
        &[
            "heliogram-client",
            "heliogram-gateway",
            "heliogram-session",
            "heliogram-testservices",
        ],
    ),
    (
        "heliogram-examples",
        &[
            "heliogram-client",
            "heliogram-crypto",
            "heliogram-gateway",
            "heliogram-grpc",
            "heliogram-ports",
            "heliogram-proto",
            "heliogram-session",
            "heliogram-store-embedded",
            "heliogram-testkit",
            "heliogram-tl",
        ],
    ),
];

/// Every foreign package that ring 1 is linked with or built by, on any platform.
const RING_1_TREE: &[&str] = &[
    "adler2",
    "aead",
    "aes",
    "aws-lc-sys",
    "base64",
    "base64ct",
    "block-buffer",
    "bytes",
    "cc",
    "cfg-if",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "cmake",
    "cmov",
    "const-oid",
    "cpubits",
    "cpufeatures",
    "crc32fast",
    "crypto-common",
    "ctutils",
    "digest",
    "dunce",
    "find-msvc-tools",
    "flate2",
    "fs_extra",
    "getrandom",
    "hmac",
    "httparse",
    "hybrid-array",
    "ige",
    "inout",
    "jobserver",
    "libc",
    "miniz_oxide",
    "pem-rfc7468",
    "pkg-config",
    "poly1305",
    "r-efi",
    "rand_core",
    "sha1",
    "sha2",
    "shlex",
    "simd-adler32",
    "subtle",
    "typenum",
    "universal-hash",
    "zeroize",
    // Optional in flate2 and not built, but cargo metadata lists it.
    "zlib-rs",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    #[test]
    fn this_workspace_keeps_its_layers() {
        assert_eq!(check(&Metadata::load().unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_gateway_that_names_the_session_host_is_caught() {
        let allowed = workspace(&[("heliogram-gateway", &["heliogram-ports"])]);
        assert_eq!(edges(&allowed), Vec::<String>::new());

        let planted = workspace(&[(
            "heliogram-gateway",
            &["heliogram-ports", "heliogram-session"],
        )]);
        let findings = edges(&planted);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].starts_with("heliogram-gateway may not use heliogram-session"),
            "{findings:?}"
        );
    }

    #[test]
    fn an_edge_of_tests_counts_too() {
        let mut planted = workspace(&[("heliogram-tl", &[]), ("heliogram-crypto", &[])]);
        planted
            .packages
            .get_mut("heliogram-tl")
            .unwrap()
            .tests_use
            .insert("heliogram-crypto".to_owned());

        assert_eq!(
            edges(&planted),
            ["heliogram-tl may not use heliogram-crypto, not even in its tests"]
        );
    }

    #[test]
    fn a_crate_without_a_row_is_caught() {
        let findings = edges(&workspace(&[("heliogram-util", &[])]));
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].starts_with("heliogram-util: not in the table"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_runtime_below_ring_1_is_caught_and_the_way_is_named() {
        let mut planted = workspace(&[
            ("heliogram-proto", &["bytes"]),
            ("bytes", &["tokio"]),
            ("tokio", &[]),
        ]);
        planted.members.remove("bytes");
        planted.members.remove("tokio");

        let findings = ring_1_tree(&planted);
        let about_tokio: Vec<_> = findings
            .iter()
            .filter(|finding| finding.contains("tokio"))
            .collect();
        assert_eq!(
            about_tokio,
            [
                "ring 1 may not be built from tokio (heliogram-proto > bytes > tokio); see RING_1_TREE"
            ]
        );
    }

    #[test]
    fn an_allowance_that_nobody_uses_is_caught() {
        let findings = ring_1_tree(&workspace(&[("heliogram-tl", &[])]));
        assert!(
            findings
                .contains(&"ring 1 no longer uses zeroize: take it out of RING_1_TREE".to_owned())
        );
    }

    #[test]
    fn every_use_in_the_table_names_a_row_of_the_table() {
        for (name, allowed) in EDGES {
            assert!(
                allowed.iter().all(|used| find(EDGES, used).is_some()),
                "{name}"
            );
        }
    }

    /// Makes a workspace whose ids are names; what is used becomes a member, too.
    fn workspace(uses: &[(&str, &[&str])]) -> Metadata {
        let mut metadata = Metadata::default();
        for (name, used) in uses {
            for each in std::iter::once(name).chain(*used) {
                metadata.members.insert((*each).to_owned());
                let package = metadata
                    .packages
                    .entry((*each).to_owned())
                    .or_insert_with(Package::default);
                package.name = (*each).to_owned();
            }
            let package = metadata.packages.get_mut(*name).unwrap();
            package
                .uses
                .extend(used.iter().map(|used| (*used).to_owned()));
        }
        metadata
    }
}
