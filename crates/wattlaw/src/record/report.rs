//! A statement of the energy that runs used, for a model card or a regulator: measured and derived values.
//!
//! It contains only values that were measured, stated by the user, or reported by the program. Assumed values are
//! marked; unknown values are left out.

mod markdown;
mod qualification;

pub use qualification::{Bound, Qualification, QualificationKind};

use serde::Serialize;

use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::units::{Joules, Seconds};
use crate::cost::{AttentionFlops, Cost};
use crate::job::catalog::Catalog;
use crate::record::Component;
use crate::record::document::{End, Record, Total};
use crate::record::gpus::GpuMismatch;
use crate::record::overlap::{CountedOnce, OverlapNote, counted_once};
use crate::record::run::Tokens;

/// Metadata from the user, besides the records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserMetadata {
    /// Scope of the energies; the widest common scope that was measured when absent.
    pub scope: Option<Scope>,
    /// Carbon intensity of the electricity in grams of CO₂ equivalent a kWh.
    pub intensity_g_per_kwh: Option<f64>,
    /// Power usage effectiveness: facility energy over IT energy.
    pub pue: Option<f64>,
    /// Location.
    pub location: Option<String>,
    /// `pre-training` or `fine-tuning`.
    pub training_type: Option<String>,
    /// Number of paths that were given and hold no readable record.
    pub left_out: usize,
}

/// A statement of the energy of one or several runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// Program and version that wrote it.
    pub made_by: String,
    /// What the energies cover.
    pub scope: Scope,
    /// Instruments by component: `gpu:counter cpu:assumed`.
    pub meter: String,
    /// Total energy of all runs.
    pub energy_j: f64,
    /// Total energy in kWh.
    pub energy_kwh: f64,
    /// The assumed part, not measured.
    pub assumed_j: f64,
    /// Standard deviation of the measured part's systematic error, shared by all runs; null if that of a meter is
    /// unknown.
    pub systematic_sd_j: Option<f64>,
    /// Standard deviation of the measured part's random error.
    pub random_sd_j: f64,
    /// Both together, and the missing energy's: it lies between zero and twice its estimate, and the stated energy at zero.
    pub sd_j: Option<f64>,
    /// Energy that is not in the stated one, estimated by the mean power of what was measured.
    pub missing_j: f64,
    /// What keeps the stated energy from being that of the runs.
    pub qualifications: Vec<Qualification>,
    /// The other scopes that all runs have, the narrowest first.
    pub other_scopes: Vec<ScopeEnergy>,
    /// Share of the time with readings of every channel, the smallest over the runs.
    pub covered: f64,
    /// Sum of the times of all runs.
    pub duration_s: f64,
    /// Mean power.
    pub mean_power_w: Option<f64>,
    /// The mean of several runs, if none shares energy with another.
    pub mean: Option<Mean>,
    /// Tokens of all runs, if every run states them.
    pub tokens: Option<f64>,
    /// `counted` by the program, or `stated` by the job of a run that ended well.
    pub tokens_are: Option<&'static str>,
    /// Joules a token; null if not all GPUs of a job were measured.
    pub energy_per_token_j: Option<f64>,
    /// Model FLOPs: without recomputation, full attention square.
    pub model_flops: Option<f64>,
    /// Picojoules a FLOP; null if not all GPUs of a job were measured.
    pub pj_per_flop: Option<f64>,
    /// Hardware, such as `4 × a100-sxm4-40gb`: the measured GPUs, where any were.
    pub hardware: Option<String>,
    /// Power usage effectiveness, where given.
    pub pue: Option<f64>,
    /// Energy times the PUE, in kWh.
    pub facility_energy_kwh: Option<f64>,
    /// Carbon intensity, where given.
    pub intensity_g_per_kwh: Option<f64>,
    /// Grams of CO₂ equivalent: the intensity times the facility's energy, or the energy where no PUE was given.
    pub carbon_g: Option<f64>,
    /// Location.
    pub location: Option<String>,
    /// `pre-training` or `fine-tuning`.
    pub training_type: Option<String>,
    /// Caveats.
    pub caveats: Vec<String>,
    /// Each run.
    pub runs: Vec<Stated>,
}

