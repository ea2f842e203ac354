//! Which model a container serves, where its arguments or its environment say so.

use super::objects::ContainerSpec;

/// Options of servers of inference that name a model: vLLM, SGLang, TGI and TEI, Triton's and llama.cpp's front ends.
const OPTIONS: [&str; 5] = ["--model", "--model-id", "--model-path", "--model-name", "--hf-repo"];
/// Variables that do: of TGI and TEI, NIM, and images of clouds.
const VARIABLES: [&str; 5] = ["MODEL_ID", "HF_MODEL_ID", "NIM_MODEL_NAME", "MODEL_NAME", "MODEL"];

/// The model that a container is told to serve; `None` where neither says so, or says it by what only a shell could expand.
pub(super) fn served(container: &ContainerSpec) -> Option<String> {
    let words = container.command.iter().chain(&container.args);
    // What a shell is given is one argument of many words.
    let words: Vec<&str> = words.flat_map(|argument| argument.split_whitespace()).collect();
    let option = words.iter().enumerate().find_map(|(at, word)| {
        let after = || words.get(at + 1).copied().filter(|next| !next.starts_with('-'));
        match word.split_once('=') {
            Some((name, value)) if OPTIONS.contains(&name) => Some(value),
            None if OPTIONS.contains(word) => after(),
            // `vllm serve MODEL`.
            None if *word == "serve" => after(),
            _ => None,
        }
    });
    let set = |name: &str| {
        let found = container.env.iter().find(|variable| variable.name == name)?;
        found.value.as_deref().filter(|value| !value.is_empty())
    };
    let named = option.or_else(|| VARIABLES.iter().find_map(|name| set(name)))?;
    let named = named.trim_matches(['"', '\'']);
    // Kubernetes itself expands $(NAME).
    let named = match named.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')) {
        Some(name) => set(name)?,
        None => named,
    };
    (!named.is_empty() && !named.contains('$')).then(|| named.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(container: Value) -> Option<String> {
        served(&serde_json::from_value(container).unwrap())
    }

    #[test]
    fn options_come_before_variables_and_shells_are_not_played() {
        for (container, model) in [
            (
                json!({"args": ["--model", "meta-llama/Llama-3.1-8B", "--port", "8000"]}),
                Some("meta-llama/Llama-3.1-8B"),
            ),
            (
                json!({"args": ["--model-id=BAAI/bge-m3"], "env": [{"name": "MODEL_ID", "value": "other"}]}),
                Some("BAAI/bge-m3"),
            ),
            (json!({"command": ["vllm", "serve", "Qwen/Qwen3-8B"]}), Some("Qwen/Qwen3-8B")),
            (
                json!({"command": ["sh", "-c"], "args": ["exec vllm serve '/models/x' --port 80"]}),
                Some("/models/x"),
            ),
            (json!({"env": [{"name": "MODEL_ID", "value": "BAAI/bge-m3"}]}), Some("BAAI/bge-m3")),
            (json!({"args": ["--model", "$(NAME)"], "env": [{"name": "NAME", "value": "m"}]}), Some("m")),
            (json!({"args": ["--model", "$(NAME)"], "env": [{"name": "NAME", "valueFrom": {}}]}), None),
            (json!({"command": ["sh", "-c", "vllm serve ${MODEL}"]}), None),
            (json!({"args": ["--model", "--port"]}), None),
            (json!({"args": ["--model"]}), None),
            (json!({"args": ["serve"]}), None),
            (json!({"args": ["--model="], "env": [{"name": "MODEL", "value": ""}]}), None),
            (json!({}), None),
        ] {
            assert_eq!(of(container.clone()).as_deref(), model, "{container}");
        }
    }
}
