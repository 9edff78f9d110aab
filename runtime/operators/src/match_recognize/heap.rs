//! The order in which matches of a partition are looked at.

/// A binary heap of matches by where they begin, whose array is looked at as it lies.
///
/// Matches that begin with the same row have no order among themselves but that of the array. Which of them comes first
/// decides between several ways to match the same rows, so the steps are those of Java's priority queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Heap {
    items: Vec<Item>,
}

/// A match and the place of its first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) begins: u64,
    pub(super) number: u32,
}

impl Heap {
    /// In the order of the array.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn peek(&self) -> Option<Item> {
        self.items.first().copied()
    }

    pub(super) fn push(&mut self, item: Item) {
        self.items.push(item);
        let mut place = self.items.len() - 1;
        while place > 0 {
            let parent = (place - 1) / 2;
            if item.begins >= self.items[parent].begins {
                break;
            }
            self.items.swap(place, parent);
            place = parent;
        }
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let first = self.peek()?;
        let last = self.items.pop()?;
        if !self.items.is_empty() {
            self.items[0] = last;
            self.sift_down(0);
        }
        Some(first)
    }

    /// Takes out what `gone` says.
    pub(super) fn remove(&mut self, gone: impl Fn(&Item) -> bool) {
        let before = self.items.len();
        self.items.retain(|item| !gone(item));
        if self.items.len() < before {
            (0..self.items.len() / 2).rev().for_each(|place| self.sift_down(place));
        }
    }

    fn sift_down(&mut self, mut place: usize) {
        let item = self.items[place];
        while place < self.items.len() / 2 {
            let left = 2 * place + 1;
            let right = left + 1;
            let child = match self.items.get(right) {
                Some(other) if self.items[left].begins > other.begins => right,
                _ => left,
            };
            if item.begins <= self.items[child].begins {
                break;
            }
            self.items.swap(place, child);
            place = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(begins: &[u64]) -> Heap {
        let mut heap = Heap::default();
        for (number, begins) in begins.iter().enumerate() {
            heap.push(Item { begins: *begins, number: number as u32 });
        }
        heap
    }

    fn numbers(heap: &Heap) -> Vec<u32> {
        heap.items().iter().map(|item| item.number).collect()
    }

    /// The arrays are those of `java.util.PriorityQueue` with a comparator of the first component.
    #[test]
    fn equal_ones_lie_as_in_java() {
        let mut heap = heap(&[5, 5, 3, 5, 3, 9]);
        assert_eq!(numbers(&heap), [2, 4, 0, 3, 1, 5]);
        assert_eq!(heap.pop().map(|item| item.number), Some(2));
        assert_eq!(numbers(&heap), [4, 3, 0, 5, 1]);
        heap.remove(|item| item.begins == 3);
        assert_eq!(numbers(&heap), [3, 0, 5, 1]);
        heap.remove(|item| item.begins == 4);
        assert_eq!(numbers(&heap), [3, 0, 5, 1]);
        let all: Vec<u32> = std::iter::from_fn(|| heap.pop()).map(|item| item.number).collect();
        assert_eq!(all, [3, 1, 0, 5]);
    }
}