/// The energy of the same runs by another scope.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScopeEnergy {
    /// What it covers.
    pub scope: Scope,
    /// Energy of all runs.
    pub energy_j: f64,
    /// The assumed part, not measured.
    pub assumed_j: f64,
    /// Standard deviation of the measured part; null if that of a meter is unknown.
    pub sd_j: Option<f64>,
}

/// The mean energy of several runs: repeats reduce the random error only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mean {
    /// Joules a run.
    pub energy_j: f64,
    /// Standard deviation of the shared error of this mean.
    pub systematic_sd_j: Option<f64>,
    /// Standard deviation of the random error of this mean.
    pub random_sd_j: f64,
}

/// One run in a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stated {
    /// The record's id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Machines.
    pub hosts: Vec<String>,
    /// Wall-clock begin.
    pub started_at: String,
    /// Wall-clock end.
    pub ended_at: Option<String>,
    /// Time.
    pub duration_s: f64,
    /// Energy.
    pub energy_j: f64,
    /// Its assumed part.
    pub assumed_j: f64,
    /// Whether the command ended well.
    pub ended_well: bool,
    /// Tokens.
    pub tokens: Option<f64>,
}

impl Statement {
    /// Builds the statement of records. Those that are not closed or have no energy are left out, and said.
    ///
    /// # Errors
    /// [`Error::Data`] where no record is closed and has energy, or where records have no common scope;
    /// [`Error::Invalid`] for a PUE below 1 or an intensity below 0.
    pub fn from_records(
        records: &[Record],
        metadata: &UserMetadata,
        catalog: &Catalog,
    ) -> Result<Self> {
        check(metadata)?;
        let (records, left_out) = with_energy(records, metadata.left_out)?;
        let scope = common_scope(&records, metadata.scope)?;
        for record in &records {
            record.total(Some(scope))?;
        }
        let CountedOnce { records: counted, notes: overlaps } = counted_once(&records);
        let repeats_alone = counted.iter().all(|c| !c.reduced);
        let records: Vec<Record> = counted.into_iter().map(|counted| counted.record).collect();
        let totals: Vec<&Total> =
            records.iter().filter_map(|r| r.energies.iter().find(|t| t.scope == scope)).collect();
        let sum = |of: fn(&Total) -> f64| totals.iter().map(|t| of(t)).sum::<f64>();
        let energy = Joules::new(sum(|t| t.energy.value()));
        let (systematic, random) = deviations(&totals);
        let duration: f64 = records.iter().filter_map(|r| r.duration).map(Seconds::value).sum();
        let works: Vec<Work> = records.iter().map(|r| Work::new(r, catalog)).collect();
        let tokens: Option<f64> = works.iter().map(|w| w.tokens.map(Tokens::value)).sum();
        let tokens = tokens.filter(|n| *n > 0.0);
        let counted = works.iter().all(|w| matches!(w.tokens, Some(Tokens::Counted(_))));
        // the work of all GPUs belongs to their energy only
        let whole = works.iter().all(|w| w.mismatch.as_ref().is_none_or(|m| m.count.is_none()));
        let flops: Option<f64> = works.iter().map(|w| w.flops).sum();
        let flops = flops.filter(|n| *n > 0.0);
        let job_says = |of: fn(&Work) -> Option<f64>| {
            let first = works.first().and_then(of);
            first.filter(|_| works.iter().all(|w| of(w) == first))
        };
        let pue = metadata.pue.or_else(|| job_says(|w| w.pue));
        let intensity = metadata.intensity_g_per_kwh.or_else(|| job_says(|w| w.intensity));
        let facility = pue.map(|pue| energy.kwh() * pue);
        let n = records.len() as f64;
        let mut qualifications = qualifications(&records, scope, &works, &overlaps);
        qualifications.extend(left_out);
        let missing: f64 = qualifications.iter().map(|q| q.missing_j).sum();
        Ok(Self {
            made_by: format!("wattlaw {}", env!("CARGO_PKG_VERSION")),
            scope,
            meter: meters(&records, scope),
            energy_j: energy.value(),
            energy_kwh: energy.kwh(),
            assumed_j: sum(|t| t.assumed.value()),
            systematic_sd_j: systematic,
            random_sd_j: random,
            sd_j: systematic.map(|s| s.hypot(random).hypot(missing * MISSING_RMS)),
            missing_j: missing,
            other_scopes: other_scopes(&records, scope),
            covered: totals.iter().map(|t| t.covered).fold(1.0, f64::min),
            duration_s: duration,
            mean_power_w: (duration > 0.0).then(|| energy.value() / duration),
            mean: (records.len() > 1 && repeats_alone).then(|| Mean {
                energy_j: energy.value() / n,
                systematic_sd_j: systematic.map(|s| s / n),
                random_sd_j: random / n,
            }),
            tokens,
            tokens_are: tokens.map(|_| if counted { "counted" } else { "stated" }),
            energy_per_token_j: tokens.filter(|_| whole).map(|n| energy.value() / n),
            model_flops: flops,
            pj_per_flop: flops.filter(|_| whole).map(|n| energy.value() / n * 1e12),
            hardware: hardware(&records, catalog),
            pue,
            facility_energy_kwh: facility,
            intensity_g_per_kwh: intensity,
            carbon_g: intensity.map(|g| g * facility.unwrap_or(energy.kwh())),
            location: metadata.location.clone(),
            training_type: metadata.training_type.clone(),
            caveats: caveats(&records, scope, &totals, &works, &overlaps, &qualifications),
            qualifications,
            runs: records
                .iter()
                .zip(&totals)
                .zip(&works)
                .map(|((record, total), work)| stated(record, total, work))
                .collect(),
        })
    }

