//! A pre-shared key as people give it: on the command line, in a file, or in the environment.

use std::fmt;
use std::fs;

use coracle::dtls::Secret;

/// An identity and its key. Neither is shown.
#[derive(Clone)]
pub(crate) struct PreSharedKey {
    pub(crate) identity: Vec<u8>,
    pub(crate) key: Secret,
}

impl fmt::Debug for PreSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreSharedKey")
    }
}

/// `ID:KEY`, or `@FILE` with such a line. The last colon divides them, so that identities may have colons; a key with colons
/// is written as `0x..`. Errors do not show it.
pub(crate) fn parse(text: &str) -> Result<PreSharedKey, String> {
    match text.strip_prefix('@') {
        None => parse_pair(text),
        Some(file) => {
            let read = fs::read_to_string(file).map(|text| Secret::new(text.into_bytes()));
            let read = read.map_err(|error| format!("cannot read {file}: {error}"))?;
            let text = std::str::from_utf8(&read).unwrap_or_default();
            let line = text
                .lines()
                .find(|line| !line.trim().is_empty() && !line.starts_with('#'));
            let pair = line.map(|line| parse_pair(line.trim_end()));
            pair.unwrap_or_else(|| Err("it is empty".to_owned()))
                .map_err(|error| format!("{file}: {error}"))
        }
    }
}

fn parse_pair(text: &str) -> Result<PreSharedKey, String> {
    let (identity, key) = text
        .rsplit_once(':')
        .ok_or("expected IDENTITY:KEY, or @FILE with such a line")?;
    let (identity, key) = (bytes("the identity", identity)?, bytes("the key", key)?);
    Ok(PreSharedKey {
        identity: identity.to_vec(),
        key,
    })
}

fn bytes(what: &str, text: &str) -> Result<Secret, String> {
    let bytes = match text.strip_prefix("0x") {
        None => Secret::new(text.as_bytes().to_vec()),
        Some(digits) => unhex(digits).ok_or(format!(
            "{what}: after 0x come hexadecimal digits, two for each byte"
        ))?,
    };
    match bytes.is_empty() {
        true => Err(format!("{what} is empty")),
        false => Ok(bytes),
    }
}

fn unhex(digits: &str) -> Option<Secret> {
    // Never longer, so that no copy is left behind where it would have grown.
    let mut bytes = Secret::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> (Vec<u8>, Vec<u8>) {
        let psk = parse(text).unwrap();
        (psk.identity, psk.key.to_vec())
    }

    #[test]
    fn the_last_colon_divides_identity_and_key() {
        assert_eq!(pair("meter-7:secret"), (b"meter-7".to_vec(), b"secret".to_vec()));
        assert_eq!(pair("urn:dev:7:0x00fF"), (b"urn:dev:7".to_vec(), vec![0, 0xff]));
        assert_eq!(pair("0x0102:key"), (vec![1, 2], b"key".to_vec()));
    }

    #[test]
    fn a_file_has_it_in_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("psk");
        fs::write(&file, "# made for meter 7\n\nmeter-7:0x0102\n").unwrap();
        assert_eq!(
            pair(&format!("@{}", file.display())),
            (b"meter-7".to_vec(), vec![1, 2])
        );
        fs::write(&file, "\n").unwrap();
        assert!(
            parse(&format!("@{}", file.display()))
                .unwrap_err()
                .contains("it is empty")
        );
        assert!(
            parse("@/nowhere/psk")
                .unwrap_err()
                .starts_with("cannot read /nowhere/psk")
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_and_never_shown() {
        for text in ["", "secret", ":secret", "a:", "a:0xsecret", "a:0x1", "0x:secret"] {
            let told = parse(text).unwrap_err();
            assert!(!told.contains("secret"), "{told}");
        }
        assert_eq!(format!("{:?}", parse("a:secret").unwrap()), "PreSharedKey");
    }
}
