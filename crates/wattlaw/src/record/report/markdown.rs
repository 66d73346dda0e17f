//! The statement as Markdown: a table, a model card's metadata, and a paragraph for technical documentation.

use super::{Bound, ScopeEnergy, Statement};
use crate::base::scope::Scope;

impl Statement {
    /// The statement as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::from("# Energy statement\n\n| | |\n|---|---|\n");
        for (what, value) in self.rows() {
            out += &format!("| {what} | {} |\n", value.replace('|', "\\|"));
        }
        if !self.caveats.is_empty() {
            out += "\n";
            for caveat in &self.caveats {
                out += &format!("- {caveat}\n");
            }
        }
        if self.runs.len() > 1 {
            out += "\n## Runs\n\n| run | began | time | energy |\n|---|---|---|---|\n";
            for run in &self.runs {
                let time = figure(run.duration_s);
                let energy = joules(run.energy_j);
                out += &format!("| {} | {} | {time} s | {energy} |\n", run.id, run.started_at);
            }
        }
        if let Some(card) = self.model_card() {
            out += &format!("\n## Model card metadata (Hugging Face)\n\n```yaml\n{card}```\n");
        }
        out += &format!("\n## Energy consumption (AI Act, Annex XI)\n\n{}\n", self.annex_xi());
        out
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let energy = match self.nature() {
            None => joules(self.energy_j),
            Some(nature) => format!("{}: {nature}", joules(self.energy_j)),
        };
        let mut rows = vec![("energy", energy)];
        let mut add = |what, value: Option<String>| rows.extend(value.map(|v| (what, v)));
        if self.assumed_j > 0.0 {
            let all = self.all_assumed();
            let text = if all { "all of it".to_owned() } else { joules(self.assumed_j) };
            add("of which assumed", Some(text));
        }
        add("scope", Some(format!("`{}`: {}", self.scope, covers(self.scope))));
        add("meter", Some(format!("`{}`", self.meter)));
        add("standard deviation (σ)", self.deviation());
        let missing = (self.missing_j > 0.0).then(|| joules(self.missing_j));
        add("missing energy (estimated)", missing.map(|m| format!("{m}, by the mean power")));
        for other in &self.other_scopes {
            add("also", Some(format!("`{}`: {}", other.scope, other.figure())));
        }
        if self.covered < 0.99 {
            add("time with readings", Some(format!("{:.0} %", 100.0 * self.covered)));
        }
        add("time", Some(format!("{} s", figure(self.duration_s))));
        add("mean power", self.mean_power_w.map(|p| format!("{} W", figure(p))));
        add("hardware", self.hardware.clone());
        add(
            "mean of a run",
            self.mean.as_ref().map(|mean| {
                format!(
                    "{} ({} random; repeats do not reduce the systematic error)",
                    joules(mean.energy_j),
                    joules(mean.random_sd_j)
                )
            }),
        );
        let origin = self.tokens_are.map(|are| match are {
            "counted" => "counted by the program",
            _ => "stated by the job",
        });
        add(
            "tokens",
            self.tokens.zip(origin).map(|(n, origin)| format!("{} ({origin})", figure(n))),
        );
        add("energy per token", self.energy_per_token_j.map(|e| format!("{} J", figure(e))));
        add(
            "energy per FLOP",
            self.pj_per_flop.map(|e| {
                format!(
                    "{} pJ (model FLOPs: without recomputation, full attention square)",
                    figure(e)
                )
            }),
        );
        add(
            "facility energy",
            self.pue
                .zip(self.facility_energy_kwh)
                .map(|(pue, kwh)| format!("{} kWh (PUE {} as given)", figure(kwh), figure(pue))),
        );
        add(
            "carbon",
            self.carbon_g.zip(self.intensity_g_per_kwh).map(|(g, intensity)| {
                format!("{} g CO₂e ({} g/kWh as given)", figure(g), figure(intensity))
            }),
        );
        rows
    }

    /// What the qualifications make of the energy; `None` without any.
    fn nature(&self) -> Option<&'static str> {
        let has = |bound| self.qualifications.iter().any(|q| q.bound == Some(bound));
        match (has(Bound::Lower), has(Bound::Upper)) {
            (true, false) => Some("a lower bound"),
            (false, true) => Some("an upper bound"),
            (true, true) => Some("neither a lower nor an upper bound"),
            (false, false) => (!self.qualifications.is_empty()).then_some("qualified"),
        }
    }

    /// What the qualifications make of the energy, and why, as a clause.
    fn qualified(&self) -> Option<String> {
        let nature = self.nature()?;
        let why: Vec<&str> = self.qualifications.iter().map(|q| q.text.as_str()).collect();
        Some(format!("{nature}: {}", why.join("; ")))
    }

    /// The energies of the other scopes, as a clause.
    fn scopes(&self) -> Option<String> {
        let each: Vec<String> = self
            .other_scopes
            .iter()
            .map(|other| format!("scope {} is {}", other.scope, other.figure()))
            .collect();
        (!each.is_empty()).then(|| each.join(" and "))
    }

    fn deviation(&self) -> Option<String> {
        if self.all_assumed() {
            return None;
        }
        let random = joules(self.random_sd_j);
        Some(match (self.sd_j, self.systematic_sd_j) {
            (Some(sd), Some(systematic)) => format!(
                "{} ({:.1} %): {} systematic, {random} random",
                joules(sd),
                100.0 * sd / (self.energy_j - self.assumed_j).max(f64::MIN_POSITIVE),
                joules(systematic),
            ),
            _ => format!("systematic part unknown, {random} random"),
        })
    }

    /// The `co2_eq_emissions` block of a model card's metadata, where a carbon intensity was given; unknown fields are
    /// left out.
    ///
    /// Source: <https://huggingface.co/docs/hub/model-cards-co2>.
    pub fn model_card(&self) -> Option<String> {
        let (carbon, intensity) = self.carbon_g.zip(self.intensity_g_per_kwh)?;
        let kind = if self.all_assumed() { "assumed, not measured" } else { "measured" };
        let mut source = format!(
            "energy {kind} with {} (scope {}, meter {}); {} g CO2e/kWh as given by the user",
            self.made_by,
            self.scope,
            self.meter,
            figure(intensity)
        );
        if let Some(pue) = self.pue {
            source += &format!("; PUE {} as given by the user", figure(pue));
        }
        let mut out = format!("co2_eq_emissions:\n  emissions: {}\n", figure(carbon));
        source += &self.qualified().map(|text| format!("; {text}")).unwrap_or_default();
        source += &self.scopes().map(|text| format!("; {text}")).unwrap_or_default();
        let fields = [
            ("source", Some(&source)),
            ("training_type", self.training_type.as_ref()),
            ("geographical_location", self.location.as_ref()),
            ("hardware_used", self.hardware.as_ref()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                // a JSON string is a YAML string
                out += &format!("  {name}: {}\n", serde_json::Value::from(value.as_str()));
            }
        }
        Some(out)
    }

    /// A paragraph on the "known or estimated energy consumption of the model".
    ///
    /// Source: Regulation (EU) 2024/1689, Annex XI, section 1, point 2(e).
    pub fn annex_xi(&self) -> String {
        let runs = match self.runs.len() {
            1 => format!("one training run ({})", self.runs.first().map_or("", |r| r.id.as_str())),
            n => format!("the {n} training runs listed above"),
        };
        let mut text = format!(
            "Known or estimated energy consumption of the model (Regulation (EU) 2024/1689, Annex XI, section 1, point 2(e)): \
             {} for {runs}, {} s in all.",
            joules(self.energy_j),
            figure(self.duration_s)
        );
        if self.all_assumed() {
            text += " This is an estimate: a stated power times the measured time. No energy was measured.";
        } else {
            text += &format!(
                " It was measured with {} ({}) and covers {}.",
                self.made_by,
                self.meter,
                covers(self.scope)
            );
            if self.assumed_j > 0.0 {
                text += &format!(
                    " Of it, {} is estimated from a stated power.",
                    joules(self.assumed_j)
                );
            }
            text += &match (self.sd_j, self.missing_j > 0.0) {
                (None, _) => " The systematic error of a meter is unknown.".to_owned(),
                (Some(sd), false) => {
                    format!(" The standard uncertainty of the measured part is {}.", joules(sd))
                }
                (Some(sd), true) => format!(
                    " The standard uncertainty, with that of the missing energy, is {}.",
                    joules(sd)
                ),
            };
        }
        text +=
            &self.qualified().map(|clause| format!(" The energy is {clause}.")).unwrap_or_default();
        if self.missing_j > 0.0 {
            text += &format!(
                " At the mean power of what was measured, {} are missing.",
                joules(self.missing_j)
            );
        }
        text += &self
            .scopes()
            .map(|clause| format!(" For the same runs, {clause}."))
            .unwrap_or_default();
        text + " Other runs, such as experiments and evaluations, are not in this figure."
    }
}

