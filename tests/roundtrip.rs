//! Any valid document survives text → state → text → state; any text at all is answered soon.
//!
//! The documents are generated from the declared shapes, so a new key is covered when it is
//! declared.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nmstated::state::{
    Document, FieldInfo, Interface, InterfaceType, LinuxBridge, OvsBridge, Part, SectionInfo, Shape, State,
    json_schema,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

/// How often an optional key is given.
const GIVEN: f64 = 0.25;

fn text() -> BoxedStrategy<String> {
    // What YAML could take for something else, and what it needs quotes for.
    let awkward = [
        "",
        " ",
        "~",
        "null",
        "true",
        "False",
        "yes",
        "off",
        "0x30",
        "0o7",
        "017",
        "1.5",
        "1e3",
        ".inf",
        "-",
        "- a",
        "a: b",
        "a #b",
        "# a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "'a'",
        "\"a\"",
        "{a}",
        "[a]",
        "a,b",
        " a",
        "a ",
        "a\nb",
        "a\n",
        "\na",
        " a\n  b\n",
        "a\tb",
        "\ta",
        "?",
        ": a",
        "---",
        "...",
        "<<",
        "=",
        "12:30",
        "02:00:5E:10:00:01",
        "a\\b",
        "\u{85}",
        "\u{feff}",
        "\u{1f600}",
        "\u{7}",
        "a\r\nb",
        "\u{0}",
    ];
    prop_oneof![
        4 => "[a-z][a-z0-9.-]{0,12}",
        2 => select(awkward.map(str::to_owned).to_vec()),
        // A non-breaking space would be read as a space, a line separator is refused.
        1 => any::<String>().prop_map(|text| text.replace(['\u{a0}', '\u{2028}', '\u{2029}'], "")),
    ]
    .boxed()
}

/// As netplan's own words are, in which a control character is refused.
fn line() -> BoxedStrategy<String> {
    text().prop_map(|text| text.replace(char::is_control, "_")).boxed()
}

fn scalar() -> BoxedStrategy<Json> {
    prop_oneof![
        line().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(json!(1.5)),
        Just(Json::Null),
    ]
    .boxed()
}

fn anything() -> BoxedStrategy<Json> {
    scalar()
        .prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Json::from),
                vec((line(), inner), 0..3).prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
        .boxed()
}

fn integer(min: i128, max: i128) -> BoxedStrategy<Json> {
    prop_oneof![Just(min), Just(max), Just(0.clamp(min, max)), min..=max]
        .prop_flat_map(|number| {
            let plain = match u64::try_from(number) {
                Ok(number) => Json::from(number),
                Err(_) => Json::from(i64::try_from(number).expect("negative limits are 64 bits")),
            };
            let mut forms = vec![plain, number.to_string().into()];
            if number >= 0 {
                forms.extend([format!("{number:#x}").into(), format!("+00{number}").into()]);
            }
            select(forms)
        })
        .boxed()
}

fn address() -> BoxedStrategy<String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
    ]
    .boxed()
}

