//! Bridges with an address each by the best direct way through NetworkManager, all in flight at once. Prints the
//! milliseconds from the first call until the kernel has the last address, and removes them again. Beside it stands
//! what `nmctl apply` takes for the same (make bench).
//!
//!     bench-direct COUNT at-once|one-then-other
//!
//! at-once: `AddAndActivateConnection2`, which NetworkManager 1.42 refuses where the link is still to be made;
//! one-then-other: `AddConnection2`, and as soon as it is answered `ActivateConnection`.

#![expect(clippy::print_stdout, reason = "the figure is what it is for")]

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use nmstated::nm::image::ObjectPath;
use nmstated::nm::{Call, Client, Error, Persist, Profile, Setting, Value};

/// NMSettingsAddConnection2Flags
const TO_DISK_AND_NOT_BY_ITSELF: u32 = 0x21;
/// More than a busy machine takes.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (count, way) = (arguments.next().ok_or("how many?")?.parse()?, arguments.next());
    let is_at_once = match way.as_deref() {
        Some("at-once") => true,
        Some("one-then-other") => false,
        _ => return Err("at once, or one then the other?".into()),
    };
    let (client, keeper) = Client::open(None).await?;
    tokio::spawn(keeper.run());
    client.sync().await?;

    let begun = Instant::now();
    let made = try_join_all((0..count).map(|n| make(&client, bridge(n), is_at_once))).await?;
    until(count).await?;
    let took = begun.elapsed();

    let gone: Vec<_> = made.into_iter().flatten().map(|path| client.start(Call::Delete { path })).collect();
    for call in gone {
        call.await?;
    }
    until(0).await?;
    println!("{:.1}", took.as_secs_f64() * 1000.0);
    Ok(())
}

async fn make(client: &Client, profile: Profile, is_at_once: bool) -> Result<Option<ObjectPath>, Error> {
    if is_at_once {
        let call = Call::AddAndActivate { profile, device: None, persist: Persist::Disk };
        return Ok(client.start(call).await?.profile().cloned());
    }
    let answer = client.start(Call::AddConnection { profile, flags: TO_DISK_AND_NOT_BY_ITSELF }).await?;
    let Some(path) = answer.profile() else { return Ok(None) };
    client.start(Call::Activate { profile: path.clone(), device: None, specific: None }).await?;
    Ok(Some(path.clone()))
}

fn bridge(n: usize) -> Profile {
    let name = format!("direct{n}");
    let address = Setting::from([
        ("address".to_owned(), Value::from(format!("10.{}.{}.1", 77 + n / 250, n % 250))),
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
async fn until(count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    while addresses()? != count {
        if begun.elapsed() > LIMIT {
            return Err(format!("not {count} addresses within {LIMIT:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// How many of the addresses the kernel has: each is a line of its local table, a host of this machine.
fn addresses() -> Result<usize, std::io::Error> {
    let table = fs::read_to_string("/proc/net/fib_trie")?;
    let mut found: Vec<&str> = table
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("|-- 10.7") && line.ends_with(".1"))
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found.len())
}
