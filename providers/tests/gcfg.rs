//! The dialect of gcfg, row by row of what the original was seen to do, and side by side with git's own reader.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use dns_providers::SecretSource;
use dns_providers::gcfg::{self, Config, ConfigError, Key, Place, Schema, SectionSchema};
use proptest::prelude::*;
use secrecy::ExposeSecret;

const SCHEMA: Schema = Schema(&[
    SectionSchema::single(
        "Global",
        &[Key::plain("zones"), Key::plain("etcd-endpoints"), Key::plain("resourceGroup"), Key::secret("secret")],
    ),
    SectionSchema::single("Empty", &[]),
    SectionSchema::named("Cluster", &[Key::plain("drain")]),
]);

fn read(text: &str) -> Result<Config, ConfigError> {
    gcfg::parse(text, "conf.ini")?.check(&SCHEMA, Some(Path::new("/home/me")))
}

/// `zones` of `[Global]` as it is read.
fn zones(text: &str) -> String {
    read(text).unwrap().section("Global").text("zones").unwrap_or_default().to_owned()
}

/// The value of `zones = …`, or what is wrong with it.
fn value(text: &str) -> Result<String, String> {
    let text = format!("[Global]\nzones = {text}\n");
    let config = read(&text).map_err(|error| error.to_string())?;
    Ok(config.section("Global").text("zones").unwrap_or_default().to_owned())
}