    /// Whether all of the energy is assumed.
    pub fn all_assumed(&self) -> bool {
        self.assumed_j > 0.0 && self.assumed_j >= self.energy_j
    }
}

fn check(metadata: &UserMetadata) -> Result<()> {
    if let Some(pue) = metadata.pue
        && !(1.0..=10.0).contains(&pue)
    {
        return Err(Error::invalid("pue", pue, "it must be from 1 to 10"));
    }
    match metadata.intensity_g_per_kwh {
        Some(g) if !(0.0..=1e5).contains(&g) => {
            Err(Error::invalid("intensity", g, "it must be from 0 to 100000 g/kWh"))
        }
        _ => Ok(()),
    }
}

/// Root mean square of what is missing, relative to its estimate: it is uniform between zero and twice the estimate.
const MISSING_RMS: f64 = 1.154_700_538_379_251_7;

/// Standard deviations of a sum of energies: systematic errors of one kind of meter add up over runs, random ones by squares.
fn deviations(totals: &[&Total]) -> (Option<f64>, f64) {
    let systematic = totals
        .iter()
        .map(|t| t.systematic_sd.map(Joules::value))
        .try_fold(0.0, |sum, sd| sd.map(|sd| sum + sd));
    let random: f64 = totals.iter().map(|t| t.random_sd.value().powi(2)).sum();
    (systematic, random.sqrt())
}

/// The energies of the scopes besides the stated one that all records have.
fn other_scopes(records: &[Record], stated: Scope) -> Vec<ScopeEnergy> {
    let scopes = records.first().into_iter().flat_map(|r| r.energies.iter().map(|t| t.scope));
    scopes
        .filter(|scope| *scope != stated)
        .filter_map(|scope| {
            let of = |r: &'_ Record| r.energies.iter().position(|t| t.scope == scope);
            let totals: Vec<&Total> =
                records.iter().map(|r| r.energies.get(of(r)?)).collect::<Option<_>>()?;
            let (systematic, random) = deviations(&totals);
            Some(ScopeEnergy {
                scope,
                energy_j: totals.iter().map(|t| t.energy.value()).sum(),
                assumed_j: totals.iter().map(|t| t.assumed.value()).sum(),
                sd_j: systematic.map(|s| s.hypot(random)),
            })
        })
        .collect()
}

