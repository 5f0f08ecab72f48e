//! The store as resources.

use std::sync::Arc;

use coracle::prelude::*;
use coracle::router::Observed;

use super::{Refusal, Store};
use crate::serve::access::{Access, refuse};
use crate::serve::window::{Asked, part};

/// Where the store is.
const BASE: &str = "/store";

/// The routes of a store.
pub(in crate::serve) fn router(store: Arc<Store>, access: Access) -> Router {
    let listed = store.clone();
    let limit = store.limits().item_bytes;
    let (list, item) = match access {
        Access::Write => (
            get(list).post(create),
            get(read).put(write).delete(remove).body_limit(limit),
        ),
        Access::ReadOnly => (get(list).post(refuse), get(read).put(refuse).delete(refuse)),
    };
    let list = list
        .rt("store")
        .title("POST makes an item, PUT to /store/NAME too")
        .content_format(ContentFormat::LINK_FORMAT)
        .observable()
        .body_limit(limit);
    // Conditions are checked with the store locked, so that nobody changes the item between check and write.
    let item = item.conditional().links(move |base| listed.links(base));
    let routes = Router::new().route("/", list).route("/{name}", item);
    Router::new().nest(BASE, routes.with_state(store))
}

async fn list(State(store): State<Arc<Store>>) -> Observed<(ContentFormat, String)> {
    let (observable, links) = store.list(BASE);
    Observed(observable, (ContentFormat::LINK_FORMAT, links))
}

async fn create(
    State(store): State<Arc<Store>>,
    options: OptionsBuf,
    content: Bytes,
) -> Result<Created, Refusal> {
    let (name, written) = store.create(&content, options.as_options().content_format())?;
    Ok(Created::at(&format!("{BASE}/{name}")).with_etag(&written.etag))
}

async fn read(
    State(store): State<Arc<Store>>,
    Path(name): Path<String>,
    at_hand: PartLen,
    options: OptionsBuf,
) -> Result<Response, Rejection> {
    let item = store.read(&name).ok_or(Rejection::NotFound)?;
    let response = part(&item.content, Asked::of(&options, at_hand))
        .with_etag(&item.etag)
        .observed(item.observable);
    Ok(match item.format {
        Some(format) => response.with_content_format(format),
        None => response,
    })
}

async fn write(
    State(store): State<Arc<Store>>,
    Path(name): Path<String>,
    conditions: Preconditions,
    options: OptionsBuf,
    content: Bytes,
) -> Result<Response, Refusal> {
    let format = options.as_options().content_format();
    let written = store.write(&name, &content, format, &conditions)?;
    let status = if written.created {
        Status::CREATED
    } else {
        Status::CHANGED
    };
    Ok(Response::new(status).with_etag(&written.etag))
}

async fn remove(
    State(store): State<Arc<Store>>,
    Path(name): Path<String>,
    conditions: Preconditions,
) -> Result<Deleted, Refusal> {
    store.delete(&name, &conditions)?;
    Ok(Deleted)
}

#[cfg(test)]
mod tests {
    use coracle::router::Observable;

    use super::*;
    use crate::serve::store::Limits;

    fn site(access: Access) -> Router {
        let limits = Limits {
            items: 10,
            bytes: 1 << 20,
            item_bytes: 10_000,
        };
        router(Arc::new(Store::new(limits)), access)
    }

    async fn status(site: &Router, request: Request) -> Status {
        site.oneshot(request).await.status
    }

    fn etag(response: &Response) -> Vec<u8> {
        response.options.get(OptionNumber::ETAG).unwrap().to_vec()
    }

    #[tokio::test]
    async fn an_item_is_made_read_changed_and_deleted() {
        let site = site(Access::Write);
        let put = |content: &'static str| Request::put("/store/a").with_payload(content);
        assert_eq!(status(&site, Request::get("/store/a")).await, Status::NOT_FOUND);
        let made = site
            .oneshot(put("one").with_content_format(ContentFormat::JSON))
            .await;
        assert_eq!(made.status, Status::CREATED);
        let read = site.oneshot(Request::get("/store/a")).await;
        assert_eq!((read.status, &read.payload[..]), (Status::CONTENT, &b"one"[..]));
        assert_eq!(read.content_format(), Some(ContentFormat::JSON));
        assert_eq!(etag(&read), etag(&made));
        assert_eq!(status(&site, put("two")).await, Status::CHANGED);
        let read = site.oneshot(Request::get("/store/a")).await;
        assert_eq!((&read.payload[..], read.content_format()), (&b"two"[..], None));
        assert_eq!(status(&site, Request::delete("/store/a")).await, Status::DELETED);
        assert_eq!(status(&site, Request::delete("/store/a")).await, Status::DELETED);
        assert_eq!(status(&site, Request::get("/store/a")).await, Status::NOT_FOUND);
    }

