#![cfg(unix)]
#![allow(clippy::unwrap_used)]
mod cluster;
#[test]
fn starts() {
    let t = std::time::Instant::now();
    let Some(mut c) = cluster::Cluster::start() else { return };
    println!("{}", c.said("sinfo", &["-N", "-O", "nodelist,statelong,gres"]));
    println!("up {:?}", t.elapsed());
    c.kill_controller();
    println!("{}", c.said("squeue", &[]));
    println!("q {:?}", t.elapsed());
    c.start_controller();
    println!("restarted {:?}", t.elapsed());
    println!("{}", c.said("sbatch", &["--wrap", "env", "--nodes=2", "--gres=gpu:2", "--parsable"]));
    println!("{:?}", c.queue());
    c.until("empty", |c| c.queue().is_empty());
    println!("empty {:?}", t.elapsed());
    drop(c);
    println!("down {:?}", t.elapsed());
}
