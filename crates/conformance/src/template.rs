//! How a client's command is told what to do.

use std::fmt;

/// A command line with places for what a case wants.
///
/// Words are separated by spaces; quotes keep spaces. `{uri}` and `{method}` (in small letters) stand for
/// themselves, and `{verb}` is the method, or `observe` or `ping` if that is wanted. `{name:words}` is put in only if
/// the case wants `name`, with `%` for its value, `%hex` for a number as the value of an option in hexadecimal
/// (nothing for 0), and `%szx` for a block size as its exponent:
///
/// | name | wanted for | value |
/// |---|---|---|
/// | `non` | non-confirmable requests | |
/// | `payload` | a payload | the text |
/// | `format` | its Content-Format | the number |
/// | `accept` | Accept | the number |
/// | `etag`, `if-match` | ETag, If-Match | hexadecimal |
/// | `if-none-match` | If-None-Match | |
/// | `observe` | an observation that lasts for some time, or until the command is ended | seconds |
/// | `block` | blocks of a size, in bytes | the number |
/// | `ping` | a ping, alone or while it does what it does | |
/// | `psk` | a pre-shared key | `identity:key`; `%id` and `%key` are its parts |
/// | `rpk` | a raw key of its own (RFC 7250) | a file with the private key, PEM |
/// | `trust` | the raw key of the server | a file with the public key, PEM |
///
/// A case that wants what a command line has no place for is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// One argument, with `{uri}` and `{method}` in it.
    Plain(String),
    /// Arguments for a wish.
    Group(String, Vec<String>),
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

/// What a command is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stimulus {
    method: &'static str,
    target: String,
    wishes: Vec<(&'static str, String)>,
}

impl Stimulus {
    /// A request with a method in small letters, for a path with a query.
    #[must_use]
    pub fn new(method: &'static str, target: impl Into<String>) -> Stimulus {
        Stimulus {
            method,
            target: target.into(),
            wishes: Vec::new(),
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Stimulus {
        Stimulus::new("get", target)
    }

    /// Adds a wish by the name that templates know it by.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Stimulus {
        self.wishes.push((name, value.to_string()));
        self
    }

    /// A payload that is text.
    #[must_use]
    pub fn text(self, text: &str) -> Stimulus {
        self.with("payload", text).with("format", 0)
    }

    /// Non-confirmable.
    #[must_use]
    pub fn non(self) -> Stimulus {
        self.with("non", "")
    }

    /// An observation, for longer than any case lasts.
    #[must_use]
    pub fn observe(self) -> Stimulus {
        self.observe_for(OBSERVATION)
    }

    /// An observation that the client leaves after some seconds, if it can.
    #[must_use]
    pub fn observe_for(self, seconds: u32) -> Stimulus {
        self.with("observe", seconds)
    }

    /// A ping (RFC 7252 §4.3).
    #[must_use]
    pub fn ping() -> Stimulus {
        Stimulus::get("/").with("ping", "")
    }

    /// The path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The method in small letters.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The value of a wish, if there is that wish.
    #[must_use]
    pub fn wish(&self, name: &str) -> Option<&str> {
        let wish = self.wishes.iter().find(|(wish, _)| *wish == name);
        wish.map(|(_, value)| value.as_str())
    }
}

/// How long an observation lasts unless a case says otherwise, in seconds: longer than any case.
const OBSERVATION: u32 = 600;

/// What stands for itself in templates.
const PLACES: [&str; 3] = ["uri", "method", "verb"];

/// What templates have groups for.
const WISHES: [&str; 13] = [
    "non",
    "payload",
    "format",
    "accept",
    "etag",
    "if-match",
    "if-none-match",
    "observe",
    "block",
    "ping",
    "psk",
    "rpk",
    "trust",
];

/// Wishes that have a value, which a command has to be told.
const VALUED: [&str; 9] = [
    "payload", "format", "accept", "etag", "if-match", "block", "psk", "rpk", "trust",
];

/// Wishes that are verbs.
const VERBS: [&str; 2] = ["observe", "ping"];

/// Command lines of known clients.
const KNOWN: [(&str, &str); 4] = [
    (
        "coracle",
        "coracle {verb} {uri} {non:--non} {payload:-d %} {format:-f %} {accept:-a %} {etag:-O etag=0x%} \
         {if-match:--if-match 0x%} {if-none-match:--if-none-match} {block:--block-size %} {observe:--duration %} {ping:-c 1} \
         {psk:--psk %} {rpk:--rpk %} {trust:--trust %}",
    ),
    (
        "coap-client",
        "coap-client-notls -B 90 -m {method} {non:-N} {payload:-e %} {format:-t %} {accept:-A %} {etag:-O 4,0x%} \
         {if-match:-O 1,0x%} {if-none-match:-O 5,} {observe:-s %} {block:-b %} {ping:-s 60 -K 1} {uri}",
    ),
    (
        "aiocoap-client",
        "aiocoap-client -m {method} {non:--non} {payload:--payload %} {format:--content-format %} \
         {accept:--accept %} {observe:--observe} {block:--payload-initial-szx %szx} {uri}",
    ),
    (
        "coap",
        "coap {method} {non:-c} {payload:-p %} {format:-O 12,0x%hex} {accept:-O 17,0x%hex} {etag:-O 4,0x%} \
         {if-match:-O 1,0x%} {if-none-match:-O 5,0x} {observe:-o} {block:-b %szx} {uri}",
    ),
];

impl Template {
    /// The names of known clients.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// The command line of a known client.
    #[must_use]
    pub fn named(name: &str) -> Option<Template> {
        let (_, source) = KNOWN.iter().find(|(known, _)| *known == name)?;
        Template::parse(source).ok()
    }