fn shape(shape: &Shape) -> BoxedStrategy<Json> {
    let strings = |strategy: BoxedStrategy<String>| strategy.prop_map(Json::from).boxed();
    match shape {
        Shape::Bool => {
            let forms = ["yes", "No", "ON", "off", "y", "n", "1", "0", "TRUE", "false"].map(Json::from);
            let plain = [true.into(), false.into(), 1.into(), 0.into()];
            select(forms.into_iter().chain(plain).collect::<Vec<_>>()).boxed()
        }
        Shape::Integer { min, max } => integer(*min, *max),
        Shape::Text | Shape::Secret => strings(text()),
        Shape::Address => strings(address()),
        Shape::Ipv6Address => strings(any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()).boxed()),
        Shape::Net => strings(
            (address(), 0..=32_u8, any::<bool>())
                .prop_map(|(ip, prefix, is_host)| if is_host { ip } else { format!("{ip}/{prefix}") })
                .boxed(),
        ),
        Shape::Mac => strings("[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}".boxed()),
        Shape::PciAddress => strings("([0-9a-f]{1,8}:)?[0-9a-fA-F]{1,2}:[01][0-9a-f]\\.[0-7]".boxed()),
        Shape::Words { words, aliases, open, .. } => {
            let known = select(words.iter().chain(*aliases).copied().collect::<Vec<_>>());
            let known = known.prop_map(Json::from).boxed();
            if *open { prop_oneof![3 => known, 1 => text().prop_map(Json::from)].boxed() } else { known }
        }
        Shape::List(item) => vec(self::shape(item), 0..3).prop_map(Json::from).boxed(),
        Shape::Table(value) => {
            let keys = if matches!(**value, Shape::Anything) { line() } else { text() };
            vec((keys, self::shape(value)), 0..3)
                .prop_map(|entries| Json::Object(entries.into_iter().collect()))
                .boxed()
        }
        Shape::Section(info) => section(info),
        Shape::Either(forms) => {
            proptest::strategy::Union::new(forms.iter().map(self::shape).collect::<Vec<_>>()).boxed()
        }
        Shape::Null => Just(Json::Null).boxed(),
        // A null stands for nothing, which no list may hold.
        Shape::Anything => anything().prop_filter("not null", |json| !json.is_null()).boxed(),
    }
}

fn section(info: &'static SectionInfo) -> BoxedStrategy<Json> {
    match info.name {
        "Interface" => interface(),
        // Its keys depend on each other.
        "TrunkTagKeys" => prop_oneof![
            any::<u16>().prop_map(|id| json!({"id": id})),
            (any::<u16>(), any::<u16>())
                .prop_map(|(a, b)| json!({"id-range": {"min": a.min(b), "max": a.max(b)}})),
        ]
        .boxed(),
        _ => keys(info.fields.iter().map(|f| (f, (f.shape)())).collect()),
    }
}

/// A mapping with these keys, in any accepted spelling.
fn keys(fields: Vec<(&'static FieldInfo, Shape)>) -> BoxedStrategy<Json> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(field, of)| {
            let value = match field.key {
                "ipv4" => ip(&of, &["autoconf"]),
                "ipv6" => ip(&of, &["forwarding", "prefix-route-metric"]),
                _ => shape(&of),
            };
            let names: Vec<&str> = field.names().collect();
            let key = (select(names), value);
            match field.key {
                _ if field.required => key.prop_map(Some).boxed(),
                "interfaces" => weighted(0.9, key).boxed(),
                _ => weighted(GIVEN, key).boxed(),
            }
        })
        .collect();
    fields
        .prop_map(|entries| {
            let entries = entries.into_iter().flatten().map(|(key, value)| (key.to_owned(), value));
            Json::Object(entries.collect())
        })
        .boxed()
}

fn ip(of: &Shape, refused: &'static [&'static str]) -> BoxedStrategy<Json> {
    shape(of)
        .prop_map(|mut json| {
            if let Json::Object(map) = &mut json {
                map.retain(|key, _| !refused.contains(&key.as_str()));
            }
            json
        })
        .boxed()
}

fn interface() -> BoxedStrategy<Json> {
    let of_type = |kind: InterfaceType| {
        let wanted = |key: &str| Interface::is_common_key(key) || kind.section_keys().contains(&key);
        let fields = Interface::INFO.fields.iter().filter(|f| wanted(f.key) && f.key != "type");
        let fields = fields.map(|field| match (field.key, &kind) {
            ("bridge", InterfaceType::OvsBridge) => (field, OvsBridge::shape()),
            ("bridge", _) => (field, LinuxBridge::shape()),
            _ => (field, (field.shape)()),
        });
        let word = kind.word().to_owned();
        keys(fields.collect())
            .prop_map(move |mut json| {
                json["type"] = word.clone().into();
                json
            })
            .boxed()
    };
    let read = InterfaceType::known().filter(|kind| !kind.is_uninterpreted()).map(of_type);
    let unread = (text(), select(vec!["wifi", "tun", "unknown"]), anything())
        .prop_map(|(name, kind, more)| json!({"name": name, "type": kind, "more": more}));
    proptest::strategy::Union::new(read.chain([unread.boxed()]).collect::<Vec<_>>()).boxed()
}

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&json_schema()).expect("it is a schema"));

