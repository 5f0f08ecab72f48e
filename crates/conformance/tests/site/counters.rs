//! `/counter`.

use super::*;

#[tokio::test]
async fn counters_count_by_name() {
    let site = site();
    for path in ["/counter", "/counter/a", "/counter/b"] {
        assert_eq!(
            ask(&site, Request::get(path)).await,
            (Status::CONTENT, "0".into())
        );
        for count in ["1", "2", "3"] {
            let counted = ask(&site, Request::post(path)).await;
            assert_eq!(counted, (Status::CHANGED, count.into()));
        }
    }
    for _ in 0..2 {
        let put = Request::put("/counter/a").with_payload("17");
        assert_eq!(status(&site, put).await, Status::CHANGED);
        assert_eq!(ask(&site, Request::get("/counter/a")).await.1, "17");
    }
    let nonsense = Request::put("/counter/a").with_payload("many");
    assert_eq!(status(&site, nonsense).await, Status::BAD_REQUEST);
    assert_eq!(
        status(&site, Request::delete("/counter/a")).await,
        Status::DELETED
    );
    assert_eq!(ask(&site, Request::get("/counter/a")).await.1, "0");
    assert_eq!(ask(&site, Request::get("/counter/b")).await.1, "3");
}

#[tokio::test]
async fn the_counter_that_was_not_changed_for_longest_is_forgotten() {
    let site = site();
    for name in 0..256 {
        ask(&site, Request::post(&format!("/counter/{name}"))).await;
    }
    ask(&site, Request::post("/counter/0")).await;
    ask(&site, Request::post("/counter/new")).await;
    for (name, count) in [("0", "2"), ("1", "0"), ("2", "1"), ("new", "1")] {
        let request = Request::get(&format!("/counter/{name}"));
        assert_eq!(ask(&site, request).await.1, count, "{name}");
    }
}
