//! `wattlaw plan` and `wattlaw compare`: answers as text and JSON, launch files, and refusals.

use crate::running::{json, run};

const LLAMA: &str = "--model llama-2-7b --seq-len 4096 --tokens 1B --global-batch 256";

#[test]
fn a_plan_has_its_job_and_what_it_is_better_than() {
    let answer = json(&format!(
        "plan {LLAMA} --gpu a100-sxm4-80gb,h100-sxm5-80gb --gpus 8..16 --top 3 --threads 2 --format json"
    ));
    assert_eq!(answer["schema"], "wattlaw-plan/1");
    let plans = answer["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 3);
    let energy = |at: usize| plans[at]["energy_j"]["estimate"].as_f64().unwrap();
    assert!(energy(0) <= energy(1) && energy(1) <= energy(2));
    assert_eq!(plans[0]["job"]["schema"], "wattlaw-job/1");
    let count = |of: &serde_json::Value| of.as_u64().unwrap();
    let left_out: u64 =
        answer["left_out"].as_array().unwrap().iter().map(|row| count(&row["count"])).sum();
    assert_eq!(count(&answer["searched"]), count(&answer["evaluated"]) + left_out);
    let undone = answer["best_undone"].as_array().unwrap();
    assert!(undone.iter().any(|one| one["choice"] == "gpu"));
    assert!(undone.iter().all(|one| one["energy_factor"].as_f64().unwrap() >= 1.0));
}

#[test]
fn the_planned_job_is_predicted_as_planned() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("launch");
    let line = format!(
        "plan {LLAMA} --gpu h100-sxm5-80gb --gpus 16 --top 3 --emit accelerate,slurm -o {} --format json",
        out.display()
    );
    let planned = json(&line);
    let job = out.join("job.toml");
    let predicted = json(&format!("predict {} --format json", job.display()));
    assert_eq!(planned["plans"][0]["job"], predicted["job"]);
    assert_eq!(planned["plans"][0]["energy_j"], predicted["energy_j"]);
    assert!(std::fs::read_to_string(out.join("train.sh")).unwrap().contains("nvidia-smi -pl "));
}

#[test]
fn files_that_no_plan_has_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("launch");
    let ran = run(&format!(
        "plan {LLAMA} --gpu h100-sxm5-80gb --gpus 16 --top 1 --emit torchtitan -o {}",
        out.display()
    ));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("torchtitan has no configuration for it"), "{}", ran.stderr);
    assert!(!out.exists());
}

#[test]
fn no_plan_is_one_sentence_with_what_it_takes() {
    for (flags, sentence) in [
        ("--gpu t4 --gpus 1", "no plan fits in memory: the nearest (1 × t4"),
        ("--gpu t4 --gpus 1", "16 × t4 would do"),
        ("--gpu h100 --gpus 8 --deadline 1s", "--deadline is 1"),
        ("--gpu h100 --gpus 8 --deadline 1s", " s (8 × h100-sxm5-80gb, "),
        ("--gpu h100 --gpus 8 --minimise cost", "price_per_gpu_hour is missing"),
        ("--gpu h100 --gpus 8 --max-gpus 4", "none of the given ones is within --max-gpus"),
        ("--gpu h1000 --gpus 8", "unknown GPU `h1000`"),
        ("--gpu h100,h1000 --gpus 8", "unknown GPU `h1000`"),
    ] {
        let ran = run(&format!("plan {LLAMA} {flags}"));
        assert_eq!(ran.code, 1, "{flags}: {}", ran.stderr);
        assert!(ran.stderr.contains(sentence), "{flags}: {}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{flags}: {}", ran.stderr);
    }
}

#[test]
fn an_inventory_with_an_unknown_gpu_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("machines.toml");
    std::fs::write(&file, "[[system]]\ngpu = \"h1000\"\nnodes = 2\n").unwrap();
    let ran = run(&format!("plan {LLAMA} --inventory {}", file.display()));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("unknown GPU `h1000`"), "{}", ran.stderr);
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
}