fn error(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

//----------- What federation v1 accepted -------------------------------------

#[test]
fn section_names_ignore_case_and_inner_blanks() {
    for header in ["[Global]", "[GLOBAL]", "[ Global ]", "\t[global\t]"] {
        assert_eq!(zones(&format!("{header}\nzones = x")), "x", "{header}");
    }
}

#[test]
fn keys_ignore_case_as_unicode_folds_it() {
    for key in ["ZONES", "Zones", "zoneſ"] {
        assert_eq!(zones(&format!("[Global]\n{key} = x")), "x", "{key}");
    }
    for key in ["resourcegroup", "RESOURCEGROUP", "resourceGroup"] {
        let config = read(&format!("[Global]\n{key} = x")).unwrap();
        assert_eq!(config.section("Global").text("resourceGroup"), Some("x"), "{key}");
    }
}

#[test]
fn outer_blanks_are_dropped_and_inner_ones_kept() {
    assert_eq!(zones("[Global]\n \t zones \t=\t a b  c \t \n"), "a b  c");
}

#[test]
fn comments_begin_anywhere_outside_quotes() {
    assert_eq!(zones("; c\n# c [x\n[Global] ; c\n  # c\nzones = a ; c\n"), "a");
    assert_eq!(value("a#b"), Ok("a".to_owned()));
    assert_eq!(value("a;b"), Ok("a".to_owned()));
    assert_eq!(value("; nothing"), Ok(String::new()));
    assert_eq!(zones("[Global] # c\nzones=x"), "x");
}

#[test]
fn double_quotes_keep_what_is_in_them() {
    for (text, read) in [
        (r#""a#b;c""#, "a#b;c"),
        (r#"" a ""#, " a "),
        (r#"a"b c"d"#, "ab cd"),
        (r#"a "b" c"#, "a b c"),
        (r#""""#, ""),
        (r#""a" "#, "a"),
        (r#""a " ; c"#, "a "),
    ] {
        assert_eq!(value(text).as_deref(), Ok(read), "{text}");
    }
}

#[test]
fn single_quotes_are_literal() {
    assert_eq!(value("'a b'"), Ok("'a b'".to_owned()));
}

#[test]
fn four_escapes_count_inside_quotes() {
    assert_eq!(value(r#""\\ \" \n \t""#).as_deref(), Ok("\\ \" \n \t"));
}

#[test]
fn a_backslash_at_the_end_of_a_line_continues_it() {
    assert_eq!(value("a\\\nb"), Ok("ab".to_owned()));
    assert_eq!(value("a \\\r\n  b"), Ok("a   b".to_owned()));
    assert_eq!(zones("[Global]\nzones = a\\\n"), "a");
    // Blanks before the backslash are inside the value, whatever follows.
    assert_eq!(value("a \\\n"), Ok("a ".to_owned()));
}

#[test]
fn an_empty_value_is_none() {
    assert_eq!(zones("[Global]\nzones ="), "");
    let config = read("[Global]\nzones =\nsecret =\n").unwrap().section("Global");
    assert!(!config.has("zones") && config.secret("secret").unwrap().is_none());
}

#[test]
fn the_last_of_a_key_wins_and_pieces_of_a_section_are_one() {
    assert_eq!(zones("[Global]\nzones = a\nzones = b"), "b");
    let text = "[Global]\nzones = a\n[Cluster \"x\"]\ndrain = true\n[global]\netcd-endpoints = e\n";
    let config = read(text).unwrap().section("Global");
    assert_eq!((config.text("zones"), config.text("etcd-endpoints")), (Some("a"), Some("e")));
}

#[test]
fn windows_line_ends_no_last_line_end_and_an_empty_file_are_fine() {
    assert_eq!(zones("[Global]\r\nzones = a\r\n; c\r\n"), "a");
    assert_eq!(zones("[Global]\nzones = a"), "a");
    assert!(read("").is_ok());
    assert!(!read("").unwrap().section("Global").is_present());
    assert!(read("[Global]").unwrap().section("Global").is_present());
}

#[test]
fn nothing_is_interpolated_or_split() {
    for text in ["a=b", "a,b", "$HOME", "${X}", "%(y)s", "a]b", "[x]", "é ü"] {
        assert_eq!(value(text).as_deref(), Ok(text));
    }
}

//----------- What it refused -------------------------------------------------

#[test]
fn an_illegal_character_in_a_key_is_named_with_its_place() {
    assert_eq!(error("[Global]\netcd_endpoints = a"), "conf.ini:2:5: illegal character `_` in a key; write `-`");
    assert_eq!(
        error("[Global]\n 1zones = a"),
        "conf.ini:2:2: illegal character `1` at the beginning of a key; it begins with a letter"
    );
    assert_eq!(error("[Global]\nzones: a"), "conf.ini:2:6: illegal character `:` after `zones`; expected `=`");
    assert_eq!(error("[Global]\nzones zones = a"), "conf.ini:2:7: illegal character `z` after `zones`; expected `=`");
}

#[test]
fn an_unknown_escape_is_an_error_that_does_not_show_the_value() {
    for escape in [r"\b", r"\x", r"\0", "\\\n", r"\'"] {
        let error = value(&format!("\"hunter2{escape}\"")).unwrap_err();
        assert!(error.starts_with("conf.ini:2:17: unknown escape sequence"), "{error}");
        assert!(!error.contains("hunter2"));
    }
}

#[test]
fn a_backslash_outside_quotes_only_continues() {
    for text in ["a\\b", "a\\\\b", "a\\\"b", "a\\ ", "a\\"] {
        let error = read(&format!("[Global]\nzones = {text}")).unwrap_err();
        assert_eq!(error.place(), Some(Place { line: 2, column: 10 }), "{text}");
        assert!(error.to_string().contains("only continues a line"), "{error}");
    }
}

#[test]
fn a_string_that_is_not_terminated_is_an_error_where_it_begins() {
    for text in ["\"a\nb\"", "x\"a", "\"a\\\""] {
        let error = value(text).unwrap_err();
        assert!(error.contains("string not terminated"), "{error}");
        assert!(error.starts_with("conf.ini:2:9:") || error.starts_with("conf.ini:2:10:"), "{error}");
    }
}

#[test]
fn a_key_without_an_equals_sign_is_an_error() {
    for text in ["zones", "zones ; c", "zones\nzones = a"] {
        let error = error(&format!("[Global]\n{text}"));
        assert_eq!(error, "conf.ini:2:1: blank value not supported: write `zones = …`");
    }
}

#[test]
fn an_unknown_key_is_an_error_with_the_nearest_known_one() {
    assert_eq!(error("[Global]\nzone = x"), "conf.ini:2:1: unknown key `zone` in [Global]; did you mean `zones`?");
    assert_eq!(
        error("[Global]\n\n  Etcd-Endpoint = x"),
        "conf.ini:3:3: unknown key `Etcd-Endpoint` in [Global]; did you mean `etcd-endpoints`?"
    );
    assert_eq!(error("[Empty]\nx = y"), "conf.ini:2:1: unknown key `x` in [Empty]; this section has no keys");
    assert_eq!(
        error("[Cluster \"a\"]\ndrian = true"),
        "conf.ini:2:1: unknown key `drian` in [Cluster \"a\"]; did you mean `drain`?"
    );
    // `-file` belongs to secrets alone.
    assert!(error("[Global]\nzones-file = x").contains("unknown key"));
}

#[test]
fn an_unknown_section_is_an_error_also_when_it_is_empty() {
    assert_eq!(error("[Globl]"), "conf.ini:1:2: unknown section [Globl]; did you mean [Global]?");
    assert_eq!(
        error("[Global]\nzones = a\n[Custer \"x\"]"),
        "conf.ini:3:2: unknown section [Custer]; did you mean [Cluster]?"
    );
}

#[test]
fn a_name_belongs_to_the_sections_that_have_one() {
    assert_eq!(
        error("[Global \"sub\"]"),
        "conf.ini:1:2: section [Global] takes no name, but has `sub`; write [Global]"
    );
    assert_eq!(error("[Cluster]"), "conf.ini:1:2: section [Cluster] needs a name; write [Cluster \"…\"]");
    let config = read("[cluster \"A b\"]\n[CLUSTER \"a b\"]\n[Cluster \"q\\\"\\\\\"]\ndrain = true").unwrap();
    let names: Vec<_> = config.named("Cluster").map(|section| section.subsection().unwrap()).collect();
    assert_eq!(names, ["A b", "a b", "q\"\\"]);
}

#[test]
fn a_header_that_git_would_take_is_an_error() {
    assert!(error("[Global.sub]").starts_with("conf.ini:1:8: `[Global.…]` is not supported"));
    assert_eq!(error("[Global \"\"]"), "conf.ini:1:9: the quoted name is empty; give one or drop the quotes");
    for header in ["[Global", "[Global\n]", "[]", "[Glo bal]", "[Cluster \"x\" y]", "[Cluster \"x", "[Cluster \"\\x\"]"]
    {
        assert!(read(header).is_err(), "{header}");
    }
}

#[test]
fn a_key_before_any_section_is_an_error() {
    for text in ["zones = x", "\n  zones = x", "= x", "]"] {
        assert!(error(text).contains("expected a section header"), "{text}");
    }
}

#[test]
fn text_after_a_header_is_an_error() {
    assert_eq!(
        error("[Global] zones = a"),
        "conf.ini:1:10: expected the end of the line or a comment after the section header"
    );
}

#[test]
fn a_byte_order_mark_a_nul_and_other_octets_than_utf8_are_errors() {
    assert!(error("\u{feff}[Global]").starts_with("conf.ini:1:1: illegal character U+FEFF"));
    assert!(error("[Global]\nzones = a\0b").starts_with("conf.ini:2:10: a NUL character"));
    let error = gcfg::parse(b"[Global]\n; \xff\n", "conf.ini").unwrap_err();
    assert!(error.to_string().starts_with("conf.ini:2:3: octets that are not UTF-8"), "{error}");
}

//----------- Typed access ----------------------------------------------------

#[test]
fn a_list_is_split_on_commas_and_trimmed() {
    let config = read("[Global]\nzones = a , b,, c ,").unwrap().section("Global");
    assert_eq!(config.list("zones"), ["a", "b", "c"]);
    assert_eq!(config.list("etcd-endpoints"), [""; 0]);
}

/// Reads the value of one key with one of the typed getters.
fn typed<T>(text: &str, get: impl Fn(&gcfg::Section) -> Result<Option<T>, ConfigError>) -> Result<Option<T>, String> {
    let config = read(&format!("[Global]\nzones = {text}")).unwrap().section("Global");
    get(&config).map_err(|error| error.to_string())
}

#[test]
fn durations_are_seconds_minutes_or_hours() {
    let duration = |text: &str| typed(text, |section| section.duration("zones"));
    for (text, seconds) in [("90s", 90), ("5m", 300), ("24h", 86_400), ("7", 7), ("0", 0)] {
        assert_eq!(duration(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
    }
    assert_eq!(duration(""), Ok(None));
    for text in ["-1", "+1", "1.5s", "1d", "s", "1 m", "99999999999999999999h", "9999999999999999999h", "1M"] {
        let message = "is not a duration such as `90s`, `5m` or `24h`";
        assert_eq!(duration(text), Err(format!("conf.ini:2:1: `zones` in [Global]: `{text}` {message}")), "{text}");
    }
}

#[test]
fn percentages_have_a_sign_or_none() {
    let percent = |text: &str| typed(text, |section| section.percent("zones"));
    for (text, number) in [("30", 30), ("30%", 30), ("0", 0), ("100%", 100), ("5 %", 5)] {
        assert_eq!(percent(text), Ok(Some(number)), "{text}");
    }
    for text in ["101", "-1", "%", "1.5", "30%%", "256"] {
        assert!(percent(text).is_err(), "{text}");
    }
}

#[test]
fn booleans_are_two_words() {
    let boolean = |text: &str| typed(text, |section| section.boolean("zones"));
    assert_eq!((boolean("true"), boolean("false")), (Ok(Some(true)), Ok(Some(false))));
    for text in ["yes", "on", "1", "True"] {
        assert!(boolean(text).unwrap_err().contains("is not `true` or `false`"), "{text}");
    }
}

#[test]
fn other_types_say_what_they_expected() {
    let socket = |text: &str| typed(text, |section| section.socket("zones"));
    assert_eq!(socket("[2001:db8::1]:53"), Ok(Some("[2001:db8::1]:53".parse().unwrap())));
    assert!(socket("localhost:53").unwrap_err().contains("is not an address with a port"));
    let choice = |text: &str| typed(text, |section| section.choice("zones", &[("none", 0), ("lease", 1)]));
    assert_eq!(choice("lease"), Ok(Some(1)));
    assert!(choice("etcd").unwrap_err().ends_with("`etcd` is not `none` or `lease`"));
    let number = |text: &str| typed(text, |section| section.parsed::<u32>("zones", "a number"));
    assert_eq!(number("10"), Ok(Some(10)));
    assert!(number("ten").unwrap_err().ends_with("`ten` is not a number"));
}

#[test]
fn a_path_may_begin_at_home() {
    let path = |text: &str| typed(text, |section| section.path("zones")).unwrap().unwrap();
    assert_eq!(path("~/a b"), Path::new("/home/me/a b"));
    assert_eq!(path("a/~/b"), Path::new("a/~/b"));
    assert_eq!(path("~other/b"), Path::new("~other/b"));
    let homeless = gcfg::parse("[Global]\nzones = ~/a", "conf.ini").unwrap().check(&SCHEMA, None).unwrap();
    assert!(homeless.section("Global").path("zones").unwrap_err().to_string().contains("needs a home directory"));
}

#[test]
fn a_missing_value_names_section_and_key() {
    let config = read("\n[Global]\n").unwrap();
    let message = config.section("Global").missing("zones", "the zones").to_string();
    assert_eq!(message, "conf.ini:2:2: [Global] needs `zones = …`: the zones");
    let message = read("").unwrap().section("Global").missing("zones", "the zones").to_string();
    assert_eq!(message, "conf.ini: [Global] needs `zones = …`: the zones");
}

//----------- Secrets ---------------------------------------------------------

#[test]
fn a_secret_shows_nowhere() {
    let text = "[Global]\nsecret = hunter2\n";
    let document = gcfg::parse(text, "conf.ini").unwrap();
    assert!(!format!("{document:?}").contains("hunter2"));
    let config = document.check(&SCHEMA, None).unwrap();
    let secret = config.section("Global").secret("secret").unwrap().unwrap();
    assert!(!format!("{config:?} {:?} {secret:?}", config.section("Global")).contains("hunter2"));
    assert_eq!(secret.read().unwrap().expose_secret(), "hunter2");
}

#[test]
fn a_secret_in_a_file_is_read_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let config = read(&format!("[Global]\nsecret-file = {}", path.display())).unwrap().section("Global");
    let secret = config.secret("secret").unwrap().unwrap();
    assert!(matches!(secret, SecretSource::File(_)));
    let message = secret.read().unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    for text in ["one\n", "two\r\n", " three "] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(secret.read().unwrap().expose_secret(), text.trim_end_matches(['\r', '\n']));
    }
    std::fs::write(&path, "\n").unwrap();
    assert!(secret.read().is_err());
}

#[test]
fn a_secret_and_its_file_exclude_each_other() {
    let config = read("[Global]\nsecret = a\nsecret-file = b").unwrap().section("Global");
    let message = config.secret("secret").unwrap_err().to_string();
    assert_eq!(message, "conf.ini:3:1: `secret-file` in [Global]: `secret` is given too; drop one of them");
}

//----------- Beside git's reader ---------------------------------------------

type Flat = Vec<(String, Option<String>, String, String)>;

fn ours(text: &str) -> Option<Flat> {
    let document = gcfg::parse(text, "conf.ini").ok()?;
    let entries = document.blocks.into_iter().flat_map(|block| {
        let (section, subsection) = (block.section.to_lowercase(), block.subsection);
        block
            .entries
            .into_iter()
            .map(move |entry| (section.clone(), subsection.clone(), entry.key.to_lowercase(), entry.value))
    });
    Some(entries.collect())
}

/// Each key once for each section: git's reader gives all values of a key together.
fn gits(text: &str) -> Option<Flat> {
    let file = gix_config::File::try_from(text).ok()?;
    let mut flat = Flat::new();
    for section in file.sections() {
        let header = section.header();
        let mut seen = std::collections::BTreeMap::new();
        for key in section.value_names() {
            let at: &mut usize = seen.entry(key.to_lowercase()).or_default();
            let value = section.values(&key)[*at].to_string();
            *at += 1;
            flat.push((
                header.name().to_string().to_lowercase(),
                header.subsection_name().map(ToString::to_string),
                key.to_lowercase(),
                value,
            ));
        }
    }
    Some(flat)
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = gcfg::parse(&text, "conf.ini").map(|document| document.check(&SCHEMA, None));
    }

    #[test]
    fn text_of_the_dialects_own_characters_never_panics(text in "[\\[\\]a-z0-9=\"\\\\;# \\t\\r\\n_.-]{0,60}") {
        let _ = gcfg::parse(&text, "conf.ini").map(|document| document.check(&SCHEMA, None));
    }

    /// Where both readers take a text they read the same. git takes more: a key without `=`, `[a.b]`, `[a ""]`, a header
    /// and a key on one line, and (outside quotes) all escapes.
    /// It also drops blanks behind a continuation or empty quotes that a value begins with, which gcfg keeps.
    #[test]
    fn what_both_readers_take_they_read_alike(
        body in "([ab][ab-]{0,2} ?= ?([ab,=\\[\\]' \\t]|\"[ab ;#\\t]+\"|[ab] ?\\\\\n|\"\\\\\\\\\"|\"\\\\n\"|[;#][ab\"]*){0,6}\n|\\[a( \"b\")?\\]\n|[;#][ab ]*\n|\n){0,6}"
    ) {
        let text = format!("[s]\n{body}");
        if let (Some(ours), Some(gits)) = (ours(&text), gits(&text)) {
            prop_assert_eq!(ours, gits);
        }
    }

    /// Everything that can be quoted comes back, from git's reader too.
    #[test]
    fn a_quoted_value_comes_back(value in "[ -~é\\t\\n]{0,30}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
        let text = format!("[s]\nk = \"{quoted}\" ; comment\n");
        let wanted = vec![("s".to_owned(), None, "k".to_owned(), value)];
        prop_assert_eq!(ours(&text), Some(wanted.clone()));
        prop_assert_eq!(gits(&text), Some(wanted));
    }
}
