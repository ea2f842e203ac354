//! Names of objects and prefixes of labels (RFC 1123 subdomains).

const LONGEST: usize = 253;
/// The most characters of a label of DNS.
const LONGEST_PART: usize = 63;

/// Whether an object can have this name: parts of `a-z 0-9 -` between dots, each beginning and ending with a letter or digit. Kubernetes
/// limits the whole (`IsDNS1123Subdomain` of its apimachinery), and no part of it.
pub(in crate::export) fn is_object_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
    };
    !name.is_empty() && name.len() <= LONGEST && name.split('.').all(is_part)
}

/// Whether a namespace or container can have this name: one such part, without a dot.
pub(in crate::export) fn is_part_name(name: &str) -> bool {
    is_object_name(name) && !name.contains('.') && name.len() <= LONGEST_PART
}

/// A name with no more than `most` characters: what is longer is cut, and a hash of the whole tells names apart that begin alike.
pub(in crate::export) fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    // FNV-1a (Fowler, Noll, Vo), 32 bits: the same in every release.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let kept: String = name.chars().take(most.saturating_sub(9)).collect();
    format!("{}-{hash:08x}", kept.trim_end_matches(['-', '.']))
}

/// Whether labels may have this prefix: a DNS name with a dot, and none that Kubernetes keeps for itself.
pub(in crate::export) fn is_label_prefix(prefix: &str) -> bool {
    let reserved = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    is_object_name(prefix) && prefix.contains('.') && !reserved("kubernetes.io") && !reserved("k8s.io")
}

/// Text as the name of an object: lower case, what is not allowed as `-`. `fallback` where nothing is left.
pub(in crate::export) fn object_name(text: &str, fallback: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == 52 {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { fallback.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects() {
        for name in ["a", "llama-3-8b", "a.b.c", "0", &"a".repeat(64), &"a".repeat(253)] {
            assert!(is_object_name(name), "{name}");
        }
        for name in
            ["", "A", "-a", "a-", "a_b", "a..b", ".a", "a/b", "ä", &"a".repeat(254), &"a.".repeat(127)]
        {
            assert!(!is_object_name(name), "{name}");
        }
        assert_eq!(object_name("meta-llama/Llama-3.1-8B", "model"), "meta-llama-llama-3-1-8b");
        assert_eq!(object_name("模型", "model"), "model");
        assert!(is_object_name(&object_name(&"Xy/".repeat(100), "model")));
    }

    #[test]
    fn names_that_are_too_long_are_cut_and_stay_apart() {
        assert_eq!(shortened(&"a".repeat(54), 54), "a".repeat(54));
        let (one, other) = (format!("{}1", "a.".repeat(40)), format!("{}2", "a.".repeat(40)));
        for name in [&one, &other] {
            let short = shortened(name, 54);
            assert!(is_object_name(&short) && short.len() <= 54 && short.starts_with("a.a."), "{short}");
        }
        assert_ne!(shortened(&one, 54), shortened(&other, 54));
    }

    #[test]
    fn names_of_namespaces_and_containers_have_no_dot() {
        assert!(
            is_part_name("serving-1")
                && !is_part_name("a.b")
                && !is_part_name("")
                && !is_part_name(&"a".repeat(64))
        );
    }

    #[test]
    fn kubernetes_keeps_its_own_prefixes() {
        for prefix in ["coldstart-rs.github.io", "example.com", "a.b"] {
            assert!(is_label_prefix(prefix), "{prefix}");
        }
        for prefix in [
            "kubernetes.io",
            "node.kubernetes.io",
            "k8s.io",
            "x.k8s.io",
            "localhost",
            "",
            "a/b.c",
            "Example.com",
        ] {
            assert!(!is_label_prefix(prefix), "{prefix}");
        }
        assert!(is_label_prefix("notkubernetes.io"), "another domain");
    }
}
