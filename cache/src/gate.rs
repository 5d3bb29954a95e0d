//! The gate: the one way into a cache that others share.

use crate::result::ActionResult;
use airtight_policy::Verified;

/// Where results are published. An implementation stores `result` under the action that
/// `verified` names, and gets no other word on which action that is.
///
/// A bare action digest is not enough:
/// ```compile_fail,E0308
/// use airtight_cache::{ActionDigest, ActionResult, Gate};
/// fn smuggle<G: Gate>(gate: &G, action: ActionDigest, result: &ActionResult) {
///     let _ = gate.publish(action, result);
/// }
/// ```
/// a verdict is not enough, however clean:
/// ```compile_fail,E0308
/// use airtight_cache::{ActionResult, Gate};
/// use airtight_policy::Verdict;
/// fn smuggle<G: Gate>(gate: &G, verdict: Verdict, result: &ActionResult) {
///     let _ = gate.publish(verdict, result);
/// }
/// ```
/// one proof does not publish twice:
/// ```compile_fail,E0382
/// use airtight_cache::{ActionResult, Gate, Verified};
/// fn twice<G: Gate>(gate: &G, verified: Verified, one: &ActionResult, other: &ActionResult) {
///     let _ = gate.publish(verified, one);
///     let _ = gate.publish(verified, other);
/// }
/// ```
/// and this is how it is done:
/// ```
/// use airtight_cache::{ActionResult, Gate, Verified};
/// fn publish<G: Gate>(gate: &G, verified: Verified, result: &ActionResult) {
///     let _ = gate.publish(verified, result);
/// }
/// ```
pub trait Gate {
    /// Why a result could not be stored.
    type Error: std::error::Error;

    /// Publishes the result of the action that `verified` speaks of, and uses the proof up.
    ///
    /// # Errors
    /// When it could not be stored. The build goes on without.
    fn publish(&self, verified: Verified, result: &ActionResult) -> Result<(), Self::Error>;
}
