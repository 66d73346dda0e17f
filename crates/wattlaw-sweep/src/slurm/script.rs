//! The script of a job array.

use super::options::quoted;
use super::{Array, Options};
use wattlaw::base::error::{Error, Result};
use wattlaw::base::units::Seconds;
use wattlaw_launch::shell;

/// Default command of a multi-node job: one torchrun per node, with a rendezvous on the first node. Source: <https://docs.pytorch.org/docs/stable/elastic/run.html>.
const TORCHRUN: &str = r#"torchrun --nnodes={nodes} --nproc-per-node={gpus_per_node} \
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT" \
    -m wattlaw_trainer {job_json}"#;

/// Contents of a script. Paths are absolute, because a task starts in another folder.
#[derive(Debug, Clone)]
pub struct Script<'a> {
    /// Unique name of the array.
    pub name: &'a str,
    /// The array.
    pub array: &'a Array,
    /// Cluster options of the user.
    pub options: &'a Options,
    /// Folder of runs.
    pub runs: &'a str,
    /// Path of the program `wattlaw`.
    pub wattlaw: &'a str,
    /// Flags of `wattlaw sweep run`.
    pub flags: &'a [String],
    /// Training command; empty for the default.
    pub command: &'a [String],
}

impl Script<'_> {
    /// Path of the job list: line i + 1 is the run_id of task i.
    pub(crate) fn jobs_file(&self) -> String {
        format!("{}/slurm/{}.jobs", self.runs, self.name)
    }

    /// The script's text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a folder of runs whose path sbatch cannot handle.
    pub fn text(&self) -> Result<String> {
        if self.runs.contains(|c: char| c.is_control() || matches!(c, '"' | '\'' | '\\')) {
            let expected = "the path must not contain quotes, backslashes or control characters, because SLURM writes to it";
            return Err(Error::invalid("the folder of runs", self.runs, expected));
        }
        let shape = self.array.shape;
        let mut text =
            format!("#!/bin/bash\n# {}, written by `wattlaw sweep submit`\n", self.array);
        for word in self.directives() {
            text += &format!("#SBATCH {word}\n");
        }
        text += "\nset -e\n";
        if !self.options.setup.trim().is_empty() {
            text += &format!("{}\n", self.options.setup.trim());
        }
        text += &format!(
            "\n# line i + 1 of this file is the run_id of task i\nrun_id=$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" {})\n",
            shell::quoted(&self.jobs_file())
        );
        if shape.nodes > 1 {
            text += shell::SLURM_RENDEZVOUS;
        }
        text += &format!(
            "\nexec {} sweep run {} --out {} --only \"$run_id\"",
            shell::quoted(self.wattlaw),
            shell::quoted(&format!("{}/plan.csv", self.runs)),
            shell::quoted(self.runs)
        );
        for flag in self.flags {
            text += &format!(" {}", shell::quoted(flag));
        }
        if !self.command.is_empty() {
            let words: Vec<String> = self.command.iter().map(|text| shell::quoted(text)).collect();
            text += &format!(" \\\n    -- {}", words.join(" "));
        } else if shape.nodes > 1 {
            text += &format!(" \\\n    -- {TORCHRUN}");
        }
        Ok(text + "\n")
    }

    /// The arguments of the `#SBATCH` lines, wattlaw's own first.
    fn directives(&self) -> Vec<String> {
        let last = self.array.tasks.len().saturating_sub(1);
        let running = self.options.max_running.map_or_else(String::new, |most| format!("%{most}"));
        // sbatch expands patterns that start with a per cent sign
        let log = format!("{}/slurm/log/%A_%a.out", self.runs.replace('%', "%%"));
        let mut words = vec![
            format!("--job-name={}", self.name),
            format!("--array=0-{last}{running}"),
            format!("--nodes={}", self.array.shape.nodes),
            "--ntasks-per-node=1".to_owned(),
            format!("--output={}", quoted(&log)),
            "--open-mode=append".to_owned(),
        ];
        if !self.options.has("requeue") && !self.options.has("no-requeue") {
            words.push("--requeue".to_owned());
        }
        if !self.options.has("time") {
            words.push(format!("--time={}", time(self.array.longest())));
        }
        words.extend(self.options.arguments(self.array.shape));
        words
    }
}