impl ScopeEnergy {
    /// The energy, its assumed part and its standard deviation.
    fn figure(&self) -> String {
        let assumed = match self.assumed_j > 0.0 {
            true => format!(", {} of it assumed", joules(self.assumed_j)),
            false => String::new(),
        };
        let sd = self.sd_j.map_or_else(String::new, |sd| format!(", σ {}", joules(sd)));
        format!("{}{assumed}{sd}", joules(self.energy_j))
    }
}

const fn covers(scope: Scope) -> &'static str {
    match scope {
        Scope::Gpu => "the accelerators alone",
        Scope::Devices => "accelerators, CPU packages and memory that have channels",
        Scope::NodeDc => "the nodes behind their power supplies",
        Scope::NodeAc => "the nodes at their power inlets",
        Scope::Facility => "the facility",
        Scope::Codecarbon => "accelerators by their counters, CPU and memory by a model",
        Scope::Unstated => "an unstated scope",
    }
}

/// Energy with a unit that suits it.
fn joules(value: f64) -> String {
    if value < 3.6e3 {
        format!("{} J", figure(value))
    } else {
        format!("{} kWh ({} J)", figure(value / 3.6e6), figure(value))
    }
}

/// Four significant digits, without an exponent where that is readable.
fn figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - value.abs().log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
