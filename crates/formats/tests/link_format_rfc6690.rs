//! The examples of RFC 6690 §4.1 and §5, and the shapes that the ETSI test descriptions ask for
//! (TD_COAP_LINK_01-09).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use coracle_formats::link_format::{Filter, Link, Links, write_links};

const TWO_SENSORS: &str = r#"</sensors/temp>;if="sensor",</sensors/light>;if="sensor""#;
const SENSORS: &str =
    r#"</sensors/temp>;rt="temperature-c";if="sensor",</sensors/light>;rt="light-lux";if="sensor""#;
const ANCHORED: &str = r#"</sensors>;ct=40;title="Sensor Index",</sensors/temp>;rt="temperature-c";if="sensor",</sensors/light>;rt="light-lux";if="sensor",<http://www.example.com/sensors/t123>;anchor="/sensors/temp";rel="describedby",</t>;anchor="/sensors/temp";rel="alternate""#;
const MANY_TYPES: &str = r#"</sensors/light>;rt="light-lux core.sen-light";if="sensor""#;
const FIRMWARE: &str = r#"</firmware/v2.1>;rt="firmware";sz=262144"#;
const ETSI: &str = r#"</link1>;rt="Type1 Type2";if="If1",</link2>;rt="Type2 Type3";if="If2",</link3>;rt="Type1 Type3";if="foo",</link4>;rt="",</link5>;sz=99,</multi-format>;ct="0 41",</obs>;obs"#;

fn parse(text: &str) -> Links<'_> {
    Links::parse(text).unwrap()
}

/// The targets of the links that pass all of the queries, joined with blanks.
fn filtered(text: &str, queries: &[&str]) -> String {
    let filters: Vec<Filter<'_>> = queries.iter().map(|query| Filter::parse(query)).collect();
    let passing = parse(text)
        .iter()
        .filter(|link| filters.iter().all(|filter| link.matches(filter)));
    let targets: Vec<&str> = passing.map(|link| link.target()).collect();
    let owned = parse(text)
        .iter()
        .map(Link::from)
        .filter(|link| filters.iter().all(|one| link.matches(one)));
    assert_eq!(
        owned.map(|link| link.target().to_owned()).collect::<Vec<_>>(),
        targets,
        "{queries:?}"
    );
    targets.join(" ")
}

#[test]
fn two_sensors_share_an_interface() {
    let links: Vec<_> = parse(TWO_SENSORS).iter().collect();
    assert_eq!(links.len(), 2);
    assert_eq!(links[0].target(), "/sensors/temp");
    assert_eq!(links[1].target(), "/sensors/light");
    for link in links {
        assert_eq!(link.value("if").as_deref(), Some("sensor"));
        assert_eq!(link.value("IF").as_deref(), Some("sensor"));
        assert_eq!(link.value("rt"), None);
        assert_eq!(link.attributes().count(), 1);
    }
}

#[test]
fn line_breaks_between_the_parts_change_nothing() {
    let broken = "</sensors/temp>;if=\"sensor\",\n   </sensors/light>\r\n   ;if=\"sensor\"\n";
    let owned = |text| parse(text).iter().map(Link::from).collect::<Vec<_>>();
    assert_eq!(owned(broken), owned(TWO_SENSORS));
}

#[test]
fn an_index_announces_link_format() {
    let link = parse("</sensors>;ct=40").iter().next().unwrap();
    assert_eq!(link.get("ct").unwrap().value.unwrap().to_u64(), Some(40));
}

#[test]
fn every_example_is_written_as_the_rfc_shows_it() {
    for text in [
        TWO_SENSORS,
        "</sensors>;ct=40",
        SENSORS,
        MANY_TYPES,
        ANCHORED,
        FIRMWARE,
        ETSI,
        "",
    ] {
        let links: Vec<Link> = parse(text).iter().map(Link::from).collect();
        assert_eq!(write_links(&links).unwrap(), text);
    }
}

#[test]
fn a_list_built_by_hand_is_the_example() {
    let links = [
        Link::new("/sensors")
            .attr("ct", "40")
            .attr("title", "Sensor Index"),
        Link::new("/sensors/temp")
            .attr("rt", "temperature-c")
            .attr("if", "sensor"),
        Link::new("/sensors/light")
            .attr("rt", "light-lux")
            .attr("if", "sensor"),
        Link::new("http://www.example.com/sensors/t123")
            .attr("anchor", "/sensors/temp")
            .attr("rel", "describedby"),
        Link::new("/t")
            .attr("anchor", "/sensors/temp")
            .attr("rel", "alternate"),
    ];
    assert_eq!(write_links(&links).unwrap(), ANCHORED);
}

