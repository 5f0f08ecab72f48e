//! Finds the route of a path. Literal segments go before captures, captures before wildcards, at each segment.

use std::collections::BTreeMap;

use crate::pattern::{Pattern, Segment};

/// A tree of patterns, each with the index of its route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trie {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: BTreeMap<Box<[u8]>, Node>,
    capture: Option<Box<Node>>,
    /// The route that ends here.
    here: Option<usize>,
    /// The route whose wildcard stands for one more segment or many.
    rest: Option<usize>,
}

impl Trie {
    /// Adds a pattern, or tells which route has the same one.
    pub(crate) fn insert(&mut self, pattern: &Pattern, route: usize) -> Result<(), usize> {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.as_bytes().into()).or_default(),
                Segment::Capture(_) => node.capture.get_or_insert_default(),
                Segment::Rest(_) => return claim(&mut node.rest, route),
            };
        }
        claim(&mut node.here, route)
    }

    /// The route of a path.
    ///
    /// Each node is reached by one way only, so that a search visits no node twice, however many segments come.
    pub(crate) fn find<'p>(&self, path: impl Iterator<Item = &'p [u8]> + Clone) -> Option<usize> {
        self.root.find(path)
    }

    /// The route of the longest pattern that begins the path.
    pub(crate) fn find_prefix<'p>(&self, path: impl Iterator<Item = &'p [u8]> + Clone) -> Option<usize> {
        self.root.find_prefix(path, 0).map(|(_, route)| route)
    }
}

impl Node {
    fn find<'p>(&self, mut path: impl Iterator<Item = &'p [u8]> + Clone) -> Option<usize> {
        let Some(segment) = path.next() else {
            return self.here;
        };
        let literal = self.literals.get(segment);
        let found = literal.and_then(|node| node.find(path.clone()));
        let found = found.or_else(|| self.capture.as_ref().and_then(|node| node.find(path)));
        found.or(self.rest)
    }

    fn find_prefix<'p>(
        &self,
        mut path: impl Iterator<Item = &'p [u8]> + Clone,
        depth: usize,
    ) -> Option<(usize, usize)> {
        let here = self.here.map(|route| (depth, route));
        let Some(segment) = path.next() else {
            return here;
        };
        let literal = self
            .literals
            .get(segment)
            .and_then(|node| node.find_prefix(path.clone(), depth + 1));
        let capture = self
            .capture
            .as_ref()
            .and_then(|node| node.find_prefix(path, depth + 1));
        let deeper = match (literal, capture) {
            (Some(literal), Some(capture)) if capture.0 > literal.0 => Some(capture),
            (literal, capture) => literal.or(capture),
        };
        deeper.or(here)
    }
}

fn claim(place: &mut Option<usize>, route: usize) -> Result<(), usize> {
    match *place {
        Some(taken) => Err(taken),
        None => {
            *place = Some(route);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(patterns: &[&str]) -> Trie {
        let mut trie = Trie::default();
        for (route, pattern) in patterns.iter().enumerate() {
            trie.insert(&Pattern::parse(pattern).unwrap(), route).unwrap();
        }
        trie
    }

    fn find(trie: &Trie, path: &str) -> Option<usize> {
        trie.find(path.split('/').skip(1).filter(|_| path != "/").map(str::as_bytes))
    }

    #[test]
    fn literals_go_before_captures_and_captures_before_wildcards() {
        let trie = trie(&["/a/b", "/a/{x}", "/{*rest}", "/"]);
        assert_eq!(find(&trie, "/a/b"), Some(0));
        assert_eq!(find(&trie, "/a/c"), Some(1));
        assert_eq!(find(&trie, "/a"), Some(2));
        assert_eq!(find(&trie, "/a/b/c"), Some(2));
        assert_eq!(find(&trie, "/"), Some(3));
    }

    #[test]
    fn a_literal_that_leads_nowhere_gives_way_to_a_capture() {
        let trie = trie(&["/a/b", "/{x}/c"]);
        assert_eq!(find(&trie, "/a/c"), Some(1));
        assert_eq!(find(&trie, "/a/d"), None);
        assert_eq!(find(&trie, "/a/b/"), None);
    }

    #[test]
    fn a_pattern_can_be_claimed_once() {
        let mut trie = trie(&["/a/{x}", "/b/{*x}"]);
        assert_eq!(trie.insert(&Pattern::parse("/a/{y}").unwrap(), 9), Err(0));
        assert_eq!(trie.insert(&Pattern::parse("/b/{*y}").unwrap(), 9), Err(1));
    }

    #[test]
    fn the_longest_prefix_wins() {
        let trie = trie(&["/", "/a", "/{x}/b", "/a/b/c"]);
        let find = |path: &str| trie.find_prefix(path.split('/').skip(1).map(str::as_bytes));
        assert_eq!(find("/z"), Some(0));
        assert_eq!(find("/a/z"), Some(1));
        assert_eq!(find("/a/b/z"), Some(2));
        assert_eq!(find("/a/b/c/d"), Some(3));
    }
}
