//! Makes the wheel smaller: functions of the same code are linked once.

fn main() {
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    // rustc links by LLVM's linker on this target; other linkers may not know the option
    let is_lld = of("TARGET") == "x86_64-unknown-linux-gnu";
    if is_lld && of("PROFILE") == "release" {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--icf=all");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
