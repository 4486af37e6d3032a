"""Writes a tiny Llama with random weights as GGUF, for tests against a real inference server.

Usage: random_model.py FILE. Needs `gguf` of PyPI (0.19). What the model says is noise; that it says it token by token,
under grammars and within a context of 8192 tokens, is what the tests are about. The same file comes out each time.
"""

import sys

import numpy as np
from gguf import GGUFWriter, TokenType

CONTEXT, WIDTH, LAYERS, HEADS, FEED_FORWARD = 8192, 64, 2, 4, 160


def vocabulary():
    """Special tokens, a token for each byte, one for each printable character, and some longer ones."""
    tokens = [(b"<unk>", 0.0, TokenType.UNKNOWN), (b"<s>", 0.0, TokenType.CONTROL), (b"</s>", 0.0, TokenType.CONTROL)]
    tokens += [(f"<0x{byte:02X}>".encode(), -1000.0, TokenType.BYTE) for byte in range(256)]
    # The tokenizer writes a space as U+2581.
    texts = ["\u2581"] + [chr(code) for code in range(33, 127)]
    texts += ["th", "he", "in", "er", "an", "re", "on", "at", "\u2581t", "\u2581a", "\u2581the", "\u2581and"]
    tokens += [(text.encode(), -float(rank), TokenType.NORMAL) for rank, text in enumerate(texts)]
    return tokens


def main(path):
    random = np.random.default_rng(20)
    tokens = vocabulary()

    def matrix(rows, columns, scale=None):
        scale = columns**-0.5 if scale is None else scale
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    writer = GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(False)

    writer.add_tensor("token_embd.weight", matrix(len(tokens), WIDTH, 1.0))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    output = matrix(len(tokens), WIDTH)
    # Control tokens and bare bytes are left to chance as little as possible: an answer goes on until its limit.
    output[:259] = 0.0
    writer.add_tensor("output.weight", output)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(WIDTH, dtype=np.float32))
        writer.add_tensor(f"{block}.ffn_norm.weight", np.ones(WIDTH, dtype=np.float32))
        for name in ["attn_q", "attn_k", "attn_v", "attn_output"]:
            writer.add_tensor(f"{block}.{name}.weight", matrix(WIDTH, WIDTH))
        writer.add_tensor(f"{block}.ffn_gate.weight", matrix(FEED_FORWARD, WIDTH))
        writer.add_tensor(f"{block}.ffn_up.weight", matrix(FEED_FORWARD, WIDTH))
        writer.add_tensor(f"{block}.ffn_down.weight", matrix(WIDTH, FEED_FORWARD))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: random_model.py FILE")
    main(sys.argv[1])
