//! What the benchmarks beside peers share: a stream of chat chunks, a server that sends it, and counts of allocations.

pub mod allocations;
mod server;

pub use server::Server;

/// The text that each chunk of [`body`] adds.
pub const PIECE: &str = " token";

/// Returns the frames of a streamed chat completion as llama.cpp sends it: `n` deltas of 254 bytes each, a finish reason, a
/// usage, and the end.
pub fn frames(n: usize) -> Vec<String> {
    let chunk = |choices: &str, rest: &str| {
        format!(
            "data: {{\"choices\":[{choices}],\"created\":1764028800,\"id\":\"chatcmpl-Yk3QmHVqlWvIqkXKZsSbY3mJhmLBx7Xp\",\
             \"model\":\"meta-llama-3.1-8b-instruct\",\"system_fingerprint\":\"b7123-1d72c8418\",\"object\":\
             \"chat.completion.chunk\"{rest}}}\n\n"
        )
    };
    let delta = format!("{{\"finish_reason\":null,\"index\":0,\"delta\":{{\"content\":\"{PIECE}\"}}}}");
    let mut frames = vec![chunk(
        "{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}",
        "",
    )];
    frames.extend((0..n).map(|_| chunk(&delta, "")));
    frames.push(chunk("{\"finish_reason\":\"stop\",\"index\":0,\"delta\":{}}", ""));
    let usage = format!(",\"usage\":{{\"completion_tokens\":{n},\"prompt_tokens\":12,\"total_tokens\":{}}}", n + 12);
    frames.push(chunk("", &usage));
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

/// Returns the frames as one body.
pub fn body(n: usize) -> Vec<u8> {
    frames(n).concat().into_bytes()
}
