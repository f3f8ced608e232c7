//! What was found, for people and for programs.

use super::{Finding, Verdict};
use serde_json::{Value, json};
use std::fmt::Write;

pub struct Report {
    /// The configuration.
    pub file: String,
    pub connections: u64,
    pub findings: Vec<(&'static str, Finding)>,
}

impl Report {
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|(_, finding)| finding.verdict == verdict).count()
    }

    /// The worst of all.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|(_, finding)| finding.verdict).max().unwrap_or(Verdict::Ok)
    }

    /// A line for each check, and one below it for what helps.
    pub fn text(&self) -> String {
        let mut text = format!("{}, for {} connections of browsers\n", self.file, self.connections);
        for (name, Finding { verdict, reason, remedy }) in &self.findings {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:<8} {name:<18} {reason}", verdict.word());
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{:29} try: {remedy}", "");
            }
        }
        let [ok, warnings, errors] = [Verdict::Ok, Verdict::Warning, Verdict::Error].map(|verdict| self.count(verdict));
        let _ = writeln!(text, "{ok} ok, {warnings} warnings, {errors} errors");
        text
    }

    pub fn json(&self) -> Value {
        let findings = self.findings.iter().map(|(name, Finding { verdict, reason, remedy })| {
            json!({"check": name, "verdict": verdict.word(), "reason": reason, "remedy": remedy})
        });
        json!({
            "configuration": self.file,
            "connections": self.connections,
            "verdict": self.verdict().word(),
            "warnings": self.count(Verdict::Warning),
            "errors": self.count(Verdict::Error),
            "checks": findings.collect::<Vec<_>>(),
        })
    }
}
