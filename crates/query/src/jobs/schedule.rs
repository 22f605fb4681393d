//! When jobs run: pure decisions over their definitions, their statistics and the time.

use std::collections::BTreeSet;

use chronolith_catalog::{Job, Jobs};
use chronolith_types::datetime::{civil_from_days, days_from_civil, days_in_month};
use chronolith_types::{Interval, JobId, TimeZone};

const DAY_US: i64 = 86_400_000_000;
/// A failed run is never put off for more than so many intervals of its schedule.
const BACKOFF_INTERVALS_MAX: i128 = 5;
/// The delay after a failure doubles so many times at most.
const DOUBLINGS_MAX: u32 = 20;
/// What brought the process down must not do so again at once.
const AFTER_CRASH_US_MIN: i64 = 5 * 60 * 1_000_000;

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// These start, the longest overdue first.
    pub(crate) start: Vec<JobId>,
    /// When the next of the others is due, µs since 1970.
    pub(crate) wake_us: Option<i64>,
}

/// Which jobs start at a moment; those that run already don't.
pub(crate) fn due(jobs: &Jobs, running: &BTreeSet<JobId>, now_us: i64) -> Due {
    let mut due = Due::default();
    let mut start = Vec::new();
    for job in jobs.all.values() {
        if !job.scheduled || running.contains(&job.id) {
            continue;
        }
        match job.stats.next_start {
            Some(next) if next > now_us => {
                due.wake_us = Some(due.wake_us.map_or(next, |wake: i64| wake.min(next)));
            }
            next => start.push((next.unwrap_or(i64::MIN), job.id)),
        }
    }
    start.sort_unstable();
    due.start = start.into_iter().map(|(_, id)| id).collect();
    due
}

/// When a job starts after a run that went well.
pub(crate) fn after_success(job: &Job, finish_us: i64) -> i64 {
    regular(job, finish_us)
}

/// When a job starts after so many failures in a row, the last one at `finish_us`. The delay doubles
/// from failure to failure; a fixed schedule's next slot is not missed for it.
pub(crate) fn after_failure(job: &Job, failures: u32, finish_us: i64) -> i64 {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let wanted = job.retry_period.span_us() << doublings;
    let most = job.schedule_interval.span_us() * BACKOFF_INTERVALS_MAX;
    let delay = i64::try_from(wanted.min(most).max(0)).unwrap_or(i64::MAX);
    let retry = finish_us.saturating_add(delay);
    if job.fixed_schedule {
        retry.min(regular(job, finish_us))
    } else {
        retry
    }
}

/// When a job starts after the process went down with it.
pub(crate) fn after_crash(job: &Job, failures: u32, now_us: i64) -> i64 {
    let least = now_us.saturating_add(AFTER_CRASH_US_MIN);
    after_failure(job, failures, now_us).max(least)
}

/// Whether a job that failed so often in a row is to be tried no more.
pub(crate) fn gives_up(job: &Job, failures: u32) -> bool {
    u32::try_from(job.max_retries).is_ok_and(|most| failures >= most.max(1))
}

/// The regular start after a moment.
pub(crate) fn regular(job: &Job, after_us: i64) -> i64 {
    let zone = job.timezone.as_deref().and_then(TimeZone::parse);
    let zone = zone.unwrap_or_default();
    match (job.fixed_schedule, job.initial_start) {
        (true, Some(origin)) => slot_after(origin, job.schedule_interval, &zone, after_us),
        _ => plus(after_us, job.schedule_interval, &zone),
    }
}

/// The first slot of a schedule that lies after a moment.
fn slot_after(origin_us: i64, every: Interval, zone: &TimeZone, after_us: i64) -> i64 {
    if origin_us > after_us {
        return origin_us;
    }
    let every_us = every.span_us();
    if every_us <= 0 {
        return after_us;
    }
    // Months and days have no fixed length: the guess is a little early, and the rest is counted.
    let passed = i128::from(after_us) - i128::from(origin_us);
    let longest = if every.months == 0 {
        every_us + i128::from(DAY_US) / 24 * i128::from(every.days.min(1))
    } else {
        every_us * 31 / 30 + 1
    };
    let mut slot = i64::try_from(passed / longest.max(1)).unwrap_or(0);
    loop {
        let start = plus_times(origin_us, every, slot, zone);
        if start > after_us || slot == i64::MAX {
            return start;
        }
        slot += 1;
    }
}

