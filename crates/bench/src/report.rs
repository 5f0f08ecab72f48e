//! Everything in turn, told as tables and as JSON.

use std::io;

use serde_json::{Value, json};

use crate::instructions;
use crate::machine;
use crate::micro::{self, Case};
use crate::options::{Measure, Subject};
use crate::rounds::{Rounds, SHARES, Turn};

/// A layer by itself, or all that the server does outside of the kernel.
struct Layer {
    name: String,
    nanoseconds: f64,
    /// Unknown without valgrind.
    instructions: Option<f64>,
}

/// Measures and reports.
pub(crate) fn run(measure: &Measure) -> io::Result<()> {
    let load_before = machine::load_average();
    println!(
        "{}, {}, load average {load_before}",
        machine::cpu(),
        machine::kernel()
    );
    let rounds = Rounds::run(measure)?;
    print_rounds(measure, &rounds);
    let layers = layers()?;
    print_layers(&layers);
    if let Some(file) = &measure.json {
        let results = to_json(measure, &load_before, &rounds, &layers);
        std::fs::write(file, format!("{results:#}\n"))?;
    }
    Ok(())
}

fn layers() -> io::Result<Vec<Layer>> {
    let counted = instructions::can_be_counted();
    let mut layers = Vec::new();
    for case in Case::ALL {
        layers.push(Layer {
            name: case.title().to_owned(),
            nanoseconds: micro::nanoseconds(case),
            instructions: counted.then(|| instructions::of_case(case)).transpose()?,
        });
    }
    Ok(layers)
}

fn print_rounds(measure: &Measure, rounds: &Rounds) {
    println!(
        "\nConfirmable GETs from {} peers, one outstanding each; medians of {} rounds of {} s\n",
        measure.peers,
        measure.rounds(),
        measure.turn().as_secs_f64()
    );
    println!(
        "          requests/s   CPU us/request (user + system)   latency us: p50    p90    p99  p99.9   again  stray"
    );
    for subject in Subject::ALL {
        let Turn {
            rate,
            user,
            system,
            total,
            latency,
            retransmissions,
            strays,
        } = rounds.summary(subject);
        let latency: String = latency.iter().map(|micros| format!("{micros:7.0}")).collect();
        println!(
            "{:8}  {rate:10.0}   {total:14.2} ({user:5.2} + {system:5.2})          {latency}  {retransmissions:6} {strays:6}",
            subject.name()
        );
    }
    let [least, median, most] = rounds.ratio();
    println!("\nratio of CPU, coracle to raw: {median:.2} (in the rounds {least:.2} to {most:.2})");
}

fn print_layers(layers: &[Layer]) {
    println!("\nlayer                                     ns   instructions");
    let cell = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.0}"));
    for Layer {
        name,
        nanoseconds,
        instructions,
    } in layers
    {
        println!(
            "{name:36} {:>7} {:>14}",
            cell(Some(*nanoseconds)),
            cell(*instructions)
        );
    }
    if layers.iter().any(|layer| layer.instructions.is_none()) {
        println!("instructions were not counted: valgrind is not installed");
    }
}

fn to_json(measure: &Measure, load_before: &str, rounds: &Rounds, layers: &[Layer]) -> Value {
    let server = |subject: Subject| {
        let turn = rounds.summary(subject);
        let latency = SHARES.iter().zip(turn.latency);
        let latency: serde_json::Map<_, _> = latency
            .map(|(share, micros)| (format!("p{}", share * 100.0), json!(micros)))
            .collect();
        json!({
            "name": subject.name(),
            "requests_per_second": turn.rate,
            "cpu_microseconds_per_request": { "total": turn.total, "user": turn.user, "system": turn.system },
            "latency_microseconds": latency,
            "retransmissions": turn.retransmissions,
            "strays": turn.strays,
        })
    };
    let layer = |layer: &Layer| {
        json!({
            "name": layer.name,
            "nanoseconds": layer.nanoseconds,
            "instructions": layer.instructions,
        })
    };
    let [least, median, most] = rounds.ratio();
    json!({
        "machine": { "cpu": machine::cpu(), "kernel": machine::kernel(), "load_average": load_before },
        "peers": measure.peers,
        "rounds": measure.rounds(),
        "seconds": measure.turn().as_secs_f64(),
        "servers": Subject::ALL.map(server),
        "cpu_ratio": { "least": least, "median": median, "most": most },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}
