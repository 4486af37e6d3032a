//! The lists of models, as each provider gives them.

use serde_json::{Value, json};

use crate::config::SimConfig;
use crate::wire::Wire;

/// Returns the list of the configured models; of a single one if every name is accepted.
pub(crate) fn models(config: &SimConfig, wire: Wire) -> Value {
    let fallback = ["throng-sim".to_owned()];
    let names = if config.models.is_empty() {
        fallback.as_slice()
    } else {
        config.models.as_slice()
    };
    let list = |model: fn(&String) -> Value| names.iter().map(model).collect::<Vec<_>>();
    match wire {
        Wire::OpenAiChat | Wire::OpenAiResponses => {
            let data = list(
                |name| json!({"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "throng-sim"}),
            );
            json!({"object": "list", "data": data})
        }
        Wire::Anthropic => {
            let data = list(
                |name| json!({"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"}),
            );
            json!({"data": data, "first_id": names.first(), "last_id": names.last(), "has_more": false})
        }
        Wire::Gemini => json!({"models": list(|name| json!({
            "name": format!("models/{name}"), "baseModelId": name, "version": "001", "displayName": name,
            "inputTokenLimit": 1_048_576, "outputTokenLimit": 8_192,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent"]
        }))}),
        Wire::Ollama => json!({"models": list(|name| json!({
            "name": name, "model": name, "modified_at": "2023-11-14T22:13:20Z", "size": 1_000_000_000_u64,
            "digest": format!("{:064x}", crate::hash::prompt_hash(name)),
            "details": {"parent_model": "", "format": "gguf", "family": "sim", "families": ["sim"],
                "parameter_size": "1B", "quantization_level": "Q4_K_M"}
        }))}),
    }
}
