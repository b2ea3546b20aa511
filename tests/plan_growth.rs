//! Planning time grows with the document, not with its square.

#[path = "bench/large.rs"]
mod large;

use large::{capabilities, carried_out, document, time};
use nmstated::plan::{self, Options};
use nmstated::state::State;

#[test]
fn time_is_linear_in_the_size_of_the_document() {
    let plan = |desired: &State, current: &State| {
        plan::plan(desired, current, &capabilities(), &Options::default()).expect("the document is valid")
    };
    let times = |n| {
        let desired = document(n);
        let after = carried_out(&plan(&desired, &State::empty()));
        assert!(plan(&desired, &after).is_empty(), "what was carried out is as desired");
        let new = time(|| drop(plan(&desired, &State::empty())));
        let same = time(|| drop(plan(&desired, &after)));
        let back = time(|| drop(plan::restore(&State::empty(), &after)));
        [("new", new), ("same", same), ("restore", back)]
    };
    let (small, large) = (times(200), times(1_000));
    for ((what, small), (_, large)) in small.into_iter().zip(large) {
        // Five times the size; a square would take 25 times as long.
        assert!(large < small * 12, "{what}: {small:?} grew to {large:?}");
    }
}