/// A moment and so many intervals, by the calendar of a zone.
fn plus_times(us: i64, span: Interval, times: i64, zone: &TimeZone) -> i64 {
    let part = |part: i32| {
        i32::try_from(i64::from(part).saturating_mul(times)).unwrap_or(if part < 0 {
            i32::MIN
        } else {
            i32::MAX
        })
    };
    let span = Interval {
        months: part(span.months),
        days: part(span.days),
        us: span.us.saturating_mul(times),
    };
    plus(us, span, zone)
}

/// A moment and an interval, by the calendar of a zone.
pub(crate) fn plus(us: i64, span: Interval, zone: &TimeZone) -> i64 {
    if us == i64::MAX || us == i64::MIN {
        return us;
    }
    let moved = if span.months == 0 && span.days == 0 {
        us
    } else {
        let local = zone.local(us);
        let (days, of_day) = (local.div_euclid(DAY_US), local.rem_euclid(DAY_US));
        let (year, month, day) = civil_from_days(days);
        let months = year * 12 + i64::from(month) - 1 + i64::from(span.months);
        let (year, month) = (
            months.div_euclid(12),
            u32::try_from(months.rem_euclid(12)).unwrap_or(0) + 1,
        );
        let day = day.min(days_in_month(year, month));
        let days = days_from_civil(year, month, day) + i64::from(span.days);
        zone.instant(days.saturating_mul(DAY_US).saturating_add(of_day))
    };
    moved.saturating_add(span.us)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Arc;

    use chronolith_catalog::JobStats;
    use chronolith_types::RoleId;
    use chronolith_types::datetime::parse_timestamptz;

    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    fn at(text: &str) -> i64 {
        parse_timestamptz(text.as_bytes(), &TimeZone::default()).unwrap()
    }

    fn job(every: &str) -> Job {
        Job {
            id: JobId(1000),
            application_name: String::new(),
            schedule_interval: Interval::parse(every.as_bytes()).unwrap(),
            max_runtime: Interval::default(),
            max_retries: -1,
            retry_period: Interval::from_us(300_000_000),
            proc_schema: String::new(),
            proc_name: String::new(),
            owner: RoleId(10),
            scheduled: true,
            fixed_schedule: false,
            initial_start: None,
            timezone: None,
            config: None,
            check: None,
            relation: None,
            stats: JobStats::default(),
        }
    }

    fn fixed(every: &str, origin: &str) -> Job {
        Job {
            fixed_schedule: true,
            initial_start: Some(at(origin)),
            ..job(every)
        }
    }

    #[test]
    fn a_drifting_job_starts_an_interval_after_its_end() {
        let finish = at("2026-03-01 10:17:00Z");
        assert_eq!(after_success(&job("1 hour"), finish), finish + HOUR_US);
    }

    #[test]
    fn a_fixed_job_keeps_to_its_grid_however_long_it_ran() {
        let job = fixed("1 hour", "2026-03-01 00:15:00Z");
        for (finish, next) in [
            ("2026-03-01 00:15:01Z", "2026-03-01 01:15:00Z"),
            ("2026-03-01 07:15:00Z", "2026-03-01 08:15:00Z"),
            ("2026-02-01 00:00:00Z", "2026-03-01 00:15:00Z"),
            ("2036-02-01 00:00:00Z", "2036-02-01 00:15:00Z"),
        ] {
            assert_eq!(after_success(&job, at(finish)), at(next), "after {finish}");
        }
    }

    #[test]
    fn days_and_months_follow_the_calendar_of_the_zone() {
        let mut daily = fixed("1 day", "2026-03-27 02:00:00+01");
        daily.timezone = Some("Europe/Zurich".to_owned());
        // The clocks go forward on the 29th: 02:00 is 03:00 then, and 02:00 again after it.
        assert_eq!(
            after_success(&daily, at("2026-03-29 12:00:00Z")),
            at("2026-03-30 00:00:00Z")
        );
        daily.timezone = None;
        assert_eq!(
            after_success(&daily, at("2026-03-29 12:00:00Z")),
            at("2026-03-30 01:00:00Z")
        );
        let monthly = fixed("1 month", "2026-01-31 00:00:00Z");
        assert_eq!(
            after_success(&monthly, at("2026-02-01 00:00:00Z")),
            at("2026-02-28 00:00:00Z")
        );
        assert_eq!(
            after_success(&monthly, at("2126-03-30 00:00:00Z")),
            at("2126-03-31 00:00:00Z")
        );
    }

    #[test]
    fn the_next_slot_is_the_first_after_the_moment() {
        for every in ["1 hour", "1 day", "1 week", "1 month", "7 minutes"] {
            for zone in [None, Some("America/New_York".to_owned())] {
                let mut job = fixed(every, "2020-02-29 12:34:56Z");
                job.timezone = zone;
                let zone = job.timezone.as_deref().and_then(TimeZone::parse);
                let zone = zone.unwrap_or_default();
                let mut after = at("2020-02-29 12:34:56Z");
                for slot in 1..400 {
                    let next = after_success(&job, after);
                    let expected = plus_times(
                        at("2020-02-29 12:34:56Z"),
                        job.schedule_interval,
                        slot,
                        &zone,
                    );
                    assert_eq!(next, expected, "{every} {slot}");
                    after = next;
                }
            }
        }
    }

    #[test]
    fn failures_are_tried_again_at_doubling_distances_up_to_five_intervals() {
        let job = job("1 hour");
        let minutes = |failures| after_failure(&job, failures, 0) / 60_000_000;
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7, 8, 1000].map(minutes),
            [5, 10, 20, 40, 80, 160, 300, 300, 300]
        );
    }

    #[test]
    fn a_fixed_schedule_does_not_miss_its_slot_for_a_retry() {
        let job = fixed("10 minutes", "2026-01-01 00:00:00Z");
        let finish = at("2026-01-01 00:02:00Z");
        assert_eq!(after_failure(&job, 1, finish), at("2026-01-01 00:07:00Z"));
        assert_eq!(after_failure(&job, 9, finish), at("2026-01-01 00:10:00Z"));
    }

    #[test]
    fn a_crash_waits_five_minutes_at_least() {
        let mut job = job("1 minute");
        job.retry_period = Interval::from_us(1_000_000);
        assert_eq!(after_crash(&job, 1, 0), AFTER_CRASH_US_MIN);
    }

    #[test]
    fn a_job_gives_up_after_its_retries_unless_they_are_endless() {
        let mut job = job("1 hour");
        assert!(!gives_up(&job, u32::MAX));
        job.max_retries = 3;
        assert!(!gives_up(&job, 2));
        assert!(gives_up(&job, 3));
        job.max_retries = 0;
        assert!(gives_up(&job, 1));
    }

    #[test]
    fn due_are_those_whose_time_has_come_and_that_do_not_run() {
        let mut jobs = Jobs::default();
        let mut add = |id: i32, next: Option<i64>, scheduled: bool| {
            let mut made = job("1 hour");
            made.id = JobId(id);
            made.scheduled = scheduled;
            made.stats.next_start = next;
            jobs.all.insert(made.id, Arc::new(made));
        };
        add(1000, Some(50), true);
        add(1001, None, true);
        add(1002, Some(40), true);
        add(1003, Some(10), false);
        add(1004, Some(200), true);
        add(1005, Some(150), true);
        add(1006, Some(20), true);
        let running = BTreeSet::from([JobId(1006)]);
        assert_eq!(
            due(&jobs, &running, 50),
            Due {
                start: vec![JobId(1001), JobId(1002), JobId(1000)],
                wake_us: Some(150),
            }
        );
    }
}
