//! Lists of folders, kept for a moment: making one looks at every file in it, and asking for one is a few bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::folder::Print;
use super::name::Name;
use super::refusal::Refusal;

/// How long a list is good although the folder itself did not change: files within it may have grown.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How many lists are kept.
const MAX_LISTS: usize = 64;

/// The lists made last.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<HashMap<Name, Listed>>);

#[derive(Debug)]
struct Listed {
    list: String,
    print: Print,
    made: Instant,
}

impl Lists {
    /// The list of a folder that is in this state, made by `make` where there is none that is good. One list is made
    /// at a time: who asks for the same one meanwhile gets it too.
    pub(super) fn get(
        &self,
        name: &Name,
        print: Print,
        make: impl FnOnce() -> Result<String, Refusal>,
    ) -> Result<String, Refusal> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listed) = lists.get(name)
            && listed.print == print
            && listed.made.elapsed() < GOOD_FOR
        {
            return Ok(listed.list.clone());
        }
        let list = make()?;
        lists.retain(|_, listed| listed.made.elapsed() < GOOD_FOR);
        if lists.len() < MAX_LISTS {
            let listed = Listed {
                list: list.clone(),
                print,
                made: Instant::now(),
            };
            lists.insert(name.clone(), listed);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_list_is_made_once_for_a_state_of_its_folder() {
        let (lists, made) = (Lists::default(), Cell::new(0));
        let make = || {
            made.set(made.get() + 1);
            Ok(made.get().to_string())
        };
        let folder = Name::of(&[], false).unwrap();
        let (before, after) = (Print(1), Print(2));
        assert_eq!(lists.get(&folder, before, make).unwrap(), "1");
        assert_eq!(lists.get(&folder, before, make).unwrap(), "1");
        assert_eq!(lists.get(&folder, after, make).unwrap(), "2");
        assert!(lists.get(&folder, before, || Err(Refusal::Busy)).is_err());
        assert_eq!(made.get(), 2);
    }
}
