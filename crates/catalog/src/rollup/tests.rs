#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::single_range_in_vec_init,
    reason = "one range is what is marked"
)]

use super::*;

fn marks(rollup: &Rollup) -> Vec<(i64, i64, u64)> {
    let marks = rollup.invalid.iter();
    marks
        .map(|mark| (mark.range.start, mark.range.end, mark.seq))
        .collect()
}

fn marked(ranges: &[Range<i64>]) -> Rollup {
    let mut rollup = Rollup::new(TableId(1), TableId(2));
    for range in ranges {
        rollup.invalidate(range);
    }
    rollup
}

#[test]
fn a_new_mark_takes_its_place_from_older_ones() {
    assert_eq!(
        marks(&marked(&[0..100, 40..50, 90..120])),
        [(0, 40, 0), (40, 50, 1), (50, 90, 0), (90, 120, 2)]
    );
    assert_eq!(marks(&marked(&[10..20, 30..40, 0..50])), [(0, 50, 2)]);
    assert_eq!(marks(&marked(&[10..20, 10..20])), [(10, 20, 1)]);
    assert_eq!(marks(&marked(&[10..10])), []);
}

#[test]
fn what_was_marked_since_stays_invalid() {
    let mut rollup = marked(&[i64::MIN..i64::MAX]);
    let upto = rollup.next_mark;
    rollup.invalidate(&(40..50));
    rollup.revalidate(&(0..100), upto);
    assert_eq!(
        marks(&rollup),
        [(i64::MIN, 0, 0), (40, 50, 1), (100, i64::MAX, 0)]
    );
    rollup.revalidate(&(i64::MIN..45), u64::MAX);
    assert_eq!(marks(&rollup), [(45, 50, 1), (100, i64::MAX, 0)]);
}

#[test]
fn a_range_is_invalid_when_all_of_it_is() {
    let rollup = marked(&[0..10, 10..20, 30..40]);
    assert!(rollup.is_invalid(&(5..20)));
    assert!(!rollup.is_invalid(&(5..21)));
    assert!(!rollup.is_invalid(&(15..35)));
    assert!(rollup.is_invalid(&(25..25)));
}

#[test]
fn what_is_frozen_is_never_marked() {
    let mut rollup = marked(&[0..100]);
    rollup.freeze(&(20..30));
    assert_eq!(marks(&rollup), [(0, 20, 0), (30, 100, 0)]);
    rollup.freeze(&(30..40));
    rollup.freeze(&(0..10));
    assert_eq!(rollup.frozen, [0..10, 20..40]);
    rollup.invalidate(&(0..50));
    assert_eq!(marks(&rollup), [(10, 20, 1), (40, 50, 1), (50, 100, 0)]);
    rollup.invalidate(&(22..38));
    assert_eq!(rollup.next_mark, 2);
    rollup.freeze(&(5..25));
    assert_eq!(rollup.frozen, [0..40]);
}

#[test]
fn too_many_marks_join_the_nearest_and_lose_none() {
    let mut rollup = Rollup::new(TableId(1), TableId(2));
    let ranges: Vec<Range<i64>> = (0..400).map(|n| n * n * 10..n * n * 10 + 5).collect();
    for range in &ranges {
        rollup.invalidate(range);
    }
    assert_eq!(rollup.invalid.len(), MARKS_MAX);
    assert!(ranges.iter().all(|range| rollup.is_invalid(range)));
    let sorted =
        |pair: &[Mark]| pair.first().unwrap().range.end <= pair.last().unwrap().range.start;
    assert!(rollup.invalid.windows(2).all(sorted));
    // The widest gaps are still there.
    assert!(!rollup.is_invalid(&(398 * 398 * 10..399 * 399 * 10)));
    // A joined mark is as young as the youngest of its own.
    assert!(
        rollup
            .invalid
            .windows(2)
            .all(|pair| { pair.first().unwrap().seq < pair.last().unwrap().seq })
    );
}
