#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::array::{Decimal128Array, Int32Array, TimestampMicrosecondArray};

use super::*;

fn decimals(values: &[Option<i128>]) -> ArrayRef {
    let values = Decimal128Array::from(values.to_vec());
    Arc::new(values.with_precision_and_scale(38, 2).unwrap())
}

#[test]
fn equal_times_are_first_and_last_as_they_came() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![5, 5, 7, 7, 1, 9, 9]));
    let runs = [0..4, 4..5, 5..7];
    let first = ends(&times, &runs, true).unwrap();
    assert_eq!(first.values(), &[0, 4, 5]);
    let last = ends(&times, &runs, false).unwrap();
    assert_eq!(last.values(), &[3, 4, 6]);
}

#[test]
fn ends_do_not_ask_for_an_order() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![7, 3, 9, 3, 9, 4]));
    let run = 0..6;
    let runs = std::slice::from_ref(&run);
    assert_eq!(ends(&times, runs, true).unwrap().values(), &[1]);
    assert_eq!(ends(&times, runs, false).unwrap().values(), &[4]);
}

#[test]
fn a_time_that_is_missing_is_for_others() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(7), None]));
    let run = 0..2;
    assert!(ends(&times, std::slice::from_ref(&run), true).is_none());
}

#[test]
fn a_run_of_nulls_has_no_sum_and_no_extreme() {
    let values = decimals(&[None, None, Some(-3), None, Some(8)]);
    let runs = [0..2, 2..5];
    let out = DataType::Decimal128(38, 2);
    let sums = sums(&values, &runs, &out).unwrap().unwrap();
    assert_eq!(&sums, &decimals(&[None, Some(5)]));
    assert_eq!(
        &extremes(&values, &runs, true).unwrap(),
        &decimals(&[None, Some(-3)])
    );
    assert_eq!(
        &extremes(&values, &runs, false).unwrap(),
        &decimals(&[None, Some(8)])
    );
}

#[test]
fn a_sum_beyond_its_digits_is_for_others() {
    let values = decimals(&[Some(DIGITS_38), Some(1)]);
    let run = 0..2;
    let runs = std::slice::from_ref(&run);
    let out = DataType::Decimal128(38, 2);
    assert!(sums(&values, runs, &out).unwrap().is_none());
    let values: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    assert!(sums(&values, runs, &DataType::Int64).unwrap().is_none());
    let wide = sums(&values, runs, &DataType::Decimal128(38, 0)).unwrap();
    let wide = wide.unwrap();
    let sum = wide.as_primitive::<Decimal128Type>().value(0);
    assert_eq!(sum, i128::from(i64::MAX) + 1);
}

#[test]
fn whole_numbers_add_up_to_wider_ones() {
    let values: ArrayRef = Arc::new(Int32Array::from(vec![i32::MAX, i32::MAX, -1]));
    let runs = [0..2, 2..3];
    let summed = sums(&values, &runs, &DataType::Int64).unwrap().unwrap();
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![i64::from(i32::MAX) * 2, -1]));
    assert_eq!(&summed, &expected);
}
