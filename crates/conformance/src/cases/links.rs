//! Reads link-format (RFC 6690 §2), strictly and for the judge alone.

/// A link: its target and its attributes, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    /// What stands between `<` and `>`.
    pub(super) target: String,
    /// Names and values; a name without `=` has an empty value.
    pub(super) attributes: Vec<(String, String)>,
}

impl Link {
    /// The value of its first attribute of a name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The values of an attribute that may have several, separated by blanks.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let value = self.attribute(name).unwrap_or_default();
        value.split(' ').filter(|value| !value.is_empty()).collect()
    }
}

/// All links of a payload, or what stands where something else was expected.
pub(super) fn read(payload: &[u8]) -> Result<Vec<Link>, String> {
    let text = str::from_utf8(payload).map_err(|error| error.to_string())?;
    let mut rest = text;
    let mut links = Vec::new();
    while !rest.is_empty() {
        if !links.is_empty() {
            rest = after(rest, ',')?;
        }
        let (target, behind) = until(after(rest, '<')?, '>')?;
        let mut link = Link {
            target: target.to_owned(),
            attributes: Vec::new(),
        };
        rest = behind;
        while rest.starts_with(';') {
            let (attribute, behind) = attribute(after(rest, ';')?)?;
            link.attributes.push(attribute);
            rest = behind;
        }
        links.push(link);
    }
    Ok(links)
}

/// A name, or a name with a token or a quoted string.
fn attribute(text: &str) -> Result<((String, String), &str), String> {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if name.is_empty() {
        return Err(format!("no name of an attribute at \"{text}\""));
    }
    let Some(rest) = rest.strip_prefix('=') else {
        return Ok(((name.to_owned(), String::new()), rest));
    };
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = rest.find([';', ',']).unwrap_or(rest.len());
            let (token, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if token.is_empty() {
                return Err(format!("no value of {name}"));
            }
            (token.to_owned(), rest)
        }
    };
    Ok(((name.to_owned(), value), rest))
}

/// What stands before the closing quote, and what behind it.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    Err("no closing quote".to_owned())
}

fn after(text: &str, sign: char) -> Result<&str, String> {
    let rest = text.strip_prefix(sign);
    rest.ok_or_else(|| format!("no '{sign}' at \"{text}\""))
}

fn until(text: &str, sign: char) -> Result<(&str, &str), String> {
    let parts = text.split_once(sign);
    parts.ok_or_else(|| format!("no '{sign}' in \"{text}\""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        let links = read(br#"</a>;rt="x y";obs;ct=40;title="a, \"b\"; c",</b?c>"#).unwrap();
        assert_eq!(links[0].target, "/a");
        assert_eq!(links[0].values("rt"), ["x", "y"]);
        assert_eq!(links[0].attribute("obs"), Some(""));
        assert_eq!(links[0].attribute("CT"), Some("40"));
        assert_eq!(links[0].attribute("title"), Some("a, \"b\"; c"));
        assert_eq!(links[1].target, "/b?c");
        assert_eq!((links.len(), links[1].attribute("rt")), (2, None));
        assert_eq!(read(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_link_is_not_read() {
        for text in [
            "/a",
            "</a",
            "</a>,",
            "</a> </b>",
            "</a>;",
            "</a>;rt=",
            "</a>;rt=\"x",
            "</a>;=x",
            ",</a>",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(b"</\xff>").is_err());
    }
}
