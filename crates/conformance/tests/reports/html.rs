//! The page for people.

use coracle_conformance::report::{Report, html};

use crate::hand_made::{hostile_report, report};
use crate::{assert_golden, readable};

/// Elements that have no end (HTML living standard §13.1.2).
pub(crate) const VOID: &[&str] = &["meta", "br", "hr", "img", "link", "input"];

fn page(report: &Report) -> String {
    let mut out = Vec::new();
    html::write(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The page without its style sheet.
pub(crate) fn without_style(page: &str) -> String {
    let (before, rest) = page.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    format!("{before}{after}")
}

/// Every element is ended in the order in which they were begun, every attribute is in double quotes, and there is no
/// `<` or `&` that begins nothing.
pub(crate) fn assert_balanced(text: &str, void: &[&str]) {
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        rest = &rest[at..];
        if let Some(entity) = rest.strip_prefix('&') {
            let end = entity.find(';').unwrap();
            assert!(
                ["amp", "lt", "gt", "quot", "#39"].contains(&&entity[..end]),
                "{}",
                &entity[..end]
            );
            rest = entity;
            continue;
        }
        let end = rest.find('>').unwrap();
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let name = tag.split([' ', '\n']).next().unwrap();
        // Names and values take turns between quotes.
        let (names, end): (Vec<&str>, &str) = match tag[name.len()..].rsplit_once('"') {
            Some((attributes, end)) => (attributes.split('"').step_by(2).collect(), end),
            None => (Vec::new(), &tag[name.len()..]),
        };
        let is_name =
            |name: &&str| name.starts_with(' ') && name.ends_with('=') && !name.contains(['<', '\'']);
        assert!(names.iter().all(is_name) && ["", "/"].contains(&end), "{tag}");
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if tag.ends_with('/') || void.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_page_is_as_it_was_approved() {
    assert_golden("report.html", without_style(&page(&readable())).as_bytes());
}

#[test]
fn the_page_is_well_formed_whatever_the_subject_sends() {
    for report in [report(), hostile_report()] {
        let page = without_style(&page(&report));
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        assert_balanced(body, VOID);
        let steers = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!page.contains(steers));
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = page(&hostile_report());
    for foreign in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "src=",
        "url(",
        "@import",
        "onclick",
        "javascript:",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for (at, _) in page.match_indices("href=\"") {
        assert!(page[at..].starts_with("href=\"#"), "{}", &page[at..at + 40]);
    }
}

#[test]
fn every_link_leads_to_one_place() {
    let page = page(&report());
    for (at, _) in page.match_indices("href=\"#") {
        let target = page[at + 7..].split('"').next().unwrap();
        let places = page.matches(&format!(" id=\"{target}\"")).count();
        assert_eq!(places, 1, "{target}");
    }
    assert_eq!(page.matches("class=\"cell ").count(), 8);
}

#[test]
fn a_flood_does_not_make_the_page_endless() {
    let size = page(&report()).len();
    assert!(size < 100_000, "{size}");
}
