//! Prints how long planning takes the processor, as rows of a table: 1,000 interfaces and 10,000 routes,
//! and ten times as many.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod large;

use std::process::ExitCode;

use large::{capabilities, carried_out, document, time};
use nmstated::plan::{self, Options};
use nmstated::state::State;

fn main() -> ExitCode {
    let plan =
        |desired: &State, current: &State| plan::plan(desired, current, &capabilities(), &Options::default());
    for (n, size, budget) in
        [(1_000, "1,000 interfaces and 10,000 routes", "50 ms"), (10_000, "10,000 and 100,000", "linear")]
    {
        let desired = document(n);
        let Ok(made) = plan(&desired, &State::empty()) else { return ExitCode::FAILURE };
        let after = carried_out(&made);
        for (what, took) in [
            ("that are new", time(|| drop(plan(&desired, &State::empty())))),
            ("that are there", time(|| drop(plan(&desired, &after)))),
            ("to be taken away", time(|| drop(plan::restore(&State::empty(), &after)))),
        ] {
            println!("| plan {size} {what} | {:.1} ms | {budget} |", took.as_secs_f64() * 1000.0);
        }
    }
    ExitCode::SUCCESS
}