    #[tokio::test]
    async fn post_tells_where_the_item_is() {
        let site = site(Access::Write);
        let made = site.oneshot(Request::post("/store").with_payload("x")).await;
        assert_eq!(made.status, Status::CREATED);
        let location = made.options.as_options().location().unwrap().unwrap();
        assert_eq!(location, "/store/1");
        assert_eq!(site.oneshot(Request::get(&location)).await.payload, "x");
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let site = site(Access::Write);
        let made = site.oneshot(Request::put("/store/a").with_payload("x")).await;
        let known = Request::get("/store/a").with_option(OptionNumber::ETAG, &etag(&made));
        let valid = site.oneshot(known).await;
        assert_eq!((valid.status, valid.payload.len()), (Status::VALID, 0));
    }

    /// RFC 7252 §5.10.8.
    #[tokio::test]
    async fn conditions_are_heeded() {
        let site = site(Access::Write);
        let put = || Request::put("/store/a").with_payload("x");
        let failed = Status::PRECONDITION_FAILED;
        assert_eq!(
            status(&site, put().with_option(OptionNumber::IF_MATCH, b"")).await,
            failed
        );
        let once = || put().with_option(OptionNumber::IF_NONE_MATCH, b"");
        let made = site.oneshot(once()).await;
        assert_eq!(made.status, Status::CREATED);
        assert_eq!(status(&site, once()).await, failed);
        let other = put().with_option(OptionNumber::IF_MATCH, b"other");
        assert_eq!(status(&site, other).await, failed);
        let delete = Request::delete("/store/a").with_option(OptionNumber::IF_MATCH, b"other");
        assert_eq!(status(&site, delete).await, failed);
        let same = put().with_option(OptionNumber::IF_MATCH, &etag(&made));
        assert_eq!(status(&site, same).await, Status::CHANGED);
    }

    #[tokio::test]
    async fn only_reading_is_allowed_without_write() {
        let site = site(Access::ReadOnly);
        for request in [
            Request::put("/store/a"),
            Request::post("/store"),
            Request::delete("/store/a"),
        ] {
            let refused = site.oneshot(request.with_payload("x")).await;
            assert_eq!(refused.status, Status::FORBIDDEN);
            assert_eq!(refused.payload, "read-only: start with --write");
        }
        assert_eq!(status(&site, Request::get("/store")).await, Status::CONTENT);
    }

    #[tokio::test]
    async fn items_are_listed_and_discovered() {
        let site = site(Access::Write);
        let put = Request::put("/store/a").with_payload("{}");
        let put = put.with_content_format(ContentFormat::JSON);
        assert_eq!(status(&site, put).await, Status::CREATED);
        let listed = site.oneshot(Request::get("/store")).await;
        assert_eq!(listed.payload, "</store/a>;ct=50;sz=2;obs");
        assert_eq!(listed.content_format(), Some(ContentFormat::LINK_FORMAT));
        let found = site.oneshot(Request::get("/.well-known/core?ct=50")).await;
        assert_eq!(found.payload, "</store/a>;ct=50;sz=2;obs");
    }

    #[tokio::test]
    async fn items_and_the_list_can_be_observed() {
        let site = site(Access::Write);
        assert_eq!(status(&site, Request::put("/store/a")).await, Status::CREATED);
        for path in ["/store", "/store/a"] {
            let observable = site.oneshot(Request::get(path)).await.observe;
            let observable: Observable = observable.unwrap();
            let news = Arc::new(News::default());
            let sink: Arc<dyn coracle::router::ChangeSink> = news.clone();
            observable.subscribe(&sink);
            assert_eq!(news.count(), 0, "{path}");
            assert_eq!(status(&site, Request::put("/store/a")).await, Status::CHANGED);
            assert_eq!(news.count(), 1, "{path}");
            assert_eq!(status(&site, Request::delete("/store/a")).await, Status::DELETED);
            assert_eq!(news.count(), 2, "{path}");
            assert_eq!(status(&site, Request::put("/store/a")).await, Status::CREATED);
        }
    }

    #[derive(Default)]
    struct News(std::sync::atomic::AtomicUsize);

    impl News {
        fn count(&self) -> usize {
            self.0.load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    impl coracle::router::ChangeSink for News {
        fn changed(&self, _: coracle::engine::Topic) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_long_item_is_given_in_parts() {
        let site = site(Access::Write);
        let content: Vec<u8> = (0..5000_u32).map(|i| (i % 251) as u8).collect();
        let put = Request::put("/store/a").with_payload(content.clone());
        assert_eq!(status(&site, put).await, Status::CREATED);
        let read = site
            .oneshot(Request::get("/store/a").with_option(OptionNumber::BLOCK2, b"\x46"))
            .await;
        assert_eq!(
            read.window.map(|window| (window.offset, window.total)),
            Some((4096, 5000))
        );
        assert_eq!(read.payload, content[4096..]);
    }
}