/// What a page must have: no address outside, no script, a name for every image, and its numbers as a table.
fn check_page(html: &str, figures: usize) {
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    for outside in ["<script", "<link", "<img", "<iframe", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    // the namespace of SVG is a name, and no address that is opened
    assert_eq!(
        html.matches("://").count(),
        html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
    assert_eq!(html.matches("<figure>").count(), figures);
    for piece in html.split("<figure>").skip(1) {
        let figure = piece.split("</figure>").next().unwrap();
        let name = figure.split("aria-labelledby=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(figure.contains(&format!("<h2 id=\"{name}\">")), "{name}");
        assert!(figure.contains("<svg role=\"img\"") && figure.contains("<text "), "{name}");
        assert!(figure.contains("<figcaption>") && figure.contains("<tbody><tr>"), "{name}");
    }
    assert!(html.contains("prefers-color-scheme:dark") && html.contains("@media print"));
    for tag in
        ["html", "head", "body", "main", "figure", "table", "svg", "details", "p", "li", "td"]
    {
        let opened =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_page_of_plans_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let line =
        format!("plan {LLAMA} --gpu h100-sxm5-80gb --gpus 8..16 --top 3 --html {}", file.display());
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let html = std::fs::read_to_string(&file).unwrap();
    check_page(&html, 5);
    for text in [
        "Pareto front",
        "Time by part",
        "Power limits",
        "Memory by part",
        "What was left out",
        "SHA-256",
        "[model]",
    ] {
        assert!(html.contains(text), "{text}");
    }
    // the table has the same energies as the answer
    let energy = ran.stdout.lines().find(|row| row.starts_with("1 ")).unwrap();
    let after_the_limit = energy.split("W  ").nth(1).unwrap();
    for cell in after_the_limit.split("  ").filter(|cell| !cell.is_empty()).take(2) {
        assert!(cell.contains("kWh") && html.contains(&format!(">{}<", cell.trim())), "{cell}");
    }
    assert!(run(&line).code == 0 && std::fs::read_to_string(&file).unwrap() == html);
}

#[test]
fn a_page_escapes_what_a_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let job = folder.path().join("job.toml");
    let text = "model = { family = 'llama', layers = 2, hidden_size = 256, heads = 4, vocab_size = 1000, name = '<script>&\"x' }
        workload = { tokens = '1M', seq_len = 128, global_batch = 8 }
        system = { gpu = 'h100-sxm5-80gb', gpus = 1, price_per_gpu_hour = 1.0, currency = '<b>' }";
    std::fs::write(&job, text).unwrap();
    let ran = run(&format!(
        "compare {} --micro-batch 1,2 --by cost --html {}",
        job.display(),
        file.display()
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let html = std::fs::read_to_string(&file).unwrap();
    check_page(&html, 5);
    assert!(!html.contains("<b>") && html.contains("&lt;b&gt;"));
}

#[test]
fn a_chart_is_text_as_wide_as_a_pipe_allows() {
    let ran = run(&format!("plan {LLAMA} --gpu h100-sxm5-80gb --gpus 8..16 --top 1 --chart"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let chart = ran.stdout.split("energy in kWh against time in hours\n").nth(1).unwrap();
    assert_eq!(chart.lines().count(), 18);
    assert!(chart.lines().all(|line| line.chars().count() <= 80) && !chart.contains('\u{1b}'));
    assert!(chart.contains('•') && chart.contains('1'));
    let beside = run(&format!("plan {LLAMA} --gpu h100 --gpus 8 --chart --format json"));
    assert_eq!(beside.code, 2);
    assert!(beside.stdout.is_empty());
}

#[test]
fn alternatives_are_every_combination_of_the_lists() {
    let answer = json(&format!(
        "compare {LLAMA} --gpu a100-sxm4-80gb,h100-sxm5-80gb --gpus 8,16 --strategy fsdp --micro-batch 1,2 --format json"
    ));
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let best: f64 = rows.iter().map(|row| row["probability_best"].as_f64().unwrap()).sum();
    assert!((best - 1.0).abs() < 1e-9);
    // what is no job is left out with its reason
    let ran = run(&format!("compare {LLAMA} --gpu h100 --gpus 8 --strategy fsdp --tp 1,3"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("an alternative is left out: "), "{}", ran.stderr);
}
