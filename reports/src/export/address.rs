//! Addresses and selectors, as far as they can be checked without whom they are for: a mistake would show in a cluster only, as a
//! metric that is never there.

/// Whether these are label matchers as they stand between the braces of PromQL: `namespace="serving",pod=~"llama-.*"`; none are, too.
pub(super) fn are_matchers(text: &str) -> bool {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some(after) = after_matcher(rest) else { return false };
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return false,
        };
    }
    true
}

/// What follows the first matcher.
fn after_matcher(text: &str) -> Option<&str> {
    let rest = after_name(text)?.trim_start();
    // The longer ones first: `=~` begins with `=`.
    let rest = ["=~", "!~", "!=", "="].into_iter().find_map(|operator| rest.strip_prefix(operator))?;
    Some(after_string(rest.trim_start())?.trim_start())
}

/// What follows the name of a label; Prometheus 3 takes any name in quotes.
fn after_name(text: &str) -> Option<&str> {
    if text.starts_with('"') {
        return after_string(text);
    }
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(first).then(|| text.trim_start_matches(|c: char| first(c) || c.is_ascii_digit()))
}

/// What follows a string in one of PromQL's three kinds of quotes; of them only the backquotes know no escapes.
fn after_string(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| ['"', '\'', '`'].contains(c))?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            '\n' if quote != '`' => return None,
            c if c == quote => return text.get(at + c.len_utf8()..),
            _ => {}
        }
    }
    None
}

/// Whether this is the name of a metric, with matchers in braces or without.
pub(super) fn is_metric(text: &str) -> bool {
    let (name, labels) = text.split_at(text.find('{').unwrap_or(text.len()));
    let first = |c: char| c.is_ascii_alphabetic() || "_:".contains(c);
    let named = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    let inner = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}'));
    named && (labels.is_empty() || inner.is_some_and(are_matchers))
}

/// Whether a server can be asked at this address: `http` or `https`, and a host.
pub(super) fn is_server(text: &str) -> bool {
    let Some(rest) = ["http://", "https://"].into_iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':') && is_plain(text)
}

/// Whether this says by which scheme something is stored, and where: `hf://organisation/model`.
pub(super) fn is_stored_at(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, place)| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c);
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.chars().all(plain)
            && place.starts_with(|c: char| c != '/')
            && is_plain(place)
    })
}

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_those_of_promql() {
        for text in [
            "",
            " ",
            r#"namespace="serving""#,
            r#"namespace = "serving" , pod=~"llama-.*","#,
            r#"a!="x",b!~'y\'z',c=`\`"#,
            r#"a="b\"c,d={""#,
            r#""any.name"="x""#,
        ] {
            assert!(are_matchers(text), "{text}");
        }
        for text in [
            "namespace=serving",
            r#"{namespace="serving"}"#,
            r#"namespace=="serving""#,
            r#"namespace="serving"#,
            r#"namespace="serving" pod="x""#,
            r#","#,
            r#"a="x",,b="y""#,
            r#"1a="x""#,
            r#"a"#,
            r#"a="x"}) or vector(1"#,
            "a=\"x\ny\"",
            r#"a="x\""#,
        ] {
            assert!(!are_matchers(text), "{text}");
        }
    }

    #[test]
    fn metrics_servers_and_places() {
        for text in ["up", "a:b_1", r#"envoy_rq_total{cluster="llama"}"#, "up{}"] {
            assert!(is_metric(text), "{text}");
        }
        for text in ["", "1a", "a b", "up{", "up{cluster=llama}", r#"up{a="x"}[5m]"#, "sum(up)"] {
            assert!(!is_metric(text), "{text}");
        }
        for text in
            ["http://prometheus.monitoring.svc:9090", "https://user:x@mimir/prometheus", "http://[::1]:9090"]
        {
            assert!(is_server(text), "{text}");
        }
        for text in [
            "",
            "notaurl",
            "prometheus:9090",
            "ftp://x",
            "http://",
            "http://:9090",
            "http:///x",
            "http://a b",
        ] {
            assert!(!is_server(text), "{text}");
        }
        for text in
            ["hf://meta-llama/Llama-3.1-8B", "s3://bucket/path", "pvc://claim/x", "https://host/model"]
        {
            assert!(is_stored_at(text), "{text}");
        }
        for text in ["", "llama", "meta-llama/Llama", "://x", "hf://", "hf:///", "HF://x", "hf://a b", "hf:x"]
        {
            assert!(!is_stored_at(text), "{text}");
        }
    }
}
