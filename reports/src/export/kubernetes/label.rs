//! Values of labels: up to 63 of `A-Z a-z 0-9 - _ .`, the first and the last a letter or digit.

use super::name::is_object_name;

/// The most characters of a label's value, and of its name without the prefix.
const LONGEST: usize = 63;

/// Text as the value of a label: what is not allowed becomes `-`, runs of it one, and what is too long is cut. `None` where
/// nothing is left, as of text in another script.
pub(in crate::export) fn label_value(text: &str) -> Option<String> {
    let mut value = String::with_capacity(LONGEST);
    for c in text.chars() {
        // The first of them is a letter or a digit.
        if c.is_ascii_alphanumeric() || (matches!(c, '-' | '_' | '.') && !value.is_empty()) {
            value.push(c);
        } else if !value.is_empty() && !value.ends_with('-') {
            value.push('-');
        }
        if value.len() == LONGEST {
            break;
        }
    }
    let value = value.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    (!value.is_empty()).then(|| value.to_owned())
}

/// Whether this is the value of a label as it stands; it may be empty.
pub(in crate::export) fn is_label_value(text: &str) -> bool {
    text.is_empty() || label_value(text).as_deref() == Some(text)
}

/// Whether this is the key of a label: a name like a value, perhaps with a DNS name and a slash before it.
pub(in crate::export) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_object_name) && !name.is_empty() && is_label_value(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_people_give_models() {
        let long = "a".repeat(200);
        for (text, value) in [
            ("meta-llama/Llama-3.1-8B-Instruct", Some("meta-llama-Llama-3.1-8B-Instruct")),
            ("NVIDIA H100 80GB HBM3", Some("NVIDIA-H100-80GB-HBM3")),
            ("synthetic:small", Some("synthetic-small")),
            ("/models//x/", Some("models-x")),
            ("…", None),
            ("模型", None),
            ("Modèle", Some("Mod-le")),
            ("a模型b", Some("a-b")),
            ("__.--", None),
            ("", None),
            ("x\u{1b}[31m\n", Some("x-31m")),
            (long.as_str(), Some(&long[..63])),
        ] {
            assert_eq!(label_value(text).as_deref(), value, "{text:?}");
        }
        let cut_at_a_dash = format!("{}-tail", "b".repeat(62));
        assert_eq!(label_value(&cut_at_a_dash).unwrap(), "b".repeat(62));
    }

    #[test]
    fn keys_and_values_as_they_stand() {
        for key in ["a", "nvidia.com/gpu.product", "kubernetes.io/hostname", "A_b"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", "/", "a/", "/a", "a b", "-a", "a/b/c", "A.b/c", "a\n", &"a".repeat(64)] {
            assert!(!is_label_key(key), "{key:?}");
        }
        for (value, is) in
            [("", true), ("NVIDIA-L4", true), ("NVIDIA L4", false), ("a--b", true), ("a-", false)]
        {
            assert_eq!(is_label_value(value), is, "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_value_keeps_the_rules(text in any::<String>()) {
            if let Some(value) = label_value(&text) {
                let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                prop_assert!(!value.is_empty() && value.len() <= 63);
                prop_assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
                prop_assert!(edge(value.chars().next()) && edge(value.chars().last()));
                prop_assert_eq!(label_value(&value), Some(value.clone()), "what is right stays");
            }
        }
    }
}
