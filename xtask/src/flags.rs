//! The command line of `cargo xtask`.

use std::path::PathBuf;

xflags::xflags! {
    /// The commands of this repository.
    cmd xtask {
        /// Run every gate of a pull request, in order, up to the first failure.
        cmd ci {
            /// Run these steps only (comma-separated): fmt, tidy, clippy, tests, docs, codegen, guide.
            optional --only steps: String
            /// Leave these steps out (comma-separated).
            optional --skip steps: String
        }
        /// Check what the compiler does not: arrows between crates, absences, file shape, manifests, licences.
        cmd tidy {}
        /// Run benchmarks and print medians and ratios.
        cmd bench {
            /// A bench target of `benches/` or `benches/peers/`; without it, all of them.
            optional target: String
            /// Write the figures to this file as JSON: one object, or an array of them for several targets.
            optional --json file: PathBuf
            /// Keep the figures under this name.
            optional --save name: String
            /// Print the change against the figures that were kept under this name.
            optional --compare name: String
            /// Ask the benchmarks for a short run, which shows that they work and measures little.
            optional --quick
        }
        /// Write `docs/reference/` anew from the program's code.
        cmd codegen {
            /// Change nothing; fail if a file is stale.
            optional --check
        }
        /// Run the commands of README.md and docs/guide/.
        cmd guide {
            /// Run the commands of these files only.
            repeated files: PathBuf
        }
        /// Run what is too slow for every pull request: random suites at full size, proofs of the locks, schedules of whole
        /// runs, fuzzing, a release to a local registry, calls to a real inference server, benchmarks.
        cmd slow {
            /// The same as `--only`.
            optional parts: String
            /// Run these parts only (comma-separated): tests, loom, shuttle, fuzz, release, llama, bench.
            optional --only parts: String
            /// Leave these parts out (comma-separated).
            optional --skip parts: String
            /// How long each fuzz target runs; 60 by default.
            optional --seconds n: u32
            /// How many cases each random suite runs; 100000 by default.
            optional --cases n: u64
        }
        /// Make a release.
        cmd release {
            /// Print the next version, the crates in the order of publication and what is unreleased.
            cmd plan {
                /// The version to come, as X.Y.Z.
                optional --version number: String
                /// The part of the present version to count up: patch, minor or major.
                optional --bump part: String
            }
            /// Set the version, date the changelog, check the packages, commit and tag.
            cmd prepare {
                /// The version to come, as X.Y.Z.
                optional --version number: String
                /// The part of the present version to count up: patch, minor or major.
                optional --bump part: String
                /// The date of the release as YYYY-MM-DD; today (UTC) by default.
                optional --date day: String
                /// Package for this registry of cargo's configuration instead of crates.io.
                optional --registry name: String
                /// Package without building the packages.
                optional --no-verify
                /// Print what would change, and change nothing.
                optional --dry-run
            }
            /// Publish the tagged version, crate by crate, and look each of them up in the registry.
            cmd publish {
                /// A registry of cargo's configuration; crates.io by default.
                optional --registry name: String
                /// The index of a registry, in place of a name.
                optional --index url: String
                /// Publish without building the packages again.
                optional --no-verify
                /// Upload nothing.
                optional --dry-run
            }
        }
    }
}
