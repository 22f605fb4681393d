//! What the files of an administrator say, as they are now.

use super::context::Context;
use super::relation::Fill;
use super::rows::{Cell, NULL, Rows, row};
use crate::error::Error;
use crate::hosts::{self, Address, Word};
use crate::settings::Conf;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_hba_file_rules" => rules,
        "pg_file_settings" => settings,
        "pg_ident_file_mappings" => mappings,
        _ => return None,
    })
}

fn settings<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    context.superuser_only("view", "pg_file_settings")?;
    let Some(outside) = context.instance.outside() else {
        return Ok(());
    };
    let conf = Conf::read(&*outside);
    let mut now = conf.clone();
    now.keep_started(&context.instance.conf());
    for (place, line) in conf.lines.iter().enumerate() {
        let number = (line.number > 0).then_some(i64::from(line.number));
        let waits = line
            .name
            .as_ref()
            .is_some_and(|name| conf.holds(place) && now.pending.contains(&name.to_lowercase()));
        let error = match waits {
            true => Some("setting could not be applied".to_owned()),
            false => line.error.clone(),
        };
        rows.push(row![
            line.file.clone(),
            number,
            i64::try_from(place + 1).unwrap_or(i64::MAX),
            line.name.clone(),
            line.value.clone(),
            conf.holds(place) && error.is_none(),
            error,
        ]);
    }
    Ok(())
}

/// What was written, in a list.
fn list<'a>(words: &[Word]) -> Cell<'a> {
    let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    texts.into()
}

fn mappings<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    context.superuser_only("view", "pg_ident_file_mappings")?;
    let Some(outside) = context.instance.outside() else {
        return Ok(());
    };
    let found = hosts::idents(&*outside, &context.instance.ident_file())?;
    for (line, entry) in found.map(|(_, entries)| entries).unwrap_or_default() {
        let line = i64::from(line);
        match entry {
            Ok(of) => rows.push(row![line, of.map, of.name, of.role, NULL]),
            Err(error) => rows.push(row![line, NULL, NULL, NULL, error]),
        }
    }
    Ok(())
}

fn rules<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    context.superuser_only("view", "pg_hba_file_rules")?;
    let Some(outside) = context.instance.outside() else {
        return Ok(());
    };
    let (named, ssl) = context.instance.hosts_settings();
    let Some((_, entries)) = hosts::entries(&*outside, &named, ssl)? else {
        return Ok(());
    };
    for entry in entries {
        let line = i64::from(entry.line);
        let Some(rule) = entry.rule else {
            let error = entry.error;
            rows.push(row![line, NULL, NULL, NULL, NULL, NULL, NULL, NULL, error]);
            continue;
        };
        let mask = match &rule.address {
            Some(Address::Network(network)) => Some(network.mask.to_string()),
            _ => None,
        };
        let options = match rule.options.is_empty() {
            true => Cell::Null,
            false => rule.options.into(),
        };
        rows.push(row![
            line,
            rule.kind.name(),
            list(&rule.databases),
            list(&rule.users),
            rule.address.map(|address| address.to_string()),
            mask,
            rule.method.name(),
            options,
            entry.error,
        ]);
    }
    Ok(())
}
