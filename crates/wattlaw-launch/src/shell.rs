//! Words of a shell, and the variables by which the processes of several nodes find each other under SLURM.

/// Sets up the rendezvous of a job's nodes, and the CPUs per task of srun.
///
/// The port is derived from the job id, so that two jobs on a node rarely collide; it is below the ephemeral ports of Linux (from
/// 32768, `ip_local_port_range`). Since SLURM 22.05 srun does not inherit `--cpus-per-task`.
/// Source: <https://slurm.schedmd.com/sbatch.html#OPT_cpus-per-task>.
pub const SLURM_RENDEZVOUS: &str = r#"
# rendezvous of the job's processes: its first node, and a port derived from the job id
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
export MASTER_ADDR MASTER_PORT
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi
"#;

/// A word of a shell, in quotes where it needs them. A NUL, which no argument can hold, is left out.
pub fn quoted(text: &str) -> String {
    // shlex quotes more than a shell needs, such as `--a=b`
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%^".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let text = text.replace('\0', "");
    shlex::try_quote(&text).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_back() {
        for text in
            ["plain", "--a=b", "", "it's $HOME", "a b", "\"", "~", "50% #1", "{job}", "a\nb"]
        {
            assert_eq!(shlex::split(&quoted(text)), Some(vec![text.to_owned()]), "{text}");
        }
        assert_eq!(quoted("a\0b c"), "'ab c'");
        assert_eq!(quoted("--time=01:00,x"), "--time=01:00,x");
    }
}