#[test]
fn a_query_selects_by_resource_type() {
    assert_eq!(filtered(SENSORS, &["rt=light-lux"]), "/sensors/light");
    assert_eq!(filtered(MANY_TYPES, &["rt=light-lux"]), "/sensors/light");
    assert_eq!(filtered(MANY_TYPES, &["rt=core.sen-light"]), "/sensors/light");
    assert_eq!(filtered(FIRMWARE, &["rt=firmware"]), "/firmware/v2.1");
    // Each value is an attribute of its own, so that the list as a whole is none.
    assert_eq!(filtered(MANY_TYPES, &["rt=light-lux core.sen-light"]), "");
    assert_eq!(filtered(SENSORS, &["rt=light"]), "");
    assert_eq!(filtered(SENSORS, &["rt=LIGHT-LUX"]), "");
}

#[test]
fn a_query_selects_by_anchor() {
    let found = filtered(ANCHORED, &["anchor=/sensors/temp"]);
    assert_eq!(found, "http://www.example.com/sensors/t123 /t");
}

#[test]
fn the_query_uris_of_section_4_1_match_what_they_say() {
    let text = r#"</foo>;foo=bar,</foo/2>;foo="barley",</bar>;foo,</none>;other=bar"#;
    assert_eq!(filtered(text, &["href=/foo"]), "/foo");
    assert_eq!(filtered(text, &["href=/foo*"]), "/foo /foo/2");
    assert_eq!(filtered(text, &["foo=bar"]), "/foo");
    assert_eq!(filtered(text, &["foo=bar*"]), "/foo /foo/2");
    assert_eq!(filtered(text, &["foo=*"]), "/foo /foo/2 /bar");
    assert_eq!(filtered(text, &["foo"]), "/foo /foo/2 /bar");
    assert_eq!(filtered(text, &["FOO=bar"]), "/foo");
    assert_eq!(filtered(text, &["foo=bar*", "href=/foo/*"]), "/foo/2");
    assert_eq!(filtered(text, &["nothing=*"]), "");
}

#[test]
fn the_etsi_server_is_filtered_as_its_tests_expect() {
    assert_eq!(filtered(ETSI, &["rt=Type1"]), "/link1 /link3", "TD_COAP_LINK_02");
    assert_eq!(
        filtered(ETSI, &["rt=*"]),
        "/link1 /link2 /link3 /link4",
        "TD_COAP_LINK_03"
    );
    assert_eq!(filtered(ETSI, &["rt=Type2"]), "/link1 /link2", "TD_COAP_LINK_04");
    assert_eq!(filtered(ETSI, &["if=If*"]), "/link1 /link2", "TD_COAP_LINK_05");
    assert_eq!(filtered(ETSI, &["sz=*"]), "/link5", "TD_COAP_LINK_06");
    assert_eq!(filtered(ETSI, &["href=/link1"]), "/link1", "TD_COAP_LINK_07");
    assert_eq!(
        filtered(ETSI, &["href=/link*"]),
        "/link1 /link2 /link3 /link4 /link5",
        "TD_COAP_LINK_08"
    );
    assert_eq!(filtered(ETSI, &["ct=41"]), "/multi-format");
    assert_eq!(filtered(ETSI, &["obs"]), "/obs");
}

#[test]
fn a_title_is_one_value_and_only_the_first_counts() {
    let text = r#"</a>;title="Sensor Index";title="Other",</b>;x="1";x="2""#;
    assert_eq!(filtered(text, &["title=Sensor Index"]), "/a");
    assert_eq!(filtered(text, &["title=Sensor"]), "");
    assert_eq!(filtered(text, &["title=Other"]), "");
    assert_eq!(filtered(text, &["x=2"]), "/b");
}

#[test]
fn quoting_is_undone_before_matching() {
    let text = r#"</a>;title="a \"b\"",</b,c;d>;x="p,q;r=<s>",</e>"#;
    assert_eq!(filtered(text, &[r#"title=a "b""#]), "/a");
    assert_eq!(filtered(text, &["x=p,q;r=<s>"]), "/b,c;d");
    assert_eq!(filtered(text, &["href=/*"]), "/a /b,c;d /e");
}

#[test]
fn relative_targets_and_anchors_become_uris() {
    let base = "coap://[2001:db8::1]:61616/.well-known/core?rt=x";
    let resolved: Vec<_> = parse(ANCHORED)
        .iter()
        .map(|link| link.resolve(base).unwrap())
        .collect();
    assert_eq!(resolved[0].target, "coap://[2001:db8::1]:61616/sensors");
    // RFC 6690 §2.1 (c) and (b): the origin is the context where nothing else is said.
    assert_eq!(resolved[0].context, "coap://[2001:db8::1]:61616/");
    assert_eq!(resolved[3].target, "http://www.example.com/sensors/t123");
    assert_eq!(resolved[3].context, "coap://[2001:db8::1]:61616/sensors/temp");
    let far = parse("<coap://other.example/x/y>")
        .iter()
        .next()
        .unwrap()
        .resolve(base)
        .unwrap();
    assert_eq!(far.context, "coap://other.example/");
    let near = Link::new("sub1")
        .attr("ct", "0")
        .resolve("coap://h/path/")
        .unwrap();
    assert_eq!(near.target, "coap://h/path/sub1");
}