fn read(text: &str) -> Result<State, String> {
    let shown = |problems: Vec<nmstated::state::Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        format!("{}\n{text}", lines.join("\n"))
    };
    let document = Document::from_text(text).map_err(shown)?;
    let (mut state, _) = document.state().map_err(shown)?;
    state.reveal_secrets();
    state.sort_interfaces();
    // What says nothing need not be printed.
    state.interfaces.get_or_insert_default();
    state.description = state.description.filter(|text| !text.is_empty());
    state.route_rules = state.route_rules.filter(|rules| rules.config.is_some());
    state.routes = state.routes.filter(|r| r.config.is_some() || r.running.is_some());
    state.ovn = state.ovn.filter(|ovn| ovn.bridge_mappings.is_some());
    Ok(state)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_document_survives_printing_and_reading(json in section(&State::INFO)) {
        prop_assert!(SCHEMA.is_valid(&json), "{:?}", SCHEMA.iter_errors(&json).map(|e| e.to_string()).collect::<Vec<_>>());
        let state = read(&json.to_string()).map_err(TestCaseError::fail)?;
        let from_yaml = read(&serde_yaml::to_string(&json).expect("YAML holds JSON")).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&from_yaml, &state);
        for printed in [
            state.to_yaml(),
            state.to_json_pretty(),
            state.cli_form().to_yaml(),
            state.cli_form().to_json_pretty(),
        ] {
            let again = read(&printed).map_err(TestCaseError::fail)?;
            prop_assert_eq!(&again, &state, "{}", printed);
        }
        prop_assert_eq!(read(&state.to_yaml()).map_err(TestCaseError::fail)?.to_yaml(), state.to_yaml());
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        answer(&text)?;
    }

    #[test]
    fn any_text_of_yaml_signs_is_answered(text in "[-:?,\\[\\]{}#&*!|>'\"%@` \\n\\tab0~<.\\\\]{0,200}") {
        answer(&text)?;
    }

    #[test]
    fn any_damaged_example_is_answered((text, damage) in (select(EXAMPLES.clone()), vec((any::<prop::sample::Index>(), 0..5_u8, any::<char>()), 1..6))) {
        let mut text: Vec<char> = text.chars().collect();
        for (at, what, other) in damage {
            let at = at.index(text.len().max(1)).min(text.len());
            match what {
                0 if at < text.len() => { text.remove(at); }
                1 => text.insert(at, other),
                2 if at < text.len() => text[at] = '\t',
                3 => text.truncate(at),
                _ => { let tail = text[at..].to_vec(); text.extend(tail); }
            }
        }
        answer(&text.into_iter().collect::<String>())?;
    }
}

static EXAMPLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let folders = ["kernel", "host", "managed", "query"];
    let files = folders.iter().flat_map(|f| fs::read_dir(root.join(f)).expect("the folder is there"));
    files.map(|file| fs::read_to_string(file.expect("listed").path()).expect("readable")).collect()
});

/// Reads, shows what is wrong, prints: whatever comes of it, soon.
fn answer(text: &str) -> Result<(), TestCaseError> {
    let start = cpu();
    match Document::from_text(text) {
        Ok(document) => match document.state() {
            Ok((state, warnings)) => {
                state.to_yaml();
                document.place(warnings);
            }
            Err(problems) => {
                for problem in &problems {
                    prop_assert!(document.snippet(problem, "f").starts_with("error: "));
                }
            }
        },
        Err(problems) => {
            prop_assert!(nmstated::state::snippet_of_text(text, &problems[0], "f").starts_with("error: "));
        }
    }
    let took = cpu() - start;
    prop_assert!(took < Duration::from_secs(5), "{took:?}");
    Ok(())
}

/// Processor time of this thread: other work of the machine does not count.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has it").into()
}
