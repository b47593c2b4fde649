//! Reading a config file: the usual one of a few lines, and a large one with a section for each of 500 clusters.
//!
//! `cargo bench -p dns-providers` measures; CI runs each once, to see that it works.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use dns_providers::gcfg::{Key, Schema, SectionSchema, parse};

const SCHEMA: Schema = Schema(&[
    SectionSchema::single("Global", &[Key::plain("etcd-endpoints"), Key::plain("zones"), Key::secret("etcd-password")]),
    SectionSchema::named("Cluster", &[Key::plain("region"), Key::plain("zones"), Key::plain("labels")]),
]);

const USUAL: &str = "\
; where CoreDNS looks
[Global]
etcd-endpoints = http://127.0.0.1:2379, http://127.0.0.2:2379
zones = \"example.com\"
etcd-password = \"a \\\"quoted\\\" secret\" # with a comment
";

fn main() {
    let mut large = USUAL.to_owned();
    for number in 0..500 {
        let section = format!("[Cluster \"cluster-{number}\"]\nregion = eu-west-{number}\nzones = a, \\\n b\n");
        writeln!(large, "{section}labels = \"tier=gold, side=left\"").expect("a text can be written to");
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("gcfg");
    for (what, text) in [("usual", USUAL), ("500 sections", &large)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("read, {what}"), |bencher| {
            bencher.iter(|| parse(black_box(text), "bench.conf").expect("the syntax is right"));
        });
        group.bench_function(format!("read and check, {what}"), |bencher| {
            bencher.iter(|| {
                let document = parse(black_box(text), "bench.conf").expect("the syntax is right");
                document.check(&SCHEMA, None).expect("all keys are known")
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