/// The qualifications of all records, each with its record where there are several.
fn qualifications(
    records: &[Record],
    scope: Scope,
    works: &[Work],
    overlaps: &[OverlapNote],
) -> Vec<Qualification> {
    let of_overlaps = overlaps
        .iter()
        .filter(|note| note.estimated)
        .map(|note| Qualification::new(QualificationKind::Overlap, None, note.text.clone()));
    let mut found: Vec<Qualification> = of_overlaps.collect();
    for (record, work) in records.iter().zip(works) {
        let of_record = qualification::of_record(record, scope, work.mismatch.as_ref(), records);
        found.extend(of_record.into_iter().map(|q| match records.len() {
            1 => q,
            _ => Qualification { text: format!("in run {} {}", record.id, q.text), ..q },
        }));
    }
    found
}

/// The records that have energy, and what is left out: the others, and `unread` paths that hold no readable record.
///
/// # Errors
/// [`Error::Data`] where no record has energy, with the reason for the first.
fn with_energy(records: &[Record], unread: usize) -> Result<(Vec<Record>, Vec<Qualification>)> {
    let (mut kept, mut left_out, mut first) = (Vec::new(), Vec::new(), None);
    for record in records {
        let Some(error) = record.energy_error() else {
            kept.push(record.clone());
            continue;
        };
        // what a stated record counts is not missing
        let is_counted = record.held_by.as_deref().is_some_and(|holder| {
            records.iter().any(|r| holder.rsplit('/').next() == Some(r.id.as_str()))
        });
        let bound = Some(Bound::Lower).filter(|_| !is_counted);
        let text = format!("left out: {error}");
        left_out.push(Qualification::new(QualificationKind::RecordLeftOut, bound, text));
        first.get_or_insert(error);
    }
    match first {
        Some(first) if kept.is_empty() => return Err(first),
        _ => {}
    }
    if unread > 0 {
        let text = format!("left out: {unread} paths hold no readable record");
        left_out.push(Qualification::new(QualificationKind::RecordLeftOut, None, text));
    }
    Ok((kept, left_out))
}

/// The requested scope, or the widest common scope that was measured, or else the narrowest common one.
fn common_scope(records: &[Record], wanted: Option<Scope>) -> Result<Scope> {
    let Some(first) = records.first() else {
        return Err(Error::Data("there is no record to report".to_owned()));
    };
    if let Some(scope) = wanted {
        return Ok(scope);
    }
    for record in records {
        record.total(None)?;
    }
    let has = |record: &Record, scope| record.energies.iter().any(|t| t.scope == scope);
    let common = || {
        let scopes = first.energies.iter().map(|t| t.scope);
        scopes.filter(|s| records.iter().all(|r| has(r, *s)))
    };
    let widest = common().rfind(|s| records.iter().all(|r| r.is_measured(*s)));
    let found = widest.or_else(|| common().next());
    found.ok_or_else(|| {
        let each: Vec<String> = records
            .iter()
            .map(|r| {
                let scopes: Vec<String> = r.energies.iter().map(|t| t.scope.to_string()).collect();
                format!("{} has {}", r.id, scopes.join(" and "))
            })
            .collect();
        Error::Data(format!("the records have no scope in common: {}", each.join(", ")))
    })
}

/// The work of a run, as far as its record and job state it.
struct Work {
    tokens: Option<Tokens>,
    flops: Option<f64>,
    pue: Option<f64>,
    intensity: Option<f64>,
    mismatch: Option<GpuMismatch>,
}

impl Work {
    fn new(record: &Record, catalog: &Catalog) -> Self {
        let tokens = record.tokens_done(catalog).filter(|n| n.value() > 0.0);
        let spec = record.described_job(catalog);
        let flops = tokens.and_then(|tokens| {
            let mut done = spec.clone();
            done.workload.tokens = Some(Count::new((tokens.value().round() as u64).max(1)));
            (done.workload.steps, done.workload.epochs, done.workload.examples) =
                (None, None, None);
            let job = done.resolve(catalog).ok()?;
            Some(Cost::count(&job, AttentionFlops::Full).model_flops().value())
        });
        Self {
            tokens,
            flops,
            pue: spec.system.pue,
            intensity: spec.system.carbon_g_per_kwh,
            mismatch: record.gpu_mismatch(catalog),
        }
    }
}

