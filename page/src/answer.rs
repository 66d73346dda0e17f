//! Answers to one question and to several.

use wattlaw::base::error::{Error, Result};
use wattlaw::base::scope::Scope;
use wattlaw::memory::FITS_THRESHOLD;
use wattlaw::plan::{Objective, compare};
use wattlaw_ask::{Answer, Schema, json};

use crate::problem::Problem;
use crate::question::{Question, read};
use crate::world::World;

/// The prediction of a question.
///
/// # Errors
/// What is wrong with it.
pub fn predicted(question: &str) -> std::result::Result<String, Problem> {
    let question: Question = read(question)?;
    let world = World::get()?;
    let description = question.description(&world.catalog)?;
    let asked = wattlaw_ask::Question {
        scope: question.scope,
        level: question.level()?,
        ..wattlaw_ask::Question::of(&world.law)
    };
    let chosen = description.chosen(&world.catalog)?;
    Ok(Answer::new(chosen, &description, &asked)?.to_json()?)
}

/// Alternatives at most.
const MOST: usize = 6;

/// Questions side by side, sorted by energy.
///
/// # Errors
/// What is wrong with the first wrong one; none, and more than six.
pub fn compared(questions: &str) -> std::result::Result<String, Problem> {
    let questions: Vec<Question> = read(questions)?;
    if !(1..=MOST).contains(&questions.len()) {
        return Err(Error::invalid(
            "the number of alternatives",
            questions.len(),
            format!("1 to {MOST} are compared"),
        )
        .into());
    }
    let world = World::get()?;
    let jobs = questions
        .iter()
        .map(|of| Ok(of.description(&world.catalog)?.chosen(&world.catalog)?.job))
        .collect::<Result<Vec<_>>>()?;
    let scope = questions[0].scope.unwrap_or(Scope::Gpu);
    let level = questions[0].level()?;
    let found = compare(jobs, Objective::Energy, &world.law, scope, level, FITS_THRESHOLD)?;
    Ok(json(Schema::Compare, &found)?)
}

/// Energy and time of a question's job at power limits, the lowest first.
///
/// # Errors
/// What is wrong with the question.
pub fn power_curve(question: &str) -> std::result::Result<String, Problem> {
    let question: Question = read(question)?;
    let world = World::get()?;
    let job = question.description(&world.catalog)?.chosen(&world.catalog)?.job;
    let scope = question.scope.unwrap_or(Scope::Gpu);
    let curve = wattlaw::plan::power_curve(&job, &world.law, scope, question.level()?)?;
    Ok(serde_json::to_string(&curve).map_err(|e| Error::Data(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"{"fields": {"model": "llama-3.1-8b", "tokens": "1B", "seq_len": "4096", "gpu": "h100", "gpus": "8"}}"#;

    #[test]
    fn a_question_is_answered_as_by_the_command_line() {
        let answer: serde_json::Value = serde_json::from_str(&predicted(ASKED).unwrap()).unwrap();
        assert_eq!(answer["schema"], "wattlaw-predict/1");
        assert_eq!(answer["origin"]["gpus"], "flag");
        assert!(answer["energy_j"]["estimate"].as_f64().unwrap() > 0.0);
    }

    #[test]
    fn a_lower_limit_takes_longer() {
        let curve: Vec<serde_json::Value> =
            serde_json::from_str(&power_curve(ASKED).unwrap()).unwrap();
        let seconds: Vec<f64> =
            curve.iter().map(|of| of["duration_s"]["estimate"].as_f64().unwrap()).collect();
        assert!(seconds.len() > 6 && seconds.is_sorted_by(|a, b| a >= b), "{seconds:?}");
        assert!(seconds.first() > seconds.last(), "{seconds:?}");
    }

    #[test]
    fn seven_alternatives_are_too_many() {
        let seven = format!("[{}]", [ASKED; 7].join(","));
        let problem = compared(&seven).unwrap_err();
        assert_eq!(problem.sentence, "the number of alternatives is 7, but 1 to 6 are compared");
        assert!(compared(&format!("[{ASKED},{ASKED}]")).unwrap().contains("wattlaw-compare/1"));
    }
}
