//! The Merkle tree of a log (RFC 6962) as its right edge: what must be known to append a leaf and name the root.

use std::io;

use tlog_tiles::{Error as TlogError, HASH_SIZE, Hash, HashReader, Tile, record_hash, tree_hash};

/// Levels of the tree in one tile: 256 hashes, as C2SP tlog-tiles has it.
pub(super) const HEIGHT: u8 = 8;
const FULL: usize = 1 << HEIGHT;

/// A tile and its hashes, one after another.
pub(super) type Filled = (Tile, Vec<u8>);

/// The tree over all lines so far. Small, whatever its size: at most 8 KB a level of tiles.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    size: u64,
    /// The hashes of each level's last tile, as long as it is not full.
    edge: Vec<Vec<u8>>,
}

/// The leaf that `line`, without its break, is.
pub(super) fn leaf(line: &[u8]) -> Hash {
    record_hash(line)
}

impl Tree {
    /// The tree over the first `size` lines, from the tiles of a log of which `published` lines are published; `None`
    /// when one that is needed is missing. Whether they are right, the root tells.
    ///
    /// # Errors
    /// Those of `tile`.
    pub(super) fn of_tiles(
        size: u64,
        published: u64,
        tile: impl Fn(&Tile) -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<Self>> {
        let mut edge = Vec::new();
        for level in 0_u8..8 {
            let [here, there] =
                [size, published].map(|lines| lines >> (u32::from(HEIGHT) * u32::from(level)));
            if here == 0 {
                break;
            }
            let number = here >> HEIGHT;
            let width = if there >> HEIGHT > number { 1 << HEIGHT } else { there % (1 << HEIGHT) };
            let needed = here % (1 << HEIGHT);
            let mut hashes = Vec::with_capacity(FULL * HASH_SIZE);
            if needed > 0 {
                let wide = u32::try_from(width).unwrap_or(1 << HEIGHT);
                let Some(found) = tile(&Tile::new(HEIGHT, level, number, wide, false))? else {
                    return Ok(None);
                };
                let Some(found) = found.get(..bytes(needed)) else { return Ok(None) };
                hashes.extend_from_slice(found);
            }
            edge.push(hashes);
        }
        Ok(Some(Self { size, edge }))
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; returns the tiles that became full by it.
    pub(super) fn push(&mut self, leaf: Hash) -> Vec<Filled> {
        self.size += 1;
        let mut full = Vec::new();
        let mut hash = leaf;
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.edge.len() == at {
                self.edge.push(Vec::with_capacity(FULL * HASH_SIZE));
            }
            self.edge[at].extend_from_slice(&hash.0);
            if self.edge[at].len() < FULL * HASH_SIZE {
                break;
            }
            let hashes = std::mem::take(&mut self.edge[at]);
            hash = Tile::subtree_hash(&hashes);
            let number = (self.size >> shift(level)) - 1;
            full.push((Tile::new(HEIGHT, level, number, 1 << HEIGHT, false), hashes));
        }
        full
    }

    /// The last tile of each level, where it is not full.
    pub(super) fn partial(&self) -> Vec<Filled> {
        let levels = (0_u8..).zip(&self.edge).filter(|(_, hashes)| !hashes.is_empty());
        levels
            .filter_map(|(level, hashes)| {
                let width = u32::try_from(hashes.len() / HASH_SIZE).ok()?;
                let tile = Tile::new(HEIGHT, level, self.size >> shift(level), width, false);
                Some((tile, hashes.clone()))
            })
            .collect()
    }

    /// # Errors
    /// None that can be met: the edge holds what the root is made of.
    pub(super) fn root(&self) -> Result<Hash, TlogError> {
        tree_hash(self.size, self)
    }
}

/// Of so many hashes of one tile.
fn bytes(hashes: u64) -> usize {
    usize::try_from(hashes).unwrap_or(FULL) * HASH_SIZE
}

/// How many levels of the tree lie below the tiles above this one.
fn shift(level: u8) -> u32 {
    u32::from(HEIGHT) * (u32::from(level) + 1)
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TlogError> {
        let one = |index: &u64| {
            let tile = Tile::from_index(HEIGHT, *index);
            let is_edge = tile.level_index() == self.size >> shift(tile.level());
            let hashes = self.edge.get(usize::from(tile.level())).filter(|_| is_edge);
            tile.hash_at_index(hashes.ok_or(TlogError::IndexesNotInTree)?, *index)
        };
        indexes.iter().map(one).collect()
    }
}

/// The path of a tile as C2SP tlog-tiles has it: the height, which is always 8 there, is not part of it.
pub(super) fn path(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use tlog_tiles::{
        Error as TlogError, HASH_SIZE, Hash, HashReader, check_tree, prove_tree, stored_hash_index,
        stored_hashes, tree_hash,
    };

    use super::{Tree, leaf, path};

    /// Every hash of a tree, as the library stores them.
    #[derive(Default)]
    struct All(Vec<Hash>);

    impl HashReader for All {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TlogError> {
            Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
        }
    }

    #[test]
    fn its_root_is_the_librarys_and_later_roots_contain_earlier_ones() {
        let (mut tree, mut all) = (Tree::default(), All::default());
        assert_eq!(tree.root().unwrap(), tree_hash(0, &all).unwrap());
        let mut early = None;
        for number in 0..70_000_u64 {
            let line = format!("line {number}");
            let hashes = stored_hashes(number, line.as_bytes(), &all).unwrap();
            assert_eq!(stored_hash_index(0, number), u64::try_from(all.0.len()).unwrap());
            all.0.extend(hashes);
            tree.push(leaf(line.as_bytes()));
            let size = number + 1;
            if size < 600 || size % 1_021 == 0 || size % 65_536 < 2 {
                assert_eq!(tree.root().unwrap(), tree_hash(size, &all).unwrap(), "size {size}");
            }
            if size == 300 {
                early = Some(tree.root().unwrap());
            }
        }
        let proof = prove_tree(70_000, 300, &all).unwrap();
        check_tree(&proof, 70_000, tree.root().unwrap(), 300, early.unwrap()).unwrap();
    }

    #[test]
    fn a_tree_of_tiles_is_the_tree_of_its_lines() {
        let (mut tree, mut tiles) = (Tree::default(), BTreeMap::new());
        let mut earlier = BTreeMap::new();
        for number in 0..66_500_u64 {
            if [1, 255, 256, 300, 65_536, 66_000].contains(&number) {
                earlier.insert(number, tree.clone());
            }
            tiles.extend(
                tree.push(leaf(&number.to_be_bytes()))
                    .into_iter()
                    .map(|(tile, hashes)| (path(&tile), hashes)),
            );
        }
        tiles.extend(tree.partial().into_iter().map(|(tile, hashes)| (path(&tile), hashes)));
        let read = |size| Tree::of_tiles(size, 66_500, |tile| Ok(tiles.get(&path(tile)).cloned())).unwrap();
        earlier.insert(66_500, tree.clone());
        for (size, tree) in earlier {
            let mut made = read(size).unwrap();
            assert_eq!((made.size(), made.root().unwrap()), (size, tree.root().unwrap()), "{size}");
            let mut tree = tree;
            for number in 0..300_u64 {
                assert_eq!(made.push(leaf(&number.to_be_bytes())), tree.push(leaf(&number.to_be_bytes())));
            }
            assert_eq!(made.root().unwrap(), tree.root().unwrap(), "{size} and 300 more");
        }
        tiles.remove("tile/0/259.p/196");
        let read = |size| Tree::of_tiles(size, 66_500, |tile| Ok(tiles.get(&path(tile)).cloned())).unwrap();
        assert!(read(66_500).is_none() && read(66_000).is_some());
    }

    #[test]
    fn tiles_are_where_the_standard_has_them() {
        let mut tree = Tree::default();
        let mut tiles = BTreeMap::new();
        for number in 0..600_u64 {
            for (tile, hashes) in tree.push(leaf(number.to_string().as_bytes())) {
                tiles.insert(path(&tile), hashes.len() / HASH_SIZE);
            }
        }
        tiles.extend(tree.partial().iter().map(|(tile, hashes)| (path(tile), hashes.len() / HASH_SIZE)));
        let expected =
            [("tile/0/000", 256), ("tile/0/001", 256), ("tile/0/002.p/88", 88), ("tile/1/000.p/2", 2)];
        assert_eq!(tiles, expected.map(|(path, width)| (path.to_owned(), width)).into());
    }
}
