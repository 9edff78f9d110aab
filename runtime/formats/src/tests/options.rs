use super::*;

fn refused(name: &str, options: &[(&str, &str)]) -> String {
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Format::named(name, &format!("{name}."), &options).unwrap_err().message
}

#[test]
fn unknown_options_name_the_nearest_known_one() {
    let message = refused("json", &[("json.ignore-parse-error", "true")]);
    assert_eq!(
        message,
        "unknown option 'json.ignore-parse-error' for format 'json', did you mean 'json.ignore-parse-errors'?"
    );
    assert!(refused("raw", &[("raw.zzz", "1")]).contains("known are 'raw.charset', 'raw.endianness'"));
    assert_eq!(refused("jsn", &[]), "unknown format 'jsn', did you mean 'json'?");
    assert!(refused("parquet", &[]).contains("known are 'json', 'csv', 'raw', 'debezium-json'"));
}

#[test]
fn values_are_checked() {
    let cases = [
        ("json", "json.ignore-parse-errors", "yes", "it must be 'true' or 'false'"),
        ("json", "json.timestamp-format.standard", "RFC", "it must be one of 'SQL', 'ISO-8601'"),
        ("json", "json.map-null-key.mode", "SKIP", "one of 'FAIL', 'DROP', 'LITERAL'"),
        ("json", "json.decode.json-parser.enabled", "false", "there is one parser"),
        ("csv", "csv.field-delimiter", "||", "one ASCII character"),
        ("csv", "csv.field-delimiter", "\"", "also the quote"),
        ("csv", "csv.array-element-delimiter", "", "is empty"),
        ("raw", "raw.charset", "UTF-16", "one of 'UTF-8'"),
    ];
    for (name, key, value, expected) in cases {
        let message = refused(name, &[(key, value)]);
        assert!(message.contains(key) && message.contains(expected), "{message}");
    }
    let both = refused("csv", &[("csv.quote-character", "'"), ("csv.disable-quote-character", "true")]);
    assert!(both.contains("cannot be set together"), "{both}");
    let both =
        refused("json", &[("json.fail-on-missing-field", "true"), ("json.ignore-parse-errors", "true")]);
    assert!(both.contains("cannot both be 'true'"), "{both}");
}

#[test]
fn other_keys_are_left_alone_and_defaults_are_flinks() {
    let options =
        BTreeMap::from([("path".to_string(), "x".to_string()), ("csv.x".to_string(), "y".to_string())]);
    assert_eq!(Format::named("json", "json.", &options).unwrap(), Format::Json(Default::default()));
    assert_eq!(format("csv", &[]), Format::Csv(Default::default()));
    let value = BTreeMap::from([("value.csv.field-delimiter".to_string(), ";".to_string())]);
    let Format::Csv(read) = Format::named("csv", "value.csv.", &value).unwrap() else { panic!() };
    assert_eq!(read.field_delimiter, b';');
    assert_eq!(format("debezium-json", &[]).changelog_mode().to_string(), "[I,UB,UA,D]");
    assert_eq!(format("json", &[]).changelog_mode().to_string(), "[I]");
    for name in Format::NAMES {
        assert!(!Format::options(name).unwrap().is_empty());
        assert_eq!(format(name, &[]).name(), name);
    }
}