    /// Reads a command line.
    ///
    /// # Errors
    /// If a quote is not closed or braces do not pair, a name is unknown, a value has no place or the wrong form, or
    /// there is no `{uri}`.
    pub fn parse(source: &str) -> Result<Template, TemplateError> {
        let words: Vec<Word> = split(source)?.into_iter().map(word).collect::<Result<_, _>>()?;
        if !source.contains("{uri}") {
            return Err(TemplateError(
                "the command has no {uri}, so it would not know whom to ask".into(),
            ));
        }
        Ok(Template {
            source: source.to_owned(),
            words,
        })
    }

    /// The command line as it was given.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        match self.words.first() {
            Some(Word::Plain(word)) => word,
            _ => "",
        }
    }

    /// The same command line for a program that lies elsewhere.
    #[must_use]
    pub fn with_program(mut self, program: &str) -> Template {
        if let Some(first) = self.words.first_mut() {
            *first = Word::Plain(program.to_owned());
        }
        self
    }

    /// The arguments for a case, the program first; or the name of the first wish that there is no place for.
    pub(crate) fn expand(
        &self,
        stimulus: &Stimulus,
        scheme: &str,
        authority: &str,
    ) -> Result<Vec<String>, String> {
        let verb = self.source.contains("{verb}");
        let group = |name: &str| {
            self.words
                .iter()
                .any(|word| matches!(word, Word::Group(of, _) if of == name))
        };
        if stimulus.method != "get" && !verb && !self.source.contains("{method}") {
            return Err("{method}".to_owned());
        }
        let lacks = |name: &str| !(group(name) || verb && VERBS.contains(&name));
        if let Some((name, _)) = stimulus.wishes.iter().find(|(name, _)| lacks(name)) {
            return Err(format!("{{{name}:…}}"));
        }
        let uri = format!("{scheme}://{authority}{}", stimulus.target);
        let verb = VERBS.into_iter().find(|verb| stimulus.wish(verb).is_some());
        let verb = verb.unwrap_or(stimulus.method);
        let mut arguments = Vec::new();
        for word in &self.words {
            match word {
                Word::Plain(text) => {
                    let text = text.replace("{method}", stimulus.method).replace("{verb}", verb);
                    arguments.push(text.replace("{uri}", &uri));
                }
                Word::Group(name, words) => {
                    if let Some(value) = stimulus.wish(name) {
                        arguments.extend(words.iter().map(|word| fill(word, value)));
                    }
                }
            }
        }
        Ok(arguments)
    }
}

