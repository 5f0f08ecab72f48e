//! All cases, and how some of them are chosen.

use std::fmt;

use crate::case::{Case, Role};
use crate::transport::Transport;
use crate::{cases, plugtests};

/// All cases for both roles: those of the plugtests, then ours.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = plugtests::cases(&cases::plugtests());
    all.extend(cases::ours());
    all
}

/// A pattern that fits no case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchCase {
    pattern: String,
    near: Vec<&'static str>,
}

impl fmt::Display for NoSuchCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no case fits {:?}", self.pattern)?;
        match self.near.as_slice() {
            [] => Ok(()),
            near => write!(f, "; there are {}, …", near.join(", ")),
        }
    }
}

impl std::error::Error for NoSuchCase {}

/// Those of some cases that are for a transport.
#[must_use]
pub fn over(transport: Transport, cases: Vec<Case>) -> Vec<Case> {
    let mut cases = cases;
    cases.retain(|case| case.over.contains(&transport));
    cases
}

/// The cases for a role, those that fit `only` (all if it is empty) and not `skip`.
///
/// A pattern is an id, with or without `TD_COAP_`, its beginning of four letters or more, or a group, in any case of
/// letters; `*` stands for anything.
///
/// # Errors
/// If a pattern fits no case of the role.
pub fn select(role: Role, only: &[String], skip: &[String]) -> Result<Vec<Case>, NoSuchCase> {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.role() == role).collect();
    for pattern in only.iter().chain(skip) {
        if !cases.iter().any(|case| fits(pattern, case)) {
            return Err(NoSuchCase {
                pattern: pattern.clone(),
                near: near(pattern, &cases),
            });
        }
    }
    let any = |patterns: &[String], case: &Case| patterns.iter().any(|pattern| fits(pattern, case));
    let chosen = cases
        .into_iter()
        .filter(|case| only.is_empty() || any(only, case));
    Ok(chosen.filter(|case| !any(skip, case)).collect())
}

fn fits(pattern: &str, case: &Case) -> bool {
    let (pattern, id) = (pattern.to_ascii_lowercase(), case.id.to_ascii_lowercase());
    let short = id.strip_prefix("td_coap_").unwrap_or(&id);
    // Short beginnings would fit half of all by accident.
    let begins = |id: &str| pattern.len() >= 4 && id.starts_with(&pattern);
    glob(pattern.as_bytes(), id.as_bytes())
        || glob(pattern.as_bytes(), short.as_bytes())
        || begins(&id)
        || begins(short)
        || pattern.eq_ignore_ascii_case(case.group())
}

/// `*` stands for any bytes. The shortest way for each star is enough, so that this never goes back more than one.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let found = (0..=rest.len()).find_map(|at| rest.get(at..)?.strip_prefix(part));
        let Some(after) = found else {
            return false;
        };
        rest = after;
    }
    true
}

/// A few ids that share the beginning of a pattern.
fn near(pattern: &str, cases: &[Case]) -> Vec<&'static str> {
    let lower = pattern.to_ascii_lowercase();
    let common = |case: &&Case| {
        let id = case.id.to_ascii_lowercase();
        let short = id.strip_prefix("td_coap_").unwrap_or(&id).to_owned();
        let same = |id: &str| id.bytes().zip(lower.bytes()).take_while(|(a, b)| a == b).count();
        same(&id).max(same(&short))
    };
    let Some(best) = cases.iter().map(|case| common(&case)).max() else {
        return Vec::new();
    };
    let nearest = cases.iter().filter(|case| best > 0 && common(case) == best);
    nearest.take(3).map(|case| case.id).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn ids(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|&pattern| pattern.to_owned()).collect();
        let cases = select(Role::Server, &only, &[]).unwrap();
        cases.iter().map(|case| case.id).collect()
    }

    #[test]
    fn a_name_belongs_to_one_case_of_a_role() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert((case.id, case.role())), "{} is there twice", case.id);
        }
    }

    #[test]
    fn every_case_says_what_it_shows_and_where_that_stands() {
        for case in all() {
            assert!(!case.objective.is_empty(), "{}", case.id);
            assert!(
                !case.references.is_empty() || case.id.starts_with("TD_"),
                "{}",
                case.id
            );
            let judged = !matches!(case.judge, crate::case::Judge::NotYet(..));
            assert!(!judged || !case.steps.is_empty(), "{} has no steps", case.id);
        }
    }

    #[test]
    fn cases_are_chosen_by_name_short_name_group_and_star() {
        assert_eq!(ids(&["td_coap_core_01"]), ["TD_COAP_CORE_01"]);
        assert_eq!(ids(&["CORE_01"]), ["TD_COAP_CORE_01"]);
        assert_eq!(ids(&["core_0*"]).len(), 9);
        assert_eq!(ids(&["link"]).len(), 9);
        assert_eq!(ids(&["TD_COAP_CORE_0"]).len(), 9);
        assert_eq!(ids(&["CORE_0"]).len(), 9);
        assert!(ids(&["RFC7252-4."]).iter().all(|id| id.starts_with("RFC7252-4.")));
        assert_eq!(ids(&["*_obs_1*"]).len(), 5);
    }

    #[test]
    fn a_pattern_that_fits_nothing_names_near_ones() {
        let error = select(Role::Server, &["core_99".to_owned()], &[]).err().unwrap();
        assert!(error.to_string().contains("TD_COAP_CORE_"), "{error}");
    }

    #[test]
    fn stars_match_anything_between() {
        assert!(glob(b"a*c*e", b"abcde") && glob(b"*", b"") && glob(b"a*", b"a"));
        assert!(!glob(b"a*c", b"ab") && !glob(b"ab", b"abc") && !glob(b"a*b*b", b"ab"));
    }
}
