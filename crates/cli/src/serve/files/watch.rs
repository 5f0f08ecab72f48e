//! Files that peers observe.
//!
//! They are looked at again and again, which needs no more than reading them does: it works on every file system, over
//! networks too, sees files that are replaced by others, and costs one question to the system for each observed file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle::prelude::Notifier;
use coracle::router::Observable;
use tokio::time::MissedTickBehavior;

use super::folder::{Folder, Print};
use super::name::Name;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many files are watched at most. Others are answered without Observe (RFC 7641 §4.1).
const MAX_WATCHED: usize = 4096;

/// The files that are observed, and their states.
#[derive(Default)]
pub(super) struct Watches {
    files: Mutex<HashMap<Name, Watched>>,
}

struct Watched {
    changes: Notifier<()>,
    /// The state that was last seen; `None`: there was no file.
    seen: Option<Print>,
}

impl Watches {
    /// Watches a file that was just read in the state `print`: an observer of what this returns misses no later one.
    /// `None` if too many are watched.
    pub(super) fn watch(&self, name: &Name, print: Print) -> Option<Observable> {
        let mut files = self.lock();
        if files.len() >= MAX_WATCHED && !files.contains_key(name) {
            return None;
        }
        let watched = files.entry(name.clone()).or_insert_with(|| Watched {
            changes: Notifier::new(()),
            seen: Some(print),
        });
        let observable = watched.changes.observable();
        if watched.seen != Some(print) {
            // Others have seen another state; which of the two is newer will be seen when they ask.
            watched.seen = Some(print);
            watched.changes.changed();
        }
        Some(observable)
    }

    /// Looks at all watched files again and again, for as long as it is polled.
    pub(super) async fn run(self: Arc<Self>, folder: Arc<Folder>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.lock().is_empty() {
                continue;
            }
            let (watches, folder) = (self.clone(), folder.clone());
            // A panic there ends one look, not the watch.
            let _ = tokio::task::spawn_blocking(move || watches.look(&folder)).await;
        }
    }

    /// Looks at all watched files once, tells their observers, and forgets those that nobody observes any more.
    fn look(&self, folder: &Folder) {
        let names: Vec<Name> = self.lock().keys().cloned().collect();
        for name in names {
            let print = folder.print(&name);
            let mut files = self.lock();
            let Some(watched) = files.get_mut(&name) else {
                continue;
            };
            if !watched.changes.is_observed() {
                files.remove(&name);
            } else if watched.seen != print {
                watched.seen = print;
                watched.changes.changed();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Watched>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use coracle::engine::Topic;
    use coracle::router::ChangeSink;

    use super::*;
    use crate::console::{ColorChoice, Console};

    #[derive(Default)]
    struct News(AtomicUsize);

    impl ChangeSink for News {
        fn changed(&self, _: Topic) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A watched file, and one who observes it.
    struct Case {
        place: tempfile::TempDir,
        folder: Folder,
        name: Name,
        watches: Watches,
        news: Arc<News>,
    }

    fn case() -> Case {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "1").unwrap();
        let folder =
            Folder::open(place.path(), false, Console::new(false, true, ColorChoice::Never)).unwrap();
        let name = folder.name(&["a".to_owned()]).unwrap();
        Case {
            place,
            folder,
            name,
            watches: Watches::default(),
            news: Arc::default(),
        }
    }

    impl Case {
        fn observe(&self, print: Print) -> Observable {
            let observable = self.watches.watch(&self.name, print).unwrap();
            let sink: Arc<dyn ChangeSink> = self.news.clone();
            observable.subscribe(&sink);
            observable
        }

        fn print(&self) -> Print {
            self.folder.print(&self.name).unwrap()
        }

        fn write(&self, content: &str) {
            fs::write(self.place.path().join("a"), content).unwrap();
        }

        /// How often the observer was told when the file was looked at.
        fn told(&self) -> usize {
            self.watches.look(&self.folder);
            self.news.0.swap(0, Ordering::SeqCst)
        }
    }

    #[test]
    fn observers_are_told_when_a_file_changes_goes_and_comes() {
        let case = case();
        let _observed = case.observe(case.print());
        assert_eq!(case.told(), 0);
        case.write("longer");
        assert_eq!(case.told(), 1);
        assert_eq!(case.told(), 0);
        fs::remove_file(case.place.path().join("a")).unwrap();
        assert_eq!(case.told(), 1);
        case.write("again");
        assert_eq!(case.told(), 1);
    }

    /// The file is read in one state and watched in the next.
    #[test]
    fn a_change_between_reading_and_watching_is_told() {
        let case = case();
        let read = case.print();
        case.write("longer");
        let _observed = case.observe(read);
        assert_eq!(case.told(), 1);
        // Another one reads the present state: nobody has to be told of what the first is told anyway.
        let _other = case.observe(case.print());
        assert_eq!(case.told(), 0);
        // One who read an earlier state is told, and so are the others: too often rather than too seldom.
        let _late = case.observe(read);
        assert!(case.told() >= 1);
    }

    #[test]
    fn what_nobody_observes_is_forgotten() {
        let case = case();
        let observed = case.observe(case.print());
        case.watches.look(&case.folder);
        assert_eq!(case.watches.lock().len(), 1);
        drop(observed);
        case.watches.look(&case.folder);
        assert!(case.watches.lock().is_empty());
    }

    #[test]
    fn only_so_many_files_are_watched() {
        let case = case();
        let print = case.print();
        for number in 0..MAX_WATCHED {
            let name = case.folder.name(&[format!("f{number}")]).unwrap();
            assert!(case.watches.watch(&name, print).is_some());
        }
        assert!(case.watches.watch(&case.name, print).is_none());
        let known = case.folder.name(&["f0".to_owned()]).unwrap();
        assert!(case.watches.watch(&known, print).is_some());
    }
}