/// Puts the value of a wish into a word.
fn fill(word: &str, value: &str) -> String {
    if let Some((before, after)) = word.split_once("%hex") {
        let bytes = value.parse().unwrap_or(0_u64).to_be_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Leading zero bytes are left out (RFC 7252 §3.2).
        let digits = hex.trim_start_matches("00");
        return format!("{before}{digits}{after}");
    }
    if let Some((before, after)) = word.split_once("%szx") {
        let szx = value.parse().unwrap_or(16_u32).max(16).ilog2() - 4;
        return format!("{before}{szx}{after}");
    }
    if let Some((identity, key)) = value.split_once(':')
        && (word.contains("%id") || word.contains("%key"))
    {
        return word.replace("%id", identity).replace("%key", key);
    }
    word.replace('%', value)
}

/// Splits at spaces outside of quotes and braces.
fn split(source: &str) -> Result<Vec<String>, TemplateError> {
    let mut words = Vec::new();
    let mut current: Option<String> = None;
    let (mut quote, mut depth) = (None, 0_usize);
    for c in source.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() && depth == 0 => words.extend(current.take()),
            (None, '{' | '}') => {
                depth = if c == '{' {
                    depth + 1
                } else {
                    depth.saturating_sub(1)
                };
                current.get_or_insert_default().push(c);
            }
            _ => current.get_or_insert_default().push(c),
        }
    }
    words.extend(current);
    if quote.is_some() || depth > 0 {
        return Err(TemplateError(
            "the command has a quote or brace that is not closed".into(),
        ));
    }
    Ok(words)
}

fn word(word: String) -> Result<Word, TemplateError> {
    let group = word.strip_prefix('{').and_then(|word| word.strip_suffix('}'));
    let Some((name, words)) = group.and_then(|group| group.split_once(':')) else {
        check_plain(&word)?;
        return Ok(Word::Plain(word));
    };
    if !WISHES.contains(&name) {
        return Err(unknown(&format!("{name}:…")));
    }
    let words = split(words)?;
    check_values(name, &words)?;
    Ok(Word::Group(name.to_owned(), words))
}

/// Braces of a word that is no group have one of the known names in them.
fn check_plain(word: &str) -> Result<(), TemplateError> {
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}').filter(|_| !before.contains('}')) else {
            return Err(unpaired());
        };
        if !PLACES.contains(&name) {
            return Err(unknown(name));
        }
        rest = after;
    }
    if rest.contains('}') {
        Err(unpaired())
    } else {
        Ok(())
    }
}

/// A value has a place, in a form that fits it; what has no value has no place for one.
fn check_values(name: &str, words: &[String]) -> Result<(), TemplateError> {
    let has = |form: &str| words.iter().any(|word| word.contains(form));
    let fault = if words.is_empty() {
        "no words"
    } else if has("{") || has("}") {
        "braces in it"
    } else if VALUED.contains(&name) && !has("%") {
        "no % where the value is to stand"
    } else if has("%szx") && name != "block" {
        "%szx, which is for {block:…} alone"
    } else if has("%hex") && !["format", "accept", "block", "observe"].contains(&name) {
        "%hex, which is for numbers"
    } else {
        return Ok(());
    };
    Err(TemplateError(format!("{{{name}:…}} has {fault}")))
}

fn unknown(name: &str) -> TemplateError {
    let (places, groups) = (PLACES.join("}, {"), WISHES.join(":…}, {"));
    TemplateError(format!(
        "{{{name}}} is unknown; there are {{{places}}} and {{{groups}:…}}"
    ))
}

