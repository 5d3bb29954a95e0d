//! Flags that say which caches are used: those of `run`, `cc` and `serve`.

use crate::config::{Layer, flag, flag_text};

/// Which caches are used, and how much they are believed.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct Stores {
    /// Neither look results up nor keep them
    #[arg(long)]
    no_cache: bool,
    /// Another store to use after those of airtight.toml: an http, https, grpc, grpcs, s3 or file
    /// URL
    #[arg(long, value_name = "URL")]
    remote: Vec<String>,
    /// At most this many requests at once to a remote whose settings don't say otherwise
    /// [default: 100]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Run this percentage of hits again and fail (I005) when the outputs differ
    #[arg(long, value_name = "PERCENT")]
    verify_hits: Option<f64>,
}

impl Stores {
    /// The settings in these flags, as layers.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        if self.no_cache {
            layers.push(flag("--no-cache", "cache.enabled", "false"));
        }
        layers.extend(self.remote.iter().map(|url| flag("--remote", "cache.remote", url)));
        if let Some(connections) = self.connections {
            let text = format!("cache.connections = {connections}");
            layers.push(flag_text("--connections", text));
        }
        if let Some(percent) = self.verify_hits {
            layers.push(flag_text("--verify-hits", format!("cache.verify-hits = {percent:?}")));
        }
        layers
    }
}
