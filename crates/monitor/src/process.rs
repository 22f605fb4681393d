//! What the operating system says of this process, with the names that Prometheus' clients use.

use std::fs;

use crate::text::{Kind, Page};

/// Clock ticks a second in `/proc`, which Linux has fixed for programs.
const TICKS: f64 = 100.0;

/// Adds what `/proc` tells; nothing where there is none.
pub(crate) fn collect(page: &mut Page) {
    if let Some((cpu, resident, virtual_bytes)) = usage() {
        page.single(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Seconds of processor time, by user and system.",
            cpu,
        );
        page.single(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Bytes of memory that the process has, mapped files included.",
            resident,
        );
        page.single(
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Bytes of address space.",
            virtual_bytes,
        );
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.single(
            "process_open_fds",
            Kind::Gauge,
            "Open file descriptors.",
            open.count(),
        );
    }
    if let Some(most) = open_files_max() {
        page.single(
            "process_max_fds",
            Kind::Gauge,
            "The most file descriptors that may be open.",
            most,
        );
    }
}

/// Processor time in seconds, resident and virtual bytes.
fn usage() -> Option<(f64, u64, u64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, in parentheses and of any characters.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)?.checked_add(field(15)?)?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a processor would work for a million years"
    )]
    let seconds = ticks as f64 / TICKS;
    Some((seconds, kilobytes * 1024, field(23)?))
}

fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_is_measured() {
        let mut page = Page::default();
        collect(&mut page);
        let text = page.into_text();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ] {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split(' ').nth(1));
            let value: f64 = value.expect(name).parse().expect(name);
            assert!(value >= 0.0, "{name} {value}");
        }
    }
}
