//! The flag that says who is asked beside the tracer: that of `run`, `cc`, `audit` and `serve`.

use crate::config::{Layer, Witness, flag};
use clap::ValueEnum;

/// Who is asked beside the tracer.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Beside {
    /// Who is asked beside the tracer whether it has seen everything. What it has missed makes the
    /// recording incomplete. fanotify needs CAP_SYS_ADMIN
    #[arg(long, value_enum, value_name = "WITNESS")]
    witness: Option<Witness>,
}

impl Beside {
    /// The setting in the flag, as a layer.
    pub(crate) fn layers(&self) -> Option<Layer> {
        let witness = self.witness?.to_possible_value()?;
        Some(flag("--witness", "run.witness", witness.get_name()))
    }
}
