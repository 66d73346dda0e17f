//! The library in a browser: a question as JSON in, its answer as JSON out.
//!
//! A thin layer: each export reads a question, asks the library, and writes what it says. An error is thrown as the JSON of a
//! [`Problem`]. The answer to a question is the text of `wattlaw predict --format json`, byte for byte.

pub mod answer;
pub mod catalogue;
pub mod offers;
pub mod planner;
pub mod problem;
pub mod question;
pub mod world;
pub mod written;

use wasm_bindgen::prelude::wasm_bindgen;

use problem::Problem;

type Answered = Result<String, String>;

fn thrown(problem: Problem) -> String {
    problem.to_json()
}

/// The prediction of a question: the JSON of `wattlaw predict --format json`.
///
/// # Errors
/// The JSON of a [`Problem`], as of every export.
#[wasm_bindgen]
pub fn answer(question: &str) -> Answered {
    answer::predicted(question).map_err(thrown)
}

/// What the form offers for a question: degrees that divide, and remarks about its files.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen]
pub fn offers(question: &str) -> Answered {
    offers::offers(question).map_err(thrown)
}

/// Time, energy and price at power limits from the lowest that is tried to the TDP.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen(js_name = powerCurve)]
pub fn power_curve(question: &str) -> Answered {
    answer::power_curve(question).map_err(thrown)
}

/// Questions side by side: the JSON of `wattlaw compare --format json`.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen]
pub fn compare(questions: &str) -> Answered {
    answer::compared(questions).map_err(thrown)
}

/// Models, accelerators and regions by name, and the words of the form's fields.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen]
pub fn catalogue() -> Answered {
    catalogue::catalogue().map_err(thrown)
}

/// A question as a job file, a command and a program in Python.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen]
pub fn written(question: &str) -> Answered {
    written::written(question).map_err(thrown)
}

/// The files that start a job.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen]
pub fn launch(request: &str) -> Answered {
    written::launch(request).map_err(thrown)
}

/// The best ways to run a question's job. Progress is told to the worker that this runs in, by its function `planProgress`.
///
/// # Errors
/// As [`answer()`].
#[wasm_bindgen]
pub fn plan(request: &str) -> Answered {
    planner::plan(request, &|progress| {
        told(progress.done as f64, progress.total as f64);
        true
    })
    .map_err(thrown)
}

#[wasm_bindgen]
extern "C" {
    /// The worker's function that is told of the progress.
    #[wasm_bindgen(js_namespace = globalThis, js_name = planProgress)]
    fn told(done: f64, total: f64);
}