fn stated(record: &Record, total: &Total, work: &Work) -> Stated {
    Stated {
        id: record.id.clone(),
        name: record.name.clone(),
        hosts: record.nodes.iter().map(|n| n.host.clone()).collect(),
        started_at: record.started_at.clone(),
        ended_at: record.ended_at.clone(),
        duration_s: record.duration.map_or(0.0, Seconds::value),
        energy_j: total.energy.value(),
        assumed_j: total.assumed.value(),
        ended_well: record.ended_well(),
        tokens: work.tokens.map(Tokens::value),
    }
}

fn meters(records: &[Record], scope: Scope) -> String {
    let mut found: Vec<String> = Vec::new();
    for word in records
        .iter()
        .flat_map(|r| r.meter(scope).split(' ').map(str::to_owned).collect::<Vec<_>>())
    {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found.join(" ")
}

/// The hardware, if it is the same for all runs.
fn hardware(records: &[Record], catalog: &Catalog) -> Option<String> {
    let of = |record: &Record| {
        let job = record.described_job(catalog);
        let gpus = match record.measured_gpus().count() as u64 {
            0 => job.system.gpus.unwrap_or(job.parallelism.implied_gpus()),
            measured => measured,
        };
        match job.system.gpu {
            Some(gpu) => Some(format!("{gpus} × {gpu}")),
            None => {
                let cpus: Vec<String> = record
                    .channels
                    .iter()
                    .filter(|c| c.channel.component == Component::Cpu)
                    .filter_map(|c| c.channel.model.clone())
                    .collect();
                let first = cpus.first()?;
                Some(format!("{} × {first}", cpus.len()))
            }
        }
    };
    let first = of(records.first()?)?;
    records.iter().all(|r| of(r).as_ref() == Some(&first)).then_some(first)
}

/// A clause as a sentence; a channel's name stays as it is.
fn sentence(clause: &str) -> String {
    if clause.split(' ').next().is_some_and(|word| word.contains(|c: char| c.is_ascii_digit())) {
        return format!("{clause}.");
    }
    let mut letters = clause.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn caveats(
    records: &[Record],
    scope: Scope,
    totals: &[&Total],
    works: &[Work],
    overlaps: &[OverlapNote],
    qualifications: &[Qualification],
) -> Vec<String> {
    let exact = overlaps.iter().filter(|note| !note.estimated).map(|note| &note.text);
    let mut caveats: Vec<String> =
        exact.chain(qualifications.iter().map(|q| &q.text)).map(|text| sentence(text)).collect();
    let outside = match scope {
        Scope::Gpu => "CPUs, memory, network, power supplies and cooling are outside",
        Scope::Devices => "network, disks, fans, power supplies and cooling are outside",
        Scope::NodeDc => "power supplies and cooling are outside",
        _ => "",
    };
    if !outside.is_empty() {
        caveats.push(format!("The scope is `{scope}`: {outside}."));
    }
    if totals.iter().any(|t| t.assumed > Joules::ZERO) {
        caveats.push(
            "Assumed energy is a constant power stated by the user times the time; it was not measured, and the standard \
             deviation does not include it."
                .to_owned(),
        );
    }
    if totals.iter().any(|t| t.systematic_sd.is_none() && t.assumed < t.energy) {
        caveats.push("The systematic error of a meter is unknown.".to_owned());
    }
    for (record, work) in records.iter().zip(works) {
        let of = |text: String| format!("Run {}: {text}.", record.id);
        if record.end.is_some_and(|end| !end.well() && end != End::Unseen) {
            caveats.push(of("the command failed, but its energy is included".to_owned()));
        }
        match work.tokens {
            None => caveats.push(of("the number of trained tokens is unknown".to_owned())),
            Some(Tokens::Stated(_)) => {
                caveats.push(of("its tokens are stated by the job, not counted".to_owned()));
            }
            Some(Tokens::Counted(_)) => {}
        }
    }
    caveats
}
