//! The stable hash behind every decision. It is written out here because the standard library's hasher may change
//! from one version to the next, and a seed must mean the same thing for ever.

use fastrand::Rng;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a derived number is for. Each purpose draws from a source of its own, so that changing one setting (say,
/// the latency) leaves every other decision as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Text = 1,
    Length = 2,
    Fault = 3,
    FaultKind = 4,
    Position = 5,
    Latency = 6,
    Schema = 7,
    ReplyId = 8,
    CallId = 9,
    Reasoning = 10,
    ReasoningLength = 11,
    Signature = 12,
    Batch = 13,
}

/// Returns the hash by which the server knows a prompt: the same for equal texts, on every machine and in every
/// version.
///
/// The text is taken in words of eight bytes, little-endian, the last one padded with zeros. Each word is XORed
/// into the state, which is multiplied by 2^64 / φ and folded; at the end the length goes in and the finaliser of
/// SplitMix64 mixes the whole. It is not a cryptographic hash.
pub fn prompt_hash(prompt: &str) -> u64 {
    let bytes = prompt.as_bytes();
    let mut state = GOLDEN;
    let mut absorb = |word: u64| {
        state = (state ^ word).wrapping_mul(GOLDEN);
        state ^= state >> 32;
    };
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        absorb(u64::from_le_bytes(
            word.try_into().expect("chunks_exact gives eight bytes"),
        ));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    absorb(u64::from_le_bytes(last));
    mix(state ^ bytes.len() as u64)
}

/// Derives a number from the seed, the hash of a prompt, what the number is for, and up to two indices.
pub(crate) fn derive(seed: u64, prompt: u64, purpose: Purpose, index: [u64; 2]) -> u64 {
    [prompt, purpose as u64, index[0], index[1]]
        .into_iter()
        .fold(mix(seed ^ GOLDEN), |state, part| {
            mix(state.wrapping_add(GOLDEN) ^ mix(part))
        })
}

/// Returns a random source whose whole sequence follows from the arguments.
pub(crate) fn rng(seed: u64, prompt: u64, purpose: Purpose, index: [u64; 2]) -> Rng {
    Rng::with_seed(derive(seed, prompt, purpose, index))
}

/// The finaliser of SplitMix64: every bit of the input changes about half of the bits of the output.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn padding_and_length_tell_prompts_apart() {
        let texts = [
            "",
            "\0",
            "\0\0",
            "a",
            "a\0",
            "abcdefgh",
            "abcdefgh\0",
            "abcdefg",
            "hgfedcba",
        ];
        let hashes: HashSet<u64> = texts.into_iter().map(prompt_hash).collect();
        assert_eq!(hashes.len(), texts.len());
    }

    #[test]
    fn near_prompts_have_far_hashes() {
        let hashes: Vec<u64> = (0..1000).map(|i| prompt_hash(&format!("prompt {i}"))).collect();
        let flipped: u32 = hashes
            .windows(2)
            .map(|pair| (pair[0] ^ pair[1]).count_ones())
            .sum();
        let mean = f64::from(flipped) / 999.0;
        assert!((31.0..33.0).contains(&mean), "mean bits changed: {mean}");
    }

    #[test]
    fn every_argument_of_derive_matters_and_so_does_its_place() {
        let all = [
            derive(1, 2, Purpose::Fault, [3, 4]),
            derive(2, 1, Purpose::Fault, [3, 4]),
            derive(1, 2, Purpose::Text, [3, 4]),
            derive(1, 2, Purpose::Fault, [4, 3]),
            derive(1, 2, Purpose::Fault, [3, 5]),
        ];
        assert_eq!(all.into_iter().collect::<HashSet<u64>>().len(), all.len());
    }
}
