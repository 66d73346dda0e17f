//! Words of the frameworks: optimizers, projections, models.

/// The optimizer of a job for a framework's name, with what is not counted of it; `None` for one that is not modelled.
pub(super) fn optimizer(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    // class paths of torchtune, such as torch.optim.AdamW
    let last = name.rsplit('.').next().unwrap_or(name);
    let name: String = last.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let paged = "its states may be paged to the host, which is not counted";
    Some(match name.as_str() {
        "adamw"
        | "adam"
        | "adamwtorch"
        | "adamwtorchfused"
        | "adamwhf"
        | "adamwapexfused"
        | "adamwtorchxla"
        | "adamwanyprecision"
        | "fusedadam"
        | "distributedfusedadam"
        | "distributedfusedadamwithcosineannealing" => ("adamw", None),
        "pagedadamw" | "pagedadamw32bit" => ("paged-adamw", Some(paged)),
        "adamw8bit" | "adamwbnb8bit" | "adam8bit" | "adamwtorch8bit" => ("adam8bit", None),
        "pagedadamw8bit" => ("paged-adam8bit", Some(paged)),
        "lion" | "lion32bit" => ("lion", None),
        "pagedlion32bit" => ("lion", Some(paged)),
        "lamb" | "fusedlamb" => ("lamb", None),
        "muon" => ("muon", None),
        "adafactor" => ("adafactor", None),
        "sgd" => ("sgd", None),
        // on the host where the states are there
        "deepspeedcpuadam" | "cpuadam" => ("adamw", None),
        _ => return None,
    })
}

/// The projections of a job for a framework's module names, and the names that are none.
pub(super) fn lora_targets(names: &[String]) -> (Vec<&'static str>, Vec<String>) {
    let mut targets = Vec::new();
    let mut others = Vec::new();
    for name in names {
        let of: &[&'static str] = match name.rsplit('.').next().unwrap_or(name) {
            "all" | "all-linear" | "all_linear" => &["q", "k", "v", "o", "gate", "up", "down"],
            "q_proj" | "query" | "wq" | "linear_q" => &["q"],
            "k_proj" | "key" | "wk" => &["k"],
            "v_proj" | "value" | "wv" => &["v"],
            "qkv_proj" | "c_attn" | "query_key_value" | "Wqkv" | "linear_qkv" | "attention_qkv" => {
                &["q", "k", "v"]
            }
            "o_proj" | "out_proj" | "output_proj" | "wo" | "linear_proj" | "attention_dense" => {
                &["o"]
            }
            "gate_proj" | "w1" => &["gate"],
            "up_proj" | "fc1" | "c_fc" | "dense_h_to_4h" | "w3" => &["up"],
            "gate_up_proj" | "linear_fc1" | "mlp_fc1" => &["gate", "up"],
            "down_proj" | "fc2" | "dense_4h_to_h" | "linear_fc2" | "mlp_fc2" | "w2" => &["down"],
            _ => {
                others.push(name.clone());
                continue;
            }
        };
        for target in of {
            if !targets.contains(target) {
                targets.push(*target);
            }
        }
    }
    (targets, others)
}

/// Names under which the catalogue may know a model of the Hugging Face Hub or a path, the exact one first.
///
/// A model that was tuned to follow instructions has the shape of the model that it was made from.
pub fn model_names(name: &str) -> Vec<String> {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_lowercase();
    let mut names = vec![name.to_owned(), last.clone()];
    let mut short = last.strip_prefix("meta-").unwrap_or(&last).to_owned();
    for ending in ["-bnb-4bit", "-hf", "-instruct", "-chat", "-base", "-it"] {
        short = short.strip_suffix(ending).unwrap_or(&short).to_owned();
        names.push(short.clone());
    }
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_those_of_the_catalogue() {
        let has = |name: &str, known: &str| model_names(name).iter().any(|of| of == known);
        assert!(has("NousResearch/Meta-Llama-3.1-8B", "llama-3.1-8b"));
        assert!(has("meta-llama/Llama-3.2-1B-Instruct", "llama-3.2-1b"));
        assert!(has("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"));
        assert!(has("openai-community/gpt2/", "gpt2"));
    }

    #[test]
    fn optimizers_are_known_by_the_names_of_the_frameworks() {
        assert_eq!(optimizer("adamw_torch_fused"), Some(("adamw", None)));
        assert_eq!(optimizer("torch.optim.SGD"), Some(("sgd", None)));
        assert_eq!(optimizer("paged_adamw_8bit").map(|(name, _)| name), Some("paged-adam8bit"));
        assert_eq!(optimizer("lion_32bit"), Some(("lion", None)));
        assert_eq!(optimizer("torch.optim.Muon"), Some(("muon", None)));
        assert_eq!(optimizer("ademamix"), None);
    }
}
