//! The judgement on one recording, and the proof that it was clean.

use crate::digests::{ActionDigest, RecordingDigest};
use crate::finding::Finding;
use crate::policy::Severity;
use crate::rules::Rule;
use crate::source::Place;
use airtight_recording::{Completeness, Digest, Exit};
use schemars::JsonSchema;
use serde::Serialize;

/// What knows of a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// A suppression of the policy.
    #[default]
    Policy,
    /// An entry of the baseline that a tool wrote: an old finding.
    Debt,
    /// An entry of the baseline that somebody wrote and gave a reason for.
    Accepted,
}

/// A finding that the policy or the baseline knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Suppressed {
    /// What was found.
    pub finding: Finding,
    /// Why it is tolerated.
    pub reason: String,
    /// Whether the result may be published all the same.
    pub cacheable: bool,
    /// Where the suppression stands.
    pub place: Option<Place>,
    /// What knows of it.
    pub by: KnownBy,
}

/// Findings by severity, suppressed ones left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Counts {
    /// Of severity `error`.
    pub error: u64,
    /// Of severity `warn`.
    pub warn: u64,
    /// Of severity `note`.
    pub note: u64,
    /// Of severity `record`.
    pub record: u64,
    /// Suppressed.
    pub suppressed: u64,
}

impl Counts {
    /// Counts what there is.
    pub(crate) fn of(findings: &[Finding], suppressed: &[Suppressed]) -> Counts {
        let mut counts = Counts { suppressed: suppressed.len() as u64, ..Counts::default() };
        for finding in findings {
            *match finding.severity {
                Severity::Error => &mut counts.error,
                Severity::Warn => &mut counts.warn,
                Severity::Note => &mut counts.note,
                Severity::Record => &mut counts.record,
            } += 1;
        }
        counts
    }
}

/// The judgement on one recording. Made by [`crate::judge`] only; it can't be changed or
/// cloned, because [`Verdict::verify`] believes it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Verdict {
    pub(crate) action: String,
    pub(crate) judged: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) completeness: Completeness,
    pub(crate) counts: Counts,
    /// Why the result must not be published; empty when it may be.
    pub(crate) uncacheable: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) suppressed: Vec<Suppressed>,
    #[schemars(with = "Option<String>")]
    pub(crate) recording: Option<RecordingDigest>,
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub(crate) policy: Digest,
}

fn as_text<S: serde::Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

impl Verdict {
    /// The action's name.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Whether there was anything to judge: an action that a signal killed is not.
    pub fn judged(&self) -> bool {
        self.judged
    }

    /// How the root process ended; none when its end was not seen.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Whether the recording holds everything.
    pub fn completeness(&self) -> &Completeness {
        &self.completeness
    }

    /// How many findings there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What was found: a missing generated file first, then by severity and path.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What was found and is known to the policy.
    pub fn suppressed(&self) -> &[Suppressed] {
        &self.suppressed
    }

    /// Why the result must not be published; empty when it may be.
    pub fn uncacheable(&self) -> &[String] {
        &self.uncacheable
    }

    /// Whether the result may be published.
    pub fn is_cacheable(&self) -> bool {
        self.uncacheable.is_empty()
    }

    /// Whether a finding makes the action fail.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(Finding::fails)
    }

    /// Whether a declared output is missing, and that makes the action fail.
    pub fn output_missing(&self) -> bool {
        self.findings.iter().any(|f| f.rule == Rule::W002 && f.fails())
    }

    /// The digest of the recording that was judged; none if it has no end.
    pub fn recording(&self) -> Option<RecordingDigest> {
        self.recording
    }

    /// The digest of the policy that was applied: its epoch.
    pub fn policy(&self) -> Digest {
        self.policy
    }

    /// Turns a clean verdict into the proof that a cache asks for, bound to `action` and to the
    /// recording that was judged.
    ///
    /// # Errors
    /// When the result must not be published; the verdict comes back with the reasons.
    pub fn verify(self, action: ActionDigest) -> Result<Verified, Refused> {
        match self.recording {
            Some(recording) if self.is_cacheable() => {
                Ok(Verified { action, recording, policy: self.policy })
            }
            _ => Err(Refused { verdict: Box::new(self) }),
        }
    }
}

/// A verdict that is no proof.
#[derive(Debug, thiserror::Error)]
#[error("{} is not publishable: {}", .verdict.action, .verdict.uncacheable.join("; "))]
pub struct Refused {
    /// The verdict, with its reasons in [`Verdict::uncacheable`].
    pub verdict: Box<Verdict>,
}

/// The proof that one action was traced completely and judged clean. Only [`Verdict::verify`]
/// makes one.
///
/// It can't be made by hand:
/// ```compile_fail,E0451
/// use airtight_policy::{ActionDigest, RecordingDigest, Verified};
/// use airtight_recording::{Digest, Recording};
/// let action = ActionDigest(Digest::of(b"action"));
/// let recording = RecordingDigest::of(&Recording::default()).unwrap();
/// let proof = Verified { action, recording, policy: Digest::of(b"policy") };
/// ```
/// nor by default:
/// ```compile_fail,E0277
/// fn made<T: Default>() -> T { T::default() }
/// let proof: airtight_policy::Verified = made();
/// ```
/// nor be copied:
/// ```compile_fail,E0277
/// fn copied<T: Clone>(proof: &T) -> T { proof.clone() }
/// fn twice(proof: &airtight_policy::Verified) -> airtight_policy::Verified { copied(proof) }
/// ```
/// nor read from a file:
/// ```compile_fail,E0277
/// fn read<T: serde::de::DeserializeOwned>(text: &str) -> T { serde_json::from_str(text).unwrap() }
/// let proof: airtight_policy::Verified = read("{}");
/// ```
/// nor be bound to another action:
/// ```compile_fail,E0616
/// use airtight_policy::{ActionDigest, Verified};
/// fn rebind(mut proof: Verified, other: ActionDigest) -> Verified {
///     proof.action = other;
///     proof
/// }
/// ```
/// nor can one verdict give two:
/// ```compile_fail,E0382
/// use airtight_policy::{ActionDigest, Verdict};
/// fn twice(verdict: Verdict, one: ActionDigest, other: ActionDigest) {
///     let _ = verdict.verify(one);
///     let _ = verdict.verify(other);
/// }
/// ```
/// nor can the verdict be touched up before:
/// ```compile_fail,E0616
/// fn whitewash(verdict: &mut airtight_policy::Verdict) {
///     verdict.uncacheable.clear();
/// }
/// ```
/// What does work, so that the tests above fail for the right reason:
/// ```
/// use airtight_policy::{ActionDigest, Refused, Verdict, Verified};
/// fn proof(verdict: Verdict, action: ActionDigest) -> Result<Verified, Refused> {
///     verdict.verify(action)
/// }
/// ```
#[derive(Debug)]
#[must_use = "a proof is of use to a cache only"]
pub struct Verified {
    action: ActionDigest,
    recording: RecordingDigest,
    policy: Digest,
}

impl Verified {
    /// The action whose result may be published.
    pub fn action(&self) -> ActionDigest {
        self.action
    }

    /// The recording that was judged.
    pub fn recording(&self) -> RecordingDigest {
        self.recording
    }

    /// The epoch of the policy that was applied.
    pub fn policy(&self) -> Digest {
        self.policy
    }
}