/// A time rounded up to whole minutes in sbatch's format HH:MM:SS.
fn time(longest: Seconds) -> String {
    let minutes = (longest.value() / 60.0).ceil() as u64;
    format!("{:02}:{:02}:00", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::{Shape, Task};

    fn array(nodes: u64, times: &[f64]) -> Array {
        let shape = Shape { nodes, gpus_per_node: 4 };
        let task = |(i, s): (usize, &f64)| Task {
            run_id: format!("job-{i}"),
            shape,
            longest: Seconds::new(*s),
        };
        Array { shape, tasks: times.iter().enumerate().map(task).collect() }
    }

    fn script<'a>(array: &'a Array, options: &'a Options) -> Script<'a> {
        Script {
            name: "wattlaw-1f2e3d4c-1",
            array,
            options,
            runs: "/shared/ada/runs",
            wattlaw: "/home/ada/bin/wattlaw",
            flags: &[],
            command: &[],
        }
    }

    #[test]
    fn jobs_on_one_node() {
        let options = Options::from_toml(
            "max_running = 2\nsetup = \"module load cuda\\nsource venv/bin/activate\"\n\
             [sbatch]\npartition = \"gpu\"\ngres = \"gpu:{gpus_per_node}\"\n",
        )
        .unwrap();
        let flags = ["--idle".to_owned(), "10s".to_owned()];
        let array = array(1, &[6000.0, 7000.0, 200.0]);
        let script = Script { flags: &flags, ..script(&array, &options) };
        insta::assert_snapshot!(script.text().unwrap(), @r###"
        #!/bin/bash
        # 3 jobs on 1 node of 4 GPUs, written by `wattlaw sweep submit`
        #SBATCH --job-name=wattlaw-1f2e3d4c-1
        #SBATCH --array=0-2%2
        #SBATCH --nodes=1
        #SBATCH --ntasks-per-node=1
        #SBATCH --output=/shared/ada/runs/slurm/log/%A_%a.out
        #SBATCH --open-mode=append
        #SBATCH --requeue
        #SBATCH --time=01:57:00
        #SBATCH --gres=gpu:4
        #SBATCH --partition=gpu

        set -e
        module load cuda
        source venv/bin/activate

        # line i + 1 of this file is the run_id of task i
        run_id=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" /shared/ada/runs/slurm/wattlaw-1f2e3d4c-1.jobs)

        exec /home/ada/bin/wattlaw sweep run /shared/ada/runs/plan.csv --out /shared/ada/runs --only "$run_id" --idle 10s
        "###);
    }

    #[test]
    fn multi_node_jobs_get_a_rendezvous() {
        let (array, options) = (array(2, &[6000.0]), Options::default());
        insta::assert_snapshot!(script(&array, &options).text().unwrap(), @r###"
        #!/bin/bash
        # 1 job on 2 nodes of 4 GPUs, written by `wattlaw sweep submit`
        #SBATCH --job-name=wattlaw-1f2e3d4c-1
        #SBATCH --array=0-0
        #SBATCH --nodes=2
        #SBATCH --ntasks-per-node=1
        #SBATCH --output=/shared/ada/runs/slurm/log/%A_%a.out
        #SBATCH --open-mode=append
        #SBATCH --requeue
        #SBATCH --time=01:40:00

        set -e

        # line i + 1 of this file is the run_id of task i
        run_id=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" /shared/ada/runs/slurm/wattlaw-1f2e3d4c-1.jobs)

        # rendezvous of the job's processes: its first node, and a port derived from the job id
        MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
        MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
        export MASTER_ADDR MASTER_PORT
        if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi

        exec /home/ada/bin/wattlaw sweep run /shared/ada/runs/plan.csv --out /shared/ada/runs --only "$run_id" \
            -- torchrun --nnodes={nodes} --nproc-per-node={gpus_per_node} \
            --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT" \
            -m wattlaw_trainer {job_json}
        "###);
    }

    #[test]
    fn arguments_are_quoted_for_the_shell_and_sbatch() {
        let options = Options::from_toml("[sbatch]\ntime = \"1-00\"\nno-requeue = true\n").unwrap();
        let command = ["sh".to_owned(), "-c".to_owned(), "echo 'it is' $HOME {job}".to_owned()];
        let array = array(1, &[1.0]);
        let mut script = Script { command: &command, ..script(&array, &options) };
        script.runs = "/shared/my runs/50% #1";
        let text = script.text().unwrap();
        for line in [
            "#SBATCH --output=\"/shared/my runs/50%% #1/slurm/log/%A_%a.out\"",
            "#SBATCH --time=1-00",
            "    -- sh -c \"echo 'it is' \"'$HOME {job}'",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains("sweep run '/shared/my runs/50% #1/plan.csv' --out"), "{text}");
        assert!(!text.contains("--requeue") && text.matches("--time").count() == 1, "{text}");
        for runs in ["/a\"b", "/a\nb", "/a\\b"] {
            script.runs = runs;
            let error = script.text().unwrap_err().to_string();
            assert!(error.starts_with("the folder of runs is /a"), "{error}");
        }
    }

    #[test]
    fn a_time_is_in_whole_minutes() {
        assert_eq!(time(Seconds::new(1.0)), "00:01:00");
        assert_eq!(time(Seconds::new(1800.0)), "00:30:00");
        assert_eq!(time(Seconds::new(360_000.5)), "100:01:00");
    }
}
