//! Thirty bridges with an address each by the best direct way through NetworkManager: every
//! `AddAndActivateConnection2` at once. Prints the milliseconds from the first call until the kernel has the last
//! address, and removes them again. Beside it stands what `nmctl apply` takes for the same (make bench).

#![expect(clippy::print_stdout, reason = "the figure is what it is for")]

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use nmstated::nm::{Call, Client, Persist, Profile, Setting, Value};

const BRIDGES: usize = 30;
/// More than a busy machine takes.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, keeper) = Client::open(None).await?;
    tokio::spawn(keeper.run());
    client.sync().await?;

    let begun = Instant::now();
    let calls: Vec<_> = (0..BRIDGES)
        .map(|n| {
            client.start(Call::AddAndActivate { profile: bridge(n), device: None, persist: Persist::Disk })
        })
        .collect();
    let mut made = Vec::new();
    for call in calls {
        made.extend(call.await?.profile().cloned());
    }
    until(BRIDGES).await?;
    let took = begun.elapsed();

    let gone: Vec<_> = made.into_iter().map(|path| client.start(Call::Delete { path })).collect();
    for call in gone {
        call.await?;
    }
    until(0).await?;
    println!("{:.1}", took.as_secs_f64() * 1000.0);
    Ok(())
}

fn bridge(n: usize) -> Profile {
    let name = format!("direct{n}");
    let address = Setting::from([
        ("address".to_owned(), Value::from(format!("10.77.{n}.1"))),
        ("prefix".to_owned(), Value::from(24u32)),
    ]);
    let mut profile = Profile::default();
    profile.set("connection", "id", name.as_str());
    profile.set("connection", "type", "bridge");
    profile.set("connection", "interface-name", name.as_str());
    profile.set("bridge", "stp", false);
    profile.set("ipv4", "method", "manual");
    profile.set("ipv4", "address-data", vec![address]);
    profile.set("ipv6", "method", "disabled");
    profile
}

/// Waits until so many of the addresses are there.
async fn until(count: usize) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while addresses()? != count {
        if begun.elapsed() > LIMIT {
            return Err(format!("not {count} addresses within {LIMIT:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// How many of the addresses the kernel has: each is a line of its local table with this word.
fn addresses() -> Result<usize, std::io::Error> {
    let table = fs::read_to_string("/proc/net/fib_trie")?;
    let mut found: Vec<&str> = table
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("|-- 10.77.") && line.ends_with(".1"))
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found.len())
}
