//! Findings with one cause, told together.

use airtight_policy::Finding;
use std::collections::HashMap;

/// Findings that share rule, directory and producer, of one action or of many: one header that
/// 300 actions don't declare is one group.
pub(super) struct Group<'a> {
    /// In the order of the report; never empty.
    pub(super) findings: Vec<&'a Finding>,
}

impl<'a> Group<'a> {
    /// Groups findings. A group stands where its first finding did, so that the worst comes first.
    pub(super) fn all(findings: impl Iterator<Item = &'a Finding>) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut known = HashMap::new();
        for finding in findings {
            let at =
                *known.entry((finding.group.as_str(), finding.severity)).or_insert_with(|| {
                    groups.push(Group { findings: Vec::new() });
                    groups.len() - 1
                });
            groups[at].findings.push(finding);
        }
        groups
    }

    /// The finding that stands for all.
    pub(super) fn first(&self) -> &'a Finding {
        self.findings[0]
    }

    /// The other values that its findings have, each once, in their order.
    pub(super) fn others(&self, of: impl Fn(&'a Finding) -> &'a str) -> Vec<&'a str> {
        let mut seen = HashMap::new();
        seen.insert(of(self.first()), ());
        let all = self.findings.iter().map(|finding| of(finding));
        all.filter(|value| !value.is_empty() && seen.insert(value, ()).is_none()).collect()
    }
}
