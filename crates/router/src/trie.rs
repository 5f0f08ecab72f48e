//! Finds the route of a path. Literal segments go before captures, captures before wildcards, at each segment.

use std::cmp::Ordering;

use crate::pattern::{Pattern, Segment};

/// A tree of patterns, each with the index of its route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trie {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Sorted by length, then by bytes.
    literals: Vec<(Box<[u8]>, Node)>,
    capture: Option<Box<Node>>,
    /// The route that ends here.
    here: Option<usize>,
    /// The route whose wildcard stands for one more segment or many.
    rest: Option<usize>,
}

impl Trie {
    /// Adds a pattern, or tells which route has the same one.
    pub(crate) fn insert(&mut self, pattern: &Pattern, route: usize) -> Result<(), usize> {
        self.root.insert(pattern.segments(), route)
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
    fn insert(&mut self, segments: &[Segment], route: usize) -> Result<(), usize> {
        let Some((segment, deeper)) = segments.split_first() else {
            return claim(&mut self.here, route);
        };
        match segment {
            Segment::Literal(text) => self.insert_literal(text.as_bytes(), deeper, route),
            Segment::Capture(_) => self.capture.get_or_insert_default().insert(deeper, route),
            Segment::Rest(_) => claim(&mut self.rest, route),
        }
    }

    fn insert_literal(&mut self, text: &[u8], deeper: &[Segment], route: usize) -> Result<(), usize> {
        let place = self.place_of(text).unwrap_or_else(|place| {
            self.literals.insert(place, (text.into(), Node::default()));
            place
        });
        // It is there, because it was found or inserted.
        let node = self.literals.get_mut(place);
        node.map_or(Ok(()), |(_, node)| node.insert(deeper, route))
    }

    fn place_of(&self, segment: &[u8]) -> Result<usize, usize> {
        self.literals
            .binary_search_by(|(text, _)| by_length(text, segment))
    }

    fn literal(&self, segment: &[u8]) -> Option<&Node> {
        let (_, node) = self.literals.get(self.place_of(segment).ok()?)?;
        Some(node)
    }

    fn find<'p>(&self, mut path: impl Iterator<Item = &'p [u8]> + Clone) -> Option<usize> {
        let mut node = self;
        loop {
            let Some(segment) = path.next() else {
                return node.here;
            };
            let literal = node.literal(segment);
            if node.capture.is_none() && node.rest.is_none() {
                // There is one way only, as from most nodes.
                node = literal?;
                continue;
            }
            let found = literal.and_then(|node| node.find(path.clone()));
            let found = found.or_else(|| node.capture.as_ref().and_then(|node| node.find(path)));
            return found.or(node.rest);
        }
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
            .literal(segment)
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

/// Compares lengths first, which most often tells without a look at the bytes.
fn by_length(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
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
