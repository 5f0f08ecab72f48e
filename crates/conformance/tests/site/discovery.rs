//! `TD_COAP_LINK`.

use super::*;

/// The targets of the links that a discovery with this query gives.
async fn found(query: &str) -> Vec<String> {
    let answer = site()
        .oneshot(Request::get(&format!("/.well-known/core?{query}")))
        .await;
    assert_eq!(answer.status, Status::CONTENT);
    assert_eq!(answer.content_format(), Some(ContentFormat::LINK_FORMAT));
    let links = String::from_utf8(answer.payload.to_vec()).unwrap();
    let targets = links.split('<').skip(1);
    targets
        .map(|link| link.split_once('>').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn links_have_the_attributes_of_the_test_descriptions() {
    let (_, links) = ask(&site(), Request::get("/.well-known/core")).await;
    for link in [
        r#"</link1>;rt="Type1 Type2";if="If1","#,
        r#"</link2>;rt="Type2 Type3";if="If2","#,
        r#"</link3>;rt="Type1 Type3";if="foo","#,
        r#"</untyped>;rt="","#,
        "</path>;ct=40,",
        r#";ct="0 41","#,
        r#"</large>;rt="block";sz=1280,"#,
        r#"</large-update>;rt="block";sz=1280,"#,
        r#"</large-create>;rt="block","#,
        r#"</large-post>;rt="block","#,
        r#"</obs>;obs;rt="observe";ct=0,"#,
        r#"</obs-non>;obs;rt="observe","#,
        r#"</obs-large>;obs;rt="observe","#,
        r#"</obs-pumping>;obs;rt="observe","#,
    ] {
        assert!(links.contains(link), "{link} is not in {links}");
    }
    for hidden in ["create1", "location1", "/path/sub", "_"] {
        assert!(!links.contains(hidden), "{hidden} is in {links}");
    }
}

#[tokio::test]
async fn links_are_filtered() {
    assert_eq!(found("rt=Type1").await, ["/link1", "/link3"]);
    assert_eq!(found("rt=Type2").await, ["/link1", "/link2"]);
    assert_eq!(found("if=If*").await, ["/link1", "/link2"]);
    assert_eq!(found("href=/link1").await, ["/link1"]);
    assert_eq!(found("href=/link*").await, ["/link1", "/link2", "/link3"]);
    assert_eq!(
        found("sz=*").await,
        ["/large", "/large-separate", "/large-update"]
    );
    let typed = found("rt=*").await;
    assert!(typed.contains(&"/untyped".into()) && !typed.contains(&"/test".into()));
    assert!(found("ct=40").await.contains(&"/path".into()));
    assert!(found("rt=nothing").await.is_empty());
}

#[tokio::test]
async fn a_folder_links_to_what_is_below() {
    let site = site();
    let folder = site.oneshot(Request::get("/path")).await;
    assert_eq!(folder.content_format(), Some(ContentFormat::LINK_FORMAT));
    assert_eq!(folder.payload, "</path/sub1>,</path/sub2>,</path/sub3>");
    for path in ["/path/sub1", "/path/sub2", "/path/sub3"] {
        assert_eq!(
            ask(&site, Request::get(path)).await,
            (Status::CONTENT, path.into())
        );
    }
}