fn unpaired() -> TemplateError {
    TemplateError("the command has a brace without its partner".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_put_where_the_template_has_them() {
        let template = Template::parse("c -m {method} {payload:-e %} {non:-N} '{uri}' \"a b\"").unwrap();
        let put = Stimulus::new("put", "/x?a=b").with("payload", "two words");
        let line = template.expand(&put, "coap", "127.0.0.1:5683").unwrap();
        assert_eq!(
            line,
            [
                "c",
                "-m",
                "put",
                "-e",
                "two words",
                "coap://127.0.0.1:5683/x?a=b",
                "a b"
            ]
        );
    }

    #[test]
    fn what_a_template_has_no_place_for_is_named() {
        let template = Template::parse("c {uri}").unwrap();
        assert_eq!(
            template
                .expand(&Stimulus::new("put", "/"), "coap", "h")
                .unwrap_err(),
            "{method}"
        );
        assert_eq!(
            template
                .expand(&Stimulus::get("/").non(), "coap", "h")
                .unwrap_err(),
            "{non:…}"
        );
        assert!(template.expand(&Stimulus::get("/"), "coap", "h").is_ok());
    }

    #[test]
    fn faults_are_told() {
        let fault = |command: &str| Template::parse(command).unwrap_err().to_string();
        for (bad, why) in [
            ("c", "no {uri}"),
            ("c {uri", "not closed"),
            ("c '{uri}", "not closed"),
            ("c {uri} }", "without its partner"),
            ("c }{uri}", "without its partner"),
            ("c {uri} {colour:-c %}", "{colour:…} is unknown"),
            (
                "c {uri} {METHOD}",
                "{METHOD} is unknown; there are {uri}, {method}",
            ),
            ("c {uri} -m={METHOD}", "{METHOD} is unknown"),
            ("c {uri} {payload -e %}", "{payload -e %} is unknown"),
            ("c {uri} {payload:-e}", "no %"),
            ("c {uri} {block:-b}", "no %"),
            ("c {uri} {non:}", "no words"),
            ("c {uri} {payload:-e {method}}", "braces"),
            ("c {uri} {payload:-e %szx}", "%szx"),
            ("c {uri} {etag:-e %hex}", "%hex"),
        ] {
            assert!(fault(bad).contains(why), "{bad}: {}", fault(bad));
        }
        assert!(Template::parse("c -u={uri} {observe:--observe} {block:-b %szx} x%y").is_ok());
    }

    #[test]
    fn known_clients_can_be_read() {
        assert!(Template::names().all(|name| Template::named(name).is_some()));
    }

    /// What a known client is told, and the name of the first wish that it cannot be told.
    fn told(name: &str, stimulus: &Stimulus) -> Result<String, String> {
        let arguments = Template::named(name).unwrap().expand(stimulus, "coap", "h")?;
        Ok(arguments.join(" "))
    }

    #[test]
    fn numbers_are_written_as_the_client_wants_them() {
        let get = Stimulus::get("/x").with("accept", 41).with("block", 64);
        let coracle = "coracle get coap://h/x -a 41 --block-size 64";
        assert_eq!(told("coracle", &get).unwrap(), coracle);
        let libcoap = "coap-client-notls -B 90 -m get -A 41 -b 64 coap://h/x";
        assert_eq!(told("coap-client", &get).unwrap(), libcoap);
        let aiocoap = "aiocoap-client -m get --accept 41 --payload-initial-szx 2 coap://h/x";
        assert_eq!(told("aiocoap-client", &get).unwrap(), aiocoap);
        assert_eq!(told("coap", &get).unwrap(), "coap get -O 17,0x29 -b 2 coap://h/x");
        let put = Stimulus::new("put", "/x").text("t");
        assert_eq!(told("coap", &put).unwrap(), "coap put -p t -O 12,0x coap://h/x");
    }

    #[test]
    fn observations_and_pings_are_verbs_of_some_clients() {
        let observe = Stimulus::get("/x").observe_for(4);
        let coracle = "coracle observe coap://h/x --duration 4";
        assert_eq!(told("coracle", &observe).unwrap(), coracle);
        let libcoap = "coap-client-notls -B 90 -m get -s 4 coap://h/x";
        assert_eq!(told("coap-client", &observe).unwrap(), libcoap);
        let ping = Stimulus::ping();
        assert_eq!(told("coracle", &ping).unwrap(), "coracle ping coap://h/ -c 1");
        assert_eq!(told("coap", &ping).unwrap_err(), "{ping:…}");
        let custom = Template::parse("c {verb} {uri}").unwrap();
        assert_eq!(
            custom.expand(&ping, "coap", "h").unwrap(),
            ["c", "ping", "coap://h/"]
        );
    }
}
